// SPDX-License-Identifier: GPL-2.0-or-later
//! The two commit slots: how far the records are acknowledged. They are written in turn, so that one
//! is always whole.

use super::bytes::{Reader, Writer};
use super::crypto::{self, Keys, TAG_LEN, Tag};
use super::header::{EPOCH_LEN, HEADER_LEN};
use super::{FIXED_LEN, FormatError, Result};

/// Bytes from one commit slot to the next; what is not used is zero.
pub const COMMIT_BLOCK: usize = 4096;
/// Bytes of a commit slot that are written.
pub const COMMIT_LEN: usize = 96;
const MAGIC: &[u8; 8] = b"KXCOMMIT";
/// Where the first slot lies.
const FIRST_AT: usize = 2 * HEADER_LEN;

/// The acknowledged state of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Commit {
    /// Counts the changes of the keyring, from 1.
    pub generation: u64,
    /// Where the last acknowledged record ends in the file.
    pub length: u64,
    /// How many records there are.
    pub count: u64,
    /// The MAC of the last record, or the header's when there is none.
    pub chain: Tag,
}

impl Commit {
    /// Which of the two slots this generation is written to.
    fn index(&self) -> usize {
        (self.generation % 2) as usize
    }

    /// Where this commit is written in the file.
    pub fn offset(&self) -> u64 {
        (FIRST_AT + self.index() * COMMIT_BLOCK) as u64
    }

    /// The bytes for slot `index` of a file with `epoch`.
    fn encode_for(&self, keys: &Keys, epoch: &[u8; EPOCH_LEN], index: usize) -> Result<Vec<u8>> {
        let mut w = Writer::with_capacity(COMMIT_LEN);
        w.put(MAGIC)
            .put(&self.generation.to_le_bytes())
            .put(&self.length.to_le_bytes())
            .put(&self.count.to_le_bytes())
            .put(&self.chain);
        let tag = crypto::mac(keys.commit_mac(), &[epoch, &[index as u8], &w.0])?;
        w.put(&tag);
        Ok(w.0)
    }

    /// The bytes to write at [`Commit::offset`].
    ///
    /// # Errors
    /// Never in practice.
    pub fn encode(&self, keys: &Keys, epoch: &[u8; EPOCH_LEN]) -> Result<Vec<u8>> {
        self.encode_for(keys, epoch, self.index())
    }

    /// Both slots with this commit, as a file that is written whole begins.
    ///
    /// # Errors
    /// Never in practice.
    pub fn encode_both(&self, keys: &Keys, epoch: &[u8; EPOCH_LEN]) -> Result<Vec<u8>> {
        let mut w = Writer::with_capacity(2 * COMMIT_BLOCK);
        for index in 0..2 {
            w.put(&self.encode_for(keys, epoch, index)?).pad_to((index + 1) * COMMIT_BLOCK);
        }
        Ok(w.0)
    }

    fn decode(block: &[u8], keys: &Keys, epoch: &[u8; EPOCH_LEN], index: usize) -> Result<Option<Self>> {
        let mut r = Reader(block);
        let body = r.take(COMMIT_LEN - TAG_LEN).unwrap_or_default();
        let tag: Tag = r.array().unwrap_or_default();
        let authentic = crypto::mac_fits(keys.commit_mac(), &[epoch, &[index as u8], body], &tag)?;
        if !authentic || r.0.iter().any(|b| *b != 0) {
            return Ok(None);
        }
        let mut r = Reader(body);
        let commit = (|| {
            (r.array()? == *MAGIC).then_some(())?;
            Some(Commit { generation: r.u64()?, length: r.u64()?, count: r.u64()?, chain: r.array()? })
        })();
        Ok(commit.filter(|c| c.length >= FIXED_LEN as u64))
    }
}

/// What the two slots say together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The newest commit that can be read.
    pub commit: Commit,
    /// Whether the other slot is unreadable: torn while the next commit was written, or damaged. Only
    /// then may one more record be taken from behind [`Commit::length`].
    pub other_unreadable: bool,
}

/// Reads the commit slots from the fixed front of a file.
///
/// # Errors
/// [`FormatError::Damaged`] when neither can be read, or they contradict each other.
pub fn read(front: &[u8], keys: &Keys, epoch: &[u8; EPOCH_LEN]) -> Result<Committed> {
    let slot = |index: usize| {
        let at = FIRST_AT + index * COMMIT_BLOCK;
        Commit::decode(front.get(at..at + COMMIT_BLOCK).unwrap_or_default(), keys, epoch, index)
    };
    let damaged = |what| FormatError::Damaged { offset: FIRST_AT as u64, what };
    match (slot(0)?, slot(1)?) {
        (Some(a), Some(b)) if a.generation.abs_diff(b.generation) > 1 => {
            Err(damaged("commit slots contradict each other"))
        }
        (Some(a), Some(b)) => {
            Ok(Committed { commit: if a.generation > b.generation { a } else { b }, other_unreadable: false })
        }
        (Some(commit), None) | (None, Some(commit)) => Ok(Committed { commit, other_unreadable: true }),
        (None, None) => Err(damaged("both commit slots")),
    }
}

/// The newest generation that the slots claim, unauthenticated: for showing only.
pub fn claimed_generation(front: &[u8]) -> Option<u64> {
    (0..2)
        .filter_map(|index| {
            let mut r = Reader(front.get(FIRST_AT + index * COMMIT_BLOCK..)?);
            (r.array()? == *MAGIC).then_some(())?;
            r.u64()
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const EPOCH: [u8; EPOCH_LEN] = [5; EPOCH_LEN];

    fn front(keys: &Keys, commit: &Commit) -> Vec<u8> {
        let mut front = vec![0; FIRST_AT];
        front.extend(commit.encode_both(keys, &EPOCH).unwrap());
        front
    }

    fn put(front: &mut [u8], keys: &Keys, commit: &Commit) {
        let at = commit.offset() as usize;
        front[at..at + COMMIT_LEN].copy_from_slice(&commit.encode(keys, &EPOCH).unwrap());
    }

    #[test]
    fn the_newest_commit_counts_and_a_torn_one_falls_back() {
        let keys = Keys::generate(&Uuid::from_u128(1)).unwrap();
        let one = Commit { generation: 1, length: 16384, count: 0, chain: [1; 32] };
        let mut front = front(&keys, &one);
        assert_eq!(read(&front, &keys, &EPOCH).unwrap(), Committed { commit: one, other_unreadable: false });
        let two = Commit { generation: 2, length: 17000, count: 1, chain: [2; 32] };
        put(&mut front, &keys, &two);
        assert_eq!(read(&front, &keys, &EPOCH).unwrap(), Committed { commit: two, other_unreadable: false });
        let three = Commit { generation: 3, length: 18000, count: 2, chain: [3; 32] };
        let bytes = three.encode(&keys, &EPOCH).unwrap();
        for torn in 9..COMMIT_LEN {
            let mut front = front.clone();
            let at = three.offset() as usize;
            front[at..at + torn].copy_from_slice(&bytes[..torn]);
            assert_eq!(
                read(&front, &keys, &EPOCH).unwrap(),
                Committed { commit: two, other_unreadable: true }
            );
        }
    }

    #[test]
    fn slots_of_another_file_place_or_padding_do_not_count() {
        let keys = Keys::generate(&Uuid::from_u128(1)).unwrap();
        let one = Commit { generation: 1, length: 16384, count: 0, chain: [1; 32] };
        let front = front(&keys, &one);
        assert!(read(&front, &keys, &[6; EPOCH_LEN]).is_err());
        assert!(read(&front[..FIRST_AT], &keys, &EPOCH).is_err());
        let mut swapped = front.clone();
        let (a, b) = swapped[FIRST_AT..].split_at_mut(COMMIT_BLOCK);
        a.swap_with_slice(b);
        assert!(read(&swapped, &keys, &EPOCH).is_err());
        let mut padded = front.clone();
        padded[FIRST_AT + COMMIT_LEN + 10] = 1;
        assert!(read(&padded, &keys, &EPOCH).unwrap().other_unreadable);
    }

    #[test]
    fn slots_that_contradict_each_other_are_damage() {
        let keys = Keys::generate(&Uuid::from_u128(1)).unwrap();
        let one = Commit { generation: 1, length: 16384, count: 0, chain: [1; 32] };
        let mut front = front(&keys, &one);
        put(&mut front, &keys, &Commit { generation: 4, ..one });
        assert!(read(&front, &keys, &EPOCH).is_err());
    }
}
