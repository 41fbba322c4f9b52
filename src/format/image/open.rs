// SPDX-License-Identifier: GPL-2.0-or-later
//! Opens a keyring file.

use super::note::Note;
use crate::format::commit::{self, Commit, OtherSlot};
use crate::format::crypto::DataKeys;
use crate::format::error::{FormatError, Result};
use crate::format::header::{self, Header, Unchecked};
use crate::format::layout::{FIXED_LEN, MAX_RECORD};
use crate::format::records::{self, KeyRecord, Sealer, Tail};
use crate::format::state::StateId;
use crate::format::unlocking::Unlocking;

/// Maximum number of records that are looked for after the committed ones. An interrupted write leaves one.
const TAIL_RECORDS: u64 = 64;

/// What a file is opened with.
#[derive(Clone, Copy, Debug)]
pub enum Opener<'a> {
    /// A secret, which is tried on the slots.
    Secret(&'a Unlocking),
    /// The keys of a keyring that is already open.
    Keys(&'a DataKeys),
}

/// The opened front of a file.
#[derive(Debug)]
pub struct Front {
    /// The header.
    pub header: Header,
    /// The keys, if the file was opened with a secret.
    pub keys: Option<DataKeys>,
    start: [u8; 32],
    committed: commit::Committed,
    /// Oddities of the file.
    pub notes: Vec<Note>,
    /// Earlier states under this epoch, the newest first. Empty until the records are read.
    pub before: Vec<StateId>,
}

impl Front {
    /// The newest readable commit.
    pub fn commit(&self) -> Commit {
        self.committed.commit
    }

    /// Number of bytes after the front that [`read_records`] needs of a file of `file_len` bytes: the
    /// committed records, and some room for records after them. An inflated file does not cost memory.
    pub fn bytes_to_read(&self, file_len: u64) -> u64 {
        let room = TAIL_RECORDS * MAX_RECORD as u64;
        self.commit().length.saturating_add(room).min(file_len).saturating_sub(FIXED_LEN as u64)
    }
}

/// Opens the first [`FIXED_LEN`] bytes of a file. If its two headers differ in their epoch, the one with the
/// newer commit counts.
///
/// # Errors
/// Not a keyring; a newer version; damaged; wrong secret.
pub fn open_front(front: &[u8], opener: Opener<'_>) -> Result<Front> {
    let copies = header::read(front)?;
    let mut best: Option<Front> = None;
    let mut error = None;
    for copy in &copies.readable {
        match open_copy(front, copy, opener) {
            Ok(opened)
                if best.as_ref().is_some_and(|b| b.commit().generation >= opened.commit().generation) => {}
            Ok(opened) => best = Some(opened),
            Err(e) => {
                error = Some(match error {
                    Some(before) => more_specific(before, e),
                    None => e,
                });
            }
        }
    }
    let mut opened = best.ok_or(error.unwrap_or(FormatError::NotAKeyring))?;
    if copies.damaged {
        opened.notes.insert(0, Note::HeaderCopy);
    }
    Ok(opened)
}

/// Chooses between the errors of two headers. Damage says more than a secret that fits only one of them.
fn more_specific(first: FormatError, second: FormatError) -> FormatError {
    match (first, second) {
        (FormatError::WrongSecret { slots, untried }, FormatError::WrongSecret { untried: more, .. }) => {
            FormatError::WrongSecret { slots, untried: untried + more }
        }
        (FormatError::WrongSecret { .. }, second) => second,
        (first, _) => first,
    }
}

fn open_copy(front: &[u8], copy: &Unchecked, opener: Opener<'_>) -> Result<Front> {
    let (own, (header, start)) = match opener {
        Opener::Secret(unlocking) => {
            let (keys, header, start) = copy.unlock(unlocking)?;
            (Some(keys), (header, start))
        }
        Opener::Keys(keys) => (None, copy.check(keys)?),
    };
    if front.len() < FIXED_LEN {
        return Err(FormatError::Damaged {
            offset: front.len() as u64,
            what: "the file ends inside its commit slots",
        });
    }
    let keys = match (&own, opener) {
        (Some(keys), _) | (None, Opener::Keys(keys)) => keys,
        (None, Opener::Secret(_)) => return Err(FormatError::NotAKeyring),
    };
    let committed = commit::read(front, keys, &header.epoch)?;
    let notes = if committed.other == OtherSlot::Fits { Vec::new() } else { vec![Note::CommitSlot] };
    Ok(Front { header, keys: own, start, committed, notes, before: Vec::new() })
}

/// Reads the records of a file of `file_len` bytes whose front is open. `bytes` are the
/// [`Front::bytes_to_read`] bytes from [`FIXED_LEN`] on.
///
/// # Errors
/// As [`records::read`].
pub fn read_records(
    bytes: &[u8],
    file_len: u64,
    keys: &DataKeys,
    front: &mut Front,
    sealer: &mut Sealer,
    each: impl FnMut(KeyRecord<'_>) -> Result<()>,
) -> Result<Commit> {
    let Tail { commit, rolled_forward, before } =
        records::read(bytes, keys, &front.start, &front.committed, sealer, each)?;
    if rolled_forward > 0 {
        front.notes.push(Note::RolledForward(rolled_forward));
    }
    if file_len > commit.length {
        front.notes.push(Note::Ignored(file_len - commit.length));
    }
    // The file was written as the generation after the newest ancestor in its header. States with fewer
    // records than it had then never existed.
    let earlier = front.header.ancestors.iter().map(StateId::generation).max().unwrap_or_default();
    let states = before.iter().filter(|state| state.generation > earlier);
    front.before = states.map(|state| StateId::new(&front.header.epoch, state)).collect();
    Ok(commit)
}
