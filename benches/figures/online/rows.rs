// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether every row is there: those that writers wrote as the server acknowledged them, all others as they were.

use super::target::Target;
use super::writers::{Rows, WRITERS, patient};
use mysql::prelude::Queryable;
use std::collections::BTreeMap;
use std::path::Path;

/// Number of rows and two sums over them.
type Sum = (u64, u64, u64);

/// The sums of the rows that no writer changes, table by table.
pub fn sums(socket: &Path, targets: &[Target]) -> Result<Vec<Sum>, String> {
    let mut conn = patient(socket)?;
    let sum = |target: &Target| {
        let query = target.sum_of_others(WRITERS);
        let sum: Option<Sum> = conn.query_first(&query).map_err(|e| format!("{query}: {e}"))?;
        sum.ok_or_else(|| format!("{query}: no row"))
    };
    targets.iter().map(sum).collect()
}

/// What is not as it should be; compares with the sums of before and with what was acknowledged.
pub fn wrong(socket: &Path, targets: &[Target], before: &[Sum], rows: &Rows) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    for ((target, before), after) in targets.iter().zip(before).zip(sums(socket, targets)?) {
        if after != *before {
            wrong
                .push(format!("{}: rows that nobody wrote: {before:?} before, {after:?} after", target.name));
        }
    }
    let mut conn = patient(socket)?;
    for (at, target) in targets.iter().enumerate() {
        let none = BTreeMap::new();
        let acknowledged = rows.get(&(at as u16)).unwrap_or(&none);
        let query = target.rows_of_writers(WRITERS);
        let stored = conn.query_iter(&query).map_err(|e| format!("{query}: {e}"))?;
        let (mut found, mut differing, mut unknown) = (0, 0, 0);
        for row in stored {
            let (id, holds): (u64, Option<String>) =
                mysql::from_row_opt(row.map_err(|e| format!("{query}: {e}"))?).map_err(|e| e.to_string())?;
            match acknowledged.get(&id) {
                Some(expected) if Some(expected) == holds.as_ref() => found += 1,
                Some(_) => differing += 1,
                None if id > target.rows && !target.has_others => unknown += 1,
                None => {}
            }
        }
        if found != acknowledged.len() || differing + unknown > 0 {
            wrong.push(format!(
                "{}: {} rows acknowledged, {found} of them there, {differing} with other values, {unknown} that nobody wrote",
                target.name,
                acknowledged.len()
            ));
        }
    }
    Ok(wrong)
}
