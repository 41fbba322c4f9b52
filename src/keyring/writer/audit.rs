// SPDX-License-Identifier: GPL-2.0-or-later
//! The lines of the audit log: one before each change, which notes it, and one for whatever else happens.

use super::audit_state::CopyState;
use super::state::Writer;
use crate::audit::{AuditLog, Event, EventKind, Of, hex};
use crate::error::{BadRequest, Error, Result};
use crate::format::audit_key::AuditKey;
use crate::format::crypto::DataKeys;
use crate::format::log_note::LogNote;
use crate::keyring::replicas::Standing;
use std::sync::Arc;

impl Writer {
    /// Writes lines to this log from now on. Whoever says in the log that the keyring was opened names its copies.
    pub(crate) fn audit_to(&mut self, log: Arc<AuditLog>) {
        self.audit.log = Some(log);
        self.audit.copies = vec![CopyState::UpToDate; self.copies.members().len()];
    }

    /// Writes a line for each copy of which something else is known than before. Must not be called for a status query,
    /// which waits for nothing.
    pub(crate) fn record_copies(&mut self) {
        if self.audit.log.is_none() {
            return;
        }
        let mut known = std::mem::take(&mut self.audit.copies);
        known.resize(self.copies.members().len(), CopyState::UpToDate);
        let mut events = Vec::new();
        for (member, known) in self.copies.members().iter().zip(&mut known) {
            let (now, why) = match member.standing() {
                Standing::Current | Standing::Read => (CopyState::UpToDate, None),
                Standing::Behind => (CopyState::Behind, None),
                Standing::Out(why) | Standing::Changed(why) => (CopyState::Detached, Some(why)),
            };
            let before = std::mem::replace(known, now);
            let kind = match (before, now) {
                (CopyState::Detached, CopyState::Detached) => continue,
                (_, CopyState::Detached) => EventKind::CopyDetached,
                (CopyState::Detached, _) => EventKind::CopyAttached,
                (CopyState::Behind, CopyState::UpToDate) => EventKind::CopyUpdated,
                _ => continue,
            };
            let event = Event::new(kind).with("copy", member.copy().path().display().to_string());
            events.push(why.iter().fold(event, |event, why| event.with("why", why.as_str())));
        }
        self.audit.copies = known;
        for event in &events {
            self.record(event);
        }
    }

    /// The log.
    pub(crate) fn audit_log(&self) -> Option<&Arc<AuditLog>> {
        self.audit.log.as_ref()
    }

    /// Allows a renewal of the data key that the log does not learn of.
    pub(crate) fn allow_rekey_without_log(&mut self) {
        self.audit.rekey_without_log = true;
    }

    /// Whether a line announced a change since this was last asked.
    pub(crate) fn take_announced(&mut self) -> bool {
        std::mem::take(&mut self.audit.was_announced)
    }

    /// Writes a line about the present state.
    pub(crate) fn record(&self, event: &Event) -> Option<LogNote> {
        let log = self.audit.log.as_ref()?;
        log.write(self.of(self.commit.generation).as_ref(), event)
    }

    fn of(&self, generation: u64) -> Option<Of> {
        // Without memory for the key, the line has no MAC, and the next one authenticates it.
        let key = Arc::new(AuditKey::of(&self.keys).ok()?);
        Some(Of { keyring: self.header.id, key, generation, note: self.commit.note })
    }

    /// Announces a change that is about to be written. Returns what it must note: this line, or what was noted before if
    /// there is no log or it cannot be written.
    pub(super) fn announce(&mut self, event: &Event, generation: u64) -> Option<LogNote> {
        let log = self.audit.log.as_ref().map(Arc::clone);
        self.audit.announced = log.and_then(|log| log.write(self.of(generation).as_ref(), event));
        self.audit.was_announced |= self.audit.announced.is_some();
        self.audit.announced.or(self.commit.note)
    }

    /// Announces a renewal of the data key. The line keeps the audit key, wrapped under the new one.
    ///
    /// # Errors
    /// The keyring notes a log that this line did not reach; no memory or no randomness.
    pub(super) fn announce_rekey(
        &mut self,
        event: Event,
        generation: u64,
        new: &DataKeys,
    ) -> Result<Option<LogNote>> {
        let wrapped = || AuditKey::of(new)?.wrap(&AuditKey::of(&self.keys)?, &self.header.id);
        let wrapped = wrapped().map_err(|e| e.at(self.copies.path(), ""))?;
        let note = self.announce(&event.with("earlier_key", hex(&wrapped)), generation);
        let reached = self.audit.announced.map(|line| line.log);
        match self.commit.note {
            Some(noted) if reached != Some(noted.log) && !self.audit.rekey_without_log => {
                let path = self.audit.log.as_ref().map(|log| log.path().to_owned());
                let e = Error::BadRequest(BadRequest::AuditLogNotReached { log: path });
                self.conclude::<()>(Err(e))?;
                Ok(None)
            }
            _ => Ok(note),
        }
    }

    /// Ends what [`Writer::announce`] began: a change that did not succeed gets a line that says so.
    pub(super) fn conclude<R>(&mut self, done: Result<R>) -> Result<R> {
        let (Some(line), Some(log)) = (self.audit.announced.take(), &self.audit.log) else { return done };
        match &done {
            Ok(_) => log.confirm(line),
            Err(e) => {
                let failed =
                    Event::new(EventKind::ChangeFailed).with("line", line.seq).with("why", e.to_string());
                let _ = log.write(self.of(self.commit.generation).as_ref(), &failed);
            }
        }
        done
    }
}
