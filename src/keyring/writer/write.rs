// SPDX-License-Identifier: GPL-2.0-or-later
//! Writes one change to the copies: opens and locks them, then appends to them or rewrites them, side by
//! side.

use super::judge::Judged;
use super::state::Writer;
use crate::audit::Event;
use crate::error::{BadRequest, Error, Refusal, Result};
use crate::format::FormatError;
use crate::format::commit::Commit;
use crate::format::crypto::DataKeys;
use crate::format::header::Header;
use crate::format::image::Image;
use crate::format::layout::ANCESTOR_COUNT;
use crate::format::log_note::LogNote;
use crate::format::records::KeyRecord;
use crate::format::state::StateId;
use crate::keyring::memory::Memory;
use crate::keyring::replicas::{Member, OpenReplica, Reach, Standing};
use crate::store::reading::FrontBytes;
use std::path::Path;
use std::sync::Arc;

/// Maximum number of states of failed writes that are remembered.
const MOST_ATTEMPTED: usize = 24;

impl Writer {
    /// Opens and locks all copies that a change can be written to.
    ///
    /// # Errors
    /// If another program has locked a copy, or has changed one, even one that can no longer be reached,
    /// because its keys are not known here. If fewer copies can be reached than must be.
    pub(super) fn open_copies(&mut self, memory: &Memory, reach: Reach) -> Result<Vec<OpenReplica>> {
        let present = self.lineage().state();
        let mut open = Vec::new();
        let mut earlier = Vec::new();
        let mut damaged = Vec::new();
        let mut first_error = None;
        let mut changed = None;
        for (index, file) in self.copies.lock()?.into_iter().enumerate() {
            let judged = match &file {
                Ok(file) => self.judge(index, file.reading(), memory),
                Err(_) => Err(Error::BadRequest(BadRequest::Unavailable)),
            };
            let file = match file {
                Ok(file) => file,
                Err(e) => {
                    self.copies.note_error(index, &e, &present);
                    first_error.get_or_insert(e);
                    continue;
                }
            };
            self.copies.warn_if_unlocked(&file);
            match judged {
                Ok(Judged::Same) => self.mark_matching(index),
                Ok(Judged::Ours | Judged::Ancestor(_)) => self.copies.set_standing(index, Standing::Behind),
                Err(_) => {}
            }
            let ends_here = file.len() == self.commit.length;
            let copy = OpenReplica { index, file, same: false, current: false };
            match judged {
                Ok(Judged::Same) if ends_here && self.tidy => {
                    let member = self.copies.members().get(index);
                    // What a remote returns is durable.
                    let current =
                        copy.is_at_remote() || member.is_some_and(|m| *m.standing() == Standing::Current);
                    open.push(OpenReplica { same: true, current, ..copy });
                }
                Ok(Judged::Same | Judged::Ours) => open.push(copy),
                Ok(Judged::Ancestor(found)) => earlier.push((copy, found)),
                Err(e) if e.is_by_another() => {
                    self.copies.note_error(index, &e, &present);
                    changed.get_or_insert(e);
                }
                Err(e) => {
                    // A damaged copy is rewritten only if another copy proves that memory is the present
                    // state, and no other program has changed the damaged one.
                    let changed = self.copies.members().get(index).map(Member::standing);
                    if matches!(e, Error::Refusal(Refusal::Damaged { .. }))
                        && !matches!(changed, Some(Standing::Changed(_)))
                        && self.claims_known_epoch(copy.file.front())
                    {
                        damaged.push(copy);
                    }
                    self.copies.note_error(index, &e, &present);
                    first_error.get_or_insert(e);
                }
            }
        }
        // Another program changed a copy, and its keys must not be lost.
        if let Some(e) = changed.or_else(|| self.changed_copy_error()) {
            return Err(e);
        }
        if open.is_empty() {
            for (copy, found) in earlier {
                let e = self.older(copy.index, found);
                self.copies.note_error(copy.index, &e, &present);
                first_error.get_or_insert(e);
            }
            return Err(self.copies.too_few_error(open.len(), first_error));
        }
        open.extend(earlier.into_iter().map(|(copy, _)| copy));
        open.extend(damaged);
        open.sort_by_key(|o| o.index);
        if !self.copies.enough(&open, reach) {
            return Err(self.copies.too_few_error(open.len(), first_error));
        }
        Ok(open)
    }

    /// The error for a copy that another program changed before it went away.
    fn changed_copy_error(&self) -> Option<Error> {
        self.copies.members().iter().find_map(|member| match member.standing() {
            Standing::Changed(_) => Some(Error::Refusal(Refusal::Changed {
                path: member.copy().path().to_owned(),
                detail: "it cannot be reached now, and its changes were not adopted".to_owned(),
            })),
            _ => None,
        })
    }

    /// The states of copies not among `reached`, for the next header.
    fn left_behind(&self, reached: &[usize]) -> Vec<StateId> {
        let away = || {
            let members = self.copies.members().iter().enumerate();
            members.filter(|(index, _)| !reached.contains(index)).map(|(_, member)| member)
        };
        let unknown = away().any(|member| member.probable_states().next().is_none());
        self.lineage().left_behind(away().flat_map(Member::probable_states), unknown)
    }

    /// The bytes to write to copies that are behind when a key is appended to the current ones: those of a
    /// current copy, or nothing if no copy is behind. `None` if no copy can be appended to.
    pub(super) fn append_base(&self, open: &[OpenReplica]) -> Option<Arc<[u8]>> {
        // After a failed write the next generation skips a number, and its commit may belong in the slot of the present
        // one. The other slot would then be stale. A rewrite fills both.
        if !self.attempted.is_empty() {
            return None;
        }
        // The header must be rewritten if a copy is away in a state that it does not list.
        let reached: Vec<_> = open.iter().map(|o| o.index).collect();
        if !self.left_behind(&reached).iter().all(|state| self.header.left_behind.contains(state)) {
            return None;
        }
        if open.iter().any(|o| o.current && !o.file.takes_records()) {
            return None;
        }
        let current = open.iter().filter(|o| o.current).count();
        if current == open.len() {
            return Some(Arc::new([]));
        }
        if current == 0 { None } else { self.verified_bytes(open, |o| o.current).ok() }
    }

    /// Adds a record. Copies that are current get it appended. The others are rewritten with `base` and the
    /// record.
    pub(super) fn append(
        &mut self,
        open: Vec<OpenReplica>,
        base: &[u8],
        record: &KeyRecord<'_>,
        event: &Event,
    ) -> Result<()> {
        let note = self.announce(event, self.next_generation());
        let done = self.append_noting(open, base, record, note);
        self.conclude(done)
    }

    fn append_noting(
        &mut self,
        mut open: Vec<OpenReplica>,
        base: &[u8],
        record: &KeyRecord<'_>,
        note: Option<LogNote>,
    ) -> Result<()> {
        let mut sealed = Vec::with_capacity(record.sealed_len());
        let told = |path: &Path, e: FormatError| e.at(path, "");
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
            note,
        };
        let slot = next.encode(&self.keys, &self.header.epoch);
        let image = image_with(base, next.offset(), &slot, &sealed);
        let present = self.lineage().state();
        // Recorded before a file is touched, so that even a panic leaves the writer cautious.
        self.note_attempt(StateId::new(&self.header.epoch, &next), &open);
        // Whoever opens a file accepts a complete record after the last one that counts. So where a remote may still
        // say that another program was faster, even the record waits.
        // An only remote is where the second step begins, so it needs no first step before.
        let remotes = open.iter().filter(|o| o.is_at_remote()).count();
        let waits = |o: &OpenReplica| o.current && remotes > 0 && (remotes == 1 || !o.is_at_remote());
        // Removes the record, which must not count.
        let undo = |o: &OpenReplica| match o.current {
            true if waits(o) => o.file.nothing(),
            true => o.file.truncate(at),
            false => o.file.abandon(),
        };
        let failed = self.copies.step(&mut open, Reach::Enough, &present, |o| match o.current {
            true if waits(o) => o.file.nothing(),
            true => o.file.append(at, &sealed),
            false => o.file.prepare(&image),
        });
        if !self.copies.enough(&open, Reach::Enough) {
            self.copies.step(&mut open, Reach::Enough, &present, undo);
            return Err(self.copies.too_few_error(open.len(), failed));
        }
        let second = |o: &OpenReplica| match o.current {
            true if waits(o) => o.file.append_and_commit(at, &sealed, next.offset(), &slot),
            true => o.file.write_commit(next.offset(), &slot),
            false => o.file.put_in_place(),
        };
        let failed = self.copies.make_count(&mut open, Reach::Enough, &present, second, undo)?;
        self.finish_change(&open, Reach::Enough, next, failed)?;
        self.front.patch(next.offset(), &slot);
        self.before.truncate(ANCESTOR_COUNT - 1);
        self.before.insert(0, present);
        self.update_witness();
        Ok(())
    }

    /// Remembers a state in which copies are about to be left.
    fn note_attempt(&mut self, state: StateId, open: &[OpenReplica]) {
        if self.attempted.len() >= MOST_ATTEMPTED {
            self.attempted.remove(0);
        }
        self.attempted.push(state);
        let present = self.lineage().state();
        self.copies.mark_touched(open, state, &present);
    }

    /// Ends a change that counts on the copies in `open`, if they are enough.
    fn finish_change(
        &mut self,
        open: &[OpenReplica],
        reach: Reach,
        next: Commit,
        failed: Option<Error>,
    ) -> Result<()> {
        if !self.copies.enough(open, reach) {
            return Err(self.copies.too_few_error(open.len(), failed));
        }
        self.copies.mark_reached(open, self.lineage().state());
        self.commit = next;
        self.attempted.clear();
        Ok(())
    }

    fn next_generation(&self) -> u64 {
        let newest = self.attempted.iter().map(StateId::generation).fold(self.commit.generation, u64::max);
        newest.saturating_add(1)
    }

    pub(super) fn rewrite<'a>(
        &mut self,
        open: Vec<OpenReplica>,
        reach: Reach,
        event: &Event,
        records: impl Iterator<Item = KeyRecord<'a>>,
    ) -> Result<()> {
        let header = self.header.clone();
        self.rewrite_with(open, reach, header, None, event, records)
    }

    pub(super) fn rewrite_with<'a>(
        &mut self,
        open: Vec<OpenReplica>,
        reach: Reach,
        header: Header,
        new_keys: Option<DataKeys>,
        event: &Event,
        records: impl Iterator<Item = KeyRecord<'a>>,
    ) -> Result<()> {
        let generation = self.next_generation();
        let note = match &new_keys {
            Some(new) => self.announce_rekey(event.clone(), generation, new)?,
            None => self.announce(event, generation),
        };
        let done = self.rewrite_noting(open, reach, header, new_keys, note, records);
        self.conclude(done)
    }

    fn rewrite_noting<'a>(
        &mut self,
        mut open: Vec<OpenReplica>,
        reach: Reach,
        mut header: Header,
        new_keys: Option<DataKeys>,
        note: Option<LogNote>,
        records: impl Iterator<Item = KeyRecord<'a>>,
    ) -> Result<()> {
        let present = self.lineage().state();
        // A copy that is not up to date may stay so, for example because its volume is full.
        let alike: Vec<_> = open.iter().filter(|o| o.same).map(|o| o.index).collect();
        header.set_ancestors(self.lineage().ancestors(&self.attempted), self.left_behind(&alike));
        let keys = new_keys.as_ref().unwrap_or(&self.keys);
        let image = Image::seal(&header, keys, self.next_generation(), note, records, &mut self.sealer)
            .map_err(|e: FormatError| e.at(self.copies.path(), ""))?;
        let bytes: Arc<[u8]> = image.bytes.into();
        let undo = |o: &OpenReplica| o.file.abandon();
        let failed = self.copies.step(&mut open, reach, &present, |o| o.file.prepare(&bytes));
        if !self.copies.enough(&open, reach) {
            self.copies.step(&mut open, reach, &present, undo);
            return Err(self.copies.too_few_error(open.len(), failed));
        }
        self.note_attempt(StateId::new(&image.header.epoch, &image.commit), &open);
        let second = |o: &OpenReplica| o.file.put_in_place();
        let failed = self.copies.make_count(&mut open, reach, &present, second, undo)?;
        self.finish_change(&open, reach, image.commit, failed)?;
        if let Some(new) = new_keys {
            let old = std::mem::replace(&mut self.keys, new);
            self.remember_keys([old]);
        }
        self.front = FrontBytes::of(&bytes);
        self.tidy = true;
        self.before.clear();
        self.header = image.header;
        self.update_witness();
        Ok(())
    }
}

/// A whole file: `base` with one more record, and the commit slot that names it.
fn image_with(base: &[u8], slot_at: u64, slot: &[u8], record: &[u8]) -> Arc<[u8]> {
    if base.is_empty() {
        return Arc::new([]);
    }
    let mut image = [base, record].concat();
    let at = slot_at as usize;
    if let Some(place) = image.get_mut(at..at + slot.len()) {
        place.copy_from_slice(slot);
    }
    image.into()
}
