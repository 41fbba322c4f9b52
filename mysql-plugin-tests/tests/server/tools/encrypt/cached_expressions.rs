// SPDX-License-Identifier: GPL-2.0-or-later
//! The server keeps open tables with their expressions as the session read them that opened the table, and gives them to other
//! sessions. With NO_BACKSLASH_ESCAPES that is another reading, which no copy of a table may store.

use super::command::encrypt;
use super::host::host;
use mysql::Conn;
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Keyring, Server, Volume, place, told};
use std::process::Command;

const OTHER_MODE: &str = "STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES";
/// `by_hand` is altered as an administrator would, `kept` has no index of what backslashes decide.
const TABLES: [&str; 8] = [
    "CREATE SCHEMA ca",
    "CREATE TABLE ca.parents (id INT PRIMARY KEY)",
    "CREATE TABLE ca.log (id INT)",
    r"CREATE TABLE ca.all_kinds (id INT PRIMARY KEY, path VARCHAR(99), p INT, c VARCHAR(20) DEFAULT (CONCAT('a\\b')), v VARCHAR(99) AS (CONCAT('v\\', path)), s VARCHAR(99) AS (CONCAT('s\\', path)) STORED, KEY (v), KEY k ((CONCAT(path, '\\'))), CHECK (path <> 'q\\'), FOREIGN KEY (p) REFERENCES ca.parents (id))",
    r"CREATE TABLE ca.kept (id INT PRIMARY KEY, path VARCHAR(99), c VARCHAR(20) DEFAULT (CONCAT('a\\b')), s VARCHAR(99) AS (CONCAT('s\\', path)) STORED, CHECK (path <> 'q\\'))",
    r"CREATE TABLE ca.parts (id INT, a VARCHAR(9)) PARTITION BY LIST COLUMNS (a) (PARTITION p0 VALUES IN ('a\\b'), PARTITION p1 VALUES IN ('c'))",
    "CREATE TABLE ca.by_hand LIKE ca.kept",
    "CREATE TRIGGER ca.fired AFTER INSERT ON ca.all_kinds FOR EACH ROW INSERT INTO ca.log VALUES (NEW.id)",
];
const ALL: [&str; 4] = ["all_kinds", "kept", "parts", "by_hand"];

/// Connections whose tables the server keeps open, enough for each of its caches.
fn others(server: &Server) -> Vec<Conn> {
    let mut all: Vec<Conn> = (0..20).map(|_| server.connect()).collect();
    for conn in &mut all {
        conn.query_drop(format!("SET sql_mode = '{OTHER_MODE}'")).unwrap();
        open_all(conn);
    }
    all
}

fn open_all(conn: &mut Conn) {
    for name in ALL {
        conn.query_drop(format!("SELECT * FROM ca.{name}")).unwrap();
    }
}

/// Definitions without the encryption, and rows, as stored.
fn described(server: &Server, names: &[&str]) -> Vec<String> {
    let mut conn = server.connect();
    conn.query_drop("SET sql_mode = 'STRICT_TRANS_TABLES'").unwrap();
    conn.query_drop("FLUSH TABLES").unwrap();
    let mut all = Vec::new();
    for name in names {
        let (_, text): (String, String) =
            conn.query_first(format!("SHOW CREATE TABLE ca.{name}")).unwrap().unwrap();
        all.push(text.replace(" ENCRYPTION='Y'", "").replace(" ENCRYPTION='N'", ""));
        let rows: Vec<mysql::Row> = conn.query(format!("SELECT * FROM ca.{name}")).unwrap();
        all.extend(rows.iter().map(|row| format!("{row:?}")));
    }
    let indexed: Vec<String> = conn.query("SELECT v FROM ca.all_kinds FORCE INDEX (v)").unwrap();
    all.extend(indexed);
    all
}

fn is_encrypted(server: &Server, name: &str) -> bool {
    let found: u32 = server.value(&format!(
        "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES WHERE NAME LIKE 'ca/{name}%' AND ENCRYPTION = 'Y'"
    ));
    found > 0
}

/// The expressions that sessions with another SQL mode have open are not those that a copy stores.
pub fn expressions_of_other_sessions_are_not_stored() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    let server = host.start();
    let mut conn = server.connect();
    for statement in TABLES.iter().chain(&[
        "INSERT INTO ca.parents VALUES (1)",
        "INSERT INTO ca.all_kinds (id, path, p) VALUES (1, 'x', 1)",
        "INSERT INTO ca.kept (id, path) VALUES (1, 'x')",
        r"INSERT INTO ca.parts VALUES (1, 'a\\b'), (2, 'c')",
        "FLUSH TABLES",
    ]) {
        conn.query_drop(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    let before = described(&server, &ALL);
    conn.query_drop("FLUSH TABLES").unwrap();
    let mut open = others(&server);

    // That the server does this is why all this is needed.
    conn.query_drop("ALTER TABLE ca.by_hand ENCRYPTION = 'Y'").unwrap();
    assert_ne!(described(&server, &ALL), before, "the server stores no such expressions any more");
    conn.query_drop("DROP TABLE ca.by_hand").unwrap();
    conn.query_drop("CREATE TABLE ca.by_hand LIKE ca.kept").unwrap();
    assert_eq!(described(&server, &ALL), before);
    open.iter_mut().for_each(open_all);

    for (args, letter) in
        [(["apply", "--only=ca.*"].as_slice(), true), (&["apply", "--undo", "--only=ca.*"], false)]
    {
        let output = encrypt(&host, args);
        assert!(output.status.success(), "{}", told(&output));
        assert_eq!(described(&server, &ALL), before, "{}", told(&output));
        assert!(ALL.iter().all(|name| is_encrypted(&server, name) == letter), "{}", told(&output));
        open.iter_mut().for_each(open_all);
    }

    // An account that may not lock tables.
    server.sql(
        "CREATE USER few@localhost; GRANT ALL ON *.* TO few@localhost; REVOKE LOCK TABLES ON *.* FROM few@localhost",
    );
    let output = Command::new(&place().keyringctl)
        .args(["encrypt", "apply", "--only=ca.kept", "--no-defaults", "--user=few", "--socket"])
        .arg(host.socket())
        .output()
        .unwrap();
    let text = told(&output);
    assert!(
        text.contains("FAILED  ca.kept: ") && text.contains("Give this account SELECT and LOCK TABLES"),
        "{text}"
    );
    assert!(!is_encrypted(&server, "kept"));

    // The mode as the server's: only an index of such expressions cannot be kept.
    drop(open);
    server.sql(&format!("SET GLOBAL sql_mode = '{OTHER_MODE}'"));
    let output = encrypt(&host, &["apply", "--only=ca.*"]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(described(&server, &ALL), before, "{text}");
    let line =
        text.lines().find(|l| l.starts_with("FAILED  ca.all_kinds: ")).unwrap_or_else(|| panic!("{text}"));
    let (_, remedy) = line.split_once("Run SET GLOBAL ").unwrap();
    let remedy = remedy.split_once(" in the server").unwrap().0;
    let encrypted: Vec<bool> = ALL.iter().map(|name| is_encrypted(&server, name)).collect();
    assert_eq!(encrypted, [false, true, true, true], "{text}");
    server.sql(&format!("SET GLOBAL {remedy}"));
    let output = encrypt(&host, &["apply", "--only=ca.*"]);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(described(&server, &ALL), before, "{}", told(&output));
    server.stop();
}
