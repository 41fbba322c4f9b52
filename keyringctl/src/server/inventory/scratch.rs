// SPDX-License-Identifier: GPL-2.0-or-later
//! Which tablespaces are scratch tablespaces of a run of `encrypt apply`, and what has become of that run.

use super::spaces::{Tablespace, TablespaceKind};
use super::table::{PartPlace, Table, TableLocation};
use crate::error::Result;
use crate::server::{KEPT_INDEXES, Role, ScratchName, Session};

/// The lock that a run of `encrypt apply` or `encrypt cleanup` holds, so that there is one at a time on a server.
pub const RUN_LOCK: &str = "keyring_external.encrypt";

/// What keeps scratch tablespaces from being taken up now.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct AtWork {
    /// The connection that runs `encrypt apply` or `encrypt cleanup` at the moment.
    pub running: Option<u64>,
    /// Whether the server completes an ALTER TABLESPACE that a crash interrupted. Until it has, it reports the old state, and
    /// statements on the tablespace and its tables wait.
    pub resumed: bool,
    /// Whether the statements that are in the binary log of another server come from there: this one is its replica, or a
    /// member of a group that is not its primary.
    pub receives: bool,
}

impl AtWork {
    /// Asks the server.
    ///
    /// # Errors
    /// What the server answers.
    pub fn query(session: &mut Session) -> Result<AtWork> {
        let running = session.first::<Option<u64>>(&format!("SELECT IS_USED_LOCK('{RUN_LOCK}')"))?.flatten();
        Ok(AtWork {
            running,
            resumed: AtWork::is_resuming(session),
            receives: Role::query(session)?.repeats(),
        })
    }

    /// Whether the server completes an ALTER TABLESPACE that a crash interrupted.
    pub fn is_resuming(session: &mut Session) -> bool {
        let query = "SELECT COUNT(*) FROM performance_schema.threads WHERE NAME = 'thread/innodb/srv_ts_alter_encrypt_thread'";
        session.first::<i64>(query).is_ok_and(|count| count.is_some_and(|count| count > 0))
    }
}

impl Tablespace {
    /// Whether it is part of a full-text index of a table that keeps the indexes of another.
    pub fn is_of_kept_indexes(&self) -> bool {
        let schema = self.name.split_once('/').map(|(schema, _)| schema);
        self.kind == TablespaceKind::FullText && schema == Some(KEPT_INDEXES)
    }
}

/// Marks the tablespaces that an interrupted run left behind, and the tables in each: the one that it was created for, whatever
/// its name is now, and those that somebody created like it meanwhile, which the server puts there too. One with such a name
/// that holds a partition is somebody's, and stays a general tablespace.
pub(super) fn mark(tables: &mut [Table], tablespaces: &mut [Tablespace]) {
    for space in tablespaces.iter_mut().filter(|space| space.kind == TablespaceKind::General) {
        let Some(scratch) = ScratchName::parse(&space.name) else { continue };
        let mut within: Vec<_> = tables.iter_mut().filter(|table| is_in(table, &space.name)).collect();
        if !within.iter().all(|table| is_whole(table)) {
            continue;
        }
        within.sort_by_key(|table| !scratch.is_for(&table.schema, &table.name));
        space.kind = TablespaceKind::Scratch;
        for table in within {
            table.place = TableLocation::Scratch(space.name.clone());
            space.holds.push(table.full_name());
        }
    }
}

/// Whether anything of a table is in a general tablespace.
fn is_in(table: &Table, name: &str) -> bool {
    let part_is =
        table.parts.iter().any(|part| matches!(&part.place, PartPlace::General(space) if space == name));
    part_is || matches!(&table.place, TableLocation::General(space) if space == name)
}

/// Whether it is a table without partitions.
fn is_whole(table: &Table) -> bool {
    table.parts.iter().all(|part| part.name.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Part;

    fn table(name: &str, parts: &[(Option<&str>, &str)]) -> Table {
        let part = |&(part, space): &(Option<&str>, &str)| Part {
            name: part.map(str::to_owned),
            place: PartPlace::General(space.to_owned()),
            bytes: 0,
        };
        Table::of_innodb("clinic".to_owned(), name.to_owned(), parts.iter().map(part).collect())
    }

    fn space(name: &str) -> Tablespace {
        Tablespace {
            name: name.to_owned(),
            kind: TablespaceKind::General,
            bytes: 0,
            encrypted: false,
            state: "normal".to_owned(),
            table: None,
            holds: Vec::new(),
            fault: None,
        }
    }

    #[test]
    fn a_scratch_tablespace_holds_its_table_under_any_name_and_those_created_like_it() {
        let name = ScratchName::new(true, false, ("clinic", "pat"), 1);
        let name = name.as_str();
        let (pat, other) = (table("pat", &[(None, name)]), table("other", &[(None, name)]));
        let part = table("pat", &[(Some("p0"), name)]);
        for (tables, is_scratch, holds) in [
            (vec![], true, &[][..]),
            (vec![table("pat", &[(None, "elsewhere")])], true, &[]),
            (vec![pat.clone()], true, &["clinic.pat"]),
            (vec![other.clone(), pat.clone()], true, &["clinic.pat", "clinic.other"]),
            (vec![other], true, &["clinic.other"]),
            (vec![part.clone()], false, &[]),
            (vec![pat, part], false, &[]),
        ] {
            let (mut tables, mut spaces) = (tables, vec![space(name), space("keyring_external_mine")]);
            mark(&mut tables, &mut spaces);
            assert_eq!(spaces[0].kind == TablespaceKind::Scratch, is_scratch, "{tables:?}");
            assert_eq!(spaces[0].holds, holds, "{tables:?}");
            let is_in_it = |table: &&Table| matches!(table.place, TableLocation::Scratch(_));
            assert_eq!(tables.iter().filter(is_in_it).count(), holds.len(), "{tables:?}");
            assert_eq!(spaces[1].kind, TablespaceKind::General);
        }
    }
}
