// SPDX-License-Identifier: GPL-2.0-or-later
//! Why MySQL refuses to encrypt a table, as `ALTER TABLE ... ENCRYPTION` would say, and what to do then.

use crate::server::{Fault, PartPlace, Table, quoted};

/// Why MySQL refuses to rebuild a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Obstacle {
    /// The reason, with what that means for the table's parts.
    pub why: String,
    /// What to do.
    pub remedy: String,
}

impl Table {
    /// Returns why MySQL would refuse to rebuild this table of InnoDB with its own tablespaces; `None` if it would not.
    pub fn obstacle(&self) -> Option<Obstacle> {
        self.faulty().or_else(|| self.partly_discarded()).or_else(|| self.partly_in_system())
    }

    /// The server cannot use a file of it.
    fn faulty(&self) -> Option<Obstacle> {
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
                format!("; or, if its rows are not needed: DROP TABLE {};", self.quoted())
            }
            Fault::NotOpened(_) | Fault::Unlisted(_) => String::new(),
        };
        Some(Obstacle { why: format!("{part}{fault}{clear}"), remedy: format!("{}{drop}", fault.remedy()) })
    }

    /// MySQL rebuilds no table of which a partition is discarded.
    fn partly_discarded(&self) -> Option<Obstacle> {
        let gone = names(self, |place| *place == PartPlace::Discarded);
        let kept = names(self, |place| *place != PartPlace::Discarded);
        let first = gone.first().filter(|_| !kept.is_empty())?;
        let table = self.quoted();
        let new = format!("{}.{}", quoted(&self.schema), quoted(&format!("{}_new", self.name)));
        let drop = if first.contains('.') {
            String::new()
        } else {
            format!(
                " If the table is partitioned by RANGE or LIST and they are not needed: ALTER TABLE {table} DROP PARTITION {};",
                gone.join(", ")
            )
        };
        let list = |all: &[String]| {
            all.iter()
                .map(|name| name.rsplit('.').next().unwrap_or(name).to_owned())
                .collect::<Vec<_>>()
                .join(", ")
        };
        Some(Obstacle {
            why: format!(
                "{} of {} partitions are not encrypted ({}). The tablespaces of {} were discarded, and MySQL rebuilds no table without all of its tablespaces",
                self.count(|place| matches!(place, PartPlace::Own { encrypted: false } | PartPlace::System)),
                self.parts.len(),
                names(self, |place| matches!(place, PartPlace::Own { encrypted: false } | PartPlace::System))
                    .join(", "),
                gone.join(", "),
            ),
            remedy: format!(
                "import them: put the files in place and run ALTER TABLE {table} IMPORT PARTITION {} TABLESPACE;{drop} Otherwise copy the rest into a new table: CREATE TABLE {new} LIKE {table}; INSERT INTO {new} SELECT * FROM {table} PARTITION ({}); then recreate its triggers, DROP TABLE {table}; RENAME TABLE {new} TO {table}; and run keyringctl encrypt apply",
                list(&gone),
                list(&kept)
            ),
        })
    }

    /// MySQL does not move a single partition out of the system tablespace when it rebuilds the table.
    fn partly_in_system(&self) -> Option<Obstacle> {
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
                "for each of them, with the VALUES that SHOW CREATE TABLE {table} shows: ALTER TABLE {table} REORGANIZE PARTITION {0} INTO (PARTITION {0} VALUES ... TABLESPACE = innodb_file_per_table); then keyringctl encrypt apply",
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

/// `partition` or `partition.subpartition`, quoted.
fn for_people(name: &str) -> String {
    match name.to_ascii_lowercase().find("#sp#") {
        Some(at) => format!("{}.{}", quoted(&name[..at]), quoted(&name[at + 4..])),
        None => quoted(name),
    }
}
