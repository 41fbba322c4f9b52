// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl slot`: the secrets that open a keyring.

use super::output::{Output, stderr_report};
use super::status::SlotRow;
use super::{Verdict, secret, sync};
use crate::error::Result;
use crate::format::slots::Cost;
use crate::keyring::{Keyring, inspect, load_all};
use crate::store::fs::Fs;
use crate::store::real::RealFs;
use crate::unlock::UnlockSource;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Show, add, change and remove the secrets that open a keyring
///
/// A server may go on using the keyring meanwhile. Name all copies with --mirror, so that they stay alike.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct Target {
    /// The keyring file
    path: PathBuf,
    /// A further copy (repeatable)
    #[arg(long = "mirror", value_name = "PATH")]
    mirrors: Vec<PathBuf>,
    #[command(flatten)]
    secret: secret::Args,
}

#[derive(clap::Args)]
struct New {
    /// Where the new secret comes from, as in --unlock. Without it, a terminal is asked for a passphrase
    #[arg(long = "new", value_name = "SOURCE")]
    source: Option<UnlockSource>,
}

impl New {
    fn args(&self) -> secret::Args {
        secret::Args { unlock: self.source.clone() }
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
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        new: New,
        /// Make a recovery key and print it, once
        #[arg(long, conflicts_with = "source")]
        recovery: bool,
        /// A name for people; readable without the secret
        #[arg(long, value_name = "TEXT", default_value = "added")]
        name: String,
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
        Command::Add { target, new, recovery: true, .. } => {
            debug_assert!(new.source.is_none(), "clap refuses both");
            let keyring = target.open(&fs)?;
            let mut key = String::new();
            // Writing to a String does not fail.
            let _ = keyring.add_recovery_slot()?.write_to(&mut key);
            out.line("The new recovery key. It is shown this once:");
            out.line("");
            out.line(format_args!("    {key}"));
            out.line("");
            show(out, keyring.slots().iter().map(SlotRow::from), Some(key));
        }
        Command::Add { target, new, recovery: false, name } => {
            let keyring = target.open(&fs)?;
            let secret = new.args().read_new()?;
            keyring.add_slot(&secret, &new.args().name(), name, Cost::RECOMMENDED)?;
            show(out, keyring.slots().iter().map(SlotRow::from), None);
        }
        Command::Change { target, new } => {
            let old = target.secret.read(&target.path)?;
            let keyring = target.open_with(&fs, || target.secret.read_again(&old))?;
            let secret = new.args().read_new()?;
            let number = keyring.change_slot(&old, &secret, &new.args().name(), Cost::RECOMMENDED)?;
            out.line(format_args!(
                "slot {number} opens with the new secret now, and with the old one no more"
            ));
            show(out, keyring.slots().iter().map(SlotRow::from), None);
        }
        Command::Remove { target, number } => {
            let keyring = target.open(&fs)?;
            keyring.remove_slot(*number)?;
            show(out, keyring.slots().iter().map(SlotRow::from), None);
        }
    }
    Ok(Verdict::Fine)
}

impl Target {
    fn open(&self, fs: &Arc<dyn Fs>) -> Result<Keyring> {
        self.open_with(fs, || self.secret.read(&self.path))
    }

    /// Opens all copies and brings them up to date: a change of slots must reach each of them.
    fn open_with(
        &self,
        fs: &Arc<dyn Fs>,
        read: impl FnOnce() -> Result<crate::format::slots::UnlockSecret>,
    ) -> Result<Keyring> {
        let paths = sync::paths(&self.path, &self.mirrors)?;
        let (keyring, _) = load_all(fs, &paths, paths.len(), &self.secret.name(), read, stderr_report)?;
        keyring.settle()?;
        Ok(keyring)
    }
}

fn show(out: &mut Output, slots: impl Iterator<Item = SlotRow>, recovery_key: Option<String>) {
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
