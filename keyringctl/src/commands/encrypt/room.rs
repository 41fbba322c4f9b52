// SPDX-License-Identifier: GPL-2.0-or-later
//! The room that rewriting tables needs: for the new copy of a table on the filesystem of the data directory, and, online, for
//! temporary files of the server elsewhere.

use super::sizes;
use crate::error::{Error, Result};
use crate::server::{DatadirAccess, Inventory, Session, Table};
use crate::show::Shown;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Space for other writes; the copy of a table may also be larger than the table.
const MARGIN: u64 = 64 << 20;
/// What the server keeps of the writes to one table meanwhile, if it does not say it.
const ROW_LOG: u64 = 128 << 20;

/// Returns the space that the copy of a table of `bytes` bytes needs.
pub(super) fn space_for_copy(bytes: u64) -> u64 {
    space_for_copies(&[bytes])
}

/// Returns the space that copies of tables need at the same time.
pub(super) fn space_for_copies(sizes: &[u64]) -> u64 {
    let sum = sizes.iter().map(|bytes| bytes.saturating_add(bytes / 10)).fold(0, u64::saturating_add);
    if sum == 0 { 0 } else { sum.saturating_add(MARGIN) }
}

/// Returns why there is too little space for the copy of a table.
pub(super) fn too_little(table: &Table, here: &DatadirAccess) -> Option<String> {
    let (needed, free) = (space_for_copy(table.bytes), here.free()?);
    (free < needed).then(|| {
        format!(
            "not enough free space for its copy: needs {}, {} are free on the filesystem of the data directory. Free some space",
            sizes::bytes(needed),
            sizes::bytes(free)
        )
    })
}

/// The parts of the space that copies of tables need.
pub(super) fn parts(sizes: &[u64]) -> String {
    let sum = sizes.iter().copied().fold(0, u64::saturating_add);
    format!("{}, 10 % of that, and {} for other writes", sizes::bytes(sum), sizes::bytes(MARGIN))
}

/// Where the server keeps temporary files while it rewrites a table online: the entries of secondary indexes, which it sorts
/// there, and what is written to the table meanwhile.
#[derive(Default)]
pub(super) struct TemporaryFiles {
    /// The directories, one of which it uses.
    directories: Vec<PathBuf>,
    /// How large the log of one table's writes may become.
    row_log: u64,
    /// How much of a table are its secondary indexes, from 0 to 1, as far as the account may know.
    index_shares: BTreeMap<(String, String), f64>,
}

impl TemporaryFiles {
    /// Asks the server.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn query(session: &mut Session, inventory: &Inventory) -> Result<TemporaryFiles> {
        let setting = |name: &str| inventory.settings.get(name).filter(|value| !value.is_empty());
        let directories = setting("innodb_tmpdir").or(setting("tmpdir")).unwrap_or_default();
        let base = Path::new(&inventory.about.datadir);
        let directories = directories.split(':').filter(|d| !d.is_empty()).map(|d| base.join(d)).collect();
        let row_log = setting("innodb_online_alter_log_max_size").and_then(|bytes| bytes.parse().ok());
        let rows: Result<Vec<(String, String, u64, u64)>> = session.rows(
            "SELECT database_name, table_name, clustered_index_size, sum_of_other_index_sizes
             FROM mysql.innodb_table_stats",
        );
        let rows = match rows {
            // Without that privilege, a table is taken to consist of nothing else.
            Err(Error::Server(refused)) if refused.code != 0 => Vec::new(),
            rows => rows?,
        };
        let index_shares = rows
            .into_iter()
            .map(|(schema, table, clustered, others)| ((schema, table), share(clustered, others)))
            .collect();
        Ok(TemporaryFiles { directories, row_log: row_log.unwrap_or(ROW_LOG), index_shares })
    }

    /// Returns the bytes that these files of a table may need.
    pub(super) fn of(&self, table: &Table) -> u64 {
        let share = self.index_shares.get(&(table.schema.clone(), table.name.clone()));
        // The statistics are older than the table.
        let sorted = share.map_or(table.bytes, |share| (table.bytes as f64 * share * 1.25) as u64);
        self.row_log.saturating_add(sorted.min(table.bytes))
    }

    /// Returns the directory with the least free space, with that space.
    pub(super) fn free(&self, here: &DatadirAccess) -> Option<(&Path, u64)> {
        let free = self.directories.iter().map(|path| Some((path.as_path(), here.free_at(path)?)));
        free.collect::<Option<Vec<_>>>()?.into_iter().min_by_key(|(_, free)| *free)
    }

    /// Returns why there is too little space for these files of a table.
    pub(super) fn too_little(&self, table: &Table, here: &DatadirAccess) -> Option<String> {
        let (needed, (path, free)) = (self.of(table), self.free(here)?);
        (free < needed).then(|| too_little_temporary(needed, path, free))
    }

    /// Returns what `needed` bytes of these files mean.
    pub(super) fn room(&self, needed: u64, here: &DatadirAccess) -> TemporaryRoom {
        let free = self.free(here);
        let directory = free.map(|(path, _)| path).or(self.directories.first().map(PathBuf::as_path));
        TemporaryRoom {
            directory: directory.map(Path::to_owned).unwrap_or_default(),
            needed_bytes: needed,
            free_bytes: free.map(|(_, free)| free),
            with_data: directory.is_some_and(|path| here.is_on_its_filesystem(path)),
        }
    }
}

/// The room for temporary files.
#[derive(Serialize)]
pub(super) struct TemporaryRoom {
    /// The directory that has the least free space of those that the server may use.
    #[serde(serialize_with = "crate::show::path")]
    pub directory: PathBuf,
    pub needed_bytes: u64,
    /// `None` if it is not on this machine.
    pub free_bytes: Option<u64>,
    /// Whether it is on the filesystem of the data directory.
    pub with_data: bool,
}

/// Says that there is too little space for temporary files, and what to do.
pub(super) fn too_little_temporary(needed: u64, path: &Path, free: u64) -> String {
    format!(
        "not enough free space for temporary files: {} may be needed in {}, where {} are free. Free some space there, or let the server use another directory, SET GLOBAL innodb_tmpdir = '/path', or copy tables, while their writers wait, with --online never",
        sizes::bytes(needed),
        path.shown(),
        sizes::bytes(free)
    )
}

fn share(clustered: u64, others: u64) -> f64 {
    match clustered.saturating_add(others) {
        0 => 1.0,
        all => others as f64 / all as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{PartPlace, TableLocation};

    #[test]
    fn copies_that_exist_at_the_same_time_need_the_sum_of_their_space() {
        assert_eq!(space_for_copy(0), 0);
        assert_eq!(space_for_copy(1000), 1100 + MARGIN);
        assert_eq!(space_for_copies(&[1000, 500]), 1650 + MARGIN);
        assert_eq!(space_for_copies(&[u64::MAX, 1]), u64::MAX);
    }

    #[test]
    fn temporary_files_hold_the_secondary_indexes_and_what_is_written_meanwhile() {
        let table = |name: &str| Table {
            schema: "d".to_owned(),
            name: name.to_owned(),
            place: TableLocation::Own,
            bytes: 1_000_000,
            parts: vec![crate::server::Part {
                name: None,
                place: PartPlace::Own { encrypted: false },
                bytes: 1_000_000,
            }],
        };
        let shares = [("half", share(50, 50)), ("none", share(9, 0)), ("most", share(1, 9))];
        let temporary = TemporaryFiles {
            directories: vec![PathBuf::from("/")],
            row_log: 7,
            index_shares: shares.map(|(name, share)| (("d".to_owned(), name.to_owned()), share)).into(),
        };
        for (name, bytes) in [("half", 625_007), ("none", 7), ("most", 1_000_007), ("unknown", 1_000_007)] {
            assert_eq!(temporary.of(&table(name)), bytes, "{name}");
        }
        assert_eq!(temporary.too_little(&table("half"), &DatadirAccess::Elsewhere), None);
        let text = too_little_temporary(2_000_000, Path::new("/tmp/x"), 1_000_000);
        assert!(text.contains("2.0 MB may be needed in /tmp/x, where 1.0 MB are free"), "{text}");
    }
}
