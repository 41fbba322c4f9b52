// SPDX-License-Identifier: GPL-2.0-or-later
//! A table, and the scratch tablespace through which it goes.

use crate::commands::encrypt::direction::Direction;
use crate::server::{DatadirAccess, ScratchName, ScratchTablespace, Table, TableLocation};

/// A table on its way.
pub(super) struct Passage<'a> {
    pub name: &'a ScratchName,
    pub table: &'a Table,
    pub here: &'a DatadirAccess,
    pub direction: Direction,
    /// Whether the table is to be moved in if it is outside.
    pub starts: bool,
}

/// A table in a scratch tablespace.
pub(super) fn inside(schema: &str, name: &str, scratch: &ScratchTablespace) -> Table {
    Table {
        schema: schema.to_owned(),
        name: name.to_owned(),
        place: TableLocation::General(scratch.name.as_str().to_owned()),
        bytes: scratch.bytes,
        parts: Vec::new(),
    }
}
