// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt cleanup`: puts back what an interrupted `encrypt apply` has left in scratch tablespaces, for whoever
//! does not want to run `apply` again.

use super::apply_report::{DoneStep, FailedStep};
use super::held_up::HeldUp;
use super::in_time::in_time;
use super::job::{Job, Step};
use super::lock_wait::LockWait;
use super::online::{Choice, fulltext};
use super::replication::Replication;
use super::room::TemporaryFiles;
use super::shared::State;
use super::throttle::Throttle;
use super::unfinished::{self, Unfinished};
use super::{half_done, required, server};
use crate::commands::command_line::command_line;
use crate::commands::consent::{Consent, Decision, Plan};
use crate::commands::output::{Output, counted};
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::server::{
    DatadirAccess, Inventory, KEPT_INDEXES, Role, ScratchName, ServerFiles, Tablespace, TablespaceKind,
    emptied_by_hand,
};
use crate::show::Shown;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
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
    /// Files in the data directory that are named like those of scratch tablespaces, and that the server does not use.
    #[serde(serialize_with = "crate::show::paths")]
    files: Vec<PathBuf>,
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
    let temporary = TemporaryFiles::query(&mut session, &inventory)?;
    let mut plan = plan(&inventory, &all, &kept, |left| left.too_little(&here, &temporary));
    let unused = unused_files(&here, &ServerFiles::query(&mut session)?);
    unused.iter().for_each(|path| plan.note(note_of_file(path)));
    if plan.is_empty() && args.consent.dry_run {
        notes_of_others(&inventory).into_iter().for_each(|note| out.line(note));
        unused.iter().for_each(|path| out.line(note_of_file(path)));
    }
    if args.consent.ask(&plan, out)? == Decision::DryRun {
        return Ok(Verdict::Fine);
    }
    let mut job = Job::new(session, Throttle::default(), LockWait::new(args.lock_wait), out)?;
    let shared = Arc::clone(&job.shared);
    let say = |state: &mut State<'_>| say_stopped(state, &inventory);
    let held_up = HeldUp::watch(&job.watch);
    in_time(&shared, held_up, say, || {
        job.show_progress();
        let worked = work(&mut job, &here);
        job.finish();
        let stopped = matches!(worked?, Step::Stopped);
        if stopped && job.shared.is_left.load(Ordering::Relaxed) {
            // Looking at the tablespaces would wait for the statement.
            say_stopped(&mut job.shared(), &inventory);
            return Ok(Verdict::NotFine);
        }
        job.shared.is_closing.store(true, Ordering::Relaxed);
        finish(job, &here, stopped)
    })
}

/// What is done with each scratch tablespace.
fn plan(
    inventory: &Inventory,
    all: &[Unfinished<'_>],
    kept: &[ScratchName],
    too_little: impl Fn(&Unfinished<'_>) -> Option<String>,
) -> Plan {
    let why_not = |left: &Unfinished<'_>| left.obstacle(inventory).or_else(|| too_little(left));
    let mut plan = Plan::new("Put all this back?");
    for left in all {
        plan.effect(half_done::of_space(left, why_not(left).is_some(), left.state()));
    }
    for name in kept {
        plan.effect(half_done::of_kept(name, inventory));
        if half_done::table_of(name, inventory).is_none() {
            plan.note(format!(
                "full-text indexes in {KEPT_INDEXES}.{name} stay: {}.",
                fulltext::without_table(name)
            ));
        }
    }
    for left in all {
        if let Some(why) = why_not(left) {
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

/// The files directly in the data directory that are named like those of scratch tablespaces, and that the server does not use.
fn unused_files(here: &DatadirAccess, files: &ServerFiles) -> Vec<PathBuf> {
    let entries =
        here.readable().and(files.directories.first()).and_then(|datadir| fs::read_dir(datadir).ok());
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    let is_unused =
        |path: &PathBuf| ScratchName::of_file(path).is_some() && !files.tablespaces.contains_key(path);
    let mut unused: Vec<_> = paths.filter(is_unused).collect();
    unused.sort();
    unused
}

fn note_of_file(path: &Path) -> String {
    format!(
        "{}: a file of a scratch tablespace that the server does not use. Once you know that nothing needs it: rm {}",
        path.shown(),
        path.shown()
    )
}

fn work(job: &mut Job<'_>, here: &DatadirAccess) -> Result<Step> {
    if let Step::Stopped = job.take_lock()? {
        return Ok(Step::Stopped);
    }
    if let Step::Stopped = job.wait_for_resumption()? {
        return Ok(Step::Stopped);
    }
    // Another run may have made progress in the meantime.
    let inventory = Inventory::query(&mut job.watch)?;
    job.online = Arc::new(Choice {
        temporary: TemporaryFiles::query(&mut job.watch, &inventory)?,
        ..Choice::default()
    });
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
    fulltext::restore_all(job, &|_| true)
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
        files: Vec::new(),
    });
}

/// Asks the server again, and prints what is left.
fn finish(mut job: Job<'_>, here: &DatadirAccess, interrupted: bool) -> Result<Verdict> {
    let inventory = Inventory::query(&mut job.watch)?;
    let account = std::mem::take(&mut job.shared().account);
    let report = CleanupReport {
        done: account.done,
        failed: account.failed,
        interrupted,
        left: Unfinished::all(&inventory).iter().map(|left| left.name.to_string()).collect(),
        left_alone: left_alone(&inventory).into_iter().map(|space| space.name.clone()).collect(),
        files: unused_files(here, &ServerFiles::query(&mut job.watch)?),
    };
    let mut left = counted(report.left.len(), "scratch tablespace");
    let kept = fulltext::saved(&mut job.watch)?.len();
    if kept > 0 {
        left = format!("{left}, the full-text indexes of {}", counted(kept, "table"));
    }
    let shared = &mut *job.shared();
    for note in notes_of_others(&inventory) {
        shared.out.line(format_args!("NOTE    {note}"));
    }
    for path in &report.files {
        shared.out.line(format_args!("LEFT    {}", note_of_file(path)));
    }
    shared.out.line(if interrupted {
        format!("Stopped. Still there: {left}. To continue, run: {}", command_line())
    } else if report.left.is_empty() && report.failed.is_empty() && !report.files.is_empty() {
        format!("INCOMPLETE. Still there: {}, see above", counted(report.files.len(), "file"))
    } else if report.left.is_empty() && report.failed.is_empty() {
        "OK: no scratch tablespace is left".to_owned()
    } else {
        format!("FAILED. Still there: {left}. To try again, run: {}", command_line())
    });
    shared.out.document(&report);
    let is_done = report.left.is_empty() && report.failed.is_empty() && report.files.is_empty();
    let fine = !interrupted && is_done;
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_scratch_tablespaces_that_the_server_does_not_use_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let datadir = directory.path().to_owned();
        let file = |table| datadir.join(ScratchName::new(true, false, ("clinic", table), 1).file());
        let (used, unused) = (file("used"), file("unused"));
        for path in [&used, &unused, &datadir.join("keyring_external_mine.ibd"), &datadir.join("t.ibd")] {
            fs::write(path, b"").unwrap();
        }
        let files = ServerFiles {
            directories: vec![datadir.clone()],
            tablespaces: [(used, "used".to_owned())].into(),
            ..ServerFiles::default()
        };
        assert_eq!(unused_files(&DatadirAccess::Readable(datadir), &files), [unused]);
        assert!(unused_files(&DatadirAccess::Elsewhere, &files).is_empty());
    }
}
