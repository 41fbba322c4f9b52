// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes the files in which somebody has tampered with a slot's public key.

use super::common::SECRET;
use super::common::forge::{PUBLIC_AT, SLOTS_AT, reheaded};
use super::made::{Made, damaged, opened, with_label, with_secret};
use keyring_external::format::crypto::DataKeys;
use keyring_external::format::header::{self, Header};
use keyring_external::format::layout::SLOT_LEN;
use keyring_external::format::slots::Slot;

/// A keyring without keys that [`SECRET`] opens, and its keys.
fn with_keys() -> (Vec<u8>, DataKeys) {
    let forge = with_label("");
    (forge.file(), forge.keys)
}

/// The first slot as it lies in a header.
fn slot_of(header: &mut [u8]) -> &mut [u8] {
    &mut header[SLOTS_AT..SLOTS_AT + SLOT_LEN]
}

/// Puts somebody's public key, that of RFC 7748, into a slot.
fn plant(slot: &mut [u8]) {
    let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    let public = (0..32).map(|i| u8::from_str_radix(&public[2 * i..2 * i + 2], 16).unwrap());
    slot[PUBLIC_AT..PUBLIC_AT + 32].iter_mut().zip(public).for_each(|(to, from)| *to = from);
}

pub fn planted() -> Made {
    let (file, keys) = with_keys();
    damaged(reheaded(&file, &keys, 5, |header| plant(slot_of(header))))
}

pub fn planted_of_low_order() -> Made {
    let (file, keys) = with_keys();
    damaged(reheaded(&file, &keys, 5, |header| {
        slot_of(header)[PUBLIC_AT..PUBLIC_AT + 32].copy_from_slice(&low_order());
    }))
}

/// A file's first slot as the keys of its header vouch for it.
fn slot_in(file: &[u8], keys: &DataKeys) -> (Header, Slot) {
    let header = header::read(file).unwrap().readable[0].check(keys).unwrap().0;
    let slot = header.slots.get(1).unwrap().clone();
    (header, slot)
}

/// A file whose slot was renewed by a holder of `old`, and its keys.
fn followed(file: &[u8], old: &DataKeys) -> (Vec<u8>, DataKeys) {
    let (header, slot) = slot_in(file, old);
    let new = DataKeys::generate(&header.id).unwrap();
    let renewed = slot.renew(old, &new, &header.id).unwrap().unwrap().encode();
    (reheaded(file, &new, 6, |header| slot_of(header).copy_from_slice(&renewed)), new)
}

pub fn planted_in_a_renewed_slot() -> Made {
    let (file, keys) = with_keys();
    let (file, keys) = followed(&file, &keys);
    damaged(reheaded(&file, &keys, 7, |header| plant(slot_of(header))))
}

pub fn planted_and_followed() -> Made {
    let (file, keys) = with_keys();
    let planted = reheaded(&file, &keys, 5, |header| plant(slot_of(header)));
    with_secret(opened(followed(&planted, &keys).0), &SECRET)
}

pub fn renewed_without_the_data_key() -> Made {
    let (file, keys) = with_keys();
    let (header, slot) = slot_in(&file, &keys);
    let [guessed, own] = [(); 2].map(|()| DataKeys::generate(&header.id).unwrap());
    let renewed = slot.renew(&guessed, &own, &header.id).unwrap().unwrap().encode();
    damaged(reheaded(&file, &own, 9, |header| slot_of(header).copy_from_slice(&renewed)))
}

/// A point that makes every agreement zero: 1, of order 4.
pub fn low_order() -> [u8; 32] {
    std::array::from_fn(|i| u8::from(i == 0))
}
