// SPDX-License-Identifier: GPL-2.0-or-later
//! Headers created, read back and refused.

use super::*;
use crate::format::commit::Commit;
use crate::format::cost::Cost;
use crate::format::crypto::DataKeys;
use crate::format::error::FormatError;
use crate::format::layout::{ANCESTOR_COUNT, EPOCH_LEN, HEADER_LEN, LEFT_BEHIND_COUNT, SLOT_COUNT};
use crate::format::slots::Slot;
use crate::format::slots::{SlotKind, SlotOutcome};
use crate::format::state::StateId;
use crate::format::unlocking::Unlocking;
use crate::secret::Locked;
use crate::secret::UnlockSecret;
use sha2::{Digest, Sha256};

fn unlocking(secret: &[u8]) -> Unlocking {
    UnlockSecret::new(Locked::copy_of(secret).unwrap()).into()
}

fn made() -> (Header, DataKeys, Vec<u8>) {
    let mut header = Header::new("biobank", 11).unwrap();
    let keys = DataKeys::generate(&header.id).unwrap();
    let slot = Slot::seal(SlotKind::SecretFile, Cost::NONE, "server", 5, &[3; 32], &keys, &header.id);
    header.add(slot.unwrap()).unwrap();
    let front = header.encode(&keys).0.repeat(2);
    (header, keys, front)
}

#[test]
fn a_header_is_read_back_and_opened() {
    let (header, keys, front) = made();
    let copies = read(&front).unwrap();
    assert!(!copies.damaged);
    assert_eq!(copies.readable[0].claims(), &*header);
    let (found, checked, _) = copies.readable[0].unlock(&unlocking(&[3; 32])).unwrap();
    assert!(found == keys && checked == header);
    let wrong = copies.readable[0].unlock(&unlocking(&[4; 32]));
    assert!(matches!(wrong, Err(FormatError::WrongSecret { .. })));
}

#[test]
fn one_damaged_copy_does_no_harm_and_two_are_damage() {
    let (header, _, front) = made();
    for at in 0..2 * HEADER_LEN {
        let mut changed = front.clone();
        changed[at] ^= 0x40;
        let copies = read(&changed).unwrap();
        assert!(copies.damaged);
        assert_eq!(copies.readable[0].claims(), &*header);
    }
    let mut changed = front.clone();
    changed[100] ^= 1;
    changed[HEADER_LEN + 100] ^= 1;
    assert!(matches!(read(&changed), Err(FormatError::Damaged { .. })));
}

#[test]
fn a_forged_checksum_does_not_pass_the_keys() {
    let (mut header, keys, _) = made();
    let other = DataKeys::generate(&header.id).unwrap();
    header.0.label = "forged".to_owned();
    let front = header.encode(&other).0.repeat(2);
    let copies = read(&front).unwrap();
    assert!(matches!(copies.readable[0].check(&keys), Err(FormatError::Damaged { .. })));
}

#[test]
fn other_files_and_versions_are_distinguished() {
    assert!(matches!(read(b""), Err(FormatError::NotAKeyring)));
    assert!(matches!(read(&[0; 10000]), Err(FormatError::NotAKeyring)));
    let (_, _, front) = made();
    assert!(matches!(read(&front[..5000]), Err(FormatError::Damaged { .. })));
    let mut newer = front[..HEADER_LEN].to_vec();
    newer[16] = 2;
    let checksum = Sha256::digest(&newer[..HEADER_LEN - 32]);
    newer[HEADER_LEN - 32..].copy_from_slice(&checksum);
    assert!(matches!(read(&newer.repeat(2)), Err(FormatError::Newer(2))));
}

#[test]
fn ancestors_are_distinguished_from_other_states() {
    let (mut header, keys, _) = made();
    let at = |generation, chain| Commit { generation, length: 0, count: 0, chain: [chain; 32], note: None };
    let (a, b) = ([1; EPOCH_LEN], [2; EPOCH_LEN]);
    header.0.ancestors = vec![StateId::new(&a, &at(9, 3)), StateId::new(&b, &at(4, 3))];
    header.0.left_behind = vec![StateId::new(&a, &at(2, 3))];
    let front = header.encode(&keys).0.repeat(2);
    let read = read(&front).unwrap().readable[0].check(&keys).unwrap().0;
    assert_eq!(read, header);
    let descends_from = |epoch: &[u8; EPOCH_LEN], commit: &Commit| {
        let state = StateId::new(epoch, commit);
        read.ancestors.contains(&state) || read.left_behind.contains(&state)
    };
    assert!(descends_from(&a, &at(9, 3)) && descends_from(&a, &at(2, 3)));
    assert!(!descends_from(&a, &at(8, 7)), "perhaps a fork from before that");
    assert!(!descends_from(&a, &at(9, 4)), "another state of the same generation");
    assert!(!descends_from(&a, &at(10, 3)), "a later one");
    assert!(!descends_from(&[3; EPOCH_LEN], &at(1, 3)));
    header.0.ancestors = vec![StateId::new(&a, &at(9, 3)); ANCESTOR_COUNT + 1];
    header.0.left_behind = vec![StateId::new(&b, &at(8, 3)); LEFT_BEHIND_COUNT + 1];
    assert_eq!(header.encode(&keys).0.len(), HEADER_LEN);
}

/// Overwrites bytes in both headers of a front, and corrects the checksums.
fn patched(front: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut copy = front[..HEADER_LEN].to_vec();
    copy[at..at + bytes.len()].copy_from_slice(bytes);
    let checksum = Sha256::digest(&copy[..HEADER_LEN - 32]);
    copy[HEADER_LEN - 32..].copy_from_slice(&checksum);
    copy.repeat(2)
}

#[test]
fn an_invalid_label_is_damage() {
    let front = made().2;
    let damaged = |at, bytes: &[u8]| {
        matches!(read(&patched(&front, at, bytes)), Err(FormatError::Damaged { what: "header fields", .. }))
    };
    assert!(!damaged(65, b"BIO"));
    assert!(damaged(65, &[0xff]), "not UTF-8");
    assert!(damaged(72, b"x"), "a byte behind its end");
    assert!(damaged(64, &[6]), "shorter than its bytes");
    assert!(damaged(64, &[64]), "longer than its field");
}

#[test]
fn slots_that_cost_more_than_one_opening_spends_are_damage() {
    let (mut header, keys, _) = made();
    let cheap = Cost { memory_kib: 32, passes: 1, lanes: 1 };
    let mut slot = Slot::seal(SlotKind::Passphrase, cheap, "", 5, b"secret", &keys, &header.id).unwrap();
    slot.cost = Cost { memory_kib: 1 << 20, passes: 3, lanes: 1 };
    header.add(slot.clone()).unwrap();
    header.add(slot.clone()).unwrap();
    assert!(read(&header.encode(&keys).0.repeat(2)).is_ok());
    assert!(header.add(slot.clone()).is_err());
    assert_eq!(header.slots.len(), 3);
    header.0.slots.add(slot);
    let read = read(&header.encode(&keys).0.repeat(2));
    assert!(matches!(read, Err(FormatError::Damaged { what: "header fields", .. })));
}

#[test]
fn the_ninth_slot_is_refused() {
    let (mut header, _, _) = made();
    let slot = header.slots.get(1).unwrap().clone();
    for _ in 1..SLOT_COUNT {
        header.add(slot.clone()).unwrap();
    }
    assert!(matches!(header.add(slot), Err(FormatError::NoFreeSlot)));
}

#[test]
fn a_removed_slot_leaves_a_gap_and_the_next_one_fills_it() {
    let (mut header, keys, _) = made();
    let sealed = |name: &str, secret: &[u8]| {
        Slot::seal(SlotKind::SecretFile, Cost::NONE, name, 5, secret, &keys, &header.id).unwrap()
    };
    let [second, third, fourth] = [("b", 4), ("c", 5), ("d", 6)].map(|(name, n)| sealed(name, &[n; 32]));
    assert_eq!((header.add(second).unwrap(), header.add(third.clone()).unwrap()), (2, 3));
    let mut slots = header.slots.clone();
    assert!(slots.remove(2).is_some() && slots.remove(2).is_none());
    header.set_slots(slots).unwrap();
    let read_back = |header: &Header| {
        let front = header.encode(&keys).0.repeat(2);
        let copies = read(&front).unwrap();
        assert_eq!(copies.readable[0].claims(), &**header, "slots and tokens stay at their positions");
        assert!(copies.readable[0].unlock(&unlocking(&[5; 32])).is_ok());
        copies.readable[0].check(&keys).unwrap().0
    };
    let mut read = read_back(&header);
    assert_eq!(read.slots.iter().map(|(number, _)| number).collect::<Vec<_>>(), [1, 3]);
    // The token that was read belongs to the slot: its renewal opens with its secret.
    let new = DataKeys::generate(&header.id).unwrap();
    let renewed = read.slots.get(3).unwrap().renew(&keys, &new, &header.id).unwrap().unwrap();
    assert!(
        matches!(unlocking(&[5; 32]).open(&renewed, &header.id), Ok(SlotOutcome::Key(k)) if k == *new.data())
    );
    assert_eq!(read.add(fourth).unwrap(), 2);
    assert_eq!(
        read_back(&read).slots.iter().map(|(_, slot)| slot.name.as_str()).collect::<Vec<_>>(),
        ["server", "d", "c"]
    );
    let forged = |header: &mut Header| header.0.slots.get_mut(3).unwrap().created += 1;
    forged(&mut header);
    let front = header.encode(&keys).0.repeat(2);
    let refused = super::read(&front).unwrap().readable[0].unlock(&unlocking(&[5; 32]));
    assert!(matches!(refused, Err(FormatError::ForgedSlot { number: 3, .. })), "{refused:?}");
}
