// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl slot`: the secrets that unlock a keyring.

use super::copies::{self, Copies, Purpose};
use super::output::{Output, stderr_report};
use super::secret::{self, measured_cost};
use super::slot_row::SlotRow;
use super::verdict::Verdict;
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::format::header::ClaimedHeader;
use keyring_external::keyring::{Keyring, inspect, load_beside_others};
use keyring_external::secret::UnlockSecret;
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::store::replica::FileReplica;
use keyring_external::unlock::UnlockSource;
use serde_json::json;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// Show, add, change and remove the secrets that unlock a keyring
///
/// The server can keep running. Without KEYRING, a command works on all copies that the server on this host is
/// configured with, and reads the secret where the server does. If KEYRING is one of these copies, the others are changed
/// too. A copy that cannot be reached now is brought up to date when it comes back.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// The copies of a keyring to change, and the secret that unlocks them.
#[derive(clap::Args)]
pub(super) struct TargetKeyring {
    #[command(flatten)]
    copies: copies::Args,
    #[command(flatten)]
    secret: secret::Args,
}

/// A keyring that was opened to be changed.
pub(super) struct OpenedTarget {
    pub keyring: Keyring,
    /// The secret that unlocked it.
    pub secret: UnlockSecret,
    pub copies: Copies,
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
        #[command(flatten)]
        copies: copies::Args,
    },
    /// Add an unlock slot for a passphrase, a secret file or a new recovery key
    #[command(
        after_help = "Example: keyringctl slot add /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring.secret --recovery"
    )]
    Add {
        #[command(flatten)]
        copies: copies::Args,
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
        /// Name of the slot; readable without the secret [default: "recovery key" or "added"]
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
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
        override_usage = "keyringctl slot remove [OPTIONS] [KEYRING] <NUMBER>",
        after_help = "Example: keyringctl slot remove /mnt/keyring/keys/main.keyring 3 --unlock file:/etc/mysql/keyring.secret"
    )]
    Remove {
        /// Keyring file [default: all copies of the server on this host], and the number of the slot, as shown by slot
        /// list
        #[arg(required = true, num_args = 1..=2, value_names = ["KEYRING", "NUMBER"])]
        target: Vec<OsString>,
        #[command(flatten)]
        others: copies::Others,
        #[command(flatten)]
        secret: secret::Args,
    },
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    match &args.command {
        Command::List { copies } => {
            let copies = copies.find(&secret::Args::default(), Purpose::ReadFront)?;
            let slots = newest_front(&fs, &copies)?.slots;
            show(out, slots.iter().map(SlotRow::from), None);
        }
        Command::Add { copies, unlock, with_recovery, new, recovery, name } => {
            let secret = secret::Args { unlock: unlock.clone(), recovery: *with_recovery };
            let OpenedTarget { keyring, copies, .. } =
                TargetKeyring { copies: copies.clone(), secret }.open(&fs)?;
            let mut key = None;
            let number;
            if *recovery {
                let text = key.insert(String::new());
                let (added, new) = keyring.add_recovery_slot(name.as_deref())?;
                number = added;
                // Writing to a String does not fail.
                let _ = new.write_to(text);
                out.line("The new recovery key (shown only once):");
                out.line("");
                out.line(format_args!("    {text}"));
                out.line("");
            } else {
                let secret = new.source().read_new()?;
                let name = name.as_deref().unwrap_or("added");
                number = keyring.add_slot(&secret, &new.source().name(), name, measured_cost(&secret)?)?;
            }
            let is_new = key.is_some();
            show(out, keyring.slots().iter().map(SlotRow::from), key);
            if is_new {
                deliver(&keyring, number, &copies, out)?;
            }
        }
        Command::Change { target, new } => {
            let OpenedTarget { keyring, secret: old, .. } = target.open(&fs)?;
            let secret = new.source().read_new()?;
            let number = keyring.change_slot(&old, &secret, &new.source().name(), measured_cost(&secret)?)?;
            out.line(format_args!("Slot {number} now uses the new secret; the old one no longer works"));
            show(out, keyring.slots().iter().map(SlotRow::from), None);
        }
        Command::Remove { target, others, secret } => {
            let (path, number) = copies::split_last(target);
            let number = number.to_str().and_then(|number| number.parse().ok()).ok_or_else(|| {
                Error::Usage(format!(
                    "{} is not the number of a slot: see keyringctl slot list",
                    number.shown()
                ))
            })?;
            let copies = copies::Args { path, others: others.clone() };
            let OpenedTarget { keyring, .. } = TargetKeyring { copies, secret: secret.clone() }.open(&fs)?;
            keyring.remove_slot(number, None)?;
            show(out, keyring.slots().iter().map(SlotRow::from), None);
        }
    }
    Ok(Verdict::Fine)
}

/// What the newest of the copies says of itself.
fn newest_front(fs: &Arc<dyn Fs>, copies: &Copies) -> Result<ClaimedHeader> {
    let mut newest = None;
    let mut wrong = None;
    for path in &copies.paths {
        match inspect(fs, path) {
            Ok(claims) => {
                let generation = claims.commit.map_or(0, |commit| commit.generation);
                if newest.as_ref().is_none_or(|(best, _)| *best < generation) {
                    newest = Some((generation, claims.header));
                }
            }
            Err(e) => {
                wrong.get_or_insert(e);
            }
        }
    }
    match (newest, wrong) {
        (Some((_, header)), _) => Ok(header),
        (None, Some(e)) => Err(e.into()),
        (None, None) => Err(Error::Usage("no keyring file was named".to_owned())),
    }
}

/// Prints the output so far, which includes the recovery key of slot `number`. If that fails, removes the slot again.
fn deliver(keyring: &Keyring, number: usize, copies: &Copies, out: &mut Output) -> Result<()> {
    out.deliver().map_err(|e| {
        let then = match keyring.remove_slot(number, None) {
            Ok(_) => "Its slot was removed again".to_owned(),
            Err(why) => format!(
                "Its slot could not be removed again ({why}): run keyringctl slot remove {} {number}{}",
                copies.first().shown(),
                copies.secret.option()
            ),
        };
        Error::Usage(format!(
            "the new recovery key could not be shown ({e}). {then}. Run this command again with standard output to a \
             terminal, or to a file that only you can read"
        ))
    })
}

impl TargetKeyring {
    /// Finds the copies.
    pub(super) fn find(&self, purpose: Purpose) -> Result<Copies> {
        self.copies.find(&self.secret, purpose)
    }

    /// Opens the copies and brings them up to date, because a change of slots must reach all that exist. A copy that
    /// cannot be reached is behind when it comes back, and is brought up to date then.
    pub(super) fn open(&self, fs: &Arc<dyn Fs>) -> Result<OpenedTarget> {
        let copies = self.find(Purpose::Change)?;
        let secret = copies.secret.read(copies.first())?;
        let is_there = |path: &&PathBuf| FileReplica::new(Arc::clone(fs), path).is_there();
        let existing = copies.paths.iter().filter(is_there).count();
        let read = || copies.secret.read_again(&secret);
        let name = copies.secret.name();
        let keyring = load_beside_others(fs, &copies.paths, existing.max(1), &name, read, stderr_report)?;
        keyring.bring_up_to_date()?;
        Ok(OpenedTarget { keyring, secret, copies })
    }
}

/// Shows the slots, and a new recovery key if there is one.
pub(super) fn show(out: &mut Output, slots: impl Iterator<Item = SlotRow>, recovery_key: Option<String>) {
    let slots: Vec<_> = slots.collect();
    for slot in &slots {
        out.field(&format!("slot {}", slot.number), slot.text());
    }
    let mut document = json!({ "slots": slots });
    if let (Some(key), Some(fields)) = (recovery_key, document.as_object_mut()) {
        fields.insert("recovery_key".to_owned(), key.into());
    }
    out.document(&document);
}
