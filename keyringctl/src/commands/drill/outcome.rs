// SPDX-License-Identifier: GPL-2.0-or-later
//! The result of a drill.

use crate::commands::output::{Output, counted, time};
use crate::commands::verdict::Verdict;
use crate::show::Shown;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use uuid::Uuid;

/// The most tables that the text names.
const MOST_LINES: usize = 50;

/// A table that cannot be restored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::commands) struct FailedTable {
    /// Its name, `schema.table`.
    pub table: String,
    pub reason: String,
}

/// A table that differs from the record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Difference {
    pub table: String,
    pub what: String,
}

/// Whether the backup is of the same moment as the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Moment {
    /// The same transactions were committed, or the administrator says so.
    Same,
    /// Other transactions were committed.
    Another,
    /// The server writes no GTIDs, so that it cannot be told.
    Unknown,
}

/// The comparison with a record.
#[derive(Serialize)]
pub(super) struct Comparison {
    #[serde(serialize_with = "crate::show::path")]
    pub record: PathBuf,
    /// When the record was made, in seconds since 1970.
    pub recorded: u64,
    pub moment: Moment,
    /// How many tables are as in the record.
    pub same: usize,
    /// Tables that differ although they may: they were changed between the record and the backup.
    pub differences: Vec<Difference>,
}

/// The result of a drill.
#[derive(Serialize)]
pub(super) struct Outcome {
    /// Whether every table was read, and nothing differs from the record that must not.
    pub passed: bool,
    #[serde(serialize_with = "crate::show::path")]
    pub backup: PathBuf,
    /// `datadir` or `dump`.
    pub kind: &'static str,
    /// The keyring; none for a dump that was loaded without one.
    pub keyring: Option<UsedKeyring>,
    pub mysqld: String,
    /// How the temporary server was kept apart.
    pub apart: String,
    /// Whether the server recovered data of a server that was not shut down.
    pub recovered: bool,
    /// How many tables were read.
    pub tables: usize,
    pub rows: u64,
    pub failed: Vec<FailedTable>,
    /// Why the server did not start, or files failed that belong to no single table.
    pub faults: Vec<String>,
    pub comparison: Option<Comparison>,
    pub notes: Vec<String>,
    pub seconds: u64,
    /// The file that the result was added to.
    #[serde(serialize_with = "crate::show::optional_path")]
    pub history: Option<PathBuf>,
}

/// The keyring of a drill.
#[derive(Clone, Serialize)]
pub(super) struct UsedKeyring {
    #[serde(serialize_with = "crate::show::path")]
    pub path: PathBuf,
    pub id: Uuid,
    pub generation: u64,
}

impl Outcome {
    pub(super) fn verdict(&self) -> Verdict {
        if self.passed { Verdict::Fine } else { Verdict::NotFine }
    }

    pub(super) fn print(&self, out: &mut Output) {
        let backup = self.backup.shown();
        let mut lines = 0;
        for failed in &self.failed {
            lines += 1;
            if lines <= MOST_LINES {
                out.line(format_args!("FAILED   {}: {}", failed.table, failed.reason));
            }
        }
        if lines > MOST_LINES {
            out.line(format_args!("... and {} more: --json lists all of them", lines - MOST_LINES));
        }
        for fault in &self.faults {
            out.line(format_args!("FAILED   {fault}"));
        }
        if let Some(comparison) = &self.comparison {
            comparison.print(out);
        }
        for note in &self.notes {
            out.line(format_args!("note: {note}"));
        }
        out.field("backup", format_args!("{backup} ({})", self.kind));
        match &self.keyring {
            Some(used) => out.field(
                "keyring",
                format_args!("{}, generation {}, at {}", used.id, used.generation, used.path.shown()),
            ),
            None => out.field("keyring", "a new one, for the drill only"),
        }
        let recovered = if self.recovered { ", after crash recovery" } else { "" };
        out.field("server", format_args!("MySQL {}, {}{recovered}", self.mysqld, self.apart));
        if let Some(history) = &self.history {
            out.field("history", history.shown());
        }
        let all = self.tables + self.failed.len();
        let (rows, seconds) =
            (counted(usize::try_from(self.rows).unwrap_or(usize::MAX), "row"), self.seconds);
        out.line(match self.passed {
            true => format!(
                "OK       {} read, {rows}, in {seconds} s: {backup} can be restored",
                counted(all, "table")
            ),
            false => format!(
                "FAILED   {} of {} read, {rows}, in {seconds} s: see above",
                self.tables,
                counted(all, "table")
            ),
        });
    }
}

impl Comparison {
    fn print(&self, out: &mut Output) {
        let of = format!("the record {} of {}", self.record.shown(), time(self.recorded));
        for (i, difference) in self.differences.iter().enumerate() {
            if i < MOST_LINES {
                out.line(format_args!("differs  {}: {}", difference.table, difference.what));
            }
        }
        if !self.differences.is_empty() {
            let why = match self.moment {
                Moment::Another => {
                    "The backup holds other transactions than the record, so that tables may differ"
                }
                Moment::Unknown | Moment::Same => {
                    "It cannot be told whether the backup is of the moment of the record, so that tables may differ. If it is, \
                     --exact makes every difference a failure"
                }
            };
            out.line(format_args!("note: {} from {of}. {why}", differ(self.differences.len())));
        }
        out.field("record", format_args!("{} as in {of}", counted(self.same, "table")));
    }
}

fn differ(tables: usize) -> String {
    counted(tables, "table") + if tables == 1 { " differs" } else { " differ" }
}
