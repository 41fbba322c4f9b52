// SPDX-License-Identifier: GPL-2.0-or-later
//! Which keys the files of one server need, for the report.

use super::judge::{JudgedKey, Need, judge};
use super::sources;
use crate::error::Result;
use keyring_external::keyring::Keyring;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The keys of a keyring, and what needs each, as far as the files of one server tell.
#[derive(Clone, Debug, Serialize)]
pub(in crate::commands) struct ServerNeeds {
    pub keys: Vec<JudgedKey>,
    /// How many files and directories could not be judged.
    pub unread: usize,
}

impl ServerNeeds {
    /// Reads the data directory, and directories with its binary and relay logs.
    ///
    /// # Errors
    /// The filesystem reports an error.
    pub(in crate::commands) fn read(
        keyring: &Keyring,
        datadir: &Path,
        logs: &[PathBuf],
    ) -> Result<ServerNeeds> {
        let datadirs = [datadir.to_owned()];
        let places = sources::Args { binlogs: logs.to_vec(), ..sources::Args::default() };
        let named = places.read(&datadirs, keyring)?;
        let mut keys = judge(keyring, &named, &[]).keys;
        keys.sort_by(|a, b| (a.stored, &a.id).cmp(&(b.stored, &b.id)));
        Ok(ServerNeeds { keys, unread: named.unread.len() })
    }

    /// How many keys nothing needs, and how many are retired.
    pub(in crate::commands) fn unneeded_and_retired(&self) -> (usize, usize) {
        let unneeded = self.keys.iter().filter(|key| key.need == Need::Nothing).count();
        (unneeded, self.keys.iter().filter(|key| key.retired.is_some()).count())
    }
}
