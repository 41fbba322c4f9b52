// SPDX-License-Identifier: GPL-2.0-or-later
//! The file of MySQL's plugin `keyring_file` (5.7 to 8.3), as observed in real files:
//!
//! | bytes | content |
//! |---|---|
//! | 24 | `Keyring file version:2.0`, or `1.0` |
//! | any | records, without gaps |
//! | 3 | `EOF` |
//! | 32 | 2.0 only: SHA-256 of the records |
//!
//! A record begins with five words: its own length with padding, and the lengths of id, type, user and key. Id, type,
//! user and key follow, then zeros up to a whole word. A word has 4 or 8 bytes in either byte order, those of the machine
//! that wrote the file; the file does not say which. Keys are XORed with a fixed text.

use super::fault::{Fault, Result};
use super::keys::{KeyEntry, LegacyKeys};
use keyring_external::secret::Locked;
use sha2::{Digest, Sha256};
use std::ops::Range;

/// The start of the file, before its version.
pub const MAGIC: &[u8] = b"Keyring file version:";
const END: &[u8] = b"EOF";
const DIGEST: usize = 32;
/// Each key is XORed with this text, which does not protect it.
const XOR: &[u8; 24] = b"*305=Ljt0*!@$Hnm(*-9-w;:";
/// How many words begin a record.
const WORDS: usize = 5;

/// How a machine writes a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    /// Its length in bytes: 4 or 8.
    pub word: usize,
    /// Whether the highest byte comes first.
    pub big: bool,
}

/// All layouts, the most likely first. No file that a server wrote fits two of them: in the wrong layout, its first record
/// is longer than the file or has no id.
pub(super) const LAYOUTS: [Layout; 4] = [
    Layout { word: 8, big: false },
    Layout { word: 4, big: false },
    Layout { word: 8, big: true },
    Layout { word: 4, big: true },
];

impl Layout {
    fn number(self, bytes: &[u8]) -> Option<usize> {
        let (word, _) = bytes.split_at_checked(self.word)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let number = if self.big { word.iter().fold(0, add) } else { word.iter().rev().fold(0, add) };
        number.try_into().ok()
    }

    pub(super) fn put(self, number: usize, to: &mut impl FnMut(&[u8])) {
        let little = (number as u64).to_le_bytes();
        let word = little.get(..self.word).unwrap_or_default();
        if self.big {
            word.iter().rev().for_each(|byte| to(&[*byte]));
        } else {
            to(word);
        }
    }
}

/// Reads the keys of a file.
///
/// # Errors
/// The file has another format, is damaged, or has two keys with one name.
pub fn read(bytes: &[u8]) -> Result<LegacyKeys> {
    if bytes.is_empty() {
        return LegacyKeys::new(Locked::new(0)?, Vec::new(), "without content", None);
    }
    let behind = bytes.strip_prefix(MAGIC).ok_or(Fault::NotThis { looks_like: None })?;
    let (version, behind) = behind.split_at_checked(3).ok_or(Fault::NotThis { looks_like: None })?;
    let (version, checked) = match version {
        b"2.0" => ("2.0", true),
        b"1.0" => ("1.0", false),
        _ => return Err(Fault::Version { known: "1.0, 2.0" }),
    };
    let truncated = || Fault::Damaged { offset: bytes.len(), what: "it is truncated" };
    let (behind, digest) = if checked {
        let at = behind.len().checked_sub(DIGEST).ok_or_else(truncated)?;
        behind.split_at_checked(at).ok_or_else(truncated)?
    } else {
        (behind, &[][..])
    };
    let records = behind.strip_suffix(END).ok_or_else(truncated)?;
    let front = MAGIC.len() + version.len();
    let mut furthest = 0;
    for layout in LAYOUTS {
        match walk(records, layout) {
            Ok(walked) => {
                if checked && !digest_is_right(records, &walked, layout, digest) {
                    return Err(Fault::Checksum);
                }
                let mut open = Locked::copy_of(records)?;
                let entries = walked.iter().map(|record| record.entry(records, &mut open)).collect();
                return LegacyKeys::new(open, entries, version, checked.then_some(()));
            }
            Err(offset) => furthest = furthest.max(offset),
        }
    }
    Err(Fault::Damaged { offset: front + furthest, what: "a record" })
}

/// Where the parts of a record are.
struct Record {
    id: Range<usize>,
    key_type: Range<usize>,
    user: Range<usize>,
    data: Range<usize>,
}

/// Finds the records, if all of them fit the layout and the last one ends where the bytes end.
///
/// # Errors
/// The offset of the first record that does not fit.
fn walk(records: &[u8], layout: Layout) -> std::result::Result<Vec<Record>, usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < records.len() {
        let (record, end) = parts(records, at, layout).ok_or(at)?;
        found.push(record);
        at = end;
    }
    Ok(found)
}

/// The parts of the record at `at`, and where it ends.
fn parts(records: &[u8], at: usize, layout: Layout) -> Option<(Record, usize)> {
    let front = records.get(at..)?.get(..WORDS * layout.word)?;
    let mut words = front.chunks_exact(layout.word).map(|word| layout.number(word));
    let mut word = || words.next().flatten();
    let (total, id, key_type, user, data) = (word()?, word()?, word()?, word()?, word()?);
    let end = at.checked_add(total).filter(|end| *end <= records.len())?;
    let mut from = at + front.len();
    let mut part = |len: usize| {
        let to = from.checked_add(len).filter(|to| *to <= end)?;
        Some(std::mem::replace(&mut from, to)..to)
    };
    let record = Record { id: part(id)?, key_type: part(key_type)?, user: part(user)?, data: part(data)? };
    // Padding should be less than a word, but a whole word does no harm.
    let padding = end - record.data.end;
    (total.is_multiple_of(layout.word) && padding <= layout.word).then_some((record, end))
}

/// Whether the digest is that of the records, as they are or in another layout: a machine that keeps the layout of an
/// existing file computes the digest in its own layout.
fn digest_is_right(records: &[u8], walked: &[Record], layout: Layout, digest: &[u8]) -> bool {
    let mut others = LAYOUTS.iter().filter(|other| **other != layout);
    Sha256::digest(records)[..] == *digest
        || others.any(|other| digest_in(*other, records, walked)[..] == *digest)
}

fn digest_in(layout: Layout, records: &[u8], walked: &[Record]) -> [u8; DIGEST] {
    let mut hash = Sha256::new();
    for Record { id, key_type, user, data } in walked {
        let parts = [id, key_type, user, data].map(|range| records.get(range.clone()).unwrap_or_default());
        lay_out(layout, parts, &mut |bytes| hash.update(bytes));
    }
    hash.finalize().into()
}

/// Writes a record: id, type, user and XORed key.
pub(super) fn lay_out(layout: Layout, parts: [&[u8]; 4], to: &mut impl FnMut(&[u8])) {
    let [id, key_type, user, data] = parts;
    let bare = WORDS * layout.word + parts.iter().map(|part| part.len()).sum::<usize>();
    let total = bare.next_multiple_of(layout.word);
    for number in [total, id.len(), key_type.len(), user.len(), data.len()] {
        layout.put(number, to);
    }
    parts.iter().for_each(|part| to(part));
    to([0; 8].get(..total - bare).unwrap_or_default());
}

impl Record {
    /// The key. Decodes its bytes in `open`, a copy of the records.
    fn entry(&self, records: &[u8], open: &mut [u8]) -> KeyEntry {
        let copy = |range: &Range<usize>| records.get(range.clone()).unwrap_or_default().to_vec();
        xor(open.get_mut(self.data.clone()).unwrap_or_default());
        KeyEntry {
            user: copy(&self.user),
            id: copy(&self.id),
            key_type: copy(&self.key_type),
            data: self.data.clone(),
        }
    }
}

/// Encodes or decodes a key.
pub(super) fn xor(data: &mut [u8]) {
    data.iter_mut().zip(XOR.iter().cycle()).for_each(|(byte, x)| *byte ^= x);
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, Sample};
    use super::*;

    const VERSIONS: [&str; 2] = ["1.0", "2.0"];

    /// A file as a server on a machine with this layout writes it.
    fn write(keys: &[Sample], layout: Layout, version: &str, digest_of: Layout) -> Vec<u8> {
        let records = |layout| {
            let mut out = Vec::new();
            for (user, id, key_type, data) in keys {
                let mut hidden = data.clone();
                xor(&mut hidden);
                lay_out(layout, [id, key_type, user, &hidden], &mut |bytes| out.extend_from_slice(bytes));
            }
            out
        };
        let mut file = [MAGIC, version.as_bytes(), &records(layout), END].concat();
        if version == "2.0" {
            file.extend_from_slice(&Sha256::digest(records(digest_of)));
        }
        file
    }

    #[test]
    fn every_layout_and_version_is_read() {
        for layout in LAYOUTS {
            for version in VERSIONS {
                for digest_of in LAYOUTS {
                    for count in [0, 1, 9] {
                        let keys = samples::some(count);
                        let read = read(&write(&keys, layout, version, digest_of)).unwrap();
                        assert_eq!(samples::of(&read), samples::sorted(keys), "{layout:?} {version}");
                        assert_eq!((read.version, read.checksum.is_some()), (version, version == "2.0"));
                    }
                }
            }
        }
    }

    #[test]
    fn an_empty_file_is_an_empty_keyring() {
        assert!(read(b"").unwrap().is_empty());
    }

    #[test]
    fn any_changed_byte_is_refused_if_there_is_a_checksum() {
        for layout in LAYOUTS {
            let file = write(&samples::some(3), layout, "2.0", layout);
            for at in 0..file.len() {
                let mut other = file.clone();
                for value in 0..=255 {
                    other[at] = value;
                    assert_eq!(read(&other).is_ok(), value == file[at], "{layout:?}: byte {at} as {value}");
                }
            }
        }
    }

    #[test]
    fn any_changed_byte_is_harmless_if_there_is_no_checksum() {
        for layout in LAYOUTS {
            let file = write(&samples::some(3), layout, "1.0", layout);
            for at in 0..file.len() {
                let mut other = file.clone();
                for value in 0..=255 {
                    other[at] = value;
                    // No key is longer than the file.
                    if let Ok(keys) = read(&other) {
                        assert!(keys.iter().map(|key| key.data.len()).sum::<usize>() < file.len());
                    }
                }
            }
        }
    }

    #[test]
    fn a_truncated_file_is_refused() {
        for layout in LAYOUTS {
            for version in VERSIONS {
                let file = write(&samples::some(3), layout, version, layout);
                for len in 1..file.len() {
                    assert!(read(&file[..len]).is_err(), "{layout:?} {version}: {len} of {}", file.len());
                }
                // Truncated, with the missing end appended, as after a careless repair.
                for len in MAGIC.len() + 3..file.len() - END.len() {
                    let cut = [&file[..len], END].concat();
                    if version == "2.0" {
                        assert!(read(&cut).is_err(), "{layout:?}: {len} and an end");
                    } else if let Ok(keys) = read(&cut) {
                        assert!(keys.len() < 3);
                    }
                }
            }
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for layout in LAYOUTS {
            for field in 0..WORDS {
                for lie in [1 << 31, u32::MAX as usize, usize::MAX, usize::MAX - 40] {
                    let mut file = write(&samples::some(2), layout, "1.0", layout);
                    let mut word = Vec::new();
                    layout.put(lie, &mut |bytes| word.extend_from_slice(bytes));
                    let at = MAGIC.len() + 3 + field * layout.word;
                    let was = file[at..at + layout.word].to_vec();
                    file[at..at + layout.word].copy_from_slice(&word);
                    assert!(read(&file).is_err() || was == word, "{layout:?}: field {field} as {lie}");
                }
            }
        }
    }

    #[test]
    fn the_same_name_twice_is_refused_by_name() {
        let mut keys = samples::some(3);
        keys.push(keys[1].clone());
        let e = read(&write(&keys, LAYOUTS[0], "2.0", LAYOUTS[0])).unwrap_err().to_string();
        assert!(e.contains("'key1'") && e.contains("twice"), "{e}");
    }

    #[test]
    fn an_unknown_version_is_refused() {
        let e = read(b"Keyring file version:3.0EOF").unwrap_err();
        assert!(matches!(e, Fault::Version { .. }), "{e}");
    }
}
