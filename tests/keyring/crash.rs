// SPDX-License-Identifier: GPL-2.0-or-later
//! Power cuts at every file operation of every change (invariants 1 and 2): whatever subset of the
//! unsynced writes and renames reached the disk, the keyring holds exactly the keys from before the
//! change or from after it, and those from after it when the change was acknowledged.

use crate::common::sim::Sim;
use crate::common::{Op, PATH, Rng, Set, TEMPORARY, contents, create, data, filled, open, take_into_use};
use keyring_external::error::{BadRequest, Error, Refusal};
use keyring_external::store::witness::WitnessPlace;
use std::collections::BTreeSet;
use std::path::Path;

/// A keyring to begin with.
struct Start {
    name: &'static str,
    sim: Sim,
    set: Set,
}

fn starts() -> Vec<Start> {
    let empty = Sim::default();
    create(&empty.fs()).unwrap();

    let (appended, set) = filled();

    let rewritten = appended.fork();
    let (keyring, _) = open(&rewritten.fs()).unwrap();
    let gone = Op::Remove { id: "short", user: "bert" };
    gone.run(&keyring).unwrap();
    let rewritten_set = contents(&keyring);
    assert_eq!(rewritten_set, gone.after(&set, &rewritten_set));

    let damaged = appended.fork();
    let mut bytes = damaged.bytes(PATH).unwrap();
    bytes[100] ^= 1;
    damaged.overwrite(PATH, bytes);

    let leftover = appended.fork();
    leftover.put(TEMPORARY, vec![7; 20000]);

    vec![
        Start { name: "empty", sim: empty, set: Set::new() },
        Start { name: "appended", sim: appended, set: set.clone() },
        Start { name: "rewritten", sim: rewritten, set: rewritten_set },
        Start { name: "one header copy damaged", sim: damaged, set: set.clone() },
        Start { name: "with a leftover temporary", sim: leftover, set },
    ]
}

fn operations() -> Vec<Op> {
    vec![
        Op::Store { id: "new", user: "anna", key_type: "AES", data: data(77, 32) },
        Op::Store { id: "big", user: "", key_type: "SECRET", data: data(78, 16384) },
        Op::Generate { id: "made", user: "", key_type: "AES", len: 24 },
        Op::Remove { id: "short", user: "anna" },
        Op::StoreAll { keys: vec![("many1", data(80, 32)), ("many2", data(81, 300))] },
        Op::AddSlot,
        Op::Rekey,
    ]
}

/// Opens what a crash left, and says what is in it.
fn reopened(sim: &Sim) -> Result<Set, Error> {
    let (keyring, _) = open(&sim.fs())?;
    assert_eq!(sim.counts().changes(), 0, "opening changed the disk");
    Ok(contents(&keyring))
}

/// A change after the crash is made, acknowledged, and there; the file is clean again.
fn goes_on(sim: &Sim, set: &Set) {
    let op = Op::Store { id: "after the crash", user: "", key_type: "AES", data: data(99, 32) };
    let (keyring, _) = open(&sim.fs()).unwrap();
    op.run(&keyring).unwrap();
    let (again, notes) = open(&sim.fs()).unwrap();
    assert_eq!(notes, [], "a write left the file in need of repair");
    assert_eq!(contents(&again), op.after(set, set));
}

/// A power cut at every operation of every change of every keyring, and every state of the disk.
fn crash_everywhere(
    rng: &mut Rng,
    most: usize,
    rename_in_two: bool,
    mut check: impl FnMut(&Sim, &str) -> Set,
) -> (usize, usize) {
    let (mut points, mut states) = (0, 0);
    for start in starts() {
        // A writer that was just opened writes the file whole, later it appends.
        let later = operations().into_iter().filter(Op::appends).map(|op| (op, true));
        for (op, in_use) in operations().into_iter().map(|op| (op, false)).chain(later) {
            if start.set.is_empty() && matches!(op, Op::Remove { .. }) {
                continue;
            }
            for at in 1.. {
                let sim = start.sim.fork();
                let (keyring, _) = open(&sim.fs()).unwrap();
                if in_use {
                    take_into_use(&keyring);
                }
                sim.crash_at(at);
                let done = op.run(&keyring);
                let crashed = sim.counts().operations.len() >= at;
                assert_eq!(done.is_err(), crashed, "{done:?}");
                let in_memory = contents(&keyring);
                assert_eq!(in_memory == start.set, crashed || !op.changes_keys(), "memory and answer differ");
                points += 1;
                let what = format!("{}, {op:?}, in use: {in_use}, crash at operation {at}", start.name);
                let mut outcomes = BTreeSet::new();
                for left in sim.after_crash(rng, most, rename_in_two) {
                    states += 1;
                    let found = check(&left, &what);
                    if crashed {
                        assert!(
                            found == start.set || found == op.after(&start.set, &found),
                            "{what}: {found:?}"
                        );
                    } else {
                        assert_eq!(found, in_memory, "{what}");
                    }
                    outcomes.insert(found);
                }
                assert!(outcomes.len() <= 2, "{what}: three outcomes");
                if !crashed {
                    break;
                }
            }
        }
    }
    println!("{points} crash points, {states} states");
    (points, states)
}

#[test]
fn every_crash_in_a_change_leaves_the_keys_before_or_after_it() {
    let mut n = 0;
    let mut rng = Rng::of_test("every_crash_in_a_change_leaves_the_keys_before_or_after_it");
    let (points, states) = crash_everywhere(&mut rng, 100, false, |left, what| {
        let found = reopened(left).unwrap_or_else(|e| panic!("{what}: {e}"));
        n += 1;
        if n % 7 == 0 {
            goes_on(left, &found);
        }
        found
    });
    assert!(points > 200 && states > 8000, "{points} crash points, {states} states");
}

/// A rename that first removes the target, as on exFAT through FUSE: after a crash between the two the
/// keyring is under the temporary's name, and whole there. It is not taken for a missing one that may
/// be made anew.
#[test]
fn a_crash_within_a_rename_in_two_steps_leaves_the_keyring_under_the_temporary_name() {
    let mut found_there = 0;
    let mut rng =
        Rng::of_test("a_crash_within_a_rename_in_two_steps_leaves_the_keyring_under_the_temporary_name");
    crash_everywhere(&mut rng, 8, true, |left, what| {
        if left.bytes(PATH).is_none() {
            assert!(matches!(reopened(left), Err(Error::Refusal(Refusal::Missing { .. }))), "{what}");
            assert!(
                matches!(create(&left.fs()), Err(Error::BadRequest(BadRequest::AlreadyThere { .. }))),
                "{what}"
            );
            left.rename_by_hand(TEMPORARY, PATH);
            left.reset();
            found_there += 1;
        }
        reopened(left).unwrap_or_else(|e| panic!("{what}: {e}"))
    });
    assert!(found_there > 5, "{found_there}");
}

#[test]
fn every_crash_in_create_leaves_no_keyring_or_an_empty_one() {
    let mut rng = Rng::of_test("every_crash_in_create_leaves_no_keyring_or_an_empty_one");
    let mut states = 0;
    for at in 1.. {
        let sim = Sim::default();
        sim.crash_at(at);
        let done = create(&sim.fs());
        let crashed = done.is_err();
        for left in sim.after_crash(&mut rng, 200, false) {
            states += 1;
            match reopened(&left) {
                Ok(set) => assert!(set.is_empty()),
                Err(Error::Refusal(Refusal::Missing { .. })) if crashed => assert_eq!(left.bytes(PATH), None),
                Err(e) => panic!("crash at operation {at}: {e}"),
            }
        }
        if !crashed {
            break;
        }
    }
    println!("{states} states");
    assert!(states > 100);
}

/// Many changes, a power cut at a random operation of a random one, and on with what is left.
#[test]
fn a_long_life_with_many_crashes_loses_nothing_acknowledged() {
    let ids = ["a", "b", "c", "d", "e", "f"];
    let mut crashes = 0;
    let mut rng = Rng::of_test("a_long_life_with_many_crashes_loses_nothing_acknowledged");
    for life in 0..12 {
        let mut sim = Sim::default();
        create(&sim.fs()).unwrap();
        let mut set = Set::new();
        for _ in 0..25 {
            sim.reset();
            let (keyring, _) = open(&sim.fs()).unwrap();
            assert_eq!(contents(&keyring), set, "life {life}");
            sim.crash_at(1 + rng.below(60));
            let op = loop {
                let id = ids[rng.below(ids.len())];
                let there = set.contains_key(&(Vec::new(), id.into()));
                let op = if there {
                    Op::Remove { id, user: "" }
                } else {
                    let len = [1, 16, 32, 300, 1000][rng.below(5)];
                    Op::Store { id, user: "", key_type: "AES", data: data(rng.next(), len) }
                };
                match op.run(&keyring) {
                    Ok(()) => set = op.after(&set, &set),
                    Err(_) => break op,
                }
            };
            crashes += 1;
            let states = sim.after_crash(&mut rng, 8, false);
            sim = states[rng.below(states.len())].fork();
            let found = reopened(&sim).unwrap_or_else(|e| panic!("life {life}, {op:?}: {e}"));
            assert!(found == set || found == op.after(&set, &found), "life {life}, {op:?}: {found:?}");
            set = found;
        }
    }
    assert_eq!(crashes, 300);
}

/// The witness follows a keyring without its directory being synced: after a power cut it is whole, an earlier one or the
/// later.
#[test]
fn a_witness_is_whole_after_a_power_cut() {
    let mut rng = Rng(8);
    let (earlier, later) = ([1; 128], [2; 128]);
    let place = |sim: &Sim| WitnessPlace::new(sim.fs(), Path::new("/volume"));
    for at in 1.. {
        let sim = Sim::default();
        place(&sim).write(&earlier, true).unwrap();
        sim.crash_at(at);
        let done = place(&sim).write(&later, false).is_ok();
        for left in sim.after_crash(&mut rng, 50, false) {
            let found = place(&left).read(128).unwrap().unwrap();
            assert!(found == earlier || found == later, "power cut at {at}: {found:?}");
        }
        if done {
            break;
        }
    }
}
