// SPDX-License-Identifier: GPL-2.0-or-later
//! What rewriting one table means: which way it goes, and why; how long its writers wait; the time and the room.

use super::apply_report::FailedStep;
use super::online::way::{CopyReason, Way};
use super::online::{Choice, Online};
use super::{room, sizes};
use crate::server::{Inventory, Table};
use serde::Serialize;
use std::time::Duration;

/// How long a writer waits at most at the end of an online statement, apart from locks that others hold. Measured with two
/// writers on a busy machine: 0.6 s.
const MOMENT: u64 = 1;

/// What rewriting a table means.
#[derive(Serialize)]
pub(super) struct TablePlan {
    pub table: String,
    pub bytes: u64,
    pub way: PlannedWay,
    /// Why it is copied, or fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<CopyReason>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What MySQL has for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<&'static str>,
    /// How long it takes.
    pub seconds: u64,
    /// How long writers wait at most, apart from locks that others hold.
    pub writers_wait_seconds: u64,
    /// Whether readers wait as long as writers.
    pub readers_wait: bool,
    /// The room for the copy.
    pub needed_bytes: u64,
    /// The room for temporary files.
    pub temporary_bytes: u64,
}

/// How apply treats a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PlannedWay {
    /// Its writers go on.
    Online,
    /// Its writers wait.
    Copy,
    /// It cannot go online, and nothing else was allowed.
    Fails,
}

impl PlannedWay {
    fn word(self) -> &'static str {
        match self {
            PlannedWay::Online => "online",
            PlannedWay::Copy => "copy",
            PlannedWay::Fails => "fails",
        }
    }
}

impl TablePlan {
    /// Plans for tables, at `rate` bytes per second.
    pub(super) fn all(
        tables: &[&Table],
        choice: &Choice,
        inventory: &Inventory,
        rate: u64,
    ) -> Vec<TablePlan> {
        let plan = |table: &&Table| TablePlan::of(table, choice, choice.way(table, inventory), rate);
        tables.iter().map(plan).collect()
    }

    fn of(table: &Table, choice: &Choice, way: Way, rate: u64) -> TablePlan {
        let (way, reason) = match way {
            Way::Online => (PlannedWay::Online, None),
            Way::Copy { why } if choice.online == Online::Always => (PlannedWay::Fails, Some(why)),
            Way::Copy { why } => (PlannedWay::Copy, Some(why)),
        };
        // Three online statements take as long as one copy, because they sort the entries of secondary indexes.
        let seconds = table.bytes.div_ceil(rate.max(1));
        TablePlan {
            table: table.full_name(),
            bytes: table.bytes,
            way,
            reason,
            why: reason.map(|why| why.to_string()),
            instead: reason.and_then(CopyReason::instead),
            seconds: if way == PlannedWay::Fails { 0 } else { seconds },
            writers_wait_seconds: match way {
                // The server builds its full-text indexes again.
                PlannedWay::Online if choice.rebuilds_fulltext(table) => seconds,
                PlannedWay::Online => MOMENT.min(seconds),
                PlannedWay::Copy => seconds,
                PlannedWay::Fails => 0,
            },
            readers_wait: way == PlannedWay::Copy && choice.ways.is_copied_under_lock(table),
            needed_bytes: if way == PlannedWay::Fails { 0 } else { room::space_for_copy(table.bytes) },
            temporary_bytes: if way == PlannedWay::Online { choice.temporary.of(table) } else { 0 },
        }
    }

    /// Whether its writers wait while its full-text indexes are built again.
    pub(super) fn rebuilds_fulltext(&self) -> bool {
        self.way == PlannedWay::Online && self.writers_wait_seconds > MOMENT
    }

    /// What the run will say of a table that fails.
    pub(super) fn failure(&self) -> Option<FailedStep> {
        let why = self.why.as_deref().filter(|_| self.way == PlannedWay::Fails)?;
        let instead = self.instead.map_or(String::new(), |instead| format!(". Instead: {instead}"));
        Some(FailedStep {
            what: self.table.clone(),
            why: format!("it cannot be rewritten online: {why}{instead}"),
            by_hand: true,
        })
    }

    /// Its way, time, wait and room, for people.
    pub(super) fn cells(&self) -> [String; 4] {
        let time = |seconds: u64| match seconds {
            0 | 1 => "1 s".to_owned(),
            seconds => sizes::time(Duration::from_secs(seconds)),
        };
        match self.way {
            PlannedWay::Fails => [self.way.word().to_owned(), String::new(), String::new(), String::new()],
            way => [
                way.word().to_owned(),
                time(self.seconds),
                time(self.writers_wait_seconds) + if self.readers_wait { ", and readers" } else { "" },
                sizes::bytes(self.needed_bytes.saturating_add(self.temporary_bytes)),
            ],
        }
    }

    /// Whether its definition, not the server or the run's options, is why its writers wait.
    pub(super) fn is_kept_from_online(&self) -> bool {
        let of_others =
            |why: CopyReason| why.is_server_wide() || matches!(why, CopyReason::Small | CopyReason::NotAsked);
        self.reason.is_some_and(|why| !of_others(why))
    }
}
