// SPDX-License-Identifier: GPL-2.0-or-later
//! Why bytes were not taken for a file of another keyring.

use super::format::Format;
use std::io;
use thiserror::Error;

/// Why bytes were not taken. It never tells any of them, but for names of keys.
#[derive(Debug, Error)]
pub enum Fault {
    /// They do not begin like a file of the format.
    #[error("it does not begin like one{}", looks_like.map_or_else(String::new, |f| format!("; it may be a file of {f} (--from {f})")))]
    NotThis {
        /// What they begin like.
        looks_like: Option<Format>,
    },
    /// A version that is not known.
    #[error("its version is none of those known ({known})")]
    Version {
        /// The versions that are.
        known: &'static str,
    },
    /// They break off, or contradict themselves.
    #[error("it is damaged at byte {offset} ({what})")]
    Damaged {
        /// Where.
        offset: usize,
        /// Which part.
        what: &'static str,
    },
    /// The checksum does not fit.
    #[error("it is damaged: its SHA-256 checksum does not fit")]
    Checksum,
    /// They are not the JSON that is written there.
    #[error(
        "it is not the JSON that component_keyring_file writes, or damaged, in line {line}, column {column}"
    )]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A key's bytes are not hexadecimal.
    #[error("the bytes of the key {name} are not hexadecimal")]
    Hex {
        /// The key's name.
        name: String,
    },
    /// A key has an extension, which no version known writes.
    #[error("the key {name} has an extension, which is not understood")]
    Extension {
        /// The key's name.
        name: String,
    },
    /// Two keys have one name.
    #[error("it holds the key {name} twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// The password does not open it.
    #[error("the password does not open it (--source-unlock), or it is damaged at its beginning or end")]
    Password,
    /// The password is right, and what it opens is not whole.
    #[error("the password opens it, but it is damaged")]
    DamagedInside,
    /// So many iterations were never meant.
    #[error(
        "it asks for {0} iterations of PBKDF2, which is none or more than any keyring was written with: it is damaged"
    )]
    Iterations(u32),
    /// No memory.
    #[error("the system refused memory: {0}")]
    System(#[from] io::Error),
}

/// The result of reading a file of another keyring.
pub type Result<T> = std::result::Result<T, Fault>;
