// SPDX-License-Identifier: GPL-2.0-or-later
//! Changes to the file. The writer knows the file's front byte for byte and refuses to write to any
//! other; after a write of which it does not know how it ended, it writes the file whole.

use super::memory::Memory;
use crate::error::{Error, Result};
use crate::format::commit::Commit;
use crate::format::crypto::Keys;
use crate::format::header::{self, Header, Parent};
use crate::format::image::{Front, Image, Opener, open_front, read_records};
use crate::format::records::{KeyRecord, Sealer};
use crate::key::NameRef;
use crate::store::copy::{Append, Copy, Failed, FrontBytes};
use std::path::Path;

/// Makes the changes of one keyring.
#[derive(Debug)]
pub struct Writer {
    copy: Copy,
    keys: Keys,
    header: Header,
    commit: Commit,
    front: FrontBytes,
    sealer: Sealer,
    /// The next change writes the file whole: it has damage to heal, or a write ended unknown.
    whole: bool,
    /// The states that failed writes may have left in the file, each with the epoch it was written
    /// under, since the last write that did not fail.
    attempted: Vec<([u8; header::EPOCH_LEN], Commit)>,
}

impl Writer {
    /// The writer of a file that was read. `whole`: it has damage that the next write should heal.
    pub fn new(
        copy: Copy,
        keys: Keys,
        header: Header,
        commit: Commit,
        front: FrontBytes,
        sealer: Sealer,
        whole: bool,
    ) -> Self {
        Self { copy, keys, header, commit, front, sealer, whole, attempted: Vec::new() }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        self.copy.path()
    }

    /// The generation in memory.
    pub fn generation(&self) -> u64 {
        self.commit.generation
    }

    /// Whether the file is there and is the one in memory.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn probe(&self) -> Result<()> {
        self.recognise(&self.copy.read()?.front)
    }

    /// Adds a key to the file: appends it, or writes the file whole when that is due.
    pub fn add(&mut self, memory: &Memory, record: &KeyRecord<'_>) -> Result<()> {
        if !self.whole {
            match self.append(record) {
                Ok(()) => return Ok(()),
                // The right file, but damaged in part or with a tail: what is in memory heals it.
                Err(Failed::Unexpected(found)) => self.recognise(&found)?,
                Err(Failed::Before(e) | Failed::Between(e)) => return Err(e),
            }
        }
        self.rewrite(memory.records().chain([*record]))
    }

    /// Removes a key: the file is written whole without it.
    pub fn remove(&mut self, memory: &Memory, name: &NameRef<'_>) -> Result<()> {
        self.rewrite(memory.records().filter(|r| r.name != *name))
    }

    fn append(&mut self, record: &KeyRecord<'_>) -> std::result::Result<(), Failed> {
        let format = |e| Failed::Before(Error::format(self.copy.path(), "", e));
        let mut sealed = Vec::with_capacity(record.sealed_len());
        let chain = self.sealer.seal(&self.keys, &self.commit.chain, record, &mut sealed).map_err(format)?;
        let next = Commit {
            generation: self.next_generation(),
            length: self.commit.length + sealed.len() as u64,
            count: self.commit.count + 1,
            chain,
        };
        let slot = next.encode(&self.keys, &self.header.epoch).map_err(format)?;
        // Set before the file is touched, so that even a panic leaves the writer wary.
        self.whole = true;
        self.attempted.push((self.header.epoch, next));
        let written = self.copy.append(
            &self.front,
            &Append {
                record_at: self.commit.length,
                record: &sealed,
                commit_at: next.offset(),
                commit: &slot,
            },
        );
        match written {
            Ok(()) => {
                self.front.patch(next.offset(), &slot);
                self.commit = next;
                self.attempted.clear();
                self.whole = false;
            }
            Err(Failed::Between(_)) => {}
            Err(Failed::Before(_) | Failed::Unexpected(_)) => {
                self.attempted.pop();
                self.whole = false;
            }
        }
        written
    }

    fn next_generation(&self) -> u64 {
        let newest = self.attempted.iter().map(|(_, c)| c.generation).fold(self.commit.generation, u64::max);
        newest.saturating_add(1)
    }

    /// What a new writing of the file replaces: the states that it may be in, then what those replaced.
    fn parents(&self) -> Vec<Parent> {
        let states = self.attempted.iter().rev().map(|(epoch, commit)| Parent::new(epoch, commit));
        let known = self.header.parents.iter().copied();
        states
            .chain([Parent::new(&self.header.epoch, &self.commit)])
            .chain(known)
            .take(header::PARENT_COUNT)
            .collect()
    }

    fn rewrite<'a>(&mut self, records: impl Iterator<Item = KeyRecord<'a>>) -> Result<()> {
        let mut header = self.header.clone();
        header.parents = self.parents();
        let image = Image::seal(&header, &self.keys, self.next_generation(), records, &mut self.sealer)
            .map_err(|e| Error::format(self.copy.path(), "", e))?;
        let accept = |found: &FrontBytes| self.recognise(found).is_ok();
        match self.copy.replace(&accept, &image.bytes) {
            Ok(()) => {
                self.front = FrontBytes::of(&image.bytes);
                self.attempted.clear();
                self.header = image.header;
                self.commit = image.commit;
                self.whole = false;
                Ok(())
            }
            Err(Failed::Before(e)) => Err(e),
            Err(Failed::Unexpected(found)) => Err(self
                .recognise(&found)
                .err()
                .unwrap_or_else(|| self.changed("while it was locked".to_owned()))),
            Err(Failed::Between(e)) => {
                self.whole = true;
                self.attempted.push((image.header.epoch, image.commit));
                Err(e)
            }
        }
    }

    fn changed(&self, detail: String) -> Error {
        Error::Changed { path: self.copy.path().to_owned(), detail }
    }

    /// `Ok` when the front is of the file that memory holds, or one that a failed write of this writer or
    /// damage explains. Everything acknowledged in it is in memory then.
    fn recognise(&self, found: &FrontBytes) -> Result<()> {
        if *found == self.front {
            return Ok(());
        }
        let path = self.copy.path();
        let opened = open_front(&found.0, Opener::Keys(&self.keys)).map_err(|e| self.unopened(found, e))?;
        let in_slots = opened.commit();
        // Opening would take records behind that: they must be known too. Damaged ones can only be
        // what is in memory.
        let commit = self.read_on(found, opened).unwrap_or(in_slots);
        // The chain in a commit tells it from all others, also from a fork's of the same generation.
        if commit == self.commit || self.attempted.iter().any(|(_, c)| *c == commit) {
            return Ok(());
        }
        if commit.generation < self.commit.generation {
            return Err(Error::Older {
                path: path.to_owned(),
                id: self.header.id,
                found: commit.generation,
                expected: self.commit.generation,
            });
        }
        Err(self.changed(format!(
            "it holds another generation {} than this program, which has {}",
            commit.generation, self.commit.generation
        )))
    }

    /// The state that opening the file would come to. `None`: the records cannot be read, or the file
    /// has another front by now.
    fn read_on(&self, found: &FrontBytes, mut front: Front) -> Option<Commit> {
        let reading = self.copy.read().ok().filter(|r| r.front == *found)?;
        let file_len = reading.file_len().ok()?;
        let rest = reading.rest(front.wanted(file_len)).ok()?;
        let mut sealer = Sealer::new().ok()?;
        read_records(&rest, file_len, &self.keys, &mut front, &mut sealer, |_| Ok(())).ok()
    }

    /// Why the keys in memory do not open a front.
    fn unopened(&self, found: &FrontBytes, e: crate::format::FormatError) -> Error {
        let path = self.copy.path();
        if let Ok(copies) = header::read(&found.0)
            && let Some(claims) = copies.readable.first().map(header::Unchecked::claims)
        {
            if claims.id != self.header.id {
                return Error::Foreign { path: path.to_owned(), found: claims.id, expected: self.header.id };
            }
            if copies.readable.iter().all(|c| c.check(&self.keys).is_err()) {
                return self.changed("its data key is another".to_owned());
            }
        }
        Error::format(path, "", e)
    }
}
