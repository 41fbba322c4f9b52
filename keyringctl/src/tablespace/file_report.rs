// SPDX-License-Identifier: GPL-2.0-or-later
//! What was found in one file.

use super::page::PageForm;
use serde::Serialize;
use std::path::PathBuf;

/// What a file contains. In JSON, a word in lower case: `table`, `transfer_key`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DataFileKind {
    /// A table, or a partition of one.
    Table,
    /// A general tablespace, which may contain several tables.
    General,
    /// The tablespace `mysql`: data dictionary and system tables.
    Dictionary,
    /// An undo tablespace.
    Undo,
    /// The system tablespace, which MySQL cannot encrypt.
    System,
    /// Temporary tables, which MySQL does not encrypt and recreates at each start.
    Temporary,
    /// The redo log.
    Redo,
    /// Copies of pages that were written to tablespaces.
    Doublewrite,
    /// A binary log or relay log.
    BinaryLog,
    /// A table of an engine that cannot encrypt: MyISAM, ARCHIVE, CSV.
    OtherEngine,
    /// The server's error log, general log or slow query log, which MySQL cannot encrypt.
    TextLog,
    /// The key of an exported table, in a form that needs no keyring (FLUSH TABLES ... FOR EXPORT).
    TransferKey,
    /// A directory that could not be read.
    Directory,
    /// A file or symbolic link that may hold data in a form that is not known here, such as a compressed copy.
    Other,
}

impl DataFileKind {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            DataFileKind::Table => "tables",
            DataFileKind::General => "general tablespaces",
            DataFileKind::Dictionary => "tablespace mysql",
            DataFileKind::Undo => "undo tablespaces",
            DataFileKind::System => "system tablespace",
            DataFileKind::Temporary => "temporary tablespaces",
            DataFileKind::Redo => "redo log",
            DataFileKind::Doublewrite => "doublewrite files",
            DataFileKind::BinaryLog => "binary and relay logs",
            DataFileKind::OtherEngine => "tables of other engines",
            DataFileKind::TextLog => "text logs",
            DataFileKind::TransferKey => "transfer keys",
            DataFileKind::Directory => "directories",
            DataFileKind::Other => "other files",
        }
    }
}

/// What was found in a file. In JSON, a word in lower case: `key_missing`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// Encrypted, and the keyring decrypts it.
    Opened,
    /// Encrypted with a key that the keyring does not have.
    KeyMissing,
    /// Encrypted, and the keyring's key of that id does not decrypt it.
    WrongKey,
    /// The bytes are not as the server writes them.
    Damaged,
    /// Unencrypted.
    NotEncrypted,
    /// It contains no data.
    Empty,
    /// It was not looked at, because what it contains is not known here. A note says why, and what to do.
    NotChecked,
    /// It could not be read.
    Unreadable,
}

impl FileState {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            FileState::Opened => "opened",
            FileState::KeyMissing => "key missing",
            FileState::WrongKey => "wrong key",
            FileState::Damaged => "damaged",
            FileState::NotEncrypted => "not encrypted",
            FileState::Empty => "empty",
            FileState::NotChecked => "not checked",
            FileState::Unreadable => "unreadable",
        }
    }

    /// Whether the keyring does not decrypt it, or that could not be checked.
    pub fn is_failure(self) -> bool {
        matches!(
            self,
            FileState::KeyMissing
                | FileState::WrongKey
                | FileState::Damaged
                | FileState::NotChecked
                | FileState::Unreadable
        )
    }
}

/// One file. Its JSON is that of `keyringctl verify --datadir`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FileReport {
    /// The file.
    #[serde(serialize_with = "crate::show::path")]
    pub path: PathBuf,
    /// What it contains.
    pub kind: DataFileKind,
    /// What was found.
    pub state: FileState,
    /// The id of the master key that its header names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The number of a page that was decrypted with the file's own key and has the right checksum, which proves the key. For
    /// the redo log, a block; for a binary log, 0 for its beginning. `None` if there was no such page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked_page: Option<u64>,
    /// Whether the keyring lacks its master key, and the transfer key in the `.cfp` file beside it decrypts it. A server then
    /// reads it only after ALTER TABLE ... IMPORT TABLESPACE.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_transfer_key: bool,
    /// Whether it contains unencrypted data that MySQL could encrypt, even if the rest is encrypted.
    pub in_clear: bool,
    /// For a tablespace of which every page was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<PageCounts>,
    /// Further details, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl FileReport {
    /// The report on what could not be judged.
    pub(crate) fn not_judged(path: PathBuf, kind: DataFileKind, state: FileState, why: &str) -> FileReport {
        FileReport {
            path,
            kind,
            state,
            key: None,
            checked_page: None,
            by_transfer_key: false,
            in_clear: false,
            pages: None,
            notes: vec![why.to_owned()],
        }
    }
}

/// The number of pages of a tablespace by their state. Page 0, which is never encrypted, is not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PageCounts {
    /// Decrypted with the tablespace's key, with the right checksum.
    pub encrypted: u64,
    /// Encrypted, but without a checksum to show whether they were decrypted correctly (ROW_FORMAT=COMPRESSED with
    /// `innodb_checksum_algorithm` = `none`).
    pub without_checksum: u64,
    /// Unencrypted.
    pub clear: u64,
    /// Never written.
    pub empty: u64,
    /// Encrypted, but the tablespace's key does not decrypt them.
    pub damaged: u64,
}

/// The number of pages, or of blocks of the redo log, by their form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct FormCounts {
    /// Encrypted.
    pub encrypted: u64,
    /// Unencrypted. In the system tablespace, which is never encrypted, only pages with data of tables are counted: entries
    /// from the change buffer, and rows.
    pub clear: u64,
    /// Never written.
    pub empty: u64,
    /// Neither encrypted nor with the right number and checksum: nothing can be said of what they hold.
    pub damaged: u64,
}

impl PageCounts {
    pub(super) fn add(&mut self, other: &PageCounts) {
        self.encrypted += other.encrypted;
        self.without_checksum += other.without_checksum;
        self.clear += other.clear;
        self.empty += other.empty;
        self.damaged += other.damaged;
    }
}

impl FormCounts {
    pub(super) fn add(&mut self, other: &FormCounts) {
        self.encrypted += other.encrypted;
        self.clear += other.clear;
        self.empty += other.empty;
        self.damaged += other.damaged;
    }

    pub(super) fn count(&mut self, form: PageForm) {
        match form {
            PageForm::Encrypted => self.encrypted += 1,
            PageForm::Clear => self.clear += 1,
            PageForm::Empty => self.empty += 1,
        }
    }
}
