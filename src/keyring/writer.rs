// SPDX-License-Identifier: GPL-2.0-or-later
//! Changes to the copies. The writer knows the front of an up-to-date copy byte for byte and writes to
//! no other file; after a write of which it does not know how it ended, and when a copy lags behind, it
//! writes all copies whole.

mod heal;
mod judge;
mod write;

use super::copies::{Copies, Reach, Standing};
use super::memory::Memory;
use super::open::Trust;
use super::witness::{Testimony, WitnessFile};
use crate::error::{Error, Result};
use crate::format::commit::Commit;
use crate::format::crypto::Keys;
use crate::format::header::{EPOCH_LEN, Header, Parent};
use crate::format::records::{KeyRecord, Sealer};
use crate::key::NameRef;
use crate::store::copy::{Changing, FrontBytes};
use crate::store::vacancy::Vacancy;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What a copy turned out to be.
enum Judged {
    /// It is what memory holds, byte for byte.
    Current,
    /// Memory holds all that was acknowledged in it; it is to be written anew.
    Stale,
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

    /// Keeps other programs from changing the copies until the answer is dropped; not those that cannot be locked.
    pub fn lock_copies(&self) -> Vec<Changing> {
        self.copies.members().iter().filter_map(|m| m.copy().open_to_change().ok()).collect()
    }
}
