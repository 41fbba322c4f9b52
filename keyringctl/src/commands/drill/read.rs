// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads every table of a server: CHECK TABLE looks at all indexes, CHECKSUM TABLE reads all columns of all rows.

use super::progress::{Progress, Unit};
use crate::error::{Error, Result, ServerError};
use crate::server::{Session, full_name, quoted};

/// The server's own schemas that hold no data, and the log tables.
const TABLES: &str = "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES \
    WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema') \
    AND NOT (TABLE_SCHEMA = 'mysql' AND TABLE_NAME IN ('general_log', 'slow_log')) ORDER BY TABLE_SCHEMA, TABLE_NAME";
/// Schemas whose tables belong to the server.
const SYSTEM: [&str; 2] = ["mysql", "sys"];
/// An engine whose tables hold nothing themselves.
const ELSEWHERE: &str = "FEDERATED";

/// A table of a server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct TableName {
    pub schema: String,
    pub name: String,
    engine: String,
}

/// What was read of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TableSum {
    pub rows: u64,
    /// `None` if the engine has none.
    pub checksum: Option<u64>,
}

/// What became of reading a table.
pub(super) enum TableRead {
    Sum(TableSum),
    Failed(String),
    /// The connection was lost.
    Lost,
}

impl TableName {
    pub(super) fn shown(&self) -> String {
        full_name(&self.schema, &self.name)
    }

    /// Whether it belongs to the server itself.
    pub(super) fn is_system(&self) -> bool {
        SYSTEM.contains(&self.schema.as_str())
    }

    /// Whether reads within a transaction see one moment of it.
    pub(super) fn is_transactional(&self) -> bool {
        self.engine.eq_ignore_ascii_case("InnoDB")
    }

    fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

/// All tables that hold data.
pub(super) fn tables(session: &mut Session) -> Result<Vec<TableName>> {
    let rows = session.rows::<(String, String, Option<String>)>(TABLES)?;
    let names = rows.into_iter().map(|(schema, name, engine)| TableName {
        schema,
        name,
        engine: engine.unwrap_or_default(),
    });
    Ok(names.filter(|table| !table.engine.eq_ignore_ascii_case(ELSEWHERE)).collect())
}

/// Begins to tell how many tables are read.
pub(super) fn progress(tables: &[TableName]) -> Progress {
    Progress::begin("reading the tables", tables.len() as u64, Unit::Things)
}

/// Checks a table, and reads it.
pub(super) fn check_and_sum(session: &mut Session, table: &TableName) -> TableRead {
    match checked(session, table) {
        Ok(None) => read(session, table),
        Ok(Some(reason)) => TableRead::Failed(reason),
        Err(e) => failed(&e),
    }
}

/// Reads a table.
pub(super) fn read(session: &mut Session, table: &TableName) -> TableRead {
    match sum(session, table) {
        Ok(Ok(sum)) => TableRead::Sum(sum),
        Ok(Err(reason)) => TableRead::Failed(reason),
        Err(e) => failed(&e),
    }
}

fn failed(e: &Error) -> TableRead {
    match e {
        Error::Server(ServerError { silent: true, .. }) => TableRead::Lost,
        Error::Server(ServerError { why, .. }) => TableRead::Failed(why.clone()),
        e => TableRead::Failed(e.to_string()),
    }
}

/// Returns what CHECK TABLE finds wrong.
fn checked(session: &mut Session, table: &TableName) -> Result<Option<String>> {
    let rows =
        session.columns::<String>(&format!("CHECK TABLE {}", table.quoted()), &["Msg_type", "Msg_text"])?;
    let mut found: Vec<String> = Vec::new();
    let mut is_wrong = false;
    for row in rows {
        let [kind, text] =
            <[Option<String>; 2]>::try_from(row).unwrap_or_default().map(Option::unwrap_or_default);
        let is_fine = kind.eq_ignore_ascii_case("note")
            || (kind.eq_ignore_ascii_case("status")
                && ["OK", "Table is already up to date"].contains(&text.as_str()));
        is_wrong |= kind.eq_ignore_ascii_case("error");
        if !is_fine && !found.contains(&text) {
            found.push(text);
        }
    }
    Ok(is_wrong.then(|| format!("CHECK TABLE: {}", found.join("; "))))
}

/// Counts the rows, and reads all of them.
fn sum(session: &mut Session, table: &TableName) -> Result<std::result::Result<TableSum, String>> {
    let checksum =
        session.columns::<u64>(&format!("CHECKSUM TABLE {} EXTENDED", table.quoted()), &["Checksum"])?;
    let checksum = checksum.into_iter().flatten().next().flatten();
    if checksum.is_none() {
        let warnings = session.columns::<String>("SHOW WARNINGS", &["Message"])?;
        if let Some(why) = warnings.into_iter().flatten().flatten().next() {
            return Ok(Err(format!("CHECKSUM TABLE: {why}")));
        }
    }
    let rows = session.first::<u64>(&format!("SELECT COUNT(*) FROM {}", table.quoted()))?;
    Ok(Ok(TableSum { rows: rows.unwrap_or_default(), checksum }))
}

#[cfg(test)]
pub(super) fn named(schema: &str, name: &str) -> TableName {
    TableName { schema: schema.to_owned(), name: name.to_owned(), engine: "InnoDB".to_owned() }
}
