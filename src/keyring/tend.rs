// SPDX-License-Identifier: GPL-2.0-or-later
//! Looking at the copies, and looking after them: what another program changed is taken over, and copies that are not up
//! to date are brought up to date.

use super::Keyring;
use super::copies::Standing;
use super::report::Severity;
use super::status::Status;
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::format::crypto::Keys;
use crate::key::NameRef;
use crate::store::change::Changing;
use crate::store::copy::{CHANGE_WAIT, PROBE_WAIT};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// How often one change may find that another program was faster.
const CATCH_UPS: usize = 20;

impl Keyring {
    /// Makes a change of a keyring that may be changed, as [`Keyring::catching_up`]. What another program sealed with a
    /// renewed data key is opened with the unlock secret first.
    pub(super) fn changing<R>(&self, change: impl Fn(&mut Writer) -> Result<R>) -> Result<R> {
        self.learning_keys(|| {
            let mut writer = self.writable()?;
            self.catching_up(&mut writer, &change)
        })
    }

    /// Does `work` that takes the writer's lock, and once more when it met a copy with another data key that the unlock
    /// secret opens. The secret is read, and Argon2id computed, while no lock is held: others may wait for that.
    fn learning_keys<R>(&self, work: impl Fn() -> Result<R>) -> Result<R> {
        let known = || {
            let writer = self.lock_writer();
            (writer.all_keys().count(), writer.commit().generation)
        };
        for _ in 0..CATCH_UPS {
            let before = known();
            match work() {
                Err(e) if e.is_by_another() => {
                    self.learn_keys();
                    // Another session may have learnt them, or gone on from there.
                    if known() == before {
                        return Err(e);
                    }
                }
                done => return done,
            }
        }
        work()
    }

    /// Learns the data keys of copies that the keys in use do not open, and the unlock secret does.
    fn learn_keys(&self) {
        let Some(reopen) = &self.reopen else { return };
        let known =
            self.lock_writer().all_keys().map(Keys::try_clone).collect::<std::result::Result<Vec<_>, _>>();
        let Ok(known) = known else { return };
        let learnt = reopen.learn(&self.id, &known);
        self.lock_writer().learn_keys(learnt);
    }

    /// Makes a change; when another program has changed the keyring in the meantime, goes on from that
    /// and makes it then. Nothing that either has stored is lost.
    pub(super) fn catching_up<R>(
        &self,
        writer: &mut Writer,
        change: impl Fn(&mut Writer) -> Result<R>,
    ) -> Result<R> {
        let mut done = change(writer);
        for _ in 0..CATCH_UPS {
            match done {
                Err(e) if e.is_by_another() && self.reopen.is_some() => {
                    // Keep the locks while re-reading, or a busy writer could starve us.
                    let locked = writer.lock_copies()?;
                    self.catch_up(writer, Some(&locked)).map_err(|_| e)?;
                    drop(locked);
                    done = change(writer);
                }
                done => return done,
            }
        }
        done
    }

    /// Whether there is a key of that name. Before the answer `refusal`, which ends a change, the copies
    /// are looked at: another program may have made it untrue.
    pub(super) fn knows(&self, writer: &mut Writer, name: &NameRef<'_>, refusal: bool) -> bool {
        let known = || self.read_memory().get(name).is_some();
        if known() == refusal && self.reopen.is_some() {
            let looked = writer.probe(&self.read_memory(), false, false);
            if looked.is_err_and(|e| e.is_by_another()) {
                // Without success the answer is of the keyring as this program knows it.
                drop(self.catch_up(writer, None));
            }
        }
        known()
    }

    /// Reads a keyring again that another program has changed, when it is this one in a later state; through the
    /// descriptors that hold the locks of its copies, where they are `locked`.
    ///
    /// # Errors
    /// When there is nothing to go on from.
    fn catch_up(&self, writer: &mut Writer, locked: Option<&[Result<Changing>]>) -> Result<()> {
        let reopen = self.reopen.as_ref().ok_or(Error::Unavailable)?;
        let keys: Vec<_> = writer.all_keys().collect();
        let fresh = reopen.read(&keys, locked, writer.attempted(), writer.limits())?;
        let memory = fresh.memory.into_inner().unwrap_or_else(PoisonError::into_inner);
        let newer = fresh.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        if fresh.id == self.id && newer.commit() == writer.commit() {
            // A copy that was away while the data key was renewed.
            return if writer.learn_keys(newer.into_other_keys()) { Ok(()) } else { Err(Error::Unavailable) };
        }
        let later = newer.commit().generation > writer.commit().generation;
        let nothing_lost = writer.is_before(&newer) || self.read_memory().missing_in(&memory) == 0;
        if fresh.id != self.id || !later || !nothing_lost {
            return Err(Error::Unavailable);
        }
        (reopen.report)(
            Severity::Note,
            &format!(
                "the keyring {} was changed by another program: went on from generation {} to {}",
                writer.path().display(),
                writer.commit().generation,
                newer.commit().generation
            ),
        );
        writer.go_on_from(newer);
        let mut known = self.write_memory();
        *known = memory;
        self.losses.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// What an administrator wants to know. The copies are looked at, once a second at most, and nothing is written to
    /// them. A change under way is not waited for: what it last came to is shown.
    pub fn status(&self) -> Status {
        // A retired keyring no longer touches the files.
        if let Some(mut writer) = self.try_lock_writer()
            && !self.retired.load(Ordering::Relaxed)
        {
            writer.let_witness_follow(false);
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
        writer.begin(PROBE_WAIT);
        // A later state of this keyring is no error; [`Keyring::tend`] takes it over, or says what is wrong.
        let may_follow = self.reopen.is_some();
        let wrong = writer.probe(&self.read_memory(), !read_only, !may_follow).err();
        let (by_another, wrong) = match wrong {
            Some(e) if e.is_by_another() && may_follow => (true, None),
            wrong => (false, wrong),
        };
        self.note(writer, wrong.as_ref(), by_another);
    }

    pub(super) fn note(&self, writer: &mut Writer, wrong: Option<&Error>, by_another: bool) {
        writer.tell_changed();
        let needs_care = by_another || writer.needs_care();
        self.counters.note_copies(writer.commit().generation, writer.count(), wrong, needs_care);
    }

    /// Whether [`Keyring::tend`] may have something to do: a copy is away, behind or changed by another program, as far
    /// as is known.
    pub fn needs_care(&self) -> bool {
        self.counters.needs_care() && !self.retired.load(Ordering::Relaxed)
    }

    /// Takes over what another program has changed, and brings copies up to date that came back, that lag behind or
    /// may hold what a failed write left. Waits for a change under way.
    pub fn tend(&self) {
        let read_only = self.read_only.load(Ordering::Relaxed);
        let tended = self.learning_keys(|| {
            let mut writer = self.lock_in_use()?;
            writer.begin(CHANGE_WAIT);
            if read_only {
                self.follow(&mut writer)
            } else {
                self.catching_up(&mut writer, |writer| writer.heal(&self.read_memory()))
            }
        });
        let Ok(mut writer) = self.lock_in_use() else { return };
        if read_only && tended.is_err() {
            // Noted of the copies too, now that it was not taken over.
            writer.begin(PROBE_WAIT);
            drop(writer.probe(&self.read_memory(), false, true));
        }
        self.note(&mut writer, tended.as_ref().err(), false);
    }

    /// Takes over what another program changed, and writes nothing.
    fn follow(&self, writer: &mut Writer) -> Result<()> {
        match writer.probe(&self.read_memory(), false, false) {
            Err(e) if e.is_by_another() => {
                self.catch_up(writer, None).map_err(|_| e)?;
                writer.probe(&self.read_memory(), false, false)
            }
            looked => looked,
        }
    }

    /// How each copy stands, as the last change or status query found it.
    pub fn standings(&self) -> Vec<(PathBuf, Standing)> {
        self.lock_writer().standings()
    }

    /// Brings copies that lag behind or are damaged up to date, and makes durable what was read, where it may not be;
    /// not when the keyring is read-only. To be called when the keyring was opened and is to be put to use. The witness
    /// is left as it is: it follows when the keyring is used.
    ///
    /// # Errors
    /// As [`Keyring::store`]; the keyring can be used all the same. [`Error::Retired`] when another keyring has taken its
    /// place: that one is to be settled.
    pub fn settle(&self) -> Result<()> {
        let healed = self.learning_keys(|| {
            let mut writer = self.lock_in_use()?;
            writer.begin(CHANGE_WAIT);
            let (current, all) = writer.count();
            let read_only = self.read_only.load(Ordering::Relaxed);
            // Also a copy that is out of use: damage is put right where another copy shows what counts.
            if writer.is_ahead_of_witness() && !read_only {
                // This may be the leftover of a failed sync; make it durable before the server relies on it.
                self.catching_up(&mut writer, |writer| writer.make_durable(&self.read_memory()))
            } else if current < all && !read_only {
                self.catching_up(&mut writer, |writer| writer.heal(&self.read_memory()))
            } else {
                Ok(())
            }
        });
        self.note(&mut *self.lock_in_use()?, healed.as_ref().err(), false);
        healed
    }
}
