// SPDX-License-Identifier: GPL-2.0-or-later
//! How the rewrite of a table ended. The table is looked at again, because statements that succeeded may have done something else
//! than what was asked for.

use super::definition::Definition;
use super::refusal;
use crate::commands::encrypt::direction::Direction;
use crate::commands::encrypt::file_state;
use crate::error::Result;
use crate::server::{DatadirAccess, Table};

/// How a rewrite ended.
pub(crate) enum Rewritten {
    Done,
    Stopped,
    /// It was refused or did not succeed: why, and what to do.
    Failed(String),
}

/// A table's definition before and after, the beginnings of clauses that may have changed, and changes that others made.
pub(crate) type Changes<'a> = (&'a Definition, &'a Definition, &'a [&'a str], &'a [String]);

/// Compares the table, its partitions and files with what was asked for, and with what was there before. `first`: what comes before statements that the administrator runs by hand.
pub(crate) fn look_again(
    table: &Table,
    (before, after, announced, by_others): Changes<'_>,
    here: &DatadirAccess,
    direction: Direction,
    first: &str,
) -> Result<Rewritten> {
    let mut changes = before.changes(after, announced);
    changes.retain(|change| !by_others.contains(change));
    if !changes.is_empty() {
        return Ok(Rewritten::Failed(refusal::changed(table, &changes, first)));
    }
    let others: Vec<&str> = after
        .files
        .iter()
        .filter(|file| !direction.is_reached(file.encrypted))
        .map(|file| file.space.as_str())
        .collect();
    if after.files.is_empty() || !others.is_empty() {
        return Ok(Rewritten::Failed(refusal::not_reached(&others, direction)));
    }
    if direction == Direction::Encrypt {
        for file in &after.files {
            if let Some(why) = file_state::why_not_encrypted(here, &file.path) {
                return Ok(Rewritten::Failed(why));
            }
        }
    }
    Ok(Rewritten::Done)
}
