// SPDX-License-Identifier: GPL-2.0-or-later
//! Binary logs from before `binlog_encryption` was changed. They stay unencrypted (with `--undo`, encrypted) until they are
//! purged.

use super::direction::Direction;
use super::job::Job;
use crate::commands::output::{counted, time};
use crate::error::Result;
use crate::server::{BinaryLog, DatadirAccess, Inventory, Session};
use crate::show::Shown;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// The first bytes of a log file: a mark, then the time of the first event.
const MARK: &[u8] = b"\xfebin";
const FRONT: usize = 8;

/// What purging the old logs deletes: they, and the logs between them.
pub(super) struct OldLogs<'a> {
    /// All that are deleted; at least one.
    pub purged: &'a [BinaryLog],
    /// The first one that stays; `None` if the server is still writing the last old one.
    pub keep: Option<&'a BinaryLog>,
}

impl OldLogs<'_> {
    /// The names of the first and the last one.
    pub(super) fn ends(&self) -> (&str, &str) {
        let ends = self.purged.first().zip(self.purged.last());
        ends.map_or(("", ""), |(first, last)| (&first.name, &last.name))
    }
}

/// Returns the logs from before `binlog_encryption` was changed, if there are any.
pub(super) fn old(inventory: &Inventory, direction: Direction) -> Option<OldLogs<'_>> {
    let logs = &inventory.binary_logs;
    let last = logs.iter().rposition(|log| !direction.is_reached(log.encrypted))?;
    Some(OldLogs { purged: logs.get(..=last)?, keep: logs.get(last + 1) })
}

/// Returns when the first of these logs was begun and the last one last written, if their files are on this machine and can
/// be read.
pub(super) fn span(session: &mut Session, logs: &OldLogs<'_>) -> Result<Option<(String, String)>> {
    if DatadirAccess::check(session)?.readable().is_none() {
        return Ok(None);
    }
    let base = session.first::<Option<String>>("SELECT @@log_bin_basename")?.flatten();
    let Some(directory) = base.as_deref().map(Path::new).and_then(Path::parent) else { return Ok(None) };
    let (first, last) = logs.ends();
    Ok(begun(&directory.join(first)).zip(written(&directory.join(last))))
}

/// When the first event of a log was written. That of an encrypted one cannot be read: then the time of its last change.
fn begun(path: &Path) -> Option<String> {
    let mut front = [0; FRONT];
    File::open(path).and_then(|mut file| file.read_exact(&mut front)).ok()?;
    match front.strip_prefix(MARK) {
        Some(seconds) => Some(time(u32::from_le_bytes(seconds.try_into().ok()?).into())),
        None => written(path),
    }
}

fn written(path: &Path) -> Option<String> {
    let changed = std::fs::metadata(path).and_then(|about| about.modified()).ok()?;
    Some(time(changed.duration_since(UNIX_EPOCH).ok()?.as_secs()))
}

/// Purges these logs if `purge` is set. Returns what is left to do.
pub(super) fn purge(
    job: &mut Job<'_>,
    inventory: &Inventory,
    direction: Direction,
    purge: bool,
) -> Result<Option<String>> {
    let is_old = |log: &&BinaryLog| !direction.is_reached(log.encrypted);
    let old = if direction == Direction::Encrypt { "unencrypted" } else { "encrypted" };
    let Some(logs) = self::old(inventory, direction) else { return Ok(None) };
    let (last, count) = (logs.ends().1, logs.purged.iter().filter(is_old).count());
    let are = if count == 1 { "is" } else { "are" };
    if !purge {
        return Ok(Some(format!(
            "{}, up to {}, {are} {old}. When all replicas and backups have what is in them, run this again with --purge-binary-logs",
            counted(count, "old binary log"),
            last.shown()
        )));
    }
    let Some(keep) = logs.keep else {
        return Ok(Some(format!(
            "The current binary log is still {old}: run FLUSH BINARY LOGS in the server, then run this again"
        )));
    };
    // The statement accepts only a plain literal, and whether a backslash is an escape in it depends on the SQL mode.
    if keep.name.contains('\\') {
        return Ok(Some(format!(
            "{} {are} {old}; a backslash in the name prevents purging here: run PURGE BINARY LOGS in the server, up to {}",
            counted(count, "old binary log"),
            keep.name.shown()
        )));
    }
    let name = keep.name.replace('\'', "''");
    let logs = counted(count, &format!("{old} binary log"));
    let what = format!("purging {logs}");
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
        job.record_done(&format!("{logs} purged"), 0, Duration::ZERO);
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
