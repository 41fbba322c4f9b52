// SPDX-License-Identifier: GPL-2.0-or-later
//! The arguments of `keyringctl import`.

use crate::commands::foreign::{self, LegacyFile, backup_of};
use crate::commands::output::counted;
use crate::commands::target::TargetKeyring;
use crate::error::{Error, ForeignFile, Result};
use crate::legacy::Format;
use crate::show::Shown;
use keyring_external::secret::UnlockSecret;
use keyring_external::store::file::fs::Fs;
use keyring_external::unlock::UnlockSource;
use std::path::PathBuf;

/// Import the keys from the file of another keyring
///
/// The server that used SRC must be stopped. PATH is a keyring created by keyringctl, with or without keys. Either all
/// keys are imported or none; SRC is not changed.
#[derive(clap::Args)]
#[command(after_help = "Example, first to see what would be done, then to do it:\n  \
    keyringctl import --from component_keyring_file /var/lib/mysql-keyring/component_keyring_file \\\n      \
    /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring_external.secret --dry-run\n\n\
    \"Coming from another keyring\" in docs/OPERATIONS.md has all steps.")]
pub(in crate::commands) struct Args {
    /// Format of SRC
    #[arg(long, value_name = "FORMAT")]
    pub from: Format,
    /// File of the other keyring
    pub src: PathBuf,
    #[command(flatten)]
    pub target: TargetKeyring,
    /// Source of the password of an encrypted SRC, as for --unlock
    #[arg(long, value_name = "SOURCE")]
    pub source_unlock: Option<UnlockSource>,
    /// Import even if SRC.backup holds keys that SRC does not
    #[arg(long)]
    pub ignore_backup: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl Args {
    /// The password of an encrypted source.
    pub(crate) fn password(&self) -> Result<Option<UnlockSecret>> {
        match (&self.source_unlock, self.from) {
            (Some(source), Format::PerconaEncryptedFile) => Ok(Some(source.read()?)),
            (None, Format::PerconaEncryptedFile) => Err(Error::Usage(
                "percona_encrypted_file is encrypted: name the source of its password with --source-unlock, such as \
                 file:PATH"
                    .to_owned(),
            )),
            (Some(_), format) => {
                Err(Error::Usage(format!("{format} is not encrypted: remove --source-unlock")))
            }
            (None, _) => Ok(None),
        }
    }

    /// Reads the source.
    pub(crate) fn read_source(&self, fs: &dyn Fs, password: &[u8]) -> Result<LegacyFile> {
        foreign::read(fs, self.from, &self.src, password).map_err(|e| match e {
            // The other keyring would use its backup now. Here, the administrator decides.
            Error::ForeignFile(ForeignFile { path, format, why }) => {
                let backup = backup_of(&path);
                let hint = match foreign::read(fs, self.from, &backup, password) {
                    Ok(b) => format!(
                        ". Its backup {} is intact and holds {}: import that file instead",
                        backup.shown(),
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
