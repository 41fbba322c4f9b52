// SPDX-License-Identifier: GPL-2.0-or-later
//! A row format that the definition does not name would become the server's present default when the table is rewritten.

use super::definition::Definition;
use crate::commands::encrypt::job::Job;
use crate::error::Result;
use crate::server::{Table, quoted_text};

/// Returns the clause that keeps a table's row format; empty if it needs none.
pub(crate) fn kept(job: &mut Job<'_>, table: &Table, before: &Definition) -> Result<String> {
    if let Some(format) = before.row_format()
        && !is_named(job, table)?
        && job
            .watch
            .variable("innodb_default_row_format")?
            .is_some_and(|default| !default.eq_ignore_ascii_case(&format))
    {
        return Ok(format!("ROW_FORMAT = {format}, "));
    }
    Ok(String::new())
}

/// Whether a table was created with a row format, or a block size that implies one.
fn is_named(job: &mut Job<'_>, table: &Table) -> Result<bool> {
    let options: Option<Option<String>> = job.watch.first(&format!(
        "SELECT CREATE_OPTIONS FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        quoted_text(&table.schema),
        quoted_text(&table.name)
    ))?;
    let options = options.flatten().unwrap_or_default().to_lowercase();
    Ok(options.contains("row_format=") || options.contains("key_block_size="))
}
