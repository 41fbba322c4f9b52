// SPDX-License-Identifier: GPL-2.0-or-later
//! Clients that write while something is killed, connect again, and know what the server acknowledged.

use mysql::Conn;
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::Server;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const WRITERS: u32 = 2;
/// Pause between two statements: what is written must not outgrow the tables.
const PAUSE: Duration = Duration::from_millis(10);

/// A row: what the server acknowledged of it last, and what it may hold instead.
#[derive(Default)]
struct Known {
    acknowledged: Option<u32>,
    perhaps: Vec<u32>,
}

type Rows = BTreeMap<(&'static str, u32, u32), Known>;

pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Rows>>,
    rows: Rows,
}

impl Writers {
    /// Starts them. They fill the column `name` with `name`.
    pub(super) fn start(server: &Server, tables: [&'static str; 4], name: &'static str) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (1..=WRITERS)
            .map(|number| {
                let (stop, connect) = (Arc::clone(&stop), server.connector());
                std::thread::spawn(move || write(number, tables, name, &connect, &stop))
            })
            .collect();
        Writers { stop, threads, rows: Rows::new() }
    }

    pub(super) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            self.rows.extend(thread.join().expect("a writer"));
        }
    }

    /// What was acknowledged is there, and nothing that was not written.
    pub(super) fn check(&self, server: &Server) {
        let mut found = BTreeMap::new();
        let tables: std::collections::BTreeSet<_> = self.rows.keys().map(|(table, ..)| *table).collect();
        for table in tables {
            let rows: Vec<(u32, u32, u32, String)> =
                server.rows(&format!("SELECT w, n, v, name FROM kills.{table} WHERE w > 0"));
            for (w, n, v, name) in rows {
                assert!(name.ends_with(&format!(" {w}/{n}")), "{table}: {name}");
                assert_eq!(found.insert((table, w, n), v), None, "{table} {w}/{n} twice");
            }
        }
        for (row, known) in &self.rows {
            let v = found.remove(row);
            let may_be = v == known.acknowledged || v.is_some_and(|v| known.perhaps.contains(&v));
            assert!(may_be, "{row:?} is {v:?}, not {:?} or {:?}", known.acknowledged, known.perhaps);
        }
        assert!(found.is_empty(), "rows that nobody wrote: {found:?}");
        println!("{} rows that were written meanwhile are as acknowledged", self.rows.len());
    }
}

/// Inserts rows into each table in turn, and changes earlier ones.
fn write(
    w: u32,
    tables: [&'static str; 4],
    name: &str,
    connect: &dyn Fn() -> mysql::Result<Conn>,
    stop: &AtomicBool,
) -> Rows {
    let mut rows = Rows::new();
    let mut conn = None;
    let mut run = |statement: &str| {
        std::thread::sleep(PAUSE);
        if conn.is_none() {
            conn = connect().ok();
        }
        let Some(open) = &mut conn else { return None };
        let done = open.query_drop(statement);
        if matches!(&done, Err(e) if !matches!(e, mysql::Error::MySqlError(_))) {
            conn = None;
        }
        Some(done.is_ok())
    };
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        for table in tables {
            let insert = format!(
                "INSERT INTO kills.{table} (w, n, v, name, pad) VALUES ({w}, {n}, 0, '{name} {w}/{n}', 'x')"
            );
            match run(&insert) {
                None => continue,
                Some(true) => {
                    drop(rows.insert((table, w, n), Known { acknowledged: Some(0), perhaps: Vec::new() }))
                }
                // Also if the server said no: an error may come after the commit.
                Some(false) => {
                    drop(rows.insert((table, w, n), Known { acknowledged: None, perhaps: vec![0] }))
                }
            }
            let earlier = (table, w, n.div_ceil(2));
            let Some(known) = rows.get_mut(&earlier).filter(|known| known.acknowledged.is_some()) else {
                continue;
            };
            // A number that no other statement writes.
            let update = format!("UPDATE kills.{table} SET v = {n} WHERE w = {w} AND n = {}", earlier.2);
            match run(&update) {
                None => {}
                Some(true) => *known = Known { acknowledged: Some(n), perhaps: Vec::new() },
                Some(false) => known.perhaps.push(n),
            }
        }
    }
    rows
}
