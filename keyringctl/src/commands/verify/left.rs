// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a server left its files so that they may need keys that none of them names.

use super::opened::OpenedKeyring;
use crate::commands::needs::Unnamed;
use crate::commands::status;
use crate::commands::status::copy_status::WitnessSays;
use crate::show::Shown;
use crate::tablespace::{DataFiles, Shutdown, shutdown};
use keyring_external::store::places::Places;
use std::path::Path;

/// A data directory whose server was not shut down cleanly, or runs.
pub(super) struct Left<'a> {
    pub datadir: &'a Path,
    why: Unnamed,
    /// Whether the keyring is not the one that the server last used, or an older one: it may lack a key that the redo log
    /// needs. While the server runs, its own copies have them.
    pub is_failure: bool,
    /// Whether the keyring is the one that the server last used, or a newer one.
    pub is_sure: bool,
}

impl<'a> Left<'a> {
    pub(super) fn by(
        places: &Places,
        datadir: &'a Path,
        found: &DataFiles,
        keyring: &OpenedKeyring,
    ) -> Option<Left<'a>> {
        let why = match shutdown(datadir, found) {
            Shutdown::Running { .. } => Unnamed::InUse,
            Shutdown::Unclean => Unnamed::NotShutDown,
            Shutdown::Clean | Shutdown::Unknown => return None,
        };
        // A backup tool need not have copied the witness, and one that cannot be read says nothing.
        let says =
            status::heard(keyring.keyring.check_witness(places.fs(), datadir)).map_or(None, |heard| heard.0);
        let is_sure = matches!(says, Some(WitnessSays::Same | WitnessSays::Newer));
        let is_older = matches!(says, Some(WitnessSays::Older | WitnessSays::Fork | WitnessSays::Another));
        Some(Left { datadir, why, is_failure: why == Unnamed::NotShutDown && is_older, is_sure })
    }

    pub(super) fn text(&self) -> String {
        let text = self.why.text(self.datadir);
        match (self.is_failure, self.why) {
            (true, _) => format!(
                "NOT CHECKED   {text}\n  -> this keyring is not the one that the server last used. Find that one: keyringctl \
                 which COPIES --datadir {}",
                self.datadir.shown()
            ),
            (false, Unnamed::InUse) => {
                format!("note: {text}. Keys that it has stored just now are not checked")
            }
            (false, _) => {
                format!("note: {text}. A copy that was taken while it ran looks the same")
            }
        }
    }
}
