// SPDX-License-Identifier: GPL-2.0-or-later
//! Logs with data from before: undo tablespaces and the redo log, which the server recreates, and binary logs.

use super::context::{DECLINED, INTERRUPTED, Run};
use super::situation::Situation;
use super::step::{Step, StepId};
use crate::commands::consent::Plan;
use crate::commands::encrypt::direction::Direction;
use crate::commands::encrypt::job::{Job, Step as JobStep};
use crate::commands::encrypt::lock_wait::LockWait;
use crate::commands::encrypt::throttle::Throttle;
use crate::commands::encrypt::{binary_logs, effects, redo, undo_logs};
use crate::commands::output::counted;
use crate::error::Result;
use crate::server::{BinaryLog, Inventory, Role};
use crate::show::Shown;
use std::thread;
use std::time::{Duration, Instant};

/// How long the server may take to empty an undo tablespace.
const UNDO_WAIT: Duration = Duration::from_secs(300);
/// How long replicas may take to read the binary logs.
const REPLICA_WAIT: Duration = Duration::from_secs(600);

/// Looks for old pages in undo tablespaces and the redo log.
pub(super) fn look_at_undo_and_redo(situation: &Situation) -> Step {
    let id = StepId::UndoAndRedo;
    let settings = &situation.inventory.settings;
    match &situation.old_pages {
        Err(why) => Step::not_checked(id, why.clone(), "run this as root on the server"),
        Ok(old) if old.is_empty() => Step::done(id, "their files hold no unencrypted page or block"),
        Ok(old) => {
            let names: Vec<_> = old.iter().filter_map(|path| path.file_name()).map(|n| n.shown()).collect();
            let why = format!("unencrypted pages or blocks in {}", names.join(", "));
            let step = Step::to_do(id, why, "makes the server recreate them");
            let is_set =
                settings.is_on("innodb_undo_log_encrypt") && settings.is_on("innodb_redo_log_encrypt");
            if is_set { step } else { step.after(StepId::Apply) }
        }
    }
}

/// Makes the server recreate undo tablespaces and redo log files. Returns what it could not do.
pub(super) fn recreate(run: &mut Run<'_>) -> Result<Option<String>> {
    with_job(run, |job| {
        if let JobStep::Stopped = undo_logs::recreate(job, UNDO_WAIT)? {
            return Ok(None);
        }
        Ok(redo::recreate(job)?.1)
    })
}

/// Looks for unencrypted binary logs.
pub(super) fn look_at_binary_logs(situation: &Situation) -> Step {
    let id = StepId::BinaryLogs;
    let (clear, last) = unencrypted(&situation.inventory);
    let Some(last) = last else { return Step::done(id, "none is unencrypted") };
    let step = Step::to_do(
        id,
        format!("{} unencrypted, up to {}", counted(clear.len(), "file"), last.name.shown()),
        "asks, and purges them; replicas and backups must have them",
    );
    if situation.inventory.settings.is_on("binlog_encryption") { step } else { step.after(StepId::Apply) }
}

/// The unencrypted binary logs, and the last of them.
fn unencrypted(inventory: &Inventory) -> (Vec<&BinaryLog>, Option<&BinaryLog>) {
    let clear: Vec<_> = inventory.binary_logs.iter().filter(|log| !log.encrypted).collect();
    let last = clear.last().copied();
    (clear, last)
}

/// Purges unencrypted binary logs, when all connected replicas have them. Returns what kept them from being purged.
pub(super) fn purge(run: &mut Run<'_>, situation: &Situation) -> Result<Option<String>> {
    let inventory = &situation.inventory;
    let Some(old) = binary_logs::old(inventory, Direction::Encrypt) else { return Ok(None) };
    let role = Role::query(&mut run.session)?;
    let mut plan = Plan::new("Delete these binary logs for good?");
    effects::purge(&old, &mut run.session, &role, &mut plan)?;
    if !run.agreed(&plan)? {
        return Ok(Some(DECLINED.to_owned()));
    }
    if let Some(why) = wait_for_replicas(run)? {
        return Ok(Some(why));
    }
    with_job(run, |job| binary_logs::purge(job, inventory, Direction::Encrypt, true))
}

/// Waits until connected replicas have been sent all binary logs. Returns why it is not waited for any longer.
fn wait_for_replicas(run: &mut Run<'_>) -> Result<Option<String>> {
    let (began, mut told) = (Instant::now(), false);
    loop {
        let role = Role::query(&mut run.session)?;
        let Some(behind) = role.replicas.iter().find(|replica| replica.has_all == Some(false)) else {
            return Ok(None);
        };
        let what = format!("replica {behind} is still reading binary logs");
        if run.stop.is_requested() {
            run.interrupted = true;
            return Ok(Some(INTERRUPTED.to_owned()));
        }
        if began.elapsed() >= REPLICA_WAIT {
            return Ok(Some(format!("{what}: run this again when it has caught up")));
        }
        if !told {
            told = true;
            run.say(format_args!("Waiting: {what}"));
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// Runs a step of `encrypt apply`. Returns what it could not do.
fn with_job(
    run: &mut Run<'_>,
    work: impl FnOnce(&mut Job<'_>) -> Result<Option<String>>,
) -> Result<Option<String>> {
    let session = run.session.connect_again()?;
    let mut job = Job::new(session, Throttle::default(), LockWait::new(None), run.out)?;
    if let JobStep::Stopped = job.take_lock()? {
        return Ok(Some(INTERRUPTED.to_owned()));
    }
    let worked = work(&mut job);
    job.finish();
    let account = std::mem::take(&mut job.shared().account);
    let failed: Vec<_> = account.failed.iter().map(|step| format!("{}: {}", step.what, step.why)).collect();
    let is_stopped = job.is_stopping();
    drop(job);
    if is_stopped {
        run.interrupted = true;
        return Ok(Some(INTERRUPTED.to_owned()));
    }
    let left: Vec<_> = worked?.into_iter().chain(failed).chain(account.next_steps).collect();
    Ok((!left.is_empty()).then(|| left.join("; ")))
}
