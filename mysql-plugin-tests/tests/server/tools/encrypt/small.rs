// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt` on a few tables: what it refuses, leaves, finds and decrypts.

use super::command::{command, did_all, encrypt, encrypt_json, is_about};
use super::host::{host, last_steps, tables_in_clear};
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, files_with, signal, told, wait_until};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

const ROWS: &str = "CREATE SCHEMA clinic;
    CREATE TABLE clinic.patients (id INT PRIMARY KEY, name VARCHAR(60));
    CREATE TABLE clinic.visits (id INT PRIMARY KEY, patient INT, FOREIGN KEY (patient) REFERENCES clinic.patients (id));
    CREATE TABLE clinic.notes (id INT PRIMARY KEY, note VARCHAR(60));
    INSERT INTO clinic.patients VALUES (1, 'Astrid');
    INSERT INTO clinic.visits VALUES (1, 1);
    INSERT INTO clinic.notes VALUES (1, 'Birger')";

fn started(host: &Host) -> Server {
    let server = host.start();
    server.sql(ROWS);
    server
}

/// Returns the output of a run that must be refused with exit code 2.
fn refusal(host: &Host, args: &[&str]) -> String {
    let output = encrypt(host, args);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    told(&output)
}

/// Without a keyring, with a single copy and no recovery key, or with a read-only keyring, apply changes nothing and says
/// why. An option accepts the risk if there is one to accept.
pub fn refuses_to_start() {
    let bare = host();
    let server = started(&bare);
    assert!(refusal(&bare, &["apply"]).contains("has no keyring"));
    let plan = encrypt(&bare, &["plan"]);
    assert!(plan.status.success() && told(&plan).contains("Keyring: none is loaded"), "{}", told(&plan));
    server.stop();

    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let slots = keyring.report("status")["slots"].as_array().unwrap().clone();
    let recovery =
        slots.iter().position(|slot| slot["kind"] == "recovery").unwrap_or_else(|| panic!("{slots:?}")) + 1;
    let removed = keyring
        .ctl_with(&["slot", "remove", "--yes"], [keyring.path.as_os_str(), recovery.to_string().as_ref()]);
    assert!(removed.status.success(), "{}", told(&removed));
    let host = host().keyring(&keyring);
    let server = started(&host);
    let text = refusal(&host, &["apply"]);
    assert!(
        text.contains("neither a recovery key nor custodians") && text.contains("nothing was changed"),
        "{text}"
    );
    server.sql("SET GLOBAL keyring_external_read_only = ON");
    assert!(refusal(&host, &["apply", "--without-second-copy"]).contains("read-only"));
    server.sql("SET GLOBAL keyring_external_read_only = OFF");
    assert!(refusal(&host, &["apply", "--undo"]).contains("--all"));
    assert!(
        refusal(&host, &["apply", "--without-second-copy", "--only", "clinic.patient"])
            .contains("matches no table")
    );
    let only = |more: &[&str]| {
        refusal(&host, &[&["apply", "--without-second-copy", "--yes", "--only"][..], more].concat())
    };
    let nothing = only(&["clinic.patients", "--skip", "clinic.*"]);
    assert!(nothing.contains("--skip 'clinic.*' leaves out every table that --only"), "{nothing}");
    assert!(only(&["mysql.user"]).contains("in the tablespace mysql, which is encrypted as a whole"));
    assert_eq!(tables_in_clear(&server), 4);
    assert_eq!(server.value::<String>("SELECT @@default_table_encryption"), "0");

    let one = encrypt(&host, &["apply", "--without-second-copy", "--only", "clinic.patients"]);
    assert!(one.status.success(), "{}", told(&one));
    assert_eq!(tables_in_clear(&server), 3);
    assert_eq!(
        server.value::<String>("SELECT @@default_table_encryption"),
        "0",
        "only that table was asked for"
    );
    server.stop();
}

/// A table that an open transaction uses is reported with the connection, the run continues, and the next one encrypts the
/// table. apply waits while a pause file exists or the server is busy.
pub fn in_use_and_left() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    let server = started(&host);
    let mut user = server.connect();
    user.query_drop("START TRANSACTION").unwrap();
    user.query_drop("INSERT INTO clinic.notes VALUES (2, 'Cecilia')").unwrap();
    let (code, account) = encrypt_json(
        &host,
        &["apply", "--lock-wait=1", "--undo-wait=1", "--skip=clinic.vis*", "--purge-binary-logs", "--yes"],
    );
    assert_eq!(code, 1, "{account:#}");
    let failed = account["failed"].as_array().unwrap();
    assert!(failed.iter().any(|f| f["what"] == "clinic.notes"), "{failed:#?}");
    let why = failed.iter().find(|f| f["what"] == "clinic.notes").unwrap()["why"].to_string();
    assert!(why.contains(&format!("connection {} of root", user.connection_id())), "{why}");
    assert_eq!(account["left"].as_array().unwrap(), &["clinic.notes", "schema clinic"]);
    assert_eq!(tables_in_clear(&server), 2, "clinic.notes, and clinic.visits that was left out");
    user.query_drop("COMMIT").unwrap();
    held_up_by_a_backup(&host, &server);

    let pause = host.dir().join("pause");
    fs::write(&pause, "").unwrap();
    let pause_file = format!("--pause-file={}", pause.display());
    let mut child = command(&host, &["apply", &pause_file, "--max-load=Threads_running=1000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(
        lines.any(|line| line.starts_with("Waiting: ") && line.contains("Remove it to continue")),
        "it does not wait"
    );
    assert_eq!(tables_in_clear(&server), 1);
    fs::remove_file(&pause).unwrap();
    let rest: Vec<_> = lines.collect();
    assert!(child.wait().unwrap().success(), "{rest:#?}");
    assert_eq!(tables_in_clear(&server), 0);
    assert!(refusal(&host, &["apply", "--max-load=No_such_status=1"]).contains("No_such_status"));
    looks_at_a_locked_tablespace(&host, &server);
    let unreachable = ["apply", "--max-lag=10", "--replica=127.0.0.1:1"];
    assert!(refusal(&host, &unreachable).contains("with --replica HOST[:PORT]"));
    server.stop();
}

/// A backup holds a lock that a run needs before it begins with the tables: it says whose, ends at Ctrl-C, or goes on when the
/// backup has ended; with --json, it says so on standard error.
fn held_up_by_a_backup(host: &Host, server: &Server) {
    let mut backup = server.connect();
    let named = format!("connection {} of root", backup.connection_id());
    for (lock, args) in [
        ("FLUSH TABLES WITH READ LOCK", &["apply", "--only=clinic.notes"][..]),
        ("LOCK INSTANCE FOR BACKUP", &["apply", "--only=clinic.notes", "--online=always"]),
    ] {
        backup.query_drop(lock).unwrap();
        let mut child = command(host, args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let waits =
            |line: &String| line.starts_with("Waiting: ") && line.contains(&named) && line.contains(lock);
        assert!(lines.any(|line| waits(&line)), "{lock}: it does not say what it waits for");
        signal(child.id(), Signal::INT);
        let rest: Vec<_> = lines.collect();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{lock}: {rest:#?}");
        assert!(rest.iter().any(|line| line.starts_with("Stopped. ")), "{lock}: {rest:#?}");
        backup.query_drop("UNLOCK TABLES").unwrap();
        backup.query_drop("UNLOCK INSTANCE").unwrap();
    }
    // A run that was stopped under the lock has left it on, and one that finds it on needs no lock for it.
    let off =
        "UPDATE performance_schema.setup_consumers SET ENABLED = 'NO' WHERE NAME = 'events_stages_current'";
    server.sql(off);
    backup.query_drop("FLUSH TABLES WITH READ LOCK").unwrap();
    let mut child = command(host, &["apply", "--only=clinic.notes", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("Waiting: ") && line.contains(&named)), "it waits silently");
    backup.query_drop("UNLOCK TABLES").unwrap();
    let rest: Vec<_> = lines.collect();
    assert!(child.wait_with_output().unwrap().status.success(), "{rest:#?}");
    assert_eq!(tables_in_clear(server), 1);
}

/// ALTER TABLESPACE has locked a tablespace, and waits for a transaction. plan does not wait for it.
fn looks_at_a_locked_tablespace(host: &Host, server: &Server) {
    server.sql(
        "CREATE TABLESPACE ward ADD DATAFILE 'ward.ibd' ENCRYPTION = 'N';
         CREATE TABLE clinic.beds (id INT PRIMARY KEY) TABLESPACE ward ENCRYPTION = 'N'",
    );
    let mut reader = server.connect();
    reader.query_drop("START TRANSACTION").unwrap();
    reader.query_drop("SELECT * FROM clinic.beds").unwrap();
    let mut alters = server.connect();
    let altering = thread::spawn(move || alters.query_drop("ALTER TABLESPACE ward ENCRYPTION = 'Y'"));
    let locked = "SELECT COUNT(*) FROM performance_schema.metadata_locks
        WHERE OBJECT_TYPE = 'TABLESPACE' AND OBJECT_NAME = 'ward' AND LOCK_TYPE = 'EXCLUSIVE' AND LOCK_STATUS = 'GRANTED'";
    assert!(wait_until(Duration::from_secs(60), || server.value::<u64>(locked) == 1));
    let (code, plan) = encrypt_json(host, &["plan"]);
    assert_eq!((code, server.value::<u64>(locked)), (0, 1), "{plan:#}");
    assert!(plan.to_string().contains("ward"), "{plan:#}");
    reader.query_drop("COMMIT").unwrap();
    altering.join().unwrap().unwrap();
}

/// Decrypts one table, then everything. In the end verify finds that nothing needs the keyring, and the server starts
/// without one.
pub fn and_back() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let bare = host();
    let host = bare.clone().keyring(&keyring);
    let server = started(&host);
    let verify_undo = || encrypt(&host, &["verify", "--undo"]).status.code();
    for (args, code) in
        // The binary logs have no master key yet.
        [
            (&["rotate", "--only-binary-logs", "--yes"][..], 1),
            (&["apply", "--purge-binary-logs", "--yes"], 0),
            (&["rotate", "--yes"], 0),
        ]
    {
        let output = encrypt(&host, args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
    }
    let keys = || (keyring.ids("INNODBKey-"), keyring.ids("MySQLReplicationKey_"));
    let before = keys();
    let output = encrypt(&host, &["rotate", "--only-innodb", "--yes"]);
    assert!(output.status.success(), "{}", told(&output));
    let after = keys();
    assert_eq!((after.0.len(), &after.1), (before.0.len() + 1, &before.1), "{}", told(&output));
    let output = encrypt(&host, &["apply", "--undo", "--only=clinic.no*"]);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(tables_in_clear(&server), 1);
    assert!(keyring.ids("INNODBKey-").len() >= 2 && keyring.ids("MySQLReplicationKey_").len() >= 2);
    assert_eq!(verify_undo(), Some(1));
    let undo = ["apply", "--undo", "--all", "--purge-binary-logs", "--yes"];
    let output = encrypt(&host, &undo);
    assert!(output.status.success(), "{}", told(&output));
    server.stop();
    let server = host.start();
    let output = encrypt(&host, &undo);
    assert!(output.status.success(), "{}", told(&output));
    let output = encrypt(&host, &["verify", "--undo"]);
    assert!(output.status.success(), "{}", told(&output));
    server.stop();
    let server = bare.start();
    assert_eq!(server.rows::<String>("SELECT name FROM clinic.patients"), ["Astrid"]);
    server.stop();
}

/// verify finds nothing on a server that apply has encrypted. It finds an unencrypted table, a leftover file, a slow log, a
/// changed setting, and index entries that waited in ibdata1 after their table was encrypted.
pub fn verify_finds_what_is_in_clear() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    // The change buffer is on by default in this version. It is used if an index's pages are not in memory.
    let host = host()
        .keyring(&keyring)
        .option("--innodb-change-buffering=all")
        .option("--innodb-buffer-pool-size=5M");
    let server = started(&host);
    server.sql("CREATE TABLE clinic.old (id INT PRIMARY KEY) TABLESPACE innodb_system");
    server.sql("FLUSH TABLES clinic.patients FOR EXPORT; UNLOCK TABLES");
    let left = fs::read(host.datadir().join("clinic/patients.ibd")).unwrap();
    let output = encrypt(&host, &["apply", "--purge-binary-logs", "--yes"]);
    assert!(output.status.success(), "{}", told(&output));
    let (host, server) = last_steps(host, server);
    let (code, report) = encrypt_json(&host, &["verify"]);
    assert_eq!(code, 0, "{:#}", report["findings"]);
    assert_eq!(report["files"]["clear"], 0, "{:#}", report["files"]);

    let socket = host.clone();
    let finds = |kind: &str, what: &str| {
        let (code, report) = encrypt_json(&socket, &["verify", "--no-canary"]);
        let findings = report["findings"].as_array().unwrap();
        let found = findings.iter().any(|f| f["kind"] == kind && is_about(f, what));
        assert!(code == 1 && found, "{kind} {what}: exit code {code}, {findings:#?}");
    };
    server.sql("CREATE TABLE clinic.clear (id INT PRIMARY KEY) ENCRYPTION='N'");
    server.sql("FLUSH TABLES clinic.clear FOR EXPORT");
    finds("table", "clinic.clear");
    finds("table", "clinic/clear.ibd");
    server.sql("DROP TABLE clinic.clear");
    fs::write(host.datadir().join("clinic/left.ibd"), left).unwrap();
    finds("table", "clinic/left.ibd");
    fs::remove_file(host.datadir().join("clinic/left.ibd")).unwrap();
    server.sql("SET GLOBAL default_table_encryption = OFF");
    finds("setting", "default_table_encryption");
    server.sql("SET GLOBAL default_table_encryption = ON; SET GLOBAL slow_query_log = ON");
    finds("slow-log", "");
    let (code, report) = encrypt_json(&host, &["verify", "--no-canary", "--accept=slow-log"]);
    assert_eq!(code, 0, "{:#}", report["findings"]);
    server.sql("SET GLOBAL slow_query_log = OFF");

    server.sql("SET GLOBAL innodb_change_buffering = 'all'");
    finds("change-buffer", "innodb_change_buffering");
    fill_change_buffer(&server);
    server.sql("SET GLOBAL innodb_change_buffering = 'none'");
    finds("late-setting", "innodb_change_buffering");
    let buffered = || {
        let (_, report) = encrypt_json(&socket, &["verify", "--no-canary"]);
        let findings = report["findings"].as_array().unwrap().clone();
        findings.iter().any(|f| f["kind"] == "system-tablespace")
    };
    assert!(wait_until(Duration::from_secs(30), buffered), "entries in ibdata1 are not found");
    let (host, server) = last_steps(host, server);
    finds("system-tablespace", "ibdata1");
    let (code, report) = encrypt_json(&host, &["verify", "--accept=system-tablespace"]);
    assert_eq!(code, 0, "{:#}", report["findings"]);
    server.stop();
}

/// A server with the settings in its option file writes no old value of a row unencrypted when it starts after a crash.
///
/// With SET PERSIST alone, 9.7.4 does so: into the redo log in three starts of three, sometimes into undo tablespaces.
pub fn after_a_crash() {
    const NAME: &str = "Quennarvik-in-a-crash";
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host =
        host().keyring(&keyring).option("--innodb-doublewrite=ON").option("--innodb-change-buffering=none");
    let server = started(&host);
    let output = encrypt(&host, &["apply", "--purge-binary-logs", "--yes"]);
    assert!(did_all(&output), "{}", told(&output));
    let (host, server) = last_steps(host, server);
    let mut conn = server.connect();
    conn.query_drop(
        "CREATE TABLE clinic.people (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(200), n INT)",
    )
    .unwrap();
    conn.query_drop(format!(
        "INSERT INTO clinic.people (name, n) VALUES {}('{NAME}', 0)",
        format!("('{NAME}', 0), ").repeat(2000)
    ))
    .unwrap();
    conn.query_drop("UPDATE clinic.people SET name = CONCAT(name, ' once')").unwrap();
    conn.query_drop("START TRANSACTION").unwrap();
    conn.query_drop("UPDATE clinic.people SET name = CONCAT(name, ' more'), n = 1").unwrap();
    server.kill();
    let server = host.start();
    let undone = || server.value::<u32>("SELECT COUNT(*) FROM clinic.people WHERE n = 0") == 2001;
    assert!(wait_until(Duration::from_secs(60), undone), "what was not committed is not undone");
    assert_eq!(files_with(&[host.dir()], &[NAME.into()]), Vec::<PathBuf>::new());
    let (code, report) = encrypt_json(&host, &["verify"]);
    assert_eq!(code, 0, "{:#}", report["findings"]);
    server.stop();
    assert_eq!(files_with(&[host.dir()], &[NAME.into()]), Vec::<PathBuf>::new());
}

/// Creates an encrypted table larger than the server's memory, with rows whose index entries have to wait.
fn fill_change_buffer(server: &Server) {
    let mut conn = server.connect();
    conn.query_drop("SET SESSION cte_max_recursion_depth = 1000000").unwrap();
    conn.query_drop("CREATE TABLE clinic.results (id INT PRIMARY KEY AUTO_INCREMENT, pad VARCHAR(200), k VARCHAR(64), KEY (k))").unwrap();
    let insert = |rows: u32| {
        format!(
            "INSERT INTO clinic.results (pad, k) WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             SELECT REPEAT('x', 200), SHA2(RAND() * i, 256) FROM n"
        )
    };
    conn.query_drop(insert(60_000)).unwrap();
    let _: Option<u64> = conn.query_first("SELECT COUNT(*) FROM clinic.results WHERE pad LIKE '%y'").unwrap();
    conn.query_drop(insert(3_000)).unwrap();
}
