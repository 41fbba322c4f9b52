// SPDX-License-Identifier: GPL-2.0-or-later
//! Retires keys that nothing needs, takes that back, and destroys retired keys.

use super::shared::Keyring;
use super::slots::{Renewed, Verifier};
use super::writer::Writer;
use crate::audit::{Event, EventKind};
use crate::error::{BadRequest, Result};
use crate::key::NameRef;
use std::num::NonZeroU64;

impl Keyring {
    /// Marks keys as retired at `at`, in seconds since 1970. They still answer, and their fetches are counted. A key
    /// that is retired keeps its date. All keys are marked, or none.
    ///
    /// # Errors
    /// [`BadRequest::NoSuchKey`]; otherwise as [`Keyring::store`].
    pub fn retire(&self, names: &[NameRef<'_>], at: NonZeroU64) -> Result<()> {
        self.mark_retired(names, Some(at))
    }

    /// Removes the mark of retired keys.
    ///
    /// # Errors
    /// As [`Keyring::retire`].
    pub fn unretire(&self, names: &[NameRef<'_>]) -> Result<()> {
        self.mark_retired(names, None)
    }

    fn mark_retired(&self, names: &[NameRef<'_>], at: Option<NonZeroU64>) -> Result<()> {
        let kind = if at.is_some() { EventKind::KeyRetired } else { EventKind::KeyUnretired };
        let event = of_keys(kind, names);
        self.counted(&event, || {
            self.changing(|writer| {
                self.require(writer, names)?;
                writer.mark_retired(&self.read_memory(), names, at, &event)?;
                let mut memory = self.write_memory();
                for name in names {
                    let before = memory.get(name).and_then(|key| key.retired);
                    memory.set_retired(name, at.map(|at| before.unwrap_or(at)));
                }
                Ok(())
            })
        })
    }

    /// Destroys keys that were retired no later than `by`, in seconds since 1970, and renews the data key in the same
    /// step, as [`Keyring::rekey`] does with `secrets`. All copies must be reached that this keyring was opened to
    /// reach. When this returns, the keys are in none of them (invariant 8). The audit log names `min_wait`, the days
    /// that were waited for.
    ///
    /// # Errors
    /// [`BadRequest::NoSuchKey`]; [`BadRequest::NotRetired`]; otherwise as [`Keyring::rekey`]. Each copy is then in
    /// the state before or after the change.
    pub fn destroy(
        &self,
        names: &[NameRef<'_>],
        by: u64,
        min_wait: u64,
        secrets: &[Verifier],
    ) -> Result<Vec<Renewed>> {
        let may_go = |writer: &mut Writer| {
            self.require(writer, names)?;
            let memory = self.read_memory();
            let retired = |name: &NameRef<'_>| memory.get(name).and_then(|key| key.retired);
            match names.iter().find(|name| retired(name).is_none_or(|at| at.get() > by)) {
                Some(name) => Err(BadRequest::NotRetired { name: name.to_string() }.into()),
                None => Ok(()),
            }
        };
        let event = of_keys(EventKind::KeyDestroyed, names).with("min_wait_days", min_wait);
        self.renew_without(names, may_go, &event, secrets, false)
    }

    /// # Errors
    /// A key does not exist.
    fn require(&self, writer: &mut Writer, names: &[NameRef<'_>]) -> Result<()> {
        match names.iter().find(|name| !self.has_key(writer, name, false)) {
            Some(name) => Err(BadRequest::NoSuchKey { name: name.to_string() }.into()),
            None => Ok(()),
        }
    }
}

/// Such an event of these keys.
fn of_keys(kind: EventKind, names: &[NameRef<'_>]) -> Event {
    let keys: Vec<_> = names.iter().map(ToString::to_string).collect();
    Event::new(kind).with("count", keys.len()).with("keys", keys)
}
