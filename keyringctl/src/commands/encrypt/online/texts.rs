// SPDX-License-Identifier: GPL-2.0-or-later
//! What sessions may read in different ways in the definitions of tables: texts with backslashes, and what a table computes. The
//! server is asked about all tables at once, and says the same as SHOW CREATE TABLE does of each.

use crate::commands::encrypt::rewrite::clauses;
use crate::error::{Error, Result};
use crate::server::Session;
use std::collections::BTreeSet;

/// Where texts are as they were given, and which. A condition on them without UNION or REGEXP_LIKE, whose memory a server may
/// not allow a connection (connection_memory_limit).
const PLAIN: [(&str, &str); 4] = [
    (
        "COLUMNS",
        "CONCAT_WS('', IF(EXTRA LIKE '%DEFAULT_GENERATED%', '', COLUMN_DEFAULT), COLUMN_TYPE, COLUMN_COMMENT)",
    ),
    ("TABLES", "TABLE_COMMENT"),
    ("STATISTICS", "INDEX_COMMENT"),
    (
        "PARTITIONS",
        "CONCAT_WS('', PARTITION_DESCRIPTION, PARTITION_EXPRESSION, SUBPARTITION_EXPRESSION, PARTITION_COMMENT)",
    ),
];
/// The bytes that SHOW CREATE TABLE prints with a backslash, whatever the SQL mode: a backslash, a zero byte, the end of a line.
const ESCAPED: [&str; 4] = ["x'5c'", "x'00'", "x'0a'", "x'0d'"];
/// What tables compute.
const COMPUTED: [&str; 2] = [
    "SELECT TABLE_SCHEMA, TABLE_NAME, GENERATION_EXPRESSION FROM information_schema.COLUMNS WHERE GENERATION_EXPRESSION <> ''",
    "SELECT TABLE_SCHEMA, TABLE_NAME, EXPRESSION FROM information_schema.STATISTICS WHERE EXPRESSION IS NOT NULL",
];
/// Other expressions in which something has a backslash.
const OTHERS: [&str; 2] = [
    "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS
     WHERE EXTRA LIKE '%DEFAULT_GENERATED%' AND INSTR(CAST(COLUMN_DEFAULT AS BINARY), x'5c') > 0",
    "SELECT t.TABLE_SCHEMA, t.TABLE_NAME, c.CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS c
     JOIN information_schema.TABLE_CONSTRAINTS t USING (CONSTRAINT_SCHEMA, CONSTRAINT_NAME)
     WHERE INSTR(CAST(c.CHECK_CLAUSE AS BINARY), x'5c') > 0",
];

/// Tables by schema and name.
#[derive(Default)]
pub(super) struct Texts {
    /// Those with backslashes in their texts.
    pub backslashes: BTreeSet<(String, String)>,
    /// Those with backslashes, generated columns or indexes of expressions.
    pub of_sessions: BTreeSet<(String, String)>,
}

impl Texts {
    /// Asks the server.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn query(session: &mut Session) -> Result<Texts> {
        let mut texts = Texts::default();
        for (view, text) in PLAIN {
            let has = ESCAPED.map(|byte| format!("INSTR(CAST({text} AS BINARY), {byte}) > 0")).join(" OR ");
            let query = format!("SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.{view} WHERE {has}");
            let plain: Vec<(String, String)> = session.rows(&query)?;
            texts.backslashes.extend(plain);
        }
        for query in COMPUTED {
            for (schema, table, text) in session.rows::<(String, String, String)>(query)? {
                texts.of_sessions.insert((schema.clone(), table.clone()));
                texts.look(schema, table, &text);
            }
        }
        for query in OTHERS {
            let found = match session.rows::<(String, String, String)>(query) {
                // An older server has no check constraints.
                Err(Error::Server(refused)) if refused.code != 0 => Vec::new(),
                found => found?,
            };
            for (schema, table, text) in found {
                texts.look(schema, table, &text);
            }
        }
        texts.of_sessions.extend(texts.backslashes.iter().cloned());
        Ok(texts)
    }

    /// Looks at an expression as information_schema prints it.
    fn look(&mut self, schema: String, table: String, printed: &str) {
        if clauses::has_backslash(&unescaped(printed)) {
            self.backslashes.insert((schema, table));
        }
    }
}

/// Returns an expression as SHOW CREATE TABLE prints it: information_schema puts a backslash before each quote and backslash.
fn unescaped(printed: &str) -> String {
    let mut text = String::with_capacity(printed.len());
    let mut chars = printed.chars();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_backslashes_of_the_definition_count() {
        for (printed, shown, counts) in [
            (r"concat(`a`,_utf8mb4\'-x\')", r"concat(`a`,_utf8mb4'-x')", false),
            (r"json_extract(`d`,_utf8mb4\'$.a\')", r"json_extract(`d`,_utf8mb4'$.a')", false),
            (r"(`b\\s` + 1)", r"(`b\s` + 1)", false),
            (r"concat(`a`,_utf8mb4\'b\\\\c\')", r"concat(`a`,_utf8mb4'b\\c')", true),
            (r"concat(`a`,_utf8mb4\'it\\\'s\')", r"concat(`a`,_utf8mb4'it\'s')", true),
            (r"concat(`a`,_utf8mb4\'\\n\')", r"concat(`a`,_utf8mb4'\n')", true),
        ] {
            assert_eq!(unescaped(printed), shown);
            let mut texts = Texts::default();
            texts.look("d".to_owned(), "t".to_owned(), printed);
            assert_eq!(!texts.backslashes.is_empty(), counts, "{shown}");
        }
    }
}
