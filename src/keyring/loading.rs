// SPDX-License-Identifier: GPL-2.0-or-later
//! One copy read into memory, and what came of it.

use super::claims::claimed;
use super::lineage::Lineage;
use super::memory::Memory;
use super::replicas::Standing;
use crate::error::{Error, Refusal, Result};
use crate::format::commit::{self, Commit};
use crate::format::crypto::DataKeys;
use crate::format::header::{self, Header};
use crate::format::image::{self, Front, Note, Opener};
use crate::format::layout::{EPOCH_LEN, FIXED_LEN, RECORD_OVERHEAD};
use crate::format::records::Sealer;
use crate::format::state::StateId;
use crate::format::{self, FormatError};
use crate::store::deadline::Task;
use crate::store::replica::{FrontBytes, Reading};
use std::path::Path;
use uuid::Uuid;

/// A copy that was read whole.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Its keys.
    pub keys: DataKeys,
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
    pub before: Vec<StateId>,
}

impl Loaded {
    /// The keys once more.
    pub(crate) fn keys_again(&self) -> Result<DataKeys> {
        self.keys.try_clone().map_err(FormatError::in_memory)
    }
}

/// What reading a copy came to.
#[derive(Debug)]
pub(crate) enum Candidate {
    /// It is whole.
    Intact(Box<Loaded>),
    /// It is this keyring, damaged.
    Damaged {
        /// The keyring that a readable header names.
        id: Uuid,
        /// The epoch of the writing that it names.
        epoch: [u8; EPOCH_LEN],
        /// The generation that it claims.
        generation: Option<u64>,
        /// The state that its authentic front names.
        state: Option<StateId>,
        /// Where it is damaged.
        offset: u64,
        /// Which part.
        what: &'static str,
        /// The whole error.
        error: Error,
    },
    /// Neither the keys nor the secret open it.
    Sealed {
        /// The state that it claims to be in.
        claimed: Option<StateId>,
        /// The whole error.
        error: Error,
    },
    /// It cannot be used.
    Out(Error),
}

impl Candidate {
    /// The copy, when it is whole.
    pub(crate) fn whole(&self) -> Option<&Loaded> {
        match self {
            Candidate::Intact(loaded) => Some(loaded),
            _ => None,
        }
    }

    /// The error, when it is not.
    pub(crate) fn into_error(self) -> Option<Error> {
        match self {
            Candidate::Intact(_) => None,
            Candidate::Damaged { error, .. } | Candidate::Sealed { error, .. } | Candidate::Out(error) => {
                Some(error)
            }
        }
    }

    /// How this copy at `path` stands to the one that counts, at `keyring`, and in which state it is, when that one went through it.
    pub(crate) fn stands_to(
        &self,
        best: &Loaded,
        keyring: &Path,
        path: &Path,
    ) -> (Standing, Option<StateId>) {
        let lineage = best.lineage();
        let known = |state: &StateId| *state == lineage.state() || lineage.includes(state);
        match self {
            Candidate::Intact(loaded) => match loaded.stands_to(best, path) {
                // Its front may be the same, and what is behind it not.
                Ok(Standing::Behind) => (Standing::Behind, Some(loaded.lineage().state())),
                Ok(standing) => (standing, None),
                Err(e) if e.is_by_another() => (Standing::Changed(e.of_copy(keyring)), None),
                Err(e) => (Standing::Out(e.to_string()), None),
            },
            // It holds nothing that the best one lacks, however much of it can still be read.
            Candidate::Damaged { id, epoch, state, .. }
                if *id == best.header.id && lineage.knows_epoch(epoch) =>
            {
                (Standing::Behind, state.filter(known))
            }
            // A copy from before a renewal of the data key. At worst a forged file is replaced.
            Candidate::Sealed { claimed: Some(state), .. } if lineage.includes(state) => {
                (Standing::Behind, Some(*state))
            }
            Candidate::Damaged { error, .. } | Candidate::Sealed { error, .. } | Candidate::Out(error) => {
                (Standing::Out(error.of_copy(keyring)), None)
            }
        }
    }
}

impl Loaded {
    /// Its state and its earlier ones.
    pub(crate) fn lineage(&self) -> Lineage<'_> {
        Lineage { header: &self.header, before: &self.before, commit: &self.commit }
    }

    fn stands_to(&self, best: &Loaded, path: &Path) -> Result<Standing> {
        if self.header.id != best.header.id {
            return Err(Refusal::Foreign {
                path: path.to_owned(),
                found: self.header.id,
                expected: best.header.id,
            }
            .into());
        }
        // With the same front, one may have a record behind the acknowledged ones that the other lacks.
        if self.front == best.front && self.commit == best.commit {
            return Ok(Standing::Read);
        }
        let (state, lineage) = (self.lineage().state(), best.lineage());
        let missing = || self.memory.missing_in(&best.memory);
        if state == lineage.state() || lineage.supersedes(&state, missing) {
            return Ok(Standing::Behind);
        }
        // Nothing proves how it came about: no key that it holds may be lost.
        let (found, expected) = (self.commit.generation, best.commit.generation);
        Err(Error::Refusal(Refusal::Diverged { path: path.to_owned(), found, expected }))
    }
}

/// A copy whose front was opened.
#[derive(Debug)]
pub(crate) struct OpenedFront {
    reading: Reading,
    front: Front,
    keys: DataKeys,
}

impl OpenedFront {
    /// The keys that it is sealed with.
    pub(crate) fn keys(&self) -> &DataKeys {
        &self.keys
    }

    /// What is to be read behind the front.
    pub(crate) fn rest(&self) -> Task<Result<Vec<u8>>> {
        self.reading.rest_task(self.front.bytes_to_read(self.reading.len))
    }

    /// Reads the records.
    pub(crate) fn finish(self, path: &Path, source_name: &str, rest: Result<Vec<u8>>) -> Candidate {
        let rest = match rest {
            Ok(rest) => rest,
            Err(e) => return Candidate::Out(e),
        };
        let OpenedFront { reading, front, keys } = self;
        let (header, commit) = (front.header.clone(), front.commit());
        let state = StateId::new(&header.epoch, &commit);
        match load(front, keys, &rest, reading.len) {
            Ok(mut loaded) => {
                loaded.front = reading.front;
                Candidate::Intact(Box::new(loaded))
            }
            Err(e) => not_whole(path, source_name, &reading.front, e, Some(commit.generation), Some(state)),
        }
    }
}

/// Opens the front of a copy.
///
/// # Errors
/// What the copy is then.
pub(crate) fn begin(
    path: &Path,
    reading: Reading,
    opener: Opener<'_>,
    source_name: &str,
) -> std::result::Result<OpenedFront, Box<Candidate>> {
    let failed = |e, generation| Box::new(not_whole(path, source_name, &reading.front, e, generation, None));
    let mut front = match image::open_front(&reading.front.0, opener) {
        Ok(front) => front,
        // Behind an authentic header, what the commit slots claim is worth heeding although they are damaged.
        Err(e @ FormatError::Damaged { offset: 1.., .. }) => {
            return Err(failed(e, commit::claimed(&reading.front.0).map(|c| c.generation)));
        }
        Err(e) => return Err(failed(e, None)),
    };
    let keys = match (front.keys.take(), opener) {
        (Some(keys), _) => Ok(keys),
        (None, Opener::Keys(keys)) => keys.try_clone(),
        (None, Opener::Secret(_)) => Err(FormatError::NotAKeyring),
    };
    let keys = keys.map_err(|e| failed(e, None))?;
    Ok(OpenedFront { reading, front, keys })
}

fn load(mut front: Front, keys: DataKeys, rest: &[u8], len: u64) -> format::Result<Loaded> {
    let mut memory = Memory::default();
    // What is claimed is authentic, and still no more than the bytes at hand can hold.
    memory.reserve_entries((rest.len() / RECORD_OVERHEAD).min(front.commit().count as usize));
    let commit = image::read_records(rest, len, &keys, &mut front, &mut Sealer::new()?, |record| {
        if memory.insert(&record)? {
            Ok(())
        } else {
            Err(FormatError::Damaged { offset: FIXED_LEN as u64, what: "two records of one name" })
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
    state: Option<StateId>,
) -> Candidate {
    let (damage, sealed) = match &e {
        FormatError::Damaged { offset, what } => (Some((*offset, *what)), false),
        FormatError::WrongSecret { .. } => (None, true),
        _ => (None, false),
    };
    let error = e.at(path, source_name);
    let id = header::read(&front.0)
        .ok()
        .and_then(|c| c.readable.first().map(|h| (h.claims().id, h.claims().epoch)));
    match (damage, id) {
        (Some((offset, what)), Some((id, epoch))) => {
            Candidate::Damaged { id, epoch, generation, state, offset, what, error }
        }
        _ if sealed => Candidate::Sealed { claimed: claimed(front), error },
        _ => Candidate::Out(error),
    }
}
