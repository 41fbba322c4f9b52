// SPDX-License-Identifier: GPL-2.0-or-later
//! Which tables a run rewrites online: what was asked for, and what the server allows.

use super::way::Ways;
use clap::ValueEnum;

/// From this size on, a table is rewritten online without being asked for. COPY takes less than half a second for smaller ones
/// on a disk that writes 20 MB a second, and its writers wait no longer; online, three statements take longer than one.
pub(in crate::commands::encrypt) const THRESHOLD: u64 = 8 << 20;

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
    pub ways: Ways,
}
