// SPDX-License-Identifier: GPL-2.0-or-later
//! Clients that write and read without pause, and record what the server acknowledged.

use mysql::prelude::Queryable;
use mysql::{Conn, Error};
use mysql_plugin_tests::biobank::{PLANTED, planted};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// MySQL's errors for a statement that the server rolled back because of others.
const IN_THE_WAY: [u16; 2] = [1205, 1213];

/// The values of a row of `load_visits`.
type Visit = (u64, u32, String);

/// Writers, each with its own thread and rows.
pub struct Load {
    stop: Arc<AtomicBool>,
    writes: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Writer>>,
}

struct Writer {
    rows: BTreeMap<u64, Visit>,
    log: u64,
    refused: HashMap<u16, u64>,
}

/// What the server acknowledged.
pub struct Acknowledged {
    rows: BTreeMap<u64, Visit>,
    log: u64,
    /// Statements that the server rolled back, by its error.
    pub refused: HashMap<u16, u64>,
}

impl Load {
    pub fn start<C>(schema: &str, connect: C, writers: u64) -> Load
    where
        C: Fn() -> mysql::Result<Conn> + Clone + Send + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let writes = Arc::new(AtomicU64::new(0));
        let threads = (0..writers).map(|number| {
            let (stop, writes, connect) = (Arc::clone(&stop), Arc::clone(&writes), connect.clone());
            let schema = schema.to_owned();
            std::thread::spawn(move || {
                let mut conn = connect().expect("a connection for writing");
                conn.query_drop(format!("USE `{schema}`")).unwrap();
                let mut writer = Writer { rows: BTreeMap::new(), log: 0, refused: HashMap::new() };
                let mut step = 0;
                while !stop.load(Ordering::Relaxed) {
                    writer.step(&mut conn, number << 32, step);
                    writes.fetch_add(1, Ordering::Relaxed);
                    step += 1;
                }
                writer
            })
        });
        let threads = threads.collect();
        Load { stop, writes, threads }
    }

    /// Returns the number of statements executed in that time.
    pub fn count_during(&self, time: Duration) -> u64 {
        let before = self.writes.load(Ordering::Relaxed);
        std::thread::sleep(time);
        self.writes.load(Ordering::Relaxed) - before
    }

    pub fn stop(self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Acknowledged { rows: BTreeMap::new(), log: 0, refused: HashMap::new() };
        for thread in self.threads {
            let writer = thread.join().expect("a writer");
            all.rows.extend(writer.rows);
            all.log += writer.log;
            writer.refused.into_iter().for_each(|(code, n)| *all.refused.entry(code).or_default() += n);
        }
        all
    }
}

impl Writer {
    /// Inserts, changes, reads, deletes and logs in turn; reads are of the whole biobank.
    fn step(&mut self, conn: &mut Conn, base: u64, step: u64) {
        let id = base + 1 + step / 8;
        let text = format!("{} {step}", planted(1 + step % PLANTED));
        let participant = 1 + step % PLANTED;
        match step % 8 {
            0 => {
                let insert = format!("INSERT INTO load_visits VALUES ({id}, {participant}, 0, '{text}')");
                if self.carry_out(conn, &insert) {
                    self.rows.insert(id, (participant, 0, text));
                }
            }
            1 | 2 => {
                let version = (step % 8) as u32;
                let update =
                    format!("UPDATE load_visits SET version = {version}, summary = '{text}' WHERE id = {id}");
                if self.carry_out(conn, &update)
                    && let Some(row) = self.rows.get_mut(&id)
                {
                    (row.1, row.2) = (version, text);
                }
            }
            3 if step.is_multiple_of(3) => {
                if self.carry_out(conn, &format!("DELETE FROM load_visits WHERE id = {id}")) {
                    self.rows.remove(&id);
                }
            }
            4 => {
                let insert = format!("INSERT INTO load_log (visit_id, what) VALUES ({id}, '{text}')");
                self.log += u64::from(self.carry_out(conn, &insert));
            }
            5 => {
                let query = format!("SELECT full_name, remarks FROM participants WHERE id = {participant}");
                let row: Option<(String, String)> = conn.query_first(query).expect("a participant is read");
                assert_eq!(row.expect("a participant").0, planted(participant));
            }
            _ => {
                let query = format!(
                    "SELECT COUNT(*) FROM enrolments e JOIN visits v ON v.enrolment_id = e.id WHERE e.participant_id = {participant}"
                );
                let _: Option<u64> = conn.query_first(query).expect("visits are counted");
            }
        }
    }

    /// Returns whether the server executed it and did not roll it back.
    fn carry_out(&mut self, conn: &mut Conn, statement: &str) -> bool {
        match conn.query_drop(statement) {
            Ok(()) => true,
            Err(Error::MySqlError(e)) if IN_THE_WAY.contains(&e.code) => {
                *self.refused.entry(e.code).or_default() += 1;
                false
            }
            Err(e) => panic!("{statement}: {e}"),
        }
    }
}

impl Acknowledged {
    /// Asserts that the server has exactly what it acknowledged.
    pub fn compare(&self, conn: &mut Conn, schema: &str) {
        let query = format!("SELECT id, participant_id, version, summary FROM `{schema}`.load_visits");
        let rows: Vec<(u64, u64, u32, String)> = conn.query(query).unwrap();
        let rows: BTreeMap<u64, Visit> = rows.into_iter().map(|(id, p, v, s)| (id, (p, v, s))).collect();
        let differing = rows.iter().find(|(id, row)| self.rows.get(id) != Some(row));
        assert_eq!(differing, None, "a row that was not acknowledged so");
        assert_eq!(rows.len(), self.rows.len(), "acknowledged rows are missing");
        let log: Option<u64> = conn.query_first(format!("SELECT COUNT(*) FROM `{schema}`.load_log")).unwrap();
        assert_eq!(log, Some(self.log), "the log");
        assert!(rows.len() > 100, "the load has hardly written: {} rows", rows.len());
    }
}
