// SPDX-License-Identifier: GPL-2.0-or-later
//! The limits of the load: apply waits while one is exceeded, and goes on by itself.

use super::command::{command, encrypt};
use super::replication::{create_source, follow_source, is_up_to_date, member};
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, place, told, wait_until};
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const ONLY: [&str; 3] = ["apply", "--only=clinic.visits", "--skip-binary-log"];

/// A run, and what it has not said yet.
struct Run {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Run {
    fn start(host: &Host, args: &[&str]) -> Run {
        let args = [&ONLY[..], args].concat();
        let mut child = command(host, &args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Run { child, lines }
    }

    /// Reads until the run says this.
    fn says(&mut self, start: &str, what: &str) {
        let mut said = Vec::new();
        for line in &mut self.lines {
            let line = line.unwrap();
            if line.starts_with(start) && line.contains(what) {
                return;
            }
            said.push(line);
        }
        panic!("it does not say {start}...{what}: {said:#?}");
    }

    fn succeeds(mut self) {
        let rest: Vec<_> = self.lines.map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success(), "{rest:#?}");
    }
}

fn is_encrypted(server: &Server) -> bool {
    let query = "SELECT ENCRYPTION FROM information_schema.INNODB_TABLESPACES WHERE NAME = 'clinic/visits'";
    server.value::<String>(query) == "Y"
}

fn refused(host: &Host, args: &[&str]) -> String {
    let output = encrypt(host, &[&ONLY[..], args].concat());
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    told(&output)
}

/// Clients whose statements take long, until they are told to end.
fn slow_clients(server: &Server, over: &Arc<AtomicBool>) -> Vec<thread::JoinHandle<()>> {
    let client = || {
        let (connect, over) = (server.connector(), Arc::clone(over));
        thread::spawn(move || {
            let mut conn = connect().unwrap();
            while !over.load(Ordering::Relaxed) {
                conn.query_drop("DO SLEEP(0.3)").unwrap();
            }
        })
    };
    (0..4).map(|_| client()).collect()
}

/// Clients' statements take too long; a replica is behind, and then stopped; a transaction and a backup hold the table. Each time
/// the run says so, with what is exceeded, leaves the table alone meanwhile, and goes on.
pub fn the_run_waits_while_a_limit_is_exceeded() {
    let volume = Volume::directory();
    let (host, port) = member(1);
    let host = host.keyring(&Keyring::init(&volume)).option("--report-host=127.0.0.1");
    let source = host.start();
    create_source(&source);
    let back = || source.sql("SET sql_log_bin = 0; ALTER TABLE clinic.visits ENCRYPTION = 'N'");

    // Without a replica there is nothing to look at.
    assert!(refused(&host, &["--max-lag=1"]).contains("this server is no replica, and has none"));
    source.sql("CREATE USER weak@localhost; GRANT ALL ON *.* TO weak@localhost; REVOKE UPDATE ON *.* FROM weak@localhost");
    let mut weak = Command::new(&place().keyringctl);
    weak.arg("encrypt").args(ONLY).args(["--max-p99=100", "--no-defaults", "--user=weak", "--socket"]);
    let weak = told(&weak.arg(host.socket()).output().unwrap());
    assert!(weak.contains("GRANT SELECT, UPDATE ON `performance_schema`.* TO 'weak'@'localhost';"), "{weak}");

    let over = Arc::default();
    let clients = slow_clients(&source, &over);
    let mut run = Run::start(&host, &["--max-p99=100"]);
    run.says("Waiting: 99 of 100 statements of clients take up to 3", "the limit is 100 ms");
    let own = "SELECT COUNT(*) FROM performance_schema.threads WHERE INSTRUMENTED = 'NO' AND PROCESSLIST_USER = 'root'";
    assert_eq!(source.value::<u32>(own), 3, "connections of the run that the server does not measure");
    assert!(!is_encrypted(&source));
    over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    run.says("Continuing after ", "");
    run.succeeds();
    assert!(is_encrypted(&source));
    back();

    let (replica_host, replica_port) = member(2);
    let anonymous = replica_host.start();
    follow_source(&anonymous, port);
    is_up_to_date(&anonymous, &source);
    let is_registered = || source.rows::<(u32, String, u32, u32, String)>("SHOW REPLICAS").len() == 1;
    assert!(wait_until(LIMIT, is_registered), "the replica is not registered");
    let unknown = refused(&host, &["--max-lag=1"]);
    assert!(unknown.contains("the replica with server_id 2 does not say where it is"), "{unknown}");
    assert!(unknown.contains("Add --replica HOST:PORT"), "{unknown}");
    let replica_at = format!("--replica=127.0.0.1:{replica_port}");
    let source_at = format!("--replica=127.0.0.1:{port}");
    assert!(
        refused(&host, &["--max-lag=1", &replica_at, &source_at]).contains("is not a replica of any server")
    );

    // The replica cannot commit what it gets.
    let mut lock = anonymous.connect();
    lock.query_drop("FLUSH TABLES WITH READ LOCK").unwrap();
    source.sql("INSERT INTO clinic.patients VALUES (2, 'Birger')");
    let behind = "SELECT COUNT(*) FROM performance_schema.replication_applier_status_by_worker WHERE APPLYING_TRANSACTION <> ''
        AND APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP < NOW() - INTERVAL 3 SECOND";
    assert!(wait_until(LIMIT, || anonymous.value::<u32>(behind) == 1), "the replica is not behind");
    let mut run = Run::start(&host, &["--max-lag=1", &replica_at]);
    run.says("Waiting: the replica 127.0.0.1:", "behind; the limit is 1 s");
    assert!(!is_encrypted(&source));
    lock.query_drop("UNLOCK TABLES").unwrap();
    run.says("Continuing after ", "");
    run.succeeds();
    assert!(is_encrypted(&source));
    back();

    anonymous.sql("STOP REPLICA SQL_THREAD");
    let stopped = refused(&host, &["--max-lag=1", &replica_at]);
    assert!(stopped.contains("the thread that applies its source's changes does not run"), "{stopped}");

    // A transaction that is open for longer than statements may wait, and a backup.
    let mut holder = source.connect();
    holder.query_drop("START TRANSACTION").unwrap();
    holder.query_drop("SELECT * FROM clinic.visits").unwrap();
    let mut run = Run::start(&host, &["--online=always", "--lock-wait=1"]);
    run.says("LATER   clinic.visits: ", &format!("connection {} of root", holder.connection_id()));
    // Nothing waits for the table, so that others can write to it.
    source.sql("INSERT INTO clinic.visits VALUES (2, 2)");
    holder.query_drop("COMMIT").unwrap();
    run.succeeds();
    assert!(is_encrypted(&source));
    back();
    holder.query_drop("LOCK INSTANCE FOR BACKUP").unwrap();
    let mut run = Run::start(&host, &["--lock-wait=1"]);
    run.says("LATER   clinic.visits: ", "with LOCK INSTANCE FOR BACKUP");
    holder.query_drop("UNLOCK INSTANCE").unwrap();
    run.succeeds();
    assert!(is_encrypted(&source));
    anonymous.stop();
    source.stop();
}
