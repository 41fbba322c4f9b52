// SPDX-License-Identifier: GPL-2.0-or-later
//! Looking at the copies, and looking after them: what another program changed is taken over, and copies that are not up
//! to date are brought up to date.

use super::replicas::Standing;
use super::shared::Keyring;
use super::status::Status;
use super::writer::Writer;
use crate::error::Result;
use crate::store::replica::{CHANGE_WAIT, PROBE_WAIT};
use crate::store::vacancy::Vacancy;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

impl Keyring {
    /// What an administrator wants to know. The copies are looked at, once a second at most, and nothing is written to
    /// them. A change under way is not waited for: what it last came to is shown.
    pub fn status(&self) -> Status {
        if let Some(mut writer) = self.try_lock_writer() {
            writer.follow_with_witness(false);
            if self.counters.look_is_due() {
                self.look(&mut writer);
            }
        }
        self.known_status()
    }

    /// The status as the last change, or the last look at the copies, found it.
    pub fn known_status(&self) -> Status {
        self.counters.status(self.id, self.len(), self.read_only.load(Ordering::Relaxed))
    }

    /// Looks at the copies and compares them with memory. Nothing is written.
    fn look(&self, writer: &mut Writer) {
        let read_only = self.read_only.load(Ordering::Relaxed);
        writer.set_deadline(PROBE_WAIT);
        // A later state of this keyring is no error; [`Keyring::maintain`] takes it over, or says what is wrong.
        let may_follow = self.reopen.is_some();
        let wrong = writer.probe(&self.read_memory(), !read_only, !may_follow).err();
        let (by_another, wrong) = match wrong {
            Some(e) if e.is_by_another() && may_follow => (true, None),
            wrong => (false, wrong),
        };
        self.note(writer, wrong.as_ref(), by_another);
    }

    /// Whether [`Keyring::maintain`] may have something to do: a copy is away, behind or changed by another program, as far
    /// as is known.
    pub fn needs_care(&self) -> bool {
        self.counters.needs_care()
    }

    /// Takes over what another program has changed, and brings copies up to date that came back, that lag behind or
    /// may hold what a failed write left. Waits for a change under way.
    pub fn maintain(&self) {
        let read_only = self.read_only.load(Ordering::Relaxed);
        let tended = self.with_learnt_keys(|| {
            let mut writer = self.lock_writer();
            writer.set_deadline(CHANGE_WAIT);
            if read_only {
                self.follow(&mut writer)
            } else {
                self.adopting_changes(&mut writer, |writer| writer.bring_up_to_date(&self.read_memory()))
            }
        });
        let mut writer = self.lock_writer();
        if read_only && tended.is_err() {
            // Noted of the copies too, now that it was not taken over.
            writer.set_deadline(PROBE_WAIT);
            drop(writer.probe(&self.read_memory(), false, true));
        }
        self.note(&mut writer, tended.as_ref().err(), false);
    }

    /// Takes over what another program changed, and writes nothing.
    fn follow(&self, writer: &mut Writer) -> Result<()> {
        match writer.probe(&self.read_memory(), false, false) {
            Err(e) if e.is_by_another() => {
                self.adopt_change(writer, None).map_err(|_| e)?;
                writer.probe(&self.read_memory(), false, false)
            }
            looked => looked,
        }
    }

    /// How each copy stands, as the last change or status query found it.
    pub fn standings(&self) -> Vec<(PathBuf, Standing)> {
        self.lock_writer().standings()
    }

    /// Makes new copies of the keyring at places where nothing is yet.
    ///
    /// # Errors
    /// As [`Vacancy::create`].
    pub fn create_copies(&self, places: &[Vacancy]) -> Result<()> {
        self.changing(|writer| writer.create_copies(&self.read_memory(), places))
    }

    /// Brings copies that lag behind or are damaged up to date, and makes durable what was read, where it may not be;
    /// not when the keyring is read-only. To be called when the keyring was opened and is to be put to use. The witness
    /// is left as it is: it follows when the keyring is used.
    ///
    /// # Errors
    /// As [`Keyring::store`]; the keyring can be used all the same.
    pub fn bring_up_to_date(&self) -> Result<()> {
        let healed = self.with_learnt_keys(|| {
            let mut writer = self.lock_writer();
            writer.set_deadline(CHANGE_WAIT);
            let (current, all) = writer.count();
            let read_only = self.read_only.load(Ordering::Relaxed);
            // Also a copy that is out of use: damage is put right where another copy shows what counts.
            if writer.is_ahead_of_witness() && !read_only {
                // This may be the leftover of a failed sync; make it durable before the server relies on it.
                self.adopting_changes(&mut writer, |writer| writer.make_durable(&self.read_memory()))
            } else if current < all && !read_only {
                self.adopting_changes(&mut writer, |writer| writer.bring_up_to_date(&self.read_memory()))
            } else {
                Ok(())
            }
        });
        self.note(&mut self.lock_writer(), healed.as_ref().err(), false);
        healed
    }
}
