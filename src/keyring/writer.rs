// SPDX-License-Identifier: GPL-2.0-or-later
//! Changes to the file. The writer knows the file's front byte for byte and refuses to write to any
//! other; after a write of which it does not know how it ended, it writes the file whole.

use super::memory::Memory;
use crate::error::{Error, Result};
use crate::format::commit::Commit;
use crate::format::crypto::Keys;
use crate::format::header::{self, Header};
use crate::format::image::{Image, Opener, open_front};
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
    /// The newest generation that a write may have left behind.
    attempted_generation: u64,
    /// The epoch of a whole write that ended unknown.
    attempted_epoch: Option<[u8; header::EPOCH_LEN]>,
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
        Self {
            copy,
            keys,
            header,
            commit,
            front,
            sealer,
            whole,
            attempted_generation: commit.generation,
            attempted_epoch: None,
        }
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
        let found = self.copy.read()?.front;
        if found == self.front { Ok(()) } else { self.recognise(&found) }
    }

    /// Adds a key to the file: appends it, or writes the file whole when that is due.
    pub fn add(&mut self, memory: &Memory, record: &KeyRecord<'_>) -> Result<()> {
        if !self.whole {
            match self.append(record) {
                Ok(()) => return Ok(()),
                // The right file, but in part damaged: what is in memory heals it.
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
                self.attempted_generation = next.generation;
                self.whole = false;
            }
            Err(Failed::Between(_)) => self.attempted_generation = next.generation,
            Err(Failed::Before(_) | Failed::Unexpected(_)) => self.whole = false,
        }
        written
    }

    fn next_generation(&self) -> u64 {
        self.attempted_generation.max(self.commit.generation).saturating_add(1)
    }

    fn rewrite<'a>(&mut self, records: impl Iterator<Item = KeyRecord<'a>>) -> Result<()> {
        let image = Image::seal(&self.header, &self.keys, self.next_generation(), records, &mut self.sealer)
            .map_err(|e| Error::format(self.copy.path(), "", e))?;
        let accept = |found: &FrontBytes| *found == self.front || self.recognise(found).is_ok();
        match self.copy.replace(&accept, &image.bytes) {
            Ok(()) => {
                self.front = FrontBytes::of(&image.bytes);
                self.attempted_generation = image.commit.generation;
                self.attempted_epoch = None;
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
                self.attempted_generation = image.commit.generation;
                self.attempted_epoch = Some(image.header.epoch);
                Err(e)
            }
        }
    }

    fn changed(&self, detail: String) -> Error {
        Error::Changed { path: self.copy.path().to_owned(), detail }
    }

    /// Tells what a front is that is not byte for byte the expected one. `Ok`: it is the file that this
    /// writer wrote, in a state that a failed write or damage explains.
    fn recognise(&self, found: &FrontBytes) -> Result<()> {
        let path = self.copy.path();
        let opened = match open_front(&found.0, Opener::Keys(&self.keys)) {
            Ok(opened) => opened,
            Err(e) => return Err(self.unopened(found, e)),
        };
        let generation = opened.commit().generation;
        if generation < self.commit.generation {
            return Err(Error::Older {
                path: path.to_owned(),
                id: self.header.id,
                found: generation,
                expected: self.commit.generation,
            });
        }
        if generation > self.attempted_generation {
            return Err(self.changed(format!(
                "it holds generation {generation}, this program wrote {}",
                self.commit.generation
            )));
        }
        let epoch = opened.header.epoch;
        if epoch != self.header.epoch && Some(epoch) != self.attempted_epoch {
            return Err(self.changed(format!("another writing of generation {generation}")));
        }
        Ok(())
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
