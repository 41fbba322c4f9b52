// SPDX-License-Identifier: GPL-2.0-or-later
//! The settings of a keyring in the server, whichever way they were given.

pub mod file;

use crate::unlock::UnlockSource;
use std::path::PathBuf;

/// Longest `wait` in seconds.
pub const MAX_WAIT: u32 = 3600;

/// Most copies, the first included.
pub const MAX_COPIES: u32 = 8;

/// The settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Path of the keyring file.
    pub path: PathBuf,
    /// Paths of further copies on other volumes.
    pub mirrors: Vec<PathBuf>,
    /// How many copies a change must reach.
    pub min_copies: u32,
    /// Where the unlock secret comes from.
    pub unlock: UnlockSource,
    /// Refuse store, generate and remove.
    pub read_only: bool,
    /// Allow the keyring on the data directory's own filesystem.
    pub allow_same_device: bool,
    /// Make a new keyring where there is none.
    pub auto_create: bool,
    /// Seconds to wait for a volume that mounts late.
    pub wait: u32,
    /// The server's data directory; without one the device is not compared.
    pub datadir: Option<PathBuf>,
}
