// SPDX-License-Identifier: GPL-2.0-or-later
//! Full-text indexes of a table that is rewritten online: the server rebuilds no table that has one, so they are dropped before
//! and added again afterwards. Until then their definitions are those of an empty table like it in a schema of this program, so that
//! a run that is killed loses none.

use super::log::in_binary_log;
use super::statements::LONG_ROWS;
use crate::commands::encrypt::job::{Job, Step};
use crate::error::{Error, Result, ServerError};
use crate::server::{
    KEPT_INDEXES as SCHEMA, NO_SUCH_TABLE, ScratchName, Session, Table, TableLocation, quoted, quoted_text,
};

use std::time::Duration;
/// MySQL's errors for an index that a table's columns do not allow: one is missing, has no characters, is generated, or there is
/// no such parser.
const UNSUITED: [u16; 4] = [1072, 1283, 3106, 1128];

/// A table's full-text index.
struct Index {
    name: String,
    /// As SHOW CREATE TABLE has it: ``FULLTEXT KEY `notes` (`notes`)``.
    definition: String,
}

/// Drops the full-text indexes of a table.
///
/// # Errors
/// What the server answers; then they are added again by [`restore`].
pub(super) fn drop_indexes(job: &mut Job<'_>, table: &Table, name: &ScratchName) -> Result<Step> {
    // An earlier run was killed.
    restore(job, table)?;
    job.work.run(&format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))?;
    let saving = format!("CREATE TABLE {} LIKE {}", saved_table(name), table.quoted());
    match job.work.run(&saving) {
        // Rows of the table may be longer than strict mode allows. This one stays empty.
        Err(Error::Server(ServerError { code: LONG_ROWS, .. })) if !job.is_repeated => {
            job.work.run("SET SESSION innodb_strict_mode = OFF")?;
            job.work.run(&saving)?;
        }
        ended => ended?,
    }
    let what = format!("the full-text indexes of {}", table.full_name());
    // One by one: of several that one statement drops, the server leaves tables of the index behind.
    for index in indexes(&mut job.watch, &table.quoted(), &table.schema, &table.name)? {
        let statement = format!(
            "ALTER TABLE {} DROP INDEX {}, ALGORITHM = INPLACE, LOCK = NONE",
            table.quoted(),
            quoted(&index.name)
        );
        if let Step::Stopped = carry_out(job, &what, &statement)? {
            return Ok(Step::Stopped);
        }
    }
    Ok(Step::Done)
}

/// Adds a table's full-text indexes again that were dropped, one by one, as the server builds them.
///
/// # Errors
/// What the server answers. The definitions are kept.
pub(in crate::commands::encrypt) fn restore(job: &mut Job<'_>, table: &Table) -> Result<Step> {
    for name in saved(&mut job.watch)?.into_iter().filter(|name| name.is_for(&table.schema, &table.name)) {
        let ended = in_binary_log(job, &name, |job| add(job, table, &name));
        if !matches!(ended, Ok(Step::Done)) {
            return ended;
        }
    }
    Ok(Step::Done)
}

/// Adds what earlier runs have dropped, of the tables that `is_asked_for`. What cannot be added is recorded as failed.
///
/// # Errors
/// The connection is lost.
pub(in crate::commands::encrypt) fn restore_all(
    job: &mut Job<'_>,
    is_asked_for: &dyn Fn(&ScratchName) -> bool,
) -> Result<Step> {
    let saved: Vec<_> = saved(&mut job.watch)?.into_iter().filter(is_asked_for).collect();
    if saved.is_empty() {
        return Ok(Step::Done);
    }
    let tables: Vec<(String, String)> = job.watch.rows(&format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES
         WHERE ENGINE = 'InnoDB' AND TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA <> '{SCHEMA}'"
    ))?;
    for name in saved {
        let Some((schema, table)) = tables.iter().find(|(schema, table)| name.is_for(schema, table)) else {
            job.record_failed(&format!("full-text indexes in {SCHEMA}.{name}"), &without_table(&name));
            continue;
        };
        let table = Table {
            schema: schema.clone(),
            name: table.clone(),
            place: TableLocation::Own,
            bytes: 0,
            parts: Vec::new(),
        };
        match restore(job, &table) {
            Ok(Step::Done) => {
                let what = format!("full-text indexes of {} added again", table.full_name());
                job.record_done(&what, 0, Duration::ZERO);
            }
            Ok(Step::Stopped) => return Ok(Step::Stopped),
            Err(e) => job.note_failure(&table.full_name(), e)?,
        }
    }
    Ok(Step::Done)
}

/// Returns the tables that keep definitions.
///
/// # Errors
/// What the server answers.
pub(in crate::commands::encrypt) fn saved(session: &mut Session) -> Result<Vec<ScratchName>> {
    let names: Vec<String> = session.rows(&format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{SCHEMA}' ORDER BY 1"
    ))?;
    Ok(names.iter().filter_map(|name| ScratchName::parse(name)).collect())
}

/// What is to be done about definitions whose table is not found.
pub(in crate::commands::encrypt) fn without_table(name: &ScratchName) -> String {
    format!(
        "their table is gone, or has got another name. Add those that SHOW CREATE TABLE {} shows to it, if it is still there. Then run {}",
        saved_table(name),
        given_up(name)
    )
}

/// The statement that gives kept definitions up.
fn given_up(name: &ScratchName) -> String {
    format!("DROP TABLE {}", saved_table(name))
}

fn saved_table(name: &ScratchName) -> String {
    format!("{SCHEMA}.{}", name.quoted())
}

/// Adds the indexes that a table lacks, and drops the table that kept their definitions.
fn add(job: &mut Job<'_>, table: &Table, name: &ScratchName) -> Result<Step> {
    let wanted = indexes(&mut job.watch, &saved_table(name), SCHEMA, name.as_str())?;
    let present = indexes(&mut job.watch, &table.quoted(), &table.schema, &table.name)?;
    let what = format!("the full-text indexes of {}", table.full_name());
    let mut refused: Option<(ServerError, Vec<&str>)> = None;
    for index in wanted.iter().filter(|index| !present.iter().any(|other| other.name == index.name)) {
        let statement = format!(
            "ALTER TABLE {} ADD {}, ALGORITHM = INPLACE, LOCK = SHARED",
            table.quoted(),
            index.definition
        );
        let ended = match carry_out(job, &what, &statement) {
            // A column of it is gone, or has another type. The others are added.
            Err(Error::Server(e)) if UNSUITED.contains(&e.code) => {
                refused.get_or_insert((e, Vec::new())).1.push(&index.definition);
                continue;
            }
            ended => ended?,
        };
        if let Step::Stopped = ended {
            job.print_line(format_args!(
                "LEFT    {}: it lacks full-text indexes, and MATCH fails: run this again to continue",
                table.full_name()
            ));
            return Ok(Step::Stopped);
        }
    }
    if let Some((e, definitions)) = refused {
        let why = format!(
            "{}. The table was changed meanwhile, so that these full-text indexes cannot be added again: {}. Add those that you need in another form. Then, to give these up: {}",
            e.why,
            definitions.join(", "),
            given_up(name)
        );
        return Err(Error::Server(ServerError { why, ..e }));
    }
    job.work.run(&format!("DROP TABLE {}", saved_table(name)))?;
    // Of another table, if this fails.
    if saved(&mut job.watch)?.is_empty() {
        job.work.run(&format!("DROP SCHEMA {SCHEMA}"))?;
    }
    Ok(Step::Done)
}

fn carry_out(job: &mut Job<'_>, what: &str, statement: &str) -> Result<Step> {
    let mut attempt = 1;
    loop {
        match job.carry_out(what, statement, 0) {
            Err(e) if job.should_retry(&e, &mut attempt) => {}
            ended => return ended,
        }
    }
}

/// Returns the full-text indexes of a table, in the order of its definition.
fn indexes(session: &mut Session, quoted_table: &str, schema: &str, table: &str) -> Result<Vec<Index>> {
    let names: Vec<String> = session.rows(&format!(
        "SELECT DISTINCT INDEX_NAME FROM information_schema.STATISTICS
         WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} AND INDEX_TYPE = 'FULLTEXT'",
        quoted_text(schema),
        quoted_text(table)
    ))?;
    let query = format!("SHOW CREATE TABLE {quoted_table}");
    let shown = match session.columns::<String>(&query, &["Create Table"]) {
        Err(Error::Server(ServerError { code: NO_SUCH_TABLE, .. })) => Vec::new(),
        shown => shown?,
    };
    let text = shown.into_iter().flatten().flatten().next().unwrap_or_default();
    Ok(in_definition(&text, &names))
}

fn in_definition(text: &str, names: &[String]) -> Vec<Index> {
    let of_line = |line: &str| {
        let definition = line.strip_prefix("  ")?;
        let name = names.iter().find(|name| {
            definition
                .strip_prefix("FULLTEXT KEY ")
                .is_some_and(|rest| rest.starts_with(&format!("{} (", quoted(name))))
        })?;
        let definition = definition.trim_end().trim_end_matches(',').trim_end().to_owned();
        Some(Index { name: name.clone(), definition })
    };
    text.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_of_full_text_indexes_are_taken_from_that_of_the_table() {
        let text = "CREATE TABLE `t` (\n  `FULLTEXT KEY` text COMMENT 'FULLTEXT KEY `a` (`b`)',\n  KEY `k` (`b`),\n  FULLTEXT KEY `a` (`b`),\n  FULLTEXT KEY `a``c` (`b`,`c`) COMMENT 'x, y' /*!50100 WITH PARSER `ngram` */ \n) ENGINE=InnoDB";
        let names = ["a".to_owned(), "a`c".to_owned()];
        let found = in_definition(text, &names);
        let found: Vec<_> = found.iter().map(|i| (i.name.as_str(), i.definition.as_str())).collect();
        assert_eq!(
            found,
            [
                ("a", "FULLTEXT KEY `a` (`b`)"),
                ("a`c", "FULLTEXT KEY `a``c` (`b`,`c`) COMMENT 'x, y' /*!50100 WITH PARSER `ngram` */")
            ]
        );
    }
}
