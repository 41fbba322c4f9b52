// SPDX-License-Identifier: GPL-2.0-or-later
//! A whole keyring file: made from keys, or read back into them.

use super::commit::{self, Commit, Other};
use super::crypto::DataKeys;
use super::error::{FormatError, Result};
use super::header::{self, Header, Unchecked};
use super::layout::{FIXED_LEN, MAX_RECORD};
use super::records::{self, KeyRecord, Sealer, Tail};
use super::state::StateId;
use super::unlocking::Unlocking;
use std::fmt;

/// How many records are looked for behind the committed ones. An interrupted write leaves one.
const TAIL_RECORDS: u64 = 64;

/// A file made whole.
#[derive(Debug)]
pub struct Image {
    /// Its header, with the new epoch.
    pub header: Header,
    /// Its acknowledged state.
    pub commit: Commit,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Image {
    /// Seals `records` anew, under a new epoch, as `generation`.
    ///
    /// # Errors
    /// No randomness.
    pub fn seal<'a>(
        header: &Header,
        keys: &DataKeys,
        generation: u64,
        records: impl Iterator<Item = KeyRecord<'a>>,
        sealer: &mut Sealer,
    ) -> Result<Self> {
        let header = header.with_new_epoch()?;
        let (copy, mut chain) = header.encode(keys)?;
        let mut bytes = copy.repeat(2);
        bytes.resize(FIXED_LEN, 0);
        let mut count = 0;
        for record in records {
            chain = sealer.seal(keys, &chain, &record, &mut bytes)?;
            count += 1;
        }
        let commit = Commit { generation, length: bytes.len() as u64, count, chain };
        let slots = commit.encode_both(keys, &header.epoch)?;
        if let Some(place) = bytes.get_mut(FIXED_LEN - slots.len()..FIXED_LEN) {
            place.copy_from_slice(&slots);
        }
        Ok(Self { header, commit, bytes })
    }
}

/// Something worth saying about a file that was opened all the same. The next write of a file with
/// any of them writes it whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// One copy of the header is damaged.
    HeaderCopy,
    /// One commit slot is unreadable or stale.
    CommitSlot,
    /// This many whole records behind the last committed one were taken.
    RolledForward(u64),
    /// Bytes behind the last record do not count: an interrupted write.
    Ignored(u64),
}

impl Note {
    /// Whether it may be damage. The others are what any interrupted write leaves.
    pub fn is_damage(&self) -> bool {
        matches!(self, Note::HeaderCopy | Note::CommitSlot)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::HeaderCopy => f.write_str("one of the two copies of the header is damaged; the other is whole and was used, and the next write repairs it"),
            Note::CommitSlot => f.write_str("one of the two commit slots is unreadable or stale (a write was interrupted, or the volume is failing); the other was used, and the next write repairs it"),
            Note::RolledForward(n) => write!(f, "{n} of the records were written completely, but no commit slot names them; they were taken"),
            Note::Ignored(n) => write!(f, "{n} bytes behind the last acknowledged record are left over from an interrupted write and do not count"),
        }
    }
}

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
    pub fn wanted(&self, file_len: u64) -> u64 {
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
                    Some(before) => says_more(before, e),
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
fn says_more(first: FormatError, second: FormatError) -> FormatError {
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
    let notes = if committed.other == Other::Fits { Vec::new() } else { vec![Note::CommitSlot] };
    Ok(Front { header, keys: own, start, committed, notes, before: Vec::new() })
}

/// Reads the records of a file whose front was opened and that has `file_len` bytes; `bytes` are the
/// [`Front::wanted`] ones from [`FIXED_LEN`] on.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::cost::Cost;
    use crate::format::slots::{Slot, SlotKind};
    use crate::key::{KeyType, NameRef};
    use crate::secret::Locked;
    use crate::secret::UnlockSecret;

    type Records = Vec<(Vec<u8>, Vec<u8>)>;

    fn secret() -> Unlocking {
        UnlockSecret::new(Locked::copy_of(&[3; 40]).unwrap()).into()
    }

    fn made(names: &[&str]) -> (DataKeys, Image) {
        let mut header = Header::new("", 1).unwrap();
        let keys = DataKeys::generate(&header.id).unwrap();
        let slot = Slot::seal(SlotKind::SecretFile, Cost::NONE, "", 1, &[3; 40], &keys, &header.id);
        header.add(slot.unwrap()).unwrap();
        let key_type = KeyType::new(b"AES").unwrap();
        let records = names.iter().map(|n| KeyRecord {
            name: NameRef::new(n.as_bytes(), b"u").unwrap(),
            key_type: &key_type,
            created: 9,
            data: n.as_bytes(),
        });
        let image = Image::seal(&header, &keys, 1, records, &mut Sealer::new().unwrap()).unwrap();
        (keys, image)
    }

    fn open(bytes: &[u8]) -> Result<(Records, Vec<Note>, Commit)> {
        let secret = secret();
        let mut front = open_front(&bytes[..bytes.len().min(FIXED_LEN)], Opener::Secret(&secret))?;
        let keys = front.keys.take().unwrap();
        let mut found = Vec::new();
        let commit = read_records(
            bytes.get(FIXED_LEN..).unwrap_or_default(),
            bytes.len() as u64,
            &keys,
            &mut front,
            &mut Sealer::new()?,
            |r| {
                found.push((r.name.id().to_vec(), r.data.to_vec()));
                Ok(())
            },
        )?;
        Ok((found, front.notes, commit))
    }

    fn found(names: &[&str]) -> Records {
        names.iter().map(|n| (n.as_bytes().to_vec(), n.as_bytes().to_vec())).collect()
    }

    #[test]
    fn keys_are_read_back() {
        let (_, image) = made(&["one", "two"]);
        let (keys, notes, commit) = open(&image.bytes).unwrap();
        assert_eq!((keys, notes), (found(&["one", "two"]), vec![]));
        assert_eq!(commit, image.commit);
    }

    /// An append whose commit slot is unwritten, torn, or whole, and then its record cut short.
    #[test]
    fn a_record_counts_when_it_is_whole_and_a_slot_that_names_it_calls_for_it() {
        let (keys, image) = made(&["one"]);
        let key_type = KeyType::new(b"AES").unwrap();
        let record = KeyRecord {
            name: NameRef::new(b"two", b"u").unwrap(),
            key_type: &key_type,
            created: 9,
            data: b"two",
        };
        let mut bytes = image.bytes.clone();
        let chain = Sealer::new().unwrap().seal(&keys, &image.commit.chain, &record, &mut bytes).unwrap();
        let grown = bytes.len() - image.bytes.len();
        assert_eq!(grown, record.sealed_len());
        let next = Commit { generation: 2, length: bytes.len() as u64, count: 2, chain };
        let slot = next.encode(&keys, &image.header.epoch).unwrap();
        let at = next.offset() as usize;
        let (one, both) = (found(&["one"]), found(&["one", "two"]));

        assert_eq!(open(&bytes).unwrap(), (both.clone(), vec![Note::RolledForward(1)], next));
        for cut in 1..grown {
            let ignored = vec![Note::Ignored((grown - cut) as u64)];
            assert_eq!(open(&bytes[..bytes.len() - cut]).unwrap(), (one.clone(), ignored, image.commit));
        }
        for torn in [9, 20, 40, 80] {
            let mut bytes = bytes.clone();
            bytes[at..at + torn].copy_from_slice(&slot[..torn]);
            let notes = vec![Note::CommitSlot, Note::RolledForward(1)];
            assert_eq!(open(&bytes).unwrap(), (both.clone(), notes, next));
            // Enough of the slot is there to miss the record.
            let lost = open(&bytes[..bytes.len() - 1]);
            assert_eq!(matches!(lost, Err(FormatError::Damaged { .. })), torn >= 20, "torn at {torn}");
        }
        bytes[at..at + slot.len()].copy_from_slice(&slot);
        assert_eq!(open(&bytes).unwrap(), (both, vec![], next));
        assert!(matches!(open(&bytes[..bytes.len() - 1]), Err(FormatError::Damaged { .. })));
    }

    #[test]
    fn only_what_may_be_records_is_looked_at() {
        let (_, image) = made(&["one"]);
        let secret = secret();
        let front = open_front(&image.bytes[..FIXED_LEN], Opener::Secret(&secret)).unwrap();
        let records = image.bytes.len() as u64 - FIXED_LEN as u64;
        assert_eq!(front.wanted(image.bytes.len() as u64), records);
        assert!((records..2 << 20).contains(&front.wanted(u64::MAX)));
        assert_eq!(front.wanted(0), 0);
    }

    #[test]
    fn records_of_another_writing_or_order_do_not_fit() {
        let (keys, first) = made(&["aaa", "bbb"]);
        let again =
            Image::seal(&first.header, &keys, 2, std::iter::empty(), &mut Sealer::new().unwrap()).unwrap();
        let mut mixed = first.bytes.clone();
        mixed[..FIXED_LEN / 2].copy_from_slice(&again.bytes[..FIXED_LEN / 2]);
        assert!(matches!(open(&mixed), Err(FormatError::Damaged { .. })));

        let half = FIXED_LEN + (first.bytes.len() - FIXED_LEN) / 2;
        let swapped =
            [&first.bytes[..FIXED_LEN], &first.bytes[half..], &first.bytes[FIXED_LEN..half]].concat();
        assert!(matches!(open(&swapped), Err(FormatError::Damaged { offset: 16384, what: "record" })));
    }
}
