// SPDX-License-Identifier: GPL-2.0-or-later
//! One copy read into memory, and what came of it.

use super::copies::Standing;
use super::memory::Memory;
use crate::error::{Error, Result};
use crate::format::commit::{self, Commit};
use crate::format::crypto::Keys;
use crate::format::header::{self, EPOCH_LEN, Header, Parent};
use crate::format::image::{self, Front, Note, Opener};
use crate::format::records::{RECORD_OVERHEAD, Sealer};
use crate::format::{self, FormatError};
use crate::store::copy::{Copy, FrontBytes};
use std::path::Path;
use uuid::Uuid;

/// A copy that was read whole.
#[derive(Debug)]
pub struct Loaded {
    /// Its keys.
    pub keys: Keys,
    /// Its header.
    pub header: Header,
    /// Its acknowledged state.
    pub commit: Commit,
    /// Its front, byte for byte.
    pub front: FrontBytes,
    /// The keys it holds.
    pub memory: Memory,
    /// Things worth saying.
    pub notes: Vec<Note>,
    /// Its earlier states that its header does not know yet, the newest first.
    pub before: Vec<Parent>,
}

impl Loaded {
    /// The keys once more.
    pub fn keys_again(&self) -> Result<Keys> {
        self.keys.again().map_err(|e| Error::format(Path::new(""), "", e))
    }
}

/// What reading a copy came to.
#[derive(Debug)]
pub enum Outcome {
    /// It is whole.
    Whole(Box<Loaded>),
    /// It is this keyring, damaged.
    Damaged {
        /// The keyring that a readable header names.
        id: Uuid,
        /// The generation that it claims.
        generation: Option<u64>,
        /// The state that its authentic front names, and the epoch of that.
        state: Option<([u8; EPOCH_LEN], Commit)>,
        /// Where it is damaged.
        offset: u64,
        /// Which part.
        what: &'static str,
        /// The whole error.
        error: Error,
    },
    /// It cannot be used.
    Out(Error),
}

impl Outcome {
    /// The copy, when it is whole.
    pub fn whole(&self) -> Option<&Loaded> {
        match self {
            Outcome::Whole(loaded) => Some(loaded),
            _ => None,
        }
    }

    /// The error, when it is not.
    pub fn into_error(self) -> Option<Error> {
        match self {
            Outcome::Whole(_) => None,
            Outcome::Damaged { error, .. } | Outcome::Out(error) => Some(error),
        }
    }

    /// How this copy at `path` stands to the one that counts, and in which state it is.
    pub fn stands_to(&self, best: &Loaded, path: &Path) -> (Option<Commit>, Standing) {
        match self {
            Outcome::Whole(loaded) => match loaded.stands_to(best, path) {
                Ok(standing) => (Some(loaded.commit), standing),
                Err(e) => (None, Standing::Out(e.to_string())),
            },
            Outcome::Damaged { id, state, .. } if *id == best.header.id => {
                // It holds nothing that the best one lacks, however much of it can still be read.
                let earlier = |(epoch, commit): &([u8; EPOCH_LEN], Commit)| {
                    *commit == best.commit || best.header.descends_from(epoch, commit)
                };
                (state.filter(earlier).map(|(_, commit)| commit), Standing::Behind)
            }
            Outcome::Damaged { error, .. } | Outcome::Out(error) => (None, Standing::Out(error.to_string())),
        }
    }
}

impl Loaded {
    fn stands_to(&self, best: &Loaded, path: &Path) -> Result<Standing> {
        if self.header.id != best.header.id {
            return Err(Error::Foreign {
                path: path.to_owned(),
                found: self.header.id,
                expected: best.header.id,
            });
        }
        // With the same front, one may have a record behind the acknowledged ones that the other lacks.
        if self.front == best.front && self.commit == best.commit {
            return Ok(Standing::Current);
        }
        if self.commit == best.commit || best.header.descends_from(&self.header.epoch, &self.commit) {
            return Ok(Standing::Behind);
        }
        // Nobody vouches for how it came about: nothing may be lost with it.
        match self.memory.missing_in(&best.memory) {
            0 => Ok(Standing::Behind),
            keys => Err(Error::Diverged {
                path: path.to_owned(),
                found: self.commit.generation,
                expected: best.commit.generation,
                keys,
            }),
        }
    }
}

/// Reads a copy.
pub fn read_copy(copy: &Copy, opener: Opener<'_>, source_name: &str) -> Outcome {
    let reading = match copy.read() {
        Ok(reading) => reading,
        Err(e) => return Outcome::Out(e),
    };
    let failed =
        |e, generation, state| not_whole(copy.path(), source_name, &reading.front, e, generation, state);
    let front = match image::open_front(&reading.front.0, opener) {
        Ok(front) => front,
        // Behind an authentic header, what the commit slots claim is worth heeding although they are damaged.
        Err(e @ FormatError::Damaged { offset: 1.., .. }) => {
            return failed(e, commit::claimed(&reading.front.0).map(|c| c.generation), None);
        }
        Err(e) => return failed(e, None, None),
    };
    let state = (front.header.epoch, front.commit());
    let rest = match reading.rest(front.wanted(reading.len)) {
        Ok(rest) => rest,
        Err(e) => return Outcome::Out(e),
    };
    match load(front, opener, &rest, reading.len) {
        Ok(mut loaded) => {
            loaded.front = reading.front.clone();
            Outcome::Whole(Box::new(loaded))
        }
        Err(e) => failed(e, Some(state.1.generation), Some(state)),
    }
}

fn load(mut front: Front, opener: Opener<'_>, rest: &[u8], len: u64) -> format::Result<Loaded> {
    let keys = match (front.keys.take(), opener) {
        (Some(keys), _) => keys,
        (None, Opener::Keys(keys)) => Keys::derive(keys.data(), &front.header.id)?,
        (None, Opener::Secret(_)) => return Err(FormatError::NotAKeyring),
    };
    let mut memory = Memory::default();
    // What is claimed is authentic, and still no more than the bytes at hand can hold.
    memory.expect((rest.len() / RECORD_OVERHEAD).min(front.commit().count as usize));
    let commit = image::read_records(rest, len, &keys, &mut front, &mut Sealer::new()?, |record| {
        if memory.insert(&record)? {
            Ok(())
        } else {
            Err(FormatError::Damaged { offset: format::FIXED_LEN as u64, what: "two records of one name" })
        }
    })?;
    let Front { header, notes, before, .. } = front;
    Ok(Loaded { keys, header, commit, front: FrontBytes::of(&[]), memory, notes, before })
}

/// What a copy is that could not be read whole; `generation` is what is known of how far it had come, `state` what its front
/// proves of that.
fn not_whole(
    path: &Path,
    source_name: &str,
    front: &FrontBytes,
    e: FormatError,
    generation: Option<u64>,
    state: Option<([u8; EPOCH_LEN], Commit)>,
) -> Outcome {
    let damage = match e {
        FormatError::Damaged { offset, what } => Some((offset, what)),
        _ => None,
    };
    let error = Error::format(path, source_name, e);
    let id = header::read(&front.0).ok().and_then(|c| c.readable.first().map(|h| h.claims().id));
    match (damage, id) {
        (Some((offset, what)), Some(id)) => Outcome::Damaged { id, generation, state, offset, what, error },
        _ => Outcome::Out(error),
    }
}
