// SPDX-License-Identifier: GPL-2.0-or-later
//! Tells what a copy is, by its front and, where that differs from what memory holds, by its records.

use super::{Judged, Writer};
use crate::error::{Error, Result};
use crate::format::FormatError;
use crate::format::commit::Commit;
use crate::format::crypto::Keys;
use crate::format::header;
use crate::format::image::{Front, Opener, open_front, read_records};
use crate::format::records::Sealer;
use crate::keyring::copies::Open;
use crate::store::copy::{FRONT_LEN, FrontBytes, Reading};
use std::path::Path;
use std::sync::Arc;

impl Writer {
    fn changed(&self, path: &Path, detail: String) -> Error {
        Error::Changed { path: path.to_owned(), detail }
    }

    /// Tells what a copy is. An error: not one that this writer may write to.
    pub(super) fn judge(&self, index: usize, reading: &Reading) -> Result<Judged> {
        let member = self.copies.members().get(index).ok_or(Error::Unavailable)?;
        if reading.front == self.front {
            return Ok(if member.is_told_by_its_front() { Judged::Current } else { Judged::Stale });
        }
        let path = member.copy().path();
        let (opened, keys) = self.open_front(path, &reading.front)?;
        let in_slots = opened.commit();
        // Opening would take records behind that: they must be known too. Damaged ones can only be
        // what is in memory.
        let rest = reading.rest(opened.wanted(reading.len)).unwrap_or_default();
        let commit = self.read_on(&rest, reading.len, opened, keys).unwrap_or(in_slots);
        // The chain in a commit tells it from all others, also from a fork's of the same generation.
        if commit == self.commit || member.may_be(&commit) {
            return Ok(Judged::Stale);
        }
        if commit.generation < self.commit.generation {
            return Err(Error::Older {
                path: path.to_owned(),
                id: self.header.id,
                found: commit.generation,
                expected: self.commit.generation,
            });
        }
        Err(self.changed(
            path,
            format!(
                "it holds another generation {} than this program, which has {}",
                commit.generation, self.commit.generation
            ),
        ))
    }

    /// Opens a front with the keys, or the other keys that a copy may be sealed with.
    fn open_front(&self, path: &Path, front: &FrontBytes) -> Result<(Front, &Keys)> {
        let with = |keys| open_front(&front.0, Opener::Keys(keys)).map(|opened| (opened, keys));
        with(&self.keys).or_else(|e| {
            let other = self.other_keys.iter().find_map(|keys| with(keys).ok());
            other.ok_or_else(|| self.unopened(path, front, e))
        })
    }

    /// The state that opening a file of `len` bytes would come to. `None`: its records cannot be read.
    fn read_on(&self, rest: &[u8], len: u64, mut front: Front, keys: &Keys) -> Option<Commit> {
        let mut sealer = Sealer::new().ok()?;
        read_records(rest, len, keys, &mut front, &mut sealer, |_| Ok(())).ok()
    }

    /// Whether a readable copy of the header in a front names this keyring.
    pub(super) fn claims_our_id(&self, found: &FrontBytes) -> bool {
        header::read(&found.0).is_ok_and(|c| c.readable.iter().any(|h| h.claims().id == self.header.id))
    }

    /// Why the keys in memory do not open a front.
    fn unopened(&self, path: &Path, found: &FrontBytes, e: FormatError) -> Error {
        if let Ok(copies) = header::read(&found.0)
            && let Some(claims) = copies.readable.first().map(header::Unchecked::claims)
        {
            if claims.id != self.header.id {
                return Error::Foreign { path: path.to_owned(), found: claims.id, expected: self.header.id };
            }
            if copies.readable.iter().all(|c| c.check(&self.keys).is_err()) {
                return Error::OtherKey { path: path.to_owned() };
            }
        }
        Error::format(path, "", e)
    }

    /// All bytes of an up-to-date copy, when its records still verify. The error of the first that cannot be read,
    /// when there is none.
    pub(super) fn whole_bytes(&self, open: &[Open]) -> Result<Arc<[u8]>> {
        let mut failed = None;
        for copy in open.iter().filter(|o| o.current) {
            let reading = copy.file.reading();
            let whole = || -> Result<_> {
                let (opened, keys) = self.open_front(copy.file.path(), &reading.front)?;
                let rest = reading.rest(reading.len.saturating_sub(FRONT_LEN as u64))?;
                let whole = self.read_on(&rest, reading.len, opened, keys) == Some(self.commit);
                Ok(whole.then(|| [&reading.front.0[..], &rest].concat().into()))
            };
            match whole() {
                Ok(Some(bytes)) => return Ok(bytes),
                Ok(None) => {}
                Err(e) => drop(failed.get_or_insert(e)),
            }
        }
        Err(failed.unwrap_or(Error::Unavailable))
    }
}
