// SPDX-License-Identifier: GPL-2.0-or-later
//! How many requests a call costs: a promise of docs/ARCHITECTURE.md (invariant 9).

use crate::common::{Op, PATH, Rng, contents, data, key_type, name, take_into_use};
use crate::engine::{Fault, Kind, What};
use crate::rig::{HEAD_ONE, ONE, TWO, World, file, paths};
use keyring_external::store::remote::head::{Head, Piece, PieceName};
use keyring_external::store::remote::objects::Cause;
use std::time::{Duration, Instant};

/// The kinds of the requests since the last plan.
fn kinds(world: &World) -> Vec<What> {
    world.one.requests().iter().map(|request| request.what).collect()
}

#[test]
fn a_store_costs_three_requests_and_every_sixteenth_deletes_what_does_not_count() {
    let world = World::with_keyring(&[ONE], Rng(1));
    let keyring = world.program().load(&[ONE], 1).unwrap();
    take_into_use(&keyring);
    let mut deletes = 0;
    for n in 0..200 {
        world.one.plan(&[]);
        keyring.store(name(&n.to_string(), ""), &key_type("AES"), &data(n, 32)).unwrap();
        let mut kinds = kinds(&world);
        let before = kinds.len();
        kinds.retain(|what| *what != What::Delete);
        deletes += before - kinds.len();
        assert_eq!(kinds, [What::Get, What::Put, What::Put], "store {n}");
    }
    assert!((8..=12).contains(&deletes), "{deletes}");
    // 200 records of some 150 bytes are gathered, and little else is left.
    let head = Head::decode(&world.one.object(HEAD_ONE).unwrap()).unwrap();
    assert!(head.pieces.len() <= 2, "{head:?}");
    assert!(world.one.names().len() < 40, "{:?}", world.one.names());
    assert_eq!(world.found(&[ONE]).unwrap(), contents(&keyring));
}

#[test]
fn a_store_costs_one_request_less_if_the_engine_puts_two_objects_in_a_step() {
    let world = World::with_keyring_on(Kind::Pairs, &[ONE, PATH], Rng(1));
    let keyring = world.program().load(&[ONE, PATH], 2).unwrap();
    take_into_use(&keyring);
    for n in 0..40 {
        world.one.plan(&[]);
        keyring.store(name(&n.to_string(), ""), &key_type("AES"), &data(n, 32)).unwrap();
        let kinds: Vec<_> = kinds(&world).into_iter().filter(|what| *what != What::Delete).collect();
        assert_eq!(kinds, [What::Get, What::Put], "store {n}");
    }
    for path in [ONE, PATH] {
        assert_eq!(world.program().look(path).unwrap().0, contents(&keyring), "{path}");
    }
}

#[test]
fn of_two_remotes_both_have_the_record_before_it_counts_at_one() {
    let world = World::with_keyring_on(Kind::Pairs, &[ONE, TWO], Rng(1));
    let keyring = world.program().load(&[ONE, TWO], 2).unwrap();
    take_into_use(&keyring);
    world.one.plan(&[]);
    world.two.plan(&[(2, Fault::Refused(Cause::Full))]);
    keyring.store(name("refused", ""), &key_type("AES"), &data(1, 32)).unwrap_err();
    // The first was asked for its piece only, which was taken back.
    assert_eq!(kinds(&world), [What::Get, What::Put, What::Delete]);
}

#[test]
fn a_store_costs_the_same_whatever_the_number_of_keys() {
    for count in [1u64, 3000] {
        let world = World::with_keyring(&[ONE], Rng(2));
        let keyring = world.program().load(&[ONE], 1).unwrap();
        take_into_use(&keyring);
        for n in 0..count {
            keyring.store(name(&n.to_string(), ""), &key_type("AES"), &data(n, 300)).unwrap();
        }
        world.one.plan(&[]);
        keyring.store(name("last", ""), &key_type("AES"), &data(1, 300)).unwrap();
        let kinds = kinds(&world);
        let kinds: Vec<_> = kinds.into_iter().filter(|what| *what != What::Delete).collect();
        assert_eq!(kinds, [What::Get, What::Put, What::Put], "{count} keys");
    }
}

#[test]
fn a_fetch_asks_nothing_and_a_look_reads_the_head_only() {
    let (world, _) = World::filled(&[ONE], Rng(3));
    let program = world.program();
    let keyring = program.serve(&[ONE], 1).unwrap();
    world.one.plan(&[]);
    assert!(keyring.fetch(&name("short", "anna"), |_| ()).is_some());
    assert_eq!(kinds(&world), []);
    let copy = program.places.replica(ONE.as_ref()).unwrap();
    let look = || copy.look(true, Instant::now() + Duration::from_secs(60)).unwrap();
    assert_eq!(look().len, file(&world.one, "fleet/db1").len() as u64);
    assert_eq!(kinds(&world), [What::Get]);
}

#[test]
fn a_large_keyring_is_read_and_written_in_pieces_of_256_kib() {
    let world = World::with_keyring(&[ONE, PATH], Rng(4));
    let keyring = world.program().load(&[ONE, PATH], 2).unwrap();
    let keys = (0..1000u64).map(|n| (&*Box::leak(n.to_string().into_boxed_str()), data(n, 1000))).collect();
    Op::StoreAll { keys }.run(&keyring).unwrap();
    let head = Head::decode(&world.one.object(HEAD_ONE).unwrap()).unwrap();
    assert_eq!(head.pieces.len(), 5);
    assert!(head.pieces[..4].iter().all(|piece| piece.len == 256 * 1024));
    // The file and the copy at the remote are the same, byte for byte.
    assert_eq!(file(&world.one, "fleet/db1"), world.volume.bytes(PATH).unwrap());
    world.one.plan(&[]);
    assert_eq!(world.found(&[ONE]).unwrap(), contents(&keyring));
    assert_eq!(kinds(&world), [What::Get; 6]);
}

#[test]
fn a_whole_write_leaves_only_the_head_and_the_pieces_that_it_names() {
    let (world, set) = World::filled(&[ONE], Rng(5));
    let keyring = world.program().load(&[ONE], 1).unwrap();
    world
        .one
        .overwrite("fleet/db1/pieces/0000000000000000-0000000000000001", Some(b"left by an interruption"));
    world.one.overwrite("fleet/db1/pieces/00000000000003e8-0000000000000002", Some(b"of another history"));
    world.one.overwrite("fleet/other/head", Some(b"another keyring"));
    let op = Op::Remove { id: "long", user: "anna" };
    op.run(&keyring).unwrap();
    let head = Head::decode(&world.one.object(HEAD_ONE).unwrap()).unwrap();
    assert!(head.sequence > 1000, "it goes on above the other history: {head:?}");
    let mut expected = vec![HEAD_ONE.to_owned(), "fleet/other/head".to_owned()];
    expected.extend(head.pieces.iter().map(|piece| format!("fleet/db1/{}", piece.name)));
    expected.sort();
    assert_eq!(world.one.names(), expected);
    assert_eq!(world.found(&[ONE]).unwrap(), op.after(&set, &set));
    assert!(expected.iter().filter_map(|n| PieceName::parse(n.strip_prefix("fleet/db1/")?)).count() == 1);
    assert_eq!(paths(&[ONE]).len(), 1);
}

/// A head cannot name any number of pieces: long before that, they are joined by writing the copy whole.
#[test]
fn a_copy_of_very_many_pieces_is_written_whole_by_the_next_store() {
    let (world, _) = World::filled(&[ONE], Rng(6));
    let keys =
        (0..20u64).map(|n| (&*Box::leak(format!("more-{n}").into_boxed_str()), data(n, 1000))).collect();
    Op::StoreAll { keys }.run(&world.program().load(&[ONE], 1).unwrap()).unwrap();
    let mut head = Head::decode(&world.one.object(HEAD_ONE).unwrap()).unwrap();
    let rest = file(&world.one, "fleet/db1").split_off(keyring_external::store::reading::FRONT_LEN);
    head.pieces.clear();
    let len = rest.len() / 4095;
    for (n, bytes) in rest.chunks(len).enumerate() {
        let name = PieceName { base: 0, random: n as u64 };
        world.one.overwrite(&format!("fleet/db1/{name}"), Some(bytes));
        head.pieces.push(Piece { name, len: bytes.len() as u32 });
    }
    assert!(head.pieces.len() >= 4096, "{}", head.pieces.len());
    world.one.overwrite(HEAD_ONE, Some(&head.encode().unwrap()));
    let keyring = world.program().load(&[ONE], 1).unwrap();
    let before = contents(&keyring);
    let op = Op::Store { id: "one more", user: "", key_type: "AES", data: data(1, 32) };
    op.run(&keyring).unwrap();
    let head = Head::decode(&world.one.object(HEAD_ONE).unwrap()).unwrap();
    assert_eq!(head.pieces.len(), 1);
    assert_eq!(world.one.names().len(), 2, "the pieces that were joined are deleted");
    assert_eq!(world.found(&[ONE]).unwrap(), op.after(&before, &before));
}

/// Two programs that store in turn add to the last piece of the other one.
#[test]
fn two_programs_that_store_in_turn_do_not_leave_many_pieces() {
    let world = World::with_keyring(&[ONE], Rng(5));
    let programs = [world.program(), world.program()];
    let keyrings = programs.each_ref().map(|program| program.serve(&[ONE], 1).unwrap());
    keyrings.iter().for_each(take_into_use);
    for n in 0..60 {
        keyrings[n % 2].store(name(&n.to_string(), ""), &key_type("AES"), &data(n as u64, 32)).unwrap();
    }
    let head = Head::decode(&world.one.object(HEAD_ONE).unwrap()).unwrap();
    assert!(head.pieces.len() <= 2, "{head:?}");
    assert!(world.one.names().len() < 40, "{:?}", world.one.names());
}
