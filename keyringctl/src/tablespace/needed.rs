// SPDX-License-Identifier: GPL-2.0-or-later
//! Which master keys files need.

use super::check::check;
use super::file_report::{DataFileKind, FileReport, FileState};
use super::keys::NoKeys;
use super::space::Depth;
use super::walk::DataFiles;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the files below a data directory need.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NeededKeys {
    /// The ids of master keys, each with the files that need it.
    pub keys: BTreeMap<String, Vec<PathBuf>>,
    /// Files and directories of which it is not known what they need: not checked or unreadable.
    pub unknown: Vec<FileReport>,
}

/// Finds out which master keys files need.
pub fn master_keys(found: &DataFiles) -> NeededKeys {
    let mut needed = NeededKeys::default();
    for file in check(found, &NoKeys, Depth::OnePage, &mut |_, _| {}) {
        match &file.key {
            _ if matches!(file.state, FileState::Unreadable | FileState::NotChecked) => {
                needed.unknown.push(file)
            }
            Some(key) if file.kind != DataFileKind::Doublewrite => {
                needed.keys.entry(key.clone()).or_default().push(file.path);
            }
            _ => {}
        }
    }
    needed
}
