// SPDX-License-Identifier: GPL-2.0-or-later
//! Clients that write without pause to all tables. Every write is recorded with its time, and so is what the server
//! acknowledged.

use super::target::{SCHEMA, Target};
use mysql::prelude::Queryable;
use mysql::{Conn, Error, OptsBuilder};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How many there are.
pub const WRITERS: u64 = 4;

/// MySQL's errors for a statement that the server took back because of others.
const TAKEN_BACK: [u16; 2] = [1205, 1213];

/// One statement of a writer.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    /// The table's place in the list of them.
    pub table: u16,
    /// The connection.
    pub by: u32,
    /// Since the load began.
    pub start: Duration,
    pub took: Duration,
}

impl Write {
    pub fn end(&self) -> Duration {
        self.start + self.took
    }
}

/// What a row holds, by table and number.
pub type Rows = HashMap<u16, BTreeMap<u64, String>>;

/// What the writers did.
#[derive(Debug, Default)]
pub struct Written {
    pub writes: Vec<Write>,
    pub rows: Rows,
    /// Statements that the server took back, by its error.
    pub taken_back: BTreeMap<u16, u64>,
    /// Errors that no client expects.
    pub failed: Vec<String>,
}

/// The writers.
pub struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Written, String>>>,
    pub began: Instant,
}

/// A connection that waits as long as it takes.
pub fn patient(socket: &Path) -> Result<Conn, String> {
    let options = OptsBuilder::new().socket(Some(socket.display().to_string())).user(Some("root"));
    Conn::new(options.db_name(Some(SCHEMA))).map_err(|e| e.to_string())
}

impl Writers {
    pub fn start(socket: PathBuf, targets: &Arc<Vec<Target>>) -> Writers {
        let (stop, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let threads = (0..WRITERS).map(|number| {
            let (stop, targets, socket) = (Arc::clone(&stop), Arc::clone(targets), socket.clone());
            std::thread::spawn(move || {
                let mut writer = Writer {
                    conn: patient(&socket)?,
                    number,
                    state: 0x9e37_79b9_7f4a_7c15 ^ (number + 1),
                    step: 0,
                    targets: &targets,
                    all_rows: targets.iter().map(|t| t.rows).sum(),
                    written: Written::default(),
                };
                while !stop.load(Ordering::Relaxed) && writer.written.failed.is_empty() {
                    writer.write(began);
                }
                Ok(writer.written)
            })
        });
        let threads = threads.collect();
        Writers { stop, threads, began }
    }

    /// Stops them, and answers what they did.
    pub fn stop(self) -> Result<Written, String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Written::default();
        for thread in self.threads {
            let written = thread.join().map_err(|_| "a writer panicked")??;
            all.writes.extend(written.writes);
            for (table, rows) in written.rows {
                all.rows.entry(table).or_default().extend(rows);
            }
            written
                .taken_back
                .into_iter()
                .for_each(|(code, n)| *all.taken_back.entry(code).or_default() += n);
            all.failed.extend(written.failed);
        }
        all.writes.sort_by_key(|write| write.start);
        Ok(all)
    }
}

struct Writer<'a> {
    conn: Conn,
    number: u64,
    state: u64,
    step: u64,
    targets: &'a [Target],
    all_rows: u64,
    written: Written,
}

impl Writer<'_> {
    fn random(&mut self) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.state >> 20
    }

    /// Half of the writes go to any table, half to any row.
    fn choose(&mut self) -> usize {
        let random = self.random();
        if random.is_multiple_of(2) {
            return (random / 2) as usize % self.targets.len();
        }
        let mut at = random / 2 % self.all_rows;
        self.targets
            .iter()
            .position(|target| match at.checked_sub(target.rows) {
                Some(rest) => {
                    at = rest;
                    false
                }
                None => true,
            })
            .unwrap_or(0)
    }

    /// Changes a row or, in one of four writes, inserts one.
    fn write(&mut self, began: Instant) {
        let table = self.choose();
        let target = &self.targets[table];
        let random = self.random();
        self.step += 1;
        let unique = self.step * WRITERS + self.number;
        let row = target.row_of(self.number, random / 4).filter(|_| !random.is_multiple_of(4));
        let own_number = 1_000_000_000 * (self.number + 1) + self.step;
        let (statement, holds) = match row {
            Some(row) => target.update(row, unique),
            None => target.insert(own_number, unique),
        };
        let start = began.elapsed();
        let answer = self.conn.query_drop(&statement);
        let took = began.elapsed() - start;
        let (table, by) = (table as u16, self.conn.connection_id());
        self.written.writes.push(Write { table, by, start, took });
        match answer {
            Ok(()) => {
                let inserted = if target.numbers_itself { self.conn.last_insert_id() } else { own_number };
                self.written.rows.entry(table).or_default().insert(row.unwrap_or(inserted), holds);
            }
            Err(Error::MySqlError(e)) if TAKEN_BACK.contains(&e.code) => {
                *self.written.taken_back.entry(e.code).or_default() += 1;
            }
            Err(e) => self.written.failed.push(format!("{statement}: {e}")),
        }
    }
}
