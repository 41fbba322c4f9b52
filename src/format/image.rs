// SPDX-License-Identifier: GPL-2.0-or-later
//! A whole keyring file: made from keys, or read back into them.

use super::commit::{self, Commit};
use super::crypto::Keys;
use super::header::{self, Header, Unchecked};
use super::records::{self, KeyRecord, Sealer, Tail};
use super::slots::UnlockSecret;
use super::{FIXED_LEN, FormatError, Result};
use crate::secret::random_array;
use std::fmt;

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
        keys: &Keys,
        generation: u64,
        records: impl Iterator<Item = KeyRecord<'a>>,
        sealer: &mut Sealer,
    ) -> Result<Self> {
        let header = Header { epoch: random_array()?, ..header.clone() };
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

/// Something worth saying about a file that was opened all the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// One copy of the header is damaged.
    HeaderCopy,
    /// One commit slot is unreadable.
    CommitSlot,
    /// A record that the unreadable commit slot would have named was taken.
    RolledForward,
    /// Bytes behind the last record do not count: an interrupted write.
    Ignored(u64),
}

impl Note {
    /// Whether the next write should write the file whole.
    pub fn wants_rewrite(&self) -> bool {
        !matches!(self, Note::Ignored(_))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::HeaderCopy => f.write_str("one of the two copies of the header is damaged; the other is whole and was used, and the next write repairs it"),
            Note::CommitSlot => f.write_str("one of the two commit slots is unreadable (a write was interrupted, or the volume is failing); the other was used, and the next write repairs it"),
            Note::RolledForward => f.write_str("the last record was written completely, but its commit slot is unreadable; the record was taken"),
            Note::Ignored(n) => write!(f, "{n} bytes behind the last acknowledged record are left over from an interrupted write and do not count"),
        }
    }
}

/// How a file is opened: by an unlock secret, or by the keys of a keyring that is open already.
#[derive(Clone, Copy, Debug)]
pub enum Opener<'a> {
    /// Tries the slots.
    Secret(&'a UnlockSecret),
    /// Checks with these keys.
    Keys(&'a Keys),
}

/// The fixed front of a file, opened.
#[derive(Debug)]
pub struct Front {
    /// The header.
    pub header: Header,
    /// The keys, when they came from a secret.
    pub keys: Option<Keys>,
    start: [u8; 32],
    committed: commit::Committed,
    /// Things worth saying.
    pub notes: Vec<Note>,
}

impl Front {
    /// The newest readable commit.
    pub fn commit(&self) -> Commit {
        self.committed.commit
    }
}

/// Opens the first [`FIXED_LEN`] bytes of a file.
///
/// # Errors
/// Not a keyring, newer, damaged, wrong secret.
pub fn open_front(front: &[u8], opener: Opener<'_>) -> Result<Front> {
    let copies = header::read(front)?;
    let mut error = None;
    for copy in &copies.readable {
        match open_copy(front, copy, opener) {
            Ok(mut opened) => {
                if copies.damaged {
                    opened.notes.insert(0, Note::HeaderCopy);
                }
                return Ok(opened);
            }
            Err(e) => error = error.or(Some(e)),
        }
    }
    Err(error.unwrap_or(FormatError::NotAKeyring))
}

fn open_copy(front: &[u8], copy: &Unchecked, opener: Opener<'_>) -> Result<Front> {
    let header = copy.claims().clone();
    let (own, start) = match opener {
        Opener::Secret(secret) => copy.unlock(secret).map(|(keys, start)| (Some(keys), start))?,
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
    let notes = if committed.other_unreadable { vec![Note::CommitSlot] } else { Vec::new() };
    Ok(Front { header, keys: own, start, committed, notes })
}

/// Reads the records of a file whose front was opened; `bytes` begins at [`FIXED_LEN`].
///
/// # Errors
/// As [`records::read`].
pub fn read_records(
    bytes: &[u8],
    keys: &Keys,
    front: &mut Front,
    sealer: &mut Sealer,
    each: impl FnMut(KeyRecord<'_>) -> Result<()>,
) -> Result<Tail> {
    let tail = records::read(bytes, keys, &front.start, &front.committed, sealer, each)?;
    if tail.rolled_forward {
        front.notes.push(Note::RolledForward);
    }
    if tail.ignored > 0 {
        front.notes.push(Note::Ignored(tail.ignored));
    }
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::slots::{Cost, Slot, SlotKind};
    use crate::key::{KeyType, NameRef};
    use crate::secret::Locked;

    type Found = Vec<(Vec<u8>, Vec<u8>)>;

    fn secret() -> UnlockSecret {
        UnlockSecret::new(Locked::copy_of(&[3; 40]).unwrap())
    }

    fn made(names: &[&str]) -> (Keys, Image) {
        let mut header = Header::new("", 1).unwrap();
        let keys = Keys::generate(&header.id).unwrap();
        let slot =
            Slot::seal(SlotKind::SecretFile, Cost::NONE, "", 1, secret().raw(), keys.data(), &header.id);
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

    fn open(bytes: &[u8]) -> Result<(Found, Vec<Note>, Tail)> {
        let secret = secret();
        let mut front = open_front(&bytes[..bytes.len().min(FIXED_LEN)], Opener::Secret(&secret))?;
        let keys = front.keys.take().unwrap();
        let mut found = Vec::new();
        let tail = read_records(
            bytes.get(FIXED_LEN..).unwrap_or_default(),
            &keys,
            &mut front,
            &mut Sealer::new()?,
            |r| {
                found.push((r.name.id().to_vec(), r.data.to_vec()));
                Ok(())
            },
        )?;
        Ok((found, front.notes, tail))
    }

    fn found(names: &[&str]) -> Found {
        names.iter().map(|n| (n.as_bytes().to_vec(), n.as_bytes().to_vec())).collect()
    }

    #[test]
    fn keys_are_read_back() {
        let (_, image) = made(&["one", "two"]);
        let (keys, notes, tail) = open(&image.bytes).unwrap();
        assert_eq!((keys, notes), (found(&["one", "two"]), vec![]));
        assert_eq!(tail.commit, image.commit);
    }

    /// An append whose commit slot is whole, unwritten, or torn.
    #[test]
    fn a_tail_counts_only_when_a_commit_slot_is_unreadable() {
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
        let grown = (bytes.len() - image.bytes.len()) as u64;
        assert_eq!(grown as usize, record.sealed_len());

        let (found_keys, notes, _) = open(&bytes).unwrap();
        assert_eq!((found_keys, notes), (found(&["one"]), vec![Note::Ignored(grown)]));

        let next = Commit { generation: 2, length: bytes.len() as u64, count: 2, chain };
        let slot = next.encode(&keys, &image.header.epoch).unwrap();
        let at = next.offset() as usize;
        let mut torn = bytes.clone();
        torn[at..at + 20].copy_from_slice(&slot[..20]);
        let (found_keys, notes, tail) = open(&torn).unwrap();
        assert_eq!(
            (found_keys, notes),
            (found(&["one", "two"]), vec![Note::CommitSlot, Note::RolledForward])
        );
        assert_eq!(tail.commit, next);

        bytes[at..at + slot.len()].copy_from_slice(&slot);
        let (found_keys, notes, tail) = open(&bytes).unwrap();
        assert_eq!((found_keys, notes, tail.commit), (found(&["one", "two"]), vec![], next));

        // Now that the second record is acknowledged, its loss is damage.
        assert!(matches!(open(&bytes[..bytes.len() - 1]), Err(FormatError::Damaged { .. })));
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
