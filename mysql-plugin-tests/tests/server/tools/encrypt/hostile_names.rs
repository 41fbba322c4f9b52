// SPDX-License-Identifier: GPL-2.0-or-later
//! A server whose schemas, tables, partitions, indexes, tablespaces and files have names that a terminal obeys, that look
//! like lines of output or that a shell reads: plan, apply, verify and report see every one of them, none forges a line, and
//! what they print as a name or a statement can be pasted.

use super::command::command;
use super::host::host;
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, place, told};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output};

const FORGED: &str = "OK       everything is encrypted";

/// Names of schemas and tables.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "t1",
        "test.de",
        "de.t1",
        "test",
        "my tab",
        "it's",
        "b`q\"d",
        "$(touch forged)",
        "back\\slash\\x41",
        "a*b?c",
        "-x",
        "--only",
        "#p#x",
        "t#P#p0",
        "a@b@0023",
        "a/b",
        "semi;colon",
        "select",
        "K\u{fc}rzel",
        "\u{4e2d}\u{6587}",
        "\u{202e}gpj.elbat",
        "zero\u{200b}width",
        "esc\u{1b}[31m\u{1b}[2J\u{7}",
        "c1\u{9b}31m",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push(format!("lf\n{FORGED}\r\tx"));
    names.push("\u{fc}".repeat(40));
    names
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Runs a command of keyringctl as text and as JSON, and checks that nothing in it is forged or obeyed.
fn run(host: &Host, args: &[&str], code: i32) -> (String, Value) {
    let [text, json] =
        [&[][..], &["--json"]].map(|more| harmless(&command(host, args).args(more).output().unwrap(), code));
    (
        text,
        serde_json::from_str(json.split("keyringctl: ").next().unwrap_or_default())
            .unwrap_or_else(|e| panic!("{args:?}: {e}: {json}")),
    )
}

/// What a command printed, if it ended with this code.
#[track_caller]
fn harmless(output: &Output, code: i32) -> String {
    let text = format!(
        "{}{}",
        str::from_utf8(&output.stdout).expect("UTF-8"),
        str::from_utf8(&output.stderr).expect("UTF-8")
    );
    assert_eq!(output.status.code(), Some(code), "{text}");
    harmless_text(&text);
    text
}

#[track_caller]
fn harmless_text(text: &str) {
    let obeyed = |c: char| {
        c.is_control() && c != '\n' || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
    };
    assert!(!text.contains(obeyed), "{text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with(FORGED)), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

/// The arguments that a shell reads from a line.
fn read_by_shell(line: &str) -> Vec<String> {
    let script = format!("printf '%s\\0' {line}");
    let output = Command::new("bash").args(["-c", &script]).env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(output.status.success(), "{line}: {}", told(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
}

/// The tables with their own files that the server reports as unencrypted.
fn clear(server: &Server) -> BTreeSet<String> {
    let query = "SELECT name FROM information_schema.innodb_tablespaces
        WHERE space_type IN ('Single', 'General') AND encryption = 'N'";
    server.rows::<String>(query).into_iter().collect()
}

pub fn hostile_names() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let elsewhere = tempfile::Builder::new().prefix("else 'where\u{fc}").tempdir().unwrap();
    let host =
        host().keyring(&keyring).option(format!("--innodb-directories={}", elsewhere.path().display()));
    let server = host.start();
    let mut conn = server.connect();
    let mut create = |statement: String| {
        conn.query_drop(&statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
    };
    let names = names();
    create("CREATE SCHEMA test".to_owned());
    for name in &names {
        create(format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(name)));
        create(format!("CREATE TABLE {}.{} (id INT)", quoted(name), quoted(name)));
        if *name != "test" {
            create(format!(
                "CREATE TABLE test.{} (id INT PRIMARY KEY, note TEXT, FULLTEXT KEY {} (note))",
                quoted(name),
                quoted(name)
            ));
        }
    }
    create("CREATE TABLE `test.de`.t1 (id INT)".to_owned());
    let line_feed = quoted(&format!("p\n{FORGED}"));
    create(format!(
        "CREATE TABLE test.parts (id INT) PARTITION BY RANGE (id)
         (PARTITION `p.1` VALUES LESS THAN (10), PARTITION {line_feed} VALUES LESS THAN (20), PARTITION `#p#` VALUES LESS THAN MAXVALUE)"
    ));
    let space = quoted(&format!("space\n{FORGED}\u{1b}[2J"));
    create(format!("CREATE TABLESPACE {space} ADD DATAFILE 'its $(file).ibd'"));
    create(format!("CREATE TABLE test.in_space (id INT) TABLESPACE {space}"));
    create("CREATE UNDO TABLESPACE `undo's` ADD DATAFILE 'undo ''file.ibu'".to_owned());
    create(format!(
        "CREATE TABLE test.elsewhere (id INT) DATA DIRECTORY = '{}'",
        elsewhere.path().to_str().unwrap().replace('\'', "''")
    ));
    let foreign =
        [format!("my\n{FORGED}'\\`isam"), "my`isam".to_owned(), "\u{e4}-isam\u{fc}\u{df}".to_owned()];
    for name in &foreign {
        create(format!("CREATE TABLE test.{} (id INT) ENGINE = MyISAM", quoted(name)));
        create(format!("INSERT INTO test.{} VALUES (1)", quoted(name)));
    }
    // Somebody else's files in the data directory.
    let raw = OsStr::from_bytes(b"K\xfcrzel\x9b2J\n\x1b[31m.ibd");
    create("FLUSH TABLES test.t1 FOR EXPORT".to_owned());
    fs::copy(host.datadir().join("test/t1.ibd"), host.datadir().join(raw)).unwrap();
    fs::copy(host.datadir().join("test/t1.ibd"), host.datadir().join(format!("test/x\n{FORGED}.ibd")))
        .unwrap();
    create("UNLOCK TABLES".to_owned());

    let (plan, json) = run(&host, &["plan", "--tables"], 0);
    let listed = |schema: &str, table: &str| {
        let tables = json["server"]["tables"].as_array().unwrap();
        tables.iter().any(|t| t["schema"] == schema && t["name"] == table)
    };
    assert!(names.iter().all(|name| listed(name, name)), "JSON holds names exactly: {json:#}");
    run(&host, &["verify"], 1);
    let page = host.dir().join("page.html");
    let mut report = Command::new(&place().keyringctl);
    report
        .args(["report", "--no-defaults", "--user=root", "--html"])
        .arg(&page)
        .arg("--socket")
        .arg(host.socket());
    harmless(&report.output().unwrap(), 1);
    harmless_text(&fs::read_to_string(&page).unwrap());

    // What is printed as a table's name selects that table and no other.
    let shown: Vec<_> = plan
        .lines()
        .skip_while(|line| !line.starts_with("table "))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| Some(line.split_once("  UNENCRYPTED")?.0.trim_end()))
        .filter(|word| !word.contains("isam"))
        .collect();
    assert_eq!(shown.len(), 2 * names.len() - 1 + 3 + 1, "{shown:#?}");
    let before = clear(&server);
    for word in shown.iter().filter(|word| word.contains("test.")).step_by(3) {
        let [name] = &read_by_shell(word)[..] else { panic!("{word}") };
        let left = clear(&server);
        run_only(&host, &format!("--only={name}"), 0);
        let done: Vec<_> = left.difference(&clear(&server)).cloned().collect();
        let is_full_text = |file: &String| file.contains("/fts_");
        let of_table = done.iter().filter(|file| !is_full_text(file)).count();
        assert_eq!(of_table, if word.contains("parts") { 3 } else { 1 }, "{word}: {done:?}");
    }
    assert!(before.len() > names.len() * 2);
    // A table that is not rewritten is not encrypted either.
    for (table, remedy) in [("in_space", "ALTER TABLESPACE"), ("my`isam", "ENGINE = InnoDB")] {
        let told =
            harmless(&command(&host, &["apply", &format!("--only=test.{table}")]).output().unwrap(), 1);
        assert!(told.contains("FAILED") && told.contains(remedy), "{told}");
    }
    // Two tables fit this one, and none the other.
    let undo =
        |only: &str, code: i32| harmless(&command(&host, &["apply", "--undo", only]).output().unwrap(), code);
    let told = undo("--only=test.de.t1", 2);
    assert!(told.contains("'`test.de`.t1'") && told.contains("'test.`de.t1`'"), "{told}");
    run_only(&host, "--only=`test.de`.t1", 0);
    let left = clear(&server);
    undo("--only=`test.de`.t1", 0);
    assert_eq!(clear(&server).difference(&left).collect::<Vec<_>>(), ["test.de/t1"]);
    let told = undo("--only=Test.T1", 2);
    assert!(told.contains("matches no table") && told.contains("has test.t1"), "{told}");
    let told = harmless(&command(&host, &["apply", "--skip=test.t2"]).output().unwrap(), 2);
    assert!(told.contains("--skip test.t2 matches no table"), "{told}");

    // The rest, and the statements that are left to the administrator.
    let (_, done) = run(&host, &["apply", "--purge-binary-logs", "--yes"], 1);
    assert_eq!(done["left"].as_array().map(Vec::len), Some(foreign.len()), "{done:#}");
    assert_eq!(clear(&server), BTreeSet::new());
    let by_hand = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| line.starts_with("ALTER TABLE `") || line.starts_with("SET @"))
            .map(str::to_owned)
            .collect()
    };
    let (text, _) = run(&host, &["verify"], 1);
    let statements = by_hand(&text);
    // The same for the table and for its file, which is nobody's leftover.
    assert_eq!(statements.len(), foreign.len(), "{text}");
    assert!(!text.lines().any(|line| line.contains("rm ") && line.contains("isam")), "{text}");
    for statements in statements {
        // As the mysql client divides them.
        for statement in statements.split_inclusive(';').map(str::trim).filter(|s| !s.is_empty()) {
            conn.query_drop(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
    }
    let (text, _) = run(&host, &["verify"], 1);
    assert!(by_hand(&text).is_empty(), "{text}");
    assert!(text.contains(r"K\xfcrzel\x9b2J\n\x1b[31m.ibd'"), "{text}");
    server.stop();
}

fn run_only(host: &Host, only: &str, code: i32) {
    harmless(&command(host, &["apply", only]).output().unwrap(), code);
}

/// A server with `lower_case_table_names=1` takes `Clinic.Visits` for `clinic.visits`, and so does --only.
pub fn names_in_lower_case() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().option("--lower-case-table-names=1");
    host.initialize();
    let host = host.keyring(&keyring);
    let server = host.start();
    server.sql("CREATE SCHEMA Clinic; CREATE TABLE CLINIC.Visits (id INT); CREATE TABLE Clinic.`K\u{dc}RZEL` (id INT); CREATE TABLE Clinic.Rest (id INT)");
    for (only, left) in [
        ("--only=Clinic.Visits", ["clinic/k\u{fc}rzel", "clinic/rest"].as_slice()),
        ("--only=`CLINIC`.`K\u{dc}RZEL`", &["clinic/rest"]),
        ("--only=CLINIC.RE*", &[]),
    ] {
        run_only(&host, only, 0);
        let names: Vec<_> = clear(&server).into_iter().filter(|name| name.starts_with("clinic/")).collect();
        assert_eq!(names, left, "{only}");
    }
    run_only(&host, "--only=Clinic.Visit", 2);
    run_only(&host, "--skip=Clinic.Visit", 2);
    server.stop();
}
