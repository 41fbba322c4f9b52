// SPDX-License-Identifier: GPL-2.0-or-later
//! InnoDB's tablespaces.

use crate::show::Shown;
use serde::Serialize;
use std::fmt;

/// What a tablespace is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TablespaceKind {
    /// The server's own tables and the data dictionary.
    Mysql,
    /// Several tables.
    General,
    /// A scratch tablespace: what a run of `encrypt apply` moves a table through.
    Scratch,
    /// Old versions of rows.
    Undo,
    /// Temporary tables of all sessions.
    Temporary,
    /// InnoDB's system tablespace, `ibdata1`.
    System,
    /// A full-text index's own tables. They are encrypted together with their table.
    FullText,
    /// What a statement creates while it rebuilds a table; a cancelled one may leave it behind.
    Leftover,
    /// It belongs to a single table, of which the server does not tell.
    Unowned,
}

/// A tablespace that does not belong to a single table of a user.
#[derive(Clone, Debug, Serialize)]
pub struct Tablespace {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: TablespaceKind,
    /// Its size.
    pub bytes: u64,
    /// Whether the server reports it as encrypted.
    pub encrypted: bool,
    /// Its state, as the server reports it: `normal`, `active`, `inactive`, `empty`, ...
    pub state: String,
    /// The table in a leftover, quoted for statements.
    #[serde(skip)]
    pub table: Option<String>,
    /// The tables in a scratch tablespace, as they are shown.
    #[serde(skip)]
    pub holds: Vec<String>,
    /// Why the server cannot use it. What it reports of its encryption is then what it remembers.
    pub fault: Option<Fault>,
}

/// Why the server cannot use a tablespace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// There is no file at this path, or mysqld cannot read it.
    Missing(String),
    /// The file exists, but the server did not open it.
    NotOpened(String),
    /// The server has marked it as damaged.
    Damaged(String),
    /// The server does not list it, for this reason.
    Unlisted(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Missing(path) => {
                write!(f, "its file {} is missing, or mysqld cannot read it", path.shown())
            }
            Fault::NotOpened(path) => write!(
                f,
                "the server could not open its file {}: the keyring does not have its master key, or the file is damaged",
                path.shown()
            ),
            Fault::Damaged(path) => write!(f, "the server has marked its file {} as damaged", path.shown()),
            Fault::Unlisted(why) => f.write_str(why),
        }
    }
}

impl Fault {
    /// What to do so that the server can use it.
    pub fn remedy(&self) -> String {
        match self {
            Fault::Missing(path) => format!(
                "mysqld may still have the deleted file open: if SELECT returns rows, dump them now with mysqldump, before any restart and any other step, which destroy them. Otherwise restore {} from a backup and restart the server",
                path.shown()
            ),
            Fault::Damaged(path) => {
                format!("restore {} from a backup and restart the server", path.shown())
            }
            Fault::NotOpened(_) => {
                "start the server with the keyring that has its master key; the server's error log says what is wrong"
                    .to_owned()
            }
            Fault::Unlisted(_) => "run this again; if it is still so, see the server's error log".to_owned(),
        }
    }
}
