// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl encrypt` creates on a server for itself: the canary, and what fills the redo log.

use super::command::{command, encrypt, encrypt_json};
use super::host::{host, last_steps};
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Keyring, Server, Volume, place, told};
use serde_json::Value;
use std::process::{Command, Stdio};

/// Settings that forbid or change tables of those who do not say what they want.
const HOSTILE: [&str; 15] = [
    "--innodb-page-size=4k",
    "--sql-require-primary-key=ON",
    "--sql-generate-invisible-primary-key=ON",
    "--innodb-file-per-table=OFF",
    "--innodb-default-row-format=compact",
    "--innodb-strict-mode=ON",
    "--default-storage-engine=MyISAM",
    "--character-set-server=utf16",
    "--table-encryption-privilege-check=ON",
    "--max-allowed-packet=16384",
    "--sql-mode=ANSI,TRADITIONAL,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,ONLY_FULL_GROUP_BY",
    "--innodb-flush-log-at-trx-commit=0",
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--innodb-redo-log-capacity=8M",
];

/// The last number of a redo log file in use, and the log's capacity.
fn redo(server: &Server) -> (u64, u64) {
    let number = |query: &str| server.value::<String>(query).parse().unwrap();
    (
        number("SELECT MAX(FILE_ID) FROM performance_schema.innodb_redo_log_files"),
        number("SELECT @@GLOBAL.innodb_redo_log_capacity"),
    )
}

fn schemas(server: &Server) -> Vec<String> {
    server.rows("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME")
}

/// The finding about something, if there is one.
fn finding<'a>(report: &'a Value, what: &str) -> Option<&'a Value> {
    report["findings"].as_array().unwrap().iter().find(|f| f["what"] == what)
}

/// verify and apply create their own tables whatever the server's defaults are, take up what an interrupted run left, and
/// leave no schema, no binary log event and no other capacity of the redo log.
pub fn own_objects_depend_on_no_default() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = HOSTILE.iter().fold(host().keyring(&keyring), |host, option| host.option(*option));
    host.initialize();
    let server = host.start();
    let before = (schemas(&server), server.value::<String>("SELECT @@GLOBAL.gtid_executed"));
    // The server is killed during an earlier run.
    let mut interrupted = server.connect();
    for statement in [
        "SET SESSION sql_log_bin = 0",
        "CREATE SCHEMA keyring_external_canary DEFAULT ENCRYPTION = 'Y'",
        "CREATE TABLE keyring_external_canary.canary (id INT PRIMARY KEY) ENGINE = InnoDB TABLESPACE = innodb_file_per_table ENCRYPTION = 'Y'",
        "FLUSH TABLES keyring_external_canary.canary FOR EXPORT",
    ] {
        interrupted.query_drop(statement).unwrap();
    }
    server.kill();
    let server = host.start();
    assert!(host.datadir().join("keyring_external_canary/canary.cfp").exists());
    let after = || (schemas(&server), server.value::<String>("SELECT @@GLOBAL.gtid_executed"));

    let (_, report) = encrypt_json(&host, &["verify"]);
    let canary = &report["canary"];
    for (member, wanted) in
        [("rows", Value::from(64)), ("looked", true.into()), ("control_found", true.into())]
    {
        assert_eq!(canary[member], wanted, "{member}: {canary:#}\n{:#}", report["findings"]);
    }
    assert!(finding(&report, "canary").is_none(), "{:#}", report["findings"]);
    // Nothing is encrypted yet, and the log is flushed only once per second.
    let in_redo =
        canary["found_in"].as_array().unwrap().iter().any(|p| p.as_str().unwrap().contains("#ib_redo"));
    assert!(in_redo, "{canary:#}");
    assert_eq!(after(), before);

    let (newest, capacity) = redo(&server);
    let (code, report) = encrypt_json(&host, &["apply", "--purge-binary-logs", "--yes", "--skip-binary-log"]);
    let done: Vec<_> = report["done"].as_array().unwrap().iter().map(|d| d["what"].clone()).collect();
    assert!(code == 0 && done.contains(&"redo log files recreated".into()), "{report:#}");
    assert!(
        server.value::<u64>("SELECT MIN(FILE_ID) FROM performance_schema.innodb_redo_log_files") > newest
    );
    assert_eq!((redo(&server).1, after().0), (capacity, before.0));
    server.stop();
}

/// If the canary cannot be written, verify says why and checks everything else. That is an error only if it can be mended by
/// running verify again.
pub fn without_the_canary_the_rest_is_verified() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring).option("--innodb-redo-log-capacity=8M");
    let server = host.start();
    let output = encrypt(&host, &["apply", "--purge-binary-logs", "--yes"]);
    assert!(output.status.success(), "{}", told(&output));
    let (host, server) = last_steps(host, server);
    let checked = |report: &Value| report["files"]["encrypted"].as_u64() > Some(0);

    server.sql("SET GLOBAL super_read_only = ON");
    let (code, report) = encrypt_json(&host, &["verify"]);
    let why = report["canary"]["left_out"].as_str().unwrap_or_default();
    assert!(code == 0 && checked(&report) && why.contains("read-only"), "{code}: {report:#}");
    let text = told(&encrypt(&host, &["verify"]));
    assert!(
        text.contains("Canary: NOT WRITTEN")
            && text.contains("OK: found no unencrypted data; without the canary")
    );
    server.sql("SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF");

    server.sql(
        "CREATE USER looks@localhost; GRANT SELECT, PROCESS, RELOAD, REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO looks@localhost",
    );
    let as_looks = || -> Value {
        let output = Command::new(&place().keyringctl)
            .args(["encrypt", "verify", "--json", "--no-defaults", "--user=looks", "--socket"])
            .arg(host.socket())
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)))
    };
    let report = as_looks();
    let why = report["canary"]["left_out"].as_str().unwrap_or_default();
    assert!(checked(&report) && why.contains("privilege"), "{report:#}");
    // What it says, as it says it.
    let (_, grants) = why.split_once("As an administrator, run: ").unwrap_or_else(|| panic!("{why}"));
    server.sql(grants);
    let report = as_looks();
    let canary = &report["canary"];
    assert!(canary["control_found"] == true && finding(&report, "canary").is_none(), "{report:#}");
    assert_eq!(canary["found_in"], serde_json::json!([]), "{canary:#}");

    // Somebody else's schema of that name, and a backup's lock.
    server.sql(
        "CREATE SCHEMA keyring_external_canary; CREATE PROCEDURE keyring_external_canary.mine() SELECT 1",
    );
    let (code, report) = encrypt_json(&host, &["verify"]);
    let why = finding(&report, "canary").map(|f| f["why"].as_str().unwrap().to_owned()).unwrap_or_default();
    assert!(code == 1 && checked(&report) && why.contains("routine mine"), "{code}: {report:#}");
    server.sql("CALL keyring_external_canary.mine(); DROP SCHEMA keyring_external_canary");
    let mut backup = server.connect();
    backup.query_drop("LOCK INSTANCE FOR BACKUP").unwrap();
    let (code, report) = encrypt_json(&host, &["verify"]);
    let why = finding(&report, "canary").map(|f| f["why"].as_str().unwrap().to_owned()).unwrap_or_default();
    assert!(code == 1 && checked(&report) && why.contains("Lock wait timeout"), "{code}: {report:#}");
    backup.query_drop("UNLOCK INSTANCE").unwrap();

    // Two at once wait for each other.
    let start = || command(&host, &["verify", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    for child in [start(), start(), start()] {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
    }

    server.sql("ALTER INSTANCE DISABLE INNODB REDO_LOG");
    let (code, report) = encrypt_json(&host, &["apply"]);
    let failed = report["failed"].to_string();
    assert!(code == 1 && failed.contains("ALTER INSTANCE ENABLE INNODB REDO_LOG"), "{code}: {failed}");
    let (code, report) = encrypt_json(&host, &["verify"]);
    let redo = report["findings"].as_array().unwrap().iter().filter(|f| f["kind"] == "redo");
    let redo = redo.map(|f| f["why"].as_str().unwrap()).collect::<String>();
    assert!(code == 1 && redo.contains("redo logging is switched off"), "{code}: {report:#}");
    server.sql("ALTER INSTANCE ENABLE INNODB REDO_LOG");
    let (code, report) = encrypt_json(&host, &["verify"]);
    assert!(code == 0 && report["canary"]["looked"] == true, "{code}: {report:#}");
    server.stop();
}
