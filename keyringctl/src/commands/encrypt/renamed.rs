// SPDX-License-Identifier: GPL-2.0-or-later
//! Tables that somebody renames while a run is at work: they are told from those that are dropped.

use crate::error::Result;
use crate::server::{Session, Table};
use crate::show::Shown;
use std::collections::HashMap;

/// The numbers of tables' own files, which a table keeps when it is renamed.
pub(super) struct FileNumbers(HashMap<String, u64>);

impl FileNumbers {
    /// Asks the server, once for all tables.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn query(session: &mut Session) -> Result<FileNumbers> {
        let rows: Vec<(String, u64)> = session.rows(
            "SELECT NAME, SPACE FROM information_schema.INNODB_TABLESPACES WHERE SPACE_TYPE = 'Single'",
        )?;
        Ok(FileNumbers(rows.into_iter().collect()))
    }

    /// Returns why a table that no longer exists is not done with: it has got another name. `None`: it has been dropped.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn renamed(&self, session: &mut Session, table: &Table) -> Result<Option<String>> {
        let whole = format!("{}/{}", table.schema, table.name);
        let is_its = |name: &str| {
            let rest = name.get(..whole.len()).filter(|start| *start == whole).and(name.get(whole.len()..));
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.get(..3).is_some_and(|p| p.eq_ignore_ascii_case("#p#"))
            })
        };
        let Some(number) = self.0.iter().find_map(|(name, number)| is_its(name).then_some(number)) else {
            return Ok(None);
        };
        let now: Option<String> = session.first(&format!(
            "SELECT NAME FROM information_schema.INNODB_TABLESPACES WHERE SPACE = {number}"
        ))?;
        Ok(now.map(|name| {
            format!(
                "somebody has renamed it: the server calls it {} now. It is as it was. Run this for the new name",
                name.replacen('/', ".", 1).shown()
            )
        }))
    }
}
