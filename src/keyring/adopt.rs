// SPDX-License-Identifier: GPL-2.0-or-later
//! What another program changed is taken over, and the change that met it is made then.

use super::log::Severity;
use super::shared::Keyring;
use super::writer::Writer;
use crate::error::{BadRequest, Error, Result};
use crate::format::crypto::DataKeys;
use crate::key::NameRef;
use crate::store::locked::LockedReplica;
use std::sync::atomic::Ordering;

/// How often one change may find that another program was faster.
const CATCH_UPS: usize = 20;

impl Keyring {
    /// Makes a change of a keyring that may be changed, as [`Keyring::adopting_changes`]. What another program sealed with a
    /// renewed data key is opened with the unlock secret first.
    pub(super) fn changing<R>(&self, change: impl Fn(&mut Writer) -> Result<R>) -> Result<R> {
        self.with_learnt_keys(|| {
            let mut writer = self.writable()?;
            self.adopting_changes(&mut writer, &change)
        })
    }

    /// Does `work` that takes the writer's lock, and once more when it met a copy with another data key that the unlock
    /// secret opens. The secret is read, and Argon2id computed, while the writer is not locked.
    pub(super) fn with_learnt_keys<R>(&self, work: impl Fn() -> Result<R>) -> Result<R> {
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
        let known = self
            .lock_writer()
            .all_keys()
            .map(DataKeys::try_clone)
            .collect::<std::result::Result<Vec<_>, _>>();
        let Ok(known) = known else { return };
        let learnt = reopen.learn(&self.id, &known);
        self.lock_writer().learn_keys(learnt);
    }

    /// Makes a change; when another program has changed the keyring in the meantime, goes on from that
    /// and makes it then. Nothing that either has stored is lost.
    pub(super) fn adopting_changes<R>(
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
                    self.adopt_change(writer, Some(&locked)).map_err(|_| e)?;
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
    pub(super) fn has_key(&self, writer: &mut Writer, name: &NameRef<'_>, refusal: bool) -> bool {
        let known = || self.read_memory().get(name).is_some();
        if known() == refusal && self.reopen.is_some() {
            let looked = writer.probe(&self.read_memory(), false, false);
            if looked.is_err_and(|e| e.is_by_another()) {
                // Without success the answer is of the keyring as this program knows it.
                drop(self.adopt_change(writer, None));
            }
        }
        known()
    }

    /// Reads a keyring again that another program has changed, when it is this one in a later state; through the
    /// descriptors that hold the locks of its copies, where they are `locked`.
    ///
    /// # Errors
    /// When there is nothing to go on from.
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
            // A copy that was away while the data key was renewed.
            return if writer.learn_keys(newer.into_other_keys()) {
                Ok(())
            } else {
                Err(Error::BadRequest(BadRequest::Unavailable))
            };
        }
        let later = newer.commit().generation > writer.commit().generation;
        let nothing_lost = writer.is_ancestor_of(&newer) || self.read_memory().missing_in(&memory) == 0;
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
