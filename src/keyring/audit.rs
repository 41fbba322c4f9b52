// SPDX-License-Identifier: GPL-2.0-or-later
//! The audit log of an open keyring.

use super::shared::Keyring;
use crate::audit::{AuditLog, Event, EventKind};
use crate::error::Result;
use crate::format::audit_key::AuditKey;
use crate::format::log_note::LogNote;
use std::sync::Arc;

impl Keyring {
    /// Announces every change in this log from now on, before it is made.
    pub fn audit_to(&self, log: Arc<AuditLog>) {
        self.lock_writer().audit_to(log);
    }

    /// The audit log.
    pub fn audit_log(&self) -> Option<Arc<AuditLog>> {
        self.lock_writer().audit_log().cloned()
    }

    /// Writes a line about something that is no change of the keyring. Without a log, this does nothing; a log that cannot
    /// be written has told so.
    pub fn record(&self, event: &Event) {
        self.lock_writer().record(event);
    }

    /// What the keyring notes: the last line of the audit log that announced a change.
    pub fn log_note(&self) -> Option<LogNote> {
        self.lock_writer().commit().note
    }

    /// The key that authenticates lines now.
    ///
    /// # Errors
    /// No memory.
    pub fn audit_key(&self) -> Result<AuditKey> {
        let writer = self.lock_writer();
        AuditKey::of(writer.keys()).map_err(|e| e.at(writer.path(), ""))
    }

    /// Allows [`Keyring::rekey`] although the audit log that the keyring notes cannot be reached. Lines from before are then
    /// authenticated by the lines after them only.
    pub fn allow_rekey_without_audit_log(&self) {
        self.lock_writer().allow_rekey_without_log();
    }

    /// Makes a change. If it is refused before a line announced it, a line says so.
    pub(super) fn recording<R>(&self, event: &Event, change: impl FnOnce() -> Result<R>) -> Result<R> {
        let done = change();
        let Err(e) = &done else { return done };
        let mut writer = self.lock_writer();
        // Otherwise its announcement is followed by a line about its failure.
        if writer.audit_log().is_some() && !writer.take_announced() {
            let refused = Event::new(EventKind::Refused).with("change", event.kind().name());
            let refused =
                event.fields().iter().cloned().fold(refused, |e, (name, value)| e.with(name, value));
            writer.record(&refused.with("why", e.to_string()));
        }
        done
    }
}
