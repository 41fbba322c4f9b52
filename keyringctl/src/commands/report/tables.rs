// SPDX-License-Identifier: GPL-2.0-or-later
//! Every table with its state, and the sums by schema.

use crate::server::{
    DataPlace, Fault, Inventory, PlaceKind, PlaceState, Table, TableLocation, Tablespace, TablespaceKind,
};
use crate::show::Shown;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// A table and whether it is encrypted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct TableRow {
    pub schema: String,
    pub name: String,
    pub state: PlaceState,
    /// Bytes of its own files; for a table in a shared tablespace, the server's estimate.
    pub bytes: u64,
    /// Details: its partitions, the tablespace that it shares, why it is not encrypted.
    pub about: String,
}

impl TableRow {
    /// Returns a row for each table, by schema and name. Its state is the one of its place; in a shared tablespace it has
    /// that tablespace's.
    pub(super) fn all(inventory: &Inventory, places: &[DataPlace]) -> Vec<TableRow> {
        let tables = places
            .iter()
            .filter(|place| place.kind.is_table() || place.kind == PlaceKind::OtherEngine)
            .map(|place| (place.name.as_str(), place));
        let places: HashMap<&str, &DataPlace> = tables.collect();
        let mut rows: Vec<_> =
            inventory.tables.iter().map(|t| row(t, &places, &inventory.tablespaces)).collect();
        rows.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        rows
    }
}

fn row(table: &Table, places: &HashMap<&str, &DataPlace>, spaces: &[Tablespace]) -> TableRow {
    let (state, about) = match &table.place {
        TableLocation::General(name) => {
            let space = spaces.iter().find(|s| s.kind == TablespaceKind::General && s.name == *name);
            let state = match space {
                Some(Tablespace { fault: None, encrypted: true, .. }) => PlaceState::Encrypted,
                Some(Tablespace { fault: None, .. }) => PlaceState::Clear,
                Some(Tablespace { fault: Some(_), .. }) | None => PlaceState::Unknown,
            };
            let fault = space.and_then(|s| s.fault.as_ref()).map(Fault::to_string);
            let fault = fault.map_or_else(String::new, |fault| format!(": {fault}"));
            (state, format!("in the general tablespace {}{fault}", name.shown()))
        }
        TableLocation::Scratch(name) => {
            let space = spaces.iter().find(|space| space.name == *name);
            let state = match space {
                Some(Tablespace { fault: None, encrypted: true, .. }) => PlaceState::HalfDone,
                Some(Tablespace { fault: None, .. }) => PlaceState::Clear,
                Some(Tablespace { fault: Some(_), .. }) | None => PlaceState::Unknown,
            };
            (state, format!("an interrupted run has left it in the scratch tablespace {}", name.shown()))
        }
        _ => match places.get(table.full_name().as_str()) {
            Some(place) => (place.state, place.about.clone()),
            None => (PlaceState::Unknown, "the server does not say where it is".to_owned()),
        },
    };
    TableRow { schema: table.schema.clone(), name: table.name.clone(), state, bytes: table.bytes, about }
}

/// The tables of one schema.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub(super) struct SchemaRow {
    pub name: String,
    pub encrypted: usize,
    pub encrypted_bytes: u64,
    pub clear: usize,
    pub clear_bytes: u64,
    /// Tables whose state is not known.
    pub unknown: usize,
    /// Tables that store nothing on disk.
    pub unused: usize,
    /// Whether new tables are encrypted; `None` for the server's own schemas.
    pub new_tables: Option<bool>,
}

impl SchemaRow {
    /// Returns a row for each schema, and for those of the server's own that have tables.
    pub(super) fn all(inventory: &Inventory, tables: &[TableRow]) -> Vec<SchemaRow> {
        let mut rows: BTreeMap<&str, SchemaRow> = BTreeMap::new();
        for schema in &inventory.schemas {
            rows.entry(&schema.name).or_default().new_tables = Some(schema.default_encryption);
        }
        for table in tables {
            rows.entry(&table.schema).or_default().add(table);
        }
        rows.into_iter().map(|(name, row)| SchemaRow { name: name.to_owned(), ..row }).collect()
    }

    fn add(&mut self, table: &TableRow) {
        let (count, bytes) = match table.state {
            PlaceState::Encrypted => (&mut self.encrypted, &mut self.encrypted_bytes),
            PlaceState::Clear | PlaceState::HalfDone | PlaceState::Cannot => {
                (&mut self.clear, &mut self.clear_bytes)
            }
            PlaceState::Unknown => return self.unknown += 1,
            PlaceState::Unused => return self.unused += 1,
        };
        *count += 1;
        *bytes = bytes.saturating_add(table.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_counts_each_of_its_tables_once() {
        use PlaceState::{Clear, Encrypted, Unknown, Unused};
        let mut sum = SchemaRow::default();
        for (state, bytes) in [(Encrypted, 10), (Encrypted, 5), (Clear, 7), (Unknown, 1), (Unused, 3)] {
            let (schema, name) = ("clinic".to_owned(), "t".to_owned());
            sum.add(&TableRow { schema, name, state, bytes, about: String::new() });
        }
        let row = SchemaRow {
            encrypted: 2,
            encrypted_bytes: 15,
            clear: 1,
            clear_bytes: 7,
            unknown: 1,
            unused: 1,
            ..SchemaRow::default()
        };
        assert_eq!(sum, row);
    }
}
