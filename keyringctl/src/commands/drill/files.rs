// SPDX-License-Identifier: GPL-2.0-or-later
//! What the files of a data directory say before a server reads them, or after one has ended over them: keys that are
//! missing, and pages that are damaged.

use super::file_names::{is_of, table_of};
use super::outcome::FailedTable;
use super::progress::{Progress, Unit};
use crate::show::Shown;
use crate::tablespace::{
    DataFileKind, DataFiles, Depth, FileReport, FileState, MasterKeys, check, find, log_needs,
};
use std::path::{Path, PathBuf};

/// The files of a data directory about which something is wrong.
#[derive(Default)]
pub(super) struct FileFaults {
    faults: Vec<FileReport>,
    /// The files of tables, if each table has its own in the backup.
    of_tables: Option<Vec<PathBuf>>,
}

impl FileFaults {
    /// Looks whether the keyring has the master keys of all files. Pages that are damaged may still be repaired, when the
    /// server recovers them from its doublewrite files.
    pub(super) fn of_keys(found: &DataFiles, keys: &dyn MasterKeys) -> FileFaults {
        let mut faults = Self::checked(found, keys, Depth::OnePage, |state| {
            matches!(state, FileState::KeyMissing | FileState::WrongKey)
        });
        let of = |kind| found.files.iter().filter(move |(_, of)| *of == kind).map(|(path, _)| path.clone());
        // A general tablespace holds tables without files.
        faults.of_tables =
            of(DataFileKind::General).next().is_none().then(|| of(DataFileKind::Table).collect());
        faults
    }

    /// Reads every page of the data directory of a server that has ended.
    pub(super) fn of_pages(data: &Path, keys: &dyn MasterKeys) -> FileFaults {
        let found = find(&[data.to_owned()]);
        Self::checked(&found, keys, Depth::EveryPage, FileState::is_failure)
    }

    fn checked(
        found: &DataFiles,
        keys: &dyn MasterKeys,
        depth: Depth,
        is_fault: impl Fn(FileState) -> bool,
    ) -> FileFaults {
        let progress = Progress::begin("checking the files", found.files.len() as u64, Unit::Things);
        let reports = check(found, keys, depth, &mut |done, _| progress.set(done as u64));
        // The server writes temporary tablespaces and doublewrite files anew, and reads no logs.
        let needed = |file: &FileReport| {
            !matches!(
                file.kind,
                DataFileKind::BinaryLog
                    | DataFileKind::TextLog
                    | DataFileKind::Temporary
                    | DataFileKind::Doublewrite
                    | DataFileKind::TransferKey
                    | DataFileKind::Other
            )
        };
        let faults = reports.into_iter().filter(|file| is_fault(file.state) && needed(file)).collect();
        FileFaults { faults, of_tables: None }
    }

    /// Why a table's file cannot be read.
    pub(super) fn of_table(&self, schema: &str, table: &str) -> Option<String> {
        let of_table =
            |file: &&FileReport| file.kind == DataFileKind::Table && is_of(&file.path, schema, table);
        self.faults.iter().find(of_table).map(reason)
    }

    /// Whether the backup lacks the files of a table that the server knows.
    pub(super) fn lacks_files_of(&self, schema: &str, table: &str) -> bool {
        self.of_tables.as_ref().is_some_and(|files| !files.iter().any(|file| is_of(file, schema, table)))
    }

    /// What is wrong with files that are not those of one table.
    pub(super) fn shared(&self) -> Vec<String> {
        let shared = self.faults.iter().filter(|file| file.kind != DataFileKind::Table);
        shared.map(|file| format!("{}: {}", file.path.shown(), reason(file))).collect()
    }

    /// All tables whose files cannot be read, for when no server can name them.
    pub(super) fn tables(&self) -> Vec<FailedTable> {
        let tables = self.faults.iter().filter(|file| file.kind == DataFileKind::Table);
        let mut all: Vec<_> = tables
            .map(|file| FailedTable {
                table: table_of(&file.path).unwrap_or_else(|| file.path.shown()),
                reason: reason(file),
            })
            .collect();
        // The partitions of a table.
        all.dedup_by(|a, b| a.table == b.table);
        all
    }
}

/// Why no server can recover these files: their redo log, or a change in it, names a master key that the keyring lacks. A
/// server that replays the change finds the log corrupt again and again, and fills its error log.
pub(super) fn not_recoverable(backup: &Path, found: &DataFiles, keys: &dyn MasterKeys) -> Option<String> {
    let missing: Vec<_> = log_needs(backup, found, keys).missing(keys).into_keys().collect();
    (!missing.is_empty()).then(|| {
        format!(
            "its redo log needs a master key that is not in the keyring ({}), so that no server can recover it. One that tries may \
             never end, and fill its error log",
            missing.join(", ")
        )
    })
}

fn reason(file: &FileReport) -> String {
    let key = file.key.as_deref().unwrap_or("unknown");
    match file.state {
        FileState::KeyMissing => format!("its master key {key} is not in the keyring"),
        FileState::WrongKey => format!("the keyring has another key under the name of its master key {key}"),
        state => [vec![format!("its file is {}", state.name())], file.notes.clone()].concat().join("; "),
    }
}

/// The tables of a backup by the names of its files.
pub(super) fn tables_by_files(found: &DataFiles) -> Vec<String> {
    let tables: Vec<&PathBuf> =
        found.files.iter().filter(|(_, kind)| *kind == DataFileKind::Table).map(|(path, _)| path).collect();
    let mut names: Vec<_> = tables.into_iter().filter_map(|path| table_of(path)).collect();
    names.sort();
    names.dedup();
    names
}
