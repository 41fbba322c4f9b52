// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl slot`: the secrets that unlock a keyring.

use super::output::{Output, stderr_report};
use super::secret::{self, measured_cost};
use super::slot_row::SlotRow;
use super::verdict::Verdict;
use super::{all_copies, sync};
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::keyring::{Keyring, inspect, load_beside_others};
use keyring_external::secret::UnlockSecret;
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::store::replica::FileReplica;
use keyring_external::unlock::UnlockSource;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Show, add, change and remove the secrets that unlock a keyring
///
/// The server can keep running. Name all copies with --mirror: a change that leaves out a copy in the configuration of
/// the server on this host is refused. A copy that cannot be reached now is brought up to date when it comes back.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// The copies of a keyring to change, and the secret that unlocks them.
#[derive(clap::Args)]
pub(super) struct TargetKeyring {
    /// Keyring file
    pub path: PathBuf,
    /// Additional copy (repeatable)
    #[arg(long = "mirror", value_name = "PATH")]
    pub mirrors: Vec<PathBuf>,
    #[command(flatten)]
    pub secret: secret::Args,
    #[command(flatten)]
    pub all: all_copies::Args,
}

#[derive(clap::Args)]
struct NewArgs {
    /// Source of the new secret, as for --unlock [default: prompt for a passphrase]
    #[arg(long = "new", value_name = "SOURCE")]
    source: Option<UnlockSource>,
}

impl NewArgs {
    fn source(&self) -> secret::NewSecret {
        secret::NewSecret { unlock: self.source.clone() }
    }
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show the unlock slots (needs no secret)
    List {
        /// Keyring file
        path: PathBuf,
    },
    /// Add an unlock slot for a passphrase, a secret file or a new recovery key
    #[command(
        after_help = "Example: keyringctl slot add /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring.secret --recovery"
    )]
    Add {
        /// Keyring file
        path: PathBuf,
        /// Additional copy (repeatable)
        #[arg(long = "mirror", value_name = "PATH")]
        mirrors: Vec<PathBuf>,
        /// Source of the unlock secret: file:PATH, credential:NAME, env:NAME or "command:PROGRAM ARGS"
        /// [default: prompt for a passphrase or recovery key]
        #[arg(long, value_name = "SOURCE")]
        unlock: Option<UnlockSource>,
        /// Unlock with the recovery key, as --recovery does in the other commands
        #[arg(long, conflicts_with = "unlock")]
        with_recovery: bool,
        #[command(flatten)]
        new: NewArgs,
        /// Create a recovery key and show it (shown only once)
        #[arg(long, conflicts_with = "source")]
        recovery: bool,
        /// Name of the slot; readable without the secret
        #[arg(long, value_name = "TEXT", default_value = "added")]
        name: String,
        #[command(flatten)]
        all: all_copies::Args,
    },
    /// Change the secret of the slot that --unlock fits to --new
    #[command(
        after_help = "Example: keyringctl slot change /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/old.secret --new file:/etc/mysql/new.secret"
    )]
    Change {
        #[command(flatten)]
        target: TargetKeyring,
        #[command(flatten)]
        new: NewArgs,
    },
    /// Remove the slot with this number, unless it is the last one
    #[command(
        after_help = "Example: keyringctl slot remove /mnt/keyring/keys/main.keyring 3 --unlock file:/etc/mysql/keyring.secret"
    )]
    Remove {
        #[command(flatten)]
        target: TargetKeyring,
        /// Number of the slot, as shown by slot list
        number: usize,
    },
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    match &args.command {
        Command::List { path } => show(out, inspect(&fs, path)?.header.slots.iter().map(SlotRow::from), None),
        Command::Add { path, mirrors, unlock, with_recovery, new, recovery, name, all } => {
            let secret = secret::Args { unlock: unlock.clone(), recovery: *with_recovery };
            let target =
                TargetKeyring { path: path.clone(), mirrors: mirrors.clone(), secret, all: all.clone() };
            let keyring = target.open(&fs, "slot add", "")?;
            let mut key = None;
            if *recovery {
                let text = key.insert(String::new());
                // Writing to a String does not fail.
                let _ = keyring.add_recovery_slot()?.write_to(text);
                out.line("The new recovery key (shown only once):");
                out.line("");
                out.line(format_args!("    {text}"));
                out.line("");
            } else {
                let secret = new.source().read_new()?;
                keyring.add_slot(&secret, &new.source().name(), name, measured_cost(&secret)?)?;
            }
            let is_new = key.is_some();
            show(out, keyring.slots().iter().map(SlotRow::from), key);
            if is_new {
                deliver(&keyring, &target, out)?;
            }
        }
        Command::Change { target, new } => {
            let (keyring, old) = target.open_with_secret(&fs, "slot change", "")?;
            let secret = new.source().read_new()?;
            let number = keyring.change_slot(&old, &secret, &new.source().name(), measured_cost(&secret)?)?;
            out.line(format_args!("Slot {number} now uses the new secret; the old one no longer works"));
            show(out, keyring.slots().iter().map(SlotRow::from), None);
        }
        Command::Remove { target, number } => {
            let keyring = target.open(&fs, "slot remove", &format!(" {number}"))?;
            keyring.remove_slot(*number)?;
            show(out, keyring.slots().iter().map(SlotRow::from), None);
        }
    }
    Ok(Verdict::Fine)
}

/// Prints the output so far, which includes the recovery key of the last slot. If that fails, removes the slot again.
fn deliver(keyring: &Keyring, target: &TargetKeyring, out: &mut Output) -> Result<()> {
    let number = keyring.slots().len();
    out.deliver().map_err(|e| {
        let then = match keyring.remove_slot(number) {
            Ok(()) => "Its slot was removed again".to_owned(),
            Err(why) => format!(
                "Its slot could not be removed again ({why}): run keyringctl slot remove {} {number}{}",
                target.path.shown(),
                target.secret.option()
            ),
        };
        Error::Usage(format!(
            "the new recovery key could not be shown ({e}). {then}. Run this command again with standard output to a \
             terminal, or to a file that only you can read"
        ))
    })
}

impl TargetKeyring {
    /// Opens the keyring for `command`. Returns it with the secret that unlocked it.
    pub(super) fn open_with_secret(
        &self,
        fs: &Arc<dyn Fs>,
        command: &str,
        last: &str,
    ) -> Result<(Keyring, UnlockSecret)> {
        let paths = self.paths(command, last)?;
        let secret = self.secret.read(&self.path)?;
        let keyring = self.open_with(fs, &paths, || self.secret.read_again(&secret))?;
        Ok((keyring, secret))
    }

    fn open(&self, fs: &Arc<dyn Fs>, command: &str, last: &str) -> Result<Keyring> {
        self.open_with(fs, &self.paths(command, last)?, || self.secret.read(&self.path))
    }

    /// The paths of all copies.
    ///
    /// # Errors
    /// The change would leave out a copy in the server's configuration.
    fn paths(&self, command: &str, last: &str) -> Result<Vec<PathBuf>> {
        let paths = sync::paths(&self.path, &self.mirrors)?;
        self.all.check(command, &paths, last)?;
        Ok(paths)
    }

    /// Opens the copies and brings them up to date, because a change of slots must reach all that exist. A copy that
    /// cannot be reached is behind when it comes back, and is brought up to date then.
    fn open_with(
        &self,
        fs: &Arc<dyn Fs>,
        paths: &[PathBuf],
        read: impl FnOnce() -> keyring_external::error::Result<UnlockSecret>,
    ) -> Result<Keyring> {
        let existing = paths.iter().filter(|path| FileReplica::new(Arc::clone(fs), path).is_there()).count();
        let keyring =
            load_beside_others(fs, paths, existing.max(1), &self.secret.name(), read, stderr_report)?;
        keyring.bring_up_to_date()?;
        Ok(keyring)
    }
}

/// Shows the slots, and a new recovery key if there is one.
pub(super) fn show(out: &mut Output, slots: impl Iterator<Item = SlotRow>, recovery_key: Option<String>) {
    let slots: Vec<_> = slots.collect();
    for (i, slot) in slots.iter().enumerate() {
        out.field(&format!("slot {}", i + 1), slot.text());
    }
    let mut document = json!({ "slots": slots });
    if let (Some(key), Some(fields)) = (recovery_key, document.as_object_mut()) {
        fields.insert("recovery_key".to_owned(), key.into());
    }
    out.document(&document);
}
