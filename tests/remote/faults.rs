// SPDX-License-Identifier: GPL-2.0-or-later
//! Requests that fail, while the program goes on (invariants 1, 2 and 7): what it was told is true, memory holds what
//! was acknowledged, and the next change works.

use crate::common::{Op, Rng, Set, contents, data, take_into_use, tended};
use crate::engine::{Fault, KINDS, Kind, Odds, UNKNOWN, What};
use crate::rig::{HEAD_ONE, LAYOUTS, Layout, ONE, World, store};
use keyring_external::error::{Error, Failure};
use keyring_external::keyring::KeyringState;
use keyring_external::store::remote::objects::Cause;

const CAUSES: [Cause; 10] = [
    Cause::Unreachable,
    Cause::NoMajority,
    Cause::Certificate,
    Cause::Credentials,
    Cause::NotAllowed,
    Cause::Sealed,
    Cause::Full,
    Cause::Unwell,
    Cause::NotTheEngine,
    Cause::Settings,
];

fn operations() -> Vec<Op> {
    vec![store("new"), Op::Remove { id: "short", user: "anna" }, Op::Rekey]
}

/// Lets request `at` of a change fail. Returns whether there is one.
fn fails(start: &World, layout: Layout, op: &Op, in_use: bool, at: usize, fault: Fault) -> bool {
    let world = start.fork();
    let program = world.program();
    let keyring = program.serve(layout, layout.len() as u32).unwrap();
    if in_use {
        take_into_use(&keyring);
    }
    let before = contents(&keyring);
    world.one.plan(&[(at, fault)]);
    let done = op.run(&keyring);
    let what = format!("{layout:?}, {op:?}, in use: {in_use}, {fault:?} at request {at}: {done:?}");
    let reached = world.one.requests().len() >= at;
    world.one.plan(&[]);
    let known = contents(&keyring);
    match &done {
        Ok(()) => assert_eq!(known, op.after(&before, &known), "{what}"),
        Err(_) => assert_eq!(known, before, "{what}"),
    }
    world.deliver();
    let found = world.found(layout).unwrap_or_else(|e| panic!("{what}: {e}"));
    match done.is_ok() {
        true => assert_eq!(found, known, "{what}"),
        false => assert!(found == before || found == op.after(&before, &found), "{what}: {found:?}"),
    }
    // The next change works at once, is on all copies, leaves nothing to repair, and nothing is lost or comes back.
    store("next").run(&keyring).unwrap_or_else(|e| panic!("{what}: then {e}"));
    let known = contents(&keyring);
    assert_eq!(tended(&keyring).state, KeyringState::Attached, "{what}");
    for path in layout {
        let (found, notes) = world.program().look(path).unwrap();
        assert_eq!(found, known, "{what}");
        assert!(notes.is_empty(), "{what}: {notes:?}");
    }
    reached
}

#[test]
fn a_request_that_fails_leaves_the_keys_before_or_after_the_change() {
    let mut points = 0;
    for (layout, kind) in LAYOUTS.into_iter().flat_map(|layout| KINDS.map(|kind| (layout, kind))) {
        let (start, _) = World::filled_on(kind, layout, Rng(21));
        for (op, in_use) in operations().into_iter().map(|op| (op, false)).chain([(store("new"), true)]) {
            for fault in [Fault::Refused(Cause::Full)].into_iter().chain(UNKNOWN) {
                points += (1..).take_while(|at| fails(&start, layout, &op, in_use, *at, fault)).count();
            }
        }
    }
    println!("{points} failures");
    assert!(points > 450, "{points} failures");
}

/// A lost answer of the commit is settled within the call: it is sent again, and if that fails too, it cannot happen
/// later.
#[test]
fn an_answer_that_is_lost_is_found_out() {
    let faults = UNKNOWN.map(|first| UNKNOWN.map(Some).map(|second| (first, second)));
    let faults = faults.into_iter().flatten().chain(UNKNOWN.map(|first| (first, None)));
    for (first, second) in faults {
        for kind in KINDS {
            let (world, set) = World::filled_on(kind, &[ONE], Rng(22));
            // Lock, then piece and head in one request or two.
            let head = if kind == Kind::Pairs { 2 } else { 3 };
            world.one.hold_delayed();
            let keyring = world.program().load(&[ONE], 1).unwrap();
            take_into_use(&keyring);
            // Then read again, head again.
            let again = second.map(|fault| (head + 2, fault));
            world.one.plan(&[(head, first)].into_iter().chain(again).collect::<Vec<_>>());
            let op = store("new");
            let answer = op.run(&keyring);
            let done = first == Fault::AnswerLost || second.is_none_or(|second| second == Fault::AnswerLost);
            assert_eq!(answer.is_ok(), done, "{kind:?}, {first:?}, {second:?}: {answer:?}");
            world.one.plan(&[]);
            let expected = if done { op.after(&set, &set) } else { set.clone() };
            assert_eq!(world.found(&[ONE]).unwrap(), expected, "{first:?}, {second:?}");
            world.deliver();
            assert_eq!(world.found(&[ONE]).unwrap(), expected, "{first:?}, {second:?}");
        }
    }
}

/// No time is left to find out: the engine went away just then. The answer says so, and the next change finds out.
#[test]
fn an_engine_that_goes_away_in_the_middle_leaves_it_open_whether_the_change_was_made() {
    let (start, set) = World::filled(&[ONE], Rng(23));
    for fault in UNKNOWN {
        let world = start.fork();
        let program = world.program();
        let keyring = program.serve(&[ONE], 1).unwrap();
        take_into_use(&keyring);
        world.one.plan(&[(3, fault)]);
        let (client, engine) = (program.one.clone(), world.one.clone());
        program.one.before(move |request| {
            // The answers of all requests after the one for the head are lost.
            let put = |r: &crate::engine::Request| r.what == What::Put && r.name == HEAD_ONE;
            client.cut_off(engine.requests().iter().any(put) && !put(request));
        });
        let e = store("new").run(&keyring).unwrap_err();
        assert!(matches!(e, Error::Failure(Failure::Remote { .. })), "{e:?}");
        assert!(e.to_string().contains("may have been made"), "{e}");
        program.one.before(|_| {});
        program.one.cut_off(false);
        world.one.plan(&[]);
        world.deliver();
        store("next").run(&keyring).unwrap();
        let found = world.found(&[ONE]).unwrap();
        assert_eq!(found, store("next").after(&set, &set));
        assert_eq!(found, contents(&keyring));
    }
}

/// An engine without room does not keep a change waiting until its time is over.
#[test]
fn an_engine_without_room_is_asked_a_few_times_only() {
    for kind in KINDS {
        let (world, set) = World::filled_on(kind, &[ONE], Rng(26));
        let keyring = world.program().load(&[ONE], 1).unwrap();
        take_into_use(&keyring);
        let head = if kind == Kind::Pairs { 2 } else { 3 };
        let every = (head..100).step_by(2).map(|at| (at, Fault::NoRoom)).collect::<Vec<_>>();
        world.one.plan(&every);
        let e = store("new").run(&keyring).unwrap_err();
        assert!(e.to_string().contains("has no room"), "{kind:?}: {e}");
        let asked = world.one.requests().len();
        assert!(asked < head + 8, "{kind:?}: {asked} requests");
        assert_eq!(contents(&keyring), set);
        world.one.plan(&[]);
        store("new").run(&keyring).unwrap();
        assert_eq!(world.found(&[ONE]).unwrap(), store("new").after(&set, &set), "{kind:?}");
    }
}

#[test]
fn an_engine_that_is_away_is_away_and_not_damaged_and_comes_back_without_a_restart() {
    for cause in CAUSES {
        let (world, set) = World::filled(&[ONE], Rng(24));
        let keyring = world.program().serve(&[ONE], 1).unwrap();
        take_into_use(&keyring);
        let every = (1..100).map(|at| (at, Fault::Refused(cause))).collect::<Vec<_>>();
        world.one.plan(&every);
        let e = store("new").run(&keyring).unwrap_err();
        assert!(matches!(e, Error::Failure(Failure::Remote { .. })), "{cause:?}: {e:?}");
        assert!(e.to_string().contains(ONE) && e.to_string().contains("refuses"), "{e}");
        assert_eq!(contents(&keyring), set);
        assert_eq!(tended(&keyring).state, KeyringState::Detached, "{cause:?}");
        assert!(world.found(&[ONE]).is_err());
        world.one.plan(&[]);
        assert_eq!(tended(&keyring).state, KeyringState::Attached, "{cause:?}");
        store("new").run(&keyring).unwrap();
        assert_eq!(world.found(&[ONE]).unwrap(), contents(&keyring));
    }
}

/// The bytes of a removed key are in no object when remove returns (invariant 8), whatever a list shows.
#[test]
fn a_removed_keys_bytes_are_in_no_object() {
    let mut rng = Rng::of_test("a_removed_keys_bytes_are_in_no_object");
    for stale in [false, true] {
        for in_use in [false, true] {
            let (world, _) = World::filled(&[ONE], rng.split());
            let keyring = world.program().load(&[ONE], 1).unwrap();
            if in_use {
                take_into_use(&keyring);
            }
            world.one.set_odds(Odds { stale, ..Odds::default() });
            for n in 0..40u64 {
                let op = Op::Store {
                    id: "secret",
                    user: "",
                    key_type: "AES",
                    data: data(n, 16 + n as usize * 50),
                };
                op.run(&keyring).unwrap();
                let with: Vec<_> = world.one.objects().into_iter().collect();
                Op::Remove { id: "secret", user: "" }.run(&keyring).unwrap();
                let kept = world.one.objects();
                // Records are sealed, so they are told by where they were: no piece from before remains.
                for (name, bytes) in with.iter().filter(|(name, _)| name.contains("/pieces/")) {
                    assert!(kept.get(name) != Some(bytes), "{name} is still there: stale lists: {stale}");
                }
            }
        }
    }
}

/// If what a change replaced cannot be deleted, the change is not acknowledged, and the next one deletes it.
#[test]
fn a_remove_whose_pieces_cannot_be_deleted_is_not_acknowledged() {
    let (world, set) = World::filled(&[ONE], Rng(25));
    let keyring = world.program().serve(&[ONE], 1).unwrap();
    let before = world.one.names();
    world.one.plan(&[]);
    let remove = Op::Remove { id: "long", user: "anna" };
    // Lock, list, piece, head; then the list and the delete of the cleaning, which is tried three times.
    let faults: Vec<_> = (5..=8).map(|at| (at, Fault::Refused(Cause::Unwell))).collect();
    world.one.plan(&faults);
    let e = remove.run(&keyring).unwrap_err();
    assert!(e.to_string().contains("could not be deleted"), "{e}");
    assert_eq!(contents(&keyring), set);
    world.one.plan(&[]);
    remove.run(&keyring).unwrap();
    let kept = world.one.names();
    assert!(before.iter().all(|name| name == HEAD_ONE || !kept.contains(name)), "{kept:?}");
    assert_eq!(world.found(&[ONE]).unwrap(), remove.after(&set, &set));
}

/// Many changes with faults by chance, and a new program now and then.
#[test]
fn a_long_life_with_many_faults_loses_nothing_acknowledged() {
    let ids = ["a", "b", "c", "d", "e", "f"];
    let mut rng = Rng::of_test("a_long_life_with_many_faults_loses_nothing_acknowledged");
    let odds = Odds { refused: 20, answer_lost: 30, request_lost: 30, late: 30, stale: true };
    let (mut made, mut failed) = (0, 0);
    for (layout, kind) in LAYOUTS.into_iter().flat_map(|layout| KINDS.map(|kind| (layout, kind))) {
        let world = World::with_keyring_on(kind, layout, rng.split());
        let mut set = Set::new();
        for _ in 0..12 {
            world.one.set_odds(Odds::default());
            world.two.set_odds(Odds::default());
            let program = world.program();
            let keyring = program.serve(layout, layout.len() as u32).unwrap();
            let found = contents(&keyring);
            assert_eq!(found, set, "{layout:?}");
            world.one.set_odds(odds);
            world.two.set_odds(odds);
            for _ in 0..25 {
                let id = ids[rng.below(ids.len())];
                let there = contents(&keyring).contains_key(&(Vec::new(), id.into()));
                let op = match there {
                    true => Op::Remove { id, user: "" },
                    false => {
                        let len = [1, 16, 32, 300, 16000][rng.below(5)];
                        Op::Store { id, user: "", key_type: "AES", data: data(rng.next(), len) }
                    }
                };
                let before = contents(&keyring);
                match op.run(&keyring) {
                    Ok(()) => made += 1,
                    Err(_) => failed += 1,
                }
                let now = contents(&keyring);
                // After a failure, what was attempted may also be adopted as another program's change.
                assert!(now == before || now == op.after(&before, &now), "{layout:?}, {op:?}");
            }
            world.one.set_odds(Odds::default());
            world.two.set_odds(Odds::default());
            // What failed last may still happen: the next change settles it.
            store("settled").run(&keyring).unwrap();
            for path in layout {
                let (_, notes) = world.program().look(path).unwrap();
                assert!(notes.is_empty(), "{layout:?}: {notes:?}");
            }
            Op::Remove { id: "settled", user: "" }.run(&keyring).unwrap();
            set = contents(&keyring);
            world.deliver();
            for path in layout {
                assert_eq!(world.found(Box::leak(Box::new([*path]))).unwrap(), set, "{layout:?}");
            }
        }
    }
    println!("{made} changes made, {failed} failed");
    assert!(made > 900 && failed > 60, "{made}, {failed}");
}
