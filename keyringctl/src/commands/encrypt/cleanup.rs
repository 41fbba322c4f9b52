// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt cleanup`: puts back what an interrupted `encrypt apply` has left in scratch tablespaces, for whoever
//! does not want to run `apply` again.

use super::apply_report::{DoneStep, FailedStep};
use super::in_time::in_time;
use super::job::{Job, Step};
use super::lock_wait::LockWait;
use super::online::fulltext;
use super::replication::Replication;
use super::shared::State;
use super::throttle::Throttle;
use super::unfinished::{self, Unfinished};
use super::{required, server, sizes};
use crate::commands::command_line::command_line;
use crate::commands::consent::{Consent, Decision, Effect, Plan};
use crate::commands::output::{Output, counted};
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::server::{
    DatadirAccess, Inventory, KEPT_INDEXES, Role, ScratchName, Table, Tablespace, TablespaceKind,
    emptied_by_hand,
};
use crate::show::Shown;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Put back what an interrupted `encrypt apply` has left in scratch tablespaces
///
/// `apply` moves a table through a scratch tablespace while it is in use. If it is killed, the table may be left in there. It
/// works as before, and the next `apply` completes it. This command only puts it back: it gets a file of its own again, as
/// encrypted or unencrypted as it is now, and the scratch tablespace is dropped. It decrypts nothing.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl encrypt cleanup --dry-run\n  \
    keyringctl encrypt cleanup --yes")]
pub(super) struct Args {
    /// Seconds to wait for the locks of a table; other statements wait behind it [default: 1]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    lock_wait: Option<u32>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    server: server::Args,
}

#[derive(Serialize)]
struct CleanupReport {
    done: Vec<DoneStep>,
    failed: Vec<FailedStep>,
    interrupted: bool,
    /// Scratch tablespaces that are still there.
    left: Vec<String>,
    /// Tablespaces that are only named like scratch tablespaces.
    left_alone: Vec<String>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let mut session = args.server.connect()?;
    let here = DatadirAccess::check(&mut session)?;
    let inventory = Inventory::query(&mut session)?;
    let role = Role::query(&mut session)?;
    if let Some(id) = inventory.at_work.running {
        return Err(Error::Usage(format!(
            "connection {id} runs keyringctl encrypt on this server, and needs its scratch tablespaces. Nothing was changed. Wait until it has ended, then run this again"
        )));
    }
    let all = Unfinished::all(&inventory);
    let kept = fulltext::saved(&mut session)?;
    if !(all.is_empty() && kept.is_empty() || args.consent.dry_run) {
        required::to_clean_up(&inventory.privileges)?;
        // Whether a statement is written to the binary log is decided by the tablespace's name.
        Replication::decided().check(&role, &command_line())?;
    }
    let plan = plan(&inventory, &all, &kept);
    if plan.is_empty() && args.consent.dry_run {
        notes_of_others(&inventory).into_iter().for_each(|note| out.line(note));
    }
    if args.consent.ask(&plan, out)? == Decision::DryRun {
        return Ok(Verdict::Fine);
    }
    let mut job = Job::new(session, Throttle::default(), LockWait::new(args.lock_wait), out)?;
    let shared = Arc::clone(&job.shared);
    let say = |state: &mut State<'_>| say_stopped(state, &inventory);
    in_time(&shared, say, || {
        let worked = work(&mut job, &here);
        job.finish();
        let stopped = matches!(worked?, Step::Stopped);
        if stopped && job.shared.is_left.load(Ordering::Relaxed) {
            // Looking at the tablespaces would wait for the statement.
            say_stopped(&mut job.shared(), &inventory);
            return Ok(Verdict::NotFine);
        }
        job.shared.is_closing.store(true, Ordering::Relaxed);
        finish(job, stopped)
    })
}

/// What is done with each scratch tablespace.
fn plan(inventory: &Inventory, all: &[Unfinished<'_>], kept: &[ScratchName]) -> Plan {
    let mut plan = Plan::new("Put all this back?");
    for left in all {
        let now = match left.table {
            Some(table) => {
                format!("holds {}, {}, {}", table.full_name(), left.state(), sizes::bytes(table.bytes))
            }
            None => format!("empty, {}", left.state()),
        };
        let then = match (left.obstacle(inventory), left.table) {
            (Some(_), _) => "as it is: see below".to_owned(),
            (None, Some(table)) => {
                format!("dropped; {} in a file of its own, {}", table.full_name(), left.state())
            }
            (None, None) => "dropped".to_owned(),
        };
        plan.effect(Effect::new(left.shown(), now, then));
    }
    for name in kept {
        let table = inventory.tables.iter().find(|table| name.is_for(&table.schema, &table.name));
        let of = table.map_or_else(|| "a table that is gone".to_owned(), Table::full_name);
        let what = format!("full-text indexes of {of}");
        plan.effect(Effect::new(what, format!("dropped, kept in {KEPT_INDEXES}"), "added again"));
    }
    for left in all {
        if let Some(why) = left.obstacle(inventory) {
            plan.note(format!("{} stays: {why}.", left.shown()));
        }
    }
    notes_of_others(inventory).into_iter().for_each(|note| plan.note(note));
    plan
}

/// The tablespaces that are only named like scratch tablespaces.
fn left_alone(inventory: &Inventory) -> Vec<&Tablespace> {
    let spaces = inventory.tablespaces.iter().filter(|space| space.kind == TablespaceKind::General);
    spaces.filter(|space| ScratchName::parse(&space.name).is_some()).collect()
}

/// What is said of them.
fn notes_of_others(inventory: &Inventory) -> Vec<String> {
    let note = |space: &Tablespace| {
        format!(
            "The tablespace {} is named like a scratch tablespace, but holds something else: it is left alone. To give each of its tables a file of its own: {}",
            space.name.shown(),
            emptied_by_hand(space, inventory)
        )
    };
    left_alone(inventory).into_iter().map(note).collect()
}

fn work(job: &mut Job<'_>, here: &DatadirAccess) -> Result<Step> {
    if let Step::Stopped = job.take_lock()? {
        return Ok(Step::Stopped);
    }
    if let Step::Stopped = unfinished::wait_for_resumption(job)? {
        return Ok(Step::Stopped);
    }
    // Another run may have made progress in the meantime.
    let inventory = Inventory::query(&mut job.watch)?;
    unfinished::warn_of_resumptions(job, &inventory)?;
    for left in Unfinished::all(&inventory) {
        match left.obstacle(&inventory) {
            Some(why) => job.record_failed(&left.shown(), &why),
            None => {
                if let Step::Stopped = unfinished::put_back(job, &left, here)? {
                    return Ok(Step::Stopped);
                }
            }
        }
    }
    fulltext::restore_all(job)
}

/// Says what is left of what was there at the beginning, without asking the server.
fn say_stopped(state: &mut State<'_>, before: &Inventory) {
    let State { out, account, .. } = state;
    out.line(format!("Stopped. To continue, run: {}", command_line()));
    out.document(&CleanupReport {
        done: std::mem::take(&mut account.done),
        failed: std::mem::take(&mut account.failed),
        interrupted: true,
        left: Unfinished::all(before).iter().map(|left| left.name.to_string()).collect(),
        left_alone: left_alone(before).into_iter().map(|space| space.name.clone()).collect(),
    });
}

/// Asks the server again, and prints what is left.
fn finish(mut job: Job<'_>, interrupted: bool) -> Result<Verdict> {
    let inventory = Inventory::query(&mut job.watch)?;
    let account = std::mem::take(&mut job.shared().account);
    let report = CleanupReport {
        done: account.done,
        failed: account.failed,
        interrupted,
        left: Unfinished::all(&inventory).iter().map(|left| left.name.to_string()).collect(),
        left_alone: left_alone(&inventory).into_iter().map(|space| space.name.clone()).collect(),
    };
    let left = counted(report.left.len(), "scratch tablespace");
    let shared = &mut *job.shared();
    for note in notes_of_others(&inventory) {
        shared.out.line(format_args!("NOTE    {note}"));
    }
    shared.out.line(if interrupted {
        format!("Stopped. Still there: {left}. To continue, run: {}", command_line())
    } else if report.left.is_empty() && report.failed.is_empty() {
        "OK: no scratch tablespace is left".to_owned()
    } else {
        format!("FAILED. Still there: {left}. To try again, run: {}", command_line())
    });
    shared.out.document(&report);
    let fine = !interrupted && report.left.is_empty() && report.failed.is_empty();
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}
