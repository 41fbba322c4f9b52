// SPDX-License-Identifier: GPL-2.0-or-later
//! Stored generated columns. The server computes them again when it copies a table, and what an expression returns may depend
//! on the session: its time zone, SQL mode, language. The copy must use settings that return what is stored.

use super::clauses;
use super::copying::Copying;
use super::refusal::{self, Cause};
use crate::commands::encrypt::job::{Job, Step};
use crate::error::{Error, Result, ServerError};
use crate::server::{Session, Table, quoted, quoted_text};

/// Where the server keeps the number of differing rows that it found, 0 or 1.
const FOUND: &str = "@keyring_external_differing";

/// A stored generated column, with a condition that is true for rows in which the expression returns another value.
struct Generated {
    name: String,
    differs: String,
}

/// Whether a definition has columns or index parts that the server computes.
pub(super) fn computes(text: &str) -> bool {
    expressions(text).next().is_some() || clauses::unquoted(text).any(|part| part.contains("(("))
}

/// Whether a definition has columns, other than generated ones, with dates in them.
pub(super) fn has_dates(text: &str) -> bool {
    text.lines().filter(|line| line.starts_with("  `")).any(|line| {
        let words = clauses::words(line);
        let kind = words.get(1).map_or("", String::as_str);
        let dated = ["date", "datetime", "timestamp"].iter().any(|name| kind.starts_with(name));
        dated && !words.iter().any(|word| word == "GENERATED")
    })
}

/// What was found out about the settings for a copy.
pub(super) enum Found {
    /// These keep the values of generated columns.
    Settings(Copying),
    /// No known settings do for the columns of these names.
    Nothing(Vec<String>),
    /// The user asked to stop.
    Stopped,
}

/// Looks for settings, `like` these if possible, with which a copy of the table keeps the values of its generated columns.
/// Reads the table if it has stored ones.
pub(super) fn settings(job: &mut Job<'_>, table: &Table, text: &str, like: &Copying) -> Result<Found> {
    let columns = stored(&mut job.watch, table, text)?;
    if columns.is_empty() {
        return Ok(Found::Settings(like.clone()));
    }
    for copying in std::iter::once(like.clone()).chain(like.others()) {
        copying.set(&mut job.work)?;
        match differ(job, table, columns.iter())? {
            Some(true) => {}
            Some(false) => return Ok(Found::Settings(copying)),
            None => return Ok(Found::Stopped),
        }
    }
    like.set(&mut job.work)?;
    let mut names = Vec::new();
    for column in &columns {
        match differ(job, table, std::iter::once(column))? {
            Some(true) => names.push(column.name.clone()),
            Some(false) => {}
            None => return Ok(Found::Stopped),
        }
    }
    // Each fits, but not all of them with the same settings.
    let all = || columns.iter().map(|column| column.name.clone()).collect();
    Ok(Found::Nothing(if names.is_empty() { all() } else { names }))
}

/// Whether there is a row in which the expression of one of the columns returns another value than the one stored. `None`:
/// the user asked to stop.
fn differ<'a>(
    job: &mut Job<'_>,
    table: &Table,
    columns: impl Iterator<Item = &'a Generated>,
) -> Result<Option<bool>> {
    let conditions: Vec<_> = columns.map(|column| format!("({})", column.differs)).collect();
    let query = format!(
        "SELECT COUNT(*) INTO {FOUND} FROM (SELECT 1 FROM {} WHERE {} LIMIT 1) AS differing",
        table.quoted(),
        conditions.join(" OR ")
    );
    match job.carry_out(&format!("the generated columns of {}", table.full_name()), &query, 0) {
        Ok(Step::Done) => {
            Ok(Some(job.work.first::<Option<i64>>(&format!("SELECT {FOUND}"))?.flatten() != Some(0)))
        }
        Ok(Step::Stopped) => Ok(None),
        // An expression that fails returns no value.
        Err(Error::Server(refused)) if is_about_the_expression(&refused) => Ok(Some(true)),
        Err(e) => Err(e),
    }
}

/// Whether the server could not compute an expression, or not parse it in this SQL mode.
fn is_about_the_expression(refused: &ServerError) -> bool {
    const PARSE_ERROR: u16 = 1064;
    matches!(refusal::of(refused), Cause::Values | Cause::Subtraction) || refused.code == PARSE_ERROR
}

fn stored(session: &mut Session, table: &Table, text: &str) -> Result<Vec<Generated>> {
    let expressions: Vec<_> = expressions(text).collect();
    if !expressions.iter().any(|e| e.stored) {
        return Ok(Vec::new());
    }
    let rows: Vec<(String, String, Option<u64>, Option<String>)> = session.rows(&format!(
        "SELECT COLUMN_NAME, COLUMN_TYPE, DATETIME_PRECISION, CHARACTER_SET_NAME FROM information_schema.COLUMNS
         WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} AND EXTRA LIKE '%STORED GENERATED%'",
        quoted_text(&table.schema),
        quoted_text(&table.name)
    ))?;
    let column = |(name, kind, precision, charset): (String, String, Option<u64>, Option<String>)| {
        let expression = expressions.iter().find(|e| e.column == name)?;
        let kind = Kind { name: kind, precision: precision.unwrap_or(0), charset };
        Some(Generated { differs: kind.differs(&quoted(&name), expression.text), name })
    };
    Ok(rows.into_iter().filter_map(column).collect())
}

/// A column's type.
struct Kind {
    /// As the server writes it: `int unsigned`, `decimal(5,2)`.
    name: String,
    precision: u64,
    charset: Option<String>,
}

impl Kind {
    /// Returns the condition that an expression, once stored in a column of this type, differs from the column.
    fn differs(&self, column: &str, expression: &str) -> String {
        let (word, rest) = self.name.split_once(['(', ' ']).unwrap_or((&self.name, ""));
        let length: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let value = match word {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => {
                let sign = if rest.contains("unsigned") { "UNSIGNED" } else { "SIGNED" };
                // A text with digits after the point is rounded when it is stored, but not by CAST.
                return format!(
                    "NOT ({column} <=> CAST({expression} AS {sign})) AND NOT ({column} <=> CAST(ROUND({expression}) AS {sign}))"
                );
            }
            "decimal" => {
                let scale = self.name.trim_end_matches(" unsigned").trim_end_matches(" zerofill");
                format!("CAST({expression} AS {})", scale.trim_end_matches(" unsigned"))
            }
            "float" | "double" => {
                // `float(7,3)` rounds; a single-precision number has seven digits.
                let digits =
                    rest.split_once(',').map(|(_, scale)| scale.trim_end_matches(')').parse().unwrap_or(0));
                let rounding = digits.map_or_else(|| "0".to_owned(), |scale: i32| format!("1e-{scale}"));
                return format!(
                    "({column} IS NULL) <> ({expression} IS NULL) OR ABS({column} - {expression}) > ABS({column}) / 100000 + {rounding}"
                );
            }
            "date" => format!("CAST({expression} AS DATE)"),
            "datetime" | "timestamp" => format!("CAST({expression} AS DATETIME({}))", self.precision),
            "time" => format!("CAST({expression} AS TIME({}))", self.precision),
            "binary" => format!("CAST({expression} AS BINARY({length}))"),
            "year" => return format!("NOT (MOD({column}, 100) <=> MOD({expression}, 100))"),
            "bit" => {
                return format!(
                    "NOT ({column} <=> {expression}) AND NOT (HEX({column}) <=> HEX({expression}))"
                );
            }
            "json" => format!("CAST({expression} AS JSON)"),
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
                let charset = self.charset.as_deref().unwrap_or("utf8mb4");
                let mut sides = [column.to_owned(), format!("CONVERT({expression} USING {charset})")];
                match word {
                    "char" => sides = sides.map(|side| format!("RTRIM(LEFT({side}, {length}))")),
                    "varchar" => sides = sides.map(|side| format!("LEFT({side}, {length})")),
                    _ => {}
                }
                let [is, should] = sides.map(|side| format!("CAST({side} AS BINARY)"));
                return format!("NOT ({is} <=> {should})");
            }
            _ => expression.to_owned(),
        };
        format!("NOT ({column} <=> {value})")
    }
}

/// The expression of a generated column.
struct Expression<'a> {
    column: String,
    text: &'a str,
    stored: bool,
}

/// Finds the expressions in a definition, where each column has a line.
fn expressions(text: &str) -> impl Iterator<Item = Expression<'_>> {
    const BEGIN: &str = " GENERATED ALWAYS AS ";
    text.lines().filter_map(|line| {
        let parts = clauses::parts(line);
        let (_, name) = *parts.get(1).filter(|(quoted, name)| *quoted && name.starts_with('`'))?;
        let mut at = 0;
        let mut start = None;
        let mut depth = 0_u32;
        // The name may contain quotes, which then are doubled.
        let mut column = name.trim_matches('`').to_owned();
        let mut in_name = true;
        for (index, (quoted, part)) in parts.iter().enumerate().skip(1) {
            if index == 1 {
                at = parts.first().map_or(0, |(_, part)| part.len()) + part.len();
                continue;
            }
            if in_name && *quoted {
                column = format!("{column}`{}", part.trim_matches('`'));
            } else if !part.is_empty() {
                in_name = false;
            }
            if !*quoted {
                let from = match start {
                    Some(_) => 0,
                    None => match part.find(BEGIN) {
                        Some(found) => {
                            start = Some(at + found + BEGIN.len());
                            found + BEGIN.len()
                        }
                        None => part.len(),
                    },
                };
                for (offset, c) in part.char_indices().skip_while(|(offset, _)| *offset < from) {
                    match c {
                        '(' => depth += 1,
                        ')' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    if start.is_some() && depth == 0 && c == ')' {
                        let end = at + offset + 1;
                        let rest = line.get(end..).unwrap_or_default();
                        return Some(Expression {
                            column,
                            text: line.get(start?..end)?,
                            stored: rest.starts_with(" STORED"),
                        });
                    }
                }
            }
            at += part.len();
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_found_in_definitions() {
        let text = "CREATE TABLE `t` (\n  `a``b` varchar(9) GENERATED ALWAYS AS (concat(`x)`,_utf8mb4'it\\'s) ',(`y` + 1))) STORED COMMENT 'x',\n  `v` int GENERATED ALWAYS AS ((`y` + 1)) VIRTUAL,\n  `y` int COMMENT ' GENERATED ALWAYS AS (1) STORED',\n  KEY `i` (`y`)\n) ENGINE=InnoDB";
        let found: Vec<_> = expressions(text).map(|e| (e.column, e.text, e.stored)).collect();
        let concat = r"(concat(`x)`,_utf8mb4'it\'s) ',(`y` + 1)))";
        assert_eq!(found, [("a`b".to_owned(), concat, true), ("v".to_owned(), "((`y` + 1))", false)]);
        assert!(computes(text));
        assert!(!has_dates(text));
        assert!(has_dates("CREATE TABLE `t` (\n  `a b` datetime(3) DEFAULT NULL\n) ENGINE=InnoDB"));
        assert!(!computes("CREATE TABLE `t` (\n  `a` int COMMENT '((',\n  KEY `k` (`a`)\n) ENGINE=InnoDB"));
        assert!(computes("CREATE TABLE `t` (\n  `a` int,\n  KEY `k` (((`a` + 1)))\n) ENGINE=InnoDB"));
    }

    #[test]
    fn values_are_compared_as_the_column_stores_them() {
        let differs = |name: &str, charset: Option<&str>| {
            Kind { name: name.to_owned(), precision: 3, charset: charset.map(str::to_owned) }
                .differs("`c`", "(e)")
        };
        assert_eq!(
            differs("int unsigned", None),
            "NOT (`c` <=> CAST((e) AS UNSIGNED)) AND NOT (`c` <=> CAST(ROUND((e)) AS UNSIGNED))"
        );
        assert_eq!(
            differs("decimal(5,2) unsigned zerofill", None),
            "NOT (`c` <=> CAST((e) AS decimal(5,2)))"
        );
        assert_eq!(differs("datetime(3)", None), "NOT (`c` <=> CAST((e) AS DATETIME(3)))");
        assert_eq!(differs("binary(16)", None), "NOT (`c` <=> CAST((e) AS BINARY(16)))");
        assert_eq!(
            differs("char(9)", Some("latin1")),
            "NOT (CAST(RTRIM(LEFT(`c`, 9)) AS BINARY) <=> CAST(RTRIM(LEFT(CONVERT((e) USING latin1), 9)) AS BINARY))"
        );
        assert_eq!(differs("enum('a')", Some("latin1")), "NOT (`c` <=> (e))");
    }
}
