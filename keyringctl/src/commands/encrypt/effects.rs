// SPDX-License-Identifier: GPL-2.0-or-later
//! What `encrypt apply` is about to change, for its dry run and for the question before what is hard to take back: to decrypt
//! everything, and to purge binary logs.

use super::apply_report::FailedStep;
use super::binary_logs::{self, OldLogs};
use super::direction::Direction;
use super::estimate::{self, Estimate};
use super::half_done;
use super::left_over::LeftOver;
use super::scope::Scope;
use super::settings;
use super::table_plan::TablePlan;
use super::{sizes, small_settings};
use crate::commands::consent::{Consent, Decision, Effect, Plan};
use crate::commands::output::{Output, counted};
use crate::error::Result;
use crate::server::{Inventory, Role, Schema, Session, Table, TableLocation, Tablespace, TablespaceKind};
use crate::show::Shown;
use serde_json::json;

/// The word to type before everything is decrypted.
const DECRYPT: &str = "decrypt";

/// What a run of `encrypt apply` covers.
pub(super) struct Extent<'a> {
    pub inventory: &'a Inventory,
    pub direction: Direction,
    /// The tables that are rewritten.
    pub tables: &'a [&'a Table],
    /// What that means for each.
    pub planned: &'a [TablePlan],
    pub estimate: &'a Estimate,
    /// The tables that cannot be, and why.
    pub refused: &'a [FailedStep],
    /// What the run was asked for.
    pub scope: Scope<'a>,
    /// What interrupted runs have left, which is ended first.
    pub left: &'a [LeftOver],
    /// The schemas whose defaults are changed; `None` if only tables are.
    pub all: Option<&'a [&'a Schema]>,
    /// Whether binary logs are purged.
    pub purge: bool,
}

/// Shows what a dry run would change, or asks before what is hard to take back. What only encrypts starts without a question.
pub(super) fn ask(
    consent: &Consent,
    extent: &Extent<'_>,
    session: &mut Session,
    role: &Role,
    out: &mut Output,
) -> Result<Decision> {
    let (plan, destroys) = plan(extent, session, role)?;
    if destroys || consent.dry_run { consent.ask(&plan, out) } else { Ok(Decision::Go) }
}

/// Returns the plan, and whether it destroys so much that its question must be asked.
fn plan(extent: &Extent<'_>, session: &mut Session, role: &Role) -> Result<(Plan, bool)> {
    let Extent { inventory, direction, .. } = *extent;
    let undoes_all = direction == Direction::Undo && extent.all.is_some();
    let mut plan = if undoes_all {
        Plan::new("Decrypt everything on this server?").typed(DECRYPT)
    } else if extent.purge {
        Plan::new("Do all this, and delete the binary logs for good?")
    } else {
        Plan::new("Do all this?")
    };
    let (now, then) = match direction {
        Direction::Encrypt => ("unencrypted", "encrypted"),
        Direction::Undo => ("encrypted", "unencrypted"),
    };
    half_done::effects(inventory, &extent.scope).into_iter().for_each(|effect| plan.effect(effect));
    half_done::obstacles(inventory, &extent.scope).into_iter().for_each(|why| plan.note(why));
    let mut row = |what: String| plan.effect(Effect::new(what, now, then));
    let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes::bytes(sizes.fold(0, u64::saturating_add));
    // One in a scratch tablespace is named with that.
    let own = |table: &&&Table| !matches!(table.place, TableLocation::Scratch(_));
    match &extent.tables.iter().filter(own).collect::<Vec<_>>()[..] {
        [] => {}
        [one] => row(format!("table {}, {}", one.full_name(), sizes::bytes(one.bytes))),
        many => row(format!("{} tables, {}", many.len(), sum(&mut many.iter().map(|t| t.bytes)))),
    }
    if !extent.tables.is_empty() {
        plan.note(extent.estimate.time());
        let lines = extent.estimate.room().into_iter().chain(estimate::writers(extent.planned));
        lines.for_each(|line| plan.note(line));
        small_settings::notes(extent.planned, inventory).into_iter().for_each(|line| plan.note(line));
    }
    extent.left.iter().for_each(|left| plan.note(format!("{}.", left.describe())));
    for step in extent.refused {
        plan.effect(Effect::new(format!("table {}", step.what), now, format!("{now}: fails, see below")));
        plan.note(format!("{} fails: {}", step.what, step.why));
    }
    let mut row = |what: String| plan.effect(Effect::new(what, now, then));
    if let Some(schemas) = extent.all {
        for space in inventory.tablespaces.iter().filter(|space| is_changed(space, direction)) {
            let size = sizes::bytes(space.bytes);
            match space.kind {
                TablespaceKind::Undo => row(format!("undo tablespace {}, {size}", space.name.shown())),
                _ => row(format!("tablespace {}, {size}", space.name.shown())),
            }
        }
        if !schemas.is_empty() {
            row(format!("new tables in {}", counted(schemas.len(), "schema")));
        }
        if let Some(value) = settings::change_buffering(inventory, direction) {
            plan.effect(Effect::new(settings::CHANGE_BUFFERING, value, "none"));
        }
        for name in settings::to_switch(inventory, direction) {
            let value = inventory.settings.get(name).unwrap_or_default().to_owned();
            plan.effect(Effect::new(name, value, direction.switch()));
        }
    }
    if undoes_all {
        plan.note(
            "Afterwards anyone who takes the disk or a physical backup of it can read the data without the keyring. \
             Encrypting everything again takes as long as the first time.",
        );
    }
    let mut destroys = undoes_all;
    let old = binary_logs::old(inventory, direction).filter(|_| extent.purge && extent.all.is_some());
    if let Some(old) = old {
        destroys = true;
        purge(&old, session, role, &mut plan)?;
    }
    Ok((plan, destroys))
}

fn is_changed(space: &Tablespace, direction: Direction) -> bool {
    let kind = matches!(space.kind, TablespaceKind::Mysql | TablespaceKind::General | TablespaceKind::Undo);
    kind && space.fault.is_none() && !direction.is_reached(space.encrypted)
}

/// Describes the logs that are purged, and who may still need them.
pub(super) fn purge(old: &OldLogs<'_>, session: &mut Session, role: &Role, plan: &mut Plan) -> Result<()> {
    let (first, last) = old.ends();
    let bytes = old.purged.iter().map(|log| log.bytes).fold(0, u64::saturating_add);
    let span = binary_logs::span(session, old)?;
    let names =
        if old.purged.len() == 1 { first.shown() } else { format!("{} to {}", first.shown(), last.shown()) };
    let times = match &span {
        Some((from, to)) => format!(", written from {from} to {to}"),
        None => String::new(),
    };
    let now = format!("{}, {}{times}", counted(old.purged.len(), "file"), sizes::bytes(bytes));
    plan.effect(Effect::new(format!("binary logs {names}"), now, "deleted"));
    if span.is_none() {
        plan.note("When these binary logs were written is not known: their files cannot be read from here.");
    }
    if role.replicas.is_empty() {
        plan.note("No replica is connected now.");
    } else {
        for replica in &role.replicas {
            let state = match replica.has_all {
                Some(true) => "has been sent all binary logs",
                Some(false) => {
                    "is still reading; the server keeps what it has not read, and a warning says so"
                }
                None => "may still be reading; the server keeps what it has not read, and a warning says so",
            };
            plan.note(format!("Replica {replica} {state}."));
        }
    }
    plan.note(
        "A replica that is not connected and has not read these logs cannot continue from here: it must be set up again. \
         A backup can be brought forward to a moment only with the logs since that backup: copy them first if you may \
         need that.",
    );
    let files: Vec<_> = old
        .purged
        .iter()
        .map(|log| json!({ "name": log.name, "bytes": log.bytes, "encrypted": log.encrypted }))
        .collect();
    plan.detail(
        "binary_logs",
        json!({ "purged": files, "from": span.as_ref().map(|s| &s.0), "to": span.as_ref().map(|s| &s.1), "replicas": role.replicas }),
    );
    Ok(())
}
