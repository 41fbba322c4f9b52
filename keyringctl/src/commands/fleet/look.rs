// SPDX-License-Identifier: GPL-2.0-or-later
//! What all commands on a fleet take, and the look at its keyrings.

use super::compare;
use super::entry::Entry;
use super::place::Place;
use crate::commands::copies::of_server;
use crate::error::Result;
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
    /// Looks at all keyrings there.
    ///
    /// # Errors
    /// A remote is not described in the remotes file, or cannot be listed.
    pub(super) fn look(&self) -> Result<Vec<Entry>> {
        of_server::use_remotes_of_this_host();
        let until = Instant::now() + Duration::from_secs(self.timeout);
        let mut entries: Vec<Entry> = Vec::new();
        for place in &self.places {
            let found = place.survey(until)?;
            let is_new = |entry: &Entry| !entries.iter().any(|other| other.path == entry.path);
            let new: Vec<_> = found.into_iter().filter(is_new).collect();
            entries.extend(new);
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        compare::all(&mut entries, self.stale, now());
        Ok(entries)
    }
}
