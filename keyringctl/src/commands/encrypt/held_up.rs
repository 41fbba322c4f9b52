// SPDX-License-Identifier: GPL-2.0-or-later
//! Says what a run waits for if the server does not answer one of its short statements: a backup or somebody else holds a lock
//! that the statement needs. It goes on by itself when the lock is free. Statements on tables do not wait for long, and those who
//! run them say who is in the way.

use super::locks::{Held, Holder, named};
use super::sizes;
use crate::server::{Busy, Call, ConnectOptions, Session};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How often it looks.
const EVERY: Duration = Duration::from_millis(300);
/// A statement that takes longer may wait for somebody.
const LONG: Duration = Duration::from_secs(1);
/// How long the server may take to say for whom.
const ANSWER: Duration = Duration::from_secs(3);
/// How much of a statement is shown.
const SHOWN: usize = 60;

/// What there is to say.
pub(super) struct HeldUp(Receiver<String>);

/// A statement that may wait.
struct Suspect {
    call: Call,
    /// Whether the user knows.
    told: bool,
    /// When the server is asked again.
    next: Instant,
}

impl HeldUp {
    /// Watches a session and those that are connected from it. It connects only when a statement takes long, and only for one
    /// look at a time.
    pub(super) fn watch(session: &Session) -> HeldUp {
        let (options, busy) = (session.options().clone(), session.busy());
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut suspects: Vec<Suspect> = Vec::new();
            // Until no session is left, or nobody listens.
            while Arc::strong_count(&busy) > 1 {
                thread::sleep(EVERY);
                for line in look(&options, &busy, &mut suspects) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            }
        });
        HeldUp(receiver)
    }

    /// Returns what there is to say since the last call.
    pub(super) fn news(&self) -> Vec<String> {
        self.0.try_iter().collect()
    }
}

fn look(options: &ConnectOptions, busy: &Busy, suspects: &mut Vec<Suspect>) -> Vec<String> {
    let (go_on, over): (Vec<_>, Vec<_>) =
        std::mem::take(suspects).into_iter().partition(|suspect| busy.goes_on(&suspect.call));
    *suspects = go_on;
    let mut lines: Vec<_> = over
        .iter()
        .filter(|suspect| suspect.told)
        .map(|suspect| format!("Continuing after {}", sizes::time(suspect.call.since.elapsed())))
        .collect();
    for call in busy.longer_than(LONG) {
        if suspects.iter().all(|suspect| suspect.call != call) {
            suspects.push(Suspect { call, told: false, next: Instant::now() });
        }
    }
    for suspect in suspects.iter_mut().filter(|s| !s.told && s.next <= Instant::now()) {
        if let Some(line) = why(options, &suspect.call) {
            suspect.told = true;
            lines.push(line);
        }
        // One that works is asked less and less often.
        suspect.next = Instant::now() + suspect.call.since.elapsed();
    }
    lines
}

/// Returns what a statement waits for, and who holds that; `None` if it does not wait.
fn why(options: &ConnectOptions, call: &Call) -> Option<String> {
    let mut session = Session::connect_briefly(options, ANSWER).ok()?;
    let state: Option<String> = session
        .first(&format!("SELECT STATE FROM information_schema.PROCESSLIST WHERE ID = {}", call.connection))
        .ok()??;
    let state = state.filter(|state| is_wait(state))?;
    // Without performance_schema nobody is named.
    let holders = holders(&mut session, call.connection).unwrap_or_default();
    Some(said(&call.statement, &state, &holders))
}

/// Whether a connection in this state waits for a lock of somebody.
fn is_wait(state: &str) -> bool {
    state == "User lock" || (state.starts_with("Waiting for ") && state.ends_with(" lock"))
}

fn said(statement: &str, state: &str, holders: &[Holder]) -> String {
    let words = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    let statement = match words.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &words[..end]),
        None => words,
    };
    let lock = state.strip_prefix("Waiting for ").unwrap_or("user lock");
    format!("Waiting: {statement} needs a lock ({lock}){}", named(holders))
}

fn holders(session: &mut Session, connection: u32) -> crate::error::Result<Vec<Holder>> {
    // Of the locks of the whole server, only shared ones are in the way of a change.
    let rows = session.rows::<(u64, Option<String>, Option<i64>, String)>(&format!(
        "SELECT DISTINCT t.PROCESSLIST_ID, t.PROCESSLIST_USER, t.PROCESSLIST_TIME, g.OBJECT_TYPE
         FROM performance_schema.metadata_locks p
         JOIN performance_schema.threads w ON w.THREAD_ID = p.OWNER_THREAD_ID AND w.PROCESSLIST_ID = {connection}
         JOIN performance_schema.metadata_locks g ON g.OBJECT_TYPE = p.OBJECT_TYPE
              AND g.OBJECT_SCHEMA <=> p.OBJECT_SCHEMA AND g.OBJECT_NAME <=> p.OBJECT_NAME
              AND g.LOCK_STATUS = 'GRANTED'
              AND (g.OBJECT_TYPE NOT IN ('GLOBAL', 'COMMIT', 'BACKUP LOCK') OR g.LOCK_TYPE = 'SHARED')
         JOIN performance_schema.threads t ON t.THREAD_ID = g.OWNER_THREAD_ID
         WHERE p.LOCK_STATUS = 'PENDING' AND t.PROCESSLIST_ID <> {connection}"
    ))?;
    let holder = |(connection, user, seconds, kind): (u64, _, Option<i64>, String)| Holder {
        connection,
        user,
        seconds: seconds.unwrap_or_default(),
        held: match kind.as_str() {
            "GLOBAL" | "COMMIT" => Held::Everything,
            "BACKUP LOCK" => Held::Backup,
            _ => Held::Table,
        },
    };
    Ok(rows.into_iter().map(holder).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_with_its_statement_its_lock_and_who_holds_that() {
        let holder =
            Holder { connection: 7, user: Some("backup".to_owned()), seconds: 9, held: Held::Backup };
        assert_eq!(
            said("DROP SCHEMA\n  IF EXISTS s", "Waiting for backup lock", &[holder]),
            "Waiting: DROP SCHEMA IF EXISTS s needs a lock (backup lock): in use by connection 7 of backup, for 9 s, with LOCK INSTANCE FOR BACKUP"
        );
        let long = said(&"x".repeat(100), "User lock", &[]);
        assert!(
            long.starts_with("Waiting: xxx") && long.ends_with("x... needs a lock (user lock)"),
            "{long}"
        );
        for (state, waits) in [("Waiting for global read lock", true), ("altering table", false), ("", false)]
        {
            assert_eq!(is_wait(state), waits, "{state}");
        }
    }
}
