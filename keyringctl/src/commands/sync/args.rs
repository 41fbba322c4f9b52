// SPDX-License-Identifier: GPL-2.0-or-later
//! The arguments of `keyringctl sync`.

use crate::commands::secret;
use keyring_external::unlock::UnlockSource;
use std::path::PathBuf;

/// Bring copies of a keyring up to date, and make those that are not there yet
///
/// The newest whole copy counts, whichever path it is at. A server may go on using the keyring.
///
/// Copies that have diverged, each of which was changed without the other, are left alone unless --merge is given.
/// Then the keys of both are written to all copies. Where one name stands for two keys, --take says which one is
/// kept; until that is said of each, nothing is written. Both files are kept as they were, beside the copies.
#[derive(clap::Args)]
#[command(after_help = "Example, after a dead stick was replaced:\n  \
    keyringctl sync /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --unlock file:/etc/mysql/keyring.secret\n\n\
    Example, for copies that have diverged:\n  \
    keyringctl sync /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --merge --dry-run --unlock file:/etc/mysql/keyring.secret")]
pub(in crate::commands) struct Args {
    /// The keyring file
    pub path: PathBuf,
    /// Another copy, on another volume (repeatable)
    #[arg(long = "mirror", value_name = "PATH", required = true)]
    pub mirrors: Vec<PathBuf>,
    /// Bring the keys of copies together that have diverged. The unlock slots and the data key of the first path stay
    #[arg(long)]
    pub merge: bool,
    /// Of two keys of one name, keep the one that the copy at PATH holds (repeatable). A key of a user is named by
    /// ID,user=USER
    #[arg(long, value_name = "ID=PATH", requires = "merge")]
    pub take: Vec<String>,
    /// With --merge: show which keys come from where, and write nothing
    #[arg(long, requires = "merge")]
    pub dry_run: bool,
    /// Where the secret of the other copies comes from, when the first one's does not open them
    #[arg(long, value_name = "SOURCE", requires = "merge")]
    pub other_unlock: Option<UnlockSource>,
    #[command(flatten)]
    pub secret: secret::Args,
}
