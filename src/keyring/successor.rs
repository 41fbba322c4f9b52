// SPDX-License-Identifier: GPL-2.0-or-later
//! Another keyring replaces the one in use. It is opened and checked first, while no change is in progress.
//! Later, the changes made in between are handed over to it in memory.

use super::memory::Memory;
use super::shared::Keyring;
use crate::error::{Refusal, Result};

impl Keyring {
    /// Checks that `new` may replace this keyring: if it is the same keyring, it must be in this state or a later one.
    /// Returns how many keys of this one are missing in it if it is another keyring. No change may be in progress.
    ///
    /// # Errors
    /// [`Refusal::Older`]; [`Refusal::Diverged`].
    pub fn check_successor(&self, new: &Keyring) -> Result<usize> {
        let missing = self.missing_in(new);
        if self.id != new.id {
            return Ok(missing);
        }
        let (old, new) = (self.lock_writer(), new.lock_writer());
        let (expected, found) = (old.commit().generation, new.commit().generation);
        let path = new.path().to_owned();
        if found < expected {
            return Err(Refusal::Older { path, id: self.id, found, expected }.into());
        }
        // The administrator named it, so it is believed about its ancestors whatever its data key is, as at a start.
        if missing > 0 && !new.lineage().includes(&old.lineage().state()) {
            return Err(Refusal::Diverged { path, found, expected }.into());
        }
        Ok(0)
    }

    /// Hands over to `new`, which [`Keyring::check_successor`] has accepted, what was changed here since it was opened,
    /// if both are the same keyring. No file is touched. No change may be in progress, and this keyring must not be
    /// changed afterwards.
    ///
    /// # Errors
    /// [`Refusal::Diverged`] if `new` holds changes of another program and this keyring was changed since; no memory.
    /// This keyring stays in use then.
    pub fn hand_over_to(&self, new: &Keyring) -> Result<()> {
        let (mine, mut theirs) = (self.lock_writer(), new.lock_writer());
        let (was, is) = (theirs.lineage().state(), mine.lineage().state());
        if self.id != new.id || was == is {
            return Ok(());
        }
        let missing = || new.read_memory().missing_in(&self.read_memory());
        if mine.lineage().supersedes(&was, missing) {
            let mut memory = Memory::default();
            memory.copy_from(&self.read_memory())?;
            theirs.copy_from_predecessor(&mine)?;
            *new.write_memory() = memory;
        } else if !theirs.lineage().includes(&is) {
            let (found, expected) = (theirs.commit().generation, mine.commit().generation);
            return Err(Refusal::Diverged { path: theirs.path().to_owned(), found, expected }.into());
        }
        Ok(())
    }
}
