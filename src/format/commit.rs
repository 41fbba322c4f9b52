// SPDX-License-Identifier: GPL-2.0-or-later
//! The two commit slots, which say how many records are acknowledged. They are written alternately, so one of
//! them is always intact.

use super::bytes::{FieldReader, FieldWriter};
use super::crypto::{DataKeys, TAG_LEN, Tag};
use super::error::{FormatError, Result};
use super::layout::{COMMIT_BLOCK, COMMIT_SLOT_LEN, COMMITS_AT, EPOCH_LEN, FIXED_LEN, MAX_RECORD};
use super::log_note::{LOG_NOTE_LEN, LogNote};

/// Bytes of a commit slot up to the end of its tag.
pub const COMMIT_LEN: usize = 96;
// A head at a remote has as many bytes of it.
const _: () = assert!(COMMIT_LEN + LOG_NOTE_LEN == COMMIT_SLOT_LEN);
const MAGIC: &[u8; 8] = b"KXCOMMIT";

/// The acknowledged state of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Commit {
    /// Number of changes to the keyring, counted from 1.
    pub generation: u64,
    /// Offset of the end of the last acknowledged record.
    pub length: u64,
    /// Number of acknowledged records.
    pub count: u64,
    /// MAC of the last record, or of the header if there are no records.
    pub chain: Tag,
    /// The last line of the audit log at that time, if there is a log.
    pub note: Option<LogNote>,
}

impl Commit {
    /// Index of the slot that this generation is written to.
    fn index(&self) -> usize {
        (self.generation % 2) as usize
    }

    /// Offset of that slot in the file.
    pub fn offset(&self) -> u64 {
        (COMMITS_AT + self.index() * COMMIT_BLOCK) as u64
    }

    /// Encodes the commit for slot `index` of a file with this `epoch`.
    fn encode_for(&self, keys: &DataKeys, epoch: &[u8; EPOCH_LEN], index: usize) -> Vec<u8> {
        let mut w = FieldWriter::with_capacity(COMMIT_LEN + LOG_NOTE_LEN);
        w.put(MAGIC)
            .put(&self.generation.to_le_bytes())
            .put(&self.length.to_le_bytes())
            .put(&self.count.to_le_bytes())
            .put(&self.chain);
        let note = self.note.map(|note| note.encode());
        let tag =
            keys.commit_mac().tag(&[epoch, &[index as u8], &w.0, note.as_ref().map_or(&[], |n| &n[..])]);
        w.put(&tag).put(&note.unwrap_or([0; LOG_NOTE_LEN]));
        w.0
    }

    /// Returns the bytes to write at [`Commit::offset`].
    pub fn encode(&self, keys: &DataKeys, epoch: &[u8; EPOCH_LEN]) -> Vec<u8> {
        self.encode_for(keys, epoch, self.index())
    }

    /// Returns both slots with this commit, as in a file that was just written as a whole.
    pub fn encode_both(&self, keys: &DataKeys, epoch: &[u8; EPOCH_LEN]) -> Vec<u8> {
        let mut w = FieldWriter::with_capacity(2 * COMMIT_BLOCK);
        for index in 0..2 {
            w.put(&self.encode_for(keys, epoch, index)).pad_to((index + 1) * COMMIT_BLOCK);
        }
        w.0
    }

    fn decode(block: &[u8], keys: &DataKeys, epoch: &[u8; EPOCH_LEN], index: usize) -> Option<Self> {
        let mut r = FieldReader(block);
        let body = r.take(COMMIT_LEN - TAG_LEN).unwrap_or_default();
        let tag: Tag = r.array().unwrap_or_default();
        let noted: [u8; LOG_NOTE_LEN] = r.array()?;
        let is_noted = noted != [0; LOG_NOTE_LEN];
        let noted_part: &[u8] = if is_noted { &noted } else { &[] };
        let authentic = keys.commit_mac().verify(&[epoch, &[index as u8], body, noted_part], &tag);
        if !authentic || r.0.iter().any(|b| *b != 0) {
            return None;
        }
        let note = if is_noted { Some(LogNote::decode(&noted)?) } else { None };
        let mut r = FieldReader(body);
        let commit = (|| {
            (r.array()? == *MAGIC).then_some(())?;
            Some(Commit { generation: r.u64()?, length: r.u64()?, count: r.u64()?, chain: r.array()?, note })
        })();
        commit.filter(|c| c.length >= FIXED_LEN as u64)
    }
}

/// What the slot beside the newest readable one holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtherSlot {
    /// The same generation, or the one before.
    Fits,
    /// Unreadable bytes, or a generation that a later write should have replaced.
    Unreadable,
    /// Unreadable bytes that still show that the slot named the next record. That record is durable, because
    /// it was synced before its slot was written, so it must be in the file.
    NamesNextRecord,
}

/// What both slots say together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The newest readable commit.
    pub commit: Commit,
    /// What the other slot holds.
    pub other: OtherSlot,
}

impl Commit {
    /// Decides what an unreadable `slot` beside this commit was.
    ///
    /// Three of its four fields must match what the next commit would have there. Requiring all four would
    /// let one damaged byte hide the loss of an acknowledged record; requiring one would let a damaged byte
    /// demand a record that never existed.
    fn unreadable(&self, slot: &[u8]) -> OtherSlot {
        let mut r = FieldReader(slot);
        let magic = r.array() == Some(*MAGIC);
        let generation = r.u64().and_then(|g| g.checked_sub(self.generation)) == Some(1);
        let added = r.u64().and_then(|l| l.checked_sub(self.length)).unwrap_or_default();
        let length = (1..=MAX_RECORD as u64).contains(&added);
        let count = r.u64().and_then(|c| c.checked_sub(self.count)) == Some(1);
        let telling = [magic, generation, length, count].iter().filter(|fits| **fits).count();
        if telling >= 3 { OtherSlot::NamesNextRecord } else { OtherSlot::Unreadable }
    }
}

/// Reads the commit slots from the front of a file.
///
/// # Errors
/// [`FormatError::Damaged`] if neither slot can be read.
pub fn read(front: &[u8], keys: &DataKeys, epoch: &[u8; EPOCH_LEN]) -> Result<Committed> {
    let bytes = |index: usize| {
        let at = COMMITS_AT + index * COMMIT_BLOCK;
        front.get(at..at + COMMIT_BLOCK).unwrap_or_default()
    };
    let (first, second) = (bytes(0), bytes(1));
    match (Commit::decode(first, keys, epoch, 0), Commit::decode(second, keys, epoch, 1)) {
        (Some(a), Some(b)) => {
            let (older, commit) = if a.generation < b.generation { (a, b) } else { (b, a) };
            let fits = commit.generation - older.generation <= 1;
            Ok(Committed { commit, other: if fits { OtherSlot::Fits } else { OtherSlot::Unreadable } })
        }
        (Some(commit), None) => Ok(Committed { commit, other: commit.unreadable(second) }),
        (None, Some(commit)) => Ok(Committed { commit, other: commit.unreadable(first) }),
        (None, None) => Err(FormatError::Damaged { offset: COMMITS_AT as u64, what: "both commit slots" }),
    }
}

/// Returns the newest commit that the slots claim. It is not authenticated: use it for display only.
pub fn claimed(front: &[u8]) -> Option<Commit> {
    (0..2)
        .filter_map(|index| {
            let mut r = FieldReader(front.get(COMMITS_AT + index * COMMIT_BLOCK..)?);
            (r.array()? == *MAGIC).then_some(())?;
            let (generation, length, count, chain) = (r.u64()?, r.u64()?, r.u64()?, r.array()?);
            r.take(TAG_LEN)?;
            let note = r.array().and_then(|noted: [u8; LOG_NOTE_LEN]| LogNote::decode(&noted));
            Some(Commit { generation, length, count, chain, note })
        })
        .max_by_key(|c| c.generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const EPOCH: [u8; EPOCH_LEN] = [5; EPOCH_LEN];

    fn front(keys: &DataKeys, commit: &Commit) -> Vec<u8> {
        let mut front = vec![0; COMMITS_AT];
        front.extend(commit.encode_both(keys, &EPOCH));
        front
    }

    fn put(front: &mut [u8], keys: &DataKeys, commit: &Commit) {
        let at = commit.offset() as usize;
        front[at..at + COMMIT_LEN + LOG_NOTE_LEN].copy_from_slice(&commit.encode(keys, &EPOCH));
    }

    #[test]
    fn the_newest_commit_counts_and_a_torn_one_falls_back() {
        let keys = DataKeys::generate(&Uuid::from_u128(1)).unwrap();
        let one = Commit { generation: 1, length: 16384, count: 0, chain: [1; 32], note: None };
        let mut front = front(&keys, &one);
        assert_eq!(read(&front, &keys, &EPOCH).unwrap(), Committed { commit: one, other: OtherSlot::Fits });
        let two = Commit { generation: 2, length: 17000, count: 1, chain: [2; 32], note: None };
        put(&mut front, &keys, &two);
        assert_eq!(read(&front, &keys, &EPOCH).unwrap(), Committed { commit: two, other: OtherSlot::Fits });
        let three = Commit { generation: 3, length: 18000, count: 2, chain: [3; 32], note: None };
        let bytes = three.encode(&keys, &EPOCH);
        // The last bytes are left out: by chance, the old ones may be the same.
        for torn in 9..COMMIT_LEN - 16 {
            let mut front = front.clone();
            let at = three.offset() as usize;
            front[at..at + torn].copy_from_slice(&bytes[..torn]);
            let read = read(&front, &keys, &EPOCH).unwrap();
            assert_eq!(read.commit, two);
            // By then the magic, the generation and the first differing byte of the length (18000 instead of
            // 17000) are written.
            assert_eq!(read.other == OtherSlot::NamesNextRecord, torn >= 18, "torn at {torn}");
        }
    }

    #[test]
    fn an_unreadable_slot_shows_whether_a_record_must_follow() {
        let commit = Commit { generation: 8, length: 16384, count: 0, chain: [1; 32], note: None };
        let slot = |generation: u64, length: u64, count: u64| {
            [&MAGIC[..], &generation.to_le_bytes(), &length.to_le_bytes(), &count.to_le_bytes()].concat()
        };
        let next = slot(9, 16500, 1);
        let older = slot(7, 16384, 0);
        assert_eq!(commit.unreadable(&next), OtherSlot::NamesNextRecord);
        assert_eq!(commit.unreadable(&older), OtherSlot::Unreadable);
        for at in 0..next.len() {
            for bit in 0..8 {
                let flipped = |slot: &[u8]| {
                    let mut slot = slot.to_vec();
                    slot[at] ^= 1 << bit;
                    slot
                };
                assert_eq!(commit.unreadable(&flipped(&next)), OtherSlot::NamesNextRecord, "byte {at}");
                assert_eq!(commit.unreadable(&flipped(&older)), OtherSlot::Unreadable, "byte {at}");
            }
        }
        assert_eq!(commit.unreadable(&[0; COMMIT_BLOCK]), OtherSlot::Unreadable);
        assert_eq!(commit.unreadable(&[0xff; COMMIT_BLOCK]), OtherSlot::Unreadable);
    }

    #[test]
    fn slots_of_another_file_or_place_or_with_padding_do_not_count() {
        let keys = DataKeys::generate(&Uuid::from_u128(1)).unwrap();
        let one = Commit { generation: 1, length: 16384, count: 0, chain: [1; 32], note: None };
        let front = front(&keys, &one);
        assert!(read(&front, &keys, &[6; EPOCH_LEN]).is_err());
        assert!(read(&front[..COMMITS_AT], &keys, &EPOCH).is_err());
        let mut swapped = front.clone();
        let (a, b) = swapped[COMMITS_AT..].split_at_mut(COMMIT_BLOCK);
        a.swap_with_slice(b);
        assert!(read(&swapped, &keys, &EPOCH).is_err());
        for behind in [10, LOG_NOTE_LEN + 10] {
            let mut padded = front.clone();
            padded[COMMITS_AT + COMMIT_LEN + behind] = 1;
            assert_eq!(read(&padded, &keys, &EPOCH).unwrap().other, OtherSlot::Unreadable);
        }
    }

    /// A slot without a note is as before there were notes, and every byte of a note is authenticated.
    #[test]
    fn a_note_is_read_back_and_authenticated() {
        let keys = DataKeys::generate(&Uuid::from_u128(1)).unwrap();
        let none = Commit { generation: 2, length: 16384, count: 0, chain: [1; 32], note: None };
        let note = LogNote { log: [7; 16], seq: 9, hash: [8; 32] };
        let noted = Commit { note: Some(note), ..none };
        assert!(none.encode(&keys, &EPOCH)[COMMIT_LEN..].iter().all(|b| *b == 0));
        let front = front(&keys, &noted);
        assert_eq!(read(&front, &keys, &EPOCH).unwrap().commit, noted);
        assert_eq!(claimed(&front).unwrap().note, Some(note));
        for at in 0..LOG_NOTE_LEN {
            let mut flipped = front.clone();
            flipped[COMMITS_AT + COMMIT_LEN + at] ^= 1;
            let read = read(&flipped, &keys, &EPOCH).unwrap();
            assert_eq!((read.commit, read.other), (noted, OtherSlot::Unreadable), "byte {at}");
        }
        // A slot whose note was taken away does not count.
        let mut taken = front.clone();
        taken[COMMITS_AT + COMMIT_LEN..COMMITS_AT + COMMIT_LEN + LOG_NOTE_LEN].fill(0);
        assert_eq!(read(&taken, &keys, &EPOCH).unwrap().other, OtherSlot::Unreadable);
    }

    #[test]
    fn a_stale_slot_is_noticed() {
        let keys = DataKeys::generate(&Uuid::from_u128(1)).unwrap();
        let one = Commit { generation: 1, length: 16384, count: 0, chain: [1; 32], note: None };
        let mut front = front(&keys, &one);
        let four = Commit { generation: 4, ..one };
        put(&mut front, &keys, &four);
        assert_eq!(
            read(&front, &keys, &EPOCH).unwrap(),
            Committed { commit: four, other: OtherSlot::Unreadable }
        );
    }
}
