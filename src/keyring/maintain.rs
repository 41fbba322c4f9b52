// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks at the copies, adopts what another program changed, and brings copies up to date.

use super::adopt::Adopted;
use super::replicas::Standing;
use super::shared::Keyring;
use super::status::Status;
use super::writer::Writer;
use crate::audit::{Event, EventKind};
use crate::error::Result;
use crate::store::tasks::PROBE_WAIT;
use crate::store::vacancy::Vacancy;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the records of all copies are read in full. A look at the copies compares only what changes with every
/// write, so it does not notice damage behind that.
const READ_EVERY: Duration = Duration::from_secs(3600);

impl Keyring {
    /// Returns the status. Looks at the copies first, at most once a second, and writes nothing to them. Does
    /// not wait for a change in progress: the status is then that of the last change or look.
    pub fn status(&self) -> Status {
        if let Some(mut writer) = self.try_lock_writer() {
            writer.follow_with_witness(false);
            if self.counters.look_is_due() {
                self.look(&mut writer);
            }
        }
        self.known_status()
    }

    /// Returns the status as of the last change, or the last look at the copies.
    pub fn known_status(&self) -> Status {
        self.counters.status(self.id, self.len(), self.read_only.load(Ordering::Relaxed))
    }

    /// Compares the copies with memory. Writes nothing.
    fn look(&self, writer: &mut Writer) {
        let read_only = self.read_only.load(Ordering::Relaxed);
        writer.set_deadline(PROBE_WAIT);
        // A later state of this keyring is no error: [`Keyring::maintain`] adopts it, or reports what is
        // wrong.
        let may_follow = self.reopen.is_some();
        let wrong = writer.probe(&self.read_memory(), !read_only, !may_follow).err();
        let (by_another, wrong) = match wrong {
            Some(e) if e.is_by_another() && may_follow => (true, None),
            wrong => (false, wrong),
        };
        self.note(writer, wrong.as_ref(), by_another);
    }

    /// Whether [`Keyring::maintain`] may have work: a copy is known to be out, behind, or changed by another
    /// program, or the copies were not read in full for an hour.
    pub fn needs_care(&self) -> bool {
        let read_only = self.read_only.load(Ordering::Relaxed);
        self.counters.needs_care() || !read_only && self.counters.reading_is_due(READ_EVERY)
    }

    /// Adopts what another program changed, and brings copies up to date that returned, are behind, or may
    /// hold what a failed write left. Once an hour, also reads the copies in full, and writes those again whose
    /// records are damaged. Waits for a change in progress.
    pub fn maintain(&self) {
        self.maintain_and_read(READ_EVERY);
    }

    /// As [`Keyring::maintain`], and reads the copies in full every `every`.
    pub fn maintain_and_read(&self, every: Duration) {
        let read_only = self.read_only.load(Ordering::Relaxed);
        let in_full = self.counters.reading_is_due(every);
        let tended = self.with_learnt_keys(|until| {
            let mut writer = self.lock_writer();
            until.limit(&mut writer);
            if read_only {
                self.follow(&mut writer)
            } else {
                self.adopting_changes(&mut writer, |writer| {
                    writer.bring_up_to_date(&self.read_memory(), in_full)
                })
            }
        });
        if in_full {
            self.counters.note_reading();
        }
        let mut writer = self.lock_writer();
        if read_only && tended.is_err() {
            // The change was not adopted, so it is recorded for the copies too.
            writer.set_deadline(PROBE_WAIT);
            drop(writer.probe(&self.read_memory(), false, true));
        }
        self.note(&mut writer, tended.as_ref().err(), false);
        writer.record_copies();
    }

    /// Adopts what another program changed, and writes nothing.
    fn follow(&self, writer: &mut Writer) -> Result<()> {
        // A statement of its own: memory must not be locked for reading when a change is adopted into it.
        let looked = writer.probe(&self.read_memory(), false, false);
        match looked {
            Err(e) if e.is_by_another() => match self.adopt_change(writer, None) {
                Ok(Adopted::News) => writer.probe(&self.read_memory(), false, false),
                Ok(Adopted::Nothing) | Err(_) => Err(e),
            },
            looked => looked,
        }
    }

    /// The standing of each copy, as of the last change or status query.
    pub fn standings(&self) -> Vec<(PathBuf, Standing)> {
        self.lock_writer().standings()
    }

    /// Creates copies of the keyring at free paths.
    ///
    /// # Errors
    /// As [`Vacancy::create`].
    pub fn create_copies(&self, places: &[Vacancy]) -> Result<()> {
        self.changing(|writer| writer.create_copies(&self.read_memory(), places))?;
        let names: Vec<_> = places.iter().map(|place| place.path().display().to_string()).collect();
        self.record(&Event::new(EventKind::CopiesCreated).with("copies", names));
        Ok(())
    }

    /// Brings copies up to date that are behind or damaged, and rewrites all copies if what was read may not
    /// be durable. Does nothing if the keyring is read-only. Call this when a keyring that was opened is
    /// about to be used. The witness stays as it is until the keyring is used.
    ///
    /// # Errors
    /// As [`Keyring::store`]. The keyring can be used anyway.
    pub fn bring_up_to_date(&self) -> Result<()> {
        let healed = self.with_learnt_keys(|until| {
            let mut writer = self.lock_writer();
            until.limit(&mut writer);
            let (current, all) = writer.count();
            let read_only = self.read_only.load(Ordering::Relaxed);
            // Copies that are out are included: a damaged one is repaired if another copy shows what counts.
            if writer.is_ahead_of_witness() && !read_only {
                // This may be the leftover of a failed sync; make it durable before the server relies on it.
                self.adopting_changes(&mut writer, |writer| writer.make_durable(&self.read_memory()))
            } else if current < all && !read_only {
                self.adopting_changes(&mut writer, |writer| {
                    writer.bring_up_to_date(&self.read_memory(), false)
                })
            } else {
                Ok(())
            }
        });
        let mut writer = self.lock_writer();
        self.note(&mut writer, healed.as_ref().err(), false);
        writer.record_copies();
        drop(writer);
        healed
    }
}
