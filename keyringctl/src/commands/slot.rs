// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl slot`: the secrets that open a keyring.

use super::output::{Output, stderr_report};
use super::secret::{self, measured_cost};
use super::slot_row::SlotRow;
use super::verdict::Verdict;
use super::{all_copies, sync};
use crate::error::{Error, Result};
use keyring_external::keyring::{Keyring, inspect, load_beside_others};
use keyring_external::secret::UnlockSecret;
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::store::replica::FileReplica;
use keyring_external::unlock::UnlockSource;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Show, add, change and remove the secrets that open a keyring
///
/// A server may go on using the keyring meanwhile. Name all copies with --mirror, so that they stay alike: a change
/// that leaves out a copy that the server on this host is configured for is refused. A copy that is away follows
/// when it comes back.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// A keyring to change, and how it is opened.
#[derive(clap::Args)]
pub(super) struct Target {
    /// The keyring file
    pub path: PathBuf,
    /// A further copy (repeatable)
    #[arg(long = "mirror", value_name = "PATH")]
    pub mirrors: Vec<PathBuf>,
    #[command(flatten)]
    pub secret: secret::Args,
    #[command(flatten)]
    pub all: all_copies::Args,
}

#[derive(clap::Args)]
struct New {
    /// Where the new secret comes from, as in --unlock. Without it, a terminal is asked for a passphrase
    #[arg(long = "new", value_name = "SOURCE")]
    source: Option<UnlockSource>,
}

impl New {
    fn source(&self) -> secret::Source {
        secret::Source { unlock: self.source.clone() }
    }
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show the slots; no secret is needed
    List {
        /// The keyring file
        path: PathBuf,
    },
    /// Add a slot: a passphrase, a secret file, or a new recovery key
    #[command(
        after_help = "Example: keyringctl slot add /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring.secret --recovery"
    )]
    Add {
        /// The keyring file
        path: PathBuf,
        /// A further copy (repeatable)
        #[arg(long = "mirror", value_name = "PATH")]
        mirrors: Vec<PathBuf>,
        /// Where the unlock secret comes from, as of the other commands
        #[arg(long, value_name = "SOURCE")]
        unlock: Option<UnlockSource>,
        /// Open with the recovery key, as --recovery does for the other commands
        #[arg(long, conflicts_with = "unlock")]
        with_recovery: bool,
        #[command(flatten)]
        new: New,
        /// Make a recovery key and print it, once
        #[arg(long, conflicts_with = "source")]
        recovery: bool,
        /// A name for people; readable without the secret
        #[arg(long, value_name = "TEXT", default_value = "added")]
        name: String,
        #[command(flatten)]
        all: all_copies::Args,
    },
    /// Have the slot that opens with --unlock open with --new instead
    #[command(
        after_help = "Example: keyringctl slot change /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/old.secret --new file:/etc/mysql/new.secret"
    )]
    Change {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        new: New,
    },
    /// Remove a slot by its number; never the last one
    #[command(
        after_help = "Example: keyringctl slot remove /mnt/keyring/keys/main.keyring 3 --unlock file:/etc/mysql/keyring.secret"
    )]
    Remove {
        #[command(flatten)]
        target: Target,
        /// Its number, as slot list shows it
        number: usize,
    },
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    match &args.command {
        Command::List { path } => show(out, inspect(&fs, path)?.header.slots.iter().map(SlotRow::from), None),
        Command::Add { path, mirrors, unlock, with_recovery, new, recovery, name, all } => {
            let secret = secret::Args { unlock: unlock.clone(), recovery: *with_recovery };
            let target = Target { path: path.clone(), mirrors: mirrors.clone(), secret, all: all.clone() };
            let keyring = target.open(&fs, "slot add", "")?;
            let mut key = None;
            if *recovery {
                let text = key.insert(String::new());
                // Writing to a String does not fail.
                let _ = keyring.add_recovery_slot()?.write_to(text);
                out.line("The new recovery key. It is shown this once:");
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
            let (keyring, old) = target.open_and_keep(&fs, "slot change", "")?;
            let secret = new.source().read_new()?;
            let number = keyring.change_slot(&old, &secret, &new.source().name(), measured_cost(&secret)?)?;
            out.line(format_args!(
                "slot {number} opens with the new secret now, and with the old one no more"
            ));
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

/// Prints what there is so far, the key of the last slot in it. When nobody gets it, the slot goes again.
fn deliver(keyring: &Keyring, target: &Target, out: &mut Output) -> Result<()> {
    let number = keyring.slots().len();
    out.deliver().map_err(|e| {
        let then = match keyring.remove_slot(number) {
            Ok(()) => "so its slot was removed again".to_owned(),
            Err(why) => format!(
                "and its slot could not be removed again ({why}): remove it with keyringctl slot remove {} {number}{}",
                target.path.display(),
                target.secret.option()
            ),
        };
        Error::Usage(format!(
            "the new recovery key could not be shown ({e}), {then}. Run this again with standard output to a terminal, \
             or to a file that only you read"
        ))
    })
}

impl Target {
    /// Opens it for `command` with the secret, read anew, and answers both.
    pub(super) fn open_and_keep(
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

    /// All copies; a change that would leave out one of the server's is refused.
    fn paths(&self, command: &str, last: &str) -> Result<Vec<PathBuf>> {
        let paths = sync::paths(&self.path, &self.mirrors)?;
        self.all.check(command, &paths, last)?;
        Ok(paths)
    }

    /// Opens the copies and brings them up to date: a change of slots must reach each that is there. One that is
    /// away is in an earlier state when it comes back, and follows then.
    fn open_with(
        &self,
        fs: &Arc<dyn Fs>,
        paths: &[PathBuf],
        read: impl FnOnce() -> keyring_external::error::Result<UnlockSecret>,
    ) -> Result<Keyring> {
        let there = paths.iter().filter(|path| FileReplica::new(Arc::clone(fs), path).is_there()).count();
        let keyring = load_beside_others(fs, paths, there.max(1), &self.secret.name(), read, stderr_report)?;
        keyring.settle()?;
        Ok(keyring)
    }
}

/// Shows slots, and once a new recovery key.
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
