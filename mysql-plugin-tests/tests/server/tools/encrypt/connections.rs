// SPDX-License-Identifier: GPL-2.0-or-later
//! A connection is not for ever: it is killed, idle for too long, or the server is restarted.

use super::command::{encrypt, ended, start};
use super::host::{host, tables_in_clear};
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, signal, told, wait_until};
use rustix::process::Signal;
use std::fs;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);
const UNDO: &str = "SELECT CONCAT_WS(' ', NAME, STATE, ENCRYPTION) FROM information_schema.INNODB_TABLESPACES
    WHERE SPACE_TYPE = 'Undo' ORDER BY NAME";
/// Copies the table and waits.
const WAITS: &str = "INFO LIKE 'ALTER TABLE%large`%' AND STATE = 'Waiting for table metadata lock'";
const ACTIVE: [&str; 2] = ["innodb_undo_001 active Y", "innodb_undo_002 active Y"];

/// Waits for a connection of the program, other than those of this test, with that condition. Returns their numbers.
fn connections(conn: &mut mysql::Conn, which: &str) -> Vec<u64> {
    let query = format!(
        "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'root' AND ID <> CONNECTION_ID() AND {which} ORDER BY ID"
    );
    let mut found = Vec::new();
    let there = wait_until(LONG, || {
        found = conn.query(&query).unwrap();
        !found.is_empty()
    });
    assert!(there, "no connection with {which}");
    found
}

/// A transaction that reads a table, so that an ALTER TABLE must wait.
fn reading(server: &Server) -> mysql::Conn {
    let mut conn = server.connect();
    conn.query_drop("START TRANSACTION").unwrap();
    conn.query_drop("SELECT * FROM clinic.large LIMIT 1").unwrap();
    conn
}

fn undo_is_in_order(server: &Server) {
    assert_eq!(server.rows::<String>(UNDO), ACTIVE);
}

fn made(host: &Host) -> Server {
    let server = host.start();
    server.sql(
        // Changing the default of a schema would wait for transactions, too.
        "CREATE SCHEMA clinic DEFAULT ENCRYPTION = 'Y'; CREATE TABLE clinic.small (id INT PRIMARY KEY) ENCRYPTION = 'N';
         CREATE TABLE clinic.large (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(250), b VARCHAR(64), KEY (b)) ENCRYPTION = 'N';
         CREATE TABLE clinic.larger (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(250), b VARCHAR(64), KEY (b)) ENCRYPTION = 'N'",
    );
    let mut conn = server.connect();
    for (table, rows) in [("large", 1_000), ("larger", 2_000)] {
        conn.query_drop("SET SESSION cte_max_recursion_depth = 1000000").unwrap();
        conn.query_drop(format!(
            "INSERT INTO clinic.{table} (a, b) WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             SELECT REPEAT('x', 250), SHA2(i, 256) FROM n"
        ))
        .unwrap();
    }
    server
}

/// Idle connections that were killed are made anew, with their settings. A connection that is killed in the middle of a
/// statement ends that step only. The server is killed while a table is copied, and while undo tablespaces are recreated:
/// the run goes on when it is back. If it does not come back, the run ends with the command to continue.
pub fn lost_connections() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    let server = made(&host);

    // Killed while it waits.
    let pause = host.dir().join("pause");
    fs::write(&pause, "").unwrap();
    let pause_file = format!("--pause-file={}", pause.display());
    let mut conn = server.connect();
    server.sql("FLUSH BINARY LOGS");
    let child = start(&host, &["apply", "--only=clinic.small", "--skip-binary-log", &pause_file]);
    // The second connection holds the lock that allows one run at a time.
    let locked = "SELECT IS_USED_LOCK('keyring_external.encrypt')";
    assert!(wait_until(LONG, || conn.query_first::<Option<u64>, _>(locked).unwrap().flatten().is_some()));
    for id in connections(&mut conn, "TRUE") {
        conn.query_drop(format!("KILL {id}")).unwrap();
    }
    fs::remove_file(&pause).unwrap();
    let (code, text) = ended(child);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("was closed; connected again"), "{text}");
    let log: String = conn
        .query_first("SHOW BINARY LOG STATUS")
        .unwrap()
        .map(|row: mysql::Row| row.get(0).unwrap())
        .unwrap();
    let events: Vec<mysql::Row> = conn.query(format!("SHOW BINLOG EVENTS IN '{log}'")).unwrap();
    let events: Vec<String> = events.iter().filter_map(|row| row.get("Info")).collect();
    assert!(
        !events.iter().any(|event| event.contains("ENCRYPTION")),
        "sql_log_bin was forgotten: {events:#?}"
    );

    // Killed in the middle of a statement, which waits for a transaction.
    let reader = reading(&server);
    let child = start(&host, &["apply", "--only=clinic.*", "--lock-wait=3600"]);
    let copying = connections(&mut conn, WAITS);
    conn.query_drop(format!("KILL {}", copying[0])).unwrap();
    let (code, text) = ended(child);
    drop(reader);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("FAILED  clinic.large: ") && text.contains("KILL"), "{text}");
    assert!(text.contains("OK      clinic.larger encrypted"), "the run did not go on: {text}");

    // The server is killed while it copies.
    let reader = reading(&server);
    let child = start(&host, &["apply", "--lock-wait=3600", "--purge-binary-logs", "--yes"]);
    connections(&mut conn, WAITS);
    server.kill();
    drop(reader);
    let server = host.start();
    let (code, text) = ended(child);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("the server was restarted") && text.contains("OK      clinic.large encrypted"),
        "{text}"
    );
    assert_eq!(tables_in_clear(&server), 0);
    undo_is_in_order(&server);

    // The server is killed while a spare undo tablespace exists.
    let (child, mut conn) = (start(&host, &["apply"]), server.connect());
    let spare =
        "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES WHERE NAME = 'keyring_external_spare'";
    let mut has_spare = || conn.query_first::<u32, _>(spare).unwrap() == Some(1);
    assert!(wait_until(LONG, &mut has_spare), "no spare tablespace was created");
    server.kill();
    let server = host.start();
    let (code, text) = ended(child);
    assert_eq!(code, Some(0), "{text}");
    undo_is_in_order(&server);

    // The program is killed there. The next run clears up.
    let (mut child, mut conn) = (start(&host, &["apply"]), server.connect());
    let mut has_spare = || conn.query_first::<u32, _>(spare).unwrap() == Some(1);
    assert!(wait_until(LONG, &mut has_spare), "no spare tablespace was created");
    child.kill().unwrap();
    child.wait().unwrap();
    let output = encrypt(&host, &["apply", "--purge-binary-logs", "--yes"]);
    assert!(output.status.success(), "{}", told(&output));
    undo_is_in_order(&server);

    // The server does not come back, and the administrator does not wait.
    fs::write(&pause, "").unwrap();
    let (child, mut conn) = (start(&host, &["apply", "--only=clinic.*", &pause_file]), server.connect());
    assert!(wait_until(LONG, || conn.query_first::<Option<u64>, _>(locked).unwrap().flatten().is_some()));
    server.kill();
    signal(child.id(), Signal::INT);
    fs::remove_file(&pause).unwrap();
    let (code, text) = ended(child);
    assert!(
        matches!(code, Some(1 | 2))
            && text.to_lowercase().contains("to continue, run: keyringctl encrypt apply"),
        "{text}"
    );
    host.start().stop();
}
