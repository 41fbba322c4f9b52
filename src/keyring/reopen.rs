// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads a keyring in use again after another program has changed it.

use super::choose::{KeyringParts, load_known};
use super::log::{Log, silent};
use super::readings::{Readings, read_locked};
use crate::error::{BadRequest, Error, Result};
use crate::format::crypto::DataKeys;
use crate::format::image::{Opener, open_front};
use crate::format::state::StateId;
use crate::format::unlocking::Unlocking;
use crate::store::deadline::Limits;
use crate::store::locked::LockedReplica;
use crate::store::places::Places;
use crate::store::reading::Reading;
use crate::store::tasks::{CHANGE_WAIT, SLOW_WAIT};
use crate::unlock::UnlockSource;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What is needed to read a keyring in use again.
#[derive(Debug)]
pub(crate) struct Reopen {
    pub(super) places: Places,
    pub(super) paths: Vec<PathBuf>,
    pub(super) min_copies: usize,
    /// `None`: only the known keys are used.
    pub(super) unlock: Option<UnlockSource>,
    pub(super) log: Log,
    /// When the unlock secret last failed to unlock any copy, or a slow source last failed.
    pub(super) in_vain: Mutex<Option<Instant>>,
}

/// How long to wait before trying the unlock secret again on copies that it did not unlock. Otherwise a
/// forged header could run Argon2id without end, and each waiting change could run an unlock command that
/// hangs.
const LEARN_AGAIN: Duration = Duration::from_secs(30);

/// An unlock source that fails after a longer time is slow. One that fails sooner is tried again at once.
const SLOW_SOURCE: Duration = Duration::from_secs(1);

impl Reopen {
    /// Reads the keyring with these keys. Copies in `unacknowledged` states do not count. If the copies are
    /// `locked`, reads through the descriptors that hold the locks.
    pub(super) fn read(
        &self,
        keys: &[&DataKeys],
        locked: Option<&[Result<LockedReplica>]>,
        unacknowledged: &[StateId],
        limits: Limits,
    ) -> Result<KeyringParts> {
        let (paths, min_copies) = (&self.paths[..], self.min_copies);
        let read = match locked {
            Some(locked) => {
                let readings = read_locked(&self.places, paths, locked, limits)?;
                Readings { paths, readings, min_copies, limits, unacknowledged }
            }
            None => Readings::all(&self.places, paths, min_copies, limits, unacknowledged)?,
        };
        // The secret is not read here, because others wait for the keyring.
        let no_secret = || Err(Error::BadRequest(BadRequest::Unavailable));
        // The keyring in use reports what is wrong with a copy; this reading does not.
        let mut parts = load_known(&self.places, read, "", keys, no_secret, silent)?;
        parts.writer.log_to(self.log);
        Ok(parts)
    }

    /// Returns the keys of copies of the keyring `id` that the `known` keys do not open but the unlock secret
    /// unlocks.
    pub(super) fn learn(&self, id: &Uuid, known: &[DataKeys]) -> Vec<DataKeys> {
        let mut in_vain = self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        if in_vain.is_some_and(|at| at.elapsed() < LEARN_AGAIN) {
            return Vec::new();
        }
        let opens =
            |reading: &Reading, keys: &DataKeys| open_front(&reading.front.0, Opener::Keys(keys)).is_ok();
        let limits = Limits { enough: self.min_copies, slow: SLOW_WAIT, ..Limits::within(CHANGE_WAIT) };
        let Ok(all) = Readings::all(&self.places, &self.paths, self.min_copies, limits, &[]) else {
            return Vec::new();
        };
        let mut sealed: Vec<Reading> = all.readings.into_iter().flatten().collect();
        sealed.retain(|reading| !known.iter().any(|keys| opens(reading, keys)));
        let Some(unlock) = self.unlock.as_ref().filter(|_| !sealed.is_empty()) else { return Vec::new() };
        let start = Instant::now();
        let Ok(secret) = unlock.read() else {
            *in_vain = (start.elapsed() > SLOW_SOURCE).then(Instant::now);
            return Vec::new();
        };
        let secret = Unlocking::new(secret);
        let mut learnt: Vec<DataKeys> = Vec::new();
        let count = sealed.len();
        for (index, reading) in sealed.iter().enumerate() {
            if learnt.iter().any(|keys| opens(reading, keys)) {
                continue;
            }
            secret.leave_budget_for(count - index - 1);
            let opened = open_front(&reading.front.0, Opener::Secret(&secret));
            learnt.extend(opened.ok().filter(|front| front.header.id == *id).and_then(|front| front.keys));
        }
        *in_vain = learnt.is_empty().then(Instant::now);
        learnt
    }
}
