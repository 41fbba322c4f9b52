// SPDX-License-Identifier: GPL-2.0-or-later
//! Adopts changes that another program made, and then makes the change that met them.

use super::log::Severity;
use super::shared::Keyring;
use super::writer::Writer;
use crate::error::{BadRequest, Error, Result};
use crate::format::crypto::DataKeys;
use crate::key::NameRef;
use crate::store::locked::LockedReplica;
use crate::store::tasks::CHANGE_WAIT;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// How many times one change may meet another program's change.
const CATCH_UPS: usize = 20;

impl Keyring {
    /// Makes a change, unless the keyring is read-only, as [`Keyring::adopting_changes`]. If another program
    /// renewed the data key, unlocks the new one with the unlock secret first.
    pub(super) fn changing<R>(&self, change: impl Fn(&mut Writer) -> Result<R>) -> Result<R> {
        self.with_learnt_keys(|| {
            let mut writer = self.writable()?;
            self.adopting_changes(&mut writer, &change)
        })
    }

    /// Runs `work`, which locks the writer, and repeats it when it met a copy with another data key that the
    /// unlock secret unlocks. While the secret is read and Argon2id runs, the writer is not locked.
    pub(super) fn with_learnt_keys<R>(&self, work: impl Fn() -> Result<R>) -> Result<R> {
        let known = || {
            let writer = self.lock_writer();
            (writer.all_keys().count(), writer.commit().generation)
        };
        let until = Instant::now() + CHANGE_WAIT;
        for _ in 0..CATCH_UPS {
            let before = known();
            match work() {
                // At a remote nothing keeps a busy writer away meanwhile: what this change may take bounds it.
                Err(e) if e.is_by_another() && Instant::now() < until => {
                    self.learn_keys();
                    // Another session may have learned the keys, or adopted the change.
                    if known() == before {
                        return Err(e);
                    }
                }
                done => return done,
            }
        }
        work()
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
        let until = Instant::now() + CHANGE_WAIT;
        let mut done = change(writer);
        for _ in 0..CATCH_UPS {
            match done {
                Err(e) if e.is_by_another() && self.reopen.is_some() && Instant::now() < until => {
                    // Keep the locks while re-reading, or a busy writer could starve us.
                    let locked = writer.lock_copies()?;
                    self.adopt_change(writer, Some(&locked)).map_err(|_| e)?;
                    drop(locked);
                    done = change(writer);
                }
                done => return done,
            }
        }
        done
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
    ) -> Result<()> {
        let reopen = self.reopen.as_ref().ok_or(Error::BadRequest(BadRequest::Unavailable))?;
        let keys: Vec<_> = writer.all_keys().collect();
        let fresh = reopen.read(&keys, locked, writer.attempted(), writer.limits())?;
        let (memory, newer) = (fresh.memory, fresh.writer);
        let same = newer.header().id == self.id;
        if same && newer.commit() == writer.commit() {
            // A copy was away while the data key was renewed.
            return if writer.learn_keys(newer.into_other_keys()) {
                Ok(())
            } else {
                Err(Error::BadRequest(BadRequest::Unavailable))
            };
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
        writer.adopt(newer);
        let mut known = self.write_memory();
        *known = memory;
        self.losses.fetch_add(1, Ordering::Release);
        Ok(())
    }
}
