// SPDX-License-Identifier: GPL-2.0-or-later
//! The redo logs of data directories, whose changes may need keys that no file's header names.

use super::opened::OpenedKeyring;
use crate::commands::output::Output;
use crate::show::Shown;
use crate::tablespace::{
    DataFileKind, DataFiles, FileReport, FileState, MasterKeys, Shutdown, log_needs, shutdown,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a server finds out too late.
const NEEDED: &str = "a server that replays them never ends, and fills its error log";

/// What the redo logs need.
#[derive(Default)]
pub(super) struct RedoLogs {
    /// The keys that the keyring lacks, each with what names it.
    missing: BTreeMap<String, Vec<PathBuf>>,
    /// The logs whose changes could not all be read.
    unread: Vec<FileReport>,
}

impl RedoLogs {
    pub(super) fn of(datadirs: &[PathBuf], found: &DataFiles, keyring: &OpenedKeyring) -> RedoLogs {
        let mut logs = RedoLogs::default();
        for datadir in datadirs {
            let log = log_needs(datadir, found, &keyring.keyring);
            let missing = log.missing(&keyring.keyring);
            // A running server writes it at the moment.
            let is_running = matches!(shutdown(datadir, found), Shutdown::Running { .. });
            if missing.is_empty() && !is_running {
                logs.unread.extend(log.unread);
            }
            for (key, files) in missing {
                logs.missing.entry(key).or_default().extend(files);
            }
        }
        logs
    }

    pub(super) fn lacks_keys(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Forgets the keys that the keyring has now.
    pub(super) fn compare_again(&mut self, keyring: &OpenedKeyring) {
        self.missing.retain(|id, _| !keyring.keyring.with_key(id, &mut |_| ()));
    }

    /// Adds a report on each log that needs keys which are missing and which no report names yet, and on each that could not
    /// all be read.
    pub(super) fn add_to(&self, files: &mut Vec<FileReport>) {
        let mut lacking: BTreeMap<&PathBuf, Vec<&String>> = BTreeMap::new();
        for (key, paths) in &self.missing {
            for path in paths {
                if !files.iter().any(|file| file.path == *path && file.key.as_ref() == Some(key)) {
                    lacking.entry(path).or_default().push(key);
                }
            }
        }
        for (path, keys) in lacking {
            let Some((first, others)) = keys.split_first() else { continue };
            let also: String = others.iter().map(|key| format!(", and {}", key.shown())).collect();
            let why = format!("changes in it since its last checkpoint need this key{also}: {NEEDED}");
            files.push(FileReport {
                key: Some((*first).clone()),
                ..FileReport::not_judged(path.clone(), DataFileKind::Redo, FileState::KeyMissing, &why)
            });
        }
        // One of its files may say so already.
        let says_so = |file: &FileReport, log: &FileReport| {
            file.kind == DataFileKind::Redo
                && file.path.starts_with(&log.path)
                && matches!(file.state, FileState::NotChecked | FileState::Unreadable | FileState::Damaged)
        };
        let unread = self.unread.iter().filter(|log| !files.iter().any(|file| says_so(file, log)));
        files.extend(unread.cloned().collect::<Vec<_>>());
    }

    pub(super) fn unread(&self) -> Vec<PathBuf> {
        self.unread.iter().map(|log| log.path.clone()).collect()
    }

    pub(super) fn print_unread(&self, out: &mut Output) {
        for log in &self.unread {
            out.line(format_args!(
                "note: which keys the redo log {} needs is not known: keyringctl drill shows whether a server recovers",
                log.path.shown()
            ));
        }
    }
}
