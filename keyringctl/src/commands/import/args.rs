// SPDX-License-Identifier: GPL-2.0-or-later
//! The arguments of `keyringctl import`.

use crate::commands::foreign::{self, Foreign, backup_of};
use crate::commands::output::counted;
use crate::commands::slot::Target;
use crate::error::{Error, ForeignFile, Result};
use crate::legacy::Format;
use keyring_external::secret::UnlockSecret;
use keyring_external::store::fs::Fs;
use keyring_external::unlock::UnlockSource;
use std::path::PathBuf;

/// Import the keys of another keyring's file
///
/// The server that used SRC must be stopped. PATH is a keyring that init made, with or without keys. All keys are
/// imported or none; SRC is only read.
#[derive(clap::Args)]
#[command(after_help = "Example, first to see what would be done, then to do it:\n  \
    keyringctl import --from component_keyring_file /var/lib/mysql-keyring/component_keyring_file \\\n      \
    /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring.secret --dry-run\n\n\
    \"Coming from another keyring\" in docs/OPERATIONS.md has all steps.")]
pub(in crate::commands) struct Args {
    /// What SRC is a file of
    #[arg(long, value_name = "FORMAT")]
    pub from: Format,
    /// The file of the other keyring
    pub src: PathBuf,
    #[command(flatten)]
    pub target: Target,
    /// Where the password of an encrypted SRC comes from, as in --unlock
    #[arg(long, value_name = "SOURCE")]
    pub source_unlock: Option<UnlockSource>,
    /// Import although SRC.backup holds what SRC does not
    #[arg(long)]
    pub ignore_backup: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl Args {
    /// The password of an encrypted source.
    pub fn password(&self) -> Result<Option<UnlockSecret>> {
        match (&self.source_unlock, self.from) {
            (Some(source), Format::PerconaEncryptedFile) => Ok(Some(source.read()?)),
            (None, Format::PerconaEncryptedFile) => Err(Error::Usage(
                "percona_encrypted_file is encrypted: name the source of its password with --source-unlock \
                 (file:PATH of the password file)"
                    .to_owned(),
            )),
            (Some(_), format) => {
                Err(Error::Usage(format!("{format} is not encrypted: leave out --source-unlock")))
            }
            (None, _) => Ok(None),
        }
    }

    /// Reads the source.
    pub fn read_source(&self, fs: &dyn Fs, password: &[u8]) -> Result<Foreign> {
        foreign::read(fs, self.from, &self.src, password).map_err(|e| match e {
            // What the other keyring would do by itself is for the administrator to choose.
            Error::ForeignFile(ForeignFile { path, format, why }) => {
                let backup = backup_of(&path);
                let hint = match foreign::read(fs, self.from, &backup, password) {
                    Ok(b) => format!(
                        ". {} beside it is whole and holds {}: it can be imported in its place",
                        backup.display(),
                        counted(b.keys.len(), "key")
                    ),
                    Err(_) => String::new(),
                };
                Error::ForeignFile(ForeignFile { path, format, why: why + &hint })
            }
            e => e,
        })
    }
}
