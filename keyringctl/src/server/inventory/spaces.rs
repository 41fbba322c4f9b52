// SPDX-License-Identifier: GPL-2.0-or-later
//! InnoDB's tablespaces: those of single tables, which are added to their tables, and all others.

use super::tables::{Table, TableLocation};
use crate::error::Result;
use crate::server::Session;
use serde::Serialize;
use std::collections::HashMap;

/// What a tablespace is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TablespaceKind {
    /// The server's own tables and the data dictionary.
    Mysql,
    /// Several tables.
    General,
    /// Old versions of rows.
    Undo,
    /// Temporary tables of all sessions.
    Temporary,
    /// InnoDB's system tablespace, `ibdata1`.
    System,
    /// A full-text index's own tables. They are encrypted together with their table.
    FullText,
    /// What a cancelled statement left behind.
    Leftover,
}

/// A tablespace that does not belong to a single table.
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
}

/// Returns all tablespaces except those of single tables, whose sizes and states it stores in `tables`.
pub(super) fn all(session: &mut Session, tables: &mut [Table]) -> Result<Vec<Tablespace>> {
    let rows: Vec<(String, String, u64, String, String)> = session.rows(
        "SELECT NAME, SPACE_TYPE, FILE_SIZE, ENCRYPTION, IFNULL(STATE, '')
         FROM information_schema.INNODB_TABLESPACES ORDER BY NAME",
    )?;
    let index: HashMap<String, usize> = tables
        .iter()
        .enumerate()
        .filter(|(_, t)| t.place == TableLocation::Own)
        .map(|(i, t)| (format!("{}/{}", t.schema, t.name), i))
        .collect();
    tables.iter_mut().filter(|t| t.place == TableLocation::Own).for_each(|t| t.bytes = t.bytes.max(1));
    let mut others = Vec::new();
    for (name, space_type, bytes, encryption, state) in rows {
        let encrypted = encryption == "Y";
        let owner = (space_type == "Single").then(|| owner(&name, &index)).flatten();
        if let Some(table) = owner.and_then(|i| tables.get_mut(i)) {
            if state == "discarded" {
                table.discarded = true;
            } else {
                // The size of the first file replaces the server's estimate.
                table.bytes = if table.files == 0 { bytes } else { table.bytes.saturating_add(bytes) };
                table.files += 1;
                table.encrypted_files += u32::from(encrypted);
            }
            continue;
        }
        let kind = match space_type.as_str() {
            "Single" if is_full_text(&name) => TablespaceKind::FullText,
            "Single" => TablespaceKind::Leftover,
            "Undo" => TablespaceKind::Undo,
            "System" if name == "innodb_temporary" => TablespaceKind::Temporary,
            "System" => TablespaceKind::System,
            _ if name == "mysql" => TablespaceKind::Mysql,
            _ => TablespaceKind::General,
        };
        others.push(Tablespace { name, kind, bytes, encrypted, state });
    }
    if let Some(system) = system(session)? {
        others.push(system);
    }
    Ok(others)
}

/// Returns the system tablespace, which INNODB_TABLESPACES does not list.
fn system(session: &mut Session) -> Result<Option<Tablespace>> {
    let bytes: Option<Option<u64>> = session.first(
        "SELECT CAST(SUM(TOTAL_EXTENTS * EXTENT_SIZE) AS UNSIGNED) FROM information_schema.FILES
         WHERE TABLESPACE_NAME = 'innodb_system'",
    )?;
    Ok(bytes.flatten().map(|bytes| Tablespace {
        name: "innodb_system".to_owned(),
        kind: TablespaceKind::System,
        bytes,
        encrypted: false,
        state: "normal".to_owned(),
    }))
}

/// Returns the table that a tablespace `schema/table` or `schema/table#p#partition` belongs to.
fn owner(name: &str, tables: &HashMap<String, usize>) -> Option<usize> {
    tables.get(name).copied().or_else(|| {
        // A table's own name may contain what looks like a partition.
        let cuts = name.match_indices('#').filter(|(at, _)| {
            name.get(*at..).is_some_and(|rest| rest.starts_with("#p#") || rest.starts_with("#P#"))
        });
        cuts.map(|(at, _)| at).find_map(|at| tables.get(&name[..at]).copied())
    })
}

/// Whether a name is `schema/fts_` with the table's number in 16 hexadecimal digits.
fn is_full_text(name: &str) -> bool {
    name.rsplit_once('/').and_then(|(_, table)| table.strip_prefix("fts_")).is_some_and(|rest| {
        let (digits, end) = rest.split_at_checked(16).unwrap_or((rest, ""));
        digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()) && end.starts_with('_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tablespaces_find_their_tables() {
        let tables: HashMap<_, _> =
            ["a/visits", "a/x#p#y", "a/audit"].map(str::to_owned).into_iter().zip(0..).collect();
        assert_eq!(owner("a/visits", &tables), Some(0));
        assert_eq!(owner("a/audit#p#p2024#sp#s1", &tables), Some(2));
        assert_eq!(owner("a/audit#P#p2024", &tables), Some(2));
        assert_eq!(owner("a/x#p#y", &tables), Some(1));
        assert_eq!(owner("a/x#p#y#p#p0", &tables), Some(1));
        assert_eq!(owner("a/#sql-1f_2", &tables), None);
        assert!(is_full_text("a/fts_0000000000000428_00000000000000a1_index_1"));
        assert!(is_full_text("a/fts_0000000000000428_being_deleted"));
        assert!(!is_full_text("a/fts_notes"));
        assert!(!is_full_text("a/fts_0000000000000428"));
    }
}
