// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring that the commands work on, as their arguments name it.

use super::{opened, sources};
use crate::commands::copies;
use crate::commands::older::Older;
use crate::commands::secret;
use crate::commands::target::{OpenedTarget, TargetKeyring};
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The copies of the keyring, and its secret. `--datadir` has another meaning here than for other commands.
#[derive(clap::Args, Clone, Default)]
pub(super) struct KeyringArgs {
    /// Additional copy on another volume (repeatable). Those of the server on this host need not be named
    #[arg(long = "mirror", value_name = "PATH")]
    mirrors: Vec<PathBuf>,
    #[command(flatten)]
    server: copies::ServerArgs,
    #[command(flatten)]
    pub secret: secret::Args,
}

impl KeyringArgs {
    /// The copies. Where the host has no configured server, the first of the data directories is where a configuration may
    /// be. It never takes the place of the configured server's own directory, which may need keys that a copy of it does not.
    pub(super) fn copies(&self, path: Option<PathBuf>, datadirs: &[PathBuf]) -> copies::Args {
        let others = copies::Others {
            mirrors: self.mirrors.clone(),
            server: self.server.clone(),
            datadir: None,
            else_in: datadirs.first().cloned(),
        };
        copies::Args { path, others }
    }

    /// The keyring, to be changed.
    pub(super) fn target(&self, path: Option<PathBuf>, datadirs: &[PathBuf], older: Older) -> TargetKeyring {
        TargetKeyring { copies: self.copies(path, datadirs), secret: self.secret.clone(), older }
    }
}

/// The keys that nothing may need, their keyring, and the places that may need them.
#[derive(clap::Args)]
pub(super) struct UnneededArgs {
    /// Keyring file, which must have a slash in its name [default: all copies of the server on this host], then the ids of
    /// the keys
    #[arg(value_name = "[KEYRING] ID", required = true)]
    words: Vec<OsString>,
    #[command(flatten)]
    pub places: sources::Args,
    #[command(flatten)]
    keyring: KeyringArgs,
    #[command(flatten)]
    older: Older,
}

impl UnneededArgs {
    /// Opens the keyring, and finds the keys and the data directories.
    ///
    /// # Errors
    /// No key or no data directory was named; as opening.
    pub(super) fn open(&self) -> Result<Unneeded> {
        let (path, ids) = keyring_and_ids(&self.words)?;
        let target = self.keyring.target(path, &self.places.datadir, self.older).open()?;
        let datadirs = opened::datadirs(&self.places, &target.copies)?;
        Ok(Unneeded { target, datadirs, ids })
    }
}

/// What [`UnneededArgs`] name.
pub(super) struct Unneeded {
    pub target: OpenedTarget,
    pub datadirs: Vec<PathBuf>,
    pub ids: Vec<String>,
}

/// Splits the arguments `[KEYRING] ID...`: the first one is the keyring if it has a slash, which no id of a master key has.
///
/// # Errors
/// There is no id, or one that is not UTF-8.
pub(super) fn keyring_and_ids(words: &[OsString]) -> Result<(Option<PathBuf>, Vec<String>)> {
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
