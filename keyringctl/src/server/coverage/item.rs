// SPDX-License-Identifier: GPL-2.0-or-later
//! A place where a server stores data, and whether it is encrypted.

use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A place where a server stores data.
#[derive(Clone, Debug, Serialize)]
pub struct DataPlace {
    /// The kind of place.
    pub kind: PlaceKind,
    /// Its name: `schema.table`, a tablespace, a file, a setting.
    pub name: String,
    /// Its size; 0 if the server does not report it.
    pub bytes: u64,
    /// Whether it is encrypted.
    pub state: PlaceState,
    /// Details, as one or more clauses.
    pub about: String,
    /// Who can change its state.
    pub remedy: Remedy,
    /// The files in which unencrypted data of it was found, or which could not be read. Empty until they are read.
    #[serde(serialize_with = "crate::show::paths")]
    pub files: Vec<PathBuf>,
}

/// Kinds of places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    /// A table with its own files.
    Table,
    /// A table in the system tablespace.
    SystemTable,
    /// A table of an engine other than InnoDB.
    OtherEngine,
    /// A general tablespace.
    Tablespace,
    /// The tablespace `mysql`.
    MysqlTablespace,
    /// A full-text index.
    FullText,
    /// A scratch tablespace that an interrupted run of `encrypt apply` left behind, with the table in it.
    Scratch,
    /// What a cancelled statement left behind.
    Leftover,
    /// An undo tablespace.
    Undo,
    /// The redo log.
    Redo,
    /// The binary logs.
    BinaryLog,
    /// A replica's relay logs.
    RelayLog,
    /// The doublewrite files.
    Doublewrite,
    /// The change buffer.
    ChangeBuffer,
    /// The system tablespace.
    SystemTablespace,
    /// Temporary tablespaces and files.
    Temporary,
    /// The general query log.
    GeneralLog,
    /// The slow query log.
    SlowLog,
    /// The error log.
    ErrorLog,
    /// Dumps and backups.
    Dumps,
    /// A schema's default for new tables.
    Schema,
    /// A setting of the server.
    Setting,
    /// A setting that the server applies too late during startup.
    LateSetting,
}

const KINDS: [(PlaceKind, &str); 23] = [
    (PlaceKind::Table, "table"),
    (PlaceKind::SystemTable, "system-table"),
    (PlaceKind::OtherEngine, "other-engine"),
    (PlaceKind::Tablespace, "tablespace"),
    (PlaceKind::MysqlTablespace, "mysql-tablespace"),
    (PlaceKind::FullText, "full-text"),
    (PlaceKind::Scratch, "scratch"),
    (PlaceKind::Leftover, "leftover"),
    (PlaceKind::Undo, "undo"),
    (PlaceKind::Redo, "redo"),
    (PlaceKind::BinaryLog, "binary-log"),
    (PlaceKind::RelayLog, "relay-log"),
    (PlaceKind::Doublewrite, "doublewrite"),
    (PlaceKind::ChangeBuffer, "change-buffer"),
    (PlaceKind::SystemTablespace, "system-tablespace"),
    (PlaceKind::Temporary, "temporary"),
    (PlaceKind::GeneralLog, "general-log"),
    (PlaceKind::SlowLog, "slow-log"),
    (PlaceKind::ErrorLog, "error-log"),
    (PlaceKind::Dumps, "dumps"),
    (PlaceKind::Schema, "schema"),
    (PlaceKind::Setting, "setting"),
    (PlaceKind::LateSetting, "late-setting"),
];

impl PlaceKind {
    /// Whether it is a setting, which decides whether later data is encrypted.
    pub fn is_setting(self) -> bool {
        matches!(
            self,
            PlaceKind::Setting | PlaceKind::LateSetting | PlaceKind::ChangeBuffer | PlaceKind::Schema
        )
    }

    /// Whether it is one table.
    pub fn is_table(self) -> bool {
        matches!(self, PlaceKind::Table | PlaceKind::SystemTable)
    }
}

impl fmt::Display for PlaceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(KINDS.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for PlaceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        KINDS.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind).ok_or_else(|| {
            let names: Vec<_> = KINDS.iter().map(|(_, name)| *name).collect();
            let nearest = similar::get_close_matches(text, &names, 1, 0.5);
            let meant = nearest.first().map(|name| format!(" Did you mean {name}?")).unwrap_or_default();
            format!("{text:?} is not a kind of place.{meant} The kinds are: {}", names.join(", "))
        })
    }
}

/// Whether a place is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceState {
    /// It is encrypted, or set correctly.
    Encrypted,
    /// It is unencrypted, but could be encrypted or switched off.
    Clear,
    /// Its data is encrypted, but it is where it must not stay, because a run was interrupted. Never fine.
    HalfDone,
    /// MySQL cannot encrypt it.
    Cannot,
    /// It holds nothing.
    Unused,
    /// It could not be looked at, so its state is not known. Never fine.
    Unknown,
}

/// Who can change the state of a place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// `keyringctl encrypt apply`.
    Apply,
    /// The administrator, in this way.
    ByHand(String),
    /// Nobody, or there is nothing to do.
    None,
}
