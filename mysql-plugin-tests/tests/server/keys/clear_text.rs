// SPDX-License-Identifier: GPL-2.0-or-later
//! Nothing is left in clear in any file once everything is encrypted: no data, and no key ever.

use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Server, Volume, files_with, hex_forms, wait_until};
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

const CANARY: &str = "Canary-of-the-biobank-4711";

/// An unencrypted server has the canary in files of seven kinds. Encrypted step by step as an
/// administrator would, and restarted once, it has it in none, neither old rows nor new ones.
///
/// What this can't show: blocks that the filesystem has freed and not yet overwritten (files that were
/// rebuilt, purged or deleted). That is the disk's business: blkdiscard, or encrypt before there is data.
pub fn canary() {
    let host = Host::new().option("--innodb-doublewrite=ON");
    let server = host.start();
    server.sql(
        "CREATE DATABASE clinic;
         CREATE TABLESPACE shared ADD DATAFILE 'shared.ibd'",
    );
    make_rows(&server, "old");
    server.stop();
    let before = kinds_with_canary(&host);
    eprintln!("in clear before: {before:?}");
    // The comment of a table is in the data dictionary, mysql.ibd. The old values of updated rows are in
    // the undo tablespaces.
    for kind in ["own.ibd", "shared.ibd", "mysql.ibd", "redo", "undo", "binlog", "dblwr"] {
        assert!(before.contains(kind), "the search finds no canary in {kind}, only in {before:?}");
    }

    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host
        .keyring(&keyring)
        .option("--default-table-encryption=ON")
        .option("--innodb-redo-log-encrypt=ON")
        .option("--innodb-undo-log-encrypt=ON")
        .option("--binlog-encryption=ON");
    let server = host.start();
    encrypt_everything(&server);
    server.stop();
    // Old pages stay in the doublewrite files until many are written at once. After a clean shutdown the
    // files are not needed; they are made anew. The redo files that are spare by now go with the restart.
    for entry in fs::read_dir(host.datadir()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "dblwr") {
            fs::remove_file(path).unwrap();
        }
    }
    let server = host.start();
    assert_eq!(kinds_with_canary(&host), BTreeSet::new(), "after encrypting everything");

    make_rows(&server, "new");
    assert_eq!(kinds_with_canary(&host), BTreeSet::new(), "new rows, while running");
    let rows = server.rows::<String>(
        "SELECT name FROM clinic.old_own WHERE id = 1 UNION SELECT name FROM clinic.new_own WHERE id = 1",
    );
    assert_eq!(rows, [CANARY], "the canary is still there to be read");
    temporary_tables_are_the_exception(&host, &server);
    server.stop();
    assert_eq!(kinds_with_canary(&host), BTreeSet::new(), "after shutting down");
}

/// Puts the canary into a table of its own, one in a general tablespace, the data dictionary, the binary
/// log, and by an update into undo and redo.
fn make_rows(server: &Server, age: &str) {
    for (table, place) in [("own", String::new()), ("general", "TABLESPACE shared".to_owned())] {
        let encryption = if age == "new" && table == "general" { "ENCRYPTION='Y'" } else { "" };
        server.sql(&format!(
            "CREATE TABLE clinic.{age}_{table} (id INT PRIMARY KEY, name VARCHAR(99)) {place} {encryption} COMMENT='{CANARY}';
             INSERT INTO clinic.{age}_{table} VALUES (1, '{CANARY}'), (2, '{CANARY}');
             UPDATE clinic.{age}_{table} SET name = 'changed' WHERE id = 2"
        ));
    }
}

fn encrypt_everything(server: &Server) {
    server.sql(
        "ALTER DATABASE clinic DEFAULT ENCRYPTION='Y';
         ALTER TABLE clinic.old_own ENCRYPTION='Y';
         ALTER TABLE sys.sys_config ENCRYPTION='Y';
         ALTER TABLESPACE shared ENCRYPTION='Y';
         ALTER TABLESPACE mysql ENCRYPTION='Y'",
    );
    let clear = "SELECT name FROM information_schema.innodb_tablespaces WHERE encryption <> 'Y'";
    assert_eq!(server.rows::<String>(clear), ["innodb_temporary"]);

    // Encryption of undo logs is for new pages only: the tablespaces are made anew, one after the other.
    server.sql("CREATE UNDO TABLESPACE spare ADD DATAFILE 'spare.ibu'");
    for undo in ["innodb_undo_001", "innodb_undo_002"] {
        server.sql(&format!("ALTER UNDO TABLESPACE {undo} SET INACTIVE"));
        let state = format!("SELECT state FROM information_schema.innodb_tablespaces WHERE name = '{undo}'");
        let empty = || server.value::<String>(&state) == "empty";
        assert!(wait_until(Duration::from_secs(60), empty), "{undo} is not truncated");
        server.sql(&format!("ALTER UNDO TABLESPACE {undo} SET ACTIVE"));
    }
    // So it is of the binary log and the redo log: the old files go.
    server.sql("FLUSH BINARY LOGS");
    let (newest, ..) = server.rows::<(String, u64, String)>("SHOW BINARY LOGS").pop().unwrap();
    server.sql(&format!("PURGE BINARY LOGS TO '{newest}'"));
    // Redo files are used again from their beginning: written over by twice the log's capacity of 8 MB.
    let mut conn = server.connect();
    conn.query_drop("CREATE TABLE clinic.filler (a LONGBLOB)").unwrap();
    for _ in 0..16 {
        conn.query_drop("INSERT INTO clinic.filler VALUES (REPEAT('x', 1 << 20))").unwrap();
    }
    conn.query_drop("DROP TABLE clinic.filler").unwrap();
}

/// What MySQL can't encrypt: temporary tables that outgrow the buffer pool lie in the session's temporary
/// tablespace, their old rows in ibtmp1, both until the server is restarted. (Sorts that spill into
/// tmpdir lie in clear in files without a name while they run.)
fn temporary_tables_are_the_exception(host: &Host, server: &Server) {
    let mut conn = server.connect();
    for statement in [
        "SET cte_max_recursion_depth = 100000",
        "SET GLOBAL innodb_buffer_pool_size = 5 << 20",
        "CREATE TEMPORARY TABLE clinic.t (name VARCHAR(999))",
        &format!(
            "INSERT INTO clinic.t WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
                 SELECT REPEAT('{CANARY}', 25) FROM n"
        ),
        "UPDATE clinic.t SET name = ''",
    ] {
        conn.query_drop(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    let found = kinds_with_canary(host);
    let known = BTreeSet::from(["temporary".to_owned()]);
    assert!(found.is_subset(&known), "more than temporary tablespaces: {found:?}");
    eprintln!("in clear while a large temporary table is in use: {found:?}");
}

/// The kinds of files below a host's directory that hold the canary.
fn kinds_with_canary(host: &Host) -> BTreeSet<String> {
    let kind = |file: &str| {
        for (part, kind) in [
            ("#innodb_redo/", "redo"),
            // Before 8.0.30.
            ("ib_logfile", "redo"),
            (".dblwr", "dblwr"),
            ("undo_", "undo"),
            (".ibu", "undo"),
            ("binlog.", "binlog"),
            ("#innodb_temp/", "temporary"),
            ("ibtmp1", "temporary"),
            ("own.ibd", "own.ibd"),
        ] {
            if file.contains(part) {
                return kind.to_owned();
            }
        }
        file.rsplit('/').next().unwrap_or(file).to_owned()
    };
    let files = files_with(&[host.dir()], &[CANARY.into()]);
    files.iter().map(|file| kind(&file.strip_prefix(host.dir()).unwrap().display().to_string())).collect()
}

/// The bytes of a stored, a generated and InnoDB's own key are in no file of the volume, the data
/// directory or the error log, neither as they are nor in hexadecimal; a key that a careless user put into
/// a table is found, so that the search is known to find keys.
pub fn keys() {
    const SECRET: &str = "A-key-that-nobody-may-read-0815";
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.install_udfs();
    server.sql(ROTATE);
    server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'");
    for call in [format!("store('stored', 'SECRET', '{SECRET}')"), "generate('made', 'AES', 32)".to_owned()] {
        assert_eq!(server.value::<i32>(&format!("SELECT keyring_key_{call}")), 1);
    }
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('stored')"), SECRET);
    assert_eq!(server.value::<Option<i32>>("SELECT keyring_key_store('stored', 'SECRET', 'again')"), None);
    assert_eq!(server.value::<i32>("SELECT keyring_key_generate('leaked', 'AES', 32)"), 1);
    server.sql(
        "CREATE TABLE mysql.notes (a BLOB);
         INSERT INTO mysql.notes VALUES (keyring_key_fetch('leaked'))",
    );
    let search = || {
        let mut leaked = false;
        keyring.open().for_each(|key| {
            let files = files_with(&[host.dir(), &volume.mount_point()], &hex_forms(key.data));
            if key.name.id() == b"leaked" {
                leaked = !files.is_empty();
            } else {
                assert!(files.is_empty(), "the key {} is in {files:?}", key.name);
            }
        });
        assert!(leaked, "the search does not find a key that is in a table in clear");
    };
    search();
    let secret = fs::read(&keyring.secret).unwrap();
    server.stop();
    search();
    let files = files_with(&[host.dir(), &volume.mount_point()], &hex_forms(&secret));
    assert!(files.is_empty(), "the unlock secret is in {files:?}");
    assert!(keyring.ids("").len() >= 4, "{:?}", keyring.ids(""));
}
