// SPDX-License-Identifier: GPL-2.0-or-later
//! Undo tablespaces. The encryption setting applies only to new pages, so each tablespace is emptied and recreated.
//!
//! At least two must be active at any time, so a spare one is created for the duration. A run that is interrupted leaves the
//! spare one, or an inactive one, and the next run continues from there.

use super::job::{Job, Step};
use crate::error::Result;
use crate::server::{quoted, quoted_text};
use crate::show::Shown;
use std::time::{Duration, Instant};

/// The spare tablespace.
const SPARE: &str = "keyring_external_spare";
/// The prefix of the server's own undo tablespaces.
const OWN: &str = "innodb_undo_";
/// The smallest number that must be active.
const FEWEST: usize = 2;
const SPACES: &str =
    "SELECT NAME, STATE FROM information_schema.INNODB_TABLESPACES WHERE SPACE_TYPE = 'Undo' ORDER BY NAME";

/// Recreates all undo tablespaces. The server may take up to `limit` to empty each.
pub(super) fn recreate(job: &mut Job<'_>, limit: Duration) -> Result<Step> {
    let spaces: Vec<(String, String)> = job.watch.rows(SPACES)?;
    let is_active = |state: &str| state == "active";
    let spare_exists = spaces.iter().any(|(name, _)| name == SPARE);
    // The server's own two are inactive only after an interrupted run. Others may have been deactivated on purpose, and
    // stay so.
    let others = spaces.iter().filter(|(name, _)| name != SPARE);
    let (selected, deactivated): (Vec<_>, Vec<_>) =
        others.partition(|(name, state)| is_active(state) || name.starts_with(OWN));
    for (name, _) in selected.iter().filter(|(_, state)| !is_active(state)) {
        job.work.run(&activate(name))?;
    }
    let needs_spare = selected.len() <= FEWEST;
    if needs_spare {
        let create = format!("CREATE UNDO TABLESPACE {SPARE} ADD DATAFILE '{SPARE}.ibu'");
        if let Err(e) = job.work.run(&if spare_exists { activate(SPARE) } else { create }) {
            job.note_failure("undo tablespaces", e)?;
            return Ok(Step::Done);
        }
    }
    let mut step = Step::Done;
    let all = selected.iter().map(|space| (space, Afterwards::Active));
    for ((name, _), afterwards) in all.chain(deactivated.iter().map(|space| (space, Afterwards::Inactive))) {
        step = recreate_one(job, name, limit, afterwards)?;
        if let Step::Stopped = step {
            break;
        }
    }
    if needs_spare || spare_exists {
        drop_spare(job, limit)?;
    }
    Ok(step)
}

fn activate(name: &str) -> String {
    format!("ALTER UNDO TABLESPACE {} SET ACTIVE", quoted(name))
}

fn is_empty(name: &str) -> String {
    format!(
        "SELECT STATE = 'empty' FROM information_schema.INNODB_TABLESPACES WHERE NAME = {}",
        quoted_text(name)
    )
}

/// The state in which a tablespace is left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    Active,
    Inactive,
}

fn recreate_one(job: &mut Job<'_>, name: &str, limit: Duration, afterwards: Afterwards) -> Result<Step> {
    let what = format!("undo tablespace {} recreated", name.shown());
    let began = Instant::now();
    // The server recreates its file only when it becomes inactive.
    if afterwards == Afterwards::Inactive
        && let Err(e) = job.work.run(&activate(name))
    {
        job.note_failure(&what, e)?;
        return Ok(Step::Done);
    }
    if let Err(e) = job.work.run(&format!("ALTER UNDO TABLESPACE {} SET INACTIVE", quoted(name))) {
        job.note_failure(&what, e)?;
        return Ok(Step::Done);
    }
    let emptied = job.wait_until(&is_empty(name), limit);
    // Even if it was not emptied, it must be active again.
    let active = match afterwards {
        Afterwards::Active => job.work.run(&activate(name)),
        Afterwards::Inactive => Ok(()),
    };
    if emptied? {
        match active {
            Ok(()) => job.record_done(&what, 0, began.elapsed()),
            Err(e) => job.note_failure(&what, e)?,
        }
        Ok(Step::Done)
    } else if job.stop.is_requested() {
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

fn drop_spare(job: &mut Job<'_>, limit: Duration) -> Result<()> {
    let what = format!("undo tablespace {SPARE}");
    if let Err(e) = job.work.run(&format!("ALTER UNDO TABLESPACE {SPARE} SET INACTIVE")) {
        return job.note_failure(&what, e);
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
    match job.work.run(&format!("DROP UNDO TABLESPACE {SPARE}")) {
        Ok(()) => Ok(()),
        Err(e) => job.note_failure(&what, e),
    }
}
