// SPDX-License-Identifier: GPL-2.0-or-later
//! What was found out about one file.

use serde::Serialize;
use std::path::PathBuf;

/// What a file holds. In JSON, a word in lower case: `table`, `transfer_key`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A table, or a partition of one.
    Table,
    /// A general tablespace: tables that were put there.
    General,
    /// The tablespace `mysql`: data dictionary and system tables.
    Dictionary,
    /// An undo tablespace.
    Undo,
    /// The system tablespace, which MySQL cannot encrypt.
    System,
    /// Temporary tables, which MySQL does not encrypt and makes anew at each start.
    Temporary,
    /// The redo log.
    Redo,
    /// Pages on their way to their tablespaces.
    Doublewrite,
    /// A binary log or relay log.
    BinaryLog,
    /// A table of an engine that cannot encrypt: MyISAM, ARCHIVE, CSV.
    OtherEngine,
    /// The key of an exported table, in a form that needs no keyring (FLUSH TABLES ... FOR EXPORT).
    TransferKey,
    /// A directory that could not be looked into.
    Directory,
}

impl Kind {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Table => "tables",
            Kind::General => "general tablespaces",
            Kind::Dictionary => "tablespace mysql",
            Kind::Undo => "undo tablespaces",
            Kind::System => "system tablespace",
            Kind::Temporary => "temporary tablespaces",
            Kind::Redo => "redo log",
            Kind::Doublewrite => "doublewrite files",
            Kind::BinaryLog => "binary and relay logs",
            Kind::OtherEngine => "tables of other engines",
            Kind::TransferKey => "transfer keys",
            Kind::Directory => "directories",
        }
    }
}

/// What was found out about a file. In JSON, a word in lower case: `key_missing`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Encrypted, and a key of the keyring opens it.
    Opened,
    /// Encrypted with a key that the keyring does not have.
    KeyMissing,
    /// Encrypted, and the key of that id in the keyring is another one.
    WrongKey,
    /// Not as the server would write it.
    Damaged,
    /// In clear.
    NotEncrypted,
    /// Nothing in it yet, or any more.
    Empty,
    /// It could not be read.
    Unreadable,
}

impl State {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            State::Opened => "opened",
            State::KeyMissing => "key missing",
            State::WrongKey => "wrong key",
            State::Damaged => "damaged",
            State::NotEncrypted => "not encrypted",
            State::Empty => "empty",
            State::Unreadable => "unreadable",
        }
    }

    /// Whether the keyring does not open what is encrypted, or it could not be found out.
    pub fn is_failure(self) -> bool {
        matches!(self, State::KeyMissing | State::WrongKey | State::Damaged | State::Unreadable)
    }
}

/// One file. Its JSON is that of `keyringctl verify --datadir`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FileReport {
    /// The file.
    pub path: PathBuf,
    /// What it holds.
    pub kind: Kind,
    /// What was found out.
    pub state: State,
    /// The id of the master key that its header names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The number of a page that was decrypted with the file's own key, and whose checksum is right: that key is the right
    /// one. Of the redo log a block; of a binary log 0, its beginning. `None` where there was no such page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked_page: Option<u64>,
    /// Whether it holds, in clear, what MySQL could encrypt; also of a file that is encrypted in part.
    pub in_clear: bool,
    /// Of a tablespace, when every page was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<PageCounts>,
    /// What else is to be said, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How many pages of a tablespace are what; page 0, which is always in clear, is not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PageCounts {
    /// Decrypted with the tablespace's key, with the right checksum.
    pub encrypted: u64,
    /// Encrypted, without a checksum that would show whether they were decrypted rightly (ROW_FORMAT=COMPRESSED where
    /// `innodb_checksum_algorithm` is `none`).
    pub without_checksum: u64,
    /// In clear.
    pub clear: u64,
    /// Never written.
    pub empty: u64,
    /// Encrypted, and not to be opened with the tablespace's key.
    pub damaged: u64,
}
