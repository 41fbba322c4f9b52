// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt apply` changes nothing but the encryption: definitions, rows and the places of files stay as they are,
//! whatever the tables were created with.

use super::command::{encrypt, encrypt_json};
use super::host::host;
use mysql::prelude::Queryable;
use mysql::{Conn, Row};
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, told};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Tables of every kind, in settings that a later session does not have. `@dir@` is outside of the data directory.
const TABLES: &str = "CREATE SCHEMA d; USE d;
CREATE TABLE outside (id INT PRIMARY KEY, v VARCHAR(50)) DATA DIRECTORY='@dir@';
INSERT INTO outside VALUES (1, 'a');
CREATE TABLE parts_outside (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION `P 0` VALUES LESS THAN (10) DATA DIRECTORY='@dir@' COMMENT 'x', PARTITION p1 VALUES LESS THAN (20));
INSERT INTO parts_outside VALUES (1), (11);
CREATE TABLE subparts (id INT PRIMARY KEY) PARTITION BY RANGE (id) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
SET innodb_strict_mode = OFF;
CREATE TABLE fixed_rows (id INT PRIMARY KEY) ROW_FORMAT=FIXED;
CREATE TABLE block_size (id INT PRIMARY KEY) KEY_BLOCK_SIZE=8 ROW_FORMAT=DYNAMIC;
CREATE TABLE wide (@wide@ id INT PRIMARY KEY) CHARSET latin1;
CREATE TABLE wide_outside (@wide@ id INT PRIMARY KEY) CHARSET latin1 DATA DIRECTORY='@dir@';
SET innodb_strict_mode = ON;
CREATE TABLE block_size_only (id INT PRIMARY KEY) KEY_BLOCK_SIZE=8;
CREATE TABLE compressed (id INT PRIMARY KEY) ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4;
CREATE TABLE redundant (id INT PRIMARY KEY) ROW_FORMAT=REDUNDANT;
CREATE TABLE page_compressed (id INT PRIMARY KEY, t TEXT) COMPRESSION='zlib';
SET GLOBAL innodb_default_row_format = COMPACT;
CREATE TABLE old_default (id INT PRIMARY KEY, t TEXT);
SET GLOBAL innodb_default_row_format = DEFAULT;
SET sql_mode = '';
CREATE TABLE zero_dates (id INT PRIMARY KEY, d DATE NOT NULL DEFAULT '0000-00-00', t TIMESTAMP NOT NULL DEFAULT '0000-00-00 00:00:00');
INSERT INTO zero_dates VALUES (1, '0000-00-00', '0000-00-00'), (2, '2021-00-00', '2021-01-01');
CREATE TABLE bad_enum (id INT PRIMARY KEY, e ENUM('a'));
INSERT INTO bad_enum VALUES (1, 'zzz');
SET sql_mode = 'ALLOW_INVALID_DATES';
CREATE TABLE invalid_dates (id INT PRIMARY KEY, d DATE NOT NULL DEFAULT '2021-02-31', t DATETIME);
INSERT INTO invalid_dates VALUES (1, '2021-02-31', '2021-02-31 01:02:03');
SET sql_mode = 'NO_UNSIGNED_SUBTRACTION';
CREATE TABLE subtraction (id INT PRIMARY KEY, a INT UNSIGNED, c INT AS (a - 5) STORED);
INSERT INTO subtraction (id, a) VALUES (1, 1);
CREATE TABLE virtual_subtraction (id INT PRIMARY KEY, a INT UNSIGNED, c INT AS (a - 5) VIRTUAL, KEY (c));
INSERT INTO virtual_subtraction (id, a) VALUES (1, 1);
SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH';
CREATE TABLE padded (id INT PRIMARY KEY, a CHAR(10), c VARCHAR(20) AS (CONCAT(a, '|')) STORED);
INSERT INTO padded (id, a) VALUES (1, 'abc');
SET sql_mode = '';
CREATE TABLE bad_casts (id INT PRIMARY KEY, a VARCHAR(10), c DATE AS (CAST(a AS DATE)) STORED, f INT AS (10 / LENGTH(a)) STORED);
INSERT INTO bad_casts (id, a) VALUES (1, '2021-02-31'), (2, ''), (3, '2021-02-03');
SET sql_mode = DEFAULT, time_zone = '+10:00';
CREATE TABLE zones (id INT PRIMARY KEY, t TIMESTAMP NOT NULL, `day``s` DATE AS (DATE(t)) STORED);
INSERT INTO zones (id, t) VALUES (1, '2021-01-01 05:00:00');
SET time_zone = DEFAULT;
CREATE TABLE computed (id INT PRIMARY KEY, a INT, b INT AS (a * 2) STORED, c DECIMAL(5,2) AS (a / 3) STORED, f FLOAT AS (a / 3) STORED, g DOUBLE AS (a / 7) STORED, h CHAR(10) AS (CONCAT('  ', a, '  ')) STORED, j JSON AS (JSON_OBJECT('a', a)) STORED, y YEAR AS (a + 2000) STORED, e ENUM('x1','x2') AS (CONCAT('x', a)) STORED, s SET('x1','x2') AS (CONCAT('x', a)) STORED, bi BINARY(8) AS (a) STORED, bt BIT(8) AS (a) STORED, ti TIME(2) AS (SEC_TO_TIME(a)) STORED, dt DATETIME(3) AS (FROM_UNIXTIME(a)) STORED, bl BLOB AS (REPEAT('x', a)) STORED, tx TEXT CHARACTER SET latin1 AS (CONCAT('\u{e4}', a)) STORED, p POINT AS (ST_GeomFromText('POINT(1 2)')) STORED, ff FLOAT(7,3) AS (a / 7) STORED, ra INT AS (CONCAT(a, '.7')) STORED, un TEXT AS (j->>'$.a') STORED);
INSERT INTO computed (id, a) VALUES (1, 1), (2, 2), (3, NULL);
CREATE TABLE options (id INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT=1000 AUTOEXTEND_SIZE=4M STATS_PERSISTENT=0 STATS_AUTO_RECALC=0 STATS_SAMPLE_PAGES=33 MAX_ROWS=1000 MIN_ROWS=10 AVG_ROW_LENGTH=100 CHECKSUM=1 DELAY_KEY_WRITE=1 PACK_KEYS=1 CONNECTION='x' COMMENT='ENCRYPTION=''N''';
CREATE TABLE counted (id INT AUTO_INCREMENT PRIMARY KEY);
INSERT INTO counted VALUES (1), (5), (9);
DELETE FROM counted WHERE id > 1;
SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
CREATE TABLE from_zero (id INT AUTO_INCREMENT PRIMARY KEY);
INSERT INTO from_zero VALUES (0), (5);
SET sql_mode = DEFAULT;
CREATE TABLE checks (id INT PRIMARY KEY, a INT, CONSTRAINT c1 CHECK (a > 0) NOT ENFORCED, CONSTRAINT c2 CHECK (a < 100));
INSERT INTO checks VALUES (1, -1);
CREATE TABLE no_key (a INT);
CREATE TRIGGER fired BEFORE INSERT ON no_key FOR EACH ROW SET NEW.a = 1;
SET sql_generate_invisible_primary_key = ON;
CREATE TABLE invisible_key (a INT);
SET sql_generate_invisible_primary_key = OFF;
INSERT INTO invisible_key VALUES (1);
CREATE TABLE secondary_engine (a INT PRIMARY KEY) SECONDARY_ENGINE=mock;
CREATE TABLE places (id INT PRIMARY KEY, g POINT NOT NULL SRID 4326, SPATIAL KEY (g));
INSERT INTO places VALUES (1, ST_GeomFromText('POINT(1 2)', 4326));
CREATE TABLE words (id INT PRIMARY KEY, t TEXT, FULLTEXT KEY (t) WITH PARSER ngram);
INSERT INTO words VALUES (1, 'Astrid');
CREATE TABLE charsets (id INT(8) ZEROFILL PRIMARY KEY, a VARCHAR(10) CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci, b CHAR(4) BINARY, f FLOAT(7,3));
CREATE TABLE indexes (id INT PRIMARY KEY, a INT, j JSON, KEY f ((a + 1)), KEY i (a) INVISIBLE, KEY d (a DESC) COMMENT 'x', KEY m ((CAST(j->'$.a' AS UNSIGNED ARRAY))), t VARCHAR(300), KEY p (t(50)) COMMENT 'MERGE_THRESHOLD=40');
CREATE TABLE instant (id INT PRIMARY KEY, a INT);
INSERT INTO instant VALUES (1, 1);
ALTER TABLE instant ADD COLUMN b INT DEFAULT 7, DROP COLUMN a, ALGORITHM=INSTANT;
ANALYZE TABLE instant UPDATE HISTOGRAM ON b;
SET restrict_fk_on_non_standard_key = OFF;
CREATE TABLE parents (id INT, x INT, KEY (x), KEY (id, x));
CREATE TABLE children (id INT PRIMARY KEY, x INT, CONSTRAINT fk FOREIGN KEY (x) REFERENCES parents (x) ON DELETE SET NULL ON UPDATE CASCADE);
INSERT INTO parents VALUES (1, 1), (2, 1);
INSERT INTO children VALUES (1, 1);
CREATE TABLE `od#d na``me` (`c``x` INT PRIMARY KEY, `a (b)` INT AS (`c``x` + 1) STORED) PARTITION BY HASH (`c``x`) PARTITIONS 2;
INSERT INTO `od#d na``me` (`c``x`) VALUES (1), (2)";

/// The tables whose DATA DIRECTORY the server does not know after a start without that option.
const OUTSIDE: [&str; 3] = ["outside", "parts_outside", "wide_outside"];

/// Everything that is to stay: definitions, rows, triggers, files.
fn described(server: &Server) -> BTreeMap<String, String> {
    let mut conn = server.connect();
    for set in [
        "show_create_table_verbosity = ON",
        "show_gipk_in_create_table_and_information_schema = ON",
        "show_create_table_skip_secondary_engine = OFF",
        "sql_mode = 'NO_UNSIGNED_SUBTRACTION'",
        "time_zone = '+00:00'",
    ] {
        conn.query_drop(format!("SET SESSION {set}")).unwrap();
    }
    // The server keeps the expressions of open tables as another session had them.
    conn.query_drop("FLUSH TABLES").unwrap();
    let mut all = BTreeMap::new();
    let names: Vec<String> = conn
        .query("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'd' ORDER BY 1")
        .unwrap();
    for name in &names {
        let table = format!("d.`{}`", name.replace('`', "``"));
        let (_, text): (String, String) =
            conn.query_first(format!("SHOW CREATE TABLE {table}")).unwrap().unwrap();
        all.insert(format!("{name}: definition"), without_encryption(&text));
        all.insert(format!("{name}: rows"), rows(&mut conn, &format!("SELECT * FROM {table}")));
    }
    for query in [
        "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_STATEMENT, SQL_MODE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'd'",
        "SELECT TABLESPACE_NAME, FILE_NAME, AUTOEXTEND_SIZE FROM information_schema.FILES WHERE FILE_NAME LIKE '%/d/%' AND FILE_NAME NOT LIKE '%/fts\\_%' ORDER BY 1",
        "SELECT NAME, ROW_FORMAT, ZIP_PAGE_SIZE FROM information_schema.INNODB_TABLESPACES WHERE NAME LIKE 'd/%' AND NAME NOT LIKE 'd/fts\\_%' ORDER BY 1",
        "SELECT * FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = 'd'",
        "SELECT TABLE_NAME, ENFORCED FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = 'd' AND CONSTRAINT_TYPE = 'CHECK' ORDER BY 1, 2",
    ] {
        all.insert(query.to_owned(), rows(&mut conn, query));
    }
    all
}

fn rows(conn: &mut Conn, query: &str) -> String {
    let rows: Vec<Row> = conn.query(query).unwrap();
    // As a literal of a statement, in full.
    let line = |row: Row| row.unwrap().iter().map(|value| value.as_sql(true)).collect::<Vec<_>>().join(", ");
    rows.into_iter().map(|row| line(row) + "\n").collect()
}

/// The definition without what may change: the encryption, and the slash at the end of a directory, which comes and goes with
/// restarts.
fn without_encryption(text: &str) -> String {
    let options = text.rfind("\n) ").unwrap();
    let rest = text[options..].replace(" ENCRYPTION='Y'", "").replace(" ENCRYPTION='N'", "");
    format!("{}{}", &text[..options], rest.replace("/'", "'"))
}

/// Compares two descriptions. The server's own columns of encryption are not in them.
#[track_caller]
fn same(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>, when: &str) {
    let different: Vec<_> = before
        .iter()
        .filter(|(what, text)| after.get(*what) != Some(*text))
        .map(|(what, text)| {
            let now = after.get(what).map_or("", String::as_str);
            let lines = |this: &str, that: &str, mark| -> String {
                let only = this.lines().filter(|line| !that.lines().any(|other| other == *line));
                only.map(|line| format!("{mark} {line}\n")).collect()
            };
            format!("{what}\n{}{}", lines(text, now, '-'), lines(now, text, '+'))
        })
        .collect();
    assert!(different.is_empty() && before.len() == after.len(), "{when}: {}", different.join("\n"));
}

/// Returns the tables that are encrypted, or not.
fn tables(server: &Server, encrypted: bool) -> Vec<String> {
    let (is, letter) = if encrypted { ("=", 'Y') } else { ("<>", 'Y') };
    server.rows(&format!(
        "SELECT DISTINCT SUBSTRING_INDEX(SUBSTRING(NAME, 3), '#p#', 1) FROM information_schema.INNODB_TABLESPACES
         WHERE NAME LIKE 'd/%' AND NAME NOT LIKE 'd/fts\\_%' AND ENCRYPTION {is} '{letter}' ORDER BY 1"
    ))
}

fn create(server: &Server, directory: &str) {
    let mut conn = server.connect();
    let wide: String = (0..200).map(|i| format!("c{i} CHAR(60) NOT NULL DEFAULT '', ")).collect();
    for statement in TABLES.replace("@dir@", directory).replace("@wide@", &wide).split(";\n") {
        for statement in statement.split("; ") {
            conn.query_drop(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
    }
}

/// A host with a keyring, and a directory outside of its data directory.
fn host_and_directory(keyring: &Keyring) -> (Host, PathBuf) {
    let host = host().keyring(keyring);
    let directory = host.dir().join("outside");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    (host, directory)
}

/// Tables of every kind: encrypted, decrypted, encrypted again. What cannot be kept is refused before anything changes, and the
/// remedy that is printed works.
pub fn stay_as_they_are() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let (host, directory) = host_and_directory(&keyring);
    let known = host.clone().option(format!("--innodb-directories={}", directory.display()));
    let server = known.start();
    create(&server, directory.to_str().unwrap());
    server.stop();

    // A start that has forgotten the directory.
    let server = host.start();
    let before = described(&server);
    let remedy = format!("innodb_directories = \"{}\"", directory.display());
    let (_, plan) = encrypt_json(&host, &["plan"]);
    let items = plan["items"].as_array().unwrap();
    for name in OUTSIDE {
        let item = items.iter().find(|item| item["name"] == format!("d.{name}")).unwrap();
        let how = item["remedy"]["by_hand"].as_str().unwrap_or_default();
        assert!(how.contains(&remedy) && how.contains("restart the server"), "plan foresees it: {item}");
    }
    let foreseen = items.iter().filter(|item| item["remedy"].to_string().contains("innodb_directories"));
    assert_eq!(foreseen.count(), OUTSIDE.len(), "of no other table");
    let (_, one) = encrypt_json(&host, &["plan", "--only=d.outside"]);
    let items = one["items"].as_array().unwrap();
    assert!(items.len() == 1 && items[0]["remedy"].to_string().contains("innodb_directories"), "{items:#?}");
    let dry = encrypt(&host, &["apply", "--only=d.outside", "--dry-run"]);
    let said = told(&dry);
    assert!(dry.status.code() == Some(1) && said.contains("unencrypted: fails, see below"), "{said}");
    assert!(said.contains("d.outside fails: its DATA DIRECTORY") && !said.contains(" encrypted\n"), "{said}");
    for wrong in [["plan", "--only=d.outsid"], ["apply", "--only=d.outsid"], ["apply", "--skip=d.outsid"]] {
        let output = encrypt(&host, &wrong);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains("Did you mean d.outside?"), "{}", told(&output));
    }
    let text = told(&encrypt(&host, &["apply", "--only=d.outside"]));
    assert!(text.contains("FAILED  d.outside: ") && text.contains(&remedy), "{text}");
    let output = encrypt(&host, &["apply"]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let unencrypted = tables(&server, false);
    assert_eq!(unencrypted, ["outside", "parts_outside", "wide_outside", "zones"], "{text}");
    for name in OUTSIDE {
        let line = text.lines().find(|l| l.starts_with(&format!("FAILED  d.{name}: "))).unwrap();
        assert!(line.contains(&remedy) && line.contains("restart the server"), "{line}");
    }
    let line = text.lines().find(|l| l.starts_with("FAILED  d.zones: ")).unwrap();
    assert!(line.contains("day`s") && line.contains("time_zone"), "{line}");
    let (_, by_hand) = line.split_once("Run LOCK").unwrap();
    let by_hand = format!("LOCK{}", by_hand.split_once("; in a session").unwrap().0);
    let line =
        text.lines().find(|l| l.starts_with("NOTE    d.instant: ")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains("histograms of b"), "{line}");
    let histograms = "SELECT COUNT(*) FROM information_schema.COLUMN_STATISTICS";
    assert_eq!(server.value::<u32>(histograms), 0, "if the server keeps it, nothing is to be said");
    same(&before, &described(&server), "encrypted");

    // The remedies, as they are printed.
    let mut conn = server.connect();
    conn.query_drop("SET SESSION time_zone = '+10:00'").unwrap();
    for statement in by_hand.split("; ") {
        conn.query_drop(statement).unwrap();
    }
    server.stop();
    let server = known.start();
    let output = encrypt(&known, &["apply", "--purge-binary-logs", "--yes"]);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(tables(&server, false), Vec::<String>::new());
    same(&before, &described(&server), "encrypted with the directory");

    // Back, on a server whose new tables do not get files of their own.
    server.sql("SET GLOBAL innodb_file_per_table = OFF; SET GLOBAL innodb_strict_mode = OFF; SET GLOBAL innodb_default_row_format = REDUNDANT");
    let before = described(&server);
    let undo = ["apply", "--undo", "--only=d.*"];
    let text = told(&encrypt(&known, &undo));
    assert_eq!(tables(&server, true), ["parts_outside", "zones"], "{text}");
    let line = text.lines().find(|l| l.starts_with("FAILED  d.parts_outside: ")).unwrap();
    assert!(line.contains("Run SET GLOBAL innodb_file_per_table = ON"), "{line}");
    server.sql("SET GLOBAL innodb_file_per_table = ON");
    let text = told(&encrypt(&known, &undo));
    assert_eq!(tables(&server, true), ["zones"], "{text}");
    same(&before, &without_own_tablespace(&before, described(&server)), "decrypted");
    online(&known, &server);
    server.stop();
}

/// What `--online always` refuses: what the server does not rebuild in place.
const NOT_ONLINE: [&str; 7] =
    ["od#d na`me", "outside", "page_compressed", "parts_outside", "places", "subparts", "wide_outside"];

/// Tables that are rewritten while they are written to stay as they are, too.
fn online(host: &Host, server: &Server) {
    server.sql("SET GLOBAL innodb_file_per_table = OFF");
    let before = described(server);
    let always = ["--only=d.*", "--online=always", "--rebuild-fulltext"];
    let text = told(&encrypt(host, &[&["apply"], &always[..]].concat()));
    assert_eq!(tables(server, false), NOT_ONLINE, "{text}");
    let refused: Vec<_> = text.lines().filter(|line| line.starts_with("FAILED  d.")).collect();
    assert!(refused.iter().all(|line| line.contains("cannot be rewritten online")), "{refused:#?}");
    let after = described(server);
    same(&before, &without_own_tablespace(&before, after.clone()), "encrypted online");
    // A crash while a tablespace is decrypted in place can be the end of a server.
    let undone = encrypt(host, &[&["apply", "--undo"], &always[..]].concat());
    assert!(
        undone.status.code() == Some(2) && told(&undone).contains("never start again"),
        "{}",
        told(&undone)
    );
    same(&after, &described(server), "refused");
    let left =
        "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES WHERE NAME LIKE 'keyring\\_external\\_%'";
    assert_eq!(server.value::<u32>(left), 0);
}

/// Leaves out the clause that the server cannot take back, where it was not there before.
fn without_own_tablespace(
    before: &BTreeMap<String, String>,
    mut after: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    for (what, definition) in &mut after {
        let own = "/*!50100 TABLESPACE `innodb_file_per_table` */ ";
        if what.ends_with(": definition") && !before.get(what).is_some_and(|b| b.contains(own)) {
            *definition = definition.replace(own, "");
        }
    }
    after
}
