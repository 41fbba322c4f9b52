// SPDX-License-Identifier: GPL-2.0-or-later
//! What rewriting one table means: which way it goes, and why.

use super::online::way::{CopyReason, Way, Ways};
use crate::server::{Inventory, Table};
use serde::Serialize;

/// What rewriting a table means.
#[derive(Serialize)]
pub(super) struct TablePlan {
    pub table: String,
    pub bytes: u64,
    /// `online`: it can be written to meanwhile. `copy`: its writers wait.
    pub way: &'static str,
    /// Why it is copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<CopyReason>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl TablePlan {
    pub(super) fn all(tables: &[&Table], ways: &Ways, inventory: &Inventory) -> Vec<TablePlan> {
        let plan = |table: &&Table| TablePlan::of(table, ways.of(table, inventory));
        tables.iter().map(plan).collect()
    }

    fn of(table: &Table, way: Way) -> TablePlan {
        let (name, reason) = match way {
            Way::Online => ("online", None),
            Way::Copy { why } => ("copy", Some(why)),
        };
        TablePlan {
            table: table.full_name(),
            bytes: table.bytes,
            way: name,
            reason,
            why: reason.map(|why| why.to_string()),
        }
    }
}
