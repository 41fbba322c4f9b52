// SPDX-License-Identifier: GPL-2.0-or-later
//! Files and remotes as copies of one keyring, also with two servers on two hosts: a change counts at the remotes
//! first, one after the other by name, and then on the files. What is acknowledged is never lost, and where a remote
//! is common to two servers that must reach it, their keyrings do not diverge.

use crate::common::{Op, PATH, Rng, Set, contents, copies, take_into_use, tended};
use crate::engine::{Fault, Odds, Request, What};
use crate::rig::{HEAD_ONE, Layout, ONE, Program, TWO, World, paths, store};
use keyring_external::error::{Error, Failure, Refusal};
use keyring_external::keyring::{Keyring, KeyringState, Merging, Take, load};
use keyring_external::store::remote::objects::Cause;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const MIXED: Layout = &[PATH, ONE];
const ALL: Layout = &[PATH, ONE, TWO];
const FILE: Layout = &[PATH];

/// Another host: it shares the engines, and has a volume of its own with the same file.
fn beside(world: &World) -> World {
    World { volume: world.volume.fork(), one: world.one.clone(), two: world.two.clone() }
}

fn is_head(request: &Request) -> bool {
    request.what == What::Put && request.name.ends_with("/head")
}

/// Calls `then` before the program replaces the head of the copy at the first remote, once.
fn before_head(program: &Program, then: impl Fn() + Send + Sync + 'static) {
    let done = AtomicBool::new(false);
    program.one.before(move |request| {
        if is_head(request) && !done.swap(true, Ordering::SeqCst) {
            then();
        }
    });
}

fn serve(world: &World, layout: Layout, min_copies: u32) -> (Program, Keyring) {
    let program = world.program();
    let keyring = program.serve(layout, min_copies).unwrap();
    take_into_use(&keyring);
    (program, keyring)
}

/// All copies of these hosts hold these keys, each by itself.
fn all_hold(worlds: &[&World], layout: Layout, expected: &Set) {
    for world in worlds {
        for path in layout {
            let alone: Layout = Box::leak(Box::new([*path]));
            assert_eq!(&world.found(alone).unwrap(), expected, "{path}");
        }
    }
}

#[test]
fn a_change_counts_at_the_remotes_first_in_the_order_of_their_names() {
    for op in [store("new"), Op::Remove { id: "short", user: "anna" }, Op::Rekey] {
        let (world, set) = World::filled(ALL, Rng(61));
        let (program, keyring) = serve(&world, ALL, 3);
        let (seen, look) = (Arc::new(std::sync::Mutex::new(Vec::new())), world.clone());
        for (name, client) in [("one", &program.one), ("two", &program.two)] {
            let (seen, look, set) = (Arc::clone(&seen), look.clone(), set.clone());
            client.before(move |request| {
                if is_head(request) {
                    seen.lock().unwrap().push(name);
                    assert_eq!(look.found(FILE).unwrap(), set, "counted on the file before {name}");
                    assert_eq!(look.found(&[TWO]).unwrap(), set, "counted at two before {name}");
                }
            });
        }
        op.run(&keyring).unwrap();
        assert_eq!(*seen.lock().unwrap(), ["one", "two"], "{op:?}");
        program.one.before(|_| {});
        program.two.before(|_| {});
        all_hold(&[&world], ALL, &contents(&keyring));
    }
}

/// A writer is told at the remote that another was faster. Nothing has counted on its file, and what it prepared there is
/// gone; it adopts the other's change and makes its own.
#[test]
fn of_two_servers_that_change_a_keyring_at_once_one_goes_first_and_the_other_builds_on_it() {
    for (op, min_copies) in [
        (store("mine"), 1),
        (store("mine"), 2),
        (Op::Remove { id: "short", user: "anna" }, 2),
        (Op::Rekey, 2),
    ] {
        let (here, set) = World::filled(MIXED, Rng(62));
        let there = beside(&here);
        let (program, mine) = serve(&here, MIXED, min_copies);
        let theirs = there.program().serve(MIXED, min_copies).unwrap();
        let theirs = Arc::new(theirs);
        let (other, look, before) = (Arc::clone(&theirs), here.clone(), set.clone());
        before_head(&program, move || {
            store("theirs").run(&other).unwrap();
            assert_eq!(look.found(FILE).unwrap(), before, "it counted on the file first");
        });
        let done = op.run(&mine);
        let what = format!("{op:?}, {min_copies}: {done:?}");
        done.unwrap_or_else(|_| panic!("{what}"));
        let expected = op.after(&store("theirs").after(&set, &set), &contents(&mine));
        assert_eq!(contents(&mine), expected, "{what}");
        assert_eq!(here.found(MIXED).unwrap(), expected, "{what}");
        // The other one adopts that, and brings its file up to date.
        store("last").run(&theirs).unwrap_or_else(|e| panic!("{what}: then {e}"));
        assert_eq!(tended(&theirs).state, KeyringState::Attached, "{what}");
        store("very last").run(&mine).unwrap_or_else(|e| panic!("{what}: then {e}"));
        assert_eq!(tended(&mine).state, KeyringState::Attached, "{what}");
        assert_eq!(tended(&theirs).state, KeyringState::Attached, "{what}");
        all_hold(&[&here, &there], MIXED, &contents(&mine));
        assert_eq!(contents(&theirs), contents(&mine), "{what}");
    }
}

/// Two servers, each with a file of its own and a remote in common, store at the same time, with faults.
#[test]
fn two_servers_with_a_common_remote_lose_no_acknowledged_key() {
    for (seed, odds) in [
        (63, Odds::default()),
        (64, Odds { refused: 10, answer_lost: 20, request_lost: 20, late: 10, stale: true }),
    ] {
        let (here, _) = World::filled(MIXED, Rng(seed));
        let there = beside(&here);
        here.one.set_odds(odds);
        let work = |world: &World, own: &'static str| {
            let keyring = loop {
                if let Ok(keyring) = world.program().serve(MIXED, 2) {
                    break keyring;
                }
            };
            let ids: Vec<String> = (0..20).map(|i| format!("{own}{i}")).collect();
            let stored = ids.into_iter().filter(|id| copies::generate(&keyring, id).is_ok()).collect();
            (keyring, stored)
        };
        let ((mine, a), (theirs, b)): ((_, Vec<String>), (_, Vec<String>)) = std::thread::scope(|scope| {
            let other = scope.spawn(|| work(&there, "b"));
            (work(&here, "a"), other.join().unwrap())
        });
        here.one.set_odds(Odds::default());
        here.deliver();
        assert!(a.len() + b.len() >= 10, "only {} and {} were stored", a.len(), b.len());
        // The last change of one is adopted by the other at its next.
        copies::generate(&mine, "end a").unwrap();
        copies::generate(&theirs, "end b").unwrap();
        copies::generate(&mine, "end").unwrap();
        tended(&theirs);
        tended(&mine);
        for world in [&here, &there] {
            let found = world.found(MIXED).unwrap();
            for id in a.iter().chain(&b) {
                assert!(found.keys().any(|(_, key)| key == id.as_bytes()), "{id} is lost, seed {seed}");
            }
        }
        all_hold(&[&here], MIXED, &contents(&mine));
    }
}

/// One server cannot reach the remote that it must reach: it stores nothing, so its keyring does not diverge.
#[test]
fn a_server_without_a_copy_that_it_must_reach_stores_nothing() {
    let (here, set) = World::filled(MIXED, Rng(65));
    let there = beside(&here);
    let (program, mine) = serve(&here, MIXED, 2);
    let (_, theirs) = serve(&there, MIXED, 2);
    // Gone before the change, or in the middle of it.
    for in_the_middle in [false, true] {
        let client = Arc::clone(&program.one);
        if in_the_middle {
            // Mine adopts what theirs stored.
            store("adopted").run(&mine).unwrap();
            before_head(&program, move || client.cut_off(true));
        } else {
            program.one.cut_off(true);
        }
        let before = here.found(FILE).unwrap();
        let e = store("mine").run(&mine).unwrap_err();
        assert!(matches!(e, Error::Failure(Failure::TooFewCopies { reachable: 1, needed: 2, .. })), "{e:?}");
        assert_eq!(here.found(FILE).unwrap(), before);
        program.one.before(|_| {});
        let id = if in_the_middle { "theirs 2" } else { "theirs 1" };
        store(id).run(&theirs).unwrap();
        program.one.cut_off(false);
    }
    store("mine").run(&mine).unwrap();
    let mut expected = set.clone();
    for id in ["theirs 1", "adopted", "theirs 2", "mine"] {
        expected = store(id).after(&expected, &expected);
    }
    assert_eq!(tended(&mine).state, KeyringState::Attached);
    all_hold(&[&here], MIXED, &expected);
}

/// With `min_copies` 1, a server goes on without the remote, and another one at it. Neither key is lost: the keyring has
/// diverged, which both are told, and a merge combines it.
#[test]
fn servers_that_went_on_without_each_other_are_told_and_merged() {
    let (here, set) = World::filled(MIXED, Rng(66));
    let there = beside(&here);
    let (program, mine) = serve(&here, MIXED, 1);
    let (_, theirs) = serve(&there, MIXED, 1);
    program.one.cut_off(true);
    store("mine").run(&mine).unwrap();
    assert_eq!(mine.status().state, KeyringState::Degraded);
    store("theirs").run(&theirs).unwrap();
    program.one.cut_off(false);
    let e = store("more").run(&mine).unwrap_err();
    assert!(matches!(e, Error::Refusal(Refusal::Diverged { .. })), "{e:?}");
    drop((mine, theirs));
    let places = program.places.clone();
    let open = |path: &Path| load(&places, path, &crate::common::unlock()).map(|(keyring, _)| keyring);
    let merging = Merging::read(&places, &paths(MIXED), open).unwrap().unwrap();
    let merged = merging.write(|_, _| {}, |_| Some(Take::Here)).unwrap();
    let expected = store("mine").after(&store("theirs").after(&set, &set), &set);
    all_hold(&[&here], MIXED, &expected);
    // Both states were saved first, each beside its copy.
    let [file, remote] = &merged.kept[..] else { panic!("{merged:?}") };
    assert!(remote.to_str().unwrap().starts_with("@one/fleet/db1.before-merge-"), "{remote:?}");
    let kept = |path: &Path| contents(&open(path).unwrap());
    assert_eq!(kept(file), store("mine").after(&set, &set));
    assert_eq!(kept(remote), store("theirs").after(&set, &set));
}

/// Two servers with two remotes in common. One goes on without the first remote; the other has changed that one already
/// when the second remote tells it so. Nothing of that was acknowledged, so it takes the other's change and builds on it.
#[test]
fn a_change_that_meets_another_at_the_second_remote_is_made_again() {
    const REMOTES: Layout = &[ONE, TWO];
    let (here, set) = World::filled(REMOTES, Rng(67));
    let there = here.clone();
    let (program, mine) = serve(&here, REMOTES, 1);
    let (other_program, theirs) = serve(&there, REMOTES, 1);
    store("adopted").run(&mine).unwrap();
    other_program.one.cut_off(true);
    let theirs = Arc::new(theirs);
    let (other, done) = (Arc::clone(&theirs), AtomicBool::new(false));
    program.two.before(move |request| {
        if is_head(request) && !done.swap(true, Ordering::SeqCst) {
            store("theirs").run(&other).unwrap();
        }
    });
    store("mine").run(&mine).unwrap();
    let mut expected = set.clone();
    for id in ["adopted", "theirs", "mine"] {
        expected = store(id).after(&expected, &expected);
    }
    all_hold(&[&here], REMOTES, &expected);
    other_program.one.cut_off(false);
    store("last").run(&theirs).unwrap();
    assert_eq!(tended(&theirs).state, KeyringState::Attached);
    all_hold(&[&here], REMOTES, &store("last").after(&expected, &expected));
}

/// The remote refuses to replace the head. With one copy required, the change counts on the file, and the remote is brought
/// up to date; with two, nothing is left of it.
#[test]
fn a_remote_that_fails_in_the_second_step_counts_as_a_copy_that_failed() {
    for min_copies in [1, 2] {
        let (world, set) = World::filled(MIXED, Rng(68));
        let (_, keyring) = serve(&world, MIXED, min_copies);
        let file = world.volume.bytes(PATH).unwrap();
        world.one.plan(&[(3, Fault::Refused(Cause::Full))]);
        let done = store("new").run(&keyring);
        assert!(is_head(&world.one.requests()[2]), "{:?}", world.one.requests());
        world.one.plan(&[]);
        match min_copies {
            1 => {
                done.unwrap();
                assert_eq!(world.found(FILE).unwrap(), store("new").after(&set, &set));
                assert_eq!(keyring.known_status().state, KeyringState::Degraded);
            }
            _ => {
                let e = done.unwrap_err();
                assert!(matches!(e, Error::Failure(Failure::TooFewCopies { .. })), "{e:?}");
                assert_eq!(world.volume.bytes(PATH).unwrap(), file, "the record was left on the file");
                store("new").run(&keyring).unwrap();
            }
        }
        assert_eq!(tended(&keyring).state, KeyringState::Attached);
        all_hold(&[&world], MIXED, &store("new").after(&set, &set));
    }
}

/// A keyring that was just opened is appended to at the remote: what a remote returns is durable.
#[test]
fn the_first_store_after_a_start_does_not_rewrite_a_copy_at_a_remote() {
    let (world, set) = World::filled(&[ONE], Rng(69));
    let keyring = world.program().serve(&[ONE], 1).unwrap();
    keyring.bring_up_to_date().unwrap();
    world.one.plan(&[]);
    store("new").run(&keyring).unwrap();
    let asked: Vec<_> = world.one.requests().into_iter().map(|r| (r.what, r.name == HEAD_ONE)).collect();
    assert_eq!(asked, [(What::Get, true), (What::Put, false), (What::Put, true)]);
    assert_eq!(world.found(&[ONE]).unwrap(), store("new").after(&set, &set));
}
