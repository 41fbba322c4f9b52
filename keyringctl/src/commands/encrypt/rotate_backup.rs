// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt rotate --backup`: backs up the keyring as it is before the rotation, which removes the old master key of
//! the binary logs.

use crate::commands::backup::{self, Backup, MadeBackup};
use crate::commands::copies::Copies;
use crate::commands::copies::of_server::{self, Server};
use crate::commands::{secret, site};
use crate::error::{Error, Result};
use crate::server::{ServerKeyring, Session};
use crate::show::Shown;
use keyring_external::unlock::UnlockSource;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[group(id = "rotate-backup")]
pub(super) struct Args {
    /// First back up the keyring to this new file, and verify the backup. If it is a directory, the new file in it has
    /// the date and time in its name. Needs root on the host of the server
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
    /// Source of the unlock secret for --backup: file:PATH, credential:NAME, env:NAME or "command:PROGRAM ARGS"
    /// [default: that of the server]
    #[arg(long, value_name = "SOURCE", requires = "backup")]
    unlock: Option<UnlockSource>,
}

/// The backup to make, with the keyring that it must hold.
pub(super) struct Prepared {
    backup: Backup,
    pub destination: PathBuf,
    id: String,
    generation: u64,
}

impl Args {
    /// Checks that the backup can be made. Changes nothing.
    pub(super) fn prepare(&self, keyring: &ServerKeyring, session: &mut Session) -> Result<Option<Prepared>> {
        let Some(path) = &self.backup else { return Ok(None) };
        let destination = backup::file_at(path, "before-rotation");
        let unlock = match &self.unlock {
            Some(unlock) => Some(unlock.clone()),
            None => of_this_server(keyring, session)?,
        };
        let secret = secret::Args { unlock, ..secret::Args::default() };
        let copies = Copies::named(&keyring.paths, &secret);
        Ok(Some(Prepared {
            backup: Backup::new(copies, &destination)?,
            destination,
            id: keyring.id.clone(),
            generation: keyring.generation,
        }))
    }
}

impl Prepared {
    /// Makes the backup. The keyring must be that of the server, as new as the server reported it.
    pub(super) fn make(self) -> Result<MadeBackup> {
        let made = self.backup.make().map_err(not_rotated)?;
        if made.status.id.to_string() == self.id && made.status.generation >= self.generation {
            return Ok(made);
        }
        Err(not_rotated(format!(
            "{} holds keyring {}, generation {}, but the server uses keyring {}, generation {}. Run this on the host of \
             the server, and see keyringctl status",
            self.destination.shown(),
            made.status.id,
            made.status.generation,
            self.id,
            self.generation
        )))
    }
}

fn not_rotated(why: impl std::fmt::Display) -> Error {
    Error::Usage(format!("no master key was rotated, because the backup of the keyring failed: {why}"))
}

/// Where this process reads the secret of the server that it is connected to: from the server's own configuration, if that
/// is on this host.
fn of_this_server(keyring: &ServerKeyring, session: &mut Session) -> Result<Option<UnlockSource>> {
    let parts = site::Parts { root: PathBuf::from("/"), ..site::Parts::default() };
    let this_host = site::Args { parts, datadir: None };
    let uses = |copy: &PathBuf| keyring.paths.iter().any(|path| is_same(path, copy));
    if let Ok(Server::Ours(server)) = of_server::find(&this_host)
        && server.copies.iter().any(uses)
    {
        return Ok(Some(server.unlock));
    }
    // The plugin shows it; the component has it in a file.
    let shown = session.variable("keyring_external_unlock")?;
    Ok(shown.and_then(|source| source.parse().ok()))
}

fn is_same(path: &Path, other: &Path) -> bool {
    path == other
        || path.canonicalize().is_ok_and(|path| other.canonicalize().is_ok_and(|other| other == path))
}
