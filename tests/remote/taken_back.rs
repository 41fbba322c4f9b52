// SPDX-License-Identifier: GPL-2.0-or-later
//! A copy that was created and is taken back, because another copy could not be created: whoever uses it meanwhile, or
//! creates it again, loses nothing.

use crate::common::{Op, Rng};
use crate::engine::{UNKNOWN, What};
use crate::rig::{HEAD_ONE, Layout, ONE, Program, TWO, World, store};
use keyring_external::store::remote::head::{Head, is_mark};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const BOTH: Layout = &[ONE, TWO];

/// Lets the second remote fail when its copy is created, after it was found to be free.
fn fails_at_the_second(program: &Program) {
    let (two, lists) = (Arc::clone(&program.two), AtomicUsize::new(0));
    program.two.before(move |request| {
        // The first list is that of the search for what is there.
        if request.what == What::List && lists.fetch_add(1, Ordering::Relaxed) == 1 {
            two.cut_off(true);
        }
    });
}

fn is_marked(world: &World) -> bool {
    world.one.object(HEAD_ONE).is_some_and(|bytes| is_mark(&bytes))
}

#[test]
fn a_copy_that_is_taken_back_is_absent_and_can_be_created_again() {
    let world = World::new(Rng(76));
    for _ in 0..3 {
        let program = world.program();
        fails_at_the_second(&program);
        program.create(BOTH).unwrap_err();
        assert!(is_marked(&world));
        assert_eq!(world.one.names(), [HEAD_ONE]);
        let found = world.found(&[ONE]).unwrap_err().to_string();
        assert!(found.contains("has no keyring under this name"), "{found}");
    }
    // Nothing was deleted that another program could have put meanwhile.
    let deletes = |name: &str| world.one.requests().iter().any(|r| r.what == What::Delete && r.name == name);
    assert!(!deletes(HEAD_ONE));
    let mark = world.one.object(HEAD_ONE);
    world.program().create(BOTH).unwrap();
    assert_ne!(world.one.object(HEAD_ONE), mark);
    store("new").run(&world.program().load(BOTH, 2).unwrap()).unwrap();
    assert_eq!(world.found(BOTH).unwrap().len(), 1);
}

/// A server stores a key after the head was read to be taken back, and before it is.
#[test]
fn taking_a_copy_back_takes_no_acknowledged_key_along() {
    let world = World::new(Rng(77));
    let program = world.program();
    fails_at_the_second(&program);
    let stored = Arc::new(Mutex::new(None));
    let (heard, other, puts) = (Arc::clone(&stored), world.clone(), AtomicUsize::new(0));
    program.one.before(move |request| {
        let is_change = request.name == HEAD_ONE && matches!(request.what, What::Put | What::Delete);
        if is_change && puts.fetch_add(1, Ordering::Relaxed) == 1 {
            let server = other.program().serve(&[ONE], 1).unwrap();
            *heard.lock().unwrap() = Some(store("acknowledged").run(&server).is_ok());
        }
    });
    program.create(BOTH).unwrap_err();
    assert_eq!(*stored.lock().unwrap(), Some(true));
    assert_eq!(world.found(&[ONE]).unwrap().len(), 1);
}

/// The request that takes the copy back, or the one that creates it again, is lost, or carried out late.
#[test]
fn a_request_that_comes_late_undoes_no_later_creation() {
    for fault in UNKNOWN {
        for at in 1..12 {
            let world = World::new(Rng(78 + at as u64));
            let program = world.program();
            fails_at_the_second(&program);
            world.one.plan(&[(at, fault)]);
            let first = program.create(BOTH);
            world.one.plan(&[]);
            let what = format!("{fault:?} at request {at}: {first:?}");
            // Where the copy was not taken back, it is a keyring without keys.
            let again = world.program().create(&[ONE]);
            let there = Head::decode(&world.one.object(HEAD_ONE).unwrap());
            assert!(there.is_some(), "{what}, then {again:?}");
            let keyring = world.program().load(&[ONE], 1).unwrap_or_else(|e| panic!("{what}, then {e}"));
            store("kept").run(&keyring).unwrap();
            world.deliver();
            assert_eq!(world.found(&[ONE]).unwrap().len(), 1, "{what}");
            Op::Remove { id: "kept", user: "" }.run(&keyring).unwrap();
            world.deliver();
            assert_eq!(world.found(&[ONE]).unwrap().len(), 0, "{what}");
        }
    }
}

/// The answer to the creation is lost, and a server stores a key before it is asked what became of it.
#[test]
fn a_creation_whose_answer_was_lost_takes_back_nothing_that_is_in_use() {
    let world = World::new(Rng(79));
    let program = world.program();
    let (other, puts) = (world.clone(), AtomicUsize::new(0));
    program.one.before(move |request| {
        let is_put = request.name == HEAD_ONE && request.what == What::Put;
        if is_put && puts.fetch_add(1, Ordering::Relaxed) == 1 {
            store("acknowledged").run(&other.program().serve(&[ONE], 1).unwrap()).unwrap();
        }
    });
    let fork = World::new(Rng(79));
    fork.program().create(&[ONE]).unwrap();
    let requests = fork.one.requests();
    let head = requests.iter().position(|r| r.what == What::Put && r.name == HEAD_ONE).unwrap();
    world.one.plan(&[(head + 1, crate::engine::Fault::AnswerLost)]);
    program.create(&[ONE]).unwrap();
    assert_eq!(world.found(&[ONE]).unwrap().len(), 1);
}
