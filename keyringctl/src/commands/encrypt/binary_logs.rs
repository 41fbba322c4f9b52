// SPDX-License-Identifier: GPL-2.0-or-later
//! Binary logs from before `binlog_encryption` was changed. They stay unencrypted (with `--undo`, encrypted) until they are
//! purged.

use super::direction::Direction;
use super::job::Job;
use crate::error::Result;
use crate::server::{BinaryLog, Inventory};
use crate::show::Shown;
use std::time::Duration;

/// Purges these logs if `purge` is set. Returns what is left to do.
pub(super) fn purge(
    job: &mut Job<'_>,
    inventory: &Inventory,
    direction: Direction,
    purge: bool,
) -> Result<Option<String>> {
    let logs = &inventory.binary_logs;
    let is_old = |log: &&BinaryLog| !direction.is_reached(log.encrypted);
    let old = if direction == Direction::Encrypt { "unencrypted" } else { "encrypted" };
    let (Some(last), count) = (logs.iter().rfind(is_old), logs.iter().filter(is_old).count()) else {
        return Ok(None);
    };
    if !purge {
        return Ok(Some(format!(
            "{count} old binary logs, up to {}, are {old}. When all replicas and backups have them, run this again with --purge-binary-logs",
            last.name.shown()
        )));
    }
    let keep = logs.iter().skip_while(|log| log.name != last.name).nth(1);
    let Some(keep) = keep else {
        return Ok(Some(format!(
            "The current binary log is still {old}: run FLUSH BINARY LOGS in the server, then run this again"
        )));
    };
    // The statement accepts only a plain literal, and whether a backslash is an escape in it depends on the SQL mode.
    if keep.name.contains('\\') {
        return Ok(Some(format!(
            "{count} old binary logs are {old}; a backslash in their names prevents purging them here: run PURGE BINARY LOGS in the server, up to {}",
            keep.name.shown()
        )));
    }
    let name = keep.name.replace('\'', "''");
    let what = format!("purging {count} {old} binary logs");
    let mut attempt = 1;
    while let Err(e) = job.work.run(&format!("PURGE BINARY LOGS TO '{name}'")) {
        if !job.should_retry(&e, &mut attempt) {
            return job.note_failure(&what, e).map(|()| None);
        }
    }
    // The server keeps files that somebody is reading, and those after them, with a warning only.
    let warnings = job.work.columns::<String>("SHOW WARNINGS", &["Message"])?;
    let left = BinaryLog::all(&mut job.watch)?.iter().filter(is_old).count();
    if left == 0 {
        job.record_done(&format!("{count} {old} binary logs purged"), 0, Duration::ZERO);
    } else {
        let warnings = warnings.into_iter().flatten().flatten().collect::<Vec<_>>().join("; ");
        let why = format!(
            "{left} of them are still there: {}. Run this again when nobody reads them any more",
            warnings.trim_end_matches('.')
        );
        job.record_failed(&what, &why);
    }
    Ok(None)
}
