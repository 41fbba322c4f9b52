// SPDX-License-Identifier: GPL-2.0-or-later
//! Why bytes are not what they should be.

use std::io;
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
