// SPDX-License-Identifier: GPL-2.0-or-later
//! Slots sealed, unlocked, renewed and forged.

use super::*;
use crate::custodians::Custodians;
use crate::format::cost::Cost;
use crate::format::crypto::{DataKey, DataKeys, KEY_LEN};
use crate::format::layout::{SALT_LEN, SLOT_LEN};
use crate::format::renewal::{Private, TOKEN_LEN, X25519_LEN};
use uuid::Uuid;

pub(crate) const CHEAP: Cost = Cost { memory_kib: 32, passes: 1, lanes: 1 };

fn kinds() -> [SlotKind; 4] {
    let custodians = SlotKind::Custodians(Custodians::new(2, 3).unwrap());
    [SlotKind::Passphrase, SlotKind::SecretFile, SlotKind::Recovery, custodians]
}

fn id() -> Uuid {
    Uuid::from_u128(7)
}

fn keys(byte: u8) -> DataKeys {
    DataKeys::derive(&DataKey::copy_of(&[byte; KEY_LEN]).unwrap(), &id()).unwrap()
}

fn sealed(kind: SlotKind) -> Slot {
    Slot::seal(kind, CHEAP, "a name", 5, b"secret", &keys(9), &id()).unwrap()
}

fn open(slot: &Slot, secret: &[u8], id: &Uuid) -> SlotOutcome {
    slot.open(&slot.key_material(secret).unwrap(), id).unwrap()
}

fn opens_to(slot: &Slot, byte: u8) -> bool {
    matches!(open(slot, b"secret", &id()), SlotOutcome::Key(key) if key == *keys(byte).data())
}

#[test]
fn slots_open_with_their_secret_only() {
    for kind in kinds() {
        let slot = sealed(kind);
        assert!(opens_to(&slot, 9));
        assert!(matches!(open(&slot, b"Secret", &id()), SlotOutcome::Wrong));
        assert!(matches!(open(&slot, b"secret", &Uuid::from_u128(8)), SlotOutcome::Forged));
        assert_eq!(Slot::decode(&slot.encode()), Some(Some(Slot { token: [0; TOKEN_LEN], ..slot })));
    }
}

#[test]
fn a_renewed_slot_opens_with_the_same_secret_to_the_new_key() {
    for kind in kinds() {
        let slot = sealed(kind);
        let once = slot.renew(&keys(9), &keys(8), &id()).unwrap().unwrap();
        let twice = once.renew(&keys(8), &keys(7), &id()).unwrap().unwrap();
        assert!(opens_to(&once, 8));
        assert!(opens_to(&twice, 7));
        assert!(matches!(open(&twice, b"Secret", &id()), SlotOutcome::Wrong));
        assert!(matches!(open(&twice, b"secret", &Uuid::from_u128(8)), SlotOutcome::Forged));
        let read = Slot { token: [0; TOKEN_LEN], ..twice.clone() };
        assert_eq!(Slot::decode(&twice.encode()), Some(Some(read)));
        assert_eq!((twice.kind, &twice.name, twice.created), (kind, &slot.name, 5));
        assert!(twice.was_renewed_by_public_key() && !slot.was_renewed_by_public_key());
    }
}

#[test]
fn a_planted_public_key_does_not_open_before_or_after_a_renewal() {
    for kind in kinds() {
        let slot = sealed(kind);
        let planted = Slot { public: Private::random().unwrap().public(), ..slot.clone() };
        assert!(matches!(open(&planted, b"secret", &id()), SlotOutcome::Forged));
        // Now the slot wraps the new data key for somebody else, and nothing in it derives from the secret.
        let followed = planted.renew(&keys(9), &keys(8), &id()).unwrap().unwrap();
        assert!(matches!(open(&followed, b"secret", &id()), SlotOutcome::Wrong));
        // The same, replacing a genuine slot that was renewed.
        let renewed = slot.renew(&keys(9), &keys(8), &id()).unwrap().unwrap();
        let planted = Slot { public: planted.public, ..renewed };
        assert!(matches!(open(&planted, b"secret", &id()), SlotOutcome::Forged));
        let low = Slot { public: [0; X25519_LEN], ..slot };
        assert!(matches!(open(&low, b"secret", &id()), SlotOutcome::Forged));
        assert!(low.renew(&keys(9), &keys(8), &id()).unwrap().is_none());
    }
}

#[test]
fn only_a_holder_of_the_data_key_renews_a_slot() {
    for kind in kinds() {
        let slot = sealed(kind);
        let forged = slot.renew(&keys(1), &keys(8), &id()).unwrap().unwrap();
        assert!(matches!(open(&forged, b"secret", &id()), SlotOutcome::Forged));
    }
}

#[test]
fn every_byte_of_a_slot_counts() {
    let slot = sealed(SlotKind::SecretFile);
    for slot in [slot.renew(&keys(9), &keys(9), &id()).unwrap().unwrap(), slot] {
        let bytes = slot.encode();
        assert_eq!(bytes.len(), SLOT_LEN);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Some(Some(slot)) = Slot::decode(&changed) {
                let opened = open(&slot, b"secret", &id());
                // Without the right salt, nothing shows that the slot belongs to the secret.
                let forged = !(24..24 + SALT_LEN).contains(&at);
                assert_eq!(matches!(opened, SlotOutcome::Forged), forged, "byte {at}: {opened:?}");
                assert_eq!(matches!(opened, SlotOutcome::Wrong), !forged, "byte {at}: {opened:?}");
            }
        }
    }
}

#[test]
fn a_cost_out_of_bounds_is_no_slot() {
    let mut slot = sealed(SlotKind::Passphrase);
    for cost in [
        Cost { memory_kib: u32::MAX, passes: 1, lanes: 1 },
        Cost { memory_kib: 1 << 20, passes: 5, lanes: 1 },
        Cost { memory_kib: 64, passes: 17, lanes: 1 },
        Cost { memory_kib: 256, passes: 1, lanes: 17 },
        Cost { memory_kib: 64, passes: 0, lanes: 1 },
        Cost { memory_kib: 64, passes: 1, lanes: 0 },
        Cost { memory_kib: 7, passes: 1, lanes: 1 },
        Cost { memory_kib: 16, passes: 1, lanes: 3 },
        Cost { memory_kib: 0, passes: 1, lanes: 0x2000_0000 },
        Cost::NONE,
    ] {
        slot.cost = cost;
        assert_eq!(Slot::decode(&slot.encode()), None);
        assert!(slot.key_material(b"secret").is_err());
    }
    assert!(Cost::RECOMMENDED.is_bounded());
    assert!(Cost { memory_kib: 8, passes: 1, lanes: 1 }.is_bounded());
    slot.kind = SlotKind::SecretFile;
    slot.cost = CHEAP;
    assert_eq!(Slot::decode(&slot.encode()), None);
    assert_eq!(Slot::decode(&[0; SLOT_LEN]), Some(None));
}

#[test]
fn the_numbers_of_custodians_are_part_of_the_slot() {
    let custodians = |threshold, shares| SlotKind::Custodians(Custodians::new(threshold, shares).unwrap());
    let slot = sealed(custodians(2, 3));
    assert_eq!(slot.encode()[..4], [4, 2, 3, 0]);
    for (threshold, shares) in [(3, 3), (2, 2), (2, 16)] {
        let changed = Slot { kind: custodians(threshold, shares), ..slot.clone() };
        assert!(matches!(open(&changed, b"secret", &id()), SlotOutcome::Forged));
    }
    for (at, byte) in [(1, 0), (1, 1), (1, 4), (2, 1), (2, 17), (3, 1), (4, 1)] {
        let mut bytes = slot.encode();
        bytes[at] = byte;
        assert_eq!(Slot::decode(&bytes), None, "byte {at} is {byte}");
    }
}
