// SPDX-License-Identifier: GPL-2.0-or-later
//! Which master keys a server needs for the redo log of its data directory. Without one, it does not start, or reads the log
//! without end.

use super::file_report::{DataFileKind, FileReport};
use super::keys::MasterKeys;
use super::needed::all_master_keys;
use super::shutdown::{files_of, shutdown};
use super::walk::DataFiles;
use super::whole::missing_redo_log;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a redo log needs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogNeeds {
    /// The ids of master keys, each with what names it: a file, in its header, or the directory of the log, whose changes since
    /// the last checkpoint name it.
    pub keys: BTreeMap<String, Vec<PathBuf>>,
    /// The directories of logs whose changes could not all be read.
    pub unread: Vec<FileReport>,
    /// The name of the log, if the data directory is a whole one and none was found.
    pub missing_log: Option<String>,
}

/// Finds out which master keys the redo log of a data directory needs: that of its header and, unless the server was shut down
/// cleanly, those that a server needs to replay it. `keys` decrypt the log.
pub fn log_needs(datadir: &Path, found: &DataFiles, keys: &dyn MasterKeys) -> LogNeeds {
    let files = files_of(datadir, found, DataFileKind::Redo);
    let log = DataFiles {
        files: files.into_iter().map(|path| (path, DataFileKind::Redo)).collect(),
        ..DataFiles::default()
    };
    let (needed, _) = all_master_keys(&log, keys, &shutdown(datadir, found));
    let is_file = |file: &FileReport| log.files.iter().any(|(path, _)| *path == file.path);
    let unread = needed.unknown.into_iter().filter(|file| !is_file(file)).collect();
    LogNeeds { keys: needed.keys, unread, missing_log: missing_redo_log(datadir, found) }
}

impl LogNeeds {
    /// Those that a keyring lacks, each with what names it.
    pub fn missing(&self, keys: &dyn MasterKeys) -> BTreeMap<String, Vec<PathBuf>> {
        let lacks = |id: &str| !keys.with_key(id, &mut |_| ());
        let missing = self.keys.iter().filter(|(id, _)| lacks(id));
        missing.map(|(id, files)| (id.clone(), files.clone())).collect()
    }
}
