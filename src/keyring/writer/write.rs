// SPDX-License-Identifier: GPL-2.0-or-later
//! One change on its way to the copies: they are opened and locked, then appended to or written whole.

use super::{Judged, Writer};
use crate::error::{Error, Result};
use crate::format::commit::Commit;
use crate::format::crypto::Keys;
use crate::format::header::{self, Header, Parent};
use crate::format::image::Image;
use crate::format::records::KeyRecord;
use crate::keyring::copies::{Open, Reach};
use crate::store::copy::{Changing, FrontBytes};
use std::path::Path;
use std::sync::Arc;

pub(super) fn all_current(open: &[Open]) -> bool {
    open.iter().all(|o| o.current)
}

impl Writer {
    /// Opens and locks all copies that a change can go to, and brings those that lag behind up to date
    /// first, from one that is.
    pub(super) fn open_ready(&mut self, reach: Reach) -> Result<Vec<Open>> {
        let open = self.open_copies(&[], reach)?;
        if self.whole || all_current(&open) {
            return Ok(open);
        }
        let Ok(bytes) = self.whole_bytes(&open) else { return Ok(open) };
        let mut failed = Vec::new();
        for copy in open.iter().filter(|o| !o.current) {
            match copy.file.prepare(&bytes).and_then(|()| copy.file.put_in_place()) {
                Ok(()) => self.copies.reached(std::slice::from_ref(copy), self.commit),
                Err(e) => {
                    self.copies.may_have_reached(copy.index, self.commit);
                    self.copies.doubt(copy.index);
                    self.copies.fails(copy.index, &e);
                    failed.push(copy.index);
                }
            }
        }
        drop(open);
        self.open_copies(&failed, reach)
    }

    /// Opens and locks all copies that a change can go to, but for those in `without`.
    pub(super) fn open_copies(&mut self, without: &[usize], reach: Reach) -> Result<Vec<Open>> {
        let mut open = Vec::new();
        let mut damaged = Vec::new();
        let mut first_error = None;
        for index in (0..self.copies.members().len()).filter(|i| !without.contains(i)) {
            let Some(member) = self.copies.members().get(index) else { continue };
            let file = match member.copy().open_to_change() {
                Ok(file) => file,
                Err(e) => {
                    if matches!(e, Error::Missing { .. }) {
                        self.copies.is_absent(index, self.commit);
                    }
                    self.copies.fails(index, &e);
                    first_error.get_or_insert(e);
                    continue;
                }
            };
            match self.judge(index, file.reading()) {
                Ok(judged) => {
                    let ends_here = file.len() == self.commit.length;
                    open.push(Open { index, current: matches!(judged, Judged::Current) && ends_here, file });
                }
                // Another program writes here: its keys must not be lost.
                Err(e @ Error::Changed { .. }) => {
                    self.copies.fails(index, &e);
                    return Err(e);
                }
                Err(e) => {
                    // Only where another copy proves that memory is what counts.
                    if matches!(e, Error::Damaged { .. }) && self.claims_our_id(file.front()) {
                        damaged.push(Open { index, file, current: false });
                    }
                    self.copies.fails(index, &e);
                    first_error.get_or_insert(e);
                }
            }
        }
        if open.is_empty() {
            return Err(self.copies.too_few(&open, first_error));
        }
        open.extend(damaged);
        open.sort_by_key(|o| o.index);
        if !self.copies.enough(&open, reach) {
            return Err(self.copies.too_few(&open, first_error));
        }
        Ok(open)
    }

    /// Whether a record behind the others is enough for a new key.
    pub(super) fn can_append(&self, open: &[Open]) -> bool {
        !self.whole && !self.only_read && all_current(open)
    }

    pub(super) fn append(&mut self, mut open: Vec<Open>, record: &KeyRecord<'_>) -> Result<()> {
        let mut sealed = Vec::with_capacity(record.sealed_len());
        let told = |path: &Path, e| Error::format(path, "", e);
        let chain = self
            .sealer
            .seal(&self.keys, &self.commit.chain, record, &mut sealed)
            .map_err(|e| told(self.copies.path(), e))?;
        let at = self.commit.length;
        let next = Commit {
            generation: self.next_generation(),
            length: at + sealed.len() as u64,
            count: self.commit.count + 1,
            chain,
        };
        let slot = next.encode(&self.keys, &self.header.epoch).map_err(|e| told(self.copies.path(), e))?;
        // Set before a file is touched, so that even a panic leaves the writer wary.
        self.whole = true;
        self.attempted.push((self.header.epoch, next));
        let failed = self.copies.step(&mut open, Some(next), |file| file.append(at, &sealed));
        if !self.copies.enough(&open, Reach::Enough) {
            // What was written does not count yet, and must not begin to.
            self.copies.step(&mut open, Some(next), |file| file.cut(at));
            return Err(self.copies.too_few(&open, failed));
        }
        let failed = self.copies.step(&mut open, Some(next), |file| file.commit(next.offset(), &slot));
        let replaced = self.commit;
        self.end(&open, Reach::Enough, next, None, failed)?;
        self.front.patch(next.offset(), &slot);
        self.before.truncate(header::PARENT_COUNT - 1);
        self.before.insert(0, Parent::new(&self.header.epoch, &replaced));
        Ok(())
    }

    /// The end of a change that counts on the copies in `open`: when they are enough, memory follows.
    fn end(
        &mut self,
        open: &[Open],
        reach: Reach,
        next: Commit,
        new_keys: Option<Keys>,
        failed: Option<Error>,
    ) -> Result<()> {
        if !self.copies.enough(open, reach) {
            open.iter().for_each(|o| self.copies.may_have_reached(o.index, next));
            return Err(self.copies.too_few(open, failed));
        }
        self.copies.reached(open, next);
        self.copies.doubt_others(open, next);
        self.commit = next;
        if let Some(new) = new_keys {
            let old = std::mem::replace(&mut self.keys, new);
            self.remember_keys([old]);
        }
        self.attempted.clear();
        self.whole = false;
        self.only_read = false;
        if let Some((witness, _)) = &mut self.witness {
            witness.saw(&self.keys, &self.header.id, &next);
        }
        Ok(())
    }

    fn next_generation(&self) -> u64 {
        let newest = self.attempted.iter().map(|(_, c)| c.generation).fold(self.commit.generation, u64::max);
        newest.saturating_add(1)
    }

    /// What a new writing replaces: the states that the copies may be in, then what those replaced.
    fn parents(&self) -> Vec<Parent> {
        let states = self.attempted.iter().rev().map(|(epoch, commit)| Parent::new(epoch, commit));
        let known = self.header.parents.iter().copied();
        states
            .chain([Parent::new(&self.header.epoch, &self.commit)])
            .chain(self.before.iter().copied())
            .chain(known)
            .take(header::PARENT_COUNT)
            .collect()
    }

    pub(super) fn rewrite<'a>(
        &mut self,
        open: Vec<Open>,
        reach: Reach,
        records: impl Iterator<Item = KeyRecord<'a>>,
    ) -> Result<()> {
        let header = self.header.clone();
        self.rewrite_with(open, reach, header, None, records)
    }

    pub(super) fn rewrite_with<'a>(
        &mut self,
        mut open: Vec<Open>,
        reach: Reach,
        mut header: Header,
        new_keys: Option<Keys>,
        records: impl Iterator<Item = KeyRecord<'a>>,
    ) -> Result<()> {
        header.parents = self.parents();
        let keys = new_keys.as_ref().unwrap_or(&self.keys);
        let image = Image::seal(&header, keys, self.next_generation(), records, &mut self.sealer)
            .map_err(|e| Error::format(self.copies.path(), "", e))?;
        let bytes: Arc<[u8]> = image.bytes.into();
        let failed = self.copies.step(&mut open, None, |file| file.prepare(&bytes));
        if !self.copies.enough(&open, reach) {
            open.iter().for_each(|o| o.file.abandon());
            return Err(self.copies.too_few(&open, failed));
        }
        self.whole = true;
        self.attempted.push((image.header.epoch, image.commit));
        let failed = self.copies.step(&mut open, Some(image.commit), Changing::put_in_place);
        self.end(&open, reach, image.commit, new_keys, failed)?;
        self.front = FrontBytes::of(&bytes);
        self.before.clear();
        self.header = image.header;
        Ok(())
    }
}
