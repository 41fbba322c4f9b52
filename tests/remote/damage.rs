// SPDX-License-Identifier: GPL-2.0-or-later
//! Every byte of every object changed, objects cut, lost, swapped and forged (invariants 3 and 7): the same keys with the
//! same bytes, or a refusal; healed from a mirror; and nothing that an engine sends makes a program read without end.

use crate::common::{Op, PATH, Rng, Set, contents, data, tended};
use crate::rig::{HEAD_ONE, ONE, World, file};
use keyring_external::error::{Error, Refusal};
use keyring_external::keyring::KeyringState;
use keyring_external::store::remote::head::{ENTRY_LEN, HEAD_LEN, Head, MAX_PIECES, PieceName};
use std::time::Duration;

/// A keyring in several pieces.
fn subject(layout: crate::rig::Layout) -> (World, Set) {
    let (world, _) = World::filled(layout, Rng(51));
    // Each new program appends a piece of its own after it has written everything.
    let keyring = world.program().load(layout, layout.len()).unwrap();
    for n in 0..3u64 {
        let id = Box::leak(format!("large{n}").into_boxed_str());
        Op::Store { id, user: "", key_type: "SECRET", data: data(n, 16000) }.run(&keyring).unwrap();
    }
    let head = Head::decode(&world.one.object(HEAD_ONE).unwrap()).unwrap();
    assert!(head.pieces.len() > 1, "{head:?}");
    (world, contents(&keyring))
}

/// Opens the copy with one object changed. If it opens, all keys are there.
fn check(world: &World, set: &Set, name: &str, bytes: Option<&[u8]>, what: &str) -> bool {
    let good = world.one.object(name).unwrap();
    match bytes {
        Some(bytes) => world.one.corrupt(name, bytes),
        None => world.one.overwrite(name, None),
    }
    let found = world.found(&[ONE]);
    match bytes {
        Some(_) => world.one.corrupt(name, &good),
        None => world.one.overwrite(name, Some(&good)),
    }
    match found {
        Ok(found) => {
            assert_eq!(found, *set, "{what}");
            true
        }
        Err(Error::Refusal(
            Refusal::Damaged { .. }
            | Refusal::NotAKeyring { .. }
            | Refusal::Newer { .. }
            | Refusal::Missing { .. }
            | Refusal::WrongSecret { .. }
            | Refusal::ForgedSlot { .. },
        )) => false,
        Err(e) => panic!("{what}: {e:?}"),
    }
}

/// The objects that count.
fn objects(world: &World) -> Vec<(String, Vec<u8>)> {
    let head = Head::decode(&world.one.object(HEAD_ONE).unwrap()).unwrap();
    let names = head.pieces.iter().map(|piece| format!("fleet/db1/{}", piece.name));
    let all = std::iter::once(HEAD_ONE.to_owned()).chain(names);
    all.map(|name| (name.clone(), world.one.object(&name).unwrap())).collect()
}

#[test]
fn no_changed_byte_of_any_object_yields_a_wrong_key() {
    let (world, set) = subject(&[ONE]);
    let (mut opened, mut refused) = (0, 0);
    for (name, good) in objects(&world) {
        // The header is zero where it has no slots; every 16th of those bytes stands for the others. Records are
        // authenticated as a whole.
        let says = |at: usize| at.is_multiple_of(16) || name == HEAD_ONE && (good[at] != 0 || at >= 4096);
        for at in (0..good.len()).filter(|at| says(*at)) {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            let opens = check(&world, &set, &name, Some(&bytes), &format!("{name}, byte {at}"));
            opened += usize::from(opens);
            refused += usize::from(!opens);
            assert!(!opens || name == HEAD_ONE && at >= 4096, "{name}, byte {at} does not count");
        }
    }
    println!("{opened} opened with all keys, {refused} refused");
    assert!(opened > 30 && refused > 1000, "{opened}, {refused}");
}

#[test]
fn an_object_that_is_cut_longer_missing_or_another_is_refused() {
    let (world, set) = subject(&[ONE]);
    let all = objects(&world);
    for (name, good) in &all {
        let step = if name == HEAD_ONE { 13 } else { 331 };
        for len in (0..good.len()).step_by(step).chain([good.len() - 1]) {
            assert!(!check(&world, &set, name, Some(&good[..len]), &format!("{name} cut to {len}")));
        }
        assert!(!check(&world, &set, name, Some(&[&good[..], b"more"].concat()), &format!("{name} longer")));
        assert!(!check(&world, &set, name, None, &format!("{name} missing")));
        for (other, bytes) in all.iter().filter(|(other, _)| other != name) {
            assert!(!check(&world, &set, name, Some(bytes), &format!("{other} in place of {name}")));
        }
    }
    // The list of pieces: one left out, two swapped, one twice.
    let good = &all[0].1;
    let (front, list) = good.split_at(HEAD_LEN);
    let entries: Vec<_> = list.chunks(ENTRY_LEN).collect();
    let with = |entries: &[&[u8]]| {
        let count = (entries.len() as u32).to_le_bytes();
        [&front[..HEAD_LEN - 4], &count, &entries.concat()].concat()
    };
    assert_eq!(with(&entries), *good);
    let (first, rest) = entries.split_first().unwrap();
    for (what, list) in [
        ("the first left out", rest.to_vec()),
        ("the last left out", entries[..entries.len() - 1].to_vec()),
        ("swapped", entries.iter().rev().copied().collect()),
        ("the first twice", [&[*first], &entries[..]].concat()),
        ("none", Vec::new()),
    ] {
        assert!(!check(&world, &set, HEAD_ONE, Some(&with(&list)), what), "{what}");
    }
}

#[test]
fn damage_is_healed_from_a_mirror() {
    let (start, set) = subject(&[PATH, ONE]);
    let good = start.volume.bytes(PATH).unwrap();
    for (name, bytes) in objects(&start) {
        let flip = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            Some(bytes)
        };
        // The header lies there once. A damaged one cannot be told from one with another data key: see below.
        let records = if name == HEAD_ONE { 4096 } else { 0 };
        let mut cases = vec![
            flip(records),
            flip(bytes.len() - 1),
            flip((records + bytes.len()) / 2),
            Some(bytes[..bytes.len() - 1].to_vec()),
        ];
        // A lost head is a lost copy, which is not created again unasked.
        cases.extend((name != HEAD_ONE).then_some(None));
        for (n, case) in cases.into_iter().enumerate() {
            let world = start.fork();
            world.one.overwrite(&name, case.as_deref());
            let keyring = world.program().serve(&[PATH, ONE], 1).unwrap();
            assert_eq!(contents(&keyring), set, "{name}, case {n}");
            keyring.bring_up_to_date().unwrap();
            Op::Store { id: "next", user: "", key_type: "AES", data: data(1, 32) }.run(&keyring).unwrap();
            assert_eq!(tended(&keyring).state, KeyringState::Attached, "{name}, case {n}");
            assert_eq!(file(&world.one, "fleet/db1"), world.volume.bytes(PATH).unwrap(), "{name}, case {n}");
            assert_eq!(world.found(&[ONE]).unwrap(), contents(&keyring), "{name}, case {n}");
        }
        assert_eq!(start.volume.bytes(PATH).unwrap(), good);
    }
}

/// As a file of which both copies of the header are damaged: the keyring goes on with its other copy.
#[test]
fn a_copy_with_a_damaged_header_is_out_and_left_as_it_is() {
    let (start, set) = subject(&[PATH, ONE]);
    for at in [0, 40, 200, 4000] {
        let world = start.fork();
        let mut head = world.one.object(HEAD_ONE).unwrap();
        head[at] ^= 1;
        world.one.overwrite(HEAD_ONE, Some(&head));
        let keyring = world.program().serve(&[PATH, ONE], 1).unwrap();
        assert_eq!(contents(&keyring), set, "byte {at}");
        Op::Store { id: "next", user: "", key_type: "AES", data: data(1, 32) }.run(&keyring).unwrap();
        assert_eq!(tended(&keyring).state, KeyringState::Degraded, "byte {at}");
        assert_eq!(world.one.object(HEAD_ONE).unwrap(), head, "byte {at}");
    }
}

/// A head may claim more pieces than a program has memory for. What its commit slot vouches for limits what is read.
#[test]
fn a_head_that_claims_gigabytes_costs_no_memory() {
    let (world, set) = subject(&[ONE]);
    let mut head = Head::decode(&world.one.object(HEAD_ONE).unwrap()).unwrap();
    let last = *head.pieces.last().unwrap();
    while head.pieces.len() < MAX_PIECES {
        let random = head.pieces.len() as u64;
        head.pieces.push(keyring_external::store::remote::head::Piece {
            name: PieceName { base: 0, random },
            len: 256 * 1024,
        });
    }
    assert!(head.file_len() > 3 << 30);
    world.one.plan(&[]);
    // What is behind the acknowledged records does not count, and is hardly read.
    check(&world, &set, HEAD_ONE, Some(&head.encode().unwrap()), "gigabytes");
    assert!(world.one.requests().len() < 30, "{} requests", world.one.requests().len());
    assert!(last.len > 0);
}

#[test]
fn what_is_no_head_is_refused() {
    let (world, set) = subject(&[ONE]);
    let mut rng = Rng::of_test("what_is_no_head_is_refused");
    for len in [0, 1, 100, 4095, 4096, 4097, HEAD_LEN - 1, HEAD_LEN, HEAD_LEN + 1, 20_000, 256 * 1024] {
        let bytes: Vec<_> = (0..len).map(|_| rng.next() as u8).collect();
        assert!(!check(&world, &set, HEAD_ONE, Some(&bytes), &format!("{len} random bytes")));
        assert!(!check(&world, &set, HEAD_ONE, Some(&vec![0; len]), &format!("{len} zeros")));
    }
}

/// A look compares heads only. A server in use reads the pieces too from time to time, and writes a copy again that lacks
/// one: from an intact copy, or, if there is none, from memory.
#[test]
fn a_lost_or_changed_piece_is_healed_while_the_keyring_is_in_use() {
    for layout in crate::rig::LAYOUTS {
        let (start, set) = subject(layout);
        let pieces: Vec<_> = objects(&start).into_iter().filter(|(name, _)| name != HEAD_ONE).collect();
        for (name, good) in pieces {
            let mut changed = good.clone();
            changed[good.len() / 2] ^= 1;
            for (what, bytes) in [("lost", None), ("changed", Some(&changed[..])), ("cut", Some(&good[..7]))]
            {
                let world = start.fork();
                let keyring = world.program().serve(layout, 1).unwrap();
                keyring.bring_up_to_date().unwrap();
                keyring.maintain_and_read(Duration::ZERO);
                let generation = keyring.known_status().generation;
                world.one.overwrite(&name, bytes);
                // It was read a moment ago.
                assert_eq!(tended(&keyring).state, KeyringState::Attached, "{name} {what}");
                assert!(world.found(&[ONE]).is_err(), "{name} {what}");
                keyring.maintain_and_read(Duration::ZERO);
                let status = keyring.known_status();
                assert_eq!(status.state, KeyringState::Attached, "{name} {what}: {status:?}");
                assert_eq!(status.generation > generation, layout.len() == 1, "{name} {what}");
                assert_eq!(world.found(&[ONE]).unwrap(), set, "{name} {what}");
                keyring.maintain_and_read(Duration::ZERO);
                assert_eq!(keyring.known_status().generation, status.generation, "{name} {what}");
            }
        }
    }
}
