// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks at the server's sessions many times a second: which statements rewrite tables, and what writers wait for.

use super::writers::{Write, patient};
use mysql::prelude::Queryable;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(25);

/// What a statement does to a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Rewrites it while its writers wait.
    Copy,
    /// Moves it into a scratch tablespace, online.
    In,
    /// Encrypts a tablespace, page by page.
    Encrypt,
    /// Moves it into a file of its own, online.
    Out,
    /// Creates or drops a tablespace.
    Scratch,
}

impl Kind {
    /// Of a statement's text; `None`: another statement.
    fn of(text: &str) -> Option<Kind> {
        let text = text.trim_start();
        let begins = |with: &str| text.get(..with.len()).is_some_and(|t| t.eq_ignore_ascii_case(with));
        if begins("ALTER TABLESPACE") || begins("ALTER UNDO") {
            Some(Kind::Encrypt)
        } else if begins("CREATE TABLESPACE") || begins("DROP TABLESPACE") {
            Some(Kind::Scratch)
        } else if begins("ALTER TABLE") {
            Some(match text {
                _ if !text.contains("INPLACE") => Kind::Copy,
                _ if text.contains("innodb_file_per_table") => Kind::Out,
                _ => Kind::In,
            })
        } else {
            None
        }
    }
}

/// A statement that was seen.
#[derive(Clone, Debug)]
pub struct Statement {
    pub kind: Kind,
    /// As much of it as names it.
    pub text: String,
    /// First and last seen, since the load began.
    pub from: Duration,
    pub to: Duration,
    /// In which stage it was seen when, or in which state where the server counts no stages.
    stages: Vec<(Duration, String)>,
}

impl Statement {
    /// The stage in which it was seen most often during a write.
    pub fn stage_during(&self, write: &Write) -> Option<&str> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let during = self.stages.iter().filter(|(at, _)| *at >= write.start && *at <= write.end());
        during.for_each(|(_, stage)| *counts.entry(stage).or_default() += 1);
        counts.into_iter().max_by_key(|(_, n)| *n).map(|(stage, _)| stage)
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub statements: Vec<Statement>,
    /// When a session was seen in which state: by connection, in the order of time.
    states: HashMap<u32, Vec<(Duration, u16)>>,
    names: Vec<String>,
}

impl Seen {
    /// What a write waited for, most often seen first, with the share of the looks.
    pub fn waits_of(&self, write: &Write) -> Vec<(String, f64)> {
        let looks = self.states.get(&write.by).map_or(&[][..], Vec::as_slice);
        let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
        let during: Vec<_> = looks
            .iter()
            .filter(|(at, _)| *at >= write.start && *at <= write.end())
            .map(|(_, s)| *s)
            .collect();
        during.iter().for_each(|state| *counts.entry(*state).or_default() += 1);
        let mut sorted: Vec<_> = counts.into_iter().collect();
        sorted.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let share = |n: usize| n as f64 / during.len() as f64;
        sorted.into_iter().map(|(state, n)| (self.names[state as usize].clone(), share(n))).collect()
    }

    /// The statements that ran at some time of a write.
    pub fn during(&self, write: &Write) -> Vec<&Statement> {
        self.statements.iter().filter(|s| s.from <= write.end() && s.to + EVERY >= write.start).collect()
    }
}

/// A session that looks.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Seen, String>>,
}

impl Watch {
    pub fn start(socket: PathBuf, began: Instant) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || look(&socket, began, &stopped));
        Watch { stop, thread }
    }

    pub fn stop(self) -> Result<Seen, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the session that looks panicked".to_owned())?
    }
}

fn look(socket: &std::path::Path, began: Instant, stop: &AtomicBool) -> Result<Seen, String> {
    let mut conn = patient(socket)?;
    let stages =
        "UPDATE performance_schema.setup_consumers SET ENABLED = 'YES' WHERE NAME = 'events_stages_current'";
    conn.query_drop(stages).map_err(|e| format!("{stages}: {e}"))?;
    let query = "SELECT t.PROCESSLIST_ID, IFNULL(t.PROCESSLIST_STATE, ''), LEFT(t.PROCESSLIST_INFO, 300),
                        IFNULL(SUBSTRING_INDEX(s.EVENT_NAME, '/', -1), '')
                 FROM performance_schema.threads t LEFT JOIN performance_schema.events_stages_current s USING (THREAD_ID)
                 WHERE t.PROCESSLIST_COMMAND = 'Query' AND t.PROCESSLIST_INFO IS NOT NULL AND t.PROCESSLIST_ID <> CONNECTION_ID()";
    let mut seen = Seen::default();
    let mut running: HashMap<(u32, String), usize> = HashMap::new();
    while !stop.load(Ordering::Relaxed) {
        let rows: Vec<(u32, String, String, String)> =
            conn.query(query).map_err(|e| format!("{query}: {e}"))?;
        let now = began.elapsed();
        let mut still = HashMap::new();
        for (id, state, text, stage) in rows {
            let Some(kind) = Kind::of(&text) else {
                let state = seen.names.iter().position(|name| *name == state).unwrap_or_else(|| {
                    seen.names.push(state);
                    seen.names.len() - 1
                });
                seen.states.entry(id).or_default().push((now, state as u16));
                continue;
            };
            let at = running.remove(&(id, text.clone())).unwrap_or_else(|| {
                seen.statements.push(Statement {
                    kind,
                    text: text.clone(),
                    from: now,
                    to: now,
                    stages: Vec::new(),
                });
                seen.statements.len() - 1
            });
            seen.statements[at].to = now;
            seen.statements[at].stages.push((now, if stage.is_empty() { state } else { stage }));
            still.insert((id, text), at);
        }
        running = still;
        std::thread::sleep(EVERY);
    }
    Ok(seen)
}
