// SPDX-License-Identifier: GPL-2.0-or-later
//! Loads one copy into memory.

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
use crate::store::reading::{FrontBytes, Reading};
use std::path::Path;
use uuid::Uuid;

/// A copy that was read and is intact.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Its data key and the keys derived from it.
    pub keys: DataKeys,
    /// Its header.
    pub header: Header,
    /// Its acknowledged state.
    pub commit: Commit,
    /// Its front, byte for byte.
    pub front: FrontBytes,
    /// The keys that it holds.
    pub memory: Memory,
    /// Oddities of the file.
    pub notes: Vec<Note>,
    /// Ancestors that its header does not list, the newest first.
    pub before: Vec<StateId>,
}

impl Loaded {
    /// Copies the keys.
    pub(crate) fn clone_keys(&self) -> Result<DataKeys> {
        self.keys.try_clone().map_err(FormatError::in_memory)
    }
}

/// A copy that was read, and may be the one that counts.
#[derive(Debug)]
pub(crate) enum Candidate {
    /// An intact copy.
    Intact(Box<Loaded>),
    /// A damaged copy of a keyring.
    Damaged {
        /// The id in a readable header.
        id: Uuid,
        /// The epoch in that header.
        epoch: [u8; EPOCH_LEN],
        /// The generation that it claims.
        generation: Option<u64>,
        /// The state in its front, if that is authentic.
        state: Option<StateId>,
        /// Offset of the damage.
        offset: u64,
        /// The damaged part.
        what: &'static str,
        /// The complete error.
        error: Error,
    },
    /// A copy that neither the keys nor the secret open.
    Sealed {
        /// The state that it claims.
        claimed: Option<StateId>,
        /// The complete error.
        error: Error,
    },
    /// A copy that cannot be used.
    Out(Error),
}

impl Candidate {
    /// The copy, if it is intact.
    pub(crate) fn intact(&self) -> Option<&Loaded> {
        match self {
            Candidate::Intact(loaded) => Some(loaded),
            _ => None,
        }
    }

    /// The error, if it is not intact.
    pub(crate) fn into_error(self) -> Option<Error> {
        match self {
            Candidate::Intact(_) => None,
            Candidate::Damaged { error, .. } | Candidate::Sealed { error, .. } | Candidate::Out(error) => {
                Some(error)
            }
        }
    }

    /// The standing of this copy at `path`, judged by the one that counts, at `keyring`. Also returns its
    /// state if that is the present one or an ancestor.
    pub(crate) fn standing_against(
        &self,
        best: &Loaded,
        keyring: &Path,
        path: &Path,
    ) -> (Standing, Option<StateId>) {
        let lineage = best.lineage();
        let known = |state: &StateId| *state == lineage.state() || lineage.includes(state);
        match self {
            Candidate::Intact(loaded) => match loaded.standing_against(best, path) {
                // It may have the same front, but other records.
                Ok(Standing::Behind) => (Standing::Behind, Some(loaded.lineage().state())),
                Ok(standing) => (standing, None),
                Err(e) if e.is_by_another() => (Standing::Changed(e.of_copy(keyring)), None),
                Err(e) => (Standing::Out(e.to_string()), None),
            },
            // However much of it can be read, it holds nothing that the best copy does not have.
            Candidate::Damaged { id, epoch, state, .. }
                if *id == best.header.id && lineage.knows_epoch(epoch) =>
            {
                (Standing::Behind, state.filter(known))
            }
            // A copy from before a renewal of the data key. At worst, a forged file is replaced.
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
    /// The state and its known ancestors.
    pub(crate) fn lineage(&self) -> Lineage<'_> {
        Lineage { header: &self.header, before: &self.before, commit: &self.commit }
    }

    fn standing_against(&self, best: &Loaded, path: &Path) -> Result<Standing> {
        if self.header.id != best.header.id {
            return Err(Refusal::Foreign {
                path: path.to_owned(),
                found: self.header.id,
                expected: best.header.id,
            }
            .into());
        }
        // Two copies with the same front may still differ in a record after the acknowledged ones.
        if self.front == best.front && self.commit == best.commit {
            return Ok(Standing::Read);
        }
        let (state, lineage) = (self.lineage().state(), best.lineage());
        let missing = || self.memory.missing_in(&best.memory);
        if state == lineage.state() || lineage.supersedes(&state, missing) {
            return Ok(Standing::Behind);
        }
        // Nothing proves that it is an ancestor, so no key that it holds may be lost.
        let (found, expected) = (self.commit.generation, best.commit.generation);
        Err(Error::Refusal(Refusal::Diverged { path: path.to_owned(), found, expected }))
    }
}

/// A copy whose front is open.
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

    /// The task that reads what follows the front.
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
            Err(e) => not_intact(path, source_name, &reading.front, e, Some(commit.generation), Some(state)),
        }
    }
}

/// Opens the front of a copy.
///
/// # Errors
/// The copy as a [`Candidate`] that is not intact.
pub(crate) fn open_candidate(
    path: &Path,
    reading: Reading,
    opener: Opener<'_>,
    source_name: &str,
) -> std::result::Result<OpenedFront, Box<Candidate>> {
    let failed = |e, generation| Box::new(not_intact(path, source_name, &reading.front, e, generation, None));
    let mut front = match image::open_front(&reading.front.0, opener) {
        Ok(front) => front,
        // The header is authentic, so the claims of its commit slots matter although they are damaged.
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
    // Although the count is authentic, reserve no more than the bytes at hand can hold.
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

/// The candidate for a copy that could not be read completely. `generation` and `state` are what is known of
/// its state.
fn not_intact(
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
