// SPDX-License-Identifier: GPL-2.0-or-later
//! Decides what a copy is, by its front and, if that does not match memory, by its records.

use super::state::Writer;
use crate::error::{BadRequest, Error, Refusal, Result};
use crate::format::FormatError;
use crate::format::commit::Commit;
use crate::format::crypto::DataKeys;
use crate::format::header;
use crate::format::image::{Front, Opener, open_front, read_records};
use crate::format::records::{KeyRecord, Sealer};
use crate::format::state::StateId;
use crate::keyring::claims::claimed;
use crate::keyring::lineage::Lineage;
use crate::keyring::memory::Memory;
use crate::keyring::replicas::OpenReplica;
use crate::store::reading::{FRONT_LEN, FrontBytes, Reading};
use crate::store::tasks::SLOW_WAIT;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a copy is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judged {
    /// The present state, byte for byte.
    Same,
    /// A state in which this program may have left the copy, or the present state, damaged or not durable.
    /// Memory holds everything that was acknowledged in it.
    Ours,
    /// An ancestor of the present state, in this generation.
    Ancestor(u64),
}

impl Writer {
    fn changed(&self, path: &Path, detail: String) -> Error {
        Error::Refusal(Refusal::Changed { path: path.to_owned(), detail })
    }

    /// The error for a copy in an older state, if no copy at hand holds the present one.
    pub(super) fn older(&self, index: usize, found: u64) -> Error {
        let path = self.copies.members().get(index).map_or_else(PathBuf::new, |m| m.copy().path().to_owned());
        Error::Refusal(Refusal::Older { path, id: self.header.id, found, expected: self.commit.generation })
    }

    /// Decides what a copy is.
    ///
    /// # Errors
    /// If this writer must not write to the copy.
    pub(super) fn judge(&self, index: usize, reading: &Reading, memory: &Memory) -> Result<Judged> {
        let member = self.copies.members().get(index).ok_or(Error::BadRequest(BadRequest::Unavailable))?;
        let present = self.lineage().state();
        if reading.front == self.front {
            // A failed sync may also have left the present state.
            return Ok(if member.may_hold_unsynced(&present) { Judged::Ours } else { Judged::Same });
        }
        let path = member.copy().path();
        let (opened, keys) = match self.open_front(path, &reading.front) {
            Ok(opened) => opened,
            // Sealed with the data key from before a renewal. Its claims are believed: at worst, a forged
            // file is replaced.
            Err(e @ Error::Refusal(Refusal::OtherKey { .. })) => {
                let earlier = claimed(&reading.front).filter(|state| self.lineage().includes(state));
                return earlier.map(|state| Judged::Ancestor(state.generation())).ok_or(e);
            }
            Err(e) => return Err(e),
        };
        if opened.header.id != self.header.id {
            let (found, expected) = (opened.header.id, self.header.id);
            return Err(Refusal::Foreign { path: path.to_owned(), found, expected }.into());
        }
        let in_slots = opened.commit();
        let header = opened.header.clone();
        // Opening the file would accept records after the committed ones, so those must be known too. Damaged
        // records can only be ones that memory has.
        let limit = self.copies.time_left().min(SLOW_WAIT);
        let rest = reading.rest(opened.bytes_to_read(reading.len), limit)?;
        let mut missing = 0;
        let read =
            self.read_on(&rest, reading.len, opened, keys, |key| missing += usize::from(!memory.has(key)));
        let (commit, before) = read.unwrap_or_else(|| {
            missing = usize::MAX;
            (in_slots, Vec::new())
        });
        let state = StateId::new(&header.epoch, &commit);
        // The chain in the commit identifies the state, even among diverged states of the same generation.
        if state == present || member.may_have_left_in(&state) || self.attempted.contains(&state) {
            return Ok(Judged::Ours);
        }
        if self.lineage().supersedes(&state, || missing) {
            return Ok(Judged::Ancestor(state.generation()));
        }
        let (found, expected) = (commit.generation, self.commit.generation);
        let theirs = Lineage { header: &header, before: &before, commit: &commit };
        if found > expected && theirs.includes(&present) {
            return Err(
                self.changed(path, format!("it holds generation {found}, this program has {expected}"))
            );
        }
        Err(Error::Refusal(Refusal::Diverged { path: path.to_owned(), found, expected }))
    }

    /// Opens a front with the present keys, or with the other keys that a copy may be sealed with.
    fn open_front(&self, path: &Path, front: &FrontBytes) -> Result<(Front, &DataKeys)> {
        let with = |keys| open_front(&front.0, Opener::Keys(keys)).map(|opened| (opened, keys));
        with(&self.keys).or_else(|e| {
            let other = self.other_keys.iter().find_map(|keys| with(keys).ok());
            other.ok_or_else(|| self.why_not_opened(path, front, e))
        })
    }

    /// Reads the records of a file of `len` bytes and passes each key to `each`. Returns the state that
    /// opening the file would yield, and the states before it under its epoch; `None` if the records cannot
    /// be read.
    fn read_on(
        &self,
        rest: &[u8],
        len: u64,
        mut front: Front,
        keys: &DataKeys,
        mut each: impl FnMut(&KeyRecord<'_>),
    ) -> Option<(Commit, Vec<StateId>)> {
        let mut sealer = Sealer::new().ok()?;
        let look = |key: KeyRecord<'_>| {
            each(&key);
            Ok(())
        };
        let commit = read_records(rest, len, keys, &mut front, &mut sealer, look).ok()?;
        Some((commit, front.before))
    }

    /// Whether a damaged front has a readable copy of the header that is of this keyring and has a known
    /// epoch.
    pub(super) fn claims_known_epoch(&self, found: &FrontBytes) -> bool {
        header::read(&found.0).is_ok_and(|copies| {
            let claims = |h: &header::Unchecked| {
                h.claims().id == self.header.id && self.lineage().knows_epoch(&h.claims().epoch)
            };
            copies.readable.iter().any(claims)
        })
    }

    /// The error for a front that the known keys do not open.
    fn why_not_opened(&self, path: &Path, found: &FrontBytes, e: FormatError) -> Error {
        if let Ok(copies) = header::read(&found.0)
            && let Some(claims) = copies.readable.first().map(header::Unchecked::claims)
        {
            if claims.id != self.header.id {
                return Error::Refusal(Refusal::Foreign {
                    path: path.to_owned(),
                    found: claims.id,
                    expected: self.header.id,
                });
            }
            if copies.readable.iter().all(|c| c.check(&self.keys).is_err()) {
                return Error::Refusal(Refusal::OtherKey { path: path.to_owned() });
            }
        }
        e.at(path, "")
    }

    /// Whether a copy with these bytes behind its front holds the present state, and all of its records verify.
    pub(super) fn holds_present(&self, reading: &Reading, rest: &[u8]) -> bool {
        let opened = self.open_front(reading.path(), &reading.front);
        let read = opened.ok().and_then(|(front, keys)| self.read_on(rest, reading.len, front, keys, |_| {}));
        read.is_some_and(|(commit, _)| commit == self.commit)
    }

    /// Returns all bytes of an open copy that `counts`, if its records still verify.
    ///
    /// # Errors
    /// The first read error, if no copy has verified bytes.
    pub(super) fn verified_bytes(
        &self,
        open: &[OpenReplica],
        counts: impl Fn(&OpenReplica) -> bool,
    ) -> Result<Arc<[u8]>> {
        let mut failed = None;
        for copy in open.iter().filter(|o| counts(o)) {
            let reading = copy.file.reading();
            let whole = || -> Result<_> {
                let rest =
                    reading.rest(reading.len.saturating_sub(FRONT_LEN as u64), self.copies.time_left())?;
                Ok(self.holds_present(reading, &rest).then(|| [&reading.front.0[..], &rest].concat().into()))
            };
            match whole() {
                Ok(Some(bytes)) => return Ok(bytes),
                Ok(None) => {}
                Err(e) => drop(failed.get_or_insert(e)),
            }
        }
        Err(failed.unwrap_or(Error::BadRequest(BadRequest::Unavailable)))
    }
}
