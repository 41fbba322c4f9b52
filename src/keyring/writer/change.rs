// SPDX-License-Identifier: GPL-2.0-or-later
//! The changes of a keyring.

use super::state::Writer;
use crate::error::Result;
use crate::format::FormatError;
use crate::format::crypto::DataKeys;
use crate::format::header::Header;
use crate::format::records::KeyRecord;
use crate::key::NameRef;
use crate::keyring::memory::Memory;
use crate::keyring::replicas::Reach;
use crate::store::vacancy::Vacancy;

impl Writer {
    /// Writes the copies whole, unless this program has done so: then what was read is durable.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub(crate) fn make_durable(&mut self, memory: &Memory) -> Result<()> {
        if !self.copies.none_is_current() {
            return Ok(());
        }
        let open = self.open_copies(memory, Reach::Enough)?;
        self.rewrite(open, Reach::Enough, memory.records())
    }

    /// Adds a key: appends it to the copies that a change has reached, and writes the others whole.
    ///
    /// # Errors
    /// When fewer copies than must be reached were, and memory is to stay as it is.
    pub(crate) fn add(&mut self, memory: &Memory, record: &KeyRecord<'_>) -> Result<()> {
        let open = self.open_copies(memory, Reach::Enough)?;
        match self.append_base(&open) {
            Some(base) => self.append(open, &base, record),
            None => self.rewrite(open, Reach::Enough, memory.records().chain([*record])),
        }
    }

    /// Adds keys, all in one step: the copies are written whole with them.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub(crate) fn add_all(&mut self, memory: &Memory, records: &[KeyRecord<'_>]) -> Result<()> {
        let open = self.open_copies(memory, Reach::Enough)?;
        self.rewrite(open, Reach::Enough, memory.records().chain(records.iter().copied()))
    }

    /// Removes a key: the copies are written whole without it.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub(crate) fn remove(&mut self, memory: &Memory, name: &NameRef<'_>) -> Result<()> {
        let open = self.open_copies(memory, Reach::Enough)?;
        self.rewrite(open, Reach::Enough, memory.records().filter(|r| r.name != *name))
    }

    /// Puts another header in the place of this one: the copies are written whole with it.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub(crate) fn change_header(&mut self, memory: &Memory, header: Header) -> Result<()> {
        let open = self.open_copies(memory, Reach::Enough)?;
        self.rewrite_with(open, Reach::Enough, header, None, memory.records())
    }

    /// Puts a header with renewed slots and the keys that they open to in the place of these: all records are
    /// sealed anew.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub(crate) fn rekey(&mut self, memory: &Memory, header: Header, keys: DataKeys) -> Result<()> {
        let open = self.open_copies(memory, Reach::Enough)?;
        // Known from now on, also when it is not told how the writing ended.
        let again = keys.try_clone().map_err(|e: FormatError| e.at(self.copies.path(), ""))?;
        self.remember_keys([again]);
        self.rewrite_with(open, Reach::Enough, header, Some(keys), memory.records())
    }

    /// Makes new copies, of the same bytes as those that are up to date.
    ///
    /// # Errors
    /// As [`Vacancy::create`].
    pub(crate) fn create_copies(&mut self, memory: &Memory, places: &[Vacancy]) -> Result<()> {
        self.bring_up_to_date(memory)?;
        let open = self.open_copies(memory, Reach::Enough)?;
        let bytes = self.verified_bytes(&open, |o| o.same)?;
        places.iter().try_for_each(|place| place.create(&bytes).map(drop))
    }
}
