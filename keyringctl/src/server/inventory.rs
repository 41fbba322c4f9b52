// SPDX-License-Identifier: GPL-2.0-or-later
//! Everything where a server stores data, and whether it is encrypted, as the server reports it.

mod data_files;
mod directories;
mod file_names;
mod foreign_keys;
mod innodb;
mod merges;
mod scratch;
mod settings;
mod spaces;
mod table;
mod tables;

pub use directories::OutsideDirectories;
pub use file_names::{may_be_file_of, may_be_file_of_partition};
pub use foreign_keys::ForeignKey;
pub use merges::MergeTable;
pub use scratch::{AtWork, RUN_LOCK};
pub use settings::Settings;
pub use spaces::{Fault, Tablespace, TablespaceKind};
pub use table::{Part, PartPlace, Table, TableLocation};
pub use tables::tablespace_of;

use super::names::NameCase;
use super::older::{REPLICA_STATUS, REPLICAS, first_known, is_unknown};
use super::privileges::Privileges;
use super::role;
use super::session::Session;
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use tables::Stored;

/// What a server stores.
#[derive(Clone, Debug, Serialize)]
pub struct Inventory {
    /// The server.
    pub about: ServerIdentity,
    /// The settings that matter here.
    pub settings: Settings,
    /// Schemas and their defaults, without the server's own.
    pub schemas: Vec<Schema>,
    /// Tables, except those in the tablespace `mysql`.
    pub tables: Vec<Table>,
    /// The tables in the tablespace `mysql`, each with its schema.
    #[serde(skip)]
    pub in_mysql: Vec<(String, String)>,
    /// Tablespaces that do not belong to a single table.
    pub tablespaces: Vec<Tablespace>,
    /// Whether the server reports a tablespace as encrypted, by its name; those of single tables too.
    #[serde(skip)]
    pub reported: BTreeMap<String, bool>,
    /// Whether the server's log tables, `mysql.general_log` and `mysql.slow_log`, hold rows; without those that the account
    /// may not read.
    #[serde(skip)]
    pub log_tables: BTreeMap<String, bool>,
    /// What the account may see.
    #[serde(skip)]
    pub privileges: Privileges,
    /// A connection that may be rebuilding a table at the moment.
    #[serde(skip)]
    pub rebuilding: Option<u64>,
    /// Who is at work on scratch tablespaces, if there are any.
    #[serde(skip)]
    pub at_work: AtWork,
    /// MERGE tables, without those that cannot be read.
    #[serde(skip)]
    pub merges: Vec<MergeTable>,
    /// What comes before a statement that changes data and that the administrator runs by hand: on a server that gets changes
    /// from others, such a statement must not be in the binary log.
    #[serde(skip)]
    pub before_by_hand: &'static str,
    /// Files of tables outside of the data directory.
    #[serde(skip)]
    pub outside: OutsideDirectories,
    /// References between tables.
    pub foreign_keys: Vec<ForeignKey>,
    /// Binary logs, the oldest first.
    pub binary_logs: Vec<BinaryLog>,
    /// Bytes of relay logs, on a replica; 0 if not known.
    pub relay_log_bytes: Option<u64>,
    /// How many replicas are connected.
    pub replicas: usize,
}

/// The identity of a server.
#[derive(Clone, Debug, Serialize)]
pub struct ServerIdentity {
    /// Its version, as it reports it.
    pub version: String,
    /// Its UUID.
    pub uuid: String,
    /// The host it runs on.
    pub hostname: String,
    /// Its data directory.
    pub datadir: String,
}

/// A schema.
#[derive(Clone, Debug, Serialize)]
pub struct Schema {
    /// Its name.
    pub name: String,
    /// Whether its new tables are encrypted.
    pub default_encryption: bool,
}

/// A binary log file.
#[derive(Clone, Debug, Serialize)]
pub struct BinaryLog {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

impl Inventory {
    /// Asks the server.
    ///
    /// # Errors
    /// What the server answers, or what to grant to the account.
    pub fn query(session: &mut Session) -> Result<Inventory> {
        let privileges = Privileges::query(session)?;
        privileges.require()?;
        let settings = Settings::query(session)?;
        let Stored { tables, tablespaces, reported } = tables::all(session)?;
        let rebuilds = tablespaces.iter().any(|space| space.kind == TablespaceKind::Leftover);
        let has_scratch = tablespaces.iter().any(|space| space.kind == TablespaceKind::Scratch)
            || tables.iter().any(Table::keeps_indexes);
        // Those in the tablespace `mysql` are encrypted together with it.
        let (in_mysql, tables): (Vec<_>, Vec<_>) =
            tables.into_iter().partition(|t| t.place == TableLocation::Dictionary);
        let in_mysql = in_mysql.into_iter().map(|t| (t.schema, t.name)).collect();
        Ok(Inventory {
            about: about(session)?,
            schemas: schemas(session)?,
            binary_logs: if settings.is_on("log_bin") { BinaryLog::all(session)? } else { Vec::new() },
            relay_log_bytes: relay_log_bytes(session)?,
            replicas: first_known(&REPLICAS, |form| session.columns::<String>(form, &[]))?.len(),
            settings,
            merges: MergeTable::all(session, &tables)?,
            before_by_hand: role::before_by_hand(session)?,
            outside: OutsideDirectories::query(session)?,
            tables,
            in_mysql,
            tablespaces,
            reported,
            at_work: if has_scratch { AtWork::query(session)? } else { AtWork::default() },
            rebuilding: if rebuilds { rebuilding(session)? } else { None },
            foreign_keys: foreign_keys::all(session)?,
            log_tables: log_tables(session, &privileges)?,
            privileges,
        })
    }

    /// Returns whether the server distinguishes capital letters in names.
    pub fn name_case(&self) -> NameCase {
        NameCase::of(self.settings.get("lower_case_table_names"))
    }

    /// Returns what an administrator must grant to the account, as a statement.
    pub fn grant(&self) -> String {
        match self.privileges.grant() {
            grant if grant.is_empty() => grant,
            grant => format!("{}{grant}", self.before_by_hand),
        }
    }

    /// Returns how many of some tables have foreign keys, in either direction.
    pub fn related_among(&self, tables: &[&Table]) -> usize {
        tables.iter().filter(|t| self.related(&t.schema, &t.name) > 0).count()
    }

    /// Returns how many foreign keys begin or end at a table.
    pub fn related(&self, schema: &str, table: &str) -> usize {
        self.foreign_keys.iter().filter(|key| key.joins(schema, table)).count()
    }
}

/// Returns a connection that runs a statement which may rebuild a table.
fn rebuilding(session: &mut Session) -> Result<Option<u64>> {
    let own = session.id().to_string();
    let rows = session.columns::<String>("SHOW FULL PROCESSLIST", &["Id", "Info"])?;
    Ok(rows.into_iter().find_map(|row| {
        let [Some(id), Some(statement)] = &row[..] else { return None };
        let statement = statement.to_ascii_uppercase();
        let rebuilds = ["ALTER", "CREATE", "DROP", "OPTIMIZE", "REPAIR", "TRUNCATE"];
        let rebuilds = rebuilds.iter().any(|word| statement.contains(word));
        if *id != own && rebuilds { id.parse().ok() } else { None }
    }))
}

/// The server does not report the size of these CSV tables.
fn log_tables(session: &mut Session, privileges: &Privileges) -> Result<BTreeMap<String, bool>> {
    let mut holds_rows = BTreeMap::new();
    for table in
        ["mysql.general_log", "mysql.slow_log"].into_iter().filter(|table| privileges.can_read(table))
    {
        match session.first::<i32>(&format!("SELECT 1 FROM {table} LIMIT 1")) {
            Ok(row) => drop(holds_rows.insert(table.to_owned(), row.is_some())),
            // Damaged, or not there.
            Err(Error::Server(e)) if e.code != 0 => {}
            Err(e) => return Err(e),
        }
    }
    Ok(holds_rows)
}

fn about(session: &mut Session) -> Result<ServerIdentity> {
    let row = session.first("SELECT @@version, @@server_uuid, @@hostname, @@datadir")?;
    let (version, uuid, hostname, datadir) = row.unwrap_or_default();
    Ok(ServerIdentity { version, uuid, hostname, datadir })
}

fn schemas(session: &mut Session) -> Result<Vec<Schema>> {
    let rows: Result<Vec<(String, String)>> = session.rows(
        "SELECT SCHEMA_NAME, DEFAULT_ENCRYPTION FROM information_schema.SCHEMATA
         WHERE SCHEMA_NAME NOT IN ('information_schema', 'performance_schema', 'mysql') ORDER BY SCHEMA_NAME",
    );
    // Schemas have had a default since 8.0.16.
    let rows = if rows.as_ref().is_err_and(is_unknown) { Vec::new() } else { rows? };
    Ok(rows
        .into_iter()
        .map(|(name, encryption)| Schema { name, default_encryption: encryption == "YES" })
        .collect())
}

impl BinaryLog {
    /// Returns all binary logs of a server that writes some, the oldest first.
    ///
    /// # Errors
    /// What the server answers.
    pub fn all(session: &mut Session) -> Result<Vec<BinaryLog>> {
        let rows = session.columns::<String>("SHOW BINARY LOGS", &["Log_name", "File_size", "Encrypted"])?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let mut columns = row.into_iter();
                let (name, bytes, encrypted) = (columns.next()??, columns.next()??, columns.next()?);
                Some(BinaryLog {
                    name,
                    bytes: bytes.parse().unwrap_or(0),
                    encrypted: encrypted.is_some_and(|e| e == "Yes"),
                })
            })
            .collect())
    }
}

fn relay_log_bytes(session: &mut Session) -> Result<Option<u64>> {
    let rows = first_known(&REPLICA_STATUS, |form| session.columns::<String>(form, &["Relay_Log_Space"]))?;
    Ok(total(rows.into_iter().flatten().flatten().filter_map(|bytes| bytes.parse().ok())))
}

/// Adds up the sizes that the channels report; `None` without a channel. After FLUSH RELAY LOGS, the server may subtract more
/// than it had, so that a size is a huge number: nothing is known of it then.
fn total(sizes: impl Iterator<Item = u64>) -> Option<u64> {
    sizes.map(|size| if i64::try_from(size).is_ok() { size } else { 0 }).reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_size_of_relay_logs_is_not_known() {
        assert_eq!(total([].into_iter()), None);
        assert_eq!(total([18_446_744_073_709_551_321].into_iter()), Some(0));
        assert_eq!(total([300, 18_446_744_073_709_551_321, 20].into_iter()), Some(320));
    }
}
