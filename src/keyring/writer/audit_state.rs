// SPDX-License-Identifier: GPL-2.0-or-later
//! What a writer knows of its audit log.

use crate::audit::AuditLog;
use crate::format::log_note::LogNote;
use std::sync::Arc;

/// The log of a writer.
#[derive(Debug, Default)]
pub(super) struct Audit {
    pub log: Option<Arc<AuditLog>>,
    /// The line that announced the change in progress.
    pub announced: Option<LogNote>,
    /// Whether a line announced a change since this was last asked.
    pub was_announced: bool,
    /// The copies as the log knows them, by their place in the configuration.
    pub copies: Vec<CopyState>,
    /// Whether the data key may be renewed although the log cannot keep the earlier key.
    pub rekey_without_log: bool,
}

/// What the log says of a copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CopyState {
    UpToDate,
    Behind,
    Detached,
}
