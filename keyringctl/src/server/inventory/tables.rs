// SPDX-License-Identifier: GPL-2.0-or-later
//! All tables: those that the server shows to this account, and those that InnoDB has.

use super::innodb::{Innodb, Rest};
use super::scratch;
use super::spaces::{Fault, Tablespace};
use super::table::{Part, PartPlace, Table, TableLocation};
use crate::error::{Error, Result};
use crate::server::{Session, quoted_text};
use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::Duration;

/// Asks again this many times for what may be so for a moment only.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(200);
/// How many tables one query is about.
const CHUNK: usize = 200;

/// Tables and tablespaces.
pub(super) struct Stored {
    /// All base tables that are on disk.
    pub tables: Vec<Table>,
    /// All tablespaces except those of single tables.
    pub tablespaces: Vec<Tablespace>,
    /// Whether the server reports a tablespace as encrypted, by its name; those of single tables too.
    pub reported: BTreeMap<String, bool>,
}

/// Asks the server for them.
pub(super) fn all(session: &mut Session) -> Result<Stored> {
    let mut attempt = 1;
    let (mut stored, unlisted) = loop {
        let shown = shown(session)?;
        let innodb = Innodb::query(session)?;
        let changing = innodb.may_be_changing();
        let unlisted = innodb.unlisted().map(str::to_owned);
        let stored = join(shown, innodb);
        let unknown = |table: &Table| matches!(table.place, TableLocation::Unknown(_));
        if attempt == ATTEMPTS || unlisted.is_some() || !changing && !stored.tables.iter().any(unknown) {
            break (stored, unlisted);
        }
        attempt += 1;
        thread::sleep(PAUSE);
    };
    for table in stored.tables.iter_mut().filter(|table| matches!(table.place, TableLocation::Unknown(_))) {
        ask_for_place(session, table, unlisted.is_some())?;
    }
    if let Some(why) = unlisted {
        count_partitions(session, &mut stored.tables, &why)?;
    }
    scratch::mark(&mut stored.tables, &mut stored.tablespaces);
    add_estimates(session, &mut stored.tables)?;
    Ok(stored)
}

/// A table that the server shows to this account.
struct Shown {
    schema: String,
    name: String,
    engine: String,
    /// Unknown for InnoDB: the server would open the table to find out.
    bytes: Option<u64>,
}

fn shown(session: &mut Session) -> Result<Vec<Shown>> {
    let rows: Vec<(String, String, Option<String>, Option<u64>)> = session.rows(
        "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, IF(ENGINE = 'InnoDB', NULL, DATA_LENGTH + INDEX_LENGTH)
         FROM information_schema.TABLES
         WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema')",
    )?;
    Ok(rows
        .into_iter()
        .map(|(schema, name, engine, bytes)| {
            let engine = engine.unwrap_or_else(|| "none".to_owned());
            Shown { schema, name, engine, bytes }
        })
        .collect())
}

/// Brings together what the server shows to this account and what InnoDB has.
fn join(shown: Vec<Shown>, mut innodb: Innodb) -> Stored {
    let mut tables = Vec::new();
    for Shown { schema, name, engine, bytes } in shown {
        if engine != "InnoDB" {
            let place = TableLocation::Engine(engine);
            tables.push(Table { schema, name, place, bytes: bytes.unwrap_or(0), parts: Vec::new() });
            continue;
        }
        let parts = innodb.take(&schema, &name);
        tables.push(Table::of_innodb(schema, name, parts));
    }
    // This account may not see the others.
    let Rest { tables: hidden, tablespaces, reported } = innodb.rest();
    tables.extend(hidden.into_iter().map(|((schema, name), parts)| Table::of_innodb(schema, name, parts)));
    tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    Stored { tables, tablespaces, reported }
}

/// Marks tables with partitions that are not known, because INNODB_TABLES does not list those in shared tablespaces.
fn count_partitions(session: &mut Session, tables: &mut [Table], why: &str) -> Result<()> {
    let rows: Vec<(String, String, usize)> = session.rows(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COUNT(*) FROM information_schema.PARTITIONS
         WHERE PARTITION_NAME IS NOT NULL GROUP BY TABLE_SCHEMA, TABLE_NAME",
    )?;
    for (schema, name, count) in rows {
        let table = tables.iter_mut().find(|t| t.schema == schema && t.name == name && t.parts.len() < count);
        if let Some(table) = table {
            let missing = count - table.parts.len();
            let fault =
                Fault::Unlisted(format!("the server does not list {missing} of its partitions: {why}"));
            table.parts.push(Part { name: None, place: PartPlace::Faulty(fault), bytes: 0 });
        }
    }
    Ok(())
}

/// Adds the server's estimates for what tables have in shared tablespaces.
fn add_estimates(session: &mut Session, tables: &mut [Table]) -> Result<()> {
    let shared = |table: &&mut Table| {
        matches!(table.place, TableLocation::System | TableLocation::General(_) | TableLocation::Scratch(_))
            && table.fault().is_none()
    };
    let mut shared: Vec<_> = tables.iter_mut().filter(shared).collect();
    for some in shared.chunks_mut(CHUNK) {
        let names: Vec<_> = some
            .iter()
            .map(|table| format!("({}, {})", quoted_text(&table.schema), quoted_text(&table.name)))
            .collect();
        let query = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, IFNULL(DATA_LENGTH + INDEX_LENGTH, 0) FROM information_schema.TABLES
             WHERE (TABLE_SCHEMA, TABLE_NAME) IN ({})",
            names.join(", ")
        );
        let sizes: Vec<(String, String, u64)> = session.rows(&query)?;
        let sizes: HashMap<_, _> =
            sizes.into_iter().map(|(schema, name, bytes)| ((schema, name), bytes)).collect();
        for table in some {
            let estimate = sizes.get(&(table.schema.clone(), table.name.clone()));
            table.bytes = table.bytes.saturating_add(estimate.copied().unwrap_or(0));
        }
    }
    Ok(())
}

/// Finds the tablespace of a table without one of its own by its definition. `unlisted`: InnoDB's list could not be read.
fn ask_for_place(session: &mut Session, table: &mut Table, unlisted: bool) -> Result<()> {
    let query = format!("SHOW CREATE TABLE {}", table.quoted());
    let shown = match session.columns::<String>(&query, &["Create Table"]) {
        Ok(shown) => shown.into_iter().flatten().flatten().next().unwrap_or_default(),
        Err(Error::Server(e)) if e.code != 0 => {
            table.place = TableLocation::Unknown(e.why);
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    match tablespace_of(&shown) {
        Some(name) if name == "innodb_system" => table.place = TableLocation::System,
        Some(name) if name == "mysql" => table.place = TableLocation::Dictionary,
        Some(name) if name != "innodb_file_per_table" => table.place = TableLocation::General(name),
        // Tables created with innodb_file_per_table = OFF name none.
        _ if unlisted => table.place = TableLocation::System,
        _ => {}
    }
    Ok(())
}

/// Returns the tablespace that the server's CREATE TABLE statement names in a comment after the columns.
pub fn tablespace_of(statement: &str) -> Option<String> {
    let (_, options) = statement.rsplit_once("\n)")?;
    let (_, name) = options.split_once(" TABLESPACE `")?;
    let mut out = String::new();
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '`' && chars.next_if_eq(&'`').is_none() {
            return Some(out);
        }
        out.push(c);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tablespace_is_found_in_a_create_table_statement() {
        let statement = |options: &str| format!("CREATE TABLE `t` (\n  `a TABLESPACE `` x` int\n){options}");
        let found = tablespace_of(&statement(" /*!50100 TABLESPACE `a``b` */ ENGINE=InnoDB"));
        assert_eq!(found.as_deref(), Some("a`b"));
        assert_eq!(tablespace_of(&statement(" ENGINE=InnoDB COMMENT='x'")), None);
    }
}
