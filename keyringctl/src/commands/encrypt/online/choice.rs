// SPDX-License-Identifier: GPL-2.0-or-later
//! Which tables a run rewrites online: what was asked for, and what the server allows.

use super::way::{CopyReason, Way, Ways};
use crate::commands::encrypt::room::TemporaryFiles;
use crate::error::Result;
use crate::server::{Inventory, Session, Table};
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
    pub temporary: TemporaryFiles,
}

impl Choice {
    /// Asks the server what it allows.
    ///
    /// # Errors
    /// What the server answers.
    pub(in crate::commands::encrypt) fn query(
        (online, rebuild_fulltext): (Online, bool),
        session: &mut Session,
        inventory: &Inventory,
    ) -> Result<Choice> {
        let temporary = TemporaryFiles::query(session, inventory)?;
        Ok(Choice { online, rebuild_fulltext, ways: Ways::query(session)?, temporary })
    }

    /// Also says of tables that could go online that they do not, because of the server.
    pub(in crate::commands::encrypt) fn on_server(self, server: Option<CopyReason>) -> Choice {
        Choice { ways: self.ways.on_server(server), ..self }
    }

    /// Returns the way that a table goes in such a run. With `always`, a table that would be copied fails instead.
    pub(in crate::commands::encrypt) fn way(&self, table: &Table, inventory: &Inventory) -> Way {
        match self.online {
            Online::Never => Way::Copy { why: CopyReason::NotAsked },
            Online::Auto if table.bytes < THRESHOLD => Way::Copy { why: CopyReason::Small },
            Online::Auto | Online::Always => match self.ways.of(table, inventory) {
                Way::Copy { why: CopyReason::FulltextIndex } if self.rebuild_fulltext => Way::Online,
                way => way,
            },
        }
    }

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
