// SPDX-License-Identifier: GPL-2.0-or-later
//! Undo tablespaces. The encryption setting applies only to new pages, so each tablespace is emptied and recreated.
//!
//! At least two must be active at any time, so a spare one is created for the duration. It also marks that a run is at work:
//! if it is there at the beginning, an earlier run was killed, and may have left a tablespace inactive. A run that ends with
//! an error activates what it has deactivated, and drops the spare one.

use super::job::{ATTEMPTS, Job, Step};
use crate::error::{Error, Result, ServerError};
use crate::server::{Inventory, SYNTAX, TablespaceKind, quoted, quoted_text};
use crate::show::Shown;
use std::time::{Duration, Instant};

/// The spare tablespace.
const SPARE: &str = "keyring_external_spare";
/// The prefix of the server's own undo tablespaces.
const OWN: &str = "innodb_undo_";
const SPACES: &str = "SELECT NAME, STATE = 'active' FROM information_schema.INNODB_TABLESPACES
    WHERE SPACE_TYPE = 'Undo' ORDER BY NAME";

/// An undo tablespace.
struct Space {
    name: String,
    active: bool,
    /// Whether it is to be active in the end. One that was deactivated on purpose is not.
    needed: bool,
}

/// How many steps this takes.
pub(super) fn count(inventory: &Inventory) -> u32 {
    inventory.tablespaces.iter().map(|space| u32::from(space.kind == TablespaceKind::Undo)).sum()
}

/// Recreates all undo tablespaces. The server may take up to `limit` to empty each.
pub(super) fn recreate(job: &mut Job<'_>, limit: Duration) -> Result<Step> {
    let mut spaces = spaces(job)?;
    let was_killed = spaces.iter().any(|space| space.name == SPARE);
    spaces.retain(|space| space.name != SPARE);
    for space in &mut spaces {
        space.needed = space.active || was_killed || space.name.starts_with(OWN);
        if space.needed && !space.active {
            job.print_line(format_args!(
                "undo tablespace {} is inactive, probably because a run was killed: it will be active again",
                space.name.shown()
            ));
        }
    }
    let worked = create_spare(job).and_then(|ready| {
        for space in spaces.iter().filter(|_| ready) {
            let began = Instant::now();
            if let Step::Stopped = recreate_one(job, space, limit)? {
                return Ok(Step::Stopped);
            }
            job.shared().progress.end_wait(began.elapsed());
        }
        Ok(Step::Done)
    });
    // Also after an error.
    let tidied = tidy(job, &spaces, limit);
    let step = worked?;
    tidied.map(|()| step)
}

fn spaces(job: &mut Job<'_>) -> Result<Vec<Space>> {
    let rows: Vec<(String, Option<bool>)> = job.watch.rows(SPACES)?;
    let space = |(name, active): (String, Option<bool>)| {
        let active = active.unwrap_or(true);
        Space { name, active, needed: active }
    };
    Ok(rows.into_iter().map(space).collect())
}

fn has_spare(job: &mut Job<'_>) -> Result<bool> {
    Ok(spaces(job)?.iter().any(|space| space.name == SPARE))
}

/// Returns whether there is a spare tablespace now.
fn create_spare(job: &mut Job<'_>) -> Result<bool> {
    let create = format!("CREATE UNDO TABLESPACE {SPARE} ADD DATAFILE '{SPARE}.ibu'");
    loop {
        // After a loss of the connection it may exist.
        let statement = if has_spare(job)? { activate(SPARE) } else { create.clone() };
        match job.work.run(&statement) {
            Ok(()) => return Ok(true),
            Err(Error::Server(ServerError { code: SYNTAX, .. })) => {
                job.shared().account.next_steps.push(
                    "This server cannot recreate undo tablespaces on request. They keep old unencrypted pages until it truncates them: see innodb_undo_log_truncate"
                        .to_owned(),
                );
                return Ok(false);
            }
            Err(e) => {
                if let Some(e) = job.after_loss("undo tablespaces", e)? {
                    job.note_failure("undo tablespaces", e)?;
                    return Ok(false);
                }
            }
        }
    }
}

fn activate(name: &str) -> String {
    format!("ALTER UNDO TABLESPACE {} SET ACTIVE", quoted(name))
}

fn deactivate(name: &str) -> String {
    format!("ALTER UNDO TABLESPACE {} SET INACTIVE", quoted(name))
}

fn is_empty(name: &str) -> String {
    state(name, "= 'empty'")
}

/// A query that answers 1 if the tablespace has that state.
fn state(name: &str, which: &str) -> String {
    let name = quoted_text(name);
    format!("SELECT STATE {which} FROM information_schema.INNODB_TABLESPACES WHERE NAME = {name}")
}

/// Runs a statement that may be repeated. Returns whether it succeeded; a failure is recorded.
fn run(job: &mut Job<'_>, what: &str, statement: &str) -> Result<bool> {
    loop {
        let Err(e) = job.work.run(statement) else { return Ok(true) };
        if let Some(e) = job.after_loss(what, e)? {
            job.note_failure(what, e)?;
            return Ok(false);
        }
    }
}

fn recreate_one(job: &mut Job<'_>, space: &Space, limit: Duration) -> Result<Step> {
    let name = &space.name;
    let what = format!("undo tablespace {} recreated", name.shown());
    let began = Instant::now();
    job.begin_step(&what);
    // One that is empty already may have old pages: the server truncates it when it is deactivated.
    if !space.active && !run(job, &what, &activate(name))? {
        return Ok(Step::Done);
    }
    let restarts = job.restarts();
    let mut emptied = false;
    for _ in 0..ATTEMPTS {
        if !run(job, &what, &deactivate(name))? {
            return Ok(Step::Done);
        }
        let decided = job.wait_until(&state(name, "<> 'inactive'"), limit)?;
        emptied = decided && job.watch.first::<Option<i64>>(&is_empty(name))?.flatten() == Some(1);
        // A server that was restarted meanwhile may have forgotten it.
        if emptied || !decided || job.restarts() == restarts {
            break;
        }
    }
    if emptied {
        if !space.needed || run(job, &what, &activate(name))? {
            job.record_done(&what, 0, began.elapsed());
        }
        Ok(Step::Done)
    } else if job.is_stopping() {
        Ok(Step::Stopped)
    } else {
        let oldest = oldest_transaction(job);
        job.record_failed(&what, &format!("the server did not empty it within {} s because of old transactions{oldest}. Run apply again when they have ended", limit.as_secs()));
        Ok(Step::Done)
    }
}

fn oldest_transaction(job: &mut Job<'_>) -> String {
    let query = "SELECT trx_mysql_thread_id, CAST(TIMESTAMPDIFF(SECOND, trx_started, NOW()) AS SIGNED) FROM information_schema.INNODB_TRX ORDER BY trx_started LIMIT 1";
    match job.watch.first::<(u64, i64)>(query) {
        Ok(Some((id, seconds))) => format!(" (the oldest is that of connection {id}, {seconds} s old)"),
        _ => String::new(),
    }
}

/// Activates what is to be active, even if it was not emptied, and drops the spare tablespace.
fn tidy(job: &mut Job<'_>, all: &[Space], limit: Duration) -> Result<()> {
    let inactive: Vec<_> = spaces(job)?.into_iter().filter(|space| !space.active).collect();
    for Space { name, .. } in all.iter().filter(|space| space.needed) {
        if inactive.iter().any(|space| space.name == *name) {
            run(job, &format!("undo tablespace {} activated", name.shown()), &activate(name))?;
        }
    }
    if has_spare(job)? { drop_spare(job, limit) } else { Ok(()) }
}

fn drop_spare(job: &mut Job<'_>, limit: Duration) -> Result<()> {
    let what = format!("undo tablespace {SPARE}");
    if !run(job, &what, &deactivate(SPARE))? {
        return Ok(());
    }
    // Also after Ctrl-C: this takes a moment, unless old transactions need it.
    let until = Instant::now() + limit.min(Duration::from_secs(10));
    while job.watch.first::<Option<i64>>(&is_empty(SPARE))?.flatten() != Some(1) {
        if Instant::now() > until {
            job.record_failed(
                &what,
                "it is not empty yet because of old transactions. The next run drops it",
            );
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    loop {
        let Err(e) = job.work.run(&format!("DROP UNDO TABLESPACE {SPARE}")) else { return Ok(()) };
        match job.after_loss(&what, e)? {
            Some(e) => return job.note_failure(&what, e),
            None if !has_spare(job)? => return Ok(()),
            None => {}
        }
    }
}
