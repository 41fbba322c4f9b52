// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl slot remove`.

use crate::commands::command_line::command_line;
use crate::commands::consent::{Consent, Decision, Effect, Plan};
use crate::commands::copies;
use crate::commands::dependents::{self, ServersSlots};
use crate::commands::older::Older;
use crate::commands::output::Output;
use crate::commands::secret;
use crate::commands::slot_row::{self, SlotRow};
use crate::commands::target::{OpenedTarget, TargetKeyring};
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::error::BadRequest;
use keyring_external::format::slots::{Slot, SlotKind, Slots};
use keyring_external::unlock::UnlockSource;
use serde_json::json;
use std::ffi::OsString;

/// Remove the slot with this number, unless it is the last one
///
/// The other slots keep their numbers. A slot is removed only with --force if nothing else unlocks the keyring for the
/// secret that was given, or for the server on this host, and if the server's secret cannot be read to check that.
#[derive(clap::Args)]
#[command(
    override_usage = "keyringctl slot remove [OPTIONS] [KEYRING] <NUMBER>",
    after_help = "Example: keyringctl slot remove /mnt/keyring/keys/main.keyring 3 --unlock file:/etc/mysql/keyring_external.secret"
)]
pub(super) struct Args {
    /// Keyring file [default: all copies of the server on this host], and the number of the slot, as shown by slot list
    #[arg(required = true, num_args = 1..=2, value_names = ["KEYRING", "NUMBER"])]
    target: Vec<OsString>,
    #[command(flatten)]
    others: copies::Others,
    #[command(flatten)]
    secret: secret::Args,
    /// Where to read the secret that the server uses, if its configuration does not lead to it
    #[arg(long, value_name = "SOURCE")]
    server_secret: Option<UnlockSource>,
    /// Remove the slot even if the server or the secret that was given needs it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    older: Older,
    #[command(flatten)]
    consent: Consent,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<()> {
    let (path, number) = copies::split_last(&args.target);
    let number = number.to_str().and_then(|number| number.parse().ok()).ok_or_else(|| {
        Error::Usage(format!("{} is not the number of a slot: see keyringctl slot list", number.shown()))
    })?;
    let copies = copies::Args { path, others: args.others.clone() };
    let opened = TargetKeyring { copies, secret: args.secret.clone(), older: args.older }.open()?;
    let slots = opened.keyring.slots();
    if !Slots::positions().contains(&number) {
        return Err(Error::Usage(format!(
            "there is no slot {number}: slots are numbered from 1 to 8, as keyringctl slot list shows them. Nothing was changed"
        )));
    }
    let Some(slot) = slots.get(number) else {
        let existing = slots.iter().map(|(number, _)| number).collect();
        return Err(BadRequest::NoSuchSlot { number, existing }.into());
    };
    if slots.len() == 1 {
        return Err(BadRequest::LastSlot.into());
    }
    let removed = SlotRow::from((number, slot));
    let needed = reasons(args, &opened, number)?;
    let mut plan = Plan::new(format!("Remove slot {number}, {}?", removed.identity()));
    for row in slot_row::rows(&slots) {
        let afterwards = if row.number == number { "removed" } else { "stays" };
        plan.effect(Effect::new(format!("slot {}", row.number), row.identity(), afterwards));
    }
    opened.plan_copies(&mut plan, &format!("without slot {number}"));
    for reason in &needed.reasons {
        plan.note(format!("WARNING: {reason}."));
    }
    needed.not_checked.iter().for_each(|note| plan.note(*note));
    notes(&slots, number, (&opened, &needed.unlock_afterwards), &mut plan);
    plan.detail("removed", json!(removed));
    if !needed.reasons.is_empty() {
        if !args.force {
            plan.show(&args.consent, out);
            return Err(refused(&needed));
        }
        plan = plan.typed("remove");
    }
    if args.consent.ask(&plan, out)? == Decision::DryRun {
        return Ok(());
    }
    opened.bring_up_to_date()?;
    opened.keyring.remove_slot(number, Some(slot))?;
    out.line(format_args!("Removed slot {number}: {}", removed.identity()));
    let rows = slot_row::rows(&opened.keyring.slots());
    slot_row::print(&rows, out);
    out.document(&json!({ "removed": removed, "slots": rows }));
    Ok(())
}

/// Who needs a slot.
struct Needed {
    /// Reasons not to remove it.
    reasons: Vec<String>,
    /// Advice against the reasons. Commands have lines of their own.
    advice: Vec<String>,
    /// What was not checked because there is nothing to check it with.
    not_checked: Option<&'static str>,
    /// The option that unlocks the keyring without the slot; empty if no source is known that does.
    unlock_afterwards: String,
}

fn reasons(args: &Args, opened: &OpenedTarget, number: usize) -> Result<Needed> {
    let (mut reasons, mut advice, mut not_checked) = (Vec::new(), Vec::new(), None);
    let (copies, unlock) = (opened.copies.first().shown(), opened.copies.secret.option());
    let servers =
        dependents::find(&opened.keyring, &opened.copies.servers_secret, args.server_secret.as_ref())?;
    let own_slots = opened.keyring.slots_of(&opened.secret)?;
    let own = own_slots == [number];
    match &servers {
        ServersSlots::Known { source, slots } if *slots == [number] => {
            reasons.push(format!(
                "the server on this host unlocks the keyring with {}, which fits slot {number} only. Without this slot, \
                 the server keeps running but does not start again",
                source.to_string().shown()
            ));
            advice.extend([
                "First give the server another secret. Add a slot for it:".to_owned(),
                format!("  keyringctl slot add {copies}{unlock} --new SOURCE"),
                "Set it as the server's unlock source, and restart the server:".to_owned(),
                "  keyringctl setup --unlock SOURCE".to_owned(),
            ]);
        }
        ServersSlots::NotChecked(why) => {
            reasons.push(format!("it could not be checked whether the server needs slot {number}: {why}"));
            advice.push("Name where the server's secret can be read: --server-secret SOURCE".to_owned());
        }
        ServersSlots::NoServer => {
            not_checked = Some(
                "No server on this host is configured with this keyring, so it was not checked whether a server needs \
                 this slot.",
            );
        }
        ServersSlots::Known { .. } => {}
    }
    let is_servers = matches!(&servers, ServersSlots::Known { slots, .. } if *slots == [number]);
    if own && !is_servers {
        reasons.push(format!(
            "slot {number} is the one that unlocked the keyring now, with {}, and no other slot fits this secret",
            opened.copies.secret.name()
        ));
        let or = if opened.copies.secret.is_on_paper() { "" } else { ", or with --recovery or --custodians" };
        advice.push(format!("Unlock the keyring with a secret that you keep: --unlock SOURCE{or}"));
    }
    let stays = |slots: &[usize]| slots.iter().any(|slot| *slot != number);
    let unlock_afterwards = match &servers {
        _ if stays(&own_slots) => unlock,
        ServersSlots::Known { source, slots } if stays(slots) => {
            secret::Args { unlock: Some(source.clone()), ..secret::Args::default() }.option()
        }
        _ => String::new(),
    };
    Ok(Needed { reasons, advice, not_checked, unlock_afterwards })
}

fn refused(needed: &Needed) -> Error {
    let mut lines = vec![format!("nothing was changed: {}", needed.reasons.join("; "))];
    lines.extend(needed.advice.iter().cloned());
    lines.push("To remove the slot nevertheless:".to_owned());
    lines.push(format!("  {} --force", command_line()));
    Error::Lines(lines)
}

/// What else to know before a slot is removed.
fn notes(slots: &Slots, number: usize, (opened, unlock): (&OpenedTarget, &str), plan: &mut Plan) {
    let kind = slots.get(number).map(|slot| slot.kind);
    let is_recovery = |number| slots.get(number).is_some_and(|slot: &Slot| slot.kind.is_for_recovery());
    let others = slots.iter().filter(|(other, _)| *other != number && is_recovery(*other)).count();
    let copies = opened.copies.first().shown();
    if is_recovery(number) && others == 0 {
        let (what, add) = match kind {
            Some(SlotKind::Custodians(_)) => (
                "this is the only slot for custodians, and there is no recovery key",
                format!("keyringctl slot add {copies} --new-custodians 2-of-3{unlock}"),
            ),
            _ => (
                "this is the only recovery key",
                format!("keyringctl slot add {copies} --new-recovery{unlock}"),
            ),
        };
        plan.note(format!(
            "WARNING: {what}. Without one, the keyring is lost if the unlock secret is lost. To create another one: {add}"
        ));
    }
    plan.note(format!(
        "Old copies of the file, such as backups, can still be unlocked with the removed secret. To make them useless \
         against the present keyring, renew the data key afterwards: keyringctl rekey {copies}{unlock}"
    ));
}
