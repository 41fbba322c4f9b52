// SPDX-License-Identifier: GPL-2.0-or-later
//! What applications notice once new tables are encrypted: `keyringctl encrypt` says it before, and the server does it after.

use super::command::encrypt_json;
use super::host::{host, tables_in_clear};
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use mysql_plugin_tests::rig::{Host, Keyring, Volume};

/// MySQL's errors, as the documentation lists them.
const ENGINE: u16 = 1178;
const TABLESPACE: u16 = 3825;
const TABLE: u16 = 3826;
const SCHEMA: u16 = 3827;
const GENERAL_TABLESPACE: u16 = 3828;
const FINE: u16 = 0;

/// Statements of an application that may create everything, and the errors that they get.
const STATEMENTS: &[(&str, u16)] = &[
    ("CREATE TABLE clinic.a1 (a INT)", FINE),
    ("CREATE TABLE clinic.a2 (a INT) TABLESPACE archive", FINE),
    ("CREATE TABLE clinic.a3 (a INT) ENCRYPTION='Y'", FINE),
    ("CREATE TEMPORARY TABLE clinic.a4 (a INT) ENGINE=MEMORY", FINE),
    ("CREATE TABLE clinic.b1 (a INT) ENGINE=MyISAM", ENGINE),
    ("CREATE TABLE clinic.b2 (a INT) ENGINE=MEMORY", ENGINE),
    ("CREATE TABLE IF NOT EXISTS clinic.words (a INT) ENGINE=MyISAM", ENGINE),
    ("CREATE TABLE clinic.b3 LIKE clinic.words", ENGINE),
    ("CALL clinic.rebuild()", ENGINE),
    ("ALTER TABLE clinic.a1 ENGINE=MyISAM", ENGINE),
    ("CREATE TABLE clinic.c1 (a INT) TABLESPACE innodb_system", TABLESPACE),
    ("ALTER TABLE clinic.a1 TABLESPACE innodb_system", TABLESPACE),
    ("CREATE TABLE clinic.d1 (a INT) ENCRYPTION='N'", TABLE),
    ("ALTER TABLE clinic.a1 ENCRYPTION='N'", TABLE),
    ("RENAME TABLE clinic.words TO other.words", TABLE),
    ("CREATE SCHEMA IF NOT EXISTS clinic DEFAULT ENCRYPTION='N'", SCHEMA),
    ("CREATE TABLESPACE d2 ADD DATAFILE 'd2.ibd' ENCRYPTION='N'", GENERAL_TABLESPACE),
    // Existing tables remain usable.
    ("INSERT INTO clinic.words VALUES (1)", FINE),
    ("ALTER TABLE clinic.words ADD COLUMN b INT", FINE),
    ("TRUNCATE TABLE clinic.words", FINE),
    ("ALTER TABLE clinic.words ENGINE=InnoDB", FINE),
    // The schema that was left out.
    ("CREATE TABLE legacy.e1 (a INT) ENGINE=MyISAM", FINE),
    ("ALTER TABLE legacy.rows ADD COLUMN b INT", FINE),
];

/// plan and apply say which statements of applications the server will refuse, where there are signs of them, and it then
/// refuses exactly those. A schema that is left out keeps its default.
pub fn what_applications_notice() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    let server = host.start();
    server.sql(
        "CREATE SCHEMA clinic; CREATE SCHEMA other; CREATE SCHEMA legacy; CREATE TABLESPACE archive ADD DATAFILE 'archive.ibd';
         CREATE TABLE clinic.words (a INT) ENGINE=MyISAM;
         CREATE TABLE clinic.inside (a INT) TABLESPACE innodb_system;
         CREATE TABLE legacy.rows (a INT);
         CREATE TABLE legacy.words (a INT) ENGINE=MyISAM;
         CREATE PROCEDURE clinic.rebuild() CREATE TABLE clinic.built (a INT) ENGINE=MEMORY;
         CREATE PROCEDURE clinic.harmless() CREATE TEMPORARY TABLE clinic.built (a INT) ENGINE=MEMORY;
         CREATE USER app@localhost;
         GRANT ALL ON *.* TO app@localhost;
         REVOKE TABLE_ENCRYPTION_ADMIN, SUPER, SYSTEM_VARIABLES_ADMIN ON *.* FROM app@localhost;
         SET GLOBAL innodb_file_per_table = OFF; SET GLOBAL default_storage_engine = MyISAM",
    );
    let warnings = |report: &serde_json::Value| -> Vec<String> {
        report["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned()).collect()
    };
    let (_, plan) = encrypt_json(&host, &["plan"]);
    let said = warnings(&plan);
    let says = |all: &[&str]| said.iter().any(|line| all.iter().all(|part| line.contains(part)));
    for parts in [
        &["Schema clinic", "1178", "clinic.words (MyISAM)", "--skip 'clinic.*'"][..],
        &["Schema legacy", "1178", "legacy.words (MyISAM)"],
        &["Schema clinic", "3825", "clinic.inside"],
        &["procedure clinic.rebuild (ENGINE=MEMORY)"],
        &["has run statements", "`clinic` . `words`", "ENGINE=MYISAM"],
        &["default_storage_engine is MyISAM", "1178"],
        &["innodb_file_per_table is OFF", "3825"],
        &["ENCRYPTION='N'", "3826", "3827"],
    ] {
        assert!(says(parts), "{parts:?}: {said:#?}");
    }
    assert!(!says(&["harmless"]) && !says(&["Schema other"]), "{said:#?}");
    server.sql("SET GLOBAL innodb_file_per_table = ON; SET GLOBAL default_storage_engine = InnoDB");

    let (code, report) =
        encrypt_json(&host, &["apply", "--skip", "legacy.*", "--purge-binary-logs", "--yes"]);
    assert_eq!((code, &report["left"]), (1, &serde_json::json!(["clinic.words"])), "{report:#}");
    let said = warnings(&report);
    assert!(said.iter().any(|line| line.contains("Schema clinic")), "{said:#?}");
    assert!(
        !said.iter().any(|line| line.contains("Schema legacy") || line.contains("default_storage")),
        "{said:#?}"
    );
    let defaults = "SELECT SCHEMA_NAME, DEFAULT_ENCRYPTION FROM information_schema.SCHEMATA
                    WHERE SCHEMA_NAME IN ('clinic', 'legacy', 'other') ORDER BY 1";
    let as_asked =
        [("clinic", "YES"), ("legacy", "NO"), ("other", "YES")].map(|(s, d)| (s.to_owned(), d.to_owned()));
    assert_eq!(server.rows::<(String, String)>(defaults), as_asked);
    assert_eq!(tables_in_clear(&server), 1, "legacy.rows");
    let (code, report) = encrypt_json(&host, &["apply", "--only", "legacy.rows"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(server.rows::<(String, String)>(defaults), as_asked);
    assert_eq!(tables_in_clear(&server), 0);

    let mut app = connect(&host);
    for (statement, expected) in STATEMENTS {
        let code = match app.query_drop(*statement) {
            Ok(()) => FINE,
            Err(mysql::Error::MySqlError(e)) => e.code,
            Err(e) => panic!("{statement}: {e}"),
        };
        assert_eq!(code, *expected, "{statement}");
    }
    server.stop();
}

fn connect(host: &Host) -> Conn {
    let socket = host.socket().display().to_string();
    Conn::new(OptsBuilder::new().socket(Some(socket)).user(Some("app"))).unwrap()
}
