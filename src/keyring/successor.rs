// SPDX-License-Identifier: GPL-2.0-or-later
//! Another keyring takes the place of the one in use: opened while changes go on, and put in place between two of them.

use super::memory::Memory;
use super::shared::Keyring;
use super::writer::Writer;
use crate::error::{Refusal, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Keyring {
    /// Opens the keyring that is to take this one's place, while no change is under way: both may be of the
    /// same files. Answers also how many keys of this one are missing in it when it is another keyring.
    ///
    /// # Errors
    /// What `open` answers; [`|e| Error::Refusal(Refusal::Older(e))`]; [`|e| Error::Refusal(Refusal::Diverged(e))`] when it went its own way; [`Error::BadRequest(BadRequest::Retired)`].
    pub fn open_successor(
        &self,
        open: impl FnOnce() -> Result<Arc<Keyring>>,
    ) -> Result<(Arc<Keyring>, usize)> {
        let writer = self.lock_in_use()?;
        let new = open()?;
        let missing = self.check_successor(&writer, &new)?;
        Ok((new, missing))
    }

    /// Has `new`, which [`Keyring::open_successor`] opened, take this one's place: runs `swap` while no change is under
    /// way, and refuses all later ones with [`Error::BadRequest(BadRequest::Retired)`]. No file is touched. What was changed here since `new`
    /// was opened is handed over, when both are one keyring.
    ///
    /// # Errors
    /// [`Error::BadRequest(BadRequest::Retired)`]; [`|e| Error::Refusal(Refusal::Diverged(e))`] when `new` holds changes of another program and this one was changed since;
    /// no memory. This keyring goes on then.
    pub fn give_way(&self, new: &Keyring, swap: impl FnOnce()) -> Result<()> {
        let writer = self.lock_in_use()?;
        let mut theirs = new.lock_writer();
        let (was, is) = (theirs.lineage().state(), writer.lineage().state());
        if self.id == new.id && was != is {
            let missing = || new.read_memory().missing_in(&self.read_memory());
            if writer.lineage().is_later_than(&was, missing) {
                let mut memory = Memory::default();
                memory.copy_from(&self.read_memory())?;
                theirs.take_over(&writer)?;
                *new.write_memory() = memory;
            } else if !theirs.lineage().went_through(&is) {
                // Each went on since it was opened.
                let (found, expected) = (theirs.commit().generation, writer.commit().generation);
                return Err(Refusal::Diverged { path: theirs.path().to_owned(), found, expected }.into());
            }
        }
        drop(theirs);
        swap();
        self.retired.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether `new` may take this keyring's place: the same keyring must be in this state or a later one.
    fn check_successor(&self, old: &Writer, new: &Keyring) -> Result<usize> {
        let missing = self.missing_in(new);
        if self.id != new.id {
            return Ok(missing);
        }
        let new = new.lock_writer();
        let (expected, found) = (old.commit().generation, new.commit().generation);
        let path = new.path().to_owned();
        if found < expected {
            return Err(Refusal::Older { path, id: self.id, found, expected }.into());
        }
        // The administrator named it, and what it says of its past is believed under whatever data key: as at a start.
        if missing > 0 && !new.lineage().went_through(&old.lineage().state()) {
            return Err(Refusal::Diverged { path, found, expected }.into());
        }
        Ok(0)
    }
}
