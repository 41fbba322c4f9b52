// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt` reports success only of what it has looked at afterwards.

use super::command::{encrypt, encrypt_json};
use super::host::host;
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Keyring, Volume, told, wait_until};
use std::thread;
use std::time::Duration;

/// A setting that is right only until the next start is not done. A table that somebody decrypts again during the run is not
/// either. After a restart everything is as it was reported.
pub fn is_a_state() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring).option("--log-bin");
    let server = host.start();
    server.sql(
        "CREATE SCHEMA clinic;
         CREATE TABLE clinic.notes (id INT PRIMARY KEY, note TEXT, FULLTEXT KEY (note));
         CREATE TABLE clinic.visits (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3;
         CREATE TABLESPACE shared ADD DATAFILE 'shared.ibd';
         CREATE TABLE clinic.shared (id INT PRIMARY KEY, name TEXT) TABLESPACE shared;
         INSERT INTO clinic.shared VALUES (1, 'Astrid');
         SET GLOBAL default_table_encryption = ON; SET GLOBAL binlog_encryption = ON; SET PERSIST_ONLY binlog_encryption = OFF;
         FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE '2100-01-01'",
    );
    let (_, plan) = encrypt_json(&host, &["plan"]);
    let state = |name: &str| {
        let items = plan["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("{items:#?}"));
        (item["state"].as_str().unwrap().to_owned(), item["about"].as_str().unwrap().to_owned())
    };
    for name in ["default_table_encryption", "binary logs"] {
        let (state, about) = state(name);
        assert!(state == "clear" && about.contains("after the next start"), "{name}: {state}, {about}");
    }

    // Somebody decrypts a table as soon as it is encrypted.
    let mut other = server.connect();
    let undone = thread::spawn(move || {
        let encrypted = "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES WHERE NAME = 'clinic/notes' AND ENCRYPTION = 'Y'";
        let seen = wait_until(Duration::from_secs(60), || other.query_first(encrypted).unwrap() == Some(1));
        assert!(seen, "apply does not encrypt the table");
        other.query_drop("ALTER TABLE clinic.notes ENCRYPTION = 'N'").unwrap();
    });
    let output = encrypt(&host, &["apply", "--purge-binary-logs", "--yes"]);
    let text = told(&output);
    assert!(undone.join().is_ok(), "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("Still unencrypted: clinic.notes"), "{text}");

    server.stop();
    let server = host.start();
    for name in ["default_table_encryption", "binlog_encryption", "table_encryption_privilege_check"] {
        assert_eq!(server.value::<String>(&format!("SELECT @@GLOBAL.{name}")), "1", "{name}: {text}");
    }
    let output = encrypt(&host, &["apply", "--purge-binary-logs", "--yes"]);
    assert!(output.status.success(), "{}", told(&output));

    // A new master key is there.
    let ids = || (keyring.ids("INNODBKey-"), keyring.ids("MySQLReplicationKey_"));
    let before = ids();
    let (code, report) = encrypt_json(&host, &["rotate", "--yes"]);
    let after = ids();
    assert_eq!((code, report["rotated"].as_array().unwrap().len()), (0, 2), "{report:#}");
    assert!(after.0.iter().any(|id| !before.0.contains(id)), "{before:?}, {after:?}");
    assert!(after.1.iter().any(|id| !before.1.contains(id)), "{before:?}, {after:?}");

    // Back: what a value stored for the next start would switch on again is not done.
    server
        .sql("SET GLOBAL default_table_encryption = OFF; SET GLOBAL table_encryption_privilege_check = OFF");
    let output = encrypt(&host, &["apply", "--undo", "--all", "--purge-binary-logs", "--yes"]);
    assert!(output.status.success(), "{}", told(&output));
    server.stop();
    let server = host.start();
    for name in [
        "default_table_encryption",
        "table_encryption_privilege_check",
        "innodb_redo_log_encrypt",
        "innodb_undo_log_encrypt",
        "binlog_encryption",
    ] {
        assert_eq!(server.value::<String>(&format!("SELECT @@GLOBAL.{name}")), "0", "{name}");
    }
    server.stop();
}
