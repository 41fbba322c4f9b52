// SPDX-License-Identifier: GPL-2.0-or-later
//! A read-write OLTP workload: without encryption, and with all that can be encrypted encrypted, under either
//! keyring. By sysbench where it is installed, else by transactions of the same kind made here.

use super::Site;
use crate::abi::{BOTH, Bench};
use crate::disk::run;
use crate::figure::{Row, Table, Unit};
use crate::plan::Plan;
use crate::progress::Progress;
use mysql::Conn;
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Server};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Sessions at work.
const SESSIONS: u64 = 2;
const TABLES: u64 = 4;

/// The tables fit into memory; a page that is written, to the log or to its file, is what encryption costs.
const OPTIONS: [&str; 2] = ["--innodb-buffer-pool-size=128M", "--innodb-redo-log-capacity=100M"];
const ENCRYPTED: [&str; 4] = [
    "--default-table-encryption=ON",
    "--innodb-redo-log-encrypt=ON",
    "--innodb-undo-log-encrypt=ON",
    "--binlog-encryption=ON",
];

pub fn measure(bench: &Bench<'_>, plan: &Plan, progress: &Progress) -> Result<Vec<Table>, String> {
    progress.expect(plan.oltp_rounds as usize + 1);
    progress.say("OLTP: filling tables");
    let with = |host: Host, options: &[&str]| options.iter().fold(host, |host, o| host.option(*o));
    let [ours, peer] = BOTH.map(|which| Site::new(bench, which, "oltp"));
    let encrypted = |site: Site| with(with(site.host, &OPTIONS), &ENCRYPTED);
    let hosts = [encrypted(ours?), encrypted(peer?), with(Host::new(), &OPTIONS)];
    let servers = hosts.each_ref().map(Host::start);
    let sysbench = run(Command::new("sysbench").arg("--version")).ok();
    for (host, server) in hosts.iter().zip(&servers) {
        server.sql("CREATE DATABASE oltp");
        match &sysbench {
            Some(_) => drop(run(sysbench_on(host, plan, 1).arg("prepare"))?),
            None => prepare(server, plan)?,
        }
    }
    progress.step();
    let mut taken = [const { Vec::new() }; 3];
    // The first round warms up.
    for round in 0..=plan.oltp_rounds {
        progress.say(&format!("OLTP: round {round} of {}", plan.oltp_rounds));
        // Each is as often before another as behind it.
        for turn in 0..3 {
            let who = ((turn + round) % 3) as usize;
            let per_second = match &sysbench {
                Some(_) => {
                    transactions_of(&run(sysbench_on(&hosts[who], plan, plan.oltp_seconds).arg("run"))?)?
                }
                None => drive(&servers[who], plan)?,
            };
            if round > 0 {
                taken[who].push(per_second);
            }
        }
        progress.step();
    }
    servers.into_iter().for_each(Server::stop);
    let [ours, peer, plain] = &taken;
    // What the machine does to one round it does to all three turns of it.
    let paired: Vec<_> = ours.iter().zip(peer).map(|(ours, peer)| ours / peer).collect();
    let spread = crate::figure::Figure::of(&paired);
    let by = sysbench
        .map_or("transactions of this program".to_owned(), |v| format!("oltp_read_write of {}", v.trim()));
    Ok(vec![Table {
        title: "OLTP, read and write",
        about: format!(
            "{by}: {SESSIONS} sessions, {TABLES} tables of {} rows, {} interleaved rounds of {} s. With a keyring, \
             tables, redo, undo and binary logs are encrypted. The server syncs nothing, so that no wait for a disk \
             hides what encryption costs. Ratio to the peer within one round: {}.",
            plan.oltp_rows,
            plan.oltp_rounds,
            plan.oltp_seconds,
            spread.map_or("–".to_owned(), |f| format!("{:.3} ({:.3}..{:.3})", f.median, f.low, f.high)),
        ),
        size: "",
        floor: "without encryption",
        rows: vec![Row::new("transactions", None, Unit::PerSecond, ours, peer).with_floor(plain)],
    }])
}

fn sysbench_on(host: &Host, plan: &Plan, seconds: u64) -> Command {
    let mut command = Command::new("sysbench");
    command
        .args([
            "oltp_read_write",
            "--db-driver=mysql",
            "--mysql-user=root",
            "--mysql-db=oltp",
            "--report-interval=0",
        ])
        .arg(format!("--mysql-socket={}", host.socket().display()))
        .arg(format!("--tables={TABLES}"))
        .arg(format!("--table-size={}", plan.oltp_rows))
        .arg(format!("--threads={SESSIONS}"))
        .arg(format!("--time={seconds}"));
    command
}

/// The transactions in a second that sysbench reports: `transactions: 1234 (246.80 per sec.)`.
fn transactions_of(report: &str) -> Result<f64, String> {
    let line = report.lines().find_map(|l| l.trim().strip_prefix("transactions:"));
    let number = line.and_then(|l| l.split_once('(')?.1.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("sysbench told no transactions:\n{report}"))
}

fn prepare(server: &Server, plan: &Plan) -> Result<(), String> {
    let mut conn = server.connect();
    for table in 0..TABLES {
        let create = format!(
            "CREATE TABLE oltp.t{table} (id INT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, KEY (k))"
        );
        conn.query_drop(create).map_err(|e| e.to_string())?;
        for from in (1..=plan.oltp_rows).step_by(1000) {
            let rows: Vec<_> = (from..(from + 1000).min(plan.oltp_rows + 1))
                .map(|id| {
                    format!("({id}, {}, REPEAT('{}', 12))", id * 7919 % plan.oltp_rows, id % 10_000_000)
                })
                .collect();
            let insert = format!("INSERT INTO oltp.t{table} VALUES {}", rows.join(","));
            conn.query_drop(insert).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

/// Transactions in a second by sessions of this program.
fn drive(server: &Server, plan: &Plan) -> Result<f64, String> {
    let stop = AtomicBool::new(false);
    let connect = server.connector();
    let began = Instant::now();
    let session = |number: u64| -> mysql::Result<u64> {
        let (mut conn, mut state, mut count) = (connect()?, number + 1, 0);
        while !stop.load(Ordering::Relaxed) {
            let mut id = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                1 + (state >> 33) % plan.oltp_rows
            };
            let table = id() % TABLES;
            match transaction(&mut conn, table, &mut id) {
                Ok(()) => count += 1,
                // Sessions that wait for one another's rows give up, as clients do.
                Err(mysql::Error::MySqlError(_)) => conn.query_drop("ROLLBACK")?,
                Err(e) => return Err(e),
            }
        }
        Ok(count)
    };
    let counts: mysql::Result<Vec<u64>> = std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..SESSIONS).map(|s| scope.spawn(move || session(s))).collect();
        std::thread::sleep(Duration::from_secs(plan.oltp_seconds));
        stop.store(true, Ordering::Relaxed);
        sessions.into_iter().map(|s| s.join().expect("no panic")).collect()
    });
    let counts = counts.map_err(|e| format!("OLTP: {e}"))?;
    Ok(counts.iter().sum::<u64>() as f64 / began.elapsed().as_secs_f64())
}

/// Reads ten rows and a range, and changes two rows.
fn transaction(conn: &mut Conn, table: u64, mut id: impl FnMut() -> u64) -> mysql::Result<()> {
    conn.query_drop("BEGIN")?;
    for _ in 0..10 {
        let row: Option<String> =
            conn.exec_first(format!("SELECT c FROM oltp.t{table} WHERE id = ?"), (id(),))?;
        drop(row);
    }
    let from = id();
    let range = format!("SELECT SUM(k) FROM oltp.t{table} WHERE id BETWEEN ? AND ?");
    conn.exec_drop(range, (from, from + 99))?;
    conn.exec_drop(format!("UPDATE oltp.t{table} SET k = k + 1 WHERE id = ?"), (id(),))?;
    conn.exec_drop(format!("UPDATE oltp.t{table} SET c = REPEAT('x', 120) WHERE id = ?"), (id(),))?;
    conn.query_drop("COMMIT")
}
