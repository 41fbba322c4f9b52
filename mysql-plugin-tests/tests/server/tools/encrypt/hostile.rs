// SPDX-License-Identifier: GPL-2.0-or-later
//! Everything at once that a server can put in the way of `keyringctl encrypt`: defaults of sessions, names, tables and
//! files that are not as they should be, directories elsewhere. All commands agree, nothing is lost or moved, and nothing
//! is claimed that does not hold.

use super::command::{encrypt, encrypt_json};
use super::host::{host, last_steps};
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, place, told};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Defaults that each change what a session sees or may do. Those that this server does not have are left out.
const DEFAULTS: [(&str, &str); 38] = [
    ("autocommit", "0"),
    ("big_tables", "1"),
    ("binlog_row_image", "'minimal'"),
    ("character_set_results", "'latin1'"),
    ("collation_connection", "'utf8mb4_bin'"),
    ("completion_type", "'RELEASE'"),
    ("cte_max_recursion_depth", "1"),
    ("default_collation_for_utf8mb4", "'utf8mb4_general_ci'"),
    ("default_storage_engine", "'MyISAM'"),
    ("default_tmp_storage_engine", "'MyISAM'"),
    ("foreign_key_checks", "1"),
    ("group_concat_max_len", "4"),
    ("information_schema_stats_expiry", "31536000"),
    ("innodb_file_per_table", "0"),
    ("innodb_lock_wait_timeout", "1"),
    ("innodb_strict_mode", "1"),
    ("lc_messages", "'de_DE'"),
    ("lc_time_names", "'de_DE'"),
    ("lock_wait_timeout", "1"),
    ("max_execution_time", "1"),
    ("max_join_size", "100"),
    ("max_sort_length", "4"),
    ("net_read_timeout", "2"),
    ("net_write_timeout", "2"),
    ("old_alter_table", "1"),
    ("restrict_fk_on_non_standard_key", "1"),
    ("show_create_table_verbosity", "1"),
    ("show_gipk_in_create_table_and_information_schema", "0"),
    ("sql_auto_is_null", "1"),
    ("sql_generate_invisible_primary_key", "1"),
    (
        "sql_mode",
        "'ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,TRADITIONAL,HIGH_NOT_PRECEDENCE,IGNORE_SPACE'",
    ),
    ("sql_quote_show_create", "0"),
    ("sql_require_primary_key", "1"),
    ("sql_safe_updates", "1"),
    ("sql_select_limit", "3"),
    ("time_zone", "'+13:00'"),
    ("transaction_isolation", "'SERIALIZABLE'"),
    ("transaction_read_only", "1"),
];

/// A name with bytes that a terminal obeys and a forged line.
const FORGING: &str = "visits\nOK: found no unencrypted data\x1b[31m";

/// Tables whose rows and definitions must be the same in the end, with what creates them.
fn tables(elsewhere: &Path) -> Vec<(&'static str, &'static str, String)> {
    let at = elsewhere.display();
    let table = |schema, name, definition: &str| (schema, name, definition.to_owned());
    vec![
        table("test.de", "t1", "(id INT PRIMARY KEY, a VARCHAR(40))"),
        table("Klinik-Süd", "Kürzel", "(id INT PRIMARY KEY, a VARCHAR(40))"),
        table("clinic", FORGING, "(id INT PRIMARY KEY, a VARCHAR(40))"),
        table("clinic", "x#p#y", "(id INT PRIMARY KEY, a VARCHAR(40))"),
        table("clinic", "no_key", "(id INT, a VARCHAR(40))"),
        table("clinic", "zero", "(id INT, a VARCHAR(40), d DATE NOT NULL DEFAULT '0000-00-00')"),
        table("clinic", "parent", "(id INT, a VARCHAR(40), KEY (id))"),
        table("clinic", "child", "(id INT, a VARCHAR(40), FOREIGN KEY (id) REFERENCES clinic.parent (id))"),
        table(
            "clinic",
            "squeezed",
            "(id INT PRIMARY KEY, a VARCHAR(40)) ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4",
        ),
        table("clinic", "in_system", "(id INT PRIMARY KEY, a VARCHAR(40)) TABLESPACE innodb_system"),
        table("clinic", "in_shared", "(id INT PRIMARY KEY, a VARCHAR(40)) TABLESPACE shared"),
        table("clinic", "words", "(id INT PRIMARY KEY, a VARCHAR(40), FULLTEXT (a))"),
        ("clinic", "elsewhere", format!("(id INT PRIMARY KEY, a VARCHAR(40)) DATA DIRECTORY='{at}'")),
        table("clinic", "parts", "(id INT PRIMARY KEY, a VARCHAR(40)) PARTITION BY HASH (id) PARTITIONS 3"),
        table("clinic", "isam", "(id INT, a VARCHAR(40)) ENGINE=MyISAM"),
    ]
}

/// The server, and what was put in its way.
struct Hostile {
    host: Host,
    keyring: Keyring,
    /// Where the table `elsewhere` is. The server is not told of it at the later starts.
    elsewhere: PathBuf,
    /// A file whose name is not UTF-8.
    strange: PathBuf,
    tables: Vec<(&'static str, &'static str, String)>,
    _volumes: [Volume; 2],
}

impl Hostile {
    /// Creates all tables and damages some, with friendly defaults.
    fn new() -> Hostile {
        let volumes = [Volume::directory(), Volume::directory()];
        let keyring = Keyring::init_on(&[&volumes[0], &volumes[1]]);
        let mut host = host().keyring(&keyring);
        for (option, directory) in [
            ("innodb-log-group-home-dir", "redo"),
            ("innodb-undo-directory", "undo"),
            ("innodb-doublewrite-dir", "doublewrite"),
            ("log-bin", "logs"),
        ] {
            let directory = host.dir().join(directory);
            fs::create_dir(&directory).unwrap();
            let file = if option == "log-bin" { directory.join("binlog") } else { directory };
            host = host.option(format!("--{option}={}", file.display()));
        }
        let elsewhere = host.dir().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let all = host.clone().option(format!("--innodb-directories={}", elsewhere.display()));
        all.initialize();
        let tables = tables(&elsewhere);
        let server = all.start();
        create(&server, &tables);
        server.stop();
        fs::remove_file(host.datadir().join("gone.ibd")).unwrap();
        let host = host.option("--max-allowed-packet=262144");
        let strange = host.datadir().join("clinic").join(OsStr::from_bytes(b"K\xfcrzel.ibd"));
        Hostile { host, keyring, elsewhere, strange, tables, _volumes: volumes }
    }

    /// Returns the rows of each table that can be read.
    fn rows(&self, server: &Server) -> BTreeMap<String, Vec<(u32, String)>> {
        let mut conn = friendly(server);
        let mut rows = BTreeMap::new();
        for (schema, name, _) in &self.tables {
            let some = if *name == "parts" { " PARTITION (p1, p2)" } else { "" };
            let query = format!("SELECT id, a FROM `{schema}`.`{name}`{some} ORDER BY id");
            let found = conn.query(&query).unwrap_or_else(|e| panic!("{query}: {e}"));
            rows.insert(format!("{schema}.{name}"), found);
        }
        rows
    }

    /// Returns the definition of each table, without the clauses that apply changes.
    fn definitions(&self, server: &Server) -> BTreeMap<String, String> {
        let mut conn = friendly(server);
        let mut definitions = BTreeMap::new();
        for (schema, name, _) in &self.tables {
            let query = format!("SHOW CREATE TABLE `{schema}`.`{name}`");
            let shown: Option<(String, String)> =
                conn.query_first(&query).unwrap_or_else(|e| panic!("{query}: {e}"));
            let mut text = shown.unwrap().1;
            for letter in ['Y', 'N'] {
                // In a comment or not, depending on a session variable.
                text = text.replace(&format!(" /*!80016 ENCRYPTION='{letter}' */"), "");
                text = text.replace(&format!(" ENCRYPTION='{letter}'"), "");
            }
            // Where innodb_file_per_table is OFF, apply has to name a table's own tablespace.
            text = text.replace(" /*!50100 TABLESPACE `innodb_file_per_table` */", "");
            if *name == "in_system" {
                text = text.replace(" /*!50100 TABLESPACE `innodb_system` */", "");
            }
            definitions.insert(format!("{schema}.{name}"), text);
        }
        definitions
    }

    /// Runs `keyringctl report --json`.
    fn report(&self) -> (i32, Value) {
        let output = Command::new(&place().keyringctl)
            .args(["--json", "report", "--no-defaults", "--user=root", "--socket"])
            .arg(self.host.socket())
            .arg("--unlock")
            .arg(format!("file:{}", self.keyring.secret.display()))
            .output()
            .unwrap();
        let document = serde_json::from_slice(&output.stdout);
        (output.status.code().unwrap(), document.unwrap_or_else(|e| panic!("{e}: {}", told(&output))))
    }
}

fn create(server: &Server, tables: &[(&str, &str, String)]) {
    let mut conn = friendly(server);
    let mut run = |statement: &str| conn.query_drop(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
    run("SET SESSION sql_mode = ''");
    // Servers before 8.4 have no such rule.
    if !server.rows::<(String, String)>("SHOW VARIABLES LIKE 'restrict_fk_on_non_standard_key'").is_empty() {
        run("SET SESSION restrict_fk_on_non_standard_key = OFF");
    }
    for schema in ["clinic", "test.de", "Klinik-Süd"] {
        run(&format!("CREATE SCHEMA `{schema}`"));
    }
    run("CREATE TABLESPACE shared ADD DATAFILE 'shared.ibd'");
    run("CREATE TABLESPACE gone ADD DATAFILE 'gone.ibd'");
    run("CREATE TABLE clinic.in_gone (id INT PRIMARY KEY, a VARCHAR(40)) TABLESPACE gone");
    run("CREATE UNDO TABLESPACE extra ADD DATAFILE 'extra.ibu'");
    run("ALTER UNDO TABLESPACE extra SET INACTIVE");
    for (schema, name, definition) in tables {
        run(&format!("CREATE TABLE `{schema}`.`{name}` {definition}"));
        let rows: Vec<_> = (1..=40).map(|id| format!("({id}, 'row {id} of {}')", name.len())).collect();
        run(&format!("INSERT INTO `{schema}`.`{name}` (id, a) VALUES {}", rows.join(", ")));
    }
    run("CREATE TABLE clinic.merged (id INT, a VARCHAR(40)) ENGINE=MERGE UNION=(clinic.isam)");
    run("ALTER TABLE clinic.parts DISCARD PARTITION p0 TABLESPACE");
}

/// Opens a connection whose session has the usual defaults.
fn friendly(server: &Server) -> mysql::Conn {
    let mut conn = server.connect();
    for (name, _) in DEFAULTS {
        let value = match name {
            // Their global values are what was made hostile, and DEFAULT of a session is the global value.
            "autocommit" | "unique_checks" | "sql_quote_show_create" => "1",
            "transaction_read_only" | "big_tables" | "sql_require_primary_key" | "sql_safe_updates" => "0",
            "sql_generate_invisible_primary_key" | "show_create_table_verbosity" | "max_execution_time" => {
                "0"
            }
            "sql_mode" => "''",
            "sql_select_limit" | "max_join_size" => "18446744073709551615",
            "transaction_isolation" => "'REPEATABLE-READ'",
            "lock_wait_timeout" | "net_read_timeout" | "net_write_timeout" => "60",
            "default_storage_engine" => "'InnoDB'",
            "character_set_results" => "'utf8mb4'",
            _ => continue,
        };
        // Not every server has all of them.
        let _ = conn.query_drop(format!("SET SESSION {name} = {value}"));
    }
    conn
}

/// Makes the defaults of all later sessions hostile.
fn make_hostile(server: &Server) {
    let mut conn = friendly(server);
    for (name, value) in DEFAULTS {
        if let Err(e) = conn.query_drop(format!("SET GLOBAL {name} = {value}")) {
            assert!(e.to_string().contains("Unknown system variable"), "{name}: {e}");
        }
    }
}

/// A table's name as keyringctl prints it: it can be pasted behind `--only`.
fn printed(schema: &str, name: &str) -> String {
    match (schema, name) {
        (_, FORGING) => r"$'clinic.visits\nOK: found no unencrypted data\x1b[31m'".to_owned(),
        ("test.de", _) => format!("'`{schema}`.{name}'"),
        _ => format!("{schema}.{name}"),
    }
}

/// The names of the places in a list that are in one of these states.
fn named(places: &Value, states: &[&str]) -> BTreeSet<String> {
    let places = places.as_array().unwrap_or_else(|| panic!("{places:#}"));
    let wanted = places.iter().filter(|place| states.contains(&place["state"].as_str().unwrap()));
    wanted.map(|place| place["name"].as_str().unwrap().to_owned()).collect()
}

/// A command's text holds no byte that a terminal obeys, and no line that a name forged.
fn check_text(host: &Host, args: &[&str]) {
    let output = encrypt(host, args);
    for text in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(text).unwrap();
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{args:?}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("OK: found no")), "{args:?}: {text}");
    }
}

pub fn everything_at_once() {
    let hostile = Hostile::new();
    let server = hostile.host.start();
    // Not before: a server does not start with two files of one tablespace.
    fs::copy(hostile.host.datadir().join("shared.ibd"), &hostile.strange).unwrap();
    let (rows, definitions) = (hostile.rows(&server), hostile.definitions(&server));
    let read = |query: &str| friendly(&server).query::<String, _>(query).unwrap();
    const NOT_FINE: [&str; 2] = ["clear", "unknown"];

    let (code, friendly_plan) = encrypt_json(&hostile.host, &["plan"]);
    assert_eq!(code, 1, "a tablespace cannot be looked at: {friendly_plan:#}");
    make_hostile(&server);
    let (code, plan) = encrypt_json(&hostile.host, &["plan"]);
    assert_eq!(code, 1, "{plan:#}");
    let before = named(&plan["items"], &NOT_FINE);
    assert_eq!(before, named(&friendly_plan["items"], &NOT_FINE), "the defaults change what plan sees");
    for (schema, name, _) in &hostile.tables {
        let name = if *name == "in_shared" { "tablespace shared".into() } else { printed(schema, name) };
        assert!(before.contains(&name), "{name} is not in {before:#?}");
    }
    assert!(before.iter().any(|name| name.contains("gone")), "{before:#?}");

    let (code, applied) = encrypt_json(&hostile.host, &["apply", "--purge-binary-logs", "--yes"]);
    assert_eq!(code, 1, "{applied:#}");
    assert_eq!(hostile.rows(&server), rows, "rows were lost or changed");
    for (name, definition) in hostile.definitions(&server) {
        assert_eq!(definition, definitions[&name], "the definition of {name:?} was changed");
    }
    assert!(hostile.elsewhere.join("clinic/elsewhere.ibd").exists(), "a table was moved");
    let undo = "SELECT CONCAT(NAME, ' ', STATE) FROM information_schema.INNODB_TABLESPACES
                WHERE SPACE_TYPE = 'Undo' ORDER BY NAME";
    assert_eq!(read(undo).len(), 3, "{:?}", read(undo));

    let (_, plan) = encrypt_json(&hostile.host, &["plan"]);
    let (code, verified) = encrypt_json(&hostile.host, &["verify"]);
    assert_eq!(code, 1, "{verified:#}");
    let (code, report) = hostile.report();
    assert_eq!(code, 1, "{report:#}");
    let left = named(&plan["items"], &NOT_FINE);
    // Only files show that ibdata1 keeps old rows, and that there is a file of no table.
    let only_in_files = |name: &String| name == "ibdata1" || name.contains(r"K\xfcrzel.ibd'");
    for places in [&verified["items"], &report["facts"]["places"]] {
        let reported: BTreeSet<_> =
            named(places, &NOT_FINE).into_iter().filter(|name| !only_in_files(name)).collect();
        assert_eq!(left, reported);
    }
    let expected = ["clinic.parts", "clinic.isam"];
    // A server may refuse to rebuild `elsewhere` where it is; that it was not moved is checked above.
    for (schema, name, _) in hostile.tables.iter().filter(|(_, name, _)| *name != "elsewhere") {
        let name = printed(schema, name);
        assert_eq!(
            left.contains(&name),
            expected.contains(&name.as_str()),
            "{name}: {left:#?}\n{:#}",
            applied["failed"]
        );
    }
    let findings = verified["findings"].as_array().unwrap();
    for name in &left {
        assert!(
            findings.iter().any(|f| f["what"] == name.as_str()),
            "verify does not find {name}: {findings:#?}"
        );
    }
    let apply_left: BTreeSet<_> =
        applied["left"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    assert!(apply_left.contains("clinic.parts"), "{apply_left:#?}");
    let canary = &verified["canary"];
    assert_eq!(canary["found_in"], serde_json::json!([]), "{canary:#}");
    for args in [&["plan", "--tables"][..], &["apply", "--only=clinic.parts"], &["verify"]] {
        check_text(&hostile.host, args);
    }
    let orphan = findings.iter().find(|f| f["what"].as_str().unwrap().contains(r"K\xfcrzel.ibd'"));
    assert!(orphan.is_some(), "verify does not find the file that no table has: {findings:#?}");
    repaired(&hostile, server, &rows);
}

/// When what stood in the way has been repaired, everything is encrypted, no row is lost, and verify finds nothing.
fn repaired(hostile: &Hostile, server: Server, rows: &BTreeMap<String, Vec<(u32, String)>>) {
    let mut conn = friendly(&server);
    for statement in [
        "DROP TABLE clinic.in_gone",
        "DROP TABLESPACE gone",
        // As plan says; without it, tables that name no tablespace would be in ibdata1.
        "SET GLOBAL innodb_file_per_table = ON",
        "CREATE TABLE clinic.parts_new LIKE clinic.parts",
        "INSERT INTO clinic.parts_new SELECT * FROM clinic.parts PARTITION (p1, p2)",
        "DROP TABLE clinic.parts",
        "RENAME TABLE clinic.parts_new TO clinic.parts",
        "DROP TABLE clinic.merged",
        "ALTER TABLE clinic.isam ENGINE = InnoDB, ENCRYPTION = 'Y'",
    ] {
        conn.query_drop(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    fs::remove_file(&hostile.strange).unwrap();
    let output = encrypt(&hostile.host, &["apply", "--purge-binary-logs", "--yes"]);
    assert!(output.status.success(), "{}", told(&output));
    let (host, server) = last_steps(hostile.host.clone(), server);
    assert_eq!(&hostile.rows(&server), rows);
    // The table that was in ibdata1 has left old pages there.
    let (code, report) = encrypt_json(&host, &["verify", "--accept=system-tablespace"]);
    assert_eq!(code, 0, "{:#}", report["findings"]);
    server.stop();
}
