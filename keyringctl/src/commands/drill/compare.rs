// SPDX-License-Identifier: GPL-2.0-or-later
//! Compares what was read of a restored backup with a record of the live server.

use super::outcome::{Comparison, Difference, FailedTable, Moment};
use super::read::{TableName, TableSum};
use super::record::{Record, RecordedTable};
use crate::server::full_name;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Whether two sets of transactions are the same, as their texts say.
pub(super) fn moment(record: &Record, restored: Option<&str>, is_exact: bool) -> Moment {
    let plain = |set: &str| -> String { set.to_ascii_lowercase().split_whitespace().collect() };
    match (&record.gtid_executed, restored.map(plain).filter(|set| !set.is_empty())) {
        _ if is_exact => Moment::Same,
        (Some(recorded), Some(restored)) if plain(recorded) == restored => Moment::Same,
        (Some(_), Some(_)) => Moment::Another,
        _ => Moment::Unknown,
    }
}

/// Compares the tables. Returns also those that must not differ and do. `failed` names tables whose failure is told already.
pub(super) fn compare(
    (record, path): (&Record, &Path),
    sums: &BTreeMap<TableName, TableSum>,
    failed: &[FailedTable],
    moment: Moment,
) -> (Comparison, Vec<FailedTable>) {
    let known: BTreeSet<&str> = failed.iter().map(|failed| failed.table.as_str()).collect();
    let read: BTreeMap<(&str, &str), &TableSum> =
        sums.iter().map(|(table, sum)| ((table.schema.as_str(), table.name.as_str()), sum)).collect();
    let mut comparison = Comparison {
        record: path.to_owned(),
        recorded: record.time,
        moment,
        same: 0,
        differences: Vec::new(),
    };
    let mut wrong = Vec::new();
    for recorded in record.tables.iter().filter(|table| table.error.is_none()) {
        let table = full_name(&recorded.schema, &recorded.name);
        if known.contains(table.as_str()) {
            continue;
        }
        let Some(sum) = read.get(&(recorded.schema.as_str(), recorded.name.as_str())) else {
            wrong
                .push(FailedTable { table, reason: "it is in the record, and not in the backup".to_owned() });
            continue;
        };
        match difference(recorded, sum) {
            None => comparison.same += 1,
            // What is not of the moment of the record may have changed before it.
            Some(what) if moment == Moment::Same && recorded.consistent => {
                wrong.push(FailedTable { table, reason: format!("it differs from the record: {what}") });
            }
            Some(what) => comparison.differences.push(Difference { table, what }),
        }
    }
    (comparison, wrong)
}

fn difference(recorded: &RecordedTable, sum: &TableSum) -> Option<String> {
    if recorded.rows.is_some_and(|rows| rows != sum.rows) {
        return Some(format!("{} rows, {} in the record", sum.rows, recorded.rows.unwrap_or_default()));
    }
    let is_same = recorded.checksum.is_none() || sum.checksum.is_none() || recorded.checksum == sum.checksum;
    (!is_same).then(|| format!("the same number of rows ({}), another checksum", sum.rows))
}

#[cfg(test)]
mod tests {
    use super::super::read::named;
    use super::super::record::sample;
    use super::*;

    fn sums(tables: &[(&str, u64, u64)]) -> BTreeMap<TableName, TableSum> {
        let sum = |(name, rows, checksum): &(&str, u64, u64)| {
            (named("c", name), TableSum { rows: *rows, checksum: Some(*checksum) })
        };
        tables.iter().map(sum).collect()
    }

    #[test]
    fn a_difference_fails_only_at_the_same_moment_and_a_missing_table_always() {
        let record =
            sample(Some("u:1-5"), &[("c", "a", 1, 1), ("c", "b", 2, 2), ("c", "d", 3, 3), ("c", "e", 4, 4)]);
        let read = sums(&[("a", 1, 1), ("b", 9, 2), ("d", 3, 9)]);
        let with = |moment| compare((&record, Path::new("/r")), &read, &[], moment);
        let (comparison, wrong) = with(Moment::Another);
        assert_eq!((comparison.same, comparison.differences.len(), wrong.len()), (1, 2, 1));
        assert!(wrong[0].table == "c.e" && wrong[0].reason.contains("not in the backup"));
        assert!(comparison.differences[0].what.contains("9 rows, 2 in the record"));
        let (comparison, wrong) = with(Moment::Same);
        assert!(comparison.differences.is_empty() && wrong.len() == 3);
        assert!(wrong[1].reason.contains("another checksum"), "{wrong:?}");
        let told = [FailedTable { table: "c.e".to_owned(), reason: "x".to_owned() }];
        assert_eq!(compare((&record, Path::new("/r")), &read, &told, Moment::Same).1.len(), 2);
    }

    #[test]
    fn the_moment_is_known_only_by_transactions() {
        let record = sample(Some("A:1-5"), &[]);
        assert_eq!(moment(&record, Some("a:1-5"), false), Moment::Same);
        assert_eq!(moment(&record, Some("a:1-6"), false), Moment::Another);
        assert_eq!(moment(&record, Some(""), false), Moment::Unknown);
        assert_eq!(moment(&sample(None, &[]), Some("a:1"), false), Moment::Unknown);
        assert_eq!(moment(&sample(None, &[]), None, true), Moment::Same);
    }
}
