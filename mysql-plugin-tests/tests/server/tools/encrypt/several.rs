// SPDX-License-Identifier: GPL-2.0-or-later
//! Several tables at once (`--jobs`), and Ctrl-C while statements of all kinds run.

use super::command::{encrypt, ended, start};
use super::host::host;
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, signal, told, wait_until};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);
/// The largest first.
const TABLES: [&str; 5] = ["a", "b", "c", "d", "e"];
const WAITING: &str = "STATE = 'Waiting for table metadata lock'";

/// The connections whose statement is like `which`, in the order of their tables.
fn running(conn: &mut mysql::Conn, which: &str) -> Vec<u64> {
    conn.query(format!(
        "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND {which} ORDER BY INFO"
    ))
    .unwrap()
}

/// Waits until that many statements are like `which`.
fn until_running(conn: &mut mysql::Conn, which: &str, count: usize) -> Vec<u64> {
    let mut found = Vec::new();
    let there = wait_until(LONG, || {
        found = running(conn, which);
        found.len() == count
    });
    let all: Vec<(u64, Option<String>, Option<String>)> =
        conn.query("SELECT ID, STATE, INFO FROM information_schema.PROCESSLIST").unwrap();
    assert!(there, "not {count} statements with {which}: {all:#?}");
    found
}

/// A transaction that reads these tables, so that an ALTER TABLE must wait.
fn reading(server: &Server, tables: &[&str]) -> mysql::Conn {
    let mut conn = server.connect();
    conn.query_drop("START TRANSACTION").unwrap();
    for table in tables {
        conn.query_drop(format!("SELECT * FROM clinic.{table} LIMIT 1")).unwrap();
    }
    conn
}

fn made(host: &Host) -> Server {
    let server = host.start();
    server.sql("CREATE SCHEMA clinic DEFAULT ENCRYPTION = 'Y'");
    for (table, rows) in TABLES.into_iter().zip([5000, 4000, 3000, 500, 500]) {
        server.sql(&format!(
            "CREATE TABLE clinic.{table} (id INT PRIMARY KEY, a VARCHAR(250)) ENCRYPTION = 'N';
             SET SESSION cte_max_recursion_depth = 1000000;
             INSERT INTO clinic.{table} WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             SELECT i, REPEAT('x', 250) FROM n"
        ));
    }
    server
}

/// How many of the tables are unencrypted.
fn in_clear(server: &Server) -> usize {
    server.value(
        "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES WHERE NAME LIKE 'clinic/%' AND ENCRYPTION = 'N'",
    )
}

fn in_clear_again(server: &Server) {
    for table in TABLES {
        server.sql(&format!("ALTER TABLE clinic.{table} ENCRYPTION = 'N'"));
    }
}

/// A run that was stopped says so, names what is left, and how to go on.
fn is_stopped((code, text): &(Option<i32>, String)) {
    assert_eq!(*code, Some(1), "{text}");
    for says in ["Stopped. 0 steps done", " left", "To continue, run: keyringctl encrypt apply"] {
        assert!(text.contains(says), "no {says:?} in: {text}");
    }
}

/// Three tables are held by a transaction: three workers wait, and another takes the rest. One of them is killed, and only that
/// table fails.
fn three_wait_and_one_is_killed(host: &Host, server: &Server) {
    let mut conn = server.connect();
    let reader = reading(server, &["a", "b", "c"]);
    let child = start(host, &["apply", "--only=clinic.*", "--jobs=3", "--lock-wait=3600", "--online=never"]);
    let waiting = until_running(&mut conn, &format!("INFO LIKE 'ALTER TABLE%' AND {WAITING}"), 3);
    // The first is that of the table a.
    conn.query_drop(format!("KILL {}", waiting[0])).unwrap();
    // Its worker takes the next tables.
    assert!(wait_until(LONG, || in_clear(server) == 3), "the rest was not encrypted");
    drop(reader);
    let (code, text) = ended(child);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("FAILED  clinic.a: ") && text.contains("Still unencrypted: clinic.a"), "{text}");
    assert_eq!(in_clear(server), 1, "{text}");
    let output = encrypt(host, &["apply", "--only=clinic.*", "--jobs=3"]);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(in_clear(server), 0);
}

/// The statements of an online rewrite of the table a, one after the other.
const ONLINE: [&str; 3] = [
    "ALTER TABLE `clinic`.`a` %TABLESPACE = `keyring%",
    "ALTER TABLESPACE%",
    "ALTER TABLE `clinic`.`a` %TABLESPACE = innodb_file_per_table%",
];

/// Ctrl-C while a COPY, and while each of the three online statements waits for a transaction: the run ends before that does.
fn stopped_in_each_statement(host: &Host, server: &Server) {
    let copy = ("ALTER TABLE `clinic`.`a` ENCRYPTION%", 0, "--online=never", Signal::INT);
    let online = [Signal::TERM, Signal::INT, Signal::HUP].into_iter().enumerate();
    let online = online.map(|(step, stop)| (ONLINE[step], step, "--online=always", stop));
    for (statement, steps, online, stop) in [copy].into_iter().chain(online) {
        in_clear_again(server);
        ONLINE[..steps].iter().for_each(|before| stopped_after(host, server, before));
        let mut reader = reading(server, &["a"]);
        let child = start(host, &["apply", "--only=clinic.a", "--lock-wait=3600", online]);
        until_running(&mut server.connect(), &format!("INFO LIKE '{statement}' AND {WAITING}"), 1);
        signal(child.id(), stop);
        let stopped = ended(child);
        reader.query_drop("SELECT COUNT(*) FROM clinic.a").expect("the transaction outlasts the run");
        is_stopped(&stopped);
        drop(reader);
        let output = encrypt(host, &["apply", "--only=clinic.*", online, "--jobs=3"]);
        assert!(output.status.success(), "after {statement}: {}", told(&output));
        assert_eq!(in_clear(server), 0);
    }
}

/// Runs apply until that statement has ended, and stops it before the next one.
fn stopped_after(host: &Host, server: &Server, statement: &str) {
    let pause = host.dir().join("pause");
    let pause_file = format!("--pause-file={}", pause.display());
    let reader = reading(server, &["a"]);
    let args = ["apply", "--only=clinic.a", "--lock-wait=3600", "--online=always", &pause_file];
    let mut child = start(host, &args);
    until_running(&mut server.connect(), &format!("INFO LIKE '{statement}' AND {WAITING}"), 1);
    fs::write(&pause, "").unwrap();
    drop(reader);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("Waiting: ")), "it did not wait after {statement}");
    signal(child.id(), Signal::INT);
    let rest: Vec<_> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest:#?}");
    assert!(rest.iter().any(|line| line.starts_with("LEFT    clinic.a: ")), "{rest:#?}");
    fs::remove_file(&pause).unwrap();
}

/// The server is restarted while three workers wait: all of them go on.
fn restarted_in_the_middle(host: &Host, server: Server) -> Server {
    in_clear_again(&server);
    let mut conn = server.connect();
    let reader = reading(&server, &["a", "b", "c"]);
    let child = start(host, &["apply", "--only=clinic.*", "--jobs=3", "--lock-wait=3600", "--online=always"]);
    until_running(&mut conn, &format!("INFO LIKE 'ALTER TABLE%' AND {WAITING}"), 3);
    server.kill();
    drop(reader);
    let server = host.start();
    let (code, text) = ended(child);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("the server was restarted"), "{text}");
    assert_eq!(in_clear(&server), 0);
    server
}

/// Workers do not depend on each other: one that waits or is killed holds up nobody. Ctrl-C ends all of them, whatever their
/// statements wait for, and what they leave is taken up.
pub fn several_tables_at_once() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    let server = made(&host);
    three_wait_and_one_is_killed(&host, &server);
    stopped_in_each_statement(&host, &server);
    let server = restarted_in_the_middle(&host, server);
    let scratch: u32 = server.value(
        "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES WHERE NAME LIKE 'keyring\\_external%'",
    );
    assert_eq!(scratch, 0, "scratch tablespaces are left");
    server.stop();
}
