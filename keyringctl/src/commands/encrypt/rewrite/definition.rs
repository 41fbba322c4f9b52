// SPDX-License-Identifier: GPL-2.0-or-later
//! A table's definition and the places of its files, so that a rewrite can be compared with what was there before.

use super::clauses::{self, Clauses};
use crate::commands::encrypt::direction::Direction;
use crate::error::Result;
use crate::server::{Session, Table, quoted_text, tablespace_of};
use crate::show::Shown;
use std::path::PathBuf;

/// The bit of a tablespace's flags that means that it is encrypted.
const ENCRYPTED: u64 = 1 << 13;
/// A table as the server describes it.
pub(crate) struct Definition {
    /// SHOW CREATE TABLE, with all that it can show.
    pub text: String,
    /// The files of the table and of its partitions.
    pub files: Vec<File>,
}

/// A tablespace of a table or partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct File {
    /// The tablespace's name.
    pub space: String,
    pub path: PathBuf,
    pub encrypted: bool,
    /// Its other flags: row format, page size, whether it lies outside of the data directory.
    flags: u64,
}

impl Definition {
    /// Asks the server.
    ///
    /// # Errors
    /// What the server answers: the table is gone, for example.
    pub(crate) fn query(session: &mut Session, table: &Table) -> Result<Definition> {
        // Shows also a row format that the definition does not name.
        session.run("SET SESSION show_create_table_verbosity = ON")?;
        let query = format!("SHOW CREATE TABLE {}", table.quoted());
        let shown = session.columns::<String>(&query, &["Create Table"]);
        session.run("SET SESSION show_create_table_verbosity = OFF")?;
        let shown = shown?;
        let text = shown.into_iter().flatten().flatten().next().unwrap_or_default();
        let names: Vec<String> = space_names(session, table)?.iter().map(|name| quoted_text(name)).collect();
        // A view that finds them by an index, unlike INNODB_TABLESPACES.
        let rows: Vec<(String, String, u64)> = session.rows(&format!(
            "SELECT NAME, PATH, CAST(FLAG AS UNSIGNED) FROM information_schema.INNODB_TABLESPACES_BRIEF
             WHERE NAME IN ({}) ORDER BY NAME",
            names.join(", ")
        ))?;
        let files = rows.into_iter().map(|(space, path, flags)| File {
            space,
            path: PathBuf::from(path),
            encrypted: flags & ENCRYPTED != 0,
            flags: flags & !ENCRYPTED,
        });
        Ok(Definition { text, files: files.collect() })
    }

    /// Whether all of the table's files are as they are to be.
    pub(crate) fn has_reached(&self, direction: Direction) -> bool {
        !self.files.is_empty() && self.files.iter().all(|file| direction.is_reached(file.encrypted))
    }

    /// Returns what differs `after` a rewrite that may change the encryption, and the clauses in `announced`. Empty: nothing.
    pub(crate) fn changes(&self, after: &Definition, announced: &[&str]) -> Vec<String> {
        let (old, new) = (Clauses::of(&self.text), Clauses::of(&after.text));
        let mut changes = old.changes(&new, announced);
        // A table that was in the system tablespace has no file before.
        for file in &self.files {
            let Some(now) = after.files.iter().find(|f| f.space == file.space) else {
                changes.push(format!("the tablespace {} is gone", file.space));
                continue;
            };
            if now.path != file.path {
                changes.push(format!("{} is now {}", file.path.shown(), now.path.shown()));
            } else if now.flags != file.flags {
                changes.push(format!("the row format or page size of {} changed", file.path.shown()));
            }
        }
        changes
    }

    /// The directories outside of the data directory that the table's files are in, as DATA DIRECTORY names them.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let outside = self.files.iter().filter(|file| file.path.is_absolute());
        // DATA DIRECTORY/schema/table.ibd
        let mut found: Vec<PathBuf> =
            outside.filter_map(|file| Some(file.path.parent()?.parent()?.to_owned())).collect();
        found.sort();
        found.dedup();
        found
    }

    /// The row format that the table has, if the server tells.
    pub(crate) fn row_format(&self) -> Option<String> {
        let format = clauses::unquoted(&self.text)
            .find_map(|part| part.split_once(" ROW_FORMAT="))
            .map(|(_, format)| format)?;
        Some(format.chars().take_while(char::is_ascii_alphanumeric).collect())
    }

    /// The tablespace that the definition names.
    pub(crate) fn tablespace(&self) -> Option<String> {
        tablespace_of(&self.text)
    }

    /// Whether the definition has a clause outside of quotes that begins in this way.
    pub(crate) fn has(&self, clause: &str) -> bool {
        clauses::unquoted(&self.text).any(|part| part.contains(clause))
    }
}

/// The names that the tablespaces of a table can have: older servers write `#P#` and the partition's name as it was given.
fn space_names(session: &mut Session, table: &Table) -> Result<Vec<String>> {
    let name = format!("{}/{}", table.schema, table.name);
    let rows: Vec<(Option<String>, Option<String>)> = session.rows(&format!(
        "SELECT PARTITION_NAME, SUBPARTITION_NAME FROM information_schema.PARTITIONS
         WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        quoted_text(&table.schema),
        quoted_text(&table.name)
    ))?;
    let mut names = vec![name.clone()];
    for (partition, sub) in rows {
        let Some(partition) = partition else { continue };
        let older = match &sub {
            Some(sub) => format!("{name}#P#{partition}#SP#{sub}"),
            None => format!("{name}#P#{partition}"),
        };
        let part = older.get(name.len()..).unwrap_or_default().to_lowercase();
        names.extend([format!("{name}{part}"), older]);
    }
    Ok(names)
}
