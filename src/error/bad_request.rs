// SPDX-License-Identifier: GPL-2.0-or-later
//! Requests that cannot be fulfilled, whatever the state of the files: bad names, settings, slot numbers.

use crate::key::KeyError;
use std::path::PathBuf;
use thiserror::Error;

/// A request that cannot be fulfilled.
#[derive(Debug, Error)]
pub enum BadRequest {
    /// The name, type or length of a key is invalid.
    #[error(transparent)]
    Key(KeyError),

    /// A key with this name exists already. It was not changed.
    #[error("key {name} already exists and was not changed: remove it first, or choose another id")]
    Exists {
        /// The key's name.
        name: String,
    },

    /// No key has this name.
    #[error("key {name} does not exist")]
    NoSuchKey {
        /// The key's name.
        name: String,
    },

    /// A key that is to be destroyed is not retired, or not long enough.
    #[error(
        "key {name} is not retired, or was retired again meanwhile. Nothing was changed: look at it with keyringctl list"
    )]
    NotRetired {
        /// The key's name.
        name: String,
    },

    /// The keyring is read-only.
    #[error("the keyring {} is read-only here: to change it, set keyring_external_read_only=OFF (or remove read_only from the component's configuration)", path.display())]
    ReadOnly {
        /// The keyring file.
        path: PathBuf,
    },

    /// The keyring is on the same filesystem as the data that it protects.
    #[error("{} is on the same filesystem as the data directory {}: anyone who steals that disk has both. Is the volume mounted? Mount it, choose a path on another volume, or set keyring_external_allow_same_device=ON if this is intended", path.display(), datadir.display())]
    SameDevice {
        /// The keyring file.
        path: PathBuf,
        /// The server's data directory.
        datadir: PathBuf,
    },

    /// A file that was to be created exists already.
    #[error("{} already exists and was not changed: choose another path, or move the file away", path.display())]
    AlreadyThere {
        /// The path.
        path: PathBuf,
    },

    /// A copy was to be created at a remote where pieces of a keyring lie.
    #[error("{} has pieces of a keyring ({pieces}, such as {first}), but no head. Nothing was created there, because the pieces would be deleted later. If somebody deleted the head of a copy, put it back, from the engine's history or a backup of it: without it, the pieces cannot be read. If another program is creating a copy there, wait until it has ended. If the keyring is in another copy, or the creation of a copy was interrupted, make room, or choose another name (docs/REMOTES.md, Pieces without a head)", path.display())]
    PiecesWithoutHead {
        /// The name of the copy.
        path: PathBuf,
        /// How many there are.
        pieces: usize,
        /// The name of one, below the prefix.
        first: String,
    },

    /// A setting is invalid.
    #[error("{0}")]
    Config(String),

    /// The keyring is not open.
    #[error("the keyring is not available: the server's error log says why it was not opened at start")]
    Unavailable,

    /// All slots of the header are in use.
    #[error("all 8 unlock slots are in use: remove one first")]
    NoFreeSlot,

    /// The slot does not exist.
    #[error("{}", no_such_slot(*number, existing))]
    NoSuchSlot {
        /// Its number, counted from 1; 0 if a slot was looked for by its secret.
        number: usize,
        /// The numbers of the slots that exist.
        existing: Vec<usize>,
    },

    /// The slot to remove is not the one that was shown.
    #[error(
        "unlock slot {number} was replaced by another program in the meantime. Nothing was changed: see keyringctl slot list, then run this command again"
    )]
    SlotReplaced {
        /// Its number.
        number: usize,
    },

    /// A renewal of the data key must keep the audit key for the lines that exist.
    #[error("{}", audit_log_not_reached(log.as_deref()))]
    AuditLogNotReached {
        /// The log that was tried.
        log: Option<PathBuf>,
    },

    /// The last slot cannot be removed.
    #[error(
        "this is the last unlock slot, and without it nothing unlocks the keyring: add another slot first (keyringctl slot add)"
    )]
    LastSlot,
}

fn no_such_slot(number: usize, existing: &[usize]) -> String {
    if number == 0 {
        return format!("the secret fits none of the {} unlock slots. Nothing was changed", existing.len());
    }
    let existing: Vec<_> = existing.iter().map(usize::to_string).collect();
    format!("unlock slot {number} does not exist. The keyring has these slots: {}", existing.join(", "))
}

fn audit_log_not_reached(log: Option<&std::path::Path>) -> String {
    let tried = match log {
        Some(log) => format!("{} is not that log, or cannot be written", log.display()),
        None => "no audit log was named or found".to_owned(),
    };
    format!(
        "the keyring notes lines of an audit log, and the data key is not renewed without a line there that keeps the key \
         for the earlier lines: {tried}. Nothing was changed. Name the log with --audit-log, or give up checking the \
         earlier lines one by one with --without-audit-log"
    )
}
