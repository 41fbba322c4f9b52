// SPDX-License-Identifier: GPL-2.0-or-later
//! The arguments of `keyringctl sync`.

use crate::commands::secret;
use keyring_external::unlock::UnlockSource;
use std::ffi::OsString;
use std::path::PathBuf;

/// Bring the copies of a keyring up to date, and create missing ones
///
/// All copies get the state of the newest intact copy, in whatever order they are named. The server can keep running.
///
/// Copies have diverged if they were changed independently of each other. They are not changed unless --merge is given,
/// which writes the keys of both to all copies. If they hold different keys under one name, --take says which key to
/// keep; nothing is written until each of these keys is decided. Both files are kept as they were, next to the copies.
#[derive(clap::Args)]
#[command(after_help = "Example, after a failed USB drive was replaced:\n  \
    keyringctl sync /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --unlock file:/etc/mysql/keyring.secret\n\n\
    Example, for copies that have diverged:\n  \
    keyringctl sync /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --merge --dry-run --unlock file:/etc/mysql/keyring.secret")]
pub(in crate::commands) struct Args {
    /// Keyring file
    pub path: PathBuf,
    /// Additional copy on another volume (repeatable)
    #[arg(long = "mirror", value_name = "PATH", required = true)]
    pub mirrors: Vec<PathBuf>,
    /// Merge the keys of copies that have diverged. The unlock slots and the data key of the first path are kept
    #[arg(long)]
    pub merge: bool,
    /// If two copies hold different keys under one name, keep the key of the copy at PATH (repeatable). Write
    /// ID,user=USER for a key that belongs to a user
    #[arg(long, value_name = "ID=PATH", requires = "merge")]
    pub take: Vec<OsString>,
    /// With --merge: show which copy each key comes from, and write nothing
    #[arg(long, requires = "merge")]
    pub dry_run: bool,
    /// Source of the secret that unlocks the other copies, if they need another secret than the first copy
    #[arg(long, value_name = "SOURCE", requires = "merge")]
    pub other_unlock: Option<UnlockSource>,
    #[command(flatten)]
    pub secret: secret::Args,
}
