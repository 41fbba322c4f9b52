// SPDX-License-Identifier: GPL-2.0-or-later
//! Why MySQL refuses to encrypt a table, as `ALTER TABLE ... ENCRYPTION` would say, and what to do then.

use crate::server::{
    Fault, Inventory, OutsideDirectories, Part, PartPlace, ScratchName, Table, TableLocation, Tablespace,
    TablespaceKind, concatenated, pasteable, quoted,
};
use crate::show::{Shown, counted_of};
use std::path::PathBuf;

/// Why MySQL refuses to rebuild a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Obstacle {
    /// The reason, with what that means for the table's parts.
    pub why: String,
    /// What to do.
    pub remedy: String,
}

impl Inventory {
    /// Returns why the server, as it was started, would refuse to rebuild this table, or would not rebuild it as it is; `None`
    /// if nothing of that can be foreseen.
    pub fn obstacle(&self, table: &Table) -> Option<Obstacle> {
        let unfinished = self.unfinished(table);
        unfinished.or_else(|| table.obstacle(self.before_by_hand)).or_else(|| self.outside.obstacle(table))
    }
}

impl Inventory {
    /// Returns why a table in a scratch tablespace must not be taken up on this server.
    pub fn unfinished(&self, table: &Table) -> Option<Obstacle> {
        let TableLocation::Scratch(name) = &table.place else { return None };
        self.tablespaces.iter().find(|space| space.name == *name)?.obstacle(self)
    }
}

impl Tablespace {
    /// Returns why this scratch tablespace must not be taken up on this server.
    pub fn obstacle(&self, inventory: &Inventory) -> Option<Obstacle> {
        if let Some(fault) = &self.fault {
            return Some(Obstacle { why: fault.to_string(), remedy: fault_remedy(self, fault, inventory) });
        }
        let is_logged = ScratchName::parse(&self.name).is_some_and(|name| name.is_logged());
        (is_logged && inventory.at_work.receives).then(|| Obstacle {
            why: "it came from the source of this server or the primary of its group, whose binary log tells this server to complete it"
                .to_owned(),
            remedy: "on that server: keyringctl encrypt cleanup".to_owned(),
        })
    }
}

/// What to do about a tablespace that the server cannot use.
pub(super) fn fault_remedy(space: &Tablespace, fault: &Fault, inventory: &Inventory) -> String {
    let remedy = fault.remedy();
    let is_shared = matches!(space.kind, TablespaceKind::General | TablespaceKind::Scratch);
    if !is_shared || !matches!(fault, Fault::Missing(_) | Fault::Damaged(_)) {
        return remedy;
    }
    let places = [TableLocation::General(space.name.clone()), TableLocation::Scratch(space.name.clone())];
    let tables = inventory.tables.iter().filter(|t| places.contains(&t.place));
    let tables = tables.map(Table::quoted).collect::<Vec<_>>();
    let drop = if tables.is_empty() {
        String::new()
    } else {
        pasteable(&format!("DROP TABLE {};", tables.join(", "))) + " "
    };
    let space = pasteable(&format!("DROP TABLESPACE {};", quoted(&space.name)));
    format!("{remedy}; or, if its rows are not needed: {}{drop}{space}", inventory.before_by_hand)
}

impl OutsideDirectories {
    /// Returns why the server would not keep the table's files where they are.
    pub fn obstacle(&self, table: &Table) -> Option<Obstacle> {
        if self.would_lose_files_of(table) {
            return Some(OutsideDirectories::without_files());
        }
        let unknown = self.unknown_of(table);
        (!unknown.is_empty()).then(|| self.refusal(&unknown))
    }

    /// Says that the server would give partitions no files of their own, even if the statement asks for them.
    pub fn without_files() -> Obstacle {
        Obstacle {
            why: "innodb_file_per_table is OFF, so the server would move partitions with a DATA DIRECTORY to ibdata1"
                .to_owned(),
            remedy: "Run SET GLOBAL innodb_file_per_table = ON in the server, then run keyringctl encrypt apply"
                .to_owned(),
        }
    }

    /// Says that the server does not know these directories, and what to do.
    pub fn refusal(&self, unknown: &[PathBuf]) -> Obstacle {
        let names: Vec<_> = unknown.iter().map(|directory| directory.exact()).collect();
        Obstacle {
            why: format!(
                "its DATA DIRECTORY {} is not in innodb_directories, so the server could only move it to the data directory",
                names.join(", ")
            ),
            remedy: format!(
                "Add {} to the group [mysqld] of the server's option file, restart the server, then run keyringctl encrypt apply",
                self.option_line(unknown)
            ),
        }
    }
}

impl Table {
    /// Returns why MySQL would refuse to rebuild this table of InnoDB with its own tablespaces; `None` if it would not.
    /// `first`: what comes before statements that the administrator runs by hand.
    pub fn obstacle(&self, first: &str) -> Option<Obstacle> {
        let faulty = self.faulty(first);
        faulty.or_else(|| self.partly_discarded(first)).or_else(|| self.partly_in_system(first))
    }

    /// The server cannot use a file of it.
    fn faulty(&self, first: &str) -> Option<Obstacle> {
        let (name, fault) = self.parts.iter().find_map(|part| match &part.place {
            PartPlace::Faulty(fault) => Some((part.name.as_deref(), fault)),
            _ => None,
        })?;
        let clear =
            names(self, |place| matches!(place, PartPlace::Own { encrypted: false } | PartPlace::System));
        let clear =
            if clear.is_empty() { String::new() } else { format!("; unencrypted: {}", clear.join(", ")) };
        let part = name.map_or(String::new(), |name| format!("partition {}: ", for_people(name)));
        let drop = match fault {
            Fault::Missing(_) | Fault::Damaged(_) => {
                let drop = pasteable(&format!("DROP TABLE {};", self.quoted()));
                format!("{}; or, if none of its rows are needed: {first}{drop}", self.keeping_others(first))
            }
            Fault::NotOpened(_) | Fault::Unlisted(_) => String::new(),
        };
        Some(Obstacle { why: format!("{part}{fault}{clear}"), remedy: format!("{}{drop}", fault.remedy()) })
    }

    /// The statement that imports files in place of discarded tablespaces of it.
    pub fn import<'a>(&self, parts: impl Iterator<Item = &'a Part>) -> String {
        let names: Vec<_> =
            parts.filter_map(|part| part.name.as_deref()).map(|name| quoted(own_name(name))).collect();
        let partitions =
            if names.is_empty() { String::new() } else { format!("PARTITION {} ", names.join(", ")) };
        pasteable(&format!("ALTER TABLE {} IMPORT {partitions}TABLESPACE;", self.quoted()))
    }

    /// Says which of its tablespaces were discarded, and what to do. `None` if none was. `first`: what comes before statements.
    pub fn discarded_parts(&self, first: &str) -> Option<Obstacle> {
        self.discarded().next()?;
        let which = names(self, |place| *place == PartPlace::Discarded);
        let why = match which.as_slice() {
            [] => "its tablespace was discarded, so there is nothing to encrypt".to_owned(),
            some => format!(
                "the tablespaces of {} were discarded, so there is nothing of them to encrypt",
                some.join(", ")
            ),
        };
        let remedy = format!(
            "put the files in place, run {first}{} then this again; or drop what is not needed",
            self.import(self.discarded())
        );
        Some(Obstacle { why, remedy })
    }

    /// How to give up the partitions without files and keep the others: MySQL reads these when those are discarded.
    fn keeping_others(&self, first: &str) -> String {
        let is_missing = |place: &PartPlace| matches!(place, PartPlace::Faulty(Fault::Missing(_)));
        let is_kept = |place: &PartPlace| !matches!(place, PartPlace::Faulty(_) | PartPlace::Discarded);
        if self.count(is_missing) == 0 || self.count(is_kept) == 0 {
            return String::new();
        }
        let discard = format!(
            "ALTER TABLE {} DISCARD PARTITION {} TABLESPACE;",
            self.quoted(),
            self.own_names(is_missing)
        );
        format!(
            "; or, to lose the rows of the missing partitions and keep the others: {first}{} then run keyringctl encrypt plan, which says how to go on",
            pasteable(&discard)
        )
    }

    /// The names of partitions, or of subpartitions, in such places, as statements take them.
    fn own_names(&self, wanted: impl Fn(&PartPlace) -> bool) -> String {
        let parts = self.parts.iter().filter(|part| wanted(&part.place));
        let names = parts.filter_map(|part| part.name.as_deref()).map(|name| quoted(own_name(name)));
        names.collect::<Vec<_>>().join(", ")
    }

    /// How to copy the partitions that are not discarded into a new table that takes the place of this one. Nothing is
    /// deleted. The values of invisible columns, zero dates and an id of 0 are copied as they are; the server computes
    /// those of generated columns.
    fn copying(&self, first: &str) -> String {
        let table = self.quoted();
        // A name has at most 64 characters.
        let sibling = |suffix: &str| {
            let name: String = self.name.chars().take(60).chain(suffix.chars()).collect();
            format!("{}.{}", quoted(&self.schema), quoted(&name))
        };
        let (new, old) = (sibling("_new"), sibling("_old"));
        let kept = self.own_names(|place| *place != PartPlace::Discarded);
        let columns = format!(
            "SET @c = (SELECT GROUP_CONCAT('`', REPLACE(COLUMN_NAME, '`', '``'), '`' SEPARATOR ', ') FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = CONCAT({}) AND TABLE_NAME = CONCAT({}) AND GENERATION_EXPRESSION = '');",
            concatenated(&self.schema),
            concatenated(&self.name)
        );
        let insert = format!(
            "SET @s = CONCAT({}, @c, ') SELECT ', @c, {}); PREPARE s FROM @s; EXECUTE s;",
            concatenated(&format!("INSERT INTO {new} (")),
            concatenated(&format!(" FROM {table} PARTITION ({kept})"))
        );
        format!(
            "copy the rest into a new table, while nothing writes to it; go on only when a step has worked. (1) {first}SET SESSION sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', SESSION group_concat_max_len = 1048576; {} {columns} {insert} (2) {} (3) Only if both counts are equal: {} (4) MySQL copies no triggers, AUTO_INCREMENT and DATA DIRECTORY to the new table: compare SHOW CREATE TABLE and SHOW TRIGGERS of both, and add what is missing. (5) When the new table has all that is needed, drop {old} and run keyringctl encrypt apply",
            pasteable(&format!("CREATE TABLE {new} LIKE {table};")),
            pasteable(&format!(
                "SELECT (SELECT COUNT(*) FROM {table} PARTITION ({kept})) AS old_rows, (SELECT COUNT(*) FROM {new}) AS new_rows;"
            )),
            pasteable(&format!("RENAME TABLE {table} TO {old}, {new} TO {table};")),
        )
    }

    /// MySQL rebuilds no table of which a partition is discarded.
    fn partly_discarded(&self, first: &str) -> Option<Obstacle> {
        let gone = names(self, |place| *place == PartPlace::Discarded);
        let kept: Vec<_> = self
            .parts
            .iter()
            .filter(|part| part.place != PartPlace::Discarded)
            .filter_map(|part| part.name.as_deref())
            .map(|name| quoted(own_name(name)))
            .collect();
        if gone.is_empty() || kept.is_empty() {
            return None;
        }
        let mut all = self.parts.iter().filter_map(|part| part.name.as_deref());
        let is_subpartition = all.any(|name| own_name(name) != name);
        let table = self.quoted();
        let drop = if is_subpartition {
            String::new()
        } else {
            format!(
                " If the table is partitioned by RANGE or LIST and they are not needed: {first}{}",
                pasteable(&format!("ALTER TABLE {table} DROP PARTITION {};", gone.join(", ")))
            )
        };
        Some(Obstacle {
            why: format!(
                "{} not encrypted ({}). The tablespaces of {} were discarded, and MySQL rebuilds no table without all of its tablespaces",
                counted_of(
                    self.count(|place| matches!(
                        place,
                        PartPlace::Own { encrypted: false } | PartPlace::System
                    )),
                    self.parts.len(),
                    "partition"
                ),
                names(self, |place| matches!(place, PartPlace::Own { encrypted: false } | PartPlace::System))
                    .join(", "),
                gone.join(", "),
            ),
            remedy: format!(
                "import them: put the files in place and run {first}{}{drop} Otherwise {}",
                self.import(self.discarded()),
                self.copying(first)
            ),
        })
    }

    /// MySQL does not move a single partition out of the system tablespace when it rebuilds the table.
    fn partly_in_system(&self, first: &str) -> Option<Obstacle> {
        let inside = names(self, |place| *place == PartPlace::System);
        let own = self.count(|place| matches!(place, PartPlace::Own { .. }));
        if inside.is_empty() || own == 0 {
            return None;
        }
        let table = self.quoted();
        Some(Obstacle {
            why: format!(
                "{} of its partitions are in the system tablespace ({}), and MySQL does not move them out when it rebuilds the table",
                inside.len(),
                inside.join(", ")
            ),
            remedy: format!(
                "for each of them, with the VALUES that SHOW CREATE TABLE {table} shows: {first}ALTER TABLE {table} REORGANIZE PARTITION {0} INTO (PARTITION {0} VALUES ... TABLESPACE = innodb_file_per_table); then keyringctl encrypt apply",
                inside[0]
            ),
        })
    }
}

/// Returns the names of the parts in such places, quoted for statements.
fn names(table: &Table, place: impl Fn(&PartPlace) -> bool) -> Vec<String> {
    let parts = table.parts.iter().filter(|part| place(&part.place));
    parts.filter_map(|part| part.name.as_deref()).map(for_people).collect()
}

/// The name of a partition without subpartitions, or that of a subpartition.
fn own_name(name: &str) -> &str {
    let at = name.to_ascii_lowercase().find("#sp#").map_or(0, |at| at + 4);
    &name[at..]
}

/// `partition` or `partition.subpartition`, quoted.
fn for_people(name: &str) -> String {
    match name.to_ascii_lowercase().find("#sp#") {
        Some(at) => format!("{}.{}", quoted(&name[..at]), quoted(&name[at + 4..])),
        None => quoted(name),
    }
}
