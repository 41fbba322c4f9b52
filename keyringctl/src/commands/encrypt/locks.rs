// SPDX-License-Identifier: GPL-2.0-or-later
//! Locks on tables. While a statement of this run waits for one, every later statement on the table waits behind it. So it waits
//! only for a short time, does not even begin to wait for a transaction that is open for longer, and is tried again.

use super::job::Job;
use super::lock_wait::bound;
use crate::error::{Error, Result, ServerError};
use crate::server::{LOCK_WAIT_TIMEOUT, Table, quoted_text};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How many times a statement is tried if it cannot get its locks.
pub(super) const ATTEMPTS: u32 = 6;

/// Returns the pause before the next attempt: it doubles each time, because a transaction that is old may stay for long.
pub(super) fn pause_after(attempt: u32) -> Duration {
    Duration::from_secs(1 << (attempt - 1).min(4))
}

/// A user who lets statements wait for longer than these seconds wants them to wait.
const PATIENT: u32 = 10;
/// How often a second the tool looks who uses a table.
const LOOKS: u32 = 5;

/// What a connection holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Held {
    Table,
    /// LOCK INSTANCE FOR BACKUP.
    Backup,
    /// FLUSH TABLES WITH READ LOCK.
    Everything,
}

/// A connection that holds what a statement on a table waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Holder {
    pub connection: u64,
    pub user: Option<String>,
    /// How long it has been doing what it does.
    pub seconds: i64,
    pub held: Held,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_deref().unwrap_or("the server");
        write!(f, "connection {} of {user}, for {} s", self.connection, self.seconds)?;
        f.write_str(match self.held {
            Held::Table => "",
            Held::Backup => ", with LOCK INSTANCE FOR BACKUP",
            Held::Everything => ", with FLUSH TABLES WITH READ LOCK",
        })
    }
}

/// Says who holds a lock, the longest first; nothing if nobody is known.
pub(super) fn named(holders: &[Holder]) -> String {
    let mut holders: Vec<_> = holders.iter().collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.seconds));
    let all: Vec<_> = holders.iter().take(3).map(ToString::to_string).collect();
    match holders.len() {
        0 => String::new(),
        1..=3 => format!(": in use by {}", all.join("; ")),
        n => format!(": in use by {}; and {} more", all.join("; "), n - 3),
    }
}

/// Returns why a table could not be locked: the server's error, and who uses the table.
pub(super) fn why(job: &mut Job<'_>, table: &Table, refused: &ServerError) -> String {
    let holders: Vec<_> = locks(job, table).into_values().collect();
    format!("{}{}", refused.why, named(&holders))
}

/// Refuses to wait for a table that somebody has locked for as long as a statement may wait: it would wait in vain, and others
/// behind it.
///
/// # Errors
/// The same as that of the server, if the table is in use; what the server answers.
pub(super) fn check(job: &mut Job<'_>, table: &Table) -> Result<()> {
    job.watch.awake()?;
    let seconds = job.lock_wait.online;
    if seconds > PATIENT {
        return Ok(());
    }
    let mut held = locks(job, table);
    // Without instrumentation, the lock of the next statement looks the same.
    held.retain(|(_, event), _| *event > 0);
    for _ in 0..seconds * LOOKS {
        if held.is_empty() || !job.pause(Duration::from_secs(1) / LOOKS) {
            return Ok(());
        }
        let now = locks(job, table);
        held.retain(|lock, _| now.contains_key(lock));
    }
    if held.is_empty() {
        return Ok(());
    }
    let why = format!("it has been in use for more than {seconds} s");
    Err(Error::Server(ServerError {
        doing: "lock it".to_owned(),
        code: LOCK_WAIT_TIMEOUT,
        silent: false,
        why,
    }))
}

/// A lock: its owner, and the event that took it.
type Lock = (u64, u64);

fn locks(job: &mut Job<'_>, table: &Table) -> BTreeMap<Lock, Holder> {
    // The other locks are of those who only change a table.
    let query = format!(
        "SELECT l.OWNER_THREAD_ID, l.OWNER_EVENT_ID, t.PROCESSLIST_ID, t.PROCESSLIST_USER, t.PROCESSLIST_TIME, l.OBJECT_TYPE
         FROM performance_schema.metadata_locks l JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID
         WHERE (l.OBJECT_TYPE = 'TABLE' AND l.OBJECT_SCHEMA = {} AND l.OBJECT_NAME = {}
                OR l.OBJECT_TYPE IN ('GLOBAL', 'BACKUP LOCK') AND l.LOCK_TYPE = 'SHARED')
           AND l.LOCK_STATUS = 'GRANTED' AND t.PROCESSLIST_ID <> {}",
        quoted_text(&table.schema),
        quoted_text(&table.name),
        job.work.id()
    );
    type Row = (u64, Option<u64>, u64, Option<String>, Option<i64>, String);
    // Without performance_schema nobody is named.
    let rows = job.watch.rows::<Row>(&query).unwrap_or_default();
    rows.into_iter()
        .map(|(owner, event, connection, user, seconds, kind)| {
            let held = match kind.as_str() {
                "TABLE" => Held::Table,
                "GLOBAL" => Held::Everything,
                _ => Held::Backup,
            };
            let holder = Holder { connection, user, seconds: seconds.unwrap_or_default(), held };
            ((owner, event.unwrap_or_default()), holder)
        })
        .collect()
}

/// Does something with a bound on how long the statements wait for locks, and then sets the usual one again.
///
/// # Errors
/// What the server answers.
pub(super) fn bounded<T>(
    job: &mut Job<'_>,
    seconds: u32,
    work: impl FnOnce(&mut Job<'_>) -> Result<T>,
) -> Result<T> {
    job.work.run(&bound(seconds))?;
    let ended = work(job);
    // A lost connection is for the caller. The same table is then tried again, with this bound.
    if !matches!(&ended, Err(Error::Server(ServerError { silent: true, .. }))) {
        let usual = job.lock_wait.copy;
        job.work.run(&bound(usual))?;
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        assert_eq!([1, 2, 3, 5, 6, 60].map(|n| pause_after(n).as_secs()), [1, 2, 4, 16, 16, 16]);
    }

    #[test]
    fn who_holds_a_lock_is_named_with_what_they_did() {
        let holder = |connection, held| Holder { connection, user: Some("app".to_owned()), seconds: 9, held };
        assert_eq!(named(&[]), "");
        assert_eq!(
            named(&[holder(7, Held::Table), holder(8, Held::Backup)]),
            ": in use by connection 7 of app, for 9 s; connection 8 of app, for 9 s, with LOCK INSTANCE FOR BACKUP"
        );
        let old = Holder { seconds: 40, ..holder(9, Held::Table) };
        let all = named(&[holder(7, Held::Table), old]);
        assert!(all.starts_with(": in use by connection 9 of app, for 40 s; connection 7"), "{all}");
        let many: Vec<_> = (0..5).map(|n| holder(n, Held::Table)).collect();
        assert!(named(&many).ends_with("; and 2 more"), "{}", named(&many));
    }
}
