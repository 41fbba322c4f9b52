// SPDX-License-Identifier: GPL-2.0-or-later
//! Refuses remotes that cannot hold a copy, before anything is written.

use crate::commands::store_places::remotes_file;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::show::Shown;
use keyring_external::config::RemoteName;
use keyring_external::store::remote::examine::Engine;
use keyring_external::store::remote::objects::{Answer, Trouble};
use keyring_external::store::remote::open::open;
use keyring_external::store::remote::probe::{Verdict, honours_conditions};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the look at one copy may take.
const LOOK: Duration = Duration::from_secs(20);

/// Checks that every remote is described and can be read.
///
/// # Errors
/// One cannot.
pub(super) fn check_answers(host: &Host) -> Result<()> {
    for (_, copy) in host.at_remotes() {
        let (engine, name) = engine(copy)?;
        read(engine.as_ref(), &name).map_err(|e| failed("read", copy, &name, &e))?;
    }
    Ok(())
}

/// Checks that every remote honours conditional writes, with an object that is deleted again.
///
/// # Errors
/// One does not, or cannot be written.
pub(super) fn check_conditions(host: &Host) -> Result<()> {
    for (_, copy) in host.at_remotes() {
        let (engine, name) = engine(copy)?;
        let verdict = honours_conditions(engine.as_ref(), &name.prefix, Instant::now() + LOOK);
        if let Verdict::Broken(what) = verdict.map_err(|e| failed("write below", copy, &name, &e))? {
            return Err(Error::Usage(format!(
                "{} cannot hold a keyring: {what}. Use another engine, or a version of it that honours conditional \
                 writes. Nothing was changed",
                copy.shown()
            )));
        }
    }
    Ok(())
}

fn engine(copy: &Path) -> Result<(Arc<dyn Engine>, RemoteName)> {
    let name = RemoteName::parse(copy)?;
    let engine = open(&remotes_file(), &name.remote).map_err(|e| failed("use", copy, &name, &e))?;
    Ok((engine, name))
}

fn read(engine: &dyn Engine, name: &RemoteName) -> Answer<()> {
    engine.get(&format!("{}/head", name.prefix), Instant::now() + LOOK).map(drop)
}

fn failed(doing: &str, copy: &Path, name: &RemoteName, trouble: &Trouble) -> Error {
    Error::Usage(format!(
        "cannot {doing} {}: {trouble}. Describe the remote {} in {} as docs/REMOTES.md shows, then run setup again. Nothing \
         was changed",
        copy.shown(),
        name.remote,
        remotes_file().shown()
    ))
}
