// SPDX-License-Identifier: GPL-2.0-or-later
//! A program that dies at every request of every change (invariants 1 and 2), its last request carried out, not carried
//! out, or carried out later: the keyring holds the keys from before the change or from after it, and those from after
//! it on as many copies as were asked for when the change was acknowledged.

use crate::common::{Op, Rng, Set, contents, data, take_into_use};
use crate::engine::{DEATHS, Effect, Fault, KINDS};
use crate::rig::{LAYOUTS, Layout, World, store};
use keyring_external::error::{BadRequest, Error, Refusal};
use std::collections::BTreeSet;

fn operations() -> Vec<Op> {
    let key = |n: u64| (&*Box::leak(format!("many{n}").into_boxed_str()), data(n, 3000));
    vec![
        store("new"),
        Op::Store { id: "big", user: "", key_type: "SECRET", data: data(78, 16384) },
        Op::Generate { id: "made", user: "", key_type: "AES", len: 24 },
        Op::Remove { id: "short", user: "anna" },
        // More than one piece.
        Op::StoreAll { keys: (0..100).map(key).collect() },
        Op::AddSlot,
        Op::Rekey,
    ]
}

/// What each copy alone holds, if it can be opened.
fn copies(world: &World, layout: Layout) -> Vec<Option<Set>> {
    layout.iter().map(|path| world.found(Box::leak(Box::new([*path]))).ok()).collect()
}

/// A change after the crash is made, acknowledged, and on all copies.
fn goes_on(world: &World, layout: Layout, set: &Set) {
    let op = store("after the crash");
    let keyring = world.program().load(layout, layout.len()).unwrap();
    op.run(&keyring).unwrap();
    for copy in copies(world, layout) {
        assert_eq!(copy.unwrap(), op.after(set, set));
    }
}

/// Runs a change in a program that dies at request `at` of the first or the second engine. Returns whether it got so far.
fn dies(
    start: &World,
    layout: Layout,
    op: &Op,
    in_use: bool,
    min: usize,
    at: usize,
    how: (bool, Effect),
) -> bool {
    let world = start.fork();
    let program = world.program();
    let keyring = program.load(layout, min).unwrap();
    if in_use {
        take_into_use(&keyring);
    }
    let before = contents(&keyring);
    let engine = if how.0 { &world.two } else { &world.one };
    engine.plan(&[(at, Fault::Death(how.1))]);
    let done = op.run(&keyring);
    let dead = program.one.is_dead() || program.two.is_dead();
    let what =
        format!("{layout:?}, {op:?}, in use: {in_use}, {min} copies, {how:?} at request {at}: {done:?}");
    let after = done.is_ok().then(|| contents(&keyring));
    drop(keyring);
    engine.plan(&[]);
    let mut seen = BTreeSet::new();
    for delivered in [false, true] {
        if delivered {
            world.deliver();
        }
        let found = world.found(layout).unwrap_or_else(|e| panic!("{what}: {e}"));
        match &after {
            Some(after) => {
                assert_eq!(found, *after, "{what}");
                let up_to_date =
                    copies(&world, layout).iter().flatten().filter(|copy| *copy == after).count();
                assert!(up_to_date >= min, "{what}: {up_to_date} copies");
            }
            None => assert!(found == before || found == op.after(&before, &found), "{what}: {found:?}"),
        }
        seen.insert(found);
    }
    assert!(seen.len() < 3);
    let found = world.found(layout).unwrap();
    goes_on(&world, layout, &found);
    dead
}

#[test]
fn every_death_in_a_change_leaves_the_keys_before_or_after_it() {
    let mut points = 0;
    for (layout, kind) in LAYOUTS.into_iter().flat_map(|layout| KINDS.map(|kind| (layout, kind))) {
        let (start, _) = World::filled_on(kind, layout, Rng(11));
        let later = operations().into_iter().filter(Op::appends).map(|op| (op, true));
        for (op, in_use) in operations().into_iter().map(|op| (op, false)).chain(later) {
            for (min, second) in [(1, false), (2, false), (1, true), (2, true)] {
                let two = layout.iter().any(|path| path.starts_with("@two"));
                if min > layout.len() || second && !two {
                    continue;
                }
                for effect in DEATHS {
                    let dead = |at| dies(&start, layout, &op, in_use, min, at, (second, effect));
                    points += (1..).take_while(|at| dead(*at)).count();
                }
            }
        }
    }
    println!("{points} deaths");
    assert!(points > 1200, "{points} deaths");
}

#[test]
fn every_death_in_create_leaves_no_keyring_or_an_empty_one() {
    let layout: Layout = &[crate::rig::ONE];
    let mut rng = Rng(12);
    for effect in DEATHS {
        for at in 1.. {
            let world = World::new(rng.split());
            let program = world.program();
            world.one.plan(&[(at, Fault::Death(effect))]);
            let done = program.create(layout);
            world.one.plan(&[]);
            for _ in 0..2 {
                match world.found(layout) {
                    Ok(set) => assert!(set.is_empty()),
                    Err(Error::Refusal(Refusal::Missing { .. })) if done.is_err() => {}
                    Err(e) => panic!("{effect:?} at request {at}: {e}"),
                }
                world.deliver();
            }
            match world.program().create(layout) {
                Ok(()) | Err(Error::BadRequest(BadRequest::AlreadyThere { .. })) => {}
                Err(e) => panic!("{effect:?} at request {at}: {e}"),
            }
            goes_on(&world, layout, &Set::new());
            if done.is_ok() {
                break;
            }
        }
    }
}
