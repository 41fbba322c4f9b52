// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes the files of the vectors. Each is named by what is special about it.

use super::common::forge::{Fields, Forge, SLOTS_AT, reheaded};
use super::common::sim::Sim;
use super::common::{CHEAP, Op, PATH, SECRET, create, data, filled, open, secret, take_into_use};
use super::made::{Made, add_slot, damaged, opened, with_label, with_secret};
use super::planted::{
    low_order, planted, planted_and_followed, planted_in_a_renewed_slot, planted_of_low_order,
    renewed_without_the_data_key,
};
use keyring_external::custodians::{Custodians, Share, unlock_secret};
use keyring_external::format::commit::{self, Commit};
use keyring_external::format::cost::Cost;
use keyring_external::format::crypto::DataKeys;
use keyring_external::format::header::Header;
use keyring_external::format::layout::FIXED_LEN;
use keyring_external::format::layout::HEADER_LEN;
use keyring_external::format::layout::SLOT_LEN;
use keyring_external::format::log_note::LogNote;
use keyring_external::format::slots::SlotKind;
use keyring_external::keyring::NewKeyring;
use keyring_external::recovery::RecoveryKey;
use keyring_external::store::places::Places;
use sha2::{Digest, Sha256};

/// A vector's name, what is special about it, and how its file is made.
type Recipe = (&'static str, &'static str, fn() -> Made);

/// Where the tokens of the slots lie in a header, and how long each is.
const TOKENS_AT: usize = 3776;
const TOKEN_LEN: usize = 32;
/// Where the renewal's public key lies in a slot.
const RENEWAL_AT: usize = 160;
const PASSPHRASE: &[u8] = b"correct horse battery staple";

pub const VECTORS: &[Recipe] = &[
    ("empty", "a new keyring without keys", empty),
    ("several_keys", "four keys, stored one after the other", several_keys),
    ("rewritten", "written whole when a key was removed; both commit slots are of one generation", rewritten),
    (
        "appended_to_rewritten",
        "written whole when a key was removed, then appended to",
        appended_to_rewritten,
    ),
    ("slot_passphrase", "the secret has a line ending, which is no part of the passphrase", slot_passphrase),
    ("slot_passphrase_lanes", "Argon2id with 3 lanes, 2 passes and an odd memory", slot_passphrase_lanes),
    ("slot_secret_file", "the secret ends in a line ending, which is part of it", slot_secret_file),
    ("slot_recovery", "the secret is a recovery key as a person types it", slot_recovery),
    ("slot_custodians", "the secret is two of three shares as people type them", slot_custodians),
    ("slots_all_eight", "eight slots; the secret opens the last", slots_all_eight),
    ("slots_with_gaps", "slots at the positions 3 and 8 only; the secret opens the last", slots_with_gaps),
    ("renewed_secret_file", "the slot follows a new data key by its public key", renewed_secret_file),
    ("renewed_passphrase", "the same with a passphrase", renewed_passphrase),
    ("renewed_recovery", "the same, twice in a row, with a recovery key", renewed_recovery),
    ("renewed_custodians", "the same with custodians, all of whom give their shares", renewed_custodians),
    ("renewed_by_a_key_of_low_order", "the slot's renewal key is one that anybody could agree with", || {
        let made = renewed_secret_file();
        let file = patch(made.file, SLOTS_AT + RENEWAL_AT, &low_order());
        Made { file, secret: made.secret, expect: "damaged" }
    }),
    (
        "renewed_without_the_data_key",
        "the slot was renewed by somebody who knew its public key only, the keyring is his",
        renewed_without_the_data_key,
    ),
    ("planted_public_key", "the slot's public key was replaced by a holder of the data key", planted),
    (
        "planted_public_key_of_low_order",
        "the slot's public key was replaced by one that anybody could agree with",
        planted_of_low_order,
    ),
    (
        "planted_public_key_in_a_renewed_slot",
        "the same after a renewal by the genuine public key",
        planted_in_a_renewed_slot,
    ),
    (
        "planted_public_key_that_was_followed",
        "the data key was renewed for a public key that had been planted; nothing in the slot is the secret's any more",
        planted_and_followed,
    ),
    ("label_non_ascii", "a label of 63 bytes, not all of them ASCII", label_non_ascii),
    ("longest_names", "id, user and type of 255 bytes, and not UTF-8", longest_names),
    ("longest_key", "a key of 16384 bytes", longest_key),
    ("header_first_copy_flipped", "one bit of the first header", || flip_several(&[300], "opened")),
    ("header_second_copy_flipped", "one bit of the second header", || flip_several(&[4096 + 300], "opened")),
    (
        "header_first_copy_of_an_earlier_writing",
        "the first header is from before a key was removed",
        old_header,
    ),
    ("commit_slot_torn", "the newest commit slot is half written; its record is whole", || {
        flip_several(&[12288 + 40], "opened")
    }),
    ("commit_slot_unwritten", "a whole record that no commit slot names", commit_slot_unwritten),
    ("commit_slot_older_flipped", "one bit of the older commit slot", || {
        flip_several(&[8192 + 40], "opened")
    }),
    ("commit_slot_padding_flipped", "one bit behind the newest commit slot, in its block", || {
        flip_several(&[12288 + 4000], "opened")
    }),
    ("commit_slot_noted", "both commit slots note a line of an audit log", || opened(noted())),
    ("commit_slot_note_flipped", "one bit of the note in the older commit slot", || {
        let mut file = noted();
        file[8192 + 130] ^= 1;
        opened(file)
    }),
    ("commit_slot_notes_taken", "the notes of both commit slots were zeroed", || {
        let mut file = noted();
        file[8192 + 96..8192 + 160].fill(0);
        file[12288 + 96..12288 + 160].fill(0);
        damaged(file)
    }),
    ("commit_slot_stale", "the older commit slot is three generations old", commit_slot_stale),
    ("tail_ignored", "the first half of a record behind the last one", tail_ignored),
    ("empty_file", "no bytes at all", || Made {
        file: vec![],
        secret: SECRET.into(),
        expect: "not_a_keyring",
    }),
    ("foreign", "the beginning of a file of MySQL's keyring_file plugin", foreign),
    ("newer_version", "version 2, everything else as in version 1", newer_version),
    ("wrong_secret", "a secret of the right length", || with_secret(several_keys(), &[0x11; 40])),
    ("wrong_secret_short", "the secret but for its end; 31 bytes open no secret slot", || {
        with_secret(several_keys(), &SECRET[..31])
    }),
    ("wrong_secret_recovery_typo", "one character of the recovery key is wrong", wrong_recovery),
    ("wrong_secret_custodians_too_few", "one share of the two that are needed", || with_shares(&[1])),
    ("wrong_secret_custodians_twice", "one share of the two that are needed, twice", || with_shares(&[1, 1])),
    (
        "wrong_secret_custodians_disagree",
        "three shares, of which the last is of another set",
        custodians_disagree,
    ),
    ("slot_custodians_of_fewer", "four of three shares are needed", || {
        damaged(patch(with_custodians().0, SLOTS_AT + SLOT_LEN + 1, &[4]))
    }),
    ("slot_flipped", "one bit of a slot's tag; the header's checksum is made to fit", slot_flipped),
    ("slot_secret_not_text", "a passphrase slot made with bytes that are no text", slot_secret_not_text),
    ("slot_of_another_keyring", "a slot copied from another keyring", slot_of_another_keyring),
    ("slot_kind_unknown", "slot kind 5", || patch_slot(0, &[5])),
    ("slot_reserved_byte_set", "the byte behind the slot's kind is 1", || patch_slot(1, &[1])),
    ("slot_argon2_cost_overflow", "Argon2id memory of 4 TiB", || patch_slot(4, &[0xff; 4])),
    ("slot_argon2_cost_zero", "Argon2id without a pass", || patch_slot(8, &[0; 4])),
    ("slot_argon2_cost_over_all", "Argon2id cost that is bounded field by field only", || {
        patch_slot(4, &[0, 0, 16, 0, 5, 0, 0, 0])
    }),
    (
        "slots_argon2_cost_over_all",
        "two slots whose Argon2id cost is bounded one by one only",
        slots_argon2_cost_over_all,
    ),
    ("slot_cost_unused", "a secret slot with an Argon2id cost", slot_cost_unused),
    ("slot_name_length_overflow", "a slot name that is longer than its field", || patch_slot(104, &[56])),
    ("slot_name_not_utf8", "a slot name that ends within a character", || patch_slot(104, &[1, 0xc3])),
    ("slot_name_padding_set", "a byte behind the end of a slot's name", || patch_slot(159, &[1])),
    ("header_label_not_utf8", "a label that ends within a character", || {
        patch_header(64, &[2, b'a', 0xc3, 0])
    }),
    ("header_label_padding_set", "a byte behind the end of the label", || patch_header(127, &[1])),
    ("header_label_length_overflow", "a label that is longer than its field", || patch_header(64, &[64])),
    ("header_mac_flipped", "one bit of the header's MAC; the checksum is made to fit", || {
        patch_header(4040, &[0, 1, 2])
    }),
    ("header_label_forged", "another label; the checksum is made to fit, the MAC is not", || {
        patch_header(65, b"best")
    }),
    (
        "header_and_slot_of_an_earlier_writing",
        "a header, a commit slot and the records are from before",
        old_but_one,
    ),
    ("header_both_copies_flipped", "one bit of each header", || flip_several(&[300, 4096 + 3000], "damaged")),
    ("header_magics_flipped", "one bit of each header's magic", || {
        flip_several(&[3, 4096 + 3], "not_a_keyring")
    }),
    ("both_commit_slots_torn", "one bit of each commit slot", || {
        flip_several(&[8192, 12288 + 95], "damaged")
    }),
    ("commit_slots_swapped", "each commit slot in the other's place", commit_slots_swapped),
    ("commit_slot_and_record_torn", "the newest commit slot and the record that it names", || {
        let end = several_keys().file.len();
        flip_several(&[12288 + 20, end - 1], "damaged")
    }),
    ("commit_count_lies", "an authentic commit of 2^64 - 1 records", || lie(|c| c.count = u64::MAX)),
    ("commit_length_lies", "an authentic commit of 2^64 - 1 bytes", || lie(|c| c.length = u64::MAX)),
    ("commit_length_short", "an authentic commit that ends before its records", || lie(|c| c.length = 16384)),
    ("commit_chain_lies", "an authentic commit with another record's MAC", || lie(|c| c.chain[31] ^= 1)),
    ("record_flipped", "one bit of a record's ciphertext", || flip_several(&[16384 + 30], "damaged")),
    ("record_length_overflow", "a record of 2^32 - 1 bytes", record_length_overflow),
    ("record_swapped", "two records of one length, each in the other's place", record_swapped),
    ("record_left_out", "the first of two records is missing", record_left_out),
    ("record_repeated", "a record twice, in the other's place", record_repeated),
    (
        "record_of_an_earlier_writing",
        "the records from before a key was removed",
        record_of_an_earlier_writing,
    ),
    ("record_kind_unknown", "an authentic record of kind 3", || bad_record(|f| f.kind = 3)),
    ("record_retired", "a retired key between two that are in use", record_retired),
    ("record_retired_at_zero", "an authentic record of a key that was retired in second 0", || {
        bad_record(|f| (f.kind, f.retired) = (2, Some(0)))
    }),
    ("record_retired_without_date", "an authentic record of kind 2 without the date", || {
        bad_record(|f| f.kind = 2)
    }),
    ("record_fields_overflow", "an authentic record whose key is longer than it", || {
        bad_record(|f| f.lengths.3 = u32::MAX)
    }),
    ("record_fields_short", "an authentic record with bytes behind its key", || {
        bad_record(|f| f.lengths.3 = 3)
    }),
    ("record_key_empty", "an authentic record with a key of no bytes", || {
        bad_record(|f| (f.lengths.3, f.data) = (0, b""))
    }),
    ("record_id_empty", "an authentic record without an id", || {
        bad_record(|f| (f.lengths.1, f.id) = (0, b""))
    }),
    ("record_id_with_nul", "an authentic record with a NUL in its id", || bad_record(|f| f.id = b"o\0e")),
    ("record_name_twice", "two authentic records of one user and id", record_name_twice),
    ("truncated_in_header", "cut in the second header", || cut(5000)),
    ("truncated_in_commit_slots", "cut in the second commit slot", || cut(12300)),
    ("truncated_before_records", "cut behind the commit slots", || cut(FIXED_LEN)),
    ("truncated_in_record", "the last byte is missing", || cut(several_keys().file.len() - 1)),
];

/// A simulated filesystem with a keyring in it, after these changes.
fn changed(sim: Sim, ops: &[Op]) -> Sim {
    let (keyring, _) = open(&sim.fs()).unwrap();
    ops.iter().for_each(|op| op.run(&keyring).unwrap());
    drop(keyring);
    sim
}

fn file(sim: &Sim) -> Vec<u8> {
    sim.bytes(PATH).unwrap()
}

fn remove() -> Op {
    Op::Remove { id: "short", user: "anna" }
}

fn store() -> Op {
    Op::Store { id: "another", user: "", key_type: "AES", data: data(5, 32) }
}

fn empty() -> Made {
    let sim = Sim::default();
    create(&sim.fs()).unwrap();
    opened(file(&sim))
}

fn several_keys() -> Made {
    opened(file(&filled().0))
}

fn rewritten() -> Made {
    opened(file(&changed(filled().0, &[remove()])))
}

fn appended_to_rewritten() -> Made {
    opened(file(&changed(filled().0, &[remove(), store()])))
}

/// A keyring without keys that these bytes open.
fn new_with(bytes: &[u8], cost: Cost) -> Made {
    let sim = Sim::default();
    let new = NewKeyring::new("biobank", &secret(bytes), "test", cost).unwrap();
    new.write(&Places::from(&sim.fs()), &[PATH.into()]).unwrap();
    Made { file: file(&sim), secret: bytes.into(), expect: "opened" }
}

fn slot_passphrase() -> Made {
    new_with(&[PASSPHRASE, b"\r\n"].concat(), CHEAP)
}

fn slot_passphrase_lanes() -> Made {
    new_with(PASSPHRASE, Cost { memory_kib: 97, passes: 2, lanes: 3 })
}

fn slot_secret_file() -> Made {
    new_with(&[&[0xfe; 40][..], b"\n"].concat(), Cost::NONE)
}

/// A keyring with a recovery slot, and the key that opens it.
fn with_recovery() -> (Vec<u8>, String) {
    let sim = Sim::default();
    let mut new = NewKeyring::new("biobank", &secret(&SECRET), "test", CHEAP).unwrap();
    let mut key = String::new();
    new.add_recovery().unwrap().write_to(&mut key).unwrap();
    new.write(&Places::from(&sim.fs()), &[PATH.into()]).unwrap();
    (file(&sim), key)
}

/// A keyring with custodians, two of three, in its second slot, and their shares.
fn with_custodians() -> (Vec<u8>, Vec<Share>) {
    let sim = Sim::default();
    let mut new = NewKeyring::new("biobank", &secret(&SECRET), "test", CHEAP).unwrap();
    let shares = new.add_custodians(Custodians::new(2, 3).unwrap()).unwrap();
    new.write(&Places::from(&sim.fs()), &[PATH.into()]).unwrap();
    (file(&sim), shares)
}

fn typed<'a>(shares: impl IntoIterator<Item = &'a Share>) -> Vec<u8> {
    unlock_secret(shares).unwrap().raw().to_vec()
}

fn slot_custodians() -> Made {
    let (file, shares) = with_custodians();
    let typed = String::from_utf8(typed([&shares[2], &shares[0]])).unwrap();
    let typed = typed.to_lowercase().replace('-', " ").replace('1', "l").replace('0', "o");
    Made { file, secret: typed.into_bytes(), expect: "opened" }
}

fn with_shares(numbers: &[usize]) -> Made {
    let (file, shares) = with_custodians();
    Made { file, secret: typed(numbers.iter().map(|number| &shares[number - 1])), expect: "wrong_secret" }
}

fn custodians_disagree() -> Made {
    let (file, shares) = with_custodians();
    let (_, others) = with_custodians();
    Made { file, secret: typed([&shares[0], &shares[1], &others[2]]), expect: "wrong_secret" }
}

/// Renewed without a secret.
fn renewed_custodians() -> Made {
    let sim = Sim::default();
    let mut new = NewKeyring::new("biobank", &secret(&SECRET), "test", CHEAP).unwrap();
    let shares = new.add_custodians(Custodians::new(3, 5).unwrap()).unwrap();
    new.write(&Places::from(&sim.fs()), &[PATH.into()]).unwrap();
    open(&sim.fs()).unwrap().0.rekey(&[], false).unwrap();
    Made { file: file(&sim), secret: typed(shares.iter().rev()), expect: "opened" }
}

fn slot_recovery() -> Made {
    let (file, key) = with_recovery();
    let typed = key.to_lowercase().replace('-', " ").replace('1', "l").replace('0', "o");
    Made { file, secret: typed.into_bytes(), expect: "opened" }
}

/// A keyring whose first slot was renewed so often without its secret.
fn renewed(times: usize, slot: impl FnOnce(&mut Header, &DataKeys)) -> Vec<u8> {
    let Forge { mut header, mut keys, .. } = Forge::with_header("", slot);
    for _ in 0..times {
        let new = DataKeys::generate(&header.id).unwrap();
        let mut slots = header.slots.clone();
        for (_, slot) in slots.iter_mut() {
            *slot = slot.renew(&keys, &new, &header.id).unwrap().unwrap();
        }
        header.set_slots(slots).unwrap();
        keys = new;
    }
    Forge::of(header, keys).seal(&Fields::honest(b"AES", b"renewed", b"", &[5; 32]).body()).file()
}

fn renewed_secret_file() -> Made {
    opened(renewed(1, |header, keys| add_slot(header, keys, SlotKind::SecretFile, Cost::NONE, "", &SECRET)))
}

fn renewed_passphrase() -> Made {
    let file = renewed(1, |header, keys| {
        add_slot(header, keys, SlotKind::Passphrase, CHEAP, "", PASSPHRASE);
    });
    Made { file, secret: PASSPHRASE.into(), expect: "opened" }
}

fn renewed_recovery() -> Made {
    let key = RecoveryKey::generate().unwrap();
    let mut text = String::new();
    key.write_to(&mut text).unwrap();
    let file = renewed(2, |header, keys| {
        add_slot(header, keys, SlotKind::Recovery, Cost::NONE, "paper", key.bytes());
    });
    Made { file, secret: text.into_bytes(), expect: "opened" }
}

fn slot_secret_not_text() -> Made {
    let forge = Forge::with_header("", |header, keys| {
        add_slot(header, keys, SlotKind::Passphrase, CHEAP, "", &SECRET);
    });
    with_secret(opened(forge.file()), &SECRET)
}

fn slots_argon2_cost_over_all() -> Made {
    let made = slots_all_eight();
    let cost = [0, 0, 16, 0, 4, 0, 0, 0];
    let file = patch(patch(made.file, SLOTS_AT + 4, &cost), SLOTS_AT + 2 * SLOT_LEN + 4, &cost);
    Made { file, secret: made.secret, expect: "damaged" }
}

fn wrong_recovery() -> Made {
    let (file, key) = with_recovery();
    let typed: String = key.chars().rev().collect();
    assert!(RecoveryKey::parse(typed.as_bytes()).is_err());
    Made { file, secret: typed.into_bytes(), expect: "wrong_secret" }
}

fn slots_all_eight() -> Made {
    let forge = Forge::with_header("biobank", |header, keys| {
        for n in 0..3_u8 {
            add_slot(header, keys, SlotKind::Passphrase, CHEAP, &format!("person {n}"), &[b'a' + n; 12]);
            add_slot(header, keys, SlotKind::SecretFile, Cost::NONE, &format!("server {n}"), &[n + 1; 32]);
        }
        let recovery = RecoveryKey::generate().unwrap();
        add_slot(header, keys, SlotKind::Recovery, Cost::NONE, "paper", recovery.bytes());
        // A name of all the bytes that there are, the last of two.
        add_slot(header, keys, SlotKind::Passphrase, CHEAP, &format!("{}é", "n".repeat(53)), PASSPHRASE);
    });
    Made { file: forge.file(), secret: PASSPHRASE.into(), expect: "opened" }
}

/// Two slots and their tokens, moved to other positions byte by byte.
fn slots_with_gaps() -> Made {
    let forge = Forge::with_header("gaps", |header, keys| {
        add_slot(header, keys, SlotKind::SecretFile, Cost::NONE, "server", &SECRET);
        add_slot(header, keys, SlotKind::Passphrase, CHEAP, "person", PASSPHRASE);
    });
    let file = reheaded(&forge.file(), &forge.keys, 5, |header| {
        for (from, to) in [(1, 7), (0, 2)] {
            for (at, len) in [(SLOTS_AT, SLOT_LEN), (TOKENS_AT, TOKEN_LEN)] {
                header.copy_within(at + from * len..at + (from + 1) * len, at + to * len);
                header[at + from * len..at + (from + 1) * len].fill(0);
            }
        }
    });
    Made { file, secret: PASSPHRASE.into(), expect: "opened" }
}

fn label_non_ascii() -> Made {
    // 31 characters of two bytes; the next one would be cut in half and is left out.
    opened(with_label(&format!("x{}é", "ß".repeat(31))).file())
}

fn longest_names() -> Made {
    let (id, user, key_type) = ([0xff; 255], [0x80; 255], [b'T'; 255]);
    opened(Forge::new().seal(&Fields::honest(&key_type, &id, &user, b"k").body()).file())
}

fn record_retired() -> Made {
    let retired = Fields { kind: 2, retired: Some(u64::from(u32::MAX)), ..field(b"two") };
    opened(
        Forge::new().seal(&field(b"one").body()).seal(&retired.body()).seal(&field(b"three").body()).file(),
    )
}

fn longest_key() -> Made {
    let op = Op::Store { id: "longest", user: "", key_type: "SECRET", data: data(6, 16384) };
    let sim = Sim::default();
    create(&sim.fs()).unwrap();
    opened(file(&changed(sim, &[op])))
}

fn flip_several(at: &[usize], expect: &'static str) -> Made {
    let mut made = several_keys();
    at.iter().for_each(|at| made.file[*at] ^= 0x10);
    Made { expect, ..made }
}

fn cut(len: usize) -> Made {
    damaged(several_keys().file[..len].to_vec())
}

/// A file before and after a key was removed from it.
fn before_and_after() -> (Vec<u8>, Vec<u8>) {
    let before = filled().0;
    let after = changed(before.fork(), &[remove()]);
    (file(&before), file(&after))
}

fn old_header() -> Made {
    let (before, after) = before_and_after();
    opened([&before[..HEADER_LEN], &after[HEADER_LEN..]].concat())
}

fn old_but_one() -> Made {
    let (before, after) = before_and_after();
    let parts =
        [&before[..4096], &after[4096..8192], &before[8192..12288], &after[12288..16384], &before[16384..]];
    damaged(parts.concat())
}

fn record_of_an_earlier_writing() -> Made {
    let (before, after) = before_and_after();
    damaged([&after[..FIXED_LEN], &before[FIXED_LEN..]].concat())
}

/// The file of a keyring in use, before and after each of these changes, which append.
fn in_use(ops: &[Op]) -> Vec<Vec<u8>> {
    let (sim, _) = filled();
    let (keyring, _) = open(&sim.fs()).unwrap();
    take_into_use(&keyring);
    let mut files = vec![file(&sim)];
    for op in ops {
        op.run(&keyring).unwrap();
        files.push(file(&sim));
    }
    files
}

fn commit_slot_unwritten() -> Made {
    let files = in_use(&[store()]);
    opened([&files[0][..FIXED_LEN], &files[1][FIXED_LEN..]].concat())
}

fn tail_ignored() -> Made {
    let made = commit_slot_unwritten();
    opened(made.file[..made.file.len() - 60].to_vec())
}

fn commit_slot_stale() -> Made {
    let short = |id| Op::Store { id, user: "", key_type: "A", data: data(1, 1) };
    let mut files = in_use(&[store(), short("2"), short("3")]);
    let mut last = files.pop().unwrap();
    let older = commit::claimed(&last).unwrap().generation as usize - 1;
    let slot = 8192 + older % 2 * 4096..8192 + older % 2 * 4096 + 4096;
    last[slot.clone()].copy_from_slice(&files[0][slot]);
    opened(last)
}

fn commit_slots_swapped() -> Made {
    let mut file = several_keys().file;
    let (a, b) = file[8192..16384].split_at_mut(4096);
    a.swap_with_slice(b);
    damaged(file)
}

fn foreign() -> Made {
    let file = [&b"Keyring file version:2.0"[..], &[0x5a; 100], b"EOF", &[0x33; 32]].concat();
    Made { file, secret: SECRET.into(), expect: "not_a_keyring" }
}

/// Puts bytes into both headers and makes their checksums fit.
fn patch(mut file: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    for copy in file[..2 * HEADER_LEN].chunks_exact_mut(HEADER_LEN) {
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        let checksum = Sha256::digest(&copy[..HEADER_LEN - 32]);
        copy[HEADER_LEN - 32..].copy_from_slice(&checksum);
    }
    file
}

fn newer_version() -> Made {
    Made { file: patch(several_keys().file, 16, &[2]), secret: SECRET.into(), expect: "newer" }
}

fn patch_header(at: usize, bytes: &[u8]) -> Made {
    damaged(patch(several_keys().file, at, bytes))
}

/// The first slot of a keyring that a passphrase opens, with bytes put in at `at`.
fn patch_slot(at: usize, bytes: &[u8]) -> Made {
    let made = slot_passphrase();
    Made { file: patch(made.file, SLOTS_AT + at, bytes), secret: made.secret, expect: "damaged" }
}

fn slot_cost_unused() -> Made {
    patch_header(SLOTS_AT + 4, &[32, 0, 0, 0, 1, 0, 0, 0, 1])
}

fn slot_flipped() -> Made {
    let made = several_keys();
    let last = SLOTS_AT + SLOT_LEN - 1;
    let flipped = made.file[last] ^ 1;
    damaged(patch(made.file, last, &[flipped]))
}

fn slot_of_another_keyring() -> Made {
    let other = several_keys().file;
    let made = several_keys();
    let slot = &other[SLOTS_AT..SLOTS_AT + SLOT_LEN];
    damaged(patch(made.file, SLOTS_AT, slot))
}

fn field(id: &'static [u8]) -> Fields<'static> {
    Fields::honest(b"AES", id, b"anna", b"some key bytes..")
}

/// Two records of one length.
fn two_records() -> Forge {
    Forge::new().seal(&field(b"one").body()).seal(&field(b"two").body())
}

/// The first and the second of these.
fn records(file: &[u8]) -> (&[u8], &[u8]) {
    let records = &file[FIXED_LEN..];
    records.split_at(records.len() / 2)
}

fn record_swapped() -> Made {
    let file = two_records().file();
    let (one, two) = records(&file);
    damaged([&file[..FIXED_LEN], two, one].concat())
}

fn record_left_out() -> Made {
    let file = two_records().file();
    let (_, two) = records(&file);
    damaged([&file[..FIXED_LEN], two].concat())
}

fn record_repeated() -> Made {
    let file = two_records().file();
    let (one, _) = records(&file);
    damaged([&file[..FIXED_LEN], one, one].concat())
}

fn record_name_twice() -> Made {
    damaged(Forge::new().seal(&field(b"one").body()).seal(&field(b"one").body()).file())
}

fn record_length_overflow() -> Made {
    let mut file = several_keys().file;
    file[FIXED_LEN..FIXED_LEN + 4].fill(0xff);
    damaged(file)
}

fn bad_record(change: fn(&mut Fields<'static>)) -> Made {
    let mut fields = field(b"one");
    change(&mut fields);
    damaged(Forge::new().seal(&fields.body()).file())
}

/// Two records, and commit slots that note a line of an audit log.
fn noted() -> Vec<u8> {
    let forge = two_records();
    let note = LogNote { log: [0xa1; 16], seq: 258, hash: [0xb2; 32] };
    let commit = Commit { note: Some(note), ..forge.commit() };
    forge.with_slots(&commit, &commit)
}

fn lie(change: fn(&mut Commit)) -> Made {
    let forge = two_records();
    let mut commit = forge.commit();
    change(&mut commit);
    damaged(forge.with_slots(&commit, &commit))
}
