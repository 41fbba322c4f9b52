// SPDX-License-Identifier: GPL-2.0-or-later
//! Settings of the server that are small for tables that are rewritten online. `plan` and `apply` say it before that begins.

use super::sizes;
use super::table_plan::{PlannedWay, TablePlan};
use crate::server::Inventory;

/// MySQL's default. With 8 MiB, a server stood still while four clients wrote to a table that was rewritten online.
const REDO_LOG: u64 = 100 << 20;
/// How many names a line lists.
const MOST: usize = 5;

/// What to change before these tables are rewritten, and why.
pub(super) fn notes(tables: &[TablePlan], inventory: &Inventory) -> Vec<String> {
    let online = tables.iter().filter(|table| table.way == PlannedWay::Online);
    let online: Vec<_> = online.map(|table| (table.table.as_str(), table.bytes)).collect();
    if online.is_empty() {
        return Vec::new();
    }
    let redo = redo_log(inventory.settings.number("innodb_redo_log_capacity"));
    let pool = buffer_pool(inventory.settings.number("innodb_buffer_pool_size"), &online);
    redo.into_iter().chain(pool).collect()
}

/// Servers before 8.0.30 have no such setting.
fn redo_log(capacity: Option<u64>) -> Option<String> {
    let bytes = capacity.filter(|bytes| *bytes < REDO_LOG)?;
    Some(format!(
        "The redo log is small: innodb_redo_log_capacity is {bytes}, less than MySQL's default of {REDO_LOG}. If much is written \
         while a table is rewritten online, the server may fill it and stand still. First run \
         SET GLOBAL innodb_redo_log_capacity = {REDO_LOG}"
    ))
}

fn buffer_pool(pool: Option<u64>, online: &[(&str, u64)]) -> Option<String> {
    let pool = pool?;
    let mut larger: Vec<_> = online.iter().filter(|(_, bytes)| *bytes > pool).collect();
    larger.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let names: Vec<_> = larger.iter().take(MOST).map(|(name, _)| *name).collect();
    let names = match larger.len() {
        0 => return None,
        n if n <= MOST => names.join(", "),
        n => format!("{} and {} more", names.join(", "), n - MOST),
    };
    Some(format!(
        "Larger than the buffer pool (innodb_buffer_pool_size, {}): {names}. A write to such a table may wait for seconds when one \
         of the steps ends, the longer the larger innodb_sort_buffer_size is. To shorten that, see docs/ENCRYPTING.md, 'What \
         applications notice'",
        sizes::bytes(pool)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redo_log_smaller_than_the_default_is_told_with_the_statement_that_raises_it() {
        assert!(redo_log(Some(8 << 20)).unwrap().contains("SET GLOBAL innodb_redo_log_capacity = 104857600"));
        assert_eq!((redo_log(Some(REDO_LOG)), redo_log(None)), (None, None));
    }

    #[test]
    fn tables_larger_than_the_buffer_pool_are_named_the_largest_first() {
        let pool = Some(128 << 20);
        let tables = [("a.small", 134_217_728), ("a.t", 134_217_729), ("a.u", 1 << 40)];
        assert!(buffer_pool(pool, &tables).unwrap().contains("134 MB): a.u, a.t. A write"));
        assert_eq!(buffer_pool(pool, &tables[..1]), None);
    }
}
