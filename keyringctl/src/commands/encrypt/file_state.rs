// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks into the files that the server has just encrypted, if they are on this machine.

use crate::commands::output::counted;
use crate::server::DatadirAccess;
use crate::show::Shown;
use crate::tablespace;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long the server may take to write pages that it has only in memory.
const LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);

/// Returns why a tablespace's file, which the server reports as encrypted, is not. `path` is as the server reports it, relative
/// to the data directory. Only some pages are read; `encrypt verify` reads them all.
pub(super) fn why_not_encrypted(here: &DatadirAccess, path: &Path) -> Option<String> {
    let path = here.readable()?.join(path);
    let until = Instant::now() + LIMIT;
    loop {
        // A file that cannot be read from here, or that is gone again, is left to `encrypt verify`.
        let sample = tablespace::sample(&path).ok()?;
        if sample.forms.clear == 0 && !sample.converting {
            return None;
        }
        if Instant::now() >= until {
            let why = match sample.converting {
                true => {
                    "the server is still encrypting it, so its file has unencrypted pages. Wait until it has finished, then run this again"
                }
                false => "run this again; if it stays so, use ALTER TABLE ... ENCRYPTION = 'N' and then 'Y'",
            };
            return Some(format!(
                "the server reports it as encrypted, but {} of {} in {} are not: {why}",
                sample.forms.clear,
                counted(
                    usize::try_from(sample.forms.clear + sample.forms.encrypted).unwrap_or(usize::MAX),
                    "page"
                ),
                path.shown()
            ));
        }
        thread::sleep(PAUSE);
    }
}
