// SPDX-License-Identifier: GPL-2.0-or-later
//! Which master keys files need.

use super::check::check;
use super::file_report::{DataFileKind, FileReport, FileState};
use super::keys::{MasterKeys, NoKeys};
use super::pending::named_in_redo;
use super::shutdown::Shutdown;
use super::space::Depth;
use super::walk::DataFiles;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

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
    of_reports(check(found, &NoKeys, Depth::OnePage, &mut |_, _| {}), |state| {
        matches!(state, FileState::Unreadable | FileState::NotChecked)
    })
}

/// Finds out which master keys files need so that none of these keys may be missing: also those that a server needs to replay
/// its redo log, unless it was shut down cleanly. `keys` decrypt the log. Files that are damaged are unknown too. Returns the
/// reports on all files besides.
pub fn all_master_keys(
    found: &DataFiles,
    keys: &dyn MasterKeys,
    shutdown: &Shutdown,
) -> (NeededKeys, Vec<FileReport>) {
    let reports = check(found, &NoKeys, Depth::OnePage, &mut |_, _| {});
    let unknown = |state| matches!(state, FileState::Unreadable | FileState::NotChecked | FileState::Damaged);
    let mut needed = of_reports(reports.clone(), unknown);
    if *shutdown != Shutdown::Clean {
        let mut logs: BTreeMap<&Path, Vec<PathBuf>> = BTreeMap::new();
        for (path, _) in found.files.iter().filter(|(_, kind)| *kind == DataFileKind::Redo) {
            logs.entry(path.parent().unwrap_or(path)).or_default().push(path.clone());
        }
        for (directory, files) in logs {
            needed.add_log(directory, named_in_redo(&files, keys));
        }
    }
    (needed, reports)
}

pub(super) fn of_reports(reports: Vec<FileReport>, is_unknown: impl Fn(FileState) -> bool) -> NeededKeys {
    let mut needed = NeededKeys::default();
    for file in reports {
        match &file.key {
            _ if is_unknown(file.state) => needed.unknown.push(file),
            Some(key) if file.kind != DataFileKind::Doublewrite => {
                needed.keys.entry(key.clone()).or_default().push(file.path);
            }
            _ => {}
        }
    }
    needed
}

impl NeededKeys {
    /// Adds the keys that the redo log in a directory names, or why they are not known.
    fn add_log(&mut self, path: &Path, named: io::Result<Result<BTreeSet<String>, &'static str>>) {
        let (state, note) = match named {
            Ok(Ok(ids)) => {
                for id in ids {
                    let files = self.keys.entry(id).or_default();
                    if !files.iter().any(|file| file == path) {
                        files.push(path.to_owned());
                    }
                }
                return;
            }
            // A server that runs has replaced it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            Ok(Err(why)) => (FileState::NotChecked, why.to_owned()),
            Err(e) => (FileState::Unreadable, e.to_string()),
        };
        self.unknown.push(FileReport::not_judged(path.to_owned(), DataFileKind::Redo, state, &note));
    }
}
