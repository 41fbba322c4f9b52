// SPDX-License-Identifier: GPL-2.0-or-later
//! The line about a drill in the audit log: the single place for it.

use super::outcome::Outcome;
use crate::commands::audit_trail;
use crate::show::Shown;
use keyring_external::audit::{Event, EventKind};
use keyring_external::keyring::Keyring;

/// Adds the result to the audit log, if there is one. The line is authenticated with the keyring that the backup belongs to;
/// that of a dump which got a new keyring belongs to none.
pub(super) fn tell(outcome: &Outcome, keyring: Option<&Keyring>) {
    let Some(log) = audit_trail::log() else { return };
    let result = if outcome.passed { "passed" } else { "failed" };
    let event = Event::new(EventKind::Drill)
        .with("result", result)
        .with("backup", outcome.backup.exact())
        .with("tables", outcome.tables)
        .with("rows", outcome.rows);
    match keyring {
        Some(keyring) => {
            keyring.audit_to(log);
            keyring.record(&event);
        }
        // A log that cannot be written has told so.
        None => drop(log.write(None, &event)),
    }
}
