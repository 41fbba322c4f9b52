// SPDX-License-Identifier: GPL-2.0-or-later
//! Replicas and sources that are encrypted while they are written to.

use super::command::{did_all, encrypt};
use super::host::last_steps;
use super::names::files_with_names;
use super::replication::{
    LIMIT, applier_errors, create_source, follow_source, is_up_to_date, member, own_transactions,
};
use mysql::Conn;
use mysql::prelude::Queryable;
use mysql_plugin_tests::biobank::{PLANTED, planted};
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, told, wait_until};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Rows that are there before anybody writes.
const ROWS: u64 = 4000;

/// Somebody who inserts, changes and deletes without pause.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Writer {
    fn start(server: &Server) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let (connect, stopped) = (server.connector(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut conn = connect().expect("a connection for writing");
            let mut step = 0;
            while !stopped.load(Ordering::Relaxed) {
                write(&mut conn, step);
                step += 1;
            }
            step
        });
        Writer { stop, thread }
    }

    /// Returns how often it has written.
    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a writer")
    }
}

fn write(conn: &mut Conn, step: u64) {
    let (id, name) = (ROWS + step, planted(1 + step % PLANTED));
    let all = "clinic.names";
    conn.query_drop(format!("INSERT INTO {all} VALUES ({id}, '{name}', 0)")).unwrap();
    conn.query_drop(format!("UPDATE {all} SET n = n + 1, name = '{name}' WHERE id = {}", step % ROWS))
        .unwrap();
    if step % 2 == 1 {
        conn.query_drop(format!("DELETE FROM {all} WHERE id = {}", id - 1)).unwrap();
    }
}

/// What a table contains.
fn contents(server: &Server, table: &str) -> (u64, u64) {
    let query =
        format!("SELECT COUNT(*), CAST(SUM(CRC32(CONCAT(id, name, n))) AS UNSIGNED) FROM clinic.{table}");
    server.rows(&query).remove(0)
}

fn is_encrypted(server: &Server, table: &str) -> bool {
    server.value::<String>(&format!(
        "SELECT encryption FROM information_schema.innodb_tablespaces WHERE name = 'clinic/{table}'"
    )) == "Y"
}

fn scratch_tablespaces(server: &Server) -> Vec<String> {
    server.rows(
        r"SELECT name FROM information_schema.innodb_tablespaces WHERE name LIKE 'keyring\_external\_%'
          UNION ALL SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'keyring\_external\_%'",
    )
}

/// Rewrites a table online, with these options besides.
fn online(host: &Host, table: &str, options: &[&str]) {
    let table = format!("clinic.{table}");
    let args = [&["apply", "--online", "always", "--only", &table], options].concat();
    let output = encrypt(host, &args);
    assert!(output.status.success(), "{}", told(&output));
}

/// Moves a table into a scratch tablespace, as a run does that is killed then.
fn interrupted(server: &Server, log: &str, table: &str) {
    let digits: String =
        server.value(&format!("SELECT LEFT(SHA2(CONCAT('clinic', CHAR(0), '{table}'), 256), 12)"));
    let space = format!("keyring_external_encrypt_{log}_{digits}_6925d1f0_clinic");
    server.sql(&format!(
        "SET SESSION sql_log_bin = {};
         CREATE TABLESPACE {space} ADD DATAFILE '{space}.ibd' ENCRYPTION = 'N';
         ALTER TABLE clinic.{table} TABLESPACE {space};
         SET SESSION sql_log_bin = 1",
        u8::from(log == "logged")
    ));
}

/// What a run has begun in the binary log is ended there, and what it has not is not. A run that was asked for something else
/// refuses that, or says it.
fn ends_what_others_began(host: &Host, source: &Server, replica: &Server) {
    interrupted(source, "logged", "left");
    interrupted(source, "local", "own");
    is_up_to_date(replica, source);
    let before = source.value::<String>("SELECT @@gtid_executed");
    for options in [&["--only", "clinic.left", "--dry-run"][..], &["--only", "clinic.left"], &[]] {
        let output = encrypt(host, &[&["apply", "--skip-binary-log"], options].concat());
        let said = told(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--only clinic.left --replicate, or run keyringctl encrypt cleanup"), "{said}");
    }
    assert_eq!(scratch_tablespaces(source).len(), 2);
    assert_eq!(source.value::<String>("SELECT @@gtid_executed"), before);
    let said = told(&encrypt(host, &["plan"]));
    assert!(said.contains("so replicas repeat them") && said.contains("so no replica gets them"), "{said}");
    let said = told(&encrypt(host, &["apply", "--only", "clinic.own", "--replicate", "--dry-run"]));
    assert!(said.contains("so no replica gets them") && !said.contains("clinic.left"), "{said}");

    online(host, "own", &["--replicate"]);
    online(host, "left", &["--replicate"]);
    is_up_to_date(replica, source);
    assert!(is_encrypted(source, "own") && !is_encrypted(replica, "own"));
    assert!(is_encrypted(source, "left") && is_encrypted(replica, "left"));
    assert_eq!(scratch_tablespaces(source), [""; 0]);
}

/// A replica is encrypted online while it repeats what a client writes to its source, then the source. The replica gets no
/// transaction of its own, and no row differs. The statements are repeated too if that is asked for, and a replica that was
/// encrypted before goes on as the documentation says. At the end, no file of either server contains a name in clear.
pub fn replicas_and_sources_go_online() {
    let volumes = [Volume::directory(), Volume::directory()];
    let keyrings = volumes.each_ref().map(Keyring::init);
    let (host, port) = member(1);
    let source_host = host.keyring(&keyrings[0]).option("--innodb-change-buffering=none");
    let source = source_host.start();
    create_source(&source);
    let replica_host = member(2).0.keyring(&keyrings[1]).option("--innodb-change-buffering=none");
    let replica = replica_host.start();
    follow_source(&replica, port);
    for table in ["names", "later", "early", "left", "own"] {
        source.sql(&format!(
            "CREATE TABLE clinic.{table} (id INT PRIMARY KEY, name VARCHAR(200), n INT, KEY (name))"
        ));
        let rows: Vec<_> =
            (0..ROWS).map(|id| format!("({id}, '{} {id}', 0)", planted(1 + id % PLANTED))).collect();
        source.sql(&format!("INSERT INTO clinic.{table} VALUES {}", rows.join(", ")));
    }
    is_up_to_date(&replica, &source);
    assert!(!files_with_names(&replica_host.datadir()).is_empty());

    let writer = Writer::start(&source);
    online(&replica_host, "names", &[]);
    assert!(is_encrypted(&replica, "names") && !is_encrypted(&source, "names"));
    assert_eq!(own_transactions(&replica), 0, "{:?}", replica.rows::<String>("SELECT @@gtid_executed"));
    online(&source_host, "names", &["--skip-binary-log"]);
    assert!(is_encrypted(&source, "names"));
    online(&source_host, "later", &["--replicate"]);
    let wrote = writer.stop();
    assert!(wrote > 0);
    is_up_to_date(&replica, &source);
    assert!(is_encrypted(&replica, "later"));

    // The replica's table is encrypted before the source's, and the source's statements are repeated nevertheless.
    online(&replica_host, "early", &[]);
    online(&source_host, "early", &["--replicate"]);
    let stopped = || applier_errors(&replica).first().is_some_and(|(code, _)| *code == 3825);
    assert!(wait_until(LIMIT, stopped), "{:?}", applier_errors(&replica));
    let (_, message) = applier_errors(&replica).remove(0);
    let gtid = message.split('\'').nth(1).expect("a GTID").to_owned();
    replica.sql(&format!(
        "STOP REPLICA; SET GTID_NEXT = '{gtid}'; BEGIN; COMMIT; SET GTID_NEXT = 'AUTOMATIC'; START REPLICA"
    ));
    is_up_to_date(&replica, &source);
    assert!(is_encrypted(&replica, "early") && is_encrypted(&source, "early"));

    ends_what_others_began(&source_host, &source, &replica);

    // By default, tables that replicas repeat are copied.
    let servers = [(&source, &source_host), (&replica, &replica_host)];
    for (server, host) in servers {
        let skip: &[&str] = if own_transactions(server) == 0 { &[] } else { &["--skip-binary-log"] };
        let args = [&["apply", "--purge-binary-logs", "--yes"], skip].concat();
        let output = encrypt(host, &args);
        // A table of MyISAM is left to the administrator.
        let is_done = did_all(&output) || told(&output).contains("INCOMPLETE. Still ");
        assert!(is_done, "{}", told(&output));
        assert_eq!(scratch_tablespaces(server), [""; 0]);
    }
    let (source_host, source) = last_steps(source_host, source);
    let (replica_host, replica) = last_steps(replica_host, replica);
    is_up_to_date(&replica, &source);
    for table in ["names", "later", "early", "left", "own"] {
        assert_eq!(contents(&source, table), contents(&replica, table), "{table}");
    }
    assert_eq!(own_transactions(&replica), 0);
    for (server, host) in [(source, source_host), (replica, replica_host)] {
        // Old relay and binary logs go with the next purge of each kind.
        server.sql("FLUSH NO_WRITE_TO_BINLOG BINARY LOGS");
        server.stop();
        assert_eq!(files_with_names(host.dir()), Vec::<PathBuf>::new());
    }
}
