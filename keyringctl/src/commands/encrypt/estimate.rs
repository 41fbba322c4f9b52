// SPDX-License-Identifier: GPL-2.0-or-later
//! The time and the space that encrypting needs.

use super::direction::Direction;
use super::online::way::CopyReason;
use super::room::{self, TemporaryRoom};
use super::sizes;
use super::table_plan::{PlannedWay, TablePlan};
use crate::commands::output::counted;
use crate::server::{DatadirAccess, Inventory, TablespaceKind};
use serde::Serialize;
use std::time::Duration;

pub(super) use super::room::space_for_copy;

/// How many tables that the server keeps from going online are named.
const NAMED: usize = 10;

/// The time and space that encrypting needs.
#[derive(Serialize)]
pub(super) struct Estimate {
    /// Bytes of tables to rewrite, by copying or online.
    pub copied_bytes: u64,
    /// Those of them that are rewritten online.
    pub online_bytes: u64,
    /// Bytes of tablespaces to encrypt in place, or to decrypt.
    pub in_place_bytes: u64,
    #[serde(skip)]
    direction: Direction,
    pub seconds: u64,
    pub assumed_bytes_per_second: u64,
    /// How many tables are rewritten at once.
    pub jobs: usize,
    /// Bytes that must be free on the filesystem of the data directory: for the copies of the largest tables, and for
    /// temporary files if those are there too.
    pub needed_bytes: u64,
    /// The same for one table at a time.
    pub least_bytes: u64,
    /// `None` if the data directory is not on this machine.
    pub free_bytes: Option<u64>,
    pub largest_table: Option<String>,
    /// The size of that table.
    pub largest_bytes: u64,
    /// The sizes of the tables that may be copied at the same time.
    #[serde(skip)]
    largest: Vec<u64>,
    /// The room for temporary files, if tables are rewritten online.
    pub temporary: Option<TemporaryRoom>,
    /// The same for one table at a time.
    #[serde(skip)]
    pub least_temporary: u64,
    /// Tables with foreign keys in either direction: statements on the tables they refer to wait too.
    pub tables_with_foreign_keys: usize,
}

/// What an estimate depends on.
pub(super) struct Assumed<'a> {
    pub here: &'a DatadirAccess,
    pub temporary: &'a room::TemporaryFiles,
    pub jobs: usize,
    pub rate: u64,
    pub direction: Direction,
}

impl Estimate {
    /// Estimates the rewriting of tables and the encryption of all unencrypted tablespaces. `related`: how many of the tables
    /// have foreign keys.
    pub(super) fn new(
        inventory: &Inventory,
        tables: &[TablePlan],
        related: usize,
        assumed: &Assumed<'_>,
    ) -> Estimate {
        let &Assumed { here, temporary, jobs, rate, direction } = assumed;
        let mut done: Vec<_> = tables.iter().filter(|table| table.way != PlannedWay::Fails).collect();
        done.sort_by_key(|table| std::cmp::Reverse(table.bytes));
        let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
        let online = || done.iter().filter(|table| table.way == PlannedWay::Online);
        let largest: Vec<u64> = done.iter().take(jobs).map(|table| table.bytes).collect();
        let mut files: Vec<u64> = online().map(|table| table.temporary_bytes).collect();
        files.sort_unstable_by_key(|bytes| std::cmp::Reverse(*bytes));
        let least_temporary = files.first().copied().unwrap_or(0);
        let at_once = sum(&mut files.iter().take(jobs).copied());
        let temporary = (!files.is_empty()).then(|| temporary.room(at_once, here));
        let with_data = temporary.as_ref().is_some_and(|temporary| temporary.with_data);
        let besides = |bytes: u64| if with_data { bytes } else { 0 };
        let copied_bytes = sum(&mut done.iter().map(|table| table.bytes));
        let in_place_bytes = in_place_bytes(inventory, direction);
        Estimate {
            copied_bytes,
            online_bytes: sum(&mut online().map(|table| table.bytes)),
            in_place_bytes,
            direction,
            seconds: copied_bytes.saturating_add(in_place_bytes).div_ceil(rate.max(1)),
            assumed_bytes_per_second: rate,
            jobs,
            needed_bytes: room::space_for_copies(&largest).saturating_add(besides(at_once)),
            least_bytes: room::space_for_copy(largest.first().copied().unwrap_or(0))
                .saturating_add(besides(least_temporary)),
            free_bytes: here.free(),
            largest_table: done.first().map(|table| table.table.clone()),
            largest_bytes: largest.first().copied().unwrap_or(0),
            largest,
            temporary,
            least_temporary,
            tables_with_foreign_keys: related,
        }
    }

    /// The same for a run that encrypts only tables.
    pub(super) fn without_tablespaces(self) -> Estimate {
        let seconds = self.copied_bytes.div_ceil(self.assumed_bytes_per_second.max(1));
        Estimate { in_place_bytes: 0, seconds, ..self }
    }

    /// The parts of the space for one copy at a time.
    pub(super) fn parts(&self) -> String {
        let parts = format!("its {}", room::parts(&[self.largest_bytes]));
        if self.temporary.as_ref().is_some_and(|temporary| temporary.with_data) {
            format!("{parts}; {} for temporary files", sizes::bytes(self.least_temporary))
        } else {
            parts
        }
    }

    /// Says how long it takes.
    pub(super) fn time(&self) -> String {
        format!(
            "Time: {} to rewrite {} of tables and {} {} of tablespaces, assuming {} per second, on a server with little else to do.",
            match self.seconds {
                0 => "less than a second".to_owned(),
                seconds => format!("about {}", sizes::time(Duration::from_secs(seconds))),
            },
            sizes::bytes(self.copied_bytes),
            self.direction.verb(),
            sizes::bytes(self.in_place_bytes),
            sizes::bytes(self.assumed_bytes_per_second)
        )
    }

    /// Says which room is needed.
    pub(super) fn room(&self) -> Vec<String> {
        let free = |free: Option<u64>| {
            free.map_or_else(
                || "the free space cannot be checked from here".to_owned(),
                |free| format!("{} are free", sizes::bytes(free)),
            )
        };
        let mut lines = Vec::new();
        if let Some(largest) = &self.largest_table {
            let of = match self.largest.len() {
                1 => format!("for the copy of the largest table, {largest}"),
                n => format!("for the copies of the {n} largest tables at once (--jobs)"),
            };
            let files = match &self.temporary {
                Some(temporary) if temporary.with_data => {
                    format!("; {} for temporary files", sizes::bytes(temporary.needed_bytes))
                }
                _ => String::new(),
            };
            lines.push(format!(
                "Disk space: {} on the filesystem of the data directory, {of}: {}{files}; {}.",
                sizes::bytes(self.needed_bytes),
                room::parts(&self.largest),
                free(self.free_bytes)
            ));
        }
        if let Some(temporary) = &self.temporary {
            use crate::show::Shown;
            lines.push(format!(
                "Temporary files: up to {} in {}, for entries of indexes and for what is written meanwhile to a table that is \
                 rewritten online; {}. They are unencrypted (innodb_tmpdir, tmpdir).",
                sizes::bytes(temporary.needed_bytes),
                temporary.directory.shown(),
                free(temporary.free_bytes)
            ));
        }
        lines
    }
}

/// Why reads wait.
const LOCKED: &str = "A table with generated columns, with indexes of expressions, or with backslashes in its definition is copied under LOCK TABLES";

fn about(longest: &TablePlan) -> String {
    let time = match longest.seconds {
        0 | 1 => "a second".to_owned(),
        seconds => sizes::time(Duration::from_secs(seconds)),
    };
    format!("about {time}, for {}", longest.table)
}

/// Says how long writers and readers wait.
pub(super) fn writers(tables: &[TablePlan]) -> Vec<String> {
    let of = |way: PlannedWay| tables.iter().filter(move |table| table.way == way);
    let size = |way: PlannedWay| sizes::bytes(of(way).map(|table| table.bytes).fold(0, u64::saturating_add));
    let mut lines = Vec::new();
    match of(PlannedWay::Online).count() {
        0 => {}
        n => lines.push(format!(
            "Online: {}, {}. Applications read and write them meanwhile; a statement waits for about a second when one of the \
             steps ends.",
            counted(n, "table"),
            size(PlannedWay::Online)
        )),
    }
    if let Some(longest) = tables.iter().filter(|table| table.rebuilds_fulltext()).max_by_key(|t| t.bytes) {
        lines.push(format!(
            "Full-text indexes are dropped, and created again afterwards. Searches fail meanwhile; writes wait while an index \
             is created: about {}, for {}, on a server with little else to do.",
            sizes::time(Duration::from_secs(longest.writers_wait_seconds)),
            longest.table
        ));
    }
    if let Some(longest) = of(PlannedWay::Copy).max_by_key(|table| table.bytes) {
        let copied = of(PlannedWay::Copy).count();
        let locked = || of(PlannedWay::Copy).filter(|table| table.readers_wait);
        let what = format!(
            "Copied: {}, {}. Times are for a server with little else to do; waiting for locks (--lock-wait) comes on top.",
            counted(copied, "table"),
            size(PlannedWay::Copy)
        );
        let wait = "until its copy is complete";
        lines.push(match locked().max_by_key(|table| table.bytes) {
            None => format!(
                "{what} Each can be read meanwhile, but writes to it wait {wait}: {}.",
                about(longest)
            ),
            Some(_) if locked().count() == copied => format!(
                "{what} Reads of each wait {wait}, and so do writes: {}. {LOCKED}.",
                about(longest)
            ),
            Some(of_locked) => format!(
                "{what} Writes to each wait {wait}: {}. Of {}, reads wait too: {}. {LOCKED}. The others can be read meanwhile.",
                about(longest),
                counted(locked().count(), "table"),
                about(of_locked)
            ),
        });
    }
    let server_wide = tables.iter().find(|table| table.reason.is_some_and(CopyReason::is_server_wide));
    if let Some(why) = server_wide.and_then(|table| table.why.as_deref()) {
        lines.push(format!("No table goes online: {why}."));
    }
    let mut kept: Vec<_> = tables.iter().filter(|table| table.is_kept_from_online()).collect();
    kept.sort_by_key(|table| std::cmp::Reverse(table.bytes));
    for table in kept.iter().take(NAMED) {
        let fails = if table.way == PlannedWay::Fails { ", fails" } else { "" };
        let instead = table.instead.map_or(String::new(), |instead| format!(". Instead: {instead}"));
        lines.push(format!(
            "Not online: {}, {}{fails}: {}{instead}.",
            table.table,
            sizes::bytes(table.bytes),
            table.why.as_deref().unwrap_or_default()
        ));
    }
    if kept.len() > NAMED {
        lines.push(format!("Not online: {} more; see --tables.", kept.len() - NAMED));
    }
    lines
}

/// Returns the bytes of tablespaces to encrypt or decrypt in place.
pub(super) fn in_place_bytes(inventory: &Inventory, direction: Direction) -> u64 {
    inventory
        .tablespaces
        .iter()
        .filter(|s| matches!(s.kind, TablespaceKind::Mysql | TablespaceKind::General))
        .filter(|s| !direction.is_reached(s.encrypted))
        .map(|s| s.bytes)
        .fold(0, u64::saturating_add)
}
