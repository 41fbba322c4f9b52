// SPDX-License-Identifier: GPL-2.0-or-later
//! Which tables a run rewrites online: what was asked for, and what the server allows.

use super::way::{CopyReason, Ways};
use crate::server::Table;
use clap::ValueEnum;

/// From this size on, a table is rewritten online without being asked for. COPY takes less than half a second for smaller ones
/// on a disk that writes 20 MB a second, and its writers wait no longer; online, three statements take longer than one.
pub(super) const THRESHOLD: u64 = 8 << 20;

/// Whether tables are rewritten online.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(in crate::commands::encrypt) enum Online {
    /// Larger tables are, if the server allows it.
    #[default]
    Auto,
    /// All are. One that the server does not allow it for fails.
    Always,
    /// None is.
    Never,
}

/// What was asked for, and what the server allows.
#[derive(Default)]
pub(in crate::commands::encrypt) struct Choice {
    pub online: Online,
    /// Whether full-text indexes may be dropped, and added again afterwards.
    pub rebuild_fulltext: bool,
    pub ways: Ways,
}

impl Choice {
    /// Whether the full-text indexes of a table are dropped and added again.
    pub(in crate::commands::encrypt) fn rebuilds_fulltext(&self, table: &Table) -> bool {
        let is_online = match self.online {
            Online::Auto => table.bytes >= THRESHOLD,
            Online::Always => true,
            Online::Never => false,
        };
        self.rebuild_fulltext
            && is_online
            && self.ways.why_copy(table, false) == Some(CopyReason::FulltextIndex)
    }
}
