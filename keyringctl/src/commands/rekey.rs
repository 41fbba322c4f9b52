// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl rekey`: renews the data key.

use super::consent::{Consent, Decision, Effect, Plan};
use super::output::{Output, counted};
use super::secret::{self, Typed};
use super::slot_row::{self, SlotRow};
use super::target::{OpenedTarget, TargetKeyring};
use super::verdict::Verdict;
use crate::error::Result;
use keyring_external::keyring::{Renewed, Verifier};
use keyring_external::unlock::UnlockSource;
use serde::Serialize;
use serde_json::json;

/// Renew the data key and re-encrypt the keyring; existing passphrases and keys keep working
///
/// Do this if somebody may know the data key, or if you removed the slot of a person who may still have an old copy of
/// the file: that copy and their secret no longer give access to the renewed keyring. The server can keep running.
/// Without KEYRING, it works on all copies that the server on this host is configured with, and reads the secret where
/// the server does. Copies that cannot be reached now are brought up to date when they come back.
///
/// A slot whose secret is given is renewed with that secret. Every other slot is renewed with its public key, which only
/// the old data key authenticates: anyone who knew that key and could write to the file may have replaced a public key
/// or added a slot, and would get the new data key. The output says which slots were renewed this way. To rule this
/// out, give the other secrets too: a slot that was altered is then refused, and with --require-all also a slot that
/// none of the secrets fits. First remove slots that you do not recognize.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  keyringctl rekey /mnt/keyring/keys/main.keyring --mirror /mnt/b/keys/main.keyring --unlock file:/etc/mysql/keyring_external.secret\n  keyringctl rekey /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring_external.secret --verify-recovery --require-all\n\nExit codes: 0 the data key was renewed, or this was a dry run; 1 the keyring or a secret was refused (a damaged or altered file, a secret that fits no slot, with --require-all a slot that was not verified); 2 it could not be done (arguments, files, no answer to the question). In both, nothing was changed."
)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetKeyring,
    /// Also renew the slot of this secret with the secret; SOURCE as for --unlock (repeatable)
    #[arg(long, value_name = "SOURCE")]
    verify_slot: Vec<UnlockSource>,
    /// Also renew the slot of the recovery key with that key: prompt for it, or read it from standard input if that is
    /// not a terminal
    #[arg(long, conflicts_with = "recovery")]
    verify_recovery: bool,
    /// Also renew the slot of custodians with their shares: prompt for them, or read them from standard input, one a line,
    /// if that is not a terminal
    #[arg(long, conflicts_with = "custodians")]
    verify_custodians: bool,
    /// Also renew the slot of a passphrase with that passphrase: prompt for it (repeatable)
    #[arg(long, action = clap::ArgAction::Count)]
    verify_passphrase: u8,
    /// Refuse to renew any slot with its public key alone
    #[arg(long)]
    require_all: bool,
    /// Renew the data key even if the audit log that the keyring notes cannot be written: its earlier lines can then be
    /// checked only by the lines after them
    #[arg(long)]
    without_audit_log: bool,
    #[command(flatten)]
    consent: Consent,
}

/// A slot, and how it was renewed.
#[derive(Serialize)]
struct RenewedSlot {
    #[serde(flatten)]
    slot: SlotRow,
    renewed: Renewed,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let opened = args.target.open()?;
    let secrets = args.secrets(&opened)?;
    let keyring = &opened.keyring;
    let plan = args.plan(&opened, &keyring.plan_rekey(&secrets, args.require_all)?);
    if args.consent.ask(&plan, out)? == Decision::DryRun {
        return Ok(Verdict::Fine);
    }
    opened.bring_up_to_date()?;
    if args.without_audit_log {
        keyring.allow_rekey_without_audit_log();
    }
    let renewed = keyring.rekey(&secrets, args.require_all)?;
    let status = keyring.status();
    out.line(format_args!(
        "keyring {}: {} re-encrypted with a new data key, generation {}",
        status.id,
        counted(status.keys, "key"),
        status.generation
    ));
    let rows: Vec<_> = keyring
        .slots()
        .iter()
        .zip(renewed)
        .map(|(slot, renewed)| RenewedSlot { slot: SlotRow::from(slot), renewed })
        .collect();
    for row in &rows {
        out.field(&format!("slot {}", row.slot.number), row.text());
    }
    let unverified = rows.iter().filter(|row| row.renewed == Renewed::ByPublicKey).count();
    if unverified > 0 {
        out.line(format_args!(
            "WARNING: {unverified} of {} not verified. Anyone who knew the old data key and could write to the file may \
             have added a slot or replaced a public key, and now has the new data key.",
            counted(rows.len(), "slot")
        ));
        out.line(
            "Check that you recognize every slot. To verify them, run rekey again with their secrets: --verify-slot SOURCE, \
             --verify-recovery, --verify-custodians, --verify-passphrase. With --require-all, rekey refuses slots that are not verified",
        );
    }
    out.document(&json!({ "slots": rows, "unverified": unverified }));
    Ok(Verdict::Fine)
}

impl Args {
    /// What the renewal does.
    fn plan(&self, opened: &OpenedTarget, renewals: &[(usize, Renewed)]) -> Plan {
        let status = opened.keyring.status();
        let mut plan = Plan::new("Renew the data key?");
        plan.effect(Effect::new(
            "data key",
            format!("encrypts {}", counted(status.keys, "key")),
            "a new random key; everything is encrypted again",
        ));
        for row in slot_row::rows(&opened.keyring.slots()) {
            let by = renewals.iter().find(|(number, _)| *number == row.number);
            let afterwards = match by {
                Some((_, Renewed::BySecret)) => "same secret, renewed with it",
                _ => "same secret, renewed with its public key, NOT VERIFIED",
            };
            plan.effect(Effect::new(format!("slot {}", row.number), row.identity(), afterwards));
        }
        opened.plan_copies(&mut plan, "with the new data key");
        plan.note(
            "Backups of the keyring keep the old data key and can still be unlocked. Make a new backup afterwards.",
        );
        plan
    }

    /// All secrets that verify slots.
    fn secrets(&self, opened: &OpenedTarget) -> Result<Vec<Verifier>> {
        let (path, keyring) = (opened.copies.first(), &opened.keyring);
        let secret = opened.copies.secret.read_again(&opened.secret)?;
        let mut others = vec![Verifier { source_name: opened.copies.secret.name(), secret }];
        for source in &self.verify_slot {
            others.push(Verifier { source_name: source.to_string(), secret: source.read()? });
        }
        if self.verify_recovery {
            others.push(secret::read_typed(Typed::RecoveryKey, keyring, path)?);
        }
        if self.verify_custodians {
            others.push(secret::read_typed(Typed::Shares, keyring, path)?);
        }
        for _ in 0..self.verify_passphrase {
            others.push(secret::read_typed(Typed::Passphrase, keyring, path)?);
        }
        Ok(others)
    }
}

impl RenewedSlot {
    fn text(&self) -> String {
        let how = match self.renewed {
            Renewed::BySecret => "renewed with its secret",
            Renewed::ByPublicKey => "renewed with its public key, NOT VERIFIED",
        };
        format!("{}: {how}", self.slot.description())
    }
}
