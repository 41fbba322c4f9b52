// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl slot change`.

use crate::commands::consent::{Consent, Decision, Effect, Plan};
use crate::commands::dependents::{self, ServersSlots};
use crate::commands::output::Output;
use crate::commands::secret::{self, measured_cost};
use crate::commands::slot_row::{self, SlotRow};
use crate::commands::target::{OpenedTarget, TargetKeyring};
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::error::BadRequest;
use keyring_external::secret::UnlockSecret;
use keyring_external::unlock::UnlockSource;
use serde_json::json;

/// Change the secret of the slot that --unlock fits to --new
///
/// The slot keeps its number, and its name unless that is the set of custodians' shares. If the server on this host reads
/// the old secret, give it the new one before its next start.
#[derive(clap::Args)]
#[command(
    after_help = "Example: keyringctl slot change /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/old.secret --new file:/etc/mysql/new.secret"
)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetKeyring,
    /// Source of the new secret, as for --unlock [default: prompt for a passphrase]
    #[arg(long, value_name = "SOURCE")]
    new: Option<UnlockSource>,
    #[command(flatten)]
    consent: Consent,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<()> {
    let opened = args.target.open()?;
    let slots = opened.keyring.slots();
    let numbers = opened.keyring.slots_of(&opened.secret)?;
    let Some((number, slot)) = numbers.first().and_then(|number| Some((*number, slots.get(*number)?))) else {
        return Err(BadRequest::NoSuchSlot { number: 0, existing: Vec::new() }.into());
    };
    let source = secret::name_of(args.new.as_ref());
    // A dry run asks nothing.
    let new = if args.consent.dry_run && args.new.is_none() {
        None
    } else {
        Some(secret::read_new(args.new.as_ref(), "--new")?)
    };
    if let Some(new) = &new
        && let Some(other) = opened.keyring.slots_of(new)?.iter().find(|other| **other != number)
    {
        return Err(Error::Usage(format!(
            "the secret from {} already unlocks {}. Nothing was changed",
            source.shown(),
            slot_row::named(&slots, *other)
        )));
    }
    let row = SlotRow::from((number, slot));
    let mut plan = Plan::new(format!("Change the secret of slot {number}, {}?", row.identity()));
    plan.effect(Effect::new(
        format!("slot {number}"),
        format!("{}, unlocked by {}", row.identity(), opened.copies.secret.name()),
        format!("unlocked by {source}, no longer by the old secret"),
    ));
    opened.plan_copies(&mut plan, "with the new slot");
    let servers = server_note(args, &opened, number, new.as_ref())?;
    servers.iter().for_each(|note| plan.note(note));
    if let Some(other) = numbers.get(1) {
        plan.note(format!("The old secret also unlocks slot {other}, which stays."));
    }
    plan.detail("changed", json!(row));
    if args.consent.ask(&plan, out)? == Decision::DryRun {
        return Ok(());
    }
    let new = new.map_or_else(|| secret::read_new(args.new.as_ref(), "--new"), Ok)?;
    let cost = measured_cost(&new)?;
    opened.bring_up_to_date()?;
    let number = opened.keyring.change_slot(&opened.secret, &new, &source, cost)?;
    out.line(format_args!("Slot {number} now uses the new secret; the old one no longer works"));
    let rows = slot_row::rows(&opened.keyring.slots());
    slot_row::print(&rows, out);
    let changed = rows.iter().find(|row| row.number == number);
    out.document(&json!({ "changed": changed, "slots": rows, "server": servers }));
    Ok(())
}

/// What to do for the server on this host, if it starts with the old secret.
fn server_note(
    args: &Args,
    opened: &OpenedTarget,
    number: usize,
    new: Option<&UnlockSecret>,
) -> Result<Option<String>> {
    let source = args.new.as_ref().map_or_else(|| "SOURCE".to_owned(), |new| new.to_string().shown());
    let unlock = format!(" --unlock {source}");
    Ok(match dependents::find(&opened.keyring, &opened.copies.servers_secret, None)? {
        ServersSlots::Known { source, slots } if slots == [number] => {
            let holds_new = new.is_some_and(|new| {
                secret::read_source(&source).is_ok_and(|present| present.raw() == new.raw())
            });
            let source = source.to_string().shown();
            (!holds_new).then(|| {
                format!(
                    "WARNING: the server on this host unlocks the keyring with {source}, which fits this slot only. \
                     After the change it keeps running, but does not start again until it has the new secret. Before its \
                     next start, set its unlock source (keyringctl setup{unlock}), or make {source} hold \
                     the new secret."
                )
            })
        }
        ServersSlots::NotChecked(why) => Some(format!(
            "WARNING: it could not be checked whether the server uses this slot: {why}. If it does, give it the new \
             secret before its next start."
        )),
        ServersSlots::Known { .. } | ServersSlots::NoServer => None,
    })
}
