// SPDX-License-Identifier: GPL-2.0-or-later
//! What shows that applications create tables that a server refuses once a schema's new tables are encrypted.

use super::privileges::Privileges;
use super::session::Session;
use crate::error::Result;
use serde::Serialize;

/// Engines that do not encrypt.
const ENGINES: [&str; 14] = [
    "ARCHIVE",
    "BLACKHOLE",
    "CSV",
    "EXAMPLE",
    "FEDERATED",
    "HEAP",
    "MEMORY",
    "MERGE",
    "MRG_MYISAM",
    "MYISAM",
    "NDB",
    "NDBCLUSTER",
    "ROCKSDB",
    "TOKUDB",
];
const OWN_SCHEMAS: &str = "('mysql', 'sys', 'information_schema', 'performance_schema')";

/// Stored programs with such statements, and such statements that the server has run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Creations {
    /// Stored programs with such a CREATE TABLE.
    pub programs: Vec<StoredProgram>,
    /// If there may be stored programs that the account does not see, the statement that changes that.
    pub unseen_programs: Option<String>,
    /// Such statements that the server has run since its start, without their values.
    pub seen: Vec<String>,
    /// The engine of a CREATE TABLE that names none.
    pub default_engine: String,
}

/// A procedure, function or event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StoredProgram {
    /// `PROCEDURE`, `FUNCTION` or `EVENT`.
    pub kind: String,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The clause that will be refused, for example `ENGINE=MYISAM`.
    pub clause: String,
}

impl Creations {
    /// Asks the server.
    ///
    /// # Errors
    /// What the server answers.
    pub fn query(session: &mut Session, privileges: &Privileges) -> Result<Creations> {
        let texts: Vec<(String, String, String, Option<String>)> = session.rows(&format!(
            "SELECT ROUTINE_TYPE, ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES
             WHERE ROUTINE_SCHEMA NOT IN {OWN_SCHEMAS}
             UNION ALL
             SELECT 'EVENT', EVENT_SCHEMA, EVENT_NAME, EVENT_DEFINITION FROM information_schema.EVENTS
             WHERE EVENT_SCHEMA NOT IN {OWN_SCHEMAS}
             ORDER BY 2, 3, 1"
        ))?;
        let programs = texts.into_iter().filter_map(|(kind, schema, name, text)| {
            let clause = refused_clause(&text?)?;
            Some(StoredProgram { kind, schema, name, clause })
        });
        Ok(Creations {
            programs: programs.collect(),
            unseen_programs: privileges.unseen_programs(),
            seen: seen(session),
            default_engine: session.variable("default_storage_engine")?.unwrap_or_default(),
        })
    }
}

/// Without performance_schema, or without the privilege to read it, no statement is known.
fn seen(session: &mut Session) -> Vec<String> {
    let texts: Vec<String> = session
        .rows(
            "SELECT DIGEST_TEXT FROM performance_schema.events_statements_summary_by_digest
             WHERE DIGEST_TEXT LIKE 'CREATE TABLE %' ORDER BY LAST_SEEN DESC",
        )
        .unwrap_or_default();
    texts
        .into_iter()
        .filter_map(|text| {
            let (start, _) = text.split_once(" (").unwrap_or((&text, ""));
            Some(format!("{start} ... {}", refused_clause(&text)?))
        })
        .collect()
}

/// Returns the first clause of a CREATE TABLE in a program's text that is refused where new tables are encrypted. It also
/// finds statements in strings, which the program prepares.
fn refused_clause(text: &str) -> Option<String> {
    let text = text.to_uppercase();
    // Quotes, brackets and = separate words as spaces do.
    let statements = text.split(';');
    statements.into_iter().find_map(|statement| {
        let mut words = statement
            .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
            .filter(|w| !w.is_empty())
            .peekable();
        let mut creates = false;
        while let Some(word) = words.next() {
            let next = words.peek().copied();
            match (word, next) {
                // CREATE TEMPORARY TABLE is not affected.
                ("CREATE", Some("TABLE")) => creates = true,
                ("ENGINE", Some(engine)) if creates && ENGINES.contains(&engine) => {
                    return Some(format!("ENGINE={engine}"));
                }
                ("ENCRYPTION", Some("N")) if creates => return Some("ENCRYPTION='N'".to_owned()),
                ("TABLESPACE", Some("INNODB_SYSTEM")) if creates => {
                    return Some("TABLESPACE=INNODB_SYSTEM".to_owned());
                }
                _ => {}
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_that_will_be_refused_are_found_in_stored_programs() {
        let found = |text| refused_clause(text);
        assert_eq!(
            found("BEGIN create table a.b (x int)\n engine = MyISAM; END").as_deref(),
            Some("ENGINE=MYISAM")
        );
        assert_eq!(
            found("SET @s = 'CREATE  TABLE t (a INT) ENGINE=CSV'; PREPARE s FROM @s").as_deref(),
            Some("ENGINE=CSV")
        );
        assert_eq!(found("CREATE TABLE t (a INT) ENCRYPTION='n'").as_deref(), Some("ENCRYPTION='N'"));
        assert_eq!(
            found("CREATE TABLE t (a INT) TABLESPACE = `innodb_system`").as_deref(),
            Some("TABLESPACE=INNODB_SYSTEM")
        );
        for fine in [
            "CREATE TEMPORARY TABLE t (a INT) ENGINE=MEMORY",
            "CREATE TABLE t (a INT) ENGINE=InnoDB ENCRYPTION='Y'",
            "CREATE TABLE cars (engine VARCHAR(9)); SELECT engine, x FROM t",
            "SELECT 1",
        ] {
            assert_eq!(found(fine), None, "{fine}");
        }
    }
}
