// SPDX-License-Identifier: GPL-2.0-or-later
//! The time and the space that encrypting needs.

use super::sizes;
use crate::server::{DatadirAccess, Inventory, Table, TablespaceKind};
use serde::Serialize;

/// Space for other writes; the copy of a table may also be larger than the table.
const MARGIN: u64 = 64 << 20;

/// The time and space that encrypting needs.
#[derive(Serialize)]
pub(super) struct Estimate {
    /// Bytes of tables to copy.
    pub copied_bytes: u64,
    /// Bytes of tablespaces to encrypt in place.
    pub in_place_bytes: u64,
    pub seconds: u64,
    pub assumed_bytes_per_second: u64,
    /// Bytes that must be free for the copy of the largest table.
    pub needed_bytes: u64,
    /// `None` if the data directory is not on this machine.
    pub free_bytes: Option<u64>,
    pub largest_table: Option<String>,
    /// The size of that table.
    pub largest_bytes: u64,
    /// Tables with foreign keys in either direction: statements on the tables they refer to wait too.
    pub tables_with_foreign_keys: usize,
}

impl Estimate {
    /// Estimates the copying of `tables` and the encryption of all unencrypted tablespaces.
    pub(super) fn new(inventory: &Inventory, tables: &[&Table], here: &DatadirAccess, rate: u64) -> Estimate {
        let largest = tables.iter().max_by_key(|t| t.bytes);
        let copied_bytes = tables.iter().map(|t| t.bytes).fold(0, u64::saturating_add);
        let in_place_bytes = inventory
            .tablespaces
            .iter()
            .filter(|s| matches!(s.kind, TablespaceKind::Mysql | TablespaceKind::General) && !s.encrypted)
            .map(|s| s.bytes)
            .fold(0, u64::saturating_add);
        Estimate {
            copied_bytes,
            in_place_bytes,
            seconds: copied_bytes.saturating_add(in_place_bytes).div_ceil(rate.max(1)),
            assumed_bytes_per_second: rate,
            needed_bytes: space_for_copy(largest.map_or(0, |t| t.bytes)),
            free_bytes: here.free(),
            largest_table: largest.map(|t| t.full_name()),
            largest_bytes: largest.map_or(0, |t| t.bytes),
            tables_with_foreign_keys: tables
                .iter()
                .filter(|t| inventory.related(&t.schema, &t.name) > 0)
                .count(),
        }
    }

    /// The same for a run that encrypts only tables.
    pub(super) fn without_tablespaces(self) -> Estimate {
        let seconds = self.copied_bytes.div_ceil(self.assumed_bytes_per_second.max(1));
        Estimate { in_place_bytes: 0, seconds, ..self }
    }

    /// The parts of the space for the largest table's copy.
    pub(super) fn parts(&self) -> String {
        format!(
            "its {}, 10 % of that, and {} for other writes",
            sizes::bytes(self.largest_bytes),
            sizes::bytes(MARGIN)
        )
    }
}

/// Returns the space that the copy of a table of `bytes` bytes needs.
pub(super) fn space_for_copy(bytes: u64) -> u64 {
    if bytes == 0 { 0 } else { bytes.saturating_add(bytes / 10).saturating_add(MARGIN) }
}
