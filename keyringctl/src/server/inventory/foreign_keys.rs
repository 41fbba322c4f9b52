// SPDX-License-Identifier: GPL-2.0-or-later
//! References between tables.

use crate::error::Result;
use crate::server::Session;
use serde::Serialize;

/// A reference from one table to another.
#[derive(Clone, Debug, Serialize)]
pub struct ForeignKey {
    /// The table with the foreign key.
    pub child: (String, String),
    /// The table that it refers to.
    pub parent: (String, String),
}

impl ForeignKey {
    /// Whether it begins or ends at that table.
    pub fn joins(&self, schema: &str, table: &str) -> bool {
        [&self.child, &self.parent].iter().any(|(s, t)| s == schema && t == table)
    }
}

/// Returns the references between tables that this account may see.
pub(super) fn all(session: &mut Session) -> Result<Vec<ForeignKey>> {
    let keys: Vec<(String, String, String, String)> = session.rows(
        "SELECT DISTINCT CONSTRAINT_SCHEMA, TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME
         FROM information_schema.REFERENTIAL_CONSTRAINTS",
    )?;
    let keys = keys.into_iter().map(|(schema, table, parent_schema, parent)| ForeignKey {
        child: (schema, table),
        parent: (parent_schema, parent),
    });
    Ok(keys.collect())
}
