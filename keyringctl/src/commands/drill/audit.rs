// SPDX-License-Identifier: GPL-2.0-or-later
//! The line about a drill in the audit log: the single place for it.

use super::outcome::Outcome;
use crate::commands::audit_trail;
use crate::show::Shown;
use keyring_external::audit::{Event, EventKind};

/// Adds the result to the audit log, if there is one. The drill's keyring is a copy: the line belongs to none.
pub(super) fn tell(outcome: &Outcome) {
    let Some(log) = audit_trail::log() else { return };
    let result = if outcome.passed { "passed" } else { "failed" };
    let event = Event::new(EventKind::Drill)
        .with("result", result)
        .with("backup", outcome.backup.exact())
        .with("tables", outcome.tables)
        .with("rows", outcome.rows);
    // A log that cannot be written has told so.
    let _ = log.write(None, &event);
}
