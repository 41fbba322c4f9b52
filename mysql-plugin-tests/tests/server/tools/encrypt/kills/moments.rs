// SPDX-License-Identifier: GPL-2.0-or-later
//! The moments at which something is killed, and how they are caught: in one of the five statements of an online rewrite, after
//! it and before the next one, or at any time.

use mysql::Conn;
use mysql::prelude::Queryable;
use mysql_plugin_tests::common::Rng;
use mysql_plugin_tests::rig::{Server, signal};
use rustix::process::Signal;
use std::fmt;
use std::process::Child;
use std::time::{Duration, Instant};

/// How often the server is asked what it carries out.
const POLL: Duration = Duration::from_micros(500);
/// The longest time until a random moment.
const LONGEST: usize = 3000;

/// The statements of an online rewrite.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum At {
    Create,
    In,
    Turn,
    Out,
    Drop,
}

impl At {
    pub(super) const ALL: [At; 5] = [At::Create, At::In, At::Turn, At::Out, At::Drop];

    /// Recognises a statement.
    fn of(statement: &str) -> Option<At> {
        let is_scratch = ["`keyring_external_encrypt_", "`keyring_external_decrypt_"]
            .iter()
            .any(|s| statement.contains(s));
        Some(match statement {
            _ if statement.starts_with("ALTER TABLE ")
                && statement.contains("TABLESPACE = innodb_file_per_table") =>
            {
                At::Out
            }
            _ if !is_scratch => return None,
            _ if statement.starts_with("CREATE TABLESPACE ") => At::Create,
            _ if statement.starts_with("ALTER TABLE ") => At::In,
            _ if statement.starts_with("ALTER TABLESPACE ") => At::Turn,
            _ if statement.starts_with("DROP TABLESPACE ") => At::Drop,
            _ => return None,
        })
    }

    /// Whether it is so short that it must be held up to be caught.
    fn is_short(self) -> bool {
        matches!(self, At::Create | At::Drop)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            At::Create => "CREATE TABLESPACE",
            At::In => "the move in",
            At::Turn => "ALTER TABLESPACE",
            At::Out => "the move out",
            At::Drop => "DROP TABLESPACE",
        })
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    In(At),
    After(At),
    /// After so many milliseconds.
    Random(u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub when: When,
    /// Whether the server is killed, not keyringctl.
    pub is_server: bool,
}

impl Moment {
    /// So many moments: the statements in turn, in them and after them, of server and client, and between them random ones.
    pub(super) fn list(kills: usize, rng: &mut Rng) -> Vec<Moment> {
        let ways = |at: Option<At>, rng: &mut Rng| {
            let when = |after: bool, rng: &mut Rng| match at {
                None => When::Random(rng.below(LONGEST) as u64),
                Some(at) if after => When::After(at),
                Some(at) => When::In(at),
            };
            let all = [(false, true), (true, false), (false, false), (true, true)];
            let mut all = all.map(|(after, is_server)| Moment { when: when(after, rng), is_server });
            all.rotate_left(rng.below(4));
            all
        };
        let mut list = Vec::new();
        while list.len() < kills {
            let kinds: Vec<_> = At::ALL.into_iter().map(Some).chain([None]).map(|at| ways(at, rng)).collect();
            (0..4).for_each(|i| list.extend(kinds.iter().map(|ways| ways[i])));
        }
        list.truncate(kills);
        list
    }
}

/// What was going on at the moment of the kill.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Caught {
    In(At),
    After(At),
    /// Between the statements of tables, or before the first.
    Elsewhere,
    /// The run had ended.
    Ended,
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caught::In(at) => write!(f, "in {at}"),
            Caught::After(at) => write!(f, "after {at}"),
            Caught::Elsewhere => f.write_str("elsewhere"),
            Caught::Ended => f.write_str("after the end"),
        }
    }
}

/// Watches what the server carries out.
pub(super) struct Watch {
    conn: Conn,
    /// Holds up CREATE and DROP TABLESPACE.
    gate: Conn,
    run: u32,
    last: Option<At>,
}

impl Watch {
    pub(super) fn over(server: &Server, run: u32) -> Watch {
        let mut gate = server.connect();
        gate.query_drop("SET SESSION lock_wait_timeout = 60").unwrap();
        Watch { conn: server.connect(), gate, run, last: None }
    }

    /// Waits for the moment. The run is stopped then, but the server goes on with its statement.
    pub(super) fn catch(&mut self, moment: Moment, run: &mut Child, rng: &mut Rng) -> Caught {
        match moment.when {
            When::Random(after) => {
                let until = Instant::now() + Duration::from_millis(after);
                while Instant::now() < until && run.try_wait().unwrap().is_none() {
                    self.look();
                }
            }
            When::In(at) => {
                if self.wait_for(at, run) {
                    self.stop();
                    self.open();
                    std::thread::sleep(Duration::from_micros(rng.below(if at.is_short() {
                        15_000
                    } else {
                        150_000
                    }) as u64));
                }
            }
            When::After(at) => {
                if self.wait_for(at, run) {
                    self.stop();
                    self.open();
                    while self.look() == Some(at) {}
                }
            }
        }
        self.stop();
        match self.look() {
            _ if run.try_wait().unwrap().is_some() => Caught::Ended,
            Some(at) => Caught::In(at),
            None => self.last.map_or(Caught::Elsewhere, Caught::After),
        }
    }

    /// Waits until the server carries out that statement. Returns `false` if the run ends before.
    fn wait_for(&mut self, at: At, run: &mut Child) -> bool {
        let mut held = false;
        loop {
            let now = self.look();
            if now == Some(at) {
                return true;
            }
            // Held up from a statement of the table before, not earlier: what apply tries first needs it too.
            if at.is_short() && !held && now == Some(At::Out) {
                held = true;
                self.gate.query_drop("LOCK INSTANCE FOR BACKUP").unwrap();
            }
            if at == At::Create && held && now == Some(At::Drop) {
                self.gate.query_drop("UNLOCK INSTANCE").unwrap();
                self.gate.query_drop("LOCK INSTANCE FOR BACKUP").unwrap();
            }
            if run.try_wait().unwrap().is_some() {
                self.open();
                return false;
            }
        }
    }

    fn open(&mut self) {
        self.gate.query_drop("UNLOCK INSTANCE").unwrap();
    }

    fn stop(&self) {
        signal(self.run, Signal::STOP);
    }

    /// The statement that the server carries out now.
    fn look(&mut self) -> Option<At> {
        std::thread::sleep(POLL);
        let statements: Vec<String> = self
            .conn
            .query("SELECT PROCESSLIST_INFO FROM performance_schema.threads WHERE PROCESSLIST_COMMAND = 'Query' AND PROCESSLIST_INFO LIKE '%TABLESPACE%' AND PROCESSLIST_ID <> CONNECTION_ID()")
            .unwrap();
        let now = statements.iter().find_map(|statement| At::of(statement));
        self.last = now.or(self.last);
        now
    }
}
