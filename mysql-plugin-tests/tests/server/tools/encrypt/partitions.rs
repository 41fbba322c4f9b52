// SPDX-License-Identifier: GPL-2.0-or-later
//! Tables of which a part differs from the others: each partition and subpartition is judged by itself.

use super::command::{encrypt, encrypt_json, is_about};
use super::host::host;
use super::told_places::{statements, told_to};
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, told};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// `range` has lost a partition, `hash` and `sub` too, and `odd`, which has what a copy may lose; `all` every one. `mixed`
/// has one in ibdata1.
const TABLES: &str = "CREATE SCHEMA `c-ü`;
    CREATE TABLE `c-ü`.`range` (id INT PRIMARY KEY, v VARCHAR(9)) PARTITION BY RANGE (id)
        (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20), PARTITION p2 VALUES LESS THAN MAXVALUE);
    INSERT INTO `c-ü`.`range` VALUES (1, 'a'), (11, 'b'), (21, 'c');
    CREATE TABLE `c-ü`.hash (id INT PRIMARY KEY, v VARCHAR(9)) PARTITION BY HASH (id) PARTITIONS 3;
    INSERT INTO `c-ü`.hash VALUES (0, 'a'), (1, 'b'), (2, 'c');
    SET SESSION sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO';
    CREATE TABLE `c-ü`.odd (id INT PRIMARY KEY AUTO_INCREMENT, `a``,b` DATE, g INT AS (hidden + 2) STORED,
        w INT AS (hidden + 3), t DATE DEFAULT (CURDATE()), hidden INT /*!80023 INVISIBLE */) PARTITION BY HASH (id) PARTITIONS 3;
    INSERT INTO `c-ü`.odd (id, `a``,b`, t, hidden) VALUES
        (0, '0000-00-00', '2020-01-01', 5), (1, NULL, NULL, 6), (2, '2020-02-31', '2020-01-02', 7);
    SET SESSION sql_mode = DEFAULT;
    CREATE TABLE `c-ü`.sub (id INT, d INT) PARTITION BY RANGE (id) SUBPARTITION BY HASH (d) SUBPARTITIONS 2
        (PARTITION p0 VALUES LESS THAN (10), PARTITION `p#x` VALUES LESS THAN MAXVALUE);
    INSERT INTO `c-ü`.sub VALUES (1, 0), (1, 1), (11, 0), (11, 1);
    CREATE TABLE `c-ü`.`all` (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2;
    CREATE TABLE `c-ü`.kept (id INT PRIMARY KEY, v VARCHAR(9)) ENCRYPTION='Y' PARTITION BY HASH (id) PARTITIONS 2;
    CREATE TABLE `c-ü`.`x#p#y.ß/@-` (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2;
    CREATE TABLE `c-ü`.`#sql-1_2` (id INT PRIMARY KEY);
    CREATE TABLE `c-ü`.mixed (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10));
    SET GLOBAL innodb_file_per_table = OFF";
const IN_SYSTEM: &str = "ALTER TABLE `c-ü`.mixed ADD PARTITION (PARTITION p1 VALUES LESS THAN (20));
    INSERT INTO `c-ü`.mixed VALUES (1), (11);
    CREATE TABLE `c-ü`.inside (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2;
    SET GLOBAL innodb_file_per_table = ON";
const DISCARDED: &str = "ALTER TABLE `c-ü`.`range` DISCARD PARTITION p0 TABLESPACE;
    ALTER TABLE `c-ü`.hash DISCARD PARTITION p1 TABLESPACE;
    ALTER TABLE `c-ü`.odd DISCARD PARTITION p1 TABLESPACE;
    ALTER TABLE `c-ü`.sub DISCARD PARTITION p0sp0 TABLESPACE;
    ALTER TABLE `c-ü`.kept DISCARD PARTITION p0 TABLESPACE;
    ALTER TABLE `c-ü`.`all` DISCARD PARTITION ALL TABLESPACE";

/// Returns how many partitions' files are unencrypted.
fn in_clear(server: &Server, table: &str) -> usize {
    server.value(&format!(
        "SELECT COUNT(*) FROM information_schema.innodb_tablespaces
         WHERE name LIKE '{table}#p#%' AND encryption = 'N' AND state = 'normal'"
    ))
}

/// A discarded partition does not hide the others: plan, apply and verify say that these are unencrypted and why MySQL
/// refuses to encrypt them, and what they say to do works. No partition's file is called a leftover.
pub fn each_partition_is_judged() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    let server = host.start();
    server.sql(TABLES);
    server.sql(IN_SYSTEM);
    server.sql("FLUSH TABLES `c-ü`.`all` FOR EXPORT; UNLOCK TABLES");
    let directory = host.datadir().join("c@002d@1o");
    let exported = fs::read(directory.join("all#p#p0.ibd")).unwrap();
    server.sql(DISCARDED);

    let plan = told_to(&host, "root", &["plan"]);
    assert_eq!(plan.code, 0, "{:#}", plan.document["items"]);
    for table in ["range", "hash", "sub", "mixed", "inside", "#sql-1_2"] {
        assert_eq!(plan.state(&format!("c-ü.{table}")), "clear", "{table}");
    }
    let items = plan.document["items"].as_array().unwrap();
    let odd = items.iter().find(|item| item["name"].as_str().unwrap().contains("x#p#y")).expect("a table");
    assert_eq!((&odd["state"], &odd["about"]), (&"clear".into(), &"2 partitions".into()));
    assert_eq!(plan.state("c-ü.all"), "unused");
    let about = plan.item("c-ü.sub")["about"].as_str().unwrap();
    assert!(about.contains("`p#x`.`p#xsp1`") && about.contains("`p0`.`p0sp0` were discarded"), "{about}");
    let leftovers: Vec<_> =
        plan.document["items"].as_array().unwrap().iter().filter(|i| i["kind"] == "leftover").collect();
    assert!(leftovers.is_empty(), "{leftovers:#?}");

    let findings = |document: &Value| document["findings"].as_array().unwrap().clone();
    let (_, verified) = encrypt_json(&host, &["verify", "--no-canary"]);
    for finding in findings(&verified) {
        let remedy = finding["remedy"].as_str().unwrap_or_default();
        let of_tables = is_about(&finding, "/c@002d@1o/");
        assert!(!of_tables || !remedy.contains("rm "), "{finding:#}");
        // What apply refuses is not for apply.
        let is_refused = finding["what"] == "c-ü.hash";
        assert!(!is_refused || !remedy.starts_with("keyringctl encrypt apply"), "{finding:#}");
    }

    unencrypted_files_in_discarded_places(&host, &server, &directory, &exported);

    let (code, applied) = encrypt_json(&host, &["apply"]);
    let failed: Vec<_> =
        applied["failed"].as_array().unwrap().iter().map(|f| f["what"].as_str().unwrap()).collect();
    assert_eq!(
        (code, failed),
        (1, vec!["c-ü.hash", "c-ü.mixed", "c-ü.odd", "c-ü.range", "c-ü.sub"]),
        "{applied:#}"
    );
    assert_eq!(in_clear(&server, "c-ü/x#p#y.ß/@-") + in_clear(&server, "c-ü/inside"), 0);

    // What it says to do.
    let plan = told_to(&host, "root", &["plan"]);
    let drop = statements(plan.by_hand("c-ü.range"), &["ALTER TABLE"]);
    server.sql(
        drop.iter().find(|s| s.contains("DROP PARTITION")).expect("a statement that drops the partition"),
    );
    for table in ["hash", "sub", "odd"] {
        copy(&server, plan.by_hand(&format!("c-ü.{table}")), &format!("`c-ü`.`{table}_old`"));
    }
    let moved = statements(plan.by_hand("c-ü.mixed"), &["REORGANIZE PARTITION"]);
    let moved = moved[0].replace("VALUES ...", "VALUES LESS THAN (20)");
    server.sql(&format!("ALTER TABLE `c-ü`.mixed {moved}"));
    let output = encrypt(&host, &["apply", "--purge-binary-logs", "--yes"]);
    assert!(output.status.success(), "{}", told(&output));
    for table in ["range", "hash", "sub", "mixed", "odd"] {
        assert_eq!(in_clear(&server, &format!("c-ü/{table}")), 0, "{table}");
        let state = told_to(&host, "root", &["plan"]).state(&format!("c-ü.{table}")).to_owned();
        assert_eq!(state, "encrypted", "{table}");
    }
    assert_eq!(server.rows::<String>("SELECT v FROM `c-ü`.`range` ORDER BY id"), ["b", "c"]);
    assert_eq!(server.rows::<String>("SELECT v FROM `c-ü`.hash ORDER BY id"), ["a", "c"]);
    assert_eq!(server.value::<u32>("SELECT COUNT(*) FROM `c-ü`.sub"), 3);
    assert_eq!(server.rows::<u32>("SELECT id FROM `c-ü`.mixed ORDER BY id"), [1, 11]);
    let odd = server
        .rows::<String>("SELECT CONCAT_WS(' ', id, `a``,b`, g, w, t, hidden) FROM `c-ü`.odd ORDER BY id");
    assert_eq!(odd, ["0 0000-00-00 7 8 2020-01-01 5", "2 2020-02-31 9 10 2020-01-02 7"]);
    server.stop();
}

/// An unencrypted file in the place of a discarded partition is imported, or removed where the server would refuse it. apply
/// does not call a table encrypted of which there was a part that it could not encrypt.
fn unencrypted_files_in_discarded_places(host: &Host, server: &Server, directory: &Path, exported: &[u8]) {
    for file in ["all#p#p0.ibd", "kept#p#p0.ibd"] {
        fs::write(directory.join(file), exported).unwrap();
    }
    let remedy = |file: &str| {
        let (_, verified) = encrypt_json(host, &["verify", "--no-canary"]);
        let findings = verified["findings"].as_array().unwrap();
        let finding = findings.iter().find(|f| f["what"].as_str().unwrap().ends_with(file));
        finding.map(|f| f["remedy"].as_str().unwrap().to_owned())
    };
    let import = remedy("all#p#p0.ibd").expect("a finding");
    let import = statements(&import, &["ALTER TABLE"]);
    server.sql(import.first().expect("a statement that imports the file"));
    server.sql("ALTER TABLE `c-ü`.`all` DISCARD PARTITION p0 TABLESPACE");
    let refused = remedy("kept#p#p0.ibd").expect("a finding");
    let (_, remove) = refused.split_once("Then: rm ").expect("a command that removes the file");
    fs::remove_file(remove).unwrap();
    assert_eq!((remedy("kept#p#p0.ibd"), remedy("all#p#p0.ibd")), (None, None));

    for (table, partition) in [("kept", "`p0`"), ("all", "`p0`, `p1`")] {
        let (code, applied) = encrypt_json(host, &["apply", "--only", &format!("c-ü.{table}")]);
        let why = applied["failed"][0]["why"].as_str().unwrap_or_else(|| panic!("{applied:#}"));
        let wanted = format!("IMPORT PARTITION {partition} TABLESPACE;");
        assert!(
            code == 1 && why.contains(&wanted) && applied["left"] == serde_json::json!([]),
            "{applied:#}"
        );
    }
}

/// Follows what is said on copying a table, with its steps each pasted as a whole. No step deletes the old table.
fn copy(server: &Server, told: &str, old: &str) {
    let step = |n: u32| {
        let (_, step) = told.split_once(&format!("({n}) ")).unwrap_or_else(|| panic!("{told}"));
        step.split_once(&format!(" ({}) ", n + 1)).map_or(step, |(step, _)| step)
    };
    server.sql(step(1));
    let counts: (u64, u64) = server.rows(step(2)).pop().unwrap();
    assert_eq!(counts.0, counts.1, "{told}");
    server.sql(step(3).trim_start_matches("Only if both counts are equal: "));
    assert!(!told.contains("DROP TABLE") && step(5).contains(&format!("drop {old} and")), "{told}");
    server.sql(&format!("DROP TABLE {old}"));
}
