// SPDX-License-Identifier: GPL-2.0-or-later
//! The way in which a table is rewritten: online, through a scratch tablespace, while it is written to; or by copying it, for
//! which its writers wait. The server is asked about all tables at once, because there may be many.

use super::texts::Texts;
use crate::error::Result;
use crate::server::{Inventory, Session, Table};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How a table is rewritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::commands::encrypt) enum Way {
    /// Through a scratch tablespace, while it is written to.
    Online,
    /// By copying it, because the server does not take it the other way. Its writers wait.
    Copy { why: CopyReason },
}

/// Why a table is copied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands::encrypt) enum CopyReason {
    /// This account does not see its definition.
    NotVisible,
    Partitions,
    DataDirectory,
    PageCompression,
    /// ROW_FORMAT=COMPRESSED with blocks as large as the server's pages.
    LargeBlocks,
    SpatialIndex,
    /// The definition has texts whose reading depends on the session.
    Backslashes,
    /// The last of a table's own, because only the index stands in the way then.
    FulltextIndex,
    /// The server's release may lose rows.
    LosesRows,
    /// Replicas repeat the statements.
    Replicated,
    /// It is to be decrypted.
    Decrypted,
    /// This account lacks privileges.
    Privileges,
    /// The server could not do it with a table of the tool.
    Server,
    /// A copy of it takes less time than three statements.
    Small,
    /// The run does not rewrite tables online.
    NotAsked,
}

impl CopyReason {
    /// Whether the administrator may decide otherwise for all tables.
    pub(in crate::commands::encrypt) fn may_insist(self) -> bool {
        self == CopyReason::Replicated
    }

    /// Whether it is so for all tables of the server.
    pub(in crate::commands::encrypt) fn is_server_wide(self) -> bool {
        matches!(
            self,
            CopyReason::LosesRows
                | CopyReason::Replicated
                | CopyReason::Decrypted
                | CopyReason::Privileges
                | CopyReason::Server
        )
    }

    /// What MySQL has for it, if the table is large.
    pub(in crate::commands::encrypt) fn instead(self) -> Option<&'static str> {
        match self {
            CopyReason::SpatialIndex => Some(
                "drop the index, run keyringctl encrypt apply, and create it again: writers wait only while it is created",
            ),
            CopyReason::FulltextIndex => Some(
                "keyringctl encrypt apply --rebuild-fulltext drops the index and creates it again: searches in it fail meanwhile, and writers wait while it is created",
            ),
            CopyReason::DataDirectory | CopyReason::Partitions | CopyReason::PageCompression => Some(
                "leave it out with --skip, and encrypt it in a quiet hour with --only; or encrypt a replica, and switch over to it",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for CopyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CopyReason::NotVisible => "this account does not see its definition",
            CopyReason::Partitions => {
                "it has partitions, and MySQL takes no partitioned table into a general tablespace"
            }
            CopyReason::DataDirectory => {
                "its DATA DIRECTORY would be lost: MySQL brings a table back to the data directory only"
            }
            CopyReason::PageCompression => {
                "its pages are compressed (COMPRESSION), which MySQL does not support in a general tablespace"
            }
            CopyReason::LargeBlocks => {
                "it has ROW_FORMAT=COMPRESSED with a KEY_BLOCK_SIZE as large as the server's pages, which MySQL does not support in a general tablespace"
            }
            CopyReason::SpatialIndex => {
                "it has a spatial index, and MySQL lets nobody write to such a table while it rebuilds it"
            }
            CopyReason::Backslashes => {
                "it has texts with backslashes in its definition, which only a session that has locked the table reads safely"
            }
            CopyReason::Small => "it is small, and a copy takes less time",
            CopyReason::NotAsked => "that was asked for with --online never",
            CopyReason::FulltextIndex => {
                "it has a full-text index, and MySQL only copies such a table when it must be rebuilt"
            }
            CopyReason::LosesRows => {
                "this release of MySQL may lose rows of a table that it rebuilds while rows are deleted from it (MySQL bugs 115608 and 117436). If writers cannot wait, upgrade MySQL first"
            }
            CopyReason::Replicated => {
                "the replicas repeat the statements, and one whose table is encrypted already, or is in another tablespace, would stop with error 3825. If the tables of all replicas are as on this server, --online always allows it"
            }
            CopyReason::Decrypted => {
                "if the server crashes while it decrypts a tablespace in place, MySQL may leave pages that nobody can read, or never start again"
            }
            CopyReason::Privileges => "this account lacks privileges for the other way",
            CopyReason::Server => "this server cannot encrypt a table online",
        })
    }
}

/// What the server says about all tables.
#[derive(Default)]
pub(in crate::commands::encrypt) struct Ways {
    /// The options with which each visible table of InnoDB was created, by schema and table.
    options: BTreeMap<(String, String), String>,
    /// Tables with an index or a text in their definitions that does not allow it.
    within: BTreeMap<(String, String), CopyReason>,
    /// Tables that are copied while nobody else can read them.
    locked: BTreeSet<(String, String)>,
    /// The tablespaces of single tables whose compressed blocks are as large as pages.
    large_blocks: BTreeSet<String>,
    /// Why no table of this server goes online.
    server: Option<CopyReason>,
}

impl Ways {
    /// Asks the server, with few queries, whatever number of tables it has. None of them opens a table.
    ///
    /// # Errors
    /// What the server answers.
    pub(in crate::commands::encrypt) fn query(session: &mut Session) -> Result<Ways> {
        let options: Vec<(String, String, Option<String>)> = session.rows(
            "SELECT TABLE_SCHEMA, TABLE_NAME, CREATE_OPTIONS FROM information_schema.TABLES
             WHERE TABLE_TYPE = 'BASE TABLE' AND ENGINE = 'InnoDB'
               AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema')",
        )?;
        let indexes: Vec<(String, String, String)> = session.rows(
            "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME, INDEX_TYPE FROM information_schema.STATISTICS
             WHERE INDEX_TYPE IN ('FULLTEXT', 'SPATIAL')",
        )?;
        let large_blocks: Vec<String> = session.rows(
            "SELECT NAME FROM information_schema.INNODB_TABLESPACES WHERE ZIP_PAGE_SIZE >= @@innodb_page_size",
        )?;
        let texts = Texts::query(session)?;
        let large_blocks = large_blocks.into_iter().collect();
        let mut ways = Ways { large_blocks, locked: texts.of_sessions, ..Ways::default() };
        for (schema, table, options) in options {
            ways.options.insert((schema, table), options.unwrap_or_default());
        }
        for (schema, table, kind) in indexes {
            let why = if kind == "SPATIAL" { CopyReason::SpatialIndex } else { CopyReason::FulltextIndex };
            ways.add(schema, table, why);
        }
        for (schema, table) in texts.backslashes {
            ways.add(schema, table, CopyReason::Backslashes);
        }
        Ok(ways)
    }

    /// Also says of tables that could go online that they do not, because of the server.
    pub(in crate::commands::encrypt) fn on_server(self, server: Option<CopyReason>) -> Ways {
        Ways { server, ..self }
    }

    fn add(&mut self, schema: String, table: String, why: CopyReason) {
        let first = self.within.entry((schema, table)).or_insert(why);
        *first = why.min(*first);
    }

    /// Returns the way that a table can go. Of several reasons, it names the first.
    pub(in crate::commands::encrypt) fn of(&self, table: &Table, inventory: &Inventory) -> Way {
        match self.why_copy(table, !inventory.outside.of(table).is_empty()) {
            None => Way::Online,
            Some(why) => Way::Copy { why },
        }
    }

    /// Whether nobody else can read a table while it is copied.
    pub(in crate::commands::encrypt) fn is_copied_under_lock(&self, table: &Table) -> bool {
        self.locked.contains(&(table.schema.clone(), table.name.clone()))
    }

    /// Returns why a table must be copied; `None` if it need not. `is_outside`: a file of it is outside of the data directory.
    pub(in crate::commands::encrypt) fn why_copy(
        &self,
        table: &Table,
        is_outside: bool,
    ) -> Option<CopyReason> {
        let key = (table.schema.clone(), table.name.clone());
        let Some(options) = self.options.get(&key) else { return Some(CopyReason::NotVisible) };
        if table.parts.iter().any(|part| part.name.is_some()) {
            return Some(CopyReason::Partitions);
        }
        if is_outside {
            return Some(CopyReason::DataDirectory);
        }
        if has_page_compression(options) {
            return Some(CopyReason::PageCompression);
        }
        if self.large_blocks.contains(&format!("{}/{}", table.schema, table.name)) {
            return Some(CopyReason::LargeBlocks);
        }
        match self.within.get(&key).copied() {
            // A full-text index may be dropped and built again, but what is against the whole server stays.
            Some(CopyReason::FulltextIndex) => self.server.or(Some(CopyReason::FulltextIndex)),
            why => why.or(self.server),
        }
    }
}

/// Whether CREATE_OPTIONS, such as `row_format=DYNAMIC COMPRESSION="zlib"`, compress pages.
fn has_page_compression(options: &str) -> bool {
    let value = options.split_once("COMPRESSION=\"").and_then(|(_, rest)| rest.split('"').next());
    value.is_some_and(|value| !value.is_empty() && !value.eq_ignore_ascii_case("none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Part, PartPlace, TableLocation};

    fn table(name: &str, partition: Option<&str>) -> Table {
        let place = PartPlace::Own { encrypted: false };
        let part = Part { name: partition.map(str::to_owned), place, bytes: 1 };
        Table {
            schema: "d".to_owned(),
            name: name.to_owned(),
            place: TableLocation::Own,
            bytes: 1,
            parts: vec![part],
        }
    }

    #[test]
    fn a_table_is_copied_for_the_first_reason_that_the_server_has() {
        let key = |name: &str| ("d".to_owned(), name.to_owned());
        let mut ways = Ways::default();
        for (name, options) in [
            ("plain", ""),
            ("none", "COMPRESSION=\"None\""),
            ("zlib", "row_format=DYNAMIC COMPRESSION=\"zlib\" STATS_PERSISTENT=1"),
            ("blocks", "row_format=COMPRESSED KEY_BLOCK_SIZE=16"),
            ("text", ""),
            ("parts", "partitioned"),
        ] {
            ways.options.insert(key(name), options.to_owned());
        }
        ways.within.insert(key("text"), CopyReason::FulltextIndex);
        ways.within.insert(key("zlib"), CopyReason::FulltextIndex);
        ways.large_blocks.insert("d/blocks".to_owned());
        for (name, partition, outside, why) in [
            ("plain", None, false, None),
            ("plain", None, true, Some(CopyReason::DataDirectory)),
            ("none", None, false, None),
            ("zlib", None, false, Some(CopyReason::PageCompression)),
            ("blocks", None, false, Some(CopyReason::LargeBlocks)),
            ("text", None, false, Some(CopyReason::FulltextIndex)),
            ("parts", Some("p0"), true, Some(CopyReason::Partitions)),
            ("of_others", None, false, Some(CopyReason::NotVisible)),
        ] {
            assert_eq!(ways.why_copy(&table(name, partition), outside), why, "{name}");
        }
        assert!(CopyReason::SpatialIndex < CopyReason::FulltextIndex);
        let ways = ways.on_server(Some(CopyReason::LosesRows));
        assert_eq!(ways.why_copy(&table("plain", None), false), Some(CopyReason::LosesRows));
        assert_eq!(ways.why_copy(&table("text", None), false), Some(CopyReason::LosesRows));
        assert_eq!(ways.why_copy(&table("zlib", None), false), Some(CopyReason::PageCompression));
    }
}
