// SPDX-License-Identifier: GPL-2.0-or-later
//! Tables and where their rows are.

use crate::error::Result;
use crate::server::{Session, full_name, quoted};
use serde::Serialize;

/// Where a table's rows are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableLocation {
    /// In its own tablespaces: one, or one for each partition.
    Own,
    /// In a general tablespace of that name.
    General(String),
    /// In InnoDB's system tablespace, `ibdata1`.
    System,
    /// In the tablespace `mysql`, with the data dictionary.
    Dictionary,
    /// In files of another engine.
    Engine(String),
}

/// A table.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Where its rows are.
    pub place: TableLocation,
    /// Bytes of its own files; for a table in a shared tablespace, the server's estimate.
    pub bytes: u64,
    /// How many files of its own it has.
    pub files: u32,
    /// How many of those are encrypted.
    pub encrypted_files: u32,
    /// Whether its tablespace was discarded, so that there is nothing to encrypt.
    pub discarded: bool,
}

impl Table {
    /// `schema.table`, as it is shown, and as `--only` takes it.
    pub fn full_name(&self) -> String {
        full_name(&self.schema, &self.name)
    }

    /// `` `schema`.`table` ``, for statements.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// Whether all of its own files are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.files > 0 && self.files == self.encrypted_files
    }

    /// Whether it has its own files and they are not all encrypted.
    pub fn is_own_and_clear(&self) -> bool {
        self.place == TableLocation::Own && !self.discarded && !self.is_encrypted()
    }
}

/// A reference from one table to another.
#[derive(Clone, Debug, Serialize)]
pub struct ForeignKey {
    /// The table with the foreign key.
    pub child: (String, String),
    /// The table that it refers to.
    pub parent: (String, String),
}

impl ForeignKey {
    /// Whether it begins or ends at that table.
    pub fn joins(&self, schema: &str, table: &str) -> bool {
        [&self.child, &self.parent].iter().any(|(s, t)| s == schema && t == table)
    }
}

/// Returns all base tables that are on disk. InnoDB's have [`TableLocation::Own`] until more is known.
pub(super) fn all(session: &mut Session) -> Result<(Vec<Table>, Vec<ForeignKey>)> {
    let rows: Vec<(String, String, Option<String>, Option<u64>)> = session.rows(
        "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, DATA_LENGTH + INDEX_LENGTH FROM information_schema.TABLES
         WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema')
         ORDER BY TABLE_SCHEMA, TABLE_NAME",
    )?;
    let tables = rows.into_iter().map(|(schema, name, engine, bytes)| {
        let engine = engine.unwrap_or_else(|| "none".to_owned());
        Table {
            schema,
            name,
            place: if engine == "InnoDB" { TableLocation::Own } else { TableLocation::Engine(engine) },
            bytes: bytes.unwrap_or(0),
            files: 0,
            encrypted_files: 0,
            discarded: false,
        }
    });
    let tables = tables.collect();
    let keys: Vec<(String, String, String, String)> = session.rows(
        "SELECT DISTINCT CONSTRAINT_SCHEMA, TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME
         FROM information_schema.REFERENTIAL_CONSTRAINTS",
    )?;
    let keys = keys.into_iter().map(|(schema, table, parent_schema, parent)| ForeignKey {
        child: (schema, table),
        parent: (parent_schema, parent),
    });
    Ok((tables, keys.collect()))
}

/// Finds the tablespaces of tables that do not have their own.
pub(super) fn find_places(session: &mut Session, tables: &mut [Table]) -> Result<()> {
    for table in tables.iter_mut().filter(|t| t.place == TableLocation::Own && t.files == 0 && !t.discarded) {
        if table.schema == "mysql" {
            table.place = TableLocation::Dictionary;
            continue;
        }
        let query = format!("SHOW CREATE TABLE {}", table.quoted());
        let shown = session.columns::<String>(&query, &["Create Table"])?;
        let shown = shown.into_iter().flatten().flatten().next().unwrap_or_default();
        table.place = match tablespace_of(&shown) {
            Some(name) if name != "innodb_system" => TableLocation::General(name),
            // Tables created with innodb_file_per_table = OFF name none.
            _ => TableLocation::System,
        };
    }
    Ok(())
}

/// Returns the tablespace that the server's CREATE TABLE statement names in a comment after the columns.
fn tablespace_of(statement: &str) -> Option<String> {
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
