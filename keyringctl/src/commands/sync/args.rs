// SPDX-License-Identifier: GPL-2.0-or-later
//! The arguments of `keyringctl sync`.

use crate::commands::consent::Consent;
use crate::commands::older::Older;
use crate::commands::{copies, secret};
use keyring_external::unlock::UnlockSource;
use std::ffi::OsString;

/// Bring the copies of a keyring up to date, and create missing ones
///
/// All copies get the state of the newest intact copy, in whatever order they are named. The server can keep running.
/// Before anything is written, it shows which copy that is, which ones it writes over, and which keys and unlock slots only
/// those hold. If the server's secret would fit none of the slots that are written, it refuses, unless --force is given.
///
/// Without KEYRING, it takes the copies and the unlock source of the server on this host. A missing copy is created at a
/// path that the server is configured with; at any other path only with --create, because it may be mistyped.
///
/// Copies have diverged if they were changed independently of each other. They are not changed unless --merge is given,
/// which writes the keys of both to all copies. If they hold different keys under one name, --take says which key to
/// keep; nothing is written until each of these keys is decided. Both files are kept as they were, next to the copies.
#[derive(clap::Args)]
#[command(after_help = "Example, after a failed USB drive was replaced:\n  \
    keyringctl sync\n\n\
    Example, for a copy that the server is not configured with yet:\n  \
    keyringctl sync /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --create --unlock file:/etc/mysql/keyring_external.secret\n\n\
    Example, for copies that have diverged:\n  \
    keyringctl sync /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --merge --dry-run --unlock file:/etc/mysql/keyring_external.secret")]
pub(in crate::commands) struct Args {
    #[command(flatten)]
    pub copies: copies::Args,
    /// Also create copies at paths that the server on this host is not configured with
    #[arg(long)]
    pub create: bool,
    /// Merge the keys of copies that have diverged. The unlock slots and the data key of the first path are kept
    #[arg(long)]
    pub merge: bool,
    /// If two copies hold different keys under one name, keep the key of the copy at PATH (repeatable). Write
    /// ID,user=USER for a key that belongs to a user
    #[arg(long, value_name = "ID=PATH", requires = "merge")]
    pub take: Vec<OsString>,
    /// Source of the secret that unlocks the other copies, if they need another secret than the first copy
    #[arg(long, value_name = "SOURCE", requires = "merge")]
    pub other_unlock: Option<UnlockSource>,
    /// Write the copies even if the server on this host cannot unlock them afterwards
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub secret: secret::Args,
    #[command(flatten)]
    pub older: Older,
    #[command(flatten)]
    pub consent: Consent,
}
