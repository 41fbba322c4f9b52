// SPDX-License-Identifier: GPL-2.0-or-later
//! The facts of a report: everything that was measured, and why something was not. Their JSON holds all facts of the page.

use super::copies::CopyFacts;
use super::keys::MasterKey;
use super::known::Known;
use super::transit::Transit;
use crate::commands::encrypt::verify::files::FileTotals;
use crate::commands::encrypt::verify::finding::VerifyFinding;
use crate::server::{
    DataPlace, Inventory, PlaceKind, PlaceState, ServerIdentity, ServerKeyring, TableLocation, stores_nothing,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use uuid::Uuid;

/// All facts.
#[derive(Serialize)]
pub(super) struct Facts {
    /// The time of the measurement, in seconds since 1970.
    pub measured: u64,
    /// The version of keyringctl.
    pub program: &'static str,
    pub server: ServerIdentity,
    /// The server's socket or address.
    pub way: String,
    /// Every place, as the server reports it.
    pub places: Vec<DataPlace>,
    pub totals: Totals,
    pub schemas: Vec<SchemaRow>,
    pub keyring: ServerKeyring,
    pub copies: Vec<CopyFacts>,
    /// The server's own keys, the oldest first.
    pub keys: Known<Vec<MasterKey>>,
    pub witness: Known<Option<WitnessFacts>>,
    pub files: Known<FileFacts>,
    pub transit: Transit,
    /// Kinds of places that the administrator accepts as unencrypted.
    pub accepted: Vec<PlaceKind>,
    pub steps: Vec<MeasurementStep>,
}

impl Facts {
    /// Returns whether the administrator accepts unencrypted places of this kind.
    pub(super) fn accepts(&self, kind: PlaceKind) -> bool {
        self.accepted.contains(&kind)
    }
}

/// One step of the measurement.
#[derive(Serialize)]
pub(super) struct MeasurementStep {
    pub what: &'static str,
    pub how: String,
    /// Why it was not done.
    pub not_done: Option<String>,
}

impl MeasurementStep {
    pub(super) fn new<T>(what: &'static str, how: impl Into<String>, known: &Known<T>) -> MeasurementStep {
        MeasurementStep { what, how: how.into(), not_done: known.why_not().map(str::to_owned) }
    }
}

/// The witness in the data directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct WitnessFacts {
    pub id: Uuid,
    pub generation: u64,
}

/// What was found in the server's files, page by page.
#[derive(Serialize)]
pub(super) struct FileFacts {
    #[serde(serialize_with = "crate::show::paths")]
    pub directories: Vec<PathBuf>,
    pub seen: FileTotals,
    /// What is unencrypted in them, or cannot be decrypted with the keyring.
    pub findings: Vec<VerifyFinding>,
}

/// Bytes on disk by their state, as the server reports it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub(super) struct Totals {
    pub encrypted: u64,
    pub clear: u64,
    pub cannot: u64,
    /// Bytes of places that could not be looked at.
    pub unknown: u64,
}

impl Totals {
    pub(super) fn sum(items: &[DataPlace]) -> Totals {
        let mut totals = Totals::default();
        let mut in_system = 0;
        for item in items {
            let add = |sum: &mut u64| *sum = sum.saturating_add(item.bytes);
            match item.state {
                PlaceState::Encrypted => add(&mut totals.encrypted),
                PlaceState::Clear => add(&mut totals.clear),
                PlaceState::Cannot => add(&mut totals.cannot),
                PlaceState::Unknown => add(&mut totals.unknown),
                PlaceState::Unused => {}
            }
            if item.kind == PlaceKind::SystemTable {
                add(&mut in_system);
            }
        }
        // These tables are in the system tablespace, whose size is added too.
        totals.cannot = totals.cannot.saturating_sub(in_system);
        totals
    }

    pub(super) fn all(&self) -> u64 {
        [self.clear, self.cannot, self.unknown].iter().fold(self.encrypted, |sum, n| sum.saturating_add(*n))
    }
}

/// The tables of one schema.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub(super) struct SchemaRow {
    pub name: String,
    pub encrypted: usize,
    pub encrypted_bytes: u64,
    pub clear: usize,
    pub clear_bytes: u64,
    /// Whether new tables are encrypted; `None` for the server's own schemas.
    pub new_tables: Option<bool>,
}

impl SchemaRow {
    /// Returns a row for each schema, and for those of the server's own that have tables. A table in a shared tablespace
    /// has that tablespace's state. Tables that store nothing on disk are left out.
    pub(super) fn all(inventory: &Inventory) -> Vec<SchemaRow> {
        let mut rows: BTreeMap<&str, SchemaRow> = BTreeMap::new();
        for schema in &inventory.schemas {
            rows.entry(&schema.name).or_default().new_tables = Some(schema.default_encryption);
        }
        for table in inventory.tables.iter().filter(|t| !t.is_discarded()) {
            let encrypted = match &table.place {
                TableLocation::Own => table.is_encrypted(),
                TableLocation::General(name) => {
                    inventory.tablespaces.iter().any(|s| s.name == *name && s.encrypted)
                }
                TableLocation::System | TableLocation::Dictionary | TableLocation::Unknown(_) => false,
                TableLocation::Engine(engine) if stores_nothing(engine) => continue,
                TableLocation::Engine(_) => false,
            };
            let row = rows.entry(&table.schema).or_default();
            let (count, bytes) = if encrypted {
                (&mut row.encrypted, &mut row.encrypted_bytes)
            } else {
                (&mut row.clear, &mut row.clear_bytes)
            };
            *count += 1;
            *bytes = bytes.saturating_add(table.bytes);
        }
        rows.into_iter().map(|(name, row)| SchemaRow { name: name.to_owned(), ..row }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Remedy;

    fn item(kind: PlaceKind, bytes: u64, state: PlaceState) -> DataPlace {
        DataPlace { kind, name: String::new(), bytes, state, about: String::new(), remedy: Remedy::None }
    }

    #[test]
    fn a_table_in_the_system_tablespace_is_counted_once() {
        let items = [
            item(PlaceKind::Table, 10, PlaceState::Encrypted),
            item(PlaceKind::SystemTable, 3, PlaceState::Clear),
            item(PlaceKind::SystemTablespace, 12, PlaceState::Cannot),
            item(PlaceKind::OtherEngine, 99, PlaceState::Unused),
            item(PlaceKind::Tablespace, 7, PlaceState::Unknown),
        ];
        let totals = Totals::sum(&items);
        assert_eq!(totals, Totals { encrypted: 10, clear: 3, cannot: 9, unknown: 7 });
        assert_eq!(totals.all(), 29);
    }

    #[test]
    fn sizes_that_a_server_gets_wrong_do_not_overflow() {
        use PlaceState::{Cannot, Clear, Encrypted, Unknown};
        let items: Vec<_> = [Encrypted, Clear, Cannot, Unknown]
            .into_iter()
            .flat_map(|state| {
                [item(PlaceKind::RelayLog, u64::MAX - 294, state), item(PlaceKind::Table, 1000, state)]
            })
            .collect();
        let most = u64::MAX;
        let totals = Totals::sum(&items);
        assert_eq!(totals, Totals { encrypted: most, clear: most, cannot: most, unknown: most });
        assert_eq!(totals.all(), most);
    }
}
