// SPDX-License-Identifier: GPL-2.0-or-later
//! Why bytes cannot be read as a keyring.

use crate::error::{BadRequest, Error as KeyringError, Failure, Refusal};
use std::io;
use std::path::Path;
use thiserror::Error;

/// Why bytes cannot be opened as a keyring.
#[derive(Debug, Error)]
pub enum FormatError {
    /// They do not start like a keyring file.
    #[error("not a keyring")]
    NotAKeyring,
    /// They have a later format version than this program knows.
    #[error("format version {0}")]
    Newer(u32),
    /// They fail authentication.
    #[error("damaged at byte {offset}: {what}")]
    Damaged {
        /// Offset in the file.
        offset: u64,
        /// The damaged part of the file.
        what: &'static str,
    },
    /// The secret unlocks no slot.
    #[error("wrong secret")]
    WrongSecret {
        /// The kinds of the slots, for the message.
        slots: String,
        /// Number of slots that were not tried because of the limit on Argon2id.
        untried: usize,
    },
    /// A slot belongs to the secret but has been altered.
    #[error("forged or damaged slot {number}")]
    ForgedSlot {
        /// Number of the slot, counted from 1.
        number: usize,
        /// Name of the slot.
        name: String,
    },
    /// All slots are in use.
    #[error("no free slot")]
    NoFreeSlot,
    /// No memory or no randomness.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// The result of reading or writing parts of a keyring file.
pub type Result<T> = std::result::Result<T, FormatError>;

impl FormatError {
    /// Turns this into an error about the file at `path`, which was opened with a secret from `source_name`
    /// (empty if no secret was involved).
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

    /// Turns this into an error about keys and slots in memory, where no file is involved.
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
    fn an_error_about_memory_names_no_file() {
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
