// SPDX-License-Identifier: GPL-2.0-or-later
//! Undo tablespaces: a new setting counts for new pages only, so that each is emptied and made anew.
//!
//! At least two must be in use at any time, so one more is made for as long as it takes. A run that ends in
//! between leaves that, or one that is not in use, and the next run takes it up from there.

use super::job::{Job, Step};
use crate::server::{quoted, quoted_text};
use keyring_external::error::Result;
use std::time::{Duration, Instant};

/// The tablespace for the meantime.
const SPARE: &str = "keyring_external_spare";
/// How the names of the server's own begin.
const OWN: &str = "innodb_undo_";
/// Fewest that may be in use.
const FEWEST: usize = 2;
const SPACES: &str =
    "SELECT NAME, STATE FROM information_schema.INNODB_TABLESPACES WHERE SPACE_TYPE = 'Undo' ORDER BY NAME";

/// Makes all undo tablespaces anew. `limit`: how long one may take to be emptied.
pub(super) fn renew(job: &mut Job<'_>, limit: Duration) -> Result<Step> {
    let spaces: Vec<(String, String)> = job.watch.rows(SPACES)?;
    let is_active = |state: &str| state == "active";
    let spare_is_there = spaces.iter().any(|(name, _)| name == SPARE);
    // The server's own two are out of use only where a run ended early. Others may have been put out of
    // use on purpose; they are empty then.
    let meant: Vec<_> = spaces
        .iter()
        .filter(|(name, state)| name != SPARE && (is_active(state) || name.starts_with(OWN)))
        .collect();
    for (name, _) in meant.iter().filter(|(_, state)| !is_active(state)) {
        job.work.run(&activate(name))?;
    }
    let needs_spare = meant.len() <= FEWEST;
    if needs_spare {
        let make = format!("CREATE UNDO TABLESPACE {SPARE} ADD DATAFILE '{SPARE}.ibu'");
        if let Err(e) = job.work.run(&if spare_is_there { activate(SPARE) } else { make }) {
            job.note_failure("undo tablespaces", e)?;
            return Ok(Step::Done);
        }
    }
    let mut step = Step::Done;
    for (name, _) in meant {
        step = renew_one(job, name, limit)?;
        if let Step::Stopped = step {
            break;
        }
    }
    if needs_spare || spare_is_there {
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

fn renew_one(job: &mut Job<'_>, name: &str, limit: Duration) -> Result<Step> {
    let what = format!("undo tablespace {name} made anew");
    let began = Instant::now();
    if let Err(e) = job.work.run(&format!("ALTER UNDO TABLESPACE {} SET INACTIVE", quoted(name))) {
        job.note_failure(&what, e)?;
        return Ok(Step::Done);
    }
    let emptied = job.wait_until(&is_empty(name), limit);
    // Whatever came of it: this one must be in use again.
    let active = job.work.run(&activate(name));
    if emptied? {
        match active {
            Ok(()) => job.done(&what, 0, began.elapsed()),
            Err(e) => job.note_failure(&what, e)?,
        }
        Ok(Step::Done)
    } else if job.stop.is_wished() {
        Ok(Step::Stopped)
    } else {
        let oldest = oldest_transaction(job);
        job.failed(&what, &format!("it was not emptied in {} s, because of old transactions{oldest}. Run apply again when they have ended", limit.as_secs()));
        Ok(Step::Done)
    }
}

fn oldest_transaction(job: &mut Job<'_>) -> String {
    let query = "SELECT trx_mysql_thread_id, CAST(TIMESTAMPDIFF(SECOND, trx_started, NOW()) AS SIGNED) FROM information_schema.INNODB_TRX ORDER BY trx_started LIMIT 1";
    match job.watch.first::<(u64, i64)>(query) {
        Ok(Some((id, seconds))) => format!(" (the oldest is connection {id}'s, {seconds} s)"),
        _ => String::new(),
    }
}

fn drop_spare(job: &mut Job<'_>, limit: Duration) -> Result<()> {
    let what = format!("undo tablespace {SPARE}");
    if let Err(e) = job.work.run(&format!("ALTER UNDO TABLESPACE {SPARE} SET INACTIVE")) {
        return job.note_failure(&what, e);
    }
    // Also after Ctrl-C: it takes a moment, unless old transactions hold it.
    let until = Instant::now() + limit.min(Duration::from_secs(10));
    while job.watch.first::<Option<i64>>(&is_empty(SPARE))?.flatten() != Some(1) {
        if Instant::now() > until {
            job.failed(&what, "it is not empty yet, because of old transactions; the next run drops it");
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    match job.work.run(&format!("DROP UNDO TABLESPACE {SPARE}")) {
        Ok(()) => Ok(()),
        Err(e) => job.note_failure(&what, e),
    }
}
