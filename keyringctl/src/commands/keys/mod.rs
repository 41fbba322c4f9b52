// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl keys`: which keys are still needed, and by what; retiring those that are not, and destroying them.

pub(super) mod dates;
mod destroy;
mod indexes;
mod judge;
mod kept;
mod kind;
mod needed;
mod opened;
mod retire;
mod running;
mod sources;
mod trail;

use super::copies;
use super::older::Older;
use super::output::Output;
use super::secret;
use super::target::TargetKeyring;
use super::verdict::Verdict;
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Show which keys are still needed and by what, and retire and destroy the others
///
/// A key is needed if a file names it: of a data directory, of a backup, or a binary or relay log. A retired key still
/// works, and the server counts its uses. After a waiting time, it can be destroyed. Whether keys are needed is only known
/// for the places that are named here: name every data directory, backup and directory with binary or relay logs that
/// exists.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Needed(needed::Args),
    Retire(retire::RetireArgs),
    Unretire(retire::UnretireArgs),
    Destroy(destroy::Args),
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    match &args.command {
        Command::Needed(args) => needed::run(args, out),
        Command::Retire(args) => retire::retire(args, out),
        Command::Unretire(args) => retire::unretire(args, out),
        Command::Destroy(args) => destroy::run(args, out),
    }
}

/// The copies of the keyring, and its secret. `--datadir` has another meaning here than for other commands.
#[derive(clap::Args, Clone, Default)]
struct KeyringArgs {
    /// Additional copy on another volume (repeatable). Those of the server on this host need not be named
    #[arg(long = "mirror", value_name = "PATH")]
    mirrors: Vec<PathBuf>,
    #[command(flatten)]
    server: copies::ServerArgs,
    #[command(flatten)]
    secret: secret::Args,
}

impl KeyringArgs {
    /// The copies. The first of the data directories is where a configuration may be.
    fn copies(&self, path: Option<PathBuf>, datadirs: &[PathBuf]) -> copies::Args {
        let others = copies::Others {
            mirrors: self.mirrors.clone(),
            server: self.server.clone(),
            datadir: datadirs.first().cloned().filter(|_| path.is_none()),
        };
        copies::Args { path, others }
    }

    /// The keyring, to be changed.
    fn target(&self, path: Option<PathBuf>, datadirs: &[PathBuf], older: Older) -> TargetKeyring {
        TargetKeyring { copies: self.copies(path, datadirs), secret: self.secret.clone(), older }
    }
}

/// Splits the arguments `[KEYRING] ID...`: the first one is the keyring if it has a slash, which no id of a master key has.
///
/// # Errors
/// There is no id, or one that is not UTF-8.
fn keyring_and_ids(words: &[OsString]) -> Result<(Option<PathBuf>, Vec<String>)> {
    let (path, ids) = match words {
        [first, rest @ ..] if first.as_bytes().contains(&b'/') => (Some(PathBuf::from(first)), rest),
        all => (None, all),
    };
    if ids.is_empty() {
        return Err(Error::Usage("name the id of at least one key. keyringctl list shows them".to_owned()));
    }
    let mut names: Vec<String> = Vec::new();
    for id in ids {
        match id.to_str() {
            Some(id) if names.iter().any(|name| name == id) => {}
            Some(id) => names.push(id.to_owned()),
            None => {
                return Err(Error::Usage("an id that is not UTF-8 is not that of a master key".to_owned()));
            }
        }
    }
    Ok((path, names))
}
