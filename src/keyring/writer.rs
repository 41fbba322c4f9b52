// SPDX-License-Identifier: GPL-2.0-or-later
//! Changes to the copies. The writer knows the front of an up-to-date copy byte for byte and writes to
//! no other file; after a write of which it does not know how it ended, and when a copy lags behind, it
//! writes all copies whole.

mod judge;

use super::copies::{Copies, Open, Reach, Standing};
use super::memory::Memory;
use super::open::Trust;
use super::witness::{Testimony, WitnessFile};
use crate::error::{Error, Result};
use crate::format::commit::Commit;
use crate::format::crypto::Keys;
use crate::format::header::{self, EPOCH_LEN, Header, Parent};
use crate::format::image::Image;
use crate::format::records::{KeyRecord, Sealer};
use crate::key::NameRef;
use crate::store::copy::{Changing, FrontBytes, Reading};
use crate::store::vacancy::Vacancy;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// What a copy turned out to be.
enum Judged {
    /// It is what memory holds, byte for byte.
    Current,
    /// Memory holds all that was acknowledged in it; it is to be written anew.
    Stale,
}

fn all_current(open: &[Open]) -> bool {
    open.iter().all(|o| o.current)
}

/// Makes the changes of one keyring.
#[derive(Debug)]
pub struct Writer {
    copies: Copies,
    keys: Keys,
    /// Other keys that a copy of this keyring may be sealed with: from before a renewal, or from one that
    /// failed. They only tell what such a copy is.
    other_keys: Vec<Keys>,
    header: Header,
    commit: Commit,
    /// Earlier states that the header does not know, the newest first.
    before: Vec<Parent>,
    front: FrontBytes,
    sealer: Sealer,
    /// The next change writes the copies whole: there is damage to heal, or a write ended unknown.
    whole: bool,
    /// No change was made yet. The next one writes the copies whole: a failed sync of the program before may have
    /// left what can be read and is not durable, and nothing may be built on that.
    only_read: bool,
    /// The states that failed writes may have left, each with the epoch it was written under, since the
    /// last write that did not fail.
    attempted: Vec<([u8; EPOCH_LEN], Commit)>,
    witness: Option<(WitnessFile, Testimony)>,
    /// Whether the witness may be written before a change is made.
    witness_renewable: bool,
}

/// What a [`Writer`] begins with: the state of an up-to-date copy.
#[derive(Debug)]
pub struct Start {
    /// The keys.
    pub keys: Keys,
    /// Keys of copies that have others.
    pub other_keys: Vec<Keys>,
    /// The header.
    pub header: Header,
    /// The acknowledged state.
    pub commit: Commit,
    /// Earlier states that the header does not know, the newest first.
    pub before: Vec<Parent>,
    /// The front, byte for byte.
    pub front: FrontBytes,
    /// Whether the next change is to write the copies whole.
    pub whole: bool,
}

impl Writer {
    /// The writer of copies, one of which at least was read.
    pub fn new(copies: Copies, start: Start, sealer: Sealer) -> Self {
        let Start { keys, other_keys, header, commit, before, front, whole } = start;
        let mut writer = Self {
            copies,
            keys,
            other_keys: Vec::new(),
            header,
            commit,
            before,
            front,
            sealer,
            whole,
            only_read: true,
            attempted: Vec::new(),
            witness: None,
            witness_renewable: false,
        };
        writer.remember_keys(other_keys);
        writer
    }

    /// The path that the keyring is known by.
    pub fn path(&self) -> &Path {
        self.copies.path()
    }

    /// The acknowledged state.
    pub fn commit(&self) -> Commit {
        self.commit
    }

    /// Copies that are up to date, and all.
    pub fn count(&self) -> (usize, usize) {
        self.copies.count()
    }

    /// How each copy stands.
    pub fn standings(&self) -> Vec<(PathBuf, Standing)> {
        self.copies.members().iter().map(|m| (m.copy().path().to_owned(), m.standing().clone())).collect()
    }

    /// Asks a witness about this keyring; from now on it notes every change.
    ///
    /// # Errors
    /// What the witness contradicts, unless the administrator named another keyring on purpose.
    pub fn ask_witness(&mut self, witness: WitnessFile, id: &Uuid, trust: Trust) -> Result<()> {
        let testimony = match witness.testify(self.path(), &self.keys, id, &self.commit) {
            Err(Error::WitnessForeign { .. }) if trust == Trust::Administrator => None,
            testimony => Some(testimony?),
        };
        // A keyring that was only looked at does not take the place of the one that the data needs: it
        // does with its first change.
        self.witness = Some((witness, testimony.unwrap_or(Testimony::Fits)));
        self.witness_renewable = testimony.is_some();
        Ok(())
    }

    /// What a witness says of the present state; it does not follow.
    ///
    /// # Errors
    /// As [`WitnessFile::testify`].
    pub fn hear(&self, witness: &WitnessFile) -> Result<Testimony> {
        witness.testify(self.path(), &self.keys, &self.header.id, &self.commit)
    }

    /// Makes the present state what a witness knows.
    ///
    /// # Errors
    /// What the filesystem answers.
    pub fn accept_witness(&mut self, mut witness: WitnessFile, id: &Uuid) -> Result<()> {
        witness.renew(Testimony::Fits, &self.keys, id, &self.commit)
    }

    /// Writes the witness of the present state.
    ///
    /// # Errors
    /// What the filesystem answers.
    pub fn renew_witness(&mut self, id: Uuid) -> Result<()> {
        match &mut self.witness {
            Some((witness, testimony)) if self.witness_renewable => {
                witness.renew(*testimony, &self.keys, &id, &self.commit)?;
                *testimony = Testimony::Fits;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether what was read may be more than the witness has seen: then it may not be durable.
    pub fn is_ahead_of_witness(&self) -> bool {
        self.only_read && matches!(self.witness, Some((_, Testimony::Behind | Testimony::Unreliable)))
    }

    /// The keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether this state is an earlier one of the keyring that `newer` writes.
    pub fn is_before(&self, newer: &Writer) -> bool {
        newer.commit.generation > self.commit.generation
            && newer.header.descends_from(&self.header.epoch, &self.commit)
    }

    /// Goes on from the state of another writer of the same keyring; the witness follows.
    pub fn go_on_from(&mut self, newer: Writer) {
        let (witness, renewable) = (self.witness.take(), self.witness_renewable);
        let old = std::mem::replace(self, newer);
        // A copy that is away now may come back as it went, and with the data key of then.
        self.copies.remember(old.copies);
        self.remember_keys(old.other_keys.into_iter().chain([old.keys]));
        self.witness = witness;
        self.witness_renewable = renewable;
        if let Some((witness, _)) = &mut self.witness {
            witness.saw(&self.keys, &self.header.id, &self.commit);
        }
    }

    fn remember_keys(&mut self, others: impl IntoIterator<Item = Keys>) {
        for keys in others {
            if keys != self.keys && !self.other_keys.contains(&keys) {
                self.other_keys.push(keys);
            }
        }
    }

    /// Looks at every copy, and `to_change` whether it could be changed. An error when none can be used, or one was changed
    /// by another program.
    ///
    /// # Errors
    /// What is wrong with the first.
    pub fn probe(&mut self, to_change: bool) -> Result<()> {
        let mut first_error = None;
        let mut changed = None;
        let mut usable = false;
        for index in 0..self.copies.members().len() {
            let judged = self.member_reading(index, to_change).and_then(|r| self.judge(index, &r));
            match judged {
                Ok(Judged::Current) => {
                    usable = true;
                    // Only what a writing comes to tells whether it can be written to again, and what is behind the
                    // records that count.
                    if !to_change || self.attempted.is_empty() {
                        self.copies.stands(index, Standing::Current);
                    }
                }
                Ok(Judged::Stale) => {
                    usable = true;
                    self.copies.stands(index, Standing::Behind);
                }
                Err(e) => {
                    self.copies.fails(index, &e);
                    let place =
                        if matches!(e, Error::Changed { .. }) { &mut changed } else { &mut first_error };
                    place.get_or_insert(e);
                }
            }
        }
        match (changed, usable, first_error) {
            (Some(e), ..) | (None, false, Some(e)) => Err(e),
            _ => Ok(()),
        }
    }

    fn member_reading(&self, index: usize, to_change: bool) -> Result<Reading> {
        let copy = self.copies.members().get(index).ok_or(Error::Unavailable)?.copy();
        let reading = copy.look()?;
        if to_change { copy.check_room().map(|()| reading) } else { Ok(reading) }
    }

    /// Whether some copy is known to lag behind, or may hold what a failed write left.
    pub fn is_to_heal(&self) -> bool {
        !self.attempted.is_empty() || self.copies.members().iter().any(|m| *m.standing() == Standing::Behind)
    }

    /// Brings the copies that lag behind, are damaged or hold what a failed write left up to date: all that can be
    /// reached, whether they are enough for a change or not.
    ///
    /// # Errors
    /// When none could be reached.
    pub fn heal(&mut self, memory: &Memory) -> Result<()> {
        let open = self.open_ready(Reach::Any)?;
        if !self.whole && all_current(&open) {
            Ok(())
        } else {
            self.rewrite(open, Reach::Any, memory.records())
        }
    }

    /// Writes the copies whole, unless this program has done so: then what was read is durable.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub fn make_durable(&mut self, memory: &Memory) -> Result<()> {
        if !self.only_read {
            return Ok(());
        }
        let open = self.open_copies(&[], Reach::Enough)?;
        self.rewrite(open, Reach::Enough, memory.records())
    }

    /// Adds a key: appends it to every copy, or writes them whole when that is due.
    ///
    /// # Errors
    /// When fewer copies than must be reached were, and memory is to stay as it is.
    pub fn add(&mut self, memory: &Memory, record: &KeyRecord<'_>) -> Result<()> {
        let open = self.open_ready(Reach::Enough)?;
        if self.can_append(&open) {
            self.append(open, record)
        } else {
            self.rewrite(open, Reach::Enough, memory.records().chain([*record]))
        }
    }

    /// Adds keys, all in one step: the copies are written whole with them.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub fn add_all(&mut self, memory: &Memory, records: &[KeyRecord<'_>]) -> Result<()> {
        let open = self.open_copies(&[], Reach::Enough)?;
        self.rewrite(open, Reach::Enough, memory.records().chain(records.iter().copied()))
    }

    /// Removes a key: the copies are written whole without it.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub fn remove(&mut self, memory: &Memory, name: &NameRef<'_>) -> Result<()> {
        let open = self.open_copies(&[], Reach::Enough)?;
        self.rewrite(open, Reach::Enough, memory.records().filter(|r| r.name != *name))
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Puts another header in the place of this one: the copies are written whole with it.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub fn change_header(&mut self, memory: &Memory, header: Header) -> Result<()> {
        let open = self.open_copies(&[], Reach::Enough)?;
        self.rewrite_with(open, Reach::Enough, header, None, memory.records())
    }

    /// Puts a header with renewed slots and the keys that they open to in the place of these: all records are
    /// sealed anew.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub fn rekey(&mut self, memory: &Memory, header: Header, keys: Keys) -> Result<()> {
        let open = self.open_copies(&[], Reach::Enough)?;
        // Known from now on, also when it is not told how the writing ended.
        let again = keys.again().map_err(|e| Error::format(self.copies.path(), "", e))?;
        self.remember_keys([again]);
        self.rewrite_with(open, Reach::Enough, header, Some(keys), memory.records())
    }

    /// Makes new copies, of the same bytes as those that are up to date.
    ///
    /// # Errors
    /// As [`Vacancy::create`].
    pub fn create_copies(&mut self, memory: &Memory, places: &[Vacancy]) -> Result<()> {
        self.heal(memory)?;
        let open = self.open_copies(&[], Reach::Enough)?;
        let bytes = self.whole_bytes(&open)?;
        places.iter().try_for_each(|place| place.create(&bytes).map(drop))
    }

    fn can_append(&self, open: &[Open]) -> bool {
        !self.whole && !self.only_read && all_current(open)
    }

    /// Keeps other programs from changing the copies until the answer is dropped; not those that cannot be locked.
    pub fn lock_copies(&self) -> Vec<Changing> {
        self.copies.members().iter().filter_map(|m| m.copy().open_to_change().ok()).collect()
    }

    /// Opens and locks all copies that a change can go to, and brings those that lag behind up to date
    /// first, from one that is.
    fn open_ready(&mut self, reach: Reach) -> Result<Vec<Open>> {
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
    fn open_copies(&mut self, without: &[usize], reach: Reach) -> Result<Vec<Open>> {
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

    fn append(&mut self, mut open: Vec<Open>, record: &KeyRecord<'_>) -> Result<()> {
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

    fn rewrite<'a>(
        &mut self,
        open: Vec<Open>,
        reach: Reach,
        records: impl Iterator<Item = KeyRecord<'a>>,
    ) -> Result<()> {
        let header = self.header.clone();
        self.rewrite_with(open, reach, header, None, records)
    }

    fn rewrite_with<'a>(
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
