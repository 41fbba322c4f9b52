// SPDX-License-Identifier: GPL-2.0-or-later
//! How far the server's redo log and its pages have been written, by log sequence numbers (LSN): whether a search of the
//! files can find a change at all.

use crate::error::{Error, ServerError};
use crate::server::{NO_SUCH_TABLE, Session};
use crate::show::Shown;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the server may take to write its redo log.
const LOG_LIMIT: Duration = Duration::from_secs(10);
/// How long verify waits until the server has written all pages that have changed. A busy server takes longer.
const PAGES_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

/// How far the server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::commands::encrypt) struct Lsns {
    /// The last change.
    pub current: u64,
    /// The last change in the redo log's files.
    flushed: u64,
    /// The last change whose pages are in their tablespaces.
    checkpoint: u64,
}

/// Asks the server, in a way that every version has.
pub(in crate::commands::encrypt) fn lsns(session: &mut Session) -> Option<Lsns> {
    let rows = session.columns::<String>("SHOW ENGINE INNODB STATUS", &["Status"]).ok()?;
    parse(rows.into_iter().flatten().flatten().next()?.as_str())
}

fn parse(status: &str) -> Option<Lsns> {
    let number = |start: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(start))?;
        line.trim().parse().ok()
    };
    Some(Lsns {
        current: number("Log sequence number")?,
        flushed: number("Log flushed up to")?,
        checkpoint: number("Last checkpoint at")?,
    })
}

/// Makes the server write the redo log up to now, whatever `innodb_flush_log_at_trx_commit` is, and waits for it. Returns
/// how far the log was when this began.
pub(super) fn write_out(session: &mut Session) -> Option<Lsns> {
    let now = lsns(session)?;
    // Without the privilege RELOAD, the server does it within a second.
    let _ = session.run("FLUSH LOCAL ENGINE LOGS");
    wait(session, LOG_LIMIT, |lsns| lsns.flushed >= now.current).then_some(now)
}

/// Waits until all pages that had changed at `after` have been written, through the doublewrite files to their
/// tablespaces. Returns whether they have.
pub(super) fn wait_for_checkpoint(session: &mut Session, after: Option<Lsns>) -> bool {
    after.is_some_and(|after| wait(session, PAGES_LIMIT, |lsns| lsns.checkpoint >= after.current))
}

fn wait(session: &mut Session, limit: Duration, reached: impl Fn(Lsns) -> bool) -> bool {
    let until = Instant::now() + limit;
    loop {
        if lsns(session).is_some_and(&reached) {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// Returns why the `searched` files, as they were just read, may not hold all that the server wrote to its redo log between
/// two moments.
pub(super) fn unproven(
    session: &mut Session,
    before: Option<Lsns>,
    after: Option<Lsns>,
    datadir: &Path,
    searched: &BTreeSet<PathBuf>,
) -> Option<String> {
    let (Some(before), Some(after)) = (before, after) else {
        return Some("the server does not say (SHOW ENGINE INNODB STATUS) that it has written its redo log. Grant PROCESS and RELOAD to this account".to_owned());
    };
    let enabled = session.first::<(String, String)>("SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_enabled'");
    if enabled.is_ok_and(|status| status.is_some_and(|(_, value)| value == "OFF")) {
        return Some("redo logging is switched off, so the canary was not written to the redo log. Run ALTER INSTANCE ENABLE INNODB REDO_LOG, then run this again".to_owned());
    }
    let files = format!(
        "SELECT FILE_NAME, CAST(START_LSN AS SIGNED) FROM performance_schema.innodb_redo_log_files
         WHERE START_LSN <= {} AND END_LSN > {} ORDER BY START_LSN",
        after.current, before.current
    );
    let files: Vec<(String, i64)> = match session.rows(&files) {
        Ok(files) => files,
        // Before 8.0.30 the files are written in a circle, and nothing tells which part has been overwritten.
        Err(Error::Server(ServerError { code: NO_SUCH_TABLE, .. })) => return None,
        Err(e) => return Some(format!("{e}. Grant SELECT on that table to this account")),
    };
    let oldest = files.first().and_then(|(_, start)| u64::try_from(*start).ok());
    if oldest.is_none_or(|start| start > before.current) {
        return Some("the server has removed the redo log file that held the canary before it was searched, or does not name it (performance_schema.innodb_redo_log_files). Run this again when the server is less busy".to_owned());
    }
    let missed = files.into_iter().map(|(name, _)| datadir.join(name).components().collect::<PathBuf>());
    let missed = missed.into_iter().find(|path| !searched.contains(path))?;
    Some(format!("the server wrote the canary to {}, which is not there", missed.shown()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_from_the_status() {
        let status = "---\nLOG\n---\nLog sequence number          19679365\nLog buffer assigned up to    1\nLog flushed up to            19679364\nPages flushed up to          7\nLast checkpoint at           19679300\n";
        let wanted = Lsns { current: 19_679_365, flushed: 19_679_364, checkpoint: 19_679_300 };
        assert_eq!(parse(status), Some(wanted));
        assert_eq!(parse("Log sequence number 1"), None);
    }
}
