// SPDX-License-Identifier: GPL-2.0-or-later
//! The settings of a keyring in the server: the plugin's options, or the component's configuration file.

mod audit;
pub mod file;
mod remote_name;

pub use audit::{AuditConfig, Forward};
pub use remote_name::{MAX_PREFIX, MAX_REMOTE, RemoteName, check_path, is_remote};

use crate::unlock::UnlockSource;
use std::path::PathBuf;

/// Longest `wait` in seconds.
pub const MAX_WAIT: u32 = 3600;

/// The remotes file, unless another one is configured.
pub const DEFAULT_REMOTES: &str = "/etc/mysql/keyring_external.remotes.json";

/// Most copies, the first included.
pub const MAX_COPIES: u32 = 8;

/// The settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Path of the keyring file, or `@NAME/PREFIX` for a copy at a remote.
    pub path: PathBuf,
    /// The other copies, on other volumes or at remotes.
    pub mirrors: Vec<PathBuf>,
    /// The file that describes the remotes. It is read only if a copy is at one.
    pub remotes: PathBuf,
    /// How many copies a change must reach.
    pub min_copies: u32,
    /// Where the unlock secret comes from.
    pub unlock: UnlockSource,
    /// Whether to refuse to store, generate and remove keys.
    pub read_only: bool,
    /// Whether the keyring may be on the filesystem of the data directory.
    pub allow_same_device: bool,
    /// Whether to create a keyring if there is none.
    pub auto_create: bool,
    /// Seconds to wait for a volume that is mounted late.
    pub wait: u32,
    /// The audit log.
    pub audit: AuditConfig,
    /// The server's data directory. If it is not known, the filesystems are not compared.
    pub datadir: Option<PathBuf>,
}
