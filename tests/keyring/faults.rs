// SPDX-License-Identifier: GPL-2.0-or-later
//! Failing file operations without and with a power cut after them (invariant 2), and what a change
//! costs (invariants 1 and 9).

use crate::common::sim::{Counts, Effect, OTHERS, Sim};
use crate::common::{
    Op, PATH, Rng, Set, TEMPORARY, contents, create, data, filled, key_type, name, open, take_into_use,
};
use keyring_external::error::{BadRequest, Error, Failure, Refusal};
use keyring_external::keyring::Keyring;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EFFECTS: [Effect; 3] = [Effect::None, Effect::Half, Effect::Whole];

/// The changes that are made to fail.
fn operations() -> [Op; 6] {
    [
        Op::Store { id: "new", user: "anna", key_type: "AES", data: data(77, 200) },
        Op::Generate { id: "made", user: "", key_type: "AES", len: 24 },
        Op::Remove { id: "short", user: "anna" },
        Op::StoreAll { keys: vec![("many1", data(80, 32)), ("many2", data(81, 300))] },
        Op::AddSlot,
        Op::Rekey,
    ]
}

/// A change that works after others failed.
fn next() -> Op {
    Op::Store { id: "next", user: "", key_type: "AES", data: data(78, 32) }
}

fn reopened(sim: &Sim) -> Set {
    contents(&open(&sim.fs()).unwrap().0)
}

/// What is in the keyring after `op` failed: as before it, or as after it.
fn check_before_or_after(found: &Set, before: &Set, ops: &[&Op], what: &str) {
    let after = ops.iter().any(|op| *found == op.after(before, found));
    assert!(found == before || after, "{what}: {found:?}");
}

/// Every failing change, `at` which operation, with its keyring and filesystem.
fn fail_everywhere(mut check: impl FnMut(&Sim, &Keyring, &Set, &Op, &str)) -> usize {
    let (start, set) = filled();
    let mut faults = 0;
    // A writer that was just opened writes the file whole, later it appends.
    let later = operations().into_iter().filter(Op::appends).map(|op| (op, true));
    for (op, in_use) in operations().into_iter().map(|op| (op, false)).chain(later) {
        for effect in EFFECTS {
            for at in 1.. {
                let sim = start.fork();
                let (keyring, _) = open(&sim.fs()).unwrap();
                if in_use {
                    take_into_use(&keyring);
                }
                sim.fail_at(at, effect, if at % 2 == 0 { EIO } else { ENOSPC });
                let done = op.run(&keyring);
                if sim.counts().operations.len() < at {
                    done.unwrap();
                    break;
                }
                let what = format!("{op:?}, in use: {in_use}, {effect:?} of operation {at} fails");
                assert!(matches!(done, Err(Error::Failure(Failure::Io { .. }))), "{what}: {done:?}");
                faults += 1;
                check(&sim, &keyring, &set, &op, &what);
            }
        }
    }
    faults
}

#[test]
fn a_failed_change_leaves_memory_as_it_was_and_the_next_one_works() {
    let faults = fail_everywhere(|sim, keyring, set, op, what| {
        assert_eq!(contents(keyring), *set, "{what}: memory changed");
        check_before_or_after(&reopened(&sim.fork()), set, &[op], what);
        sim.reset();
        next().run(keyring).unwrap_or_else(|e| panic!("{what}: {e}"));
        let expected = next().after(set, set);
        assert_eq!(contents(keyring), expected, "{what}");
        let (again, notes) = open(&sim.fs()).unwrap();
        assert_eq!((contents(&again), notes), (expected, vec![]), "{what}");
        // Nothing with a key in it is left lying about.
        assert!(sim.bytes(TEMPORARY).is_none_or(|b| b.is_empty()), "{what}");
    });
    println!("{faults} faults");
    assert!(faults > 80, "{faults}");
}

/// The failed change itself is tried again.
#[test]
fn a_failed_change_works_when_it_is_tried_again() {
    fail_everywhere(|sim, keyring, set, op, what| {
        sim.reset();
        op.run(keyring).unwrap_or_else(|e| panic!("{what}: {e}"));
        let in_memory = contents(keyring);
        assert_eq!(in_memory, op.after(set, &in_memory), "{what}");
        assert_eq!(reopened(sim), in_memory, "{what}");
    });
}

#[test]
fn a_crash_after_a_failed_change_leaves_the_keys_before_or_after_it() {
    let mut rng = Rng::of_test("a_crash_after_a_failed_change_leaves_the_keys_before_or_after_it");
    let mut states = 0;
    fail_everywhere(|sim, keyring, set, op, what| {
        for left in sim.after_crash(&mut rng, 100, false) {
            states += 1;
            check_before_or_after(&reopened(&left), set, &[op], what);
        }
        // And when the next change was acknowledged, it is there alone.
        sim.reset();
        next().run(keyring).unwrap();
        for left in sim.after_crash(&mut rng, 10, false) {
            states += 1;
            assert_eq!(reopened(&left), next().after(set, set), "{what}");
        }
    });
    println!("{states} states");
    assert!(states > 3000, "{states}");
}

/// Two changes in a row fail, in every combination of operations and effects; a crash may follow.
#[test]
fn two_failed_changes_in_a_row_lose_nothing() {
    let (start, set) = filled();
    let mut rng = Rng::of_test("two_failed_changes_in_a_row_lose_nothing");
    let [store, _, remove, ..] = operations();
    let mut pairs = 0;
    for (n, (first, second)) in [(&store, &remove), (&remove, &store)].into_iter().enumerate() {
        for (effect, second_effect) in
            EFFECTS.into_iter().flat_map(|a| [Effect::None, Effect::Whole].map(|b| (a, b)))
        {
            for at in 1..40 {
                for second_at in 1..40 {
                    let sim = start.fork();
                    let (keyring, _) = open(&sim.fs()).unwrap();
                    take_into_use(&keyring);
                    sim.fail_at(at, effect, EIO);
                    if first.run(&keyring).is_ok() {
                        break;
                    }
                    sim.fail_at(second_at, second_effect, ENOSPC);
                    if second.run(&keyring).is_ok() {
                        break;
                    }
                    pairs += 1;
                    let what = format!("{n}: faults at {at}, {effect:?}, and {second_at}, {second_effect:?}");
                    assert_eq!(contents(&keyring), set, "{what}: memory changed");
                    sim.reset();
                    if pairs % 5 == 0 {
                        for left in sim.after_crash(&mut rng, 2, false) {
                            check_before_or_after(&reopened(&left), &set, &[first, second], &what);
                        }
                    }
                    next().run(&keyring).unwrap_or_else(|e| panic!("{what}: {e}"));
                    assert_eq!(reopened(&sim), next().after(&set, &set), "{what}");
                }
            }
        }
    }
    println!("{pairs} pairs");
    assert!(pairs > 1000, "{pairs}");
}

#[test]
fn create_fails_cleanly() {
    for effect in EFFECTS {
        for at in 1.. {
            let sim = Sim::default();
            sim.fail_at(at, effect, ENOSPC);
            let done = create(&sim.fs());
            if sim.counts().operations.len() < at {
                done.unwrap();
                break;
            }
            assert!(matches!(done, Err(Error::Failure(Failure::Io { .. }))), "{done:?}");
            sim.reset();
            match open(&sim.fs()) {
                Ok((keyring, _)) => assert!(keyring.is_empty()),
                Err(Error::Refusal(Refusal::Missing { .. })) => {
                    assert_eq!(sim.bytes(PATH), None);
                    // Only a file that was made although the answer was a failure may be left.
                    if sim.bytes(TEMPORARY).is_none() {
                        create(&sim.fs()).unwrap();
                    } else {
                        assert_eq!(effect, Effect::Whole);
                    }
                }
                Err(e) => panic!("{effect:?} of operation {at} fails: {e}"),
            }
        }
    }
}

/// Another program makes a file there before any operation of making a keyring: one of the two is made, and nothing is
/// replaced.
#[test]
fn create_replaces_no_file_that_comes_in_between() {
    let mut refused = 0;
    for at in 1.. {
        let sim = Sim::default();
        sim.made_at(at, PATH);
        let done = create(&sim.fs());
        if sim.counts().operations.len() < at {
            break;
        }
        if sim.ever_held(OTHERS) {
            refused += 1;
            let e = done.expect_err("a file was replaced");
            assert!(matches!(e, Error::BadRequest(BadRequest::AlreadyThere { .. })), "{e}");
            assert_eq!(sim.bytes(PATH).unwrap(), OTHERS, "replaced before operation {at}");
            assert_eq!(sim.bytes(TEMPORARY), None);
        } else {
            assert!(open(&sim.fs()).unwrap().0.is_empty(), "operation {at}");
        }
    }
    assert!(refused > 3, "{refused}");
}

/// When a rename failed in the middle, reads go on, changes are refused, and nothing is lost: the
/// keyring is whole under the temporary's name.
#[test]
fn a_rename_that_lost_the_old_file_is_not_made_worse() {
    let (sim, set) = filled();
    let (keyring, _) = open(&sim.fs()).unwrap();
    let [store, _, remove, ..] = operations();
    let at = {
        let trial = sim.fork();
        let (keyring, _) = open(&trial.fs()).unwrap();
        trial.reset();
        remove.run(&keyring).unwrap();
        1 + trial.counts().operations.iter().position(|o| *o == "rename").unwrap()
    };
    sim.fail_at(at, Effect::TargetGone, EIO);
    remove.run(&keyring).unwrap_err();
    assert_eq!((sim.bytes(PATH), contents(&keyring)), (None, set.clone()));
    sim.reset();
    for _ in 0..2 {
        let e = store.run(&keyring).unwrap_err();
        assert!(matches!(e, Error::Refusal(Refusal::Missing { .. })), "{e}");
    }
    assert_eq!(sim.counts().changes(), 0);
    sim.rename_by_hand(TEMPORARY, PATH);
    assert_eq!(reopened(&sim), remove.after(&set, &set));
    store.run(&keyring).unwrap();
    assert_eq!(reopened(&sim), store.after(&set, &set));
}

fn counts_of(keys: usize, op: &Op) -> Counts {
    let sim = Sim::default();
    create(&sim.fs()).unwrap();
    let (keyring, _) = open(&sim.fs()).unwrap();
    for n in 0..keys {
        keyring.store(name(&format!("key {n:05}"), ""), &key_type("AES"), &data(n as u64, 32)).unwrap();
    }
    sim.reset();
    op.run(&keyring).unwrap();
    sim.counts()
}

#[test]
fn a_store_costs_the_same_whatever_the_number_of_keys() {
    let op = Op::Store { id: "another", user: "", key_type: "AES", data: data(1, 32) };
    let few = counts_of(1, &op);
    assert_eq!(few, counts_of(500, &op));
    assert_eq!((few.of("sync"), few.of("sync_dir"), few.of("write")), (2, 0, 2));
    assert_eq!(few.changes(), 2);
    // One record and one commit slot.
    assert!(few.written < 300, "{}", few.written);
    let order: Vec<_> = few.operations.iter().filter(|o| ["write", "sync"].contains(o)).copied().collect();
    assert_eq!(order, ["write", "sync", "write", "sync"]);
}

#[test]
fn a_remove_writes_a_new_file_and_syncs_it_before_its_name() {
    let op = Op::Remove { id: "key 00000", user: "" };
    let counts = counts_of(3, &op);
    let order: Vec<_> = counts
        .operations
        .iter()
        .filter(|o| !["meta", "read", "open", "lock"].contains(*o))
        .copied()
        .collect();
    assert_eq!(order, ["unlink", "create", "write", "sync", "sync_dir", "rename", "sync_dir"]);
    assert_eq!(counts.operations, counts_of(300, &op).operations);
}

/// Reads are answered from memory: the volume may be gone.
#[test]
fn a_fetch_touches_no_file() {
    let (sim, set) = filled();
    let (keyring, _) = open(&sim.fs()).unwrap();
    sim.reset();
    sim.remove(PATH);
    assert_eq!(contents(&keyring), set);
    assert!(keyring.fetch(&name("INNODBKey-1", ""), |r| r.data.len()) == Some(32));
    assert_eq!(sim.counts().operations.len(), 0);
}
