// SPDX-License-Identifier: GPL-2.0-or-later
//! What an interrupted `keyringctl encrypt apply` leaves in scratch tablespaces, in every state: it is named, counted as
//! half-done, and put back or completed as printed.

use super::command::{command, encrypt, encrypt_json, is_about};
use super::host::host;
use super::typing::typed;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, place, told};
use serde_json::Value;
use std::process::{Command, Stdio};

/// The tables, and the names of the scratch tablespaces that are for them: the digits are the beginning of SHA-256 of
/// schema and table.
const MOVED: (&str, &str) = ("clinic.moved", "keyring_external_encrypt_local_@_clinic_moved");
const TURNED: (&str, &str) = ("clinic.turned", "keyring_external_encrypt_local_@_clinic_turned");
const EMPTY: (&str, &str) = ("clinic.empty", "keyring_external_encrypt_local_@_clinic_empty");
const SHARED: (&str, &str) = ("clinic.shared", "keyring_external_encrypt_local_@_clinic_shared");
const RENAMED: (&str, &str) = ("clinic.renamed", "keyring_external_encrypt_local_@_clinic_renamed");
/// Its name, and schema, after somebody has renamed it.
const ELSEWHERE: &str = "archive.elsewhere";

fn name(server: &Server, of: (&str, &str)) -> String {
    let (schema, table) = of.0.split_once('.').unwrap();
    let digits: String =
        server.value(&format!("SELECT LEFT(SHA2(CONCAT('{schema}', CHAR(0), '{table}'), 256), 12)"));
    of.1.replace('@', &digits)
}

/// Puts the tables into the states in which a run that is killed leaves them.
fn interrupted(server: &Server) {
    server.sql("DROP SCHEMA IF EXISTS clinic; DROP SCHEMA IF EXISTS archive; CREATE SCHEMA clinic; CREATE SCHEMA archive");
    for (table, space) in [MOVED, TURNED, EMPTY, SHARED, RENAMED].map(|of| (of.0, name(server, of))) {
        if scratch(server).contains(&space) {
            server.sql(&format!("DROP TABLESPACE {space}"));
        }
        server.sql(&format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, name VARCHAR(40)) ENCRYPTION = 'N';
             INSERT INTO {table} VALUES (1, 'Quennarvik');
             CREATE TABLESPACE {space} ADD DATAFILE '{space}.ibd' ENCRYPTION = 'N'"
        ));
    }
    for of in [MOVED, TURNED, SHARED, RENAMED] {
        server.sql(&format!("ALTER TABLE {} TABLESPACE {}", of.0, name(server, of)));
    }
    for of in [TURNED, RENAMED] {
        server.sql(&format!("ALTER TABLESPACE {} ENCRYPTION = 'Y'", name(server, of)));
    }
    // The server puts it beside the other, and moves no table out to rename it.
    server.sql(&format!("CREATE TABLE clinic.other LIKE {}", SHARED.0));
    server.sql(&format!("RENAME TABLE {} TO {ELSEWHERE}", RENAMED.0));
}

/// The tablespaces that are named like scratch tablespaces.
fn scratch(server: &Server) -> Vec<String> {
    server.rows("SELECT NAME FROM information_schema.INNODB_TABLESPACES WHERE NAME LIKE 'keyring\\_external\\_%' ORDER BY NAME")
}

/// Whether a table is in a file of its own, and encrypted; `None`: it is elsewhere.
fn own(server: &Server, table: &str) -> Option<bool> {
    let name = table.replace('.', "/");
    let rows: Vec<String> = server
        .rows(&format!("SELECT ENCRYPTION FROM information_schema.INNODB_TABLESPACES WHERE NAME = '{name}'"));
    rows.first().map(|letter| letter == "Y")
}

fn all_rows_are_there(server: &Server) {
    for table in [MOVED.0, TURNED.0, EMPTY.0, SHARED.0, ELSEWHERE] {
        let count: u32 = server.value(&format!("SELECT COUNT(*) FROM {table} WHERE name = 'Quennarvik'"));
        assert_eq!(count, 1, "{table}");
    }
}

fn findings(host: &Host, args: &[&str]) -> Vec<Value> {
    let (code, report) = encrypt_json(host, &[&["verify"], args].concat());
    assert_eq!(code, 1, "{report:#}");
    report["findings"].as_array().unwrap().clone()
}

/// The finding about a scratch tablespace.
fn about<'f>(findings: &'f [Value], space: &str) -> &'f Value {
    let found = findings.iter().find(|finding| finding["kind"] == "scratch" && is_about(finding, space));
    found.unwrap_or_else(|| panic!("nothing about {space}: {findings:#?}"))
}

/// Every command names what is half-done, and none counts it as done.
fn it_is_named(host: &Host, server: &Server) {
    let (_, plan) = encrypt_json(host, &["plan"]);
    assert_eq!(plan["tally"]["half_done"]["places"], 2, "{:#}", plan["tally"]);
    let items = plan["items"].as_array().unwrap();
    for (of, state, what) in [
        (MOVED, "clear", "has left the table clinic.moved in it"),
        (TURNED, "half_done", "has left the table clinic.turned in it"),
        (EMPTY, "clear", "it is empty"),
        (SHARED, "clear", "has left the tables clinic.shared, clinic.other in it"),
        (RENAMED, "half_done", "has left the table archive.elsewhere in it"),
    ] {
        let name = format!("scratch tablespace {}", name(server, of));
        let item = items.iter().find(|item| item["name"] == *name);
        let item = item.unwrap_or_else(|| panic!("no {name}: {items:#?}"));
        assert!(item["state"] == state && item["kind"] == "scratch", "{item:#}");
        let about = item["about"].as_str().unwrap();
        assert!(about.contains(what) && about.contains("encrypt cleanup"), "{item:#}");
    }
    for args in [&["--no-canary"][..], &["--undo"]] {
        let found = findings(host, args);
        for of in [MOVED, TURNED, EMPTY, SHARED, RENAMED] {
            let remedy = about(&found, &name(server, of))["remedy"].as_str().unwrap().to_owned();
            assert!(remedy.contains("keyringctl encrypt apply"), "{args:?}: {remedy}");
        }
    }
}

/// Nothing is touched while another run needs it, or without a yes.
fn it_is_not_touched_unasked(host: &Host, server: &Server) {
    let before = scratch(server);
    {
        use mysql::prelude::Queryable;
        let mut running = server.connect();
        running.query_drop("DO GET_LOCK('keyring_external.encrypt', 0)").unwrap();
        let refused = encrypt(host, &["cleanup", "--yes"]);
        let says = format!("connection {} runs keyringctl encrypt", running.connection_id());
        assert!(refused.status.code() == Some(2) && told(&refused).contains(&says), "{}", told(&refused));
        let found = findings(host, &["--no-canary"]);
        let finding = about(&found, &name(server, TURNED));
        assert!(finding["remedy"].as_str().unwrap().starts_with("wait until"), "{finding:#}");
    }
    let only = ["--only", MOVED.0];
    let (_, plan) = encrypt_json(host, &[&["plan"], &only[..]].concat());
    assert_eq!(plan["tally"]["unencrypted"]["places"], 1, "{:#}", plan["tally"]);
    let dry = told(&encrypt(host, &[&["apply", "--dry-run"], &only[..]].concat()));
    let says = format!("scratch tablespace {}", name(server, MOVED));
    assert!(dry.contains(&says) && dry.contains("clinic.moved in a file of its own, encrypted"), "{dry}");
    let dry = encrypt(host, &["cleanup", "--dry-run"]);
    assert!(dry.status.success(), "{}", told(&dry));
    let says = [
        "holds clinic.moved, unencrypted",
        "clinic.turned in a file of its own, encrypted",
        "archive.elsewhere in a file of its own, encrypted",
        "clinic.shared, clinic.other in files of their own, unencrypted",
    ];
    assert!(says.iter().all(|text| told(&dry).contains(text)), "{}", told(&dry));
    let (code, document) = encrypt_json(host, &["cleanup", "--dry-run", "--yes"]);
    let effects = document["effects"].as_array().unwrap();
    assert!(code == 0 && document["dry_run"] == true && effects.len() == 5, "{document:#}");
    let unasked = command(host, &["cleanup"]).stdin(Stdio::null()).output().unwrap();
    assert!(unasked.status.code() == Some(2) && told(&unasked).contains("--yes"), "{}", told(&unasked));
    let no = typed(command(host, &["cleanup"]), "no\n");
    assert!(no.status.code() == Some(2) && told(&no).contains("the answer was no"), "{}", told(&no));
    server.sql("SET GLOBAL super_read_only = ON");
    let refused = encrypt(host, &["cleanup", "--yes"]);
    let says = "SET GLOBAL super_read_only = OFF;";
    assert!(refused.status.code() == Some(2) && told(&refused).contains(says), "{}", told(&refused));
    server.sql("SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF");
    assert_eq!(scratch(server), before);
}

/// What is half-done after a crash is named, put back by `cleanup`, and completed by `apply`.
pub fn half_done() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    let server = host.start();
    interrupted(&server);
    it_is_named(&host, &server);
    it_is_not_touched_unasked(&host, &server);

    let done = typed(command(&host, &["cleanup"]), "yes\n");
    assert!(
        done.status.success() && told(&done).contains("OK: no scratch tablespace is left"),
        "{}",
        told(&done)
    );
    assert_eq!(scratch(&server), [""; 0], "{}", told(&done));
    let tables = [MOVED.0, TURNED.0, EMPTY.0, SHARED.0, "clinic.other", ELSEWHERE];
    let encrypted = [false, true, false, false, false, true].map(Some);
    assert_eq!(tables.map(|table| own(&server, table)), encrypted, "{}", told(&done));
    all_rows_are_there(&server);
    let (code, nothing) = encrypt_json(&host, &["cleanup"]);
    assert!(code == 0 && nothing["done"].as_array().unwrap().is_empty(), "{nothing:#}");

    indexes_are_added_again(&host, &server);
    it_is_refused_without_the_privilege(&host, &server);
    let server = without_its_file(&host, server);
    it_is_completed(&host, &server);
    server.stop();
}

/// Full-text indexes that a run has dropped are named, and added again.
fn indexes_are_added_again(host: &Host, server: &Server) {
    let notes = ("clinic.notes", "keyring_external_encrypt_local_@_clinic_notes");
    let kept = name(server, notes);
    server.sql("CREATE TABLE clinic.notes (id INT PRIMARY KEY, a TEXT, b TEXT, FULLTEXT KEY words (a), FULLTEXT KEY more (a, b)) ENCRYPTION = 'Y'");
    let definition = || server.rows::<(String, String)>("SHOW CREATE TABLE clinic.notes");
    let before = definition();
    server.sql(&format!(
        "CREATE SCHEMA keyring_external_fulltext; CREATE TABLE keyring_external_fulltext.{kept} LIKE clinic.notes;
         ALTER TABLE clinic.notes DROP INDEX words; ALTER TABLE clinic.notes DROP INDEX more"
    ));
    let found = findings(host, &["--no-canary"]);
    let finding = about(&found, &kept);
    assert!(finding["why"].as_str().unwrap().starts_with("half-done"), "{finding:#}");
    it_is_one_place(host, server, &kept);
    // A run for other tables leaves them, and says so.
    let left = |args: &[&str]| {
        let output = encrypt(host, &[&["apply", "--only"], args].concat());
        let says = "LEFT    full-text indexes of clinic.notes";
        assert!(output.status.success() && told(&output).contains(says), "{}", told(&output));
        assert_ne!(definition(), before, "{}", told(&output));
    };
    left(&["clinic.moved"]);
    left(&["clinic.*", "--skip", "clinic.notes", "--skip", "clinic.other"]);
    let (_, plan) = encrypt_json(host, &["plan", "--only", "clinic.notes"]);
    let places: Vec<_> = plan["items"].as_array().unwrap().iter().map(|item| &item["kind"]).collect();
    assert_eq!(places, ["table", "scratch"], "{plan:#}");
    let dry = told(&encrypt(host, &["apply", "--only", "clinic.notes", "--dry-run"]));
    assert!(dry.contains("full-text indexes of clinic.notes") && dry.contains("added again"), "{dry}");
    let dry = told(&encrypt(host, &["cleanup", "--dry-run"]));
    assert!(dry.contains("full-text indexes of clinic.notes") && dry.contains("added again"), "{dry}");
    let done = encrypt(host, &["cleanup", "--yes"]);
    assert!(done.status.success() && definition() == before, "{}", told(&done));
    let schemas: Vec<String> = server.rows("SHOW SCHEMAS LIKE 'keyring%'");
    assert_eq!(schemas, [""; 0], "{}", told(&done));
    // One whose column is gone meanwhile is named, and what is said works.
    server.sql(&format!(
        "CREATE SCHEMA keyring_external_fulltext; CREATE TABLE keyring_external_fulltext.{kept} LIKE clinic.notes;
         ALTER TABLE clinic.notes DROP INDEX words; ALTER TABLE clinic.notes DROP INDEX more; ALTER TABLE clinic.notes DROP COLUMN b"
    ));
    let failed = encrypt(host, &["cleanup", "--yes"]);
    let says = ["cannot be added again: FULLTEXT KEY `more` (`a`,`b`)", "the full-text indexes of 1 table"];
    let is_said = says.iter().all(|text| told(&failed).contains(text));
    assert!(failed.status.code() == Some(1) && is_said, "{}", told(&failed));
    let text = told(&failed);
    let statement = text.lines().find_map(|line| line.split_once("to give these up: ")).unwrap().1;
    server.sql(statement);
    let done = encrypt(host, &["cleanup", "--yes"]);
    let has_words = definition()[0].1.contains("FULLTEXT KEY `words` (`a`)");
    assert!(done.status.success() && has_words, "{}", told(&done));
    server.sql("DROP TABLE clinic.notes");
}

/// What keeps full-text indexes is one place, in the state that it is in.
fn it_is_one_place(host: &Host, server: &Server, kept: &str) {
    server.sql(&format!("ALTER TABLE keyring_external_fulltext.{kept} ENCRYPTION = 'N'"));
    let found = findings(host, &["--no-canary"]);
    let within: Vec<_> = found.iter().filter(|f| is_about(f, "keyring_external_fulltext")).collect();
    let [one] = within[..] else { panic!("{within:#?}") };
    let why = one["why"].as_str().unwrap();
    assert!(why.starts_with("unencrypted: ") && why.contains("indexes of clinic.notes"), "{one:#}");
}

/// An account that the server does not let encrypt a table is refused beforehand, also if the table is copied.
fn it_is_refused_without_the_privilege(host: &Host, server: &Server) {
    server.sql(
        "SET GLOBAL table_encryption_privilege_check = ON; CREATE USER few@localhost;
         CREATE SCHEMA few DEFAULT ENCRYPTION = 'N'; CREATE TABLE few.t (id INT PRIMARY KEY) ENCRYPTION = 'N';
         GRANT PROCESS, REFERENCES, REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO few@localhost;
         GRANT SELECT ON performance_schema.* TO few@localhost;
         GRANT SELECT, INSERT, CREATE, ALTER ON few.* TO few@localhost",
    );
    let args = ["encrypt", "apply", "--only", "few.t", "--no-defaults", "--user=few", "--socket"];
    let apply = || Command::new(&place().keyringctl).args(args).arg(host.socket()).output().unwrap();
    let (refused, says) = (apply(), "GRANT TABLE_ENCRYPTION_ADMIN ON *.* TO 'few'@'localhost';");
    assert!(refused.status.code() == Some(2) && told(&refused).contains(says), "{}", told(&refused));
    server.sql(says.trim_end_matches(';'));
    let done = apply();
    assert!(done.status.success() && own(server, "few.t") == Some(true), "{}", told(&done));
    server.sql("SET GLOBAL table_encryption_privilege_check = OFF; DROP SCHEMA few; DROP USER few@localhost");
}

/// A scratch tablespace that the server cannot use is named, not touched, and taken up when it is back.
fn without_its_file(host: &Host, server: Server) -> Server {
    interrupted(&server);
    let turned = name(&server, TURNED);
    let (file, elsewhere) = (host.datadir().join(format!("{turned}.ibd")), host.dir().join("kept.ibd"));
    server.stop();
    std::fs::rename(&file, &elsewhere).unwrap();
    let server = host.start();
    let found = findings(host, &["--no-canary"]);
    let finding = about(&found, &turned);
    assert!(finding["why"].as_str().unwrap().contains("is missing"), "{finding:#}");
    let output = encrypt(host, &["cleanup", "--yes"]);
    let says = [
        format!("FAILED  scratch tablespace {turned}"),
        "FAILED. Still there: 1 scratch tablespace".to_owned(),
    ];
    assert!(
        output.status.code() == Some(1) && says.iter().all(|text| told(&output).contains(text)),
        "{}",
        told(&output)
    );
    server.stop();
    std::fs::rename(&elsewhere, &file).unwrap();
    let server = host.start();
    let output = encrypt(host, &["cleanup", "--yes"]);
    assert!(output.status.success() && own(&server, TURNED.0) == Some(true), "{}", told(&output));
    all_rows_are_there(&server);
    server
}

/// The next run completes what it was asked for before anything else.
fn it_is_completed(host: &Host, server: &Server) {
    interrupted(server);
    // With this index, it cannot be moved while others write.
    server.sql("ALTER TABLE clinic.turned ADD FULLTEXT KEY words (name)");
    let [moved, turned, empty, shared, renamed] =
        [MOVED, TURNED, EMPTY, SHARED, RENAMED].map(|of| name(server, of));
    let elsewhere = encrypt(host, &["apply", "--only", ELSEWHERE]);
    assert!(elsewhere.status.success() && own(server, ELSEWHERE) == Some(true), "{}", told(&elsewhere));
    assert!(!scratch(server).contains(&renamed), "{}", told(&elsewhere));
    let one = encrypt(host, &["apply", "--only", MOVED.0]);
    assert!(one.status.success() && own(server, MOVED.0) == Some(true), "{}", told(&one));
    assert!(!scratch(server).contains(&moved) && scratch(server).contains(&turned), "{}", told(&one));
    let altered = || -> u64 {
        server.value("SELECT CAST(COALESCE(SUM(COUNT_STAR), 0) AS UNSIGNED) FROM performance_schema.events_statements_summary_by_digest WHERE DIGEST_TEXT LIKE 'ALTER TABLESPACE%'")
    };
    let before = altered();
    assert!(before > 0);
    let back = encrypt(host, &["apply", "--undo", "--only", TURNED.0]);
    assert_eq!(altered(), before, "no tablespace is decrypted unless that is asked for: {}", told(&back));
    assert!(back.status.success() && own(server, TURNED.0) == Some(false), "{}", told(&back));
    assert!(!scratch(server).contains(&turned) && scratch(server).contains(&empty), "{}", told(&back));
    let others = encrypt(
        host,
        &["apply", "--only", "clinic.*", "--skip", EMPTY.0, "--skip", SHARED.0, "--skip", "clinic.other"],
    );
    let says = format!("LEFT    scratch tablespace {empty}: empty");
    assert!(
        others.status.success()
            && told(&others).contains(&says)
            && scratch(server) == [empty.clone(), shared.clone()],
        "{}",
        told(&others)
    );
    let all = encrypt(host, &["apply"]);
    let tables = [MOVED.0, TURNED.0, EMPTY.0, SHARED.0, "clinic.other"].map(|table| own(server, table));
    assert_eq!((tables, scratch(server)), ([Some(true); 5], Vec::new()), "{}", told(&all));
    all_rows_are_there(server);
}
