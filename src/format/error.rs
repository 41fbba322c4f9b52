// SPDX-License-Identifier: GPL-2.0-or-later
//! Why bytes are not what they should be.

use crate::error::{BadRequest, Error as KeyringError, Failure, Refusal};
use std::io;
use std::path::Path;
use thiserror::Error;

/// Why bytes are not an open keyring.
#[derive(Debug, Error)]
pub enum FormatError {
    /// They do not begin like a keyring.
    #[error("not a keyring")]
    NotAKeyring,
    /// They have a later format version.
    #[error("format version {0}")]
    Newer(u32),
    /// They fail authentication.
    #[error("damaged at byte {offset}: {what}")]
    Damaged {
        /// Offset in the file.
        offset: u64,
        /// The part of the file.
        what: &'static str,
    },
    /// No slot opens with the secret given.
    #[error("wrong secret")]
    WrongSecret {
        /// The kinds of the slots, for the message.
        slots: String,
        /// How many were not tried, because that would cost more Argon2id than one opening may.
        untried: usize,
    },
    /// A slot was made for the secret given, but is not as it was made.
    #[error("forged or damaged slot {number}")]
    ForgedSlot {
        /// Its number, from 1.
        number: usize,
        /// Its name.
        name: String,
    },
    /// All slots are taken.
    #[error("no free slot")]
    NoFreeSlot,
    /// No memory or no randomness.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// The result of reading or making parts of a keyring file.
pub type Result<T> = std::result::Result<T, FormatError>;

impl FormatError {
    /// The same error of the file at `path`, which was opened with a secret from `source_name` (empty when it plays
    /// no part).
    pub fn at(self, path: &Path, source_name: &str) -> KeyringError {
        let (path, source_name) = (path.to_owned(), source_name.to_owned());
        match self {
            FormatError::NotAKeyring => Refusal::NotAKeyring { path }.into(),
            FormatError::Newer(version) => Refusal::Newer { path, version }.into(),
            FormatError::Damaged { offset, what } => Refusal::Damaged { path, offset, what }.into(),
            FormatError::WrongSecret { slots, untried: 0 } => {
                Refusal::WrongSecret { path, source_name, slots }.into()
            }
            FormatError::WrongSecret { untried, .. } => {
                Refusal::SlotsUntried { path, source_name, untried }.into()
            }
            FormatError::ForgedSlot { number, name } => Refusal::ForgedSlot { path, number, name }.into(),
            FormatError::NoFreeSlot => BadRequest::NoFreeSlot.into(),
            FormatError::System(e) => Failure::System(e).into(),
        }
    }

    /// The same error where no file is concerned: keys and slots in memory.
    pub fn in_memory(self) -> KeyringError {
        match self {
            FormatError::NoFreeSlot => BadRequest::NoFreeSlot.into(),
            FormatError::System(e) => Failure::System(e).into(),
            e @ (FormatError::NotAKeyring
            | FormatError::Newer(_)
            | FormatError::Damaged { .. }
            | FormatError::WrongSecret { .. }
            | FormatError::ForgedSlot { .. }) => Failure::Internal(e.to_string()).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn what_concerns_no_file_names_none() {
        let all = [
            FormatError::NotAKeyring,
            FormatError::Newer(2),
            FormatError::Damaged { offset: 7, what: "slot" },
            FormatError::WrongSecret { slots: "passphrase".to_owned(), untried: 0 },
            FormatError::NoFreeSlot,
            FormatError::System(io::ErrorKind::OutOfMemory.into()),
        ];
        for e in all {
            let text = e.in_memory().to_string();
            assert!(!text.contains("  ") && !text.starts_with(' '), "an empty path: {text}");
        }
    }
}
