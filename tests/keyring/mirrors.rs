// SPDX-License-Identifier: GPL-2.0-or-later
//! A keyring in two copies, under power cuts and failing operations (invariants 1 and 2): opened from
//! both, or from one when the other is lost, it holds the keys from before a change or after it, and
//! those from after it on as many copies as were asked for when the change was acknowledged.

use crate::common::sim::{Effect, Sim};
use crate::common::{Op, PATH, Rng, Set, contents, data, filled, take_into_use, tended, unlock};
use keyring_external::error::{Error, Failure, Refusal};
use keyring_external::format::layout::FIXED_LEN;
use keyring_external::keyring::{Keyring, load_all};
use keyring_external::store::places::Places;
use std::path::PathBuf;

const MIRROR: &str = "/volume/mirror";
const EIO: i32 = 5;

fn open(sim: &Sim, paths: &[&str], min_copies: usize) -> Result<Keyring, Error> {
    let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
    load_all(&Places::from(&sim.fs()), &paths, min_copies, "test", || unlock().read(), |_, _| {})
        .map(|(k, _)| k)
}

fn both(sim: &Sim, min_copies: usize) -> Keyring {
    open(sim, &[PATH, MIRROR], min_copies).unwrap()
}

/// Two copies that are alike; or the mirror lags behind by an append and a removal.
fn starts() -> Vec<(&'static str, Sim, Set)> {
    let (sim, set) = filled();
    let old = sim.bytes(PATH).unwrap();
    let alike = sim.fork();
    alike.put(MIRROR, old.clone());
    let (keyring, _) = crate::common::open(&sim.fs()).unwrap();
    let ops = [
        Op::Store { id: "since", user: "", key_type: "AES", data: data(1, 32) },
        Op::Remove { id: "short", user: "bert" },
    ];
    ops.iter().for_each(|op| op.run(&keyring).unwrap());
    let lagging_set = contents(&keyring);
    let lagging = sim.fork();
    lagging.put(MIRROR, old);
    vec![("alike", alike, set), ("one lags behind", lagging, lagging_set)]
}

fn operations() -> [Op; 4] {
    [
        Op::Store { id: "new", user: "anna", key_type: "AES", data: data(77, 32) },
        Op::Remove { id: "short", user: "anna" },
        Op::StoreAll { keys: vec![("many1", data(80, 32)), ("many2", data(81, 300))] },
        Op::Rekey,
    ]
}

/// How each change is made: on how many copies it must be, and whether the writer was in use before: then it
/// appends where it can.
fn ways(start: &str) -> impl Iterator<Item = (Op, usize, bool)> {
    // Whatever lags behind is healed before.
    let in_use = start == "alike";
    let ways = operations().into_iter().flat_map(|op| [1, 2].map(|min| (op.clone(), min, false)));
    let later = operations().into_iter().filter(move |op| in_use && op.appends());
    ways.chain(later.flat_map(|op| [1, 2].map(|min| (op.clone(), min, true))))
}

/// After whatever happened, the next change makes the copies alike.
fn goes_on(sim: &Sim, what: &str) {
    let next = Op::Store { id: "next", user: "", key_type: "AES", data: data(78, 32) };
    let keyring = both(sim, 2);
    let before = contents(&keyring);
    next.run(&keyring).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(sim.bytes(PATH), sim.bytes(MIRROR), "{what}");
    assert_eq!(contents(&both(sim, 2)), next.after(&before, &before), "{what}");
}

/// What is found when both copies can be reached, and when only one of them can.
fn found(sim: &Sim, what: &str) -> [Set; 3] {
    [&[PATH, MIRROR][..], &[PATH], &[MIRROR]]
        .map(|paths| contents(&open(sim, paths, 1).unwrap_or_else(|e| panic!("{what}, {paths:?}: {e}"))))
}

#[test]
fn every_crash_leaves_the_copies_before_or_after_the_change() {
    let mut rng = Rng::of_test("every_crash_leaves_the_copies_before_or_after_the_change");
    let mut states = 0;
    for (start, sim, set) in starts() {
        // A copy that lags behind may be found as it was.
        let old = contents(&open(&sim, &[MIRROR], 1).unwrap());
        for (op, min_copies, in_use) in ways(start) {
            for at in 1.. {
                let sim = sim.fork();
                let keyring = both(&sim, min_copies);
                if in_use {
                    take_into_use(&keyring);
                }
                sim.crash_at(at);
                let acknowledged = op.run(&keyring).is_ok();
                // One copy was enough, and the power failed under the other.
                let crashed = sim.counts().operations.len() >= at;
                let after = op.after(&set, &set);
                for left in sim.after_crash(&mut rng, 8, false) {
                    states += 1;
                    let what = format!(
                        "{start}, {op:?}, {min_copies} copies, in use: {in_use}, crash at operation {at}"
                    );
                    let [both, first, mirror] = found(&left, &what);
                    if acknowledged {
                        assert_eq!(both, after, "{what}");
                    }
                    if !crashed {
                        assert_eq!([&first, &mirror], [&after; 2], "{what}");
                    } else {
                        assert!([&set, &after].contains(&&both), "{what}: {both:?}");
                        assert!([&set, &after].contains(&&first), "{what}: {first:?}");
                        assert!([&set, &after, &old].contains(&&mirror), "{what}: {mirror:?}");
                    }
                    if states % 5 == 0 {
                        goes_on(&left, &what);
                    }
                }
                assert!(crashed || acknowledged);
                if !crashed {
                    break;
                }
            }
        }
    }
    println!("{states} states");
    assert!(states > 1000, "{states}");
}

#[test]
fn a_failing_copy_fails_the_change_only_when_it_is_needed() {
    let mut rng = Rng::of_test("a_failing_copy_fails_the_change_only_when_it_is_needed");
    let (mut failed, mut succeeded) = (0, 0);
    for (start, sim, set) in starts() {
        for (op, min_copies, in_use) in ways(start) {
            for effect in [Effect::None, Effect::Whole] {
                for at in 1.. {
                    let sim = sim.fork();
                    let keyring = both(&sim, min_copies);
                    if in_use {
                        take_into_use(&keyring);
                    }
                    sim.fail_at(at, effect, EIO);
                    let done = op.run(&keyring);
                    if sim.counts().operations.len() < at {
                        done.unwrap();
                        break;
                    }
                    let what = format!(
                        "{start}, {op:?}, {min_copies} copies, in use: {in_use}, {effect:?} of operation {at}"
                    );
                    let after = op.after(&set, &set);
                    let in_memory = contents(&keyring);
                    match done {
                        Ok(()) => {
                            succeeded += 1;
                            assert_eq!(in_memory, after, "{what}");
                        }
                        Err(_) => {
                            failed += 1;
                            assert_eq!(in_memory, set, "{what}");
                        }
                    }
                    for left in [sim.fork()].into_iter().chain(sim.after_crash(&mut rng, 2, false)) {
                        let [both, ..] = found(&left, &what);
                        let possible: &[&Set] = if done.is_ok() { &[&after] } else { &[&set, &after] };
                        assert!(possible.contains(&&both), "{what}: {both:?}");
                    }
                    sim.reset();
                    goes_on(&sim, &what);
                }
            }
        }
    }
    println!("{failed} failed, {succeeded} succeeded");
    assert!(failed > 100 && succeeded > 100, "{failed} {succeeded}");
}

/// Each copy in turn is away during changes, and comes back as it went.
#[test]
fn a_copy_that_was_away_is_brought_up_to_date() {
    let store = |id| Op::Store { id, user: "", key_type: "AES", data: data(3, 32) };
    let [_, remove, ..] = operations();
    for (away, min_copies) in [(PATH, 1), (MIRROR, 1), (PATH, 2), (MIRROR, 2)] {
        let (_, sim, _) = starts().remove(0);
        let keyring = both(&sim, min_copies);
        store("one").run(&keyring).unwrap();
        let gone = sim.bytes(away).unwrap();
        sim.remove(away);
        let before = contents(&keyring);
        for op in [store("two"), remove.clone(), store("three")] {
            let done = op.run(&keyring);
            if min_copies == 2 {
                assert!(
                    matches!(
                        done,
                        Err(Error::Failure(Failure::TooFewCopies { reachable: 1, needed: 2, .. }))
                    ),
                    "{done:?}"
                );
                assert_eq!(contents(&keyring), before);
            } else {
                done.unwrap();
            }
        }
        assert_eq!(tended(&keyring).copies, (1, 2));
        sim.put(away, gone);
        store("four").run(&keyring).unwrap();
        assert_eq!(tended(&keyring).copies, (2, 2));
        assert_eq!(sim.bytes(PATH), sim.bytes(MIRROR), "{away} was away");
        assert_eq!(contents(&both(&sim, 2)), contents(&keyring));
    }
}

/// A damaged copy is healed from a whole one that is as new; when it is newer than every whole one, keys
/// may be missing there, and that is not passed over.
#[test]
fn a_damaged_copy_is_healed_from_one_that_is_as_new_only() {
    let flips = |at: usize| {
        move |mut bytes: Vec<u8>| {
            bytes[at] ^= 1;
            bytes
        }
    };
    let (_, alike, set) = starts().remove(0);
    for damaged in [PATH, MIRROR] {
        for at in [16384 + 30, 17000] {
            let sim = alike.fork();
            sim.overwrite(damaged, flips(at)(sim.bytes(damaged).unwrap()));
            let keyring = both(&sim, 1);
            assert_eq!(contents(&keyring), set);
            goes_on(&sim, damaged);
        }
    }
    let (_, lagging, set) = starts().remove(1);
    for at in [16384 + 30, 16900] {
        for (newest, older) in [(PATH, MIRROR), (MIRROR, PATH)] {
            let sim = Sim::default();
            sim.put(newest, flips(at)(lagging.bytes(PATH).unwrap()));
            sim.put(older, lagging.bytes(MIRROR).unwrap());
            let e = open(&sim, &[PATH, MIRROR], 1).unwrap_err();
            assert!(matches!(e, Error::Refusal(Refusal::DamagedNewest { found: 7, best: 5, .. })), "{e:?}");
            assert_eq!(sim.counts().changes(), 0);
            // The other way about it does no harm.
            sim.put(newest, lagging.bytes(PATH).unwrap());
            sim.put(older, flips(at)(lagging.bytes(MIRROR).unwrap()));
            let keyring = both(&sim, 1);
            assert_eq!(contents(&keyring), set);
            operations()[0].run(&keyring).unwrap();
            assert_eq!(contents(&both(&sim, 1)), operations()[0].after(&set, &set));
        }
    }
}

/// A record that no commit slot names is taken at a start; the copy that lacks it is healed with all copies being
/// written anew, because nothing can be appended to a file whose slots are behind.
#[test]
fn an_unnamed_record_is_not_passed_on_to_a_copy_that_is_healed() {
    let (_, alike, set) = starts().remove(0);
    let longer = alike.fork();
    let (keyring, _) = crate::common::open(&longer.fs()).unwrap();
    take_into_use(&keyring);
    let short = longer.bytes(PATH).unwrap();
    let [op, ..] = operations();
    op.run(&keyring).unwrap();
    let long = longer.bytes(PATH).unwrap();
    drop(keyring);
    for (first, second) in [(PATH, MIRROR), (MIRROR, PATH)] {
        let sim = Sim::default();
        sim.put(first, [&short[..FIXED_LEN], &long[FIXED_LEN..]].concat());
        sim.put(second, short.clone());
        let keyring = both(&sim, 1);
        keyring.bring_up_to_date().unwrap();
        assert_eq!(contents(&keyring), op.after(&set, &set));
        for id in ["next", "and the next"] {
            Op::Store { id, user: "", key_type: "AES", data: data(78, 32) }.run(&keyring).unwrap();
            for path in [PATH, MIRROR] {
                let read = || unlock().read();
                let (copy, notes) =
                    load_all(&Places::from(&sim.fs()), &[PathBuf::from(path)], 1, "test", read, |_, _| {})
                        .unwrap();
                assert_eq!((contents(&copy), notes), (contents(&keyring), vec![]), "{path}, {id}");
            }
        }
    }
}
