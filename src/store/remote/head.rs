// SPDX-License-Identifier: GPL-2.0-or-later
//! The head of a copy at a remote: the front of its file without padding, and the list of the pieces that hold the
//! rest. docs/FORMAT.md, "A copy at a remote", is normative.

use super::objects::{MAX_OBJECT, Version};
use crate::format::layout::{COMMIT_BLOCK, COMMIT_SLOT_LEN, COMMITS_AT, FIXED_LEN, HEADER_LEN};
use crate::store::reading::FrontBytes;
use std::fmt;

/// Bytes of a commit slot in a head. In a file the rest of the slot's block is zero too.
const SLOT_LEN: usize = COMMIT_SLOT_LEN;
/// Bytes of the identity of a copy.
pub const REPLICA_LEN: usize = 16;
/// Bytes of a head before the list of pieces.
pub const HEAD_LEN: usize = HEADER_LEN + 2 * SLOT_LEN + REPLICA_LEN + 8 + 8 + 4;
/// Bytes of a piece in the list.
pub const ENTRY_LEN: usize = 8 + 8 + 4;
/// Maximum number of pieces, so that the head is an object too.
pub const MAX_PIECES: usize = (MAX_OBJECT - HEAD_LEN) / ENTRY_LEN;
/// Sequences are below this, so that each has a next one.
const MAX_SEQUENCE: u64 = 1 << 62;

/// The name of the head below the prefix of a copy.
pub const HEAD: &str = "head";
/// Beginning of a mark: an object in the place of a head that says that no copy is there.
const MARK: &[u8] = b"keyring_external: no copy is here\n";

/// A mark that takes the place of a head. Each has other bytes, so that a delayed request that replaces an earlier one
/// cannot replace it.
pub(super) fn mark(random: [u8; 16]) -> Vec<u8> {
    let number = format!("{:032x}\n", u128::from_be_bytes(random));
    [MARK, number.as_bytes()].concat()
}

/// Whether an object in the place of a head says that no copy is there.
pub fn is_mark(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK)
}

/// The folder of the pieces below the prefix of a copy.
pub const PIECES: &str = "pieces";

/// The name of a piece. It says with which head the piece can count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceName {
    /// The sequence of the head on which its writer built: only the replacement of that head can name the piece first.
    pub base: u64,
    /// Random bits.
    pub random: u64,
}

impl fmt::Display for PieceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PIECES}/{:016x}-{:016x}", self.base, self.random)
    }
}

impl fmt::Debug for PieceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PieceName {
    /// The piece with this name below the prefix of a copy. `None` if no piece has such a name.
    pub fn parse(name: &str) -> Option<Self> {
        let (base, random) = name.strip_prefix(PIECES)?.strip_prefix('/')?.split_once('-')?;
        let number = |text: &str| {
            let plain = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
        };
        let name = Self { base: number(base)?, random: number(random)? };
        (name.base < MAX_SEQUENCE).then_some(name)
    }
}

/// A piece of what stands behind the front of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Its name.
    pub name: PieceName,
    /// Its length in bytes, at least 1 and at most [`MAX_OBJECT`].
    pub len: u32,
}

/// A head.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    header: Box<[u8; HEADER_LEN]>,
    slots: [[u8; SLOT_LEN]; 2],
    /// The identity of the copy, made when it was created. It tells two copies from two names of one copy.
    pub replica: [u8; REPLICA_LEN],
    /// Number of this head. Each replacement has a greater one.
    pub sequence: u64,
    /// When it was written, in seconds since 1970, by the clock of its writer.
    pub written: u64,
    /// The pieces that hold the rest of the file, in their order.
    pub pieces: Vec<Piece>,
}

/// The head that was read or put last.
#[derive(Clone, Debug)]
pub(super) struct Present {
    /// `None` if it is damaged.
    pub(super) head: Option<Head>,
    pub(super) version: Version,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({}, {} pieces)", self.sequence, self.pieces.len())
    }
}

/// Takes `N` bytes from the beginning of `bytes`.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

impl Head {
    /// The head of a file with this front. `None` if no head stands for the front: it is incomplete, the copies of the
    /// header differ, or there is something in the padding of a slot.
    pub fn of_front(front: &[u8], replica: [u8; REPLICA_LEN], sequence: u64) -> Option<Self> {
        let header = Box::new(*front.first_chunk::<HEADER_LEN>()?);
        let slot = |at: usize| front.get(at..)?.first_chunk::<SLOT_LEN>().copied();
        let slots = [slot(COMMITS_AT)?, slot(COMMITS_AT + COMMIT_BLOCK)?];
        let head = Self { header, slots, replica, sequence, written: 0, pieces: Vec::new() };
        (*head.front().0 == *front).then_some(head)
    }

    /// A head with the same content that is not the same object.
    pub(super) fn with_next_sequence(&self) -> Self {
        Self { sequence: self.sequence + 1, ..self.clone() }
    }

    /// The head in these bytes. `None` if they are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_OBJECT {
            return None;
        }
        let r = &mut &*bytes;
        let header = Box::new(take(r)?);
        let slots = [take(r)?, take(r)?];
        let replica = take(r)?;
        let sequence = u64::from_le_bytes(take(r)?);
        let written = u64::from_le_bytes(take(r)?);
        let count = u32::from_le_bytes(take(r)?) as usize;
        if sequence == 0 || sequence >= MAX_SEQUENCE || count.checked_mul(ENTRY_LEN) != Some(r.len()) {
            return None;
        }
        let mut pieces = Vec::with_capacity(count);
        for _ in 0..count {
            let (base, random) = (u64::from_le_bytes(take(r)?), u64::from_le_bytes(take(r)?));
            let len = u32::from_le_bytes(take(r)?);
            let counts = base < sequence && len > 0 && len as usize <= MAX_OBJECT;
            pieces.push(counts.then_some(Piece { name: PieceName { base, random }, len })?);
        }
        Some(Self { header, slots, replica, sequence, written, pieces })
    }

    /// Its bytes. `None` if they are more than an object may have.
    pub fn encode(&self) -> Option<Vec<u8>> {
        if self.pieces.len() > MAX_PIECES {
            return None;
        }
        let mut bytes = Vec::with_capacity(HEAD_LEN + ENTRY_LEN * self.pieces.len());
        bytes.extend_from_slice(&self.header[..]);
        self.slots.iter().for_each(|slot| bytes.extend_from_slice(slot));
        bytes.extend_from_slice(&self.replica);
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.written.to_le_bytes());
        bytes.extend_from_slice(&(self.pieces.len() as u32).to_le_bytes());
        for Piece { name, len } in &self.pieces {
            bytes.extend_from_slice(&name.base.to_le_bytes());
            bytes.extend_from_slice(&name.random.to_le_bytes());
            bytes.extend_from_slice(&len.to_le_bytes());
        }
        Some(bytes)
    }

    /// The front of the file.
    pub fn front(&self) -> FrontBytes {
        let mut front = FrontBytes(vec![0; FIXED_LEN].into());
        front.patch(0, &self.header[..]);
        front.patch(HEADER_LEN as u64, &self.header[..]);
        for (index, slot) in self.slots.iter().enumerate() {
            front.patch((COMMITS_AT + index * COMMIT_BLOCK) as u64, slot);
        }
        front
    }

    /// Length of the file.
    pub fn file_len(&self) -> u64 {
        self.pieces.iter().fold(FIXED_LEN as u64, |len, piece| len + u64::from(piece.len))
    }

    /// Writes bytes at `offset` of the file, which is the beginning of a commit slot. Returns whether it is.
    #[must_use]
    pub fn set_slot(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let starts = |index: &usize| (COMMITS_AT + index * COMMIT_BLOCK) as u64 == offset;
        let slot = (0..2).find(starts).and_then(|index| self.slots.get_mut(index));
        let place = slot.and_then(|slot| slot.get_mut(..bytes.len()));
        place.map(|place| place.copy_from_slice(bytes)).is_some()
    }

    /// Whether it names this piece.
    pub fn names(&self, name: PieceName) -> bool {
        self.pieces.iter().any(|piece| piece.name == name)
    }

    /// The next sequence, above this one and above those of the `found` pieces, which another history of the head may
    /// have left. `None` if there is none.
    pub fn next_sequence(sequence: u64, found: impl Iterator<Item = PieceName>) -> Option<u64> {
        let last = found.map(|name| name.base).fold(sequence, u64::max);
        (last + 1 < MAX_SEQUENCE).then_some(last + 1)
    }
}

/// What the bytes of a damaged head still show of the front, so that it can be told which keyring it is of: the header.
pub fn front_of_damaged(bytes: &[u8]) -> FrontBytes {
    match bytes.first_chunk::<HEADER_LEN>() {
        Some(header) => FrontBytes([&header[..], &header[..]].concat().into()),
        None => FrontBytes(bytes.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let mut front = vec![0; FIXED_LEN];
        front[..HEADER_LEN].fill(7);
        front[HEADER_LEN..COMMITS_AT].fill(7);
        front[COMMITS_AT..COMMITS_AT + 96].fill(1);
        front[COMMITS_AT + COMMIT_BLOCK..COMMITS_AT + COMMIT_BLOCK + 96].fill(2);
        let mut head = Head::of_front(&front, [9; 16], 5).unwrap();
        assert_eq!(*head.front().0, *front);
        head.written = 1_800_000_000;
        let piece = |base, random, len| Piece { name: PieceName { base, random }, len };
        head.pieces = vec![piece(3, u64::MAX, 262_144), piece(4, 1, 1)];
        head
    }

    #[test]
    fn a_head_is_written_and_read_back() {
        let bytes = head().encode().unwrap();
        assert_eq!(bytes.len(), HEAD_LEN + 2 * ENTRY_LEN);
        assert_eq!(HEAD_LEN, 4452);
        assert_eq!(Head::decode(&bytes).unwrap(), head());
        assert_eq!(head().file_len(), 16_384 + 262_145);
    }

    #[test]
    fn bytes_that_are_no_head_are_refused() {
        let good = head().encode().unwrap();
        for len in 0..good.len() {
            assert!(Head::decode(&good[..len]).is_none(), "{len}");
        }
        assert!(Head::decode(&[&good[..], &[0]].concat()).is_none());
        let with = |at: usize, bytes: &[u8]| {
            let mut changed = good.clone();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            Head::decode(&changed)
        };
        let (sequence, count) = (HEAD_LEN - 20, HEAD_LEN - 4);
        assert!(with(sequence, &6u64.to_le_bytes()).is_some());
        for bad in [0, 4, MAX_SEQUENCE, u64::MAX] {
            assert!(with(sequence, &bad.to_le_bytes()).is_none(), "{bad}");
        }
        for bad in [0, 1, 3, 214_748_367, u32::MAX] {
            assert!(with(count, &bad.to_le_bytes()).is_none(), "{bad}");
        }
        for bad in [0, 262_145, u32::MAX] {
            assert!(with(HEAD_LEN + 16, &u32::to_le_bytes(bad)).is_none(), "{bad}");
        }
        assert!(with(HEAD_LEN, &5u64.to_le_bytes()).is_none(), "a piece of this head or a later one");
    }

    #[test]
    fn a_head_is_not_longer_than_an_object() {
        let mut most = head();
        most.sequence = MAX_SEQUENCE - 1;
        most.pieces = vec![Piece { name: PieceName { base: 1, random: 1 }, len: 1 }; MAX_PIECES];
        let bytes = most.encode().unwrap();
        assert!(bytes.len() <= MAX_OBJECT && bytes.len() + ENTRY_LEN > MAX_OBJECT);
        assert_eq!(Head::decode(&bytes).unwrap(), most);
        most.pieces.push(most.pieces[0]);
        assert!(most.encode().is_none());
    }

    #[test]
    fn a_front_that_no_head_stands_for_is_refused() {
        let front = head().front().0;
        for at in [HEADER_LEN, COMMITS_AT + SLOT_LEN, FIXED_LEN - 1] {
            let mut other = front.clone();
            other[at] ^= 1;
            assert!(Head::of_front(&other, [0; 16], 1).is_none(), "{at}");
        }
        assert!(Head::of_front(&front[..FIXED_LEN - 1], [0; 16], 1).is_none());
    }

    #[test]
    fn a_slot_is_set_where_one_begins() {
        let mut head = head();
        assert!(head.set_slot((COMMITS_AT + COMMIT_BLOCK) as u64, &[5; SLOT_LEN]));
        let front = head.front().0;
        assert_eq!(front[COMMITS_AT + COMMIT_BLOCK..][..=SLOT_LEN], [&[5; SLOT_LEN][..], &[0]].concat());
        let was = head.clone();
        assert!(!head.set_slot(COMMITS_AT as u64 + 1, &[5; SLOT_LEN]));
        assert!(!head.set_slot(0, &[5; SLOT_LEN]));
        assert!(!head.set_slot(COMMITS_AT as u64, &[5; SLOT_LEN + 1]));
        assert!(head == was);
    }

    #[test]
    fn names_of_pieces_have_one_form() {
        let name = PieceName { base: 0x1f, random: u64::MAX };
        assert_eq!(name.to_string(), "pieces/000000000000001f-ffffffffffffffff");
        assert_eq!(PieceName::parse(&name.to_string()), Some(name));
        for other in [
            "head",
            "pieces",
            "pieces/",
            "pieces/1-2",
            "pieces/000000000000001F-ffffffffffffffff",
            "pieces/+00000000000001f-ffffffffffffffff",
            "pieces/000000000000001f-fffffffffffffffff",
            "pieces/4000000000000000-0000000000000000",
            "piecesx000000000000001f-ffffffffffffffff",
        ] {
            assert_eq!(PieceName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn sequences_go_on_above_those_of_another_history() {
        let found = |bases: &[u64]| {
            bases.iter().map(|base| PieceName { base: *base, random: 0 }).collect::<Vec<_>>().into_iter()
        };
        assert_eq!(Head::next_sequence(5, found(&[])), Some(6));
        assert_eq!(Head::next_sequence(5, found(&[9, 3])), Some(10));
        assert_eq!(Head::next_sequence(MAX_SEQUENCE - 1, found(&[])), None);
    }
}
