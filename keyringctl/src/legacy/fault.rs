// SPDX-License-Identifier: GPL-2.0-or-later
//! Why a file of another keyring was refused.

use super::format::Format;
use std::io;
use thiserror::Error;

/// Why a file was refused. Never contains bytes of the file, except for names of keys.
#[derive(Debug, Error)]
pub enum Fault {
    /// The file does not begin like a file of the format.
    #[error("it does not begin like one{}", looks_like.map_or_else(String::new, |f| format!("; it may be a file of {f} (--from {f})")))]
    NotThis {
        /// The format that it begins like.
        looks_like: Option<Format>,
    },
    /// The version is not known.
    #[error("its version is not supported (supported: {known})")]
    Version {
        /// The known versions.
        known: &'static str,
    },
    /// The file is incomplete or inconsistent.
    #[error("it is damaged at byte {offset} ({what})")]
    Damaged {
        /// Where it is damaged.
        offset: usize,
        /// Which part is damaged.
        what: &'static str,
    },
    /// The checksum is wrong.
    #[error("it is damaged: its SHA-256 checksum is wrong")]
    Checksum,
    /// The file is not the JSON that component_keyring_file writes.
    #[error(
        "it is damaged, or not the JSON that component_keyring_file writes (line {line}, column {column})"
    )]
    Json {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// A key's bytes are not hexadecimal.
    #[error("the bytes of key {name} are not hexadecimal")]
    Hex {
        /// The key's name.
        name: String,
    },
    /// A key has an extension, which no known version writes.
    #[error("key {name} has an extension, which is not supported")]
    Extension {
        /// The key's name.
        name: String,
    },
    /// Two keys have one name.
    #[error("it holds key {name} twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// The password is wrong.
    #[error("the password is wrong (see --source-unlock), or the file is damaged at its start or end")]
    Password,
    /// The password is right, but the decrypted content is damaged.
    #[error("the password is right, but the file is damaged")]
    DamagedInside,
    /// The number of iterations is not plausible.
    #[error("it requires {0} iterations of PBKDF2, which is not a plausible number: it is damaged")]
    Iterations(u32),
    /// The system has no memory.
    #[error("the system refused memory: {0}")]
    System(#[from] io::Error),
}

/// The result of reading a file of another keyring.
pub type Result<T> = std::result::Result<T, Fault>;
