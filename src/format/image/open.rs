// SPDX-License-Identifier: GPL-2.0-or-later
//! A keyring file read back into keys.

use super::note::Note;
use crate::format::commit::{self, Commit, OtherSlot};
use crate::format::crypto::DataKeys;
use crate::format::error::{FormatError, Result};
use crate::format::header::{self, Header, Unchecked};
use crate::format::layout::{FIXED_LEN, MAX_RECORD};
use crate::format::records::{self, KeyRecord, Sealer, Tail};
use crate::format::state::StateId;
use crate::format::unlocking::Unlocking;

/// How many records are looked for behind the committed ones. An interrupted write leaves one.
const TAIL_RECORDS: u64 = 64;

/// How a file is opened: by an unlock secret, or by the keys of a keyring that is open already.
#[derive(Clone, Copy, Debug)]
pub enum Opener<'a> {
    /// Tries the slots.
    Secret(&'a Unlocking),
    /// Checks with these keys.
    Keys(&'a DataKeys),
}

/// The fixed front of a file, opened.
#[derive(Debug)]
pub struct Front {
    /// The header.
    pub header: Header,
    /// The keys, when they came from a secret.
    pub keys: Option<DataKeys>,
    start: [u8; 32],
    committed: commit::Committed,
    /// Things worth saying.
    pub notes: Vec<Note>,
    /// Earlier states of this writing, the newest first, when the records were read.
    pub before: Vec<StateId>,
}

impl Front {
    /// The newest readable commit.
    pub fn commit(&self) -> Commit {
        self.committed.commit
    }

    /// How many bytes behind the front [`read_records`] looks at in a file of `file_len` bytes: the
    /// committed ones, and room for records that follow. A file that was made huge costs no memory.
    pub fn bytes_to_read(&self, file_len: u64) -> u64 {
        let room = TAIL_RECORDS * MAX_RECORD as u64;
        self.commit().length.saturating_add(room).min(file_len).saturating_sub(FIXED_LEN as u64)
    }
}

/// Opens the first [`FIXED_LEN`] bytes of a file. When its two headers are of two writings, the newest
/// commit that either of them vouches for says what must follow.
///
/// # Errors
/// Not a keyring, newer, damaged, wrong secret.
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

/// Which of the errors of two headers counts: damage says more than a secret that fits one of them only.
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

/// Reads the records of a file whose front was opened and that has `file_len` bytes; `bytes` are the
/// [`Front::bytes_to_read`] ones from [`FIXED_LEN`] on.
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
    // The file was written whole as the generation after the newest that its header knows. Its states with fewer records
    // never were.
    let earlier = front.header.ancestors.iter().map(StateId::generation).max().unwrap_or_default();
    let states = before.iter().filter(|state| state.generation > earlier);
    front.before = states.map(|state| StateId::new(&front.header.epoch, state)).collect();
    Ok(commit)
}
