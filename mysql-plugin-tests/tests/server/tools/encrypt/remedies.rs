// SPDX-License-Identifier: GPL-2.0-or-later
//! Follows every remedy of `keyringctl encrypt verify` as it is printed, on a server that gives cause for each, and finds
//! nothing left. SQL goes through the mysql client, commands through a shell whose PATH has keyringctl.

use super::command::{encrypt_json, is_about};
use crate::tools::administered::Administered;
use mysql_plugin_tests::rig::{Keyring, Volume};
use serde_json::Value;
use std::fs;
use std::path::Path;

const SHOP: &str = "CREATE SCHEMA shop DEFAULT ENCRYPTION='N';
    CREATE TABLE shop.a (id INT PRIMARY KEY, t TEXT);
    INSERT INTO shop.a VALUES (1, 'x');
    CREATE TABLE shop.`with-dash` (id INT PRIMARY KEY) ENGINE=MyISAM;
    INSERT INTO shop.`with-dash` VALUES (1);
    CREATE TABLE shop.m1 (id INT) ENGINE=MyISAM;
    CREATE TABLE shop.m2 (id INT) ENGINE=MyISAM;
    INSERT INTO shop.m1 VALUES (1);
    INSERT INTO shop.m2 VALUES (2);
    CREATE TABLE shop.merged (id INT) ENGINE=MERGE UNION=(shop.m1, shop.m2);
    CREATE TABLE shop.archived (id INT, t TEXT) ENGINE=ARCHIVE;
    INSERT INTO shop.archived VALUES (1, 'x');
    CREATE TABLE shop.listed (id INT NOT NULL, t TEXT NOT NULL) ENGINE=CSV;
    INSERT INTO shop.listed VALUES (1, 'x');
    CREATE TABLE shop.remembered (id INT) ENGINE=MEMORY;
    CREATE TABLE shop.elsewhere (id INT NOT NULL) ENGINE=FEDERATED CONNECTION='mysql://u@127.0.0.1:9/x/y';
    CREATE TABLESPACE general1 ADD DATAFILE 'general1.ibd';
    CREATE TABLE shop.g (id INT PRIMARY KEY) TABLESPACE general1;
    CREATE TABLE shop.s (id INT PRIMARY KEY) TABLESPACE innodb_system;
    CREATE TABLE shop.p (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3;
    CREATE TABLE shop.words (id INT PRIMARY KEY, t TEXT, FULLTEXT (t));
    CREATE TABLE shop.`im-ported` (id INT PRIMARY KEY);
    INSERT INTO shop.`im-ported` VALUES (5);
    CREATE UNDO TABLESPACE off ADD DATAFILE 'off.ibu';
    ALTER UNDO TABLESPACE off SET INACTIVE;
    CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=9, SOURCE_USER='u' FOR CHANNEL 'c-2';
    SET SESSION long_query_time = 0;
    DO SLEEP(0.01)";

/// The options of the server, and the settings in its option file.
const OPTIONS: [&str; 6] = [
    "--log-bin=binlog",
    "--general-log-file=general.log",
    "--log-output=TABLE,FILE",
    "--relay-log=relay",
    "--innodb-doublewrite=ON",
    "--federated",
];
const SETTINGS: &str = "innodb_change_buffering = all\ngeneral_log = ON\nslow_query_log = ON\n";

impl Administered {
    fn findings(&self) -> Vec<Value> {
        let (_, report) = encrypt_json(&self.host, &["verify", "--no-canary"]);
        report["findings"].as_array().unwrap_or_else(|| panic!("{report:#}")).clone()
    }

    /// Follows a remedy, the second way if there is one and no source of changes exists.
    pub fn follow(&mut self, remedy: &str) {
        let way =
            remedy.split_once("Or, if the channel is no longer needed: ").map_or(remedy, |(_, other)| other);
        let way = way.split_once(". Or, ").map_or(way, |(first, _)| first);
        if let Some(rest) = way.strip_prefix("remove ") {
            let (name, rest) = rest.split_once(" from the server's option file, then run: ").unwrap();
            self.remove_setting(name);
            if rest.ends_with(';') { self.client(rest) } else { self.shell(rest) }
        } else if let Some(rest) = way.strip_prefix("at last, run in the server: ") {
            let (sql, rest) = rest.split_once("; then stop it, ").unwrap();
            let (command, _) = rest.split_once(", and start it").unwrap();
            self.client(&format!("{sql};"));
            self.server.take().unwrap().stop();
            self.shell(command);
            self.server = Some(self.host.start());
        } else if let Some(rest) = way.strip_prefix("add to the group [mysqld] of the server's option file: ")
        {
            let (setting, rest) = rest.split_once("; then run in the server: ").unwrap();
            self.add_setting(setting);
            self.client(rest.split_once(" and restart").unwrap().0);
            self.restart(|| {});
        } else if let Some((sql, command)) = way.split_once("; then: ") {
            self.client(&format!("{sql};"));
            self.shell(command);
        } else if let Some(rest) = way.strip_prefix("replace the MERGE table ") {
            self.client(rest.split_once(": ").unwrap().1);
        } else if way.ends_with(';') {
            self.client(way);
        } else {
            let command = way.rsplit_once(": ").map_or(way, |(_, command)| command);
            assert!(
                ["keyringctl ", "mysql ", "rm "].iter().any(|c| command.starts_with(c)),
                "no command: {remedy}"
            );
            self.shell(command);
        }
        self.followed.insert(remedy.to_owned());
    }

    /// Follows the remedies one by one until none is left that was not followed. Each removes its findings.
    fn follow_all(&mut self, leaves: &dyn Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        let mut findings = self.findings();
        loop {
            let next = findings.iter().find(|f| !leaves(f)).cloned();
            seen.append(&mut findings);
            let Some(next) = next else { return seen };
            let remedy = next["remedy"].as_str().unwrap_or_else(|| panic!("no remedy: {next:#}")).to_owned();
            assert!(!self.followed.contains(&remedy), "followed, and still there: {next:#}");
            self.follow(&remedy);
            findings = self.findings();
            let left = findings.iter().find(|f| f["remedy"] == remedy.as_str());
            assert!(left.is_none(), "the remedy left {left:#?}");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
}

/// Makes every kind of unencrypted data, follows all remedies, and ends with a verify that finds nothing.
pub fn remedies_work_as_printed() {
    let (first, second) = (Volume::directory(), Volume::directory());
    let keyring = Keyring::init_on(&[&first, &second]);
    let mut it = Administered::new(&keyring, SETTINGS, &OPTIONS);
    it.server().sql(SHOP);
    // Files of nobody, a discarded table with a file to import, and a binary log that the server no longer lists.
    it.server().sql(
        "CREATE TABLE shop.gone1 (id INT PRIMARY KEY);
         CREATE TABLE shop.gone2 (id INT PRIMARY KEY);
         FLUSH TABLES shop.gone1, shop.gone2, shop.`im-ported` FOR EXPORT;
         UNLOCK TABLES",
    );
    for (table, left) in [("gone1.ibd", "orphan.ibd"), ("gone2.ibd", "#sql-1f_2.ibd")] {
        fs::hard_link(it.path("shop").join(table), it.path("shop").join(left)).unwrap();
    }
    it.server().sql("DROP TABLE shop.gone1, shop.gone2");
    let kept = fs::read(it.path("shop/im@002dported.ibd")).unwrap();
    it.server().sql("ALTER TABLE shop.`im-ported` DISCARD TABLESPACE; FLUSH BINARY LOGS");
    fs::write(it.path("shop/im@002dported.ibd"), kept).unwrap();
    copy(&it.path("binlog.000001"), &it.path("old-binlog.000001"));

    copied_data_directory(&it);

    // ibdata1 keeps what was in it; only a new instance helps.
    let leaves = |finding: &Value| finding["kind"] == "system-tablespace";
    let seen = it.follow_all(&leaves);
    for (kind, what) in [
        ("table", "shop.a"),
        ("table", "shop.p"),
        ("table", "shop/p#p#p1.ibd"),
        ("table", "shop/orphan.ibd"),
        ("table", "shop/#sql-1f_2.ibd"),
        ("table", "shop/im@002dported.ibd"),
        ("system-table", "shop.s"),
        ("other-engine", "with-dash"),
        ("other-engine", "shop.m1"),
        ("other-engine", "shop.archived"),
        ("other-engine", "shop/archived.ARZ"),
        ("other-engine", "shop.listed"),
        ("other-engine", "mysql/general_log.CSV"),
        ("other-engine", "mysql/slow_log.CSV"),
        ("tablespace", "general1"),
        ("mysql-tablespace", "mysql"),
        ("redo", "/copied/#innodb_redo"),
        ("other-engine", "/copied/mysql/general_log.CSV"),
        ("undo", "innodb_undo_001"),
        ("undo", "undo tablespace off"),
        ("undo", "off.ibu"),
        ("redo", "redo log"),
        ("redo", "#ib_redo"),
        ("binary-log", "binary logs"),
        ("binary-log", "old-binlog.000001"),
        ("relay-log", "relay-c@002d2.0"),
        ("relay-log", "relay logs"),
        ("doublewrite", ".dblwr"),
        ("change-buffer", "innodb_change_buffering"),
        ("general-log", "general.log"),
        ("slow-log", "slow"),
        ("schema", "shop"),
        ("setting", "default_table_encryption"),
        ("setting", "table_encryption_privilege_check"),
        ("late-setting", "innodb_redo_log_encrypt"),
        ("late-setting", "innodb_undo_log_encrypt"),
        ("late-setting", "innodb_change_buffering"),
    ] {
        let is_it = |f: &Value| f["kind"] == kind && is_about(f, what);
        assert!(seen.iter().any(is_it), "{kind} {what} was no finding: {:#?}", it.followed);
    }
    let told = |name: &str| seen.iter().any(|f| f["what"] == name);
    assert!(!told("shop.merged") && !told("shop.elsewhere") && !told("shop.remembered"));
    assert_eq!(it.server().rows::<i32>("SELECT id FROM shop.`im-ported`"), [5], "nothing is lost");
    assert_eq!(it.server().rows::<i32>("SELECT id FROM shop.m1 UNION SELECT id FROM shop.m2"), [1, 2]);
    assert_eq!(it.server().rows::<i32>("SELECT id FROM shop.merged ORDER BY id"), [1, 2], "it is a view");
    let of_m1 = seen.iter().find(|f| f["what"] == "shop.m1").expect("a finding");
    assert!(of_m1["why"].as_str().unwrap().contains("MERGE: shop.merged"), "{of_m1:#}");

    transfer_key(&mut it, &leaves);
    lost_copy(&mut it, &second);
    let (code, report) = encrypt_json(&it.host, &["verify", "--accept=system-tablespace"]);
    assert_eq!(code, 0, "{:#}", report["findings"]);
    it.server.take().unwrap().stop();
}

/// A copy of the server's files in its data directory, which encrypting does not change.
fn copied_data_directory(it: &Administered) {
    for directory in ["copied/#innodb_redo", "copied/mysql"] {
        fs::create_dir_all(it.path(directory)).unwrap();
    }
    copy(&it.path("mysql/general_log.CSV"), &it.path("copied/mysql/general_log.CSV"));
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let redo = fs::read_dir(it.path("#innodb_redo")).unwrap().map(|entry| name(entry.unwrap()));
    let used = redo.filter(|name| !name.ends_with("_tmp")).max().expect("a redo log file");
    for copied in ["#ib_redo1", "#ib_redo2"] {
        copy(&it.path("#innodb_redo").join(&used), &it.path("copied/#innodb_redo").join(copied));
    }
}

/// The key of an exported table, left beside it.
fn transfer_key(it: &mut Administered, leaves: &dyn Fn(&Value) -> bool) {
    let mut conn = it.server().connect();
    mysql::prelude::Queryable::query_drop(&mut conn, "FLUSH TABLES shop.a FOR EXPORT").unwrap();
    copy(&it.path("shop/a.cfp"), &it.path("shop/b.cfp"));
    drop(conn);
    let seen = it.follow_all(leaves);
    assert!(seen.iter().any(|f| f["what"].as_str().unwrap().contains("shop/b.cfp")), "{seen:#?}");
}

/// A copy of the keyring that is lost while the server runs.
fn lost_copy(it: &mut Administered, volume: &Volume) {
    fs::remove_file(volume.keys().join("keyring")).unwrap();
    it.server().comes_to(&[("state", "DEGRADED")]);
    let findings = it.findings();
    let remedy = findings.iter().find(|f| f["what"] == "keyring").expect("a finding")["remedy"].clone();
    let remedy = remedy.as_str().unwrap();
    let sync = remedy.rsplit_once(": ").unwrap().1;
    it.shell(&sync.replace("SOURCE", &format!("file:{}", it.keyring.secret.display())));
    it.server().comes_to(&[("state", "ATTACHED")]);
    assert!(it.findings().iter().all(|f| f["what"] != "keyring"));
}
