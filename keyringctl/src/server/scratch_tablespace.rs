// SPDX-License-Identifier: GPL-2.0-or-later
//! Scratch tablespaces: general tablespaces that `encrypt apply` creates to encrypt or decrypt a table while it is in use. The
//! table moves into one, the server encrypts or decrypts that in place, and the table moves out again. How far a table is on
//! this way is nowhere but in the server: whether the scratch tablespace exists, whether it is encrypted, and what is in it.

use super::inventory::{may_be_file_of, tablespace_of};
use super::names::quoted;
use super::scratch_name::{SCRATCH, ScratchName};
use super::session::Session;
use crate::error::{Error, Result};
use serde::Serialize;

/// The bit of a tablespace's flags for encryption. Some servers have no column for it.
const ENCRYPTED_FLAG: u64 = 1 << 13;
/// Seconds that the list of tables waits for a table that is locked.
const LOCK_WAIT: u64 = 3;

/// A scratch tablespace, as the server reports it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ScratchTablespace {
    /// Its name.
    pub name: ScratchName,
    /// Whether the server reports it as encrypted.
    pub encrypted: bool,
    /// The size of its file.
    pub bytes: u64,
    /// The AUTOEXTEND_SIZE of the table that it was created for.
    pub autoextend_size: u64,
    /// Schema and name of each table in it: one, or none; more if somebody created some like it, which the server puts there too.
    pub tables: Vec<(String, String)>,
    /// What else is in it, as InnoDB names it: a table that nobody sees, or what a statement creates while it rebuilds one.
    pub others: Vec<String>,
}

impl ScratchTablespace {
    /// Returns all scratch tablespaces of a server, with what is in them.
    ///
    /// # Errors
    /// What the server answers.
    pub fn all(session: &mut Session) -> Result<Vec<ScratchTablespace>> {
        let mut found = query(session, &format!("NAME LIKE '{}%'", SCRATCH.replace('_', "\\_")))?;
        find_tables(session, &mut found)?;
        Ok(found.into_iter().map(|(_, scratch)| scratch).collect())
    }

    /// Returns one of them, with what is in it. `None`: it does not exist.
    ///
    /// # Errors
    /// What the server answers.
    pub fn find(session: &mut Session, name: &ScratchName) -> Result<Option<ScratchTablespace>> {
        let mut found = query(session, &named(name))?;
        find_tables(session, &mut found)?;
        Ok(found.pop().map(|(_, scratch)| scratch))
    }

    /// Returns one of them, without what is in it: that is quick on a server with many tables.
    ///
    /// # Errors
    /// What the server answers.
    pub fn look(session: &mut Session, name: &ScratchName) -> Result<Option<ScratchTablespace>> {
        Ok(query(session, &named(name))?.pop().map(|(_, scratch)| scratch))
    }

    /// Returns the name of one that was begun for a table in the same way, if there is one.
    ///
    /// # Errors
    /// What the server answers.
    pub fn begun_as(session: &mut Session, name: &ScratchName) -> Result<Option<ScratchName>> {
        let same = name.same_way().replace('_', "\\_");
        Ok(query(session, &format!("NAME LIKE '{same}%'"))?.pop().map(|(_, scratch)| scratch.name))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.others.is_empty()
    }
}

fn named(name: &ScratchName) -> String {
    format!("NAME = '{name}'")
}

/// Returns scratch tablespaces, each with its number, without what is in them.
fn query(session: &mut Session, condition: &str) -> Result<Vec<(u64, ScratchTablespace)>> {
    // Their columns differ between versions.
    let rows = session.columns::<String>(
        &format!("SELECT * FROM information_schema.INNODB_TABLESPACES WHERE {condition} ORDER BY NAME"),
        &["SPACE", "NAME", "FILE_SIZE", "FLAG", "AUTOEXTEND_SIZE", "ENCRYPTION"],
    )?;
    let of_row = |row: Vec<Option<String>>| {
        let [space, name, bytes, flags, autoextend_size, encryption]: [Option<String>; 6] =
            row.try_into().ok()?;
        let number = |text: Option<String>| text.and_then(|n| n.parse::<u64>().ok());
        let encrypted =
            encryption.map_or(number(flags).unwrap_or(0) & ENCRYPTED_FLAG != 0, |letter| letter == "Y");
        let scratch = ScratchTablespace {
            name: ScratchName::parse(&name?)?,
            encrypted,
            bytes: number(bytes).unwrap_or(0),
            autoextend_size: number(autoextend_size).unwrap_or(0),
            tables: Vec::new(),
            others: Vec::new(),
        };
        Some((number(space)?, scratch))
    };
    Ok(rows.into_iter().filter_map(of_row).collect())
}

/// Finds out what is in scratch tablespaces.
fn find_tables(session: &mut Session, found: &mut [(u64, ScratchTablespace)]) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let tables: Vec<(String, String)> = session.rows(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES
         WHERE ENGINE = 'InnoDB' AND TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA <> 'mysql'",
    )?;
    let Some(listed) = listed(session, found)? else {
        // A locked table stops the list. The table may have got another name, so that each has to be asked for.
        for (_, scratch) in found {
            for (schema, table) in &tables {
                if is_inside(session, &scratch.name, schema, table)? {
                    scratch.tables.push((schema.clone(), table.clone()));
                }
            }
        }
        return Ok(());
    };
    for (encoded, space) in listed {
        let Some((_, scratch)) = found.iter_mut().find(|(id, _)| *id == space) else { continue };
        let (directory, stem) = encoded.split_once('/').unwrap_or(("", &encoded));
        let candidates: Vec<_> =
            tables.iter().filter(|(s, t)| may_be_file_of(directory, stem, s, t)).cloned().collect();
        // Letters of a name that only the server can decode may be any.
        let mut inside = Vec::new();
        for (schema, table) in &candidates {
            if candidates.len() == 1 || is_inside(session, &scratch.name, schema, table)? {
                inside.push((schema.clone(), table.clone()));
            }
        }
        if inside.is_empty() {
            scratch.others.push(encoded);
        }
        scratch.tables.extend(inside);
        scratch.tables.sort();
        scratch.tables.dedup();
    }
    Ok(())
}

/// Returns the tables that InnoDB has in these tablespaces, as it names them. To do so it opens every table, and one that is
/// locked stops it: `None`.
fn listed(session: &mut Session, found: &[(u64, ScratchTablespace)]) -> Result<Option<Vec<(String, u64)>>> {
    let ids = found.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(", ");
    let limit: u64 = session.first("SELECT @@SESSION.lock_wait_timeout")?.unwrap_or(LOCK_WAIT);
    session.run(&format!("SET SESSION lock_wait_timeout = {}", LOCK_WAIT.min(limit)))?;
    let rows = session
        .rows(&format!("SELECT NAME, SPACE FROM information_schema.INNODB_TABLES WHERE SPACE IN ({ids})"));
    session.run(&format!("SET SESSION lock_wait_timeout = {limit}"))?;
    match rows {
        Ok(rows) => Ok(Some(rows)),
        Err(Error::Server(e)) if e.code != 0 => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether a table is in a scratch tablespace, by its definition. One that is gone is not.
fn is_inside(session: &mut Session, name: &ScratchName, schema: &str, table: &str) -> Result<bool> {
    let query = format!("SHOW CREATE TABLE {}.{}", quoted(schema), quoted(table));
    match session.columns::<String>(&query, &["Create Table"]) {
        Ok(shown) => {
            let shown = shown.into_iter().flatten().flatten().next().unwrap_or_default();
            Ok(tablespace_of(&shown).is_some_and(|space| space == name.as_str()))
        }
        Err(Error::Server(e)) if e.code != 0 => Ok(false),
        Err(e) => Err(e),
    }
}
