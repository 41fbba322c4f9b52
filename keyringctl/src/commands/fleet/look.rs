// SPDX-License-Identifier: GPL-2.0-or-later
//! What all commands on a fleet take, and the look at its keyrings.

use super::compare;
use super::entry::Entry;
use super::place::Place;
use crate::commands::copies::of_server;
use crate::commands::store_places::remotes_file;
use crate::error::{Error, Result};
use keyring_external::keyring::now;
use std::time::{Duration, Instant};

/// What all commands on a fleet take.
#[derive(clap::Args)]
pub(super) struct Common {
    /// The remotes, or prefixes at them, whose keyrings are looked at: @NAME or @NAME/PREFIX (repeatable)
    #[arg(value_name = "REMOTE", required = true)]
    places: Vec<Place>,
    /// Report keyrings that nobody has changed for this time [default: report none]
    #[arg(long, value_name = "DAYS")]
    stale: Option<u64>,
    /// End after this time, with what has been read by then
    #[arg(long, short = 't', value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(3..=3600))]
    timeout: u64,
}

impl Common {
    /// Looks at all keyrings there. The places are looked at side by side, so that one that does not answer takes no time
    /// from the others.
    ///
    /// # Errors
    /// No remote can be listed, or is described in the remotes file.
    pub(super) fn look(&self) -> Result<Looked> {
        of_server::use_remotes_of_this_host();
        let until = Instant::now() + Duration::from_secs(self.timeout);
        let file = remotes_file();
        let surveys: Vec<_> = std::thread::scope(|scope| {
            let started: Vec<_> =
                self.places.iter().map(|place| scope.spawn(|| place.survey(&file, until))).collect();
            let panicked =
                |_| Err(Error::Usage("an internal error: the look at a remote panicked".to_owned()));
            started.into_iter().map(|survey| survey.join().unwrap_or_else(panicked)).collect()
        });
        let mut looked = Looked { entries: Vec::new(), empty: Vec::new(), failed: Vec::new() };
        for (place, survey) in self.places.iter().zip(surveys) {
            match survey {
                Ok(found) if found.is_empty() => looked.empty.push(place.to_string()),
                Ok(found) => looked.entries.extend(found),
                Err(e) => looked.failed.push(e),
            }
        }
        if looked.failed.len() == self.places.len() {
            return Err(looked.failed.swap_remove(0));
        }
        looked.entries.sort_by(|a, b| a.path.cmp(&b.path));
        looked.entries.dedup_by(|a, b| a.path == b.path);
        compare::all(&mut looked.entries, self.stale, now());
        Ok(looked)
    }
}

/// What was found at all places.
pub(super) struct Looked {
    pub entries: Vec<Entry>,
    /// The places without a keyring.
    pub empty: Vec<String>,
    /// Why places could not be looked at.
    pub failed: Vec<Error>,
}
