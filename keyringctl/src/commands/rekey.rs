// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl rekey`: a new data key.

use super::output::{Output, counted};
use super::secret::{self, Typed};
use super::slot::Target;
use super::slot_row::SlotRow;
use super::verdict::Verdict;
use crate::error::Result;
use keyring_external::keyring::{Renewed, Verifier};
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::unlock::UnlockSource;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

/// Renew the data key: every record is encrypted anew, all slots keep working
///
/// Do this when somebody may have learnt the data key, or has left who knew a removed slot's secret and may have
/// an old copy of the file: with that copy and that secret, the file as it is from now on cannot be opened.
/// A server that uses the keyring goes on. Name all copies with --mirror, also those that are away, which follow when
/// they come back: a renewal that leaves out a copy that the server on this host is configured for is refused.
///
/// A slot whose secret is given is renewed with it. Every other slot follows by its public key, for which only the
/// data key until now vouches: whoever knew that and could write to the file may have put his own public key or his
/// own slot there, and it would follow too. The output says which slots followed so. To rule it out, give the other
/// secrets as well: a slot that is not as its secret made it is refused, and with --require-all one that no secret
/// opens. Remove slots that nobody knows first.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  keyringctl rekey /mnt/keyring/keys/main.keyring --mirror /mnt/b/keys/main.keyring --unlock file:/etc/mysql/keyring.secret\n  keyringctl rekey /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring.secret --verify-recovery --require-all"
)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Renew the slot that this secret opens with it, too; SOURCE as in --unlock (repeatable)
    #[arg(long, value_name = "SOURCE")]
    verify_slot: Vec<UnlockSource>,
    /// Ask for the recovery key and renew its slot with it: a terminal is asked, else it is read from standard input
    #[arg(long, conflicts_with = "recovery")]
    verify_recovery: bool,
    /// Ask the terminal for a passphrase and renew the slot that it opens with it (repeatable)
    #[arg(long, action = clap::ArgAction::Count)]
    verify_passphrase: u8,
    /// Refuse to let any slot follow by its public key
    #[arg(long)]
    require_all: bool,
}

/// A slot, and how it came to wrap the new data key.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    slot: SlotRow,
    renewed: Renewed,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let (keyring, secret) = args.target.open_and_keep(&fs, "rekey", "")?;
    let source_name = args.target.secret.name();
    let mut secrets = vec![Verifier { source_name, secret }];
    secrets.extend(args.others()?);
    let renewed = keyring.rekey(&secrets, args.require_all)?;
    let status = keyring.status();
    out.line(format_args!(
        "keyring {}: {} sealed with a new data key, generation {}",
        status.id,
        counted(status.keys, "key"),
        status.generation
    ));
    let rows: Vec<_> = keyring
        .slots()
        .iter()
        .zip(renewed)
        .map(|(slot, renewed)| Row { slot: SlotRow::from(slot), renewed })
        .collect();
    for (i, row) in rows.iter().enumerate() {
        out.field(&format!("slot {}", i + 1), row.text());
    }
    let unverified = rows.iter().filter(|row| row.renewed == Renewed::ByPublicKey).count();
    if unverified > 0 {
        out.line(format_args!(
            "WARNING: {unverified} of {} not verified. If somebody who knew the old data key could write to the file, \
             he may have added a slot or replaced a public key, and has the new data key now.\n\
             Check that every slot is yours. To verify them, run rekey again with their secrets: --verify-slot SOURCE, \
             --verify-recovery, --verify-passphrase; --require-all refuses the others",
            counted(rows.len(), "slot")
        ));
    }
    out.document(&json!({ "slots": rows, "unverified": unverified }));
    Ok(Verdict::Fine)
}

impl Args {
    /// The secrets that verify further slots.
    fn others(&self) -> Result<Vec<Verifier>> {
        let path = &self.target.path;
        let mut others = Vec::new();
        for source in &self.verify_slot {
            others.push(Verifier { source_name: source.to_string(), secret: source.read()? });
        }
        if self.verify_recovery {
            others.push(secret::read_typed(Typed::RecoveryKey, path)?);
        }
        for _ in 0..self.verify_passphrase {
            others.push(secret::read_typed(Typed::Passphrase, path)?);
        }
        Ok(others)
    }
}

impl Row {
    fn text(&self) -> String {
        let how = match self.renewed {
            Renewed::BySecret => "renewed with its secret",
            Renewed::ByPublicKey => "followed by its public key, NOT VERIFIED",
        };
        format!("{}: {how}", self.slot.description())
    }
}
