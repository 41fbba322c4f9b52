// SPDX-License-Identifier: GPL-2.0-or-later
//! Tables and tablespaces that the server cannot use: they are reported, and everything else is still looked at and
//! encrypted.

use super::command::{command, encrypt, encrypt_json};
use super::host::host;
use super::told_places::{statements, told_to};
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, place, told, wait_until};
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

const TABLES: &str = "CREATE SCHEMA c; CREATE SCHEMA good;
    CREATE TABLESPACE gone ADD DATAFILE 'gone.ibd';
    CREATE TABLE c.g1 (id INT PRIMARY KEY) TABLESPACE gone;
    CREATE TABLE c.`g-ü` (id INT PRIMARY KEY) TABLESPACE gone;
    CREATE TABLESPACE kept ADD DATAFILE 'kept.ibd';
    CREATE TABLE good.shared (id INT PRIMARY KEY) TABLESPACE kept;
    CREATE TABLE c.lost (id INT PRIMARY KEY);
    CREATE TABLE c.part (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3;
    INSERT INTO c.part VALUES (0), (1), (2);
    CREATE TABLE c.old (id INT) ENGINE = MyISAM; INSERT INTO c.old VALUES (1);
    CREATE TABLE c.merged (id INT) ENGINE = MERGE UNION = (c.old);
    CREATE TABLE c.base (id INT); CREATE VIEW c.broken AS SELECT id FROM c.base; DROP TABLE c.base;
    CREATE TABLE good.visits (id INT PRIMARY KEY);
    CREATE TABLE good.names (id INT PRIMARY KEY)";

/// The places that cannot be looked at.
const UNKNOWN: [&str; 4] = ["c.lost", "c.outside", "c.part", "tablespace gone"];

/// Returns a server on which files and a directory of tables are gone, and a MyISAM table is damaged.
fn broken(host: &Host) -> Server {
    let server = host.start();
    server.sql(TABLES);
    let outside = host.dir().join("outside");
    server.sql(&format!(
        "CREATE TABLE c.outside (id INT PRIMARY KEY) DATA DIRECTORY = '{}'",
        outside.display()
    ));
    server.stop();
    let datadir = host.datadir();
    for file in ["gone.ibd", "c/lost.ibd", "c/part#p#p1.ibd"] {
        fs::remove_file(datadir.join(file)).unwrap();
    }
    fs::remove_dir_all(&outside).unwrap();
    fs::write(datadir.join("c/old.MYI"), "no index").unwrap();
    host.start()
}

/// Missing files and directories, damaged tables and views end nothing. Each is named with what to do, nothing is claimed of
/// them, and the rest is encrypted and verified.
pub fn what_is_broken_ends_nothing() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    fs::create_dir(host.dir().join("outside")).unwrap();
    let host = host.clone().option(format!("--innodb-directories={}", host.dir().join("outside").display()));
    let server = broken(&host);

    let plan = told_to(&host, "root", &["plan"]);
    assert_eq!((plan.code, plan.names("unknown")), (1, UNKNOWN.to_vec()), "{:#}", plan.document["items"]);
    let about = plan.item("c.part")["about"].as_str().unwrap();
    assert!(about.contains("`p1`") && about.contains("unencrypted: `p0`, `p2`"), "{about}");
    let about = plan.item("tablespace gone")["about"].as_str().unwrap();
    assert!(about.contains(host.datadir().join("gone.ibd").to_str().unwrap()), "{about}");

    let output = encrypt(&host, &["apply", "--only=good.visits"]);
    assert!(output.status.success(), "{}", told(&output));
    let (code, applied) = encrypt_json(&host, &["apply", "--only=c.g1"]);
    assert!(code == 1 && applied["failed"][0]["why"].as_str().unwrap().contains("gone.ibd"), "{applied:#}");
    let (code, applied) = encrypt_json(&host, &["apply", "--only=good.shared"]);
    assert!(
        code == 1 && applied["failed"][0]["why"].as_str().unwrap().contains("without --only"),
        "{applied:#}"
    );

    let (code, applied) = encrypt_json(&host, &["apply"]);
    let names = |list: &str| -> Vec<_> {
        applied[list].as_array().unwrap().iter().map(|f| f["what"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((code, names("not_checked")), (1, UNKNOWN.map(str::to_owned).to_vec()), "{applied:#}");
    assert_eq!(names("failed"), ["c.part"], "{applied:#}");
    let plan = told_to(&host, "root", &["plan"]);
    assert_eq!(plan.names("unknown"), UNKNOWN);
    for name in ["good.visits", "good.names", "tablespace kept", "tablespace mysql"] {
        assert_eq!(plan.state(name), "encrypted", "{name}");
    }

    let (code, verified) = encrypt_json(&host, &["verify", "--accept=table", "--accept=tablespace"]);
    let findings = verified["findings"].as_array().unwrap();
    for name in UNKNOWN {
        let of_it =
            findings.iter().find(|f| f["what"] == name).unwrap_or_else(|| panic!("{name}: {findings:#?}"));
        assert!(
            of_it["why"].as_str().unwrap().starts_with("not checked") && of_it["accepted"] == false,
            "{of_it:#}"
        );
    }
    assert_eq!(code, 1);
    assert!(verified["files"]["files"].as_u64().unwrap() > 0, "{:#}", verified["files"]);
    let mut report = Command::new(&place().keyringctl);
    report.args(["--json", "report", "--no-defaults", "--user=root", "--socket"]).arg(host.socket());
    let output = report.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let told_all = String::from_utf8_lossy(&output.stdout);
    assert!(UNKNOWN.iter().all(|name| told_all.contains(name)), "{told_all}");

    // What plan says to do: first of all, to keep what mysqld may still have open.
    let part = plan.by_hand("c.part");
    assert!(
        part.starts_with("mysqld may still have the deleted file open: if SELECT returns rows"),
        "{part}"
    );
    statements(part, &["ALTER TABLE"]).iter().for_each(|discard| server.sql(discard));
    let others = told_to(&host, "root", &["plan"]).by_hand("c.part").to_owned();
    let (_, others) = others.split_once("(1) ").unwrap_or_else(|| panic!("{others}"));
    server.sql(others.split(" (2) ").next().unwrap());
    assert_eq!(server.rows::<u32>("SELECT id FROM c.part_new ORDER BY id"), [0, 2]);
    server.sql("DROP TABLE c.part_new");
    for name in UNKNOWN {
        statements(plan.by_hand(name), &["DROP TABLE", "DROP TABLESPACE"]).iter().for_each(|s| server.sql(s));
    }
    let plan = told_to(&host, "root", &["plan"]);
    assert_eq!((plan.code, plan.names("unknown")), (0, Vec::new()), "{:#}", plan.document["items"]);
    server.stop();
}

/// Without the keyring, the server still remembers that a table is encrypted. That is not called encrypted.
pub fn without_its_key_nothing_is_called_encrypted() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let bare = host();
    let host = bare.clone().keyring(&keyring);
    let server = host.start();
    server.sql(
        "CREATE SCHEMA c; CREATE TABLE c.own (id INT PRIMARY KEY) ENCRYPTION = 'Y';
         CREATE TABLESPACE several ADD DATAFILE 'several.ibd' ENCRYPTION = 'Y';
         CREATE TABLE c.shared (id INT PRIMARY KEY) TABLESPACE several ENCRYPTION = 'Y';
         CREATE TABLE c.plain (id INT PRIMARY KEY)",
    );
    server.stop();
    let server = bare.start();
    let plan = told_to(&bare, "root", &["plan"]);
    assert_eq!((plan.code, plan.names("unknown")), (1, vec!["c.own", "tablespace several"]));
    assert_eq!(plan.state("c.plain"), "clear");
    assert_eq!(plan.document["keyring"]["way"], "none");
    let (code, verified) = encrypt_json(&bare, &["verify", "--no-canary"]);
    let findings = verified["findings"].as_array().unwrap();
    let not_checked = findings
        .iter()
        .filter(|f| f["why"].as_str().unwrap().starts_with("not checked: the server could not open"));
    assert_eq!((code, not_checked.count()), (1, 2), "{findings:#?}");
    server.stop();
}

/// A table that another connection has locked, and one that is being rebuilt, stop nothing. What belongs to the rebuilding
/// is not called a leftover to drop.
pub fn what_is_in_use_ends_nothing() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    let server = host.start();
    server.sql(
        "CREATE SCHEMA c; CREATE TABLE c.a (id INT PRIMARY KEY); CREATE TABLE c.b (id INT PRIMARY KEY);
         CREATE TABLE c.rebuilt (id INT) ENGINE = MyISAM; INSERT INTO c.rebuilt VALUES (1)",
    );
    let mut user = server.connect();
    user.query_drop("START TRANSACTION").unwrap();
    let _: Vec<i32> = user.query("SELECT id FROM c.b").unwrap();
    let _: Vec<i32> = user.query("SELECT id FROM c.rebuilt").unwrap();
    let mut others: Vec<_> = Vec::new();
    // The first holds c.a and waits for c.b; the second has filled a new table and waits for the old one.
    for statement in ["DROP TABLE c.a, c.b", "ALTER TABLE c.rebuilt ENGINE = InnoDB"] {
        let mut conn = server.connect();
        others.push(thread::spawn(move || conn.query_drop(statement)));
    }
    let waiting = || {
        server.value::<u32>(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'Waiting for table metadata lock'",
        ) == 2
    };
    assert!(wait_until(Duration::from_secs(60), waiting), "they do not wait");
    let plan = told_to(&host, "root", &["plan"]);
    assert_eq!((plan.state("c.a"), plan.state("c.b"), plan.state("c.rebuilt")), ("clear", "clear", "clear"));
    let items = plan.document["items"].as_array().unwrap();
    for item in items.iter().filter(|item| item["kind"] == "leftover") {
        let remedy = item["remedy"]["by_hand"].as_str().unwrap();
        assert!(remedy.starts_with("wait until") && !remedy.contains("DROP"), "{item:#}");
    }
    user.query_drop("COMMIT").unwrap();
    others.into_iter().for_each(|other| other.join().unwrap().unwrap());
    let plan = command(&host, &["plan"]).output().unwrap();
    assert!(plan.status.success(), "{}", told(&plan));
    server.stop();
}
