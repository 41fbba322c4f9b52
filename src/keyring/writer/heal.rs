// SPDX-License-Identifier: GPL-2.0-or-later
//! Looking at the copies, and bringing those up to date that are not.

use super::write::all_current;
use super::{Judged, Writer};
use crate::error::{Error, Result};
use crate::keyring::copies::{Reach, Standing};
use crate::keyring::memory::Memory;
use crate::store::copy::Reading;

impl Writer {
    /// Looks at every copy, and `to_change` whether it could be changed. An error when none can be used, or one was changed
    /// by another program.
    ///
    /// # Errors
    /// What is wrong with the first.
    pub fn probe(&mut self, to_change: bool) -> Result<()> {
        let mut first_error = None;
        let mut changed = None;
        let mut usable = false;
        for index in 0..self.copies.members().len() {
            let judged = self.member_reading(index, to_change).and_then(|r| self.judge(index, &r));
            match judged {
                Ok(Judged::Current) => {
                    usable = true;
                    // Only what a writing comes to tells whether it can be written to again, and what is behind the
                    // records that count.
                    if !to_change || self.attempted.is_empty() {
                        self.copies.stands(index, Standing::Current);
                    }
                }
                Ok(Judged::Stale) => {
                    usable = true;
                    self.copies.stands(index, Standing::Behind);
                }
                Err(e) => {
                    self.copies.fails(index, &e);
                    let place =
                        if matches!(e, Error::Changed { .. }) { &mut changed } else { &mut first_error };
                    place.get_or_insert(e);
                }
            }
        }
        match (changed, usable, first_error) {
            (Some(e), ..) | (None, false, Some(e)) => Err(e),
            _ => Ok(()),
        }
    }

    fn member_reading(&self, index: usize, to_change: bool) -> Result<Reading> {
        let copy = self.copies.members().get(index).ok_or(Error::Unavailable)?.copy();
        let reading = copy.look()?;
        if to_change { copy.check_room().map(|()| reading) } else { Ok(reading) }
    }

    /// Whether some copy is known to lag behind, or may hold what a failed write left.
    pub fn is_to_heal(&self) -> bool {
        !self.attempted.is_empty() || self.copies.members().iter().any(|m| *m.standing() == Standing::Behind)
    }

    /// Brings the copies that lag behind, are damaged or hold what a failed write left up to date: all that can be
    /// reached, whether they are enough for a change or not.
    ///
    /// # Errors
    /// When none could be reached.
    pub fn heal(&mut self, memory: &Memory) -> Result<()> {
        let open = self.open_ready(Reach::Any)?;
        if !self.whole && all_current(&open) {
            Ok(())
        } else {
            self.rewrite(open, Reach::Any, memory.records())
        }
    }
}
