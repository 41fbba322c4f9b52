// SPDX-License-Identifier: GPL-2.0-or-later
//! What was asked for and cannot be, whatever the state of the files: names, settings, key slots.

use crate::key::KeyError;
use std::path::PathBuf;
use thiserror::Error;

/// What was asked for and cannot be done as it was asked.
#[derive(Debug, Error)]
pub enum BadRequest {
    /// Bad name, type or length.
    #[error(transparent)]
    Key(KeyError),

    /// A key of that name is there already; it was not touched.
    #[error("a key {name} exists already and was left as it is: remove it first, or choose another id")]
    Exists {
        /// The key's name.
        name: String,
    },

    /// There is no key of that name.
    #[error("there is no key {name}")]
    NoSuchKey {
        /// The key's name.
        name: String,
    },

    /// The keyring may not be changed.
    #[error("the keyring {} is read-only here: set keyring_external_read_only=OFF (or drop the read-only option) to change it", path.display())]
    ReadOnly {
        /// The keyring file.
        path: PathBuf,
    },

    /// The keyring lies beside the data it protects.
    #[error("{} is on the same filesystem as the data directory {}: whoever takes that disk has both. Is the volume mounted? Mount it, choose a path on another volume, or set keyring_external_allow_same_device=ON if that is meant", path.display(), datadir.display())]
    SameDevice {
        /// The keyring file.
        path: PathBuf,
        /// The server's data directory.
        datadir: PathBuf,
    },

    /// A file is where a new one was to be made.
    #[error("{} exists already and was left as it is: choose another path, or move the file away", path.display())]
    AlreadyThere {
        /// The path.
        path: PathBuf,
    },

    /// A setting that cannot be.
    #[error("{0}")]
    Config(String),

    /// The keyring is not open.
    #[error(
        "the keyring is not available: see the server's error log for the reason it was not opened at start"
    )]
    Unavailable,

    /// Every slot of the header is in use.
    #[error("all 8 unlock slots are in use: remove one first")]
    NoFreeSlot,

    /// There is no such slot.
    #[error("{}", no_such_slot(*number, *count))]
    NoSuchSlot {
        /// Its number, counted from 1; 0 when it was looked for by its secret.
        number: usize,
        /// How many there are.
        count: usize,
    },

    /// The last slot cannot go.
    #[error(
        "this is the last unlock slot, without which nothing opens the keyring: add another one first (keyringctl slot add)"
    )]
    LastSlot,
}

fn no_such_slot(number: usize, count: usize) -> String {
    match number {
        0 => format!("none of the {count} unlock slots opens with that secret: nothing was changed"),
        n => format!("there is no unlock slot {n}: keyringctl slot list shows the {count} there are"),
    }
}
