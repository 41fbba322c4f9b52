// SPDX-License-Identifier: GPL-2.0-or-later
//! What a session remembers of its connection, for the case that it must connect anew.

use crate::error::{Error, Result, ServerError};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How much a server's uptime may be off, in seconds.
const UPTIME_SLACK: u64 = 5;

/// Why a connection was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// The server was restarted.
    Restart,
    /// The server kept running: it or somebody closed this connection.
    Closed,
}

/// What a new connection must have, too.
#[derive(Default)]
pub(super) struct Kept {
    /// `SET SESSION` and `USE`, in the order in which they were run.
    pub statements: Vec<String>,
    /// Whether it copies tables.
    pub copying: bool,
    /// A user-level lock.
    pub lock: Option<String>,
}

/// The server that a session is connected to.
#[derive(Clone)]
pub(super) struct Identity {
    pub uuid: String,
    pub uptime: u64,
    pub since: Instant,
    /// The connection's number: the server counts upwards from its start.
    pub connection: u32,
}

impl Identity {
    /// Returns why a connection was lost, from what the server says on a new one.
    pub(super) fn loss(&self, now: &Identity) -> Loss {
        let elapsed = now.since.saturating_duration_since(self.since).as_secs();
        let is_younger = now.uptime.saturating_add(UPTIME_SLACK) < self.uptime.saturating_add(elapsed);
        if is_younger || now.connection < self.connection { Loss::Restart } else { Loss::Closed }
    }

    /// Whether both are of the same start of the server.
    pub(super) fn is_same_start(&self, other: &Identity) -> bool {
        let (earlier, later) = if self.since <= other.since { (self, other) } else { (other, self) };
        earlier.loss(later) == Loss::Closed
    }

    /// Refuses another server behind the same address: that of a proxy, or after a failover.
    pub(super) fn require_same(&self, other: &Identity, way: &str) -> Result<()> {
        if self.uuid == other.uuid {
            return Ok(());
        }
        Err(Error::Server(ServerError {
            doing: format!("use two connections to {way}"),
            code: 0,
            silent: false,
            why: format!(
                "they led to two servers, {} and {}. Connect to the server itself, not to a proxy or a shared address",
                self.uuid, other.uuid
            ),
        }))
    }
}

/// What several sessions have told the user, so that each thing is told once.
#[derive(Default)]
pub(super) struct Told(Mutex<Said>);

#[derive(Default)]
struct Said {
    /// That the server is waited for.
    lost: bool,
    /// The start of the server that they are connected to again.
    started: Option<Identity>,
}

impl Told {
    /// Whether it is news that the connection was lost and the server is waited for.
    pub(super) fn is_lost_now(&self) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut said.lost, true)
    }

    /// Whether it is news that a session is connected again. `waited`: the server did not answer at first.
    pub(super) fn is_back_now(&self, loss: Loss, waited: bool, now: &Identity) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was_lost = std::mem::take(&mut said.lost);
        match loss {
            Loss::Closed => was_lost || !waited,
            Loss::Restart => {
                let is_known = said.started.as_ref().is_some_and(|before| before.is_same_start(now));
                said.started = Some(now.clone());
                !is_known
            }
        }
    }
}

/// Leaves the statements of this connection out of performance_schema.
pub const NOT_MEASURED: &str =
    "UPDATE performance_schema.threads SET INSTRUMENTED = 'NO' WHERE PROCESSLIST_ID = CONNECTION_ID()";

impl Kept {
    /// Keeps what a statement sets for the session.
    pub(super) fn add(&mut self, statement: &str) {
        let is_kept =
            |prefix: &str| statement.get(..prefix.len()).is_some_and(|s| s.eq_ignore_ascii_case(prefix));
        if statement == NOT_MEASURED {
            self.statements.retain(|old| old != statement);
            self.statements.push(statement.to_owned());
        } else if is_kept("SET SESSION ") || is_kept("USE ") {
            // A later value of a variable replaces an earlier one.
            let what =
                |s: &str| s.split(['=', ' ']).take(3).collect::<Vec<_>>().join(" ").to_ascii_lowercase();
            let new = what(statement);
            self.statements.retain(|old| !(is_kept("SET SESSION ") && what(old) == new));
            self.statements.push(statement.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn sessions_to_the_same_start_of_a_server_know_that() {
        let began = Instant::now();
        let at = |seconds, uptime, connection| Identity {
            uuid: String::new(),
            uptime,
            since: began + Duration::from_secs(seconds),
            connection,
        };
        let first = at(100, 3, 8);
        for (other, is_same) in
            [(at(101, 4, 9), true), (at(99, 2, 7), true), (at(200, 3, 8), false), (at(102, 5, 2), false)]
        {
            assert_eq!((first.is_same_start(&other), other.is_same_start(&first)), (is_same, is_same));
        }
    }

    #[test]
    fn what_is_set_for_the_session_is_kept_once() {
        let mut kept = Kept::default();
        for statement in [
            "SET SESSION sql_log_bin = 0",
            "SET SESSION lock_wait_timeout = 10",
            "SET GLOBAL innodb_redo_log_capacity = 1",
            "USE clinic",
            "SET SESSION lock_wait_timeout=30",
            "ALTER TABLE t ENCRYPTION = 'Y'",
        ] {
            kept.add(statement);
        }
        assert_eq!(
            kept.statements,
            ["SET SESSION sql_log_bin = 0", "USE clinic", "SET SESSION lock_wait_timeout=30"]
        );
    }

    #[test]
    fn a_restart_is_known_by_the_uptime_and_another_server_by_its_id() {
        let since = Instant::now();
        let at = |uuid: &str, uptime, seconds| Identity {
            uuid: uuid.to_owned(),
            uptime,
            since: since + Duration::from_secs(seconds),
            connection: 8,
        };
        let before = at("a", 1000, 0);
        assert_eq!(before.loss(&at("a", 1060, 60)), Loss::Closed);
        assert_eq!(before.loss(&at("a", 2, 60)), Loss::Restart);
        let one_of_many = Identity { connection: 9, ..at("a", 1, 0) };
        assert_eq!(
            one_of_many.loss(&at("a", 1, 3)),
            Loss::Restart,
            "a server that was started just before, too"
        );
        before.require_same(&at("a", 2, 60), "db").unwrap();
        assert!(
            before.require_same(&at("b", 1060, 60), "db").unwrap_err().to_string().contains("two servers")
        );
    }

    #[test]
    fn that_the_server_was_lost_and_is_back_is_told_once_for_all_sessions() {
        let told = Told::default();
        let since = Instant::now() + Duration::from_secs(5000);
        let at = |uptime, seconds| Identity {
            uuid: "a".to_owned(),
            uptime,
            since: since + Duration::from_secs(seconds),
            connection: 8,
        };
        assert_eq!([told.is_lost_now(), told.is_lost_now()], [true, false]);
        let back = |loss, waited, now| told.is_back_now(loss, waited, &now);
        assert!(back(Loss::Restart, true, at(2, 0)));
        assert!(!back(Loss::Restart, true, at(3, 1)), "the next session");
        assert!(!back(Loss::Restart, false, at(30, 28)), "one that was idle");
        assert!(told.is_lost_now() && back(Loss::Restart, true, at(1, 60)), "the next restart");
        assert!(told.is_lost_now() && back(Loss::Closed, true, at(90, 149)));
        assert!(!back(Loss::Closed, true, at(91, 150)));
        assert!(back(Loss::Closed, false, at(99, 158)), "KILL");
    }
}
