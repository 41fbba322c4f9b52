// SPDX-License-Identifier: GPL-2.0-or-later
//! A table, its partitions, and where their rows are.

use super::spaces::Fault;
use crate::server::{KEPT_INDEXES, ScratchName, full_name, quoted};
use serde::Serialize;

/// Where a table's rows are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableLocation {
    /// In its own tablespaces: one, or one for each partition. Some partitions may be elsewhere.
    Own,
    /// In a general tablespace of that name.
    General(String),
    /// In the scratch tablespace of that name, through which an interrupted run was moving it.
    Scratch(String),
    /// In InnoDB's system tablespace, `ibdata1`.
    System,
    /// In the tablespace `mysql`, with the data dictionary.
    Dictionary,
    /// In files of another engine.
    Engine(String),
    /// Nobody knows, for this reason.
    Unknown(String),
}

/// A table.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Where its rows are.
    pub place: TableLocation,
    /// Bytes of its own files; for a table in a shared tablespace, the server's estimate.
    pub bytes: u64,
    /// What it consists of: itself, or its partitions and subpartitions. Empty for other engines.
    pub parts: Vec<Part>,
}

/// A table that has no partitions, a partition or a subpartition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Part {
    /// `partition` or `partition#sp#subpartition`; `None` for a table that has no partitions.
    pub name: Option<String>,
    /// Where its rows are.
    pub place: PartPlace,
    /// The size of its own file.
    pub bytes: u64,
}

/// Where the rows of a part of a table are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartPlace {
    /// In a tablespace of its own.
    Own {
        /// Whether the server reports that as encrypted.
        encrypted: bool,
    },
    /// In a general tablespace of that name.
    General(String),
    /// In the system tablespace.
    System,
    /// In the tablespace `mysql`.
    Dictionary,
    /// Nowhere: its tablespace was discarded.
    Discarded,
    /// In a tablespace that the server cannot use.
    Faulty(Fault),
}

impl Table {
    /// `schema.table`, as it is shown, and as `--only` takes it.
    pub fn full_name(&self) -> String {
        full_name(&self.schema, &self.name)
    }

    /// `` `schema`.`table` ``, for statements.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// Whether it keeps the full-text indexes that a run has dropped from another table.
    pub fn keeps_indexes(&self) -> bool {
        self.schema == KEPT_INDEXES && ScratchName::parse(&self.name).is_some()
    }

    /// Returns how many of its parts are in such a place.
    pub fn count(&self, place: impl Fn(&PartPlace) -> bool) -> usize {
        self.parts.iter().filter(|part| place(&part.place)).count()
    }

    /// Whether a part of it is in an encrypted tablespace of its own.
    pub fn has_encrypted(&self) -> bool {
        self.count(|place| *place == PartPlace::Own { encrypted: true }) > 0
    }

    /// Whether a part of it is in an unencrypted tablespace of its own or in the system tablespace.
    pub fn has_clear(&self) -> bool {
        self.count(|place| matches!(place, PartPlace::Own { encrypted: false } | PartPlace::System)) > 0
    }

    /// Whether all of its tablespaces were discarded, so that there is nothing to encrypt.
    pub fn is_discarded(&self) -> bool {
        !self.parts.is_empty() && self.discarded().count() == self.parts.len()
    }

    /// The parts whose tablespaces were discarded.
    pub fn discarded(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.place == PartPlace::Discarded)
    }

    /// Returns the first reason why the server cannot use one of its tablespaces.
    pub fn fault(&self) -> Option<&Fault> {
        self.parts.iter().find_map(|part| match &part.place {
            PartPlace::Faulty(fault) => Some(fault),
            _ => None,
        })
    }

    /// Whether all of its own files are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.has_encrypted() && !self.has_clear() && self.fault().is_none()
    }

    /// Whether it has its own files and they are not all encrypted.
    pub fn is_own_and_clear(&self) -> bool {
        self.place == TableLocation::Own && self.has_clear()
    }

    /// Whether MySQL can rebuild it. It refuses that while a part is discarded or cannot be used.
    pub fn can_be_rebuilt(&self) -> bool {
        self.discarded().next().is_none() && self.fault().is_none()
    }

    /// A table of InnoDB, without the estimate for what it has in shared tablespaces.
    pub(super) fn of_innodb(schema: String, name: String, parts: Vec<Part>) -> Table {
        let own = |part: &&Part| {
            matches!(part.place, PartPlace::Own { .. } | PartPlace::Discarded | PartPlace::Faulty(_))
        };
        let place = match parts.iter().find(own).or(parts.first()).map(|part| &part.place) {
            Some(PartPlace::General(space)) => TableLocation::General(space.clone()),
            Some(PartPlace::System) => TableLocation::System,
            Some(PartPlace::Dictionary) => TableLocation::Dictionary,
            Some(_) => TableLocation::Own,
            None => TableLocation::Unknown("InnoDB does not list this table".to_owned()),
        };
        let bytes = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.bytes));
        Table { schema, name, place, bytes, parts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_judged_by_all_of_its_parts() {
        use PartPlace::{Discarded, Own, System};
        let table = |places: &[PartPlace]| {
            let part = |place: &PartPlace| Part { name: None, place: place.clone(), bytes: 1 };
            Table::of_innodb("a".to_owned(), "b".to_owned(), places.iter().map(part).collect())
        };
        let (yes, no) = (Own { encrypted: true }, Own { encrypted: false });
        let missing = PartPlace::Faulty(Fault::Missing("x".to_owned()));
        assert!(table(&[yes.clone(), yes.clone()]).is_encrypted());
        assert!(table(&[yes.clone(), Discarded]).is_encrypted());
        assert!(table(&[Discarded, Discarded]).is_discarded());
        for (parts, rebuilt) in [
            (vec![yes.clone(), no.clone()], true),
            (vec![no.clone(), Discarded], false),
            (vec![no.clone(), missing.clone()], false),
            (vec![System, yes.clone()], true),
        ] {
            let table = table(&parts);
            assert!(table.is_own_and_clear() && !table.is_encrypted() && !table.is_discarded(), "{table:?}");
            assert_eq!(table.can_be_rebuilt(), rebuilt, "{table:?}");
        }
        assert!(!table(&[yes, missing.clone()]).is_encrypted());
        assert_eq!(table(&[System, System]).place, TableLocation::System);
        assert!(matches!(table(&[]).place, TableLocation::Unknown(_)));
        assert!(table(&[missing]).fault().is_some());
    }
}
