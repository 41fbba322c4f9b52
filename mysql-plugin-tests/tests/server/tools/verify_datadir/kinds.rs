// SPDX-License-Identifier: GPL-2.0-or-later
//! Servers with files of every kind.

use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Server};

/// The options with which everything that can be encrypted is encrypted.
pub(super) fn encrypting(host: Host) -> Host {
    host.option("--innodb-redo-log-encrypt=ON")
        .option("--innodb-undo-log-encrypt=ON")
        .option("--binlog-encryption=ON")
        .option("--innodb-doublewrite=ON")
}

/// A table and a tablespace of every kind, encrypted and unencrypted, with rows.
const KINDS: &[&str] = &[
    "CREATE DATABASE clinic",
    "CREATE TABLE clinic.own (id INT PRIMARY KEY, a LONGTEXT) ENCRYPTION='Y'",
    "CREATE TABLE clinic.clear (id INT PRIMARY KEY, a LONGTEXT)",
    "CREATE TABLE clinic.parts (id INT PRIMARY KEY, a LONGTEXT) ENCRYPTION='Y' PARTITION BY HASH(id) PARTITIONS 3",
    "CREATE TABLESPACE shared ADD DATAFILE 'shared.ibd' ENCRYPTION='Y'",
    "CREATE TABLESPACE open ADD DATAFILE 'open.ibd'",
    "CREATE TABLE clinic.general (id INT PRIMARY KEY, a LONGTEXT) TABLESPACE shared ENCRYPTION='Y'",
    "CREATE UNDO TABLESPACE spare ADD DATAFILE 'spare.ibu'",
    "CREATE TABLE clinic.map (id INT PRIMARY KEY, a LONGTEXT, p POINT NOT NULL SRID 0 DEFAULT (POINT(1, 1)), SPATIAL INDEX(p)) ENCRYPTION='Y'",
    "ALTER TABLESPACE mysql ENCRYPTION='Y'",
];
/// The rows to insert into a table.
pub(super) const ROWS: &str =
    "INTO clinic.%s (id, a) WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 300)
     SELECT i, REPEAT('row ', 100) FROM n";

/// Creates them, and further tables with these options.
pub(super) fn make_kinds(server: &Server, more: &[(&str, &str)]) {
    let mut conn = server.connect();
    let mut tables = vec!["own", "clear", "parts", "general", "map"];
    for statement in KINDS {
        conn.query_drop(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    for (table, options) in more {
        let statement = format!(
            "CREATE TABLE clinic.{table} (id INT PRIMARY KEY, a VARCHAR(450)) {options} ENCRYPTION='Y'"
        );
        conn.query_drop(&statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
        tables.push(table);
    }
    for table in tables {
        conn.query_drop(format!("INSERT {}", ROWS.replace("%s", table))).unwrap();
    }
}
