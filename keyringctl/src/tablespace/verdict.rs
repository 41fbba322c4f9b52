// SPDX-License-Identifier: GPL-2.0-or-later
//! What was found in one file, and whether the keyring unwraps its key.

use super::file_report::{DataFileKind, FileState, PageCounts};
use super::info::{EncryptionInfo, MasterKeyRef, SpaceKey};
use super::keys::MasterKeys;
use std::io;

/// What was found in a file.
#[derive(Debug)]
pub(super) struct FileVerdict {
    pub kind: DataFileKind,
    pub state: FileState,
    pub key: Option<String>,
    pub checked_page: Option<u64>,
    pub by_transfer_key: bool,
    pub in_clear: bool,
    pub pages: Option<PageCounts>,
    pub notes: Vec<String>,
    /// A checksum of the bytes that were read, to compare two readings.
    pub seen: u32,
}

impl FileVerdict {
    pub(super) fn new(kind: DataFileKind, state: FileState) -> FileVerdict {
        FileVerdict {
            kind,
            state,
            key: None,
            checked_page: None,
            by_transfer_key: false,
            in_clear: false,
            pages: None,
            notes: Vec::new(),
            seen: 0,
        }
    }

    pub(super) fn damaged(kind: DataFileKind, why: impl Into<String>) -> FileVerdict {
        let mut verdict = FileVerdict::new(kind, FileState::Damaged);
        verdict.notes.push(why.into());
        verdict
    }

    pub(super) fn not_checked(kind: DataFileKind, why: impl Into<String>) -> FileVerdict {
        let mut verdict = FileVerdict::new(kind, FileState::NotChecked);
        verdict.notes.push(why.into());
        verdict
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Records that the file's key does not decrypt these pages.
    pub(super) fn bad_pages(&mut self, bad: &[u32], checked: Option<u64>) {
        self.state = FileState::Damaged;
        let bad: Vec<_> = bad.iter().map(u32::to_string).collect();
        let bad = bad.join(", ");
        self.note(match checked {
            Some(good) => {
                format!("damaged pages, for example {bad}; its key is right, because it decrypts page {good}")
            }
            None => format!("the keyring unwraps its key, but the key decrypts no page: tried {bad}"),
        });
    }

    /// Records that these unencrypted pages are not as they were written.
    pub(super) fn broken_pages(&mut self, broken: &[u32]) {
        self.state = FileState::Damaged;
        let broken: Vec<_> = broken.iter().map(u32::to_string).collect();
        let broken = broken.join(", ");
        self.note(format!(
            "damaged pages, for example {broken}: they are not encrypted, and their checksum or page number is wrong"
        ));
    }

    /// Adds bytes that were read to the checksum.
    pub(super) fn saw(&mut self, bytes: &[u8]) {
        self.seen = crc32c::crc32c_append(self.seen, bytes);
    }
}

/// The result of unwrapping a file's key.
pub(super) enum Opening {
    /// The keyring's key of that id unwraps it.
    Opened(SpaceKey, String),
    /// A publicly known constant unwraps it.
    Public(SpaceKey),
    /// The keyring has no key of that id.
    Missing(String),
    /// The keyring's key of that id does not unwrap it.
    Wrong(String),
}

/// Unwraps a file's key with the keys of a keyring.
///
/// # Errors
/// The system has no memory.
pub(super) fn open_info(info: &EncryptionInfo, keys: &dyn MasterKeys) -> io::Result<Opening> {
    let candidates = match info.master_key() {
        MasterKeyRef::Named(id) => vec![id],
        MasterKeyRef::OfServerId(number) => {
            let mut ids = keys.ids();
            ids.retain(|id| MasterKeyRef::may_be(id, number));
            ids.sort();
            if ids.is_empty() {
                ids.push(format!("INNODBKey-SERVER_ID-{number}"));
            }
            ids
        }
        MasterKeyRef::Public => {
            let opened = info.open_public()?;
            return Ok(opened.map_or_else(|| Opening::Wrong("DefaultMasterKey".to_owned()), Opening::Public));
        }
    };
    let mut answer = None;
    for id in candidates {
        let mut opened = Ok(None);
        let there = keys.with_key(&id, &mut |master| opened = info.open(master));
        match opened? {
            Some(key) => return Ok(Opening::Opened(key, id)),
            None if there => answer = Some(Opening::Wrong(id)),
            None => drop(answer.get_or_insert(Opening::Missing(id))),
        }
    }
    Ok(answer.unwrap_or(Opening::Missing(String::new())))
}
