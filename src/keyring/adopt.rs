// SPDX-License-Identifier: GPL-2.0-or-later
//! Adopts changes that another program made, and then makes the change that met them.

use super::log::Severity;
use super::shared::Keyring;
use super::until::Until;
use super::writer::Writer;
use crate::audit::{Event, EventKind};
use crate::error::{BadRequest, Error, Refusal, Result};
use crate::format::crypto::DataKeys;
use crate::key::NameRef;
use crate::store::deadline::Place;
use crate::store::locked::LockedReplica;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How many times one change may meet another program's change where locks keep others away while it is adopted.
const CATCH_UPS: usize = 20;
/// How often a change at a remote may be overtaken before it makes sure that it is the next.
const OVERTAKEN: usize = 3;
/// The longest pause of a change that was overtaken for the first time. It doubles each time, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What was adopted.
#[derive(PartialEq, Eq)]
pub(super) enum Adopted {
    /// A later state, or data keys.
    News,
    /// The copies hold the state that this program knows.
    Nothing,
}

impl Keyring {
    /// Makes a change, unless the keyring is read-only, as [`Keyring::adopting_changes`]. If another program
    /// renewed the data key, unlocks the new one with the unlock secret first.
    pub(super) fn changing<R>(&self, change: impl Fn(&mut Writer) -> Result<R>) -> Result<R> {
        self.with_learnt_keys(|until| {
            let mut writer = self.writable(until)?;
            self.adopting_changes(&mut writer, &change)
        })
    }

    /// Runs `work`, which locks the writer, and repeats it when it met a copy with another data key that the
    /// unlock secret unlocks. While the secret is read and Argon2id runs, the writer is not locked.
    pub(super) fn with_learnt_keys<R>(&self, work: impl Fn(&Until) -> Result<R>) -> Result<R> {
        let known = || {
            let writer = self.lock_writer();
            (writer.all_keys().count(), writer.commit().generation)
        };
        let until = Until::default();
        for _ in 0..CATCH_UPS {
            let before = known();
            match work(&until) {
                // At a remote nothing keeps a busy writer away meanwhile: what this change may take bounds it.
                Err(e) if e.is_by_another() && Instant::now() < until.get() => {
                    self.learn_keys();
                    // Another session may have learned the keys, or adopted the change.
                    if known() == before {
                        return Err(e);
                    }
                }
                done => return done,
            }
        }
        work(&until)
    }

    /// Learns the data keys of copies that the known keys do not open but the unlock secret unlocks.
    fn learn_keys(&self) {
        let Some(reopen) = &self.reopen else { return };
        let known = self
            .lock_writer()
            .all_keys()
            .map(DataKeys::try_clone)
            .collect::<std::result::Result<Vec<_>, _>>();
        let Ok(known) = known else { return };
        let learnt = reopen.learn(&self.id, &known);
        self.lock_writer().learn_keys(learnt);
    }

    /// Makes a change. If another program changed the keyring meanwhile, adopts that and then makes the
    /// change. No key that either has stored is lost.
    pub(super) fn adopting_changes<R>(
        &self,
        writer: &mut Writer,
        change: impl Fn(&mut Writer) -> Result<R>,
    ) -> Result<R> {
        let mut overtaken = 0;
        loop {
            let e = match change(writer) {
                Err(e) if e.is_by_another() && self.reopen.is_some() => e,
                done => return done,
            };
            overtaken += 1;
            if writer.time_left().is_zero() {
                return Err(e);
            }
            // Keep the locks while re-reading, or a busy writer could starve us.
            let locked = writer.lock_copies()?;
            let at_remote = |copy: &LockedReplica| copy.id().place() == Place::Remote;
            let is_held_by_locks = !locked.iter().flatten().any(at_remote);
            if is_held_by_locks && overtaken > CATCH_UPS {
                return Err(e);
            }
            match self.adopt_change(writer, Some(&locked)) {
                Ok(Adopted::News) => {}
                // Another program made sure that it is the next, or its own change was taken back.
                Ok(Adopted::Nothing)
                    if !is_held_by_locks && matches!(e, Error::Refusal(Refusal::Changed { .. })) => {}
                Ok(Adopted::Nothing) | Err(_) => return Err(e),
            }
            if !is_held_by_locks {
                if overtaken >= OVERTAKEN {
                    // If this fails, the change is overtaken once more.
                    writer.claim(&locked);
                } else {
                    drop(locked);
                    std::thread::sleep(pause(overtaken).min(writer.time_left()));
                }
            }
        }
    }

    /// Whether a key of that name exists. If the result would be `refusal`, with which the change ends, looks
    /// at the copies first: another program may have added or removed the key.
    pub(super) fn has_key(&self, writer: &mut Writer, name: &NameRef<'_>, refusal: bool) -> bool {
        let known = || self.read_memory().get(name).is_some();
        if known() == refusal && self.reopen.is_some() {
            let looked = writer.probe(&self.read_memory(), false, false);
            if looked.is_err_and(|e| e.is_by_another()) {
                // If this fails, the result describes the keyring as this program knows it.
                drop(self.adopt_change(writer, None));
            }
        }
        known()
    }

    /// Reads a keyring that another program has changed, and continues from what it holds, if that is a later
    /// state of this keyring. If the copies are `locked`, reads through the descriptors that hold the locks.
    ///
    /// # Errors
    /// If there is no state to continue from.
    pub(super) fn adopt_change(
        &self,
        writer: &mut Writer,
        locked: Option<&[Result<LockedReplica>]>,
    ) -> Result<Adopted> {
        let reopen = self.reopen.as_ref().ok_or(Error::BadRequest(BadRequest::Unavailable))?;
        let keys: Vec<_> = writer.all_keys().collect();
        let fresh = reopen.read(&keys, locked, writer.attempted(), writer.limits())?;
        let (memory, newer) = (fresh.memory, fresh.writer);
        let same = newer.header().id == self.id;
        if same && newer.commit() == writer.commit() {
            // A copy was away while the data key was renewed.
            let learnt = writer.learn_keys(newer.into_other_keys());
            return Ok(if learnt { Adopted::News } else { Adopted::Nothing });
        }
        let later = newer.commit().generation > writer.commit().generation;
        // A retired key that is missing was destroyed, with a renewal of the data key. A header under another data key
        // does not prove that, but nothing needs the key.
        let nothing_lost =
            writer.is_ancestor_of(&newer) || self.read_memory().in_use_missing_in(&memory) == 0;
        if !same || !later || !nothing_lost {
            return Err(BadRequest::Unavailable.into());
        }
        (reopen.log)(
            Severity::Note,
            &format!(
                "the keyring {} was changed by another program: adopted its changes, from generation {} to {}",
                writer.path().display(),
                writer.commit().generation,
                newer.commit().generation
            ),
        );
        let before = writer.commit().generation;
        writer.adopt(newer);
        writer.record(&Event::new(EventKind::ChangeAdopted).with("generation_before", before));
        let mut known = self.write_memory();
        *known = memory;
        self.losses.fetch_add(1, Ordering::Release);
        Ok(Adopted::News)
    }
}

/// How long to leave the copies to the program that was faster: a random time, so that two programs that overtake each
/// other do not go on in step.
fn pause(overtaken: usize) -> Duration {
    let longest = LONGEST_PAUSE.min(PAUSE * (1 << overtaken.min(8)));
    let random = crate::secret::random_array().map_or(u16::MAX / 2, u16::from_le_bytes);
    longest.mul_f64(f64::from(random) / f64::from(u16::MAX))
}
