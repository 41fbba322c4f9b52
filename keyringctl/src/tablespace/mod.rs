// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks at the files of a server's data directory without a server: which are encrypted, which master key each
//! needs, and whether a keyring's key really opens it. Files are read only; the server may run meanwhile.
//!
//! ```ignore
//! pub fn check_datadir(datadir: &Path, keys: &dyn MasterKeys) -> Result<Vec<FileReport>>;
//! // The same in two steps, for several directories, every page, or progress:
//! pub fn find(directories: &[PathBuf]) -> Result<Found>;
//! pub fn check(found: &Found, keys: &dyn MasterKeys, depth: Depth, progress: &mut dyn FnMut(usize, usize)) -> Vec<FileReport>;
//! // Without a keyring, which keys are needed:
//! pub fn master_keys(datadir: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>>;
//! ```
//!
//! A [`Keyring`] is a [`MasterKeys`]. A [`FileReport`] says what a file holds ([`Kind`]), what was found out ([`State`]), which key
//! it needs, which page proves it, and whether it holds in clear what MySQL could encrypt.
//!
//! `info`, `page0`, `page`, `redo` and `binlog` understand bytes and touch no file; `walk` finds files, `read` reads them,
//! `space`, `logs` and `doublewrite` judge one file with a `verdict`, `check` all; `forms` counts pages without a key. Nothing
//! here trusts a byte of a file. Keys of tablespaces are in locked memory; pages in clear are wiped when they were looked at.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod binlog;
mod bytes;
mod check;
mod doublewrite;
mod forms;
mod info;
mod logs;
mod page;
mod page0;
mod read;
mod redo;
#[cfg(test)]
mod samples;
mod space;
#[cfg(test)]
mod tests;
mod verdict;
mod walk;

pub use check::{check, check_datadir, find, master_keys};
pub use forms::{Forms, forms};
pub use walk::Found;

use keyring_external::key::NameRef;
use keyring_external::keyring::Keyring;
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

/// How much of each file is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Depth {
    /// Its header, and one page decrypted: the time does not depend on the size of files.
    #[default]
    OnePage,
    /// Every page decrypted.
    EveryPage,
}

/// Where master keys are looked up.
pub trait MasterKeys: Sync {
    /// Hands the bytes of the server's own key of that id to `look`; `false` when there is none.
    fn look(&self, id: &str, look: &mut dyn FnMut(&[u8])) -> bool;

    /// The ids of all keys that are the server's own.
    fn ids(&self) -> Vec<String>;
}

/// No key at all: to find out what is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKeys;

impl MasterKeys for NoKeys {
    fn look(&self, _: &str, _: &mut dyn FnMut(&[u8])) -> bool {
        false
    }

    fn ids(&self) -> Vec<String> {
        Vec::new()
    }
}

impl MasterKeys for Keyring {
    fn look(&self, id: &str, look: &mut dyn FnMut(&[u8])) -> bool {
        let Ok(name) = NameRef::new(id.as_bytes(), b"") else { return false };
        self.fetch(&name, |key| look(key.data)).is_some()
    }

    fn ids(&self) -> Vec<String> {
        let names = self.names();
        let own = names.iter().map(|name| name.as_ref()).filter(|name| name.user().is_empty());
        own.map(|name| String::from_utf8_lossy(name.id()).into_owned()).collect()
    }
}
