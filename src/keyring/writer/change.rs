// SPDX-License-Identifier: GPL-2.0-or-later
//! The changes of a keyring.

use super::state::Writer;
use crate::audit::{Event, EventKind};
use crate::error::Result;
use crate::format::FormatError;
use crate::format::crypto::DataKeys;
use crate::format::header::Header;
use crate::format::records::KeyRecord;
use crate::key::NameRef;
use crate::keyring::memory::Memory;
use crate::keyring::replicas::Reach;
use crate::store::vacancy::Vacancy;
use std::num::NonZeroU64;

impl Writer {
    /// Rewrites the copies, unless this program has changed one: then what was read is durable.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub(crate) fn make_durable(&mut self, memory: &Memory) -> Result<()> {
        if !self.copies.none_is_current() {
            return Ok(());
        }
        let open = self.open_copies(memory, Reach::Enough)?;
        self.rewrite(open, Reach::Enough, &Event::new(EventKind::Rewritten), memory.records())
    }

    /// Adds a key: appends it to the copies that are current, and rewrites the others.
    ///
    /// # Errors
    /// If too few copies were reached. Memory must then stay as it is.
    pub(crate) fn add(&mut self, memory: &Memory, record: &KeyRecord<'_>, event: &Event) -> Result<()> {
        let open = self.open_copies(memory, Reach::Enough)?;
        match self.append_base(&open) {
            Some(base) => self.append(open, &base, record, event),
            None => self.rewrite(open, Reach::Enough, event, memory.records().chain([*record])),
        }
    }

    /// Adds keys in one step: rewrites the copies with them.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub(crate) fn add_all(
        &mut self,
        memory: &Memory,
        records: &[KeyRecord<'_>],
        event: &Event,
    ) -> Result<()> {
        let open = self.open_copies(memory, Reach::Enough)?;
        self.rewrite(open, Reach::Enough, event, memory.records().chain(records.iter().copied()))
    }

    /// Removes a key: rewrites the copies without it.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub(crate) fn remove(&mut self, memory: &Memory, name: &NameRef<'_>, event: &Event) -> Result<()> {
        let open = self.open_copies(memory, Reach::Enough)?;
        self.rewrite(open, Reach::Enough, event, memory.records().filter(|r| r.name != *name))
    }

    /// Marks keys as retired, or removes the mark: rewrites the copies. A key that is retired keeps its date.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub(crate) fn mark_retired(
        &mut self,
        memory: &Memory,
        names: &[NameRef<'_>],
        at: Option<NonZeroU64>,
        event: &Event,
    ) -> Result<()> {
        let open = self.open_copies(memory, Reach::Enough)?;
        let marked = memory.records().map(|key| match names.contains(&key.name) {
            true => KeyRecord { retired: at.map(|at| key.retired.unwrap_or(at)), ..key },
            false => key,
        });
        self.rewrite(open, Reach::Enough, event, marked)
    }

    /// Replaces the header: rewrites the copies with the new one.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub(crate) fn change_header(&mut self, memory: &Memory, header: Header, event: &Event) -> Result<()> {
        let open = self.open_copies(memory, Reach::Enough)?;
        self.rewrite_with(open, Reach::Enough, header, None, event, memory.records())
    }

    /// Replaces the data key: rewrites the copies with a header whose slots wrap the new one, and seals all
    /// records again, except those of the keys that are left out.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub(crate) fn rekey(
        &mut self,
        memory: &Memory,
        header: Header,
        keys: DataKeys,
        left_out: &[NameRef<'_>],
        event: &Event,
    ) -> Result<()> {
        let open = self.open_copies(memory, Reach::Enough)?;
        // Remember the new keys from now on, because the write may reach a copy even if it fails.
        let again = keys.try_clone().map_err(|e: FormatError| e.at(self.copies.path(), ""))?;
        self.remember_keys([again]);
        let records = memory.records().filter(|key| !left_out.contains(&key.name));
        self.rewrite_with(open, Reach::Enough, header, Some(keys), event, records)
    }

    /// Creates copies with the same bytes as those that are up to date.
    ///
    /// # Errors
    /// As [`Vacancy::create`].
    pub(crate) fn create_copies(&mut self, memory: &Memory, places: &[Vacancy]) -> Result<()> {
        self.bring_up_to_date(memory, false)?;
        let open = self.open_copies(memory, Reach::Enough)?;
        let bytes = self.verified_bytes(&open, |o| o.same)?;
        places.iter().try_for_each(|place| place.create(&bytes).map(drop))
    }
}
