// SPDX-License-Identifier: GPL-2.0-or-later
//! Rewrites one table, online or by COPY, so that it lies in encrypted or unencrypted tablespaces. Nothing else may change.
//! Afterwards the table is looked at again, because a statement that succeeded may have done something else than what was asked
//! for.

mod by_copy;
pub(super) mod clauses;
pub(super) mod copying;
pub(super) mod definition;
pub(super) mod ended;
mod generated;
pub(super) mod own_session;
pub(super) mod refusal;
pub(super) mod row_format;
pub(super) mod strictly;

pub(super) use ended::Rewritten;

use super::direction::Direction;
use super::job::{Job, Step};
use super::online::{self, Attempt, fulltext};
use crate::error::Result;
use crate::server::{DatadirAccess, Table, quoted_text};

/// Rewrites `table`.
///
/// # Errors
/// What the server answers if it is not about the table's definition: a lock that cannot be had, a table that is gone.
pub(super) fn rewrite(
    job: &mut Job<'_>,
    table: &Table,
    here: &DatadirAccess,
    direction: Direction,
) -> Result<Rewritten> {
    let had = histograms(job, table)?;
    let ended = match online::attempt(job, table, here, direction)? {
        Attempt::Ended(ended) => ended,
        Attempt::Copy => by_copy::copy(job, table, here, direction)?,
    };
    if job.online.rebuild_fulltext
        && !matches!(ended, Rewritten::Stopped)
        && let Step::Stopped = fulltext::restore(job, table)?
    {
        return Ok(Rewritten::Stopped);
    }
    if matches!(ended, Rewritten::Done) && !had.is_empty() {
        let has = histograms(job, table)?;
        let lost: Vec<_> = had.into_iter().filter(|column| !has.contains(column)).collect();
        if !lost.is_empty() {
            job.print_line(format_args!(
                "NOTE    {}: the server dropped the histograms of {}: MySQL keeps none of encrypted tables, because they hold values",
                table.full_name(),
                lost.join(", ")
            ));
        }
    }
    Ok(ended)
}

/// The columns that the optimizer has histograms of.
fn histograms(job: &mut Job<'_>, table: &Table) -> Result<Vec<String>> {
    job.watch.rows(&format!(
        "SELECT COLUMN_NAME FROM information_schema.COLUMN_STATISTICS WHERE SCHEMA_NAME = {} AND TABLE_NAME = {} ORDER BY 1",
        quoted_text(&table.schema),
        quoted_text(&table.name)
    ))
}
