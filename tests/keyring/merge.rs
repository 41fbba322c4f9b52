// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies that have diverged are brought together: the keys of both are there afterwards, and whatever happens on
//! the way (a power cut, a failing operation, another program), no key of either is lost and the way is the same again.

use crate::common::sim::{Effect, Sim};
use crate::common::{
    Op, PATH, Rng, Set, contents, copies, data, filled, key_type, name, open, secret, unlock,
};
use keyring_external::error::{BadRequest, Error};
use keyring_external::format::records::KeyRecord;
use keyring_external::keyring::{
    Keyring, KeyringState, Log, MergeResult, Merging, Relation, Standing, Take, Trust, load, load_all,
};
use keyring_external::store::places::Places;
use std::path::{Path, PathBuf};

const MIRROR: &str = "/volume/mirror";
const THIRD: &str = "/volume/third";
const QUIET: Log = |_, _| {};

fn at(sim: &Sim, path: &str) -> Keyring {
    load(&Places::from(&sim.fs()), Path::new(path), &unlock()).unwrap().0
}

fn store(id: &'static str) -> Op {
    Op::Store { id, user: "", key_type: "AES", data: data(id.len() as u64, 32) }
}

fn change(sim: &Sim, path: &str, ops: &[Op]) -> Set {
    let keyring = at(sim, path);
    ops.iter().for_each(|op| op.run(&keyring).unwrap());
    contents(&keyring)
}

/// Two copies that went their own ways: the first one had its data key renewed, as in a renewal that left the other
/// one out. And the keys of both.
fn diverged(ours: &[Op], theirs: &[Op]) -> (Sim, Set) {
    let (sim, _) = filled();
    sim.put(MIRROR, sim.bytes(PATH).unwrap());
    sim.put(THIRD, sim.bytes(PATH).unwrap());
    let mut all = change(&sim, MIRROR, theirs);
    all.extend(change(&sim, PATH, ours));
    (sim, all)
}

fn with_renewal() -> (Sim, Set) {
    diverged(&[Op::Rekey, store("ours")], &[store("theirs"), store("and more of theirs")])
}

fn read(sim: &Sim, paths: &[&str]) -> Result<Option<Merging>, Error> {
    let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
    Merging::read(&Places::from(&sim.fs()), &paths, |path| {
        load(&Places::from(&sim.fs()), path, &unlock()).map(|(k, _)| k)
    })
}

fn merge(sim: &Sim, paths: &[&str]) -> Result<MergeResult, Error> {
    read(sim, paths)?.expect("they have diverged").write(QUIET, |_| None)
}

fn open_both(sim: &Sim, paths: &[&str]) -> Result<Keyring, Error> {
    let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
    load_all(&Places::from(&sim.fs()), &paths, 1, "test", || unlock().read(), QUIET).map(|(k, _)| k)
}

fn kept(path: &str, generation: u64) -> String {
    format!("{path}.before-merge-{generation}")
}

#[test]
fn the_keys_of_both_are_in_all_copies_and_both_files_are_kept() {
    let (sim, all) = with_renewal();
    let (ours, theirs) = (sim.bytes(PATH).unwrap(), sim.bytes(MIRROR).unwrap());
    let generations = [PATH, MIRROR].map(|path| at(&sim, path).status().generation);
    let merging = read(&sim, &[PATH, MIRROR]).unwrap().unwrap();
    let names = |only: &[keyring_external::keyring::UnsharedKey]| {
        only.iter().map(|o| (o.name.to_string(), o.was_removed)).collect::<Vec<_>>()
    };
    assert_eq!(names(&merging.merge().only_here), [("'ours'".to_owned(), false)]);
    assert_eq!(
        names(&merging.merge().only_there),
        [("'and more of theirs'".to_owned(), false), ("'theirs'".to_owned(), false)]
    );
    assert_eq!((merging.merge().alike, merging.merge().conflicts.len()), (4, 0));
    let merged = merging.write(QUIET, |_| None).unwrap();
    assert!(generations.iter().all(|g| merged.generation > *g));
    assert_eq!(merged.keys, all.len());
    for path in [PATH, MIRROR] {
        assert_eq!(contents(&at(&sim, path)), all);
    }
    assert_eq!(sim.bytes(PATH), sim.bytes(MIRROR));
    assert_eq!(sim.bytes(kept(PATH, generations[0])), Some(ours.clone()));
    assert_eq!(sim.bytes(kept(MIRROR, generations[1])), Some(theirs.clone()));
    let (keyring, before) = (at(&sim, PATH), sim.fork());
    before.put(PATH, ours.clone());
    assert_eq!(keyring.slots(), at(&before, PATH).slots(), "the slots of the first one stay");
    assert!(read(&sim, &[PATH, MIRROR]).unwrap().is_none());
    // A copy in either state, and one in a state before both, is an earlier state of what was written.
    for old in [ours, theirs, sim.bytes(THIRD).unwrap()] {
        let sim = sim.fork();
        sim.put(MIRROR, old);
        let both = open_both(&sim, &[MIRROR, PATH]).unwrap();
        assert_eq!(both.standings()[0].1, Standing::Behind);
        both.bring_up_to_date().unwrap();
        assert_eq!(contents(&at(&sim, MIRROR)), all);
    }
}

#[test]
fn a_copy_that_lags_behind_is_taken_along() {
    for third_is in [PATH, MIRROR, THIRD] {
        let (sim, all) = with_renewal();
        sim.put(THIRD, sim.bytes(third_is).unwrap());
        let merged = merge(&sim, &[PATH, MIRROR, THIRD]).unwrap();
        assert_eq!(merged.kept.len(), 2);
        for path in [PATH, MIRROR, THIRD] {
            assert_eq!(contents(&at(&sim, path)), all, "{path} of {third_is}");
        }
    }
}

#[test]
fn copies_that_have_not_diverged_are_not_merged() {
    let (sim, _) = diverged(&[], &[store("theirs"), Op::Remove { id: "short", user: "anna" }]);
    assert!(read(&sim, &[PATH, MIRROR]).unwrap().is_none());
    assert!(read(&sim, &[PATH, THIRD]).unwrap().is_none());
    let (sim, _) = with_renewal();
    // The first one names the slots: it is one of the two that diverged.
    let e = read(&sim, &[THIRD, PATH, MIRROR]).unwrap_err().to_string();
    assert!(e.contains("name /volume/keyring first"), "{e}");
    change(&sim, THIRD, &[store("third")]);
    let e = read(&sim, &[PATH, MIRROR, THIRD]).unwrap_err().to_string();
    assert!(e.contains("more than two copies have diverged"), "{e}");
    let other = Sim::default();
    crate::common::create(&other.fs()).unwrap();
    sim.put(THIRD, other.bytes(PATH).unwrap());
    let e = read(&sim, &[PATH, THIRD]).unwrap_err().to_string();
    assert!(e.contains("are two keyrings"), "{e}");
}

#[test]
fn a_name_of_two_keys_is_decided_and_a_removed_key_comes_back() {
    let put = |path: &str, sim: &Sim, t: &str, bytes: &[u8]| {
        let key_type = key_type(t);
        let record = KeyRecord {
            name: name("both", "anna"),
            key_type: &key_type,
            created: u64::MAX,
            retired: None,
            data: bytes,
        };
        at(sim, path).store_all(&[record]).unwrap();
    };
    let (sim, _) = filled();
    // Younger than all that both hold, however fast this test is.
    let late = key_type("AES");
    let record = KeyRecord {
        name: name("common", ""),
        key_type: &late,
        created: u64::MAX / 2,
        retired: None,
        data: &[1; 16],
    };
    at(&sim, PATH).store_all(&[record]).unwrap();
    sim.put(MIRROR, sim.bytes(PATH).unwrap());
    put(PATH, &sim, "AES", &[1; 32]);
    put(MIRROR, &sim, "SECRET", &[1; 32]);
    change(&sim, MIRROR, &[Op::Remove { id: "short", user: "bert" }]);
    let merging = read(&sim, &[PATH, MIRROR]).unwrap().unwrap();
    let [conflict] = &merging.merge().conflicts[..] else { panic!() };
    assert_eq!(conflict.name.to_string(), "'both' of user 'anna'");
    assert_eq!(conflict.here.len, 32);
    assert!(conflict.here.key_type != conflict.there.key_type);
    let [back] = &merging.merge().only_here[..] else { panic!() };
    assert_eq!((back.name.to_string().as_str(), back.was_removed), ("'short' of user 'bert'", true));
    let before = (sim.bytes(PATH), sim.bytes(MIRROR));
    assert!(merging.write(QUIET, |_| None).is_err());
    assert_eq!((sim.bytes(PATH), sim.bytes(MIRROR)), before, "nothing is written without a decision");
    for take in [Take::Here, Take::There] {
        let sim = sim.fork();
        read(&sim, &[PATH, MIRROR]).unwrap().unwrap().write(QUIET, |_| Some(take)).unwrap();
        let set = contents(&at(&sim, MIRROR));
        let t: &[u8] = if take == Take::Here { b"AES" } else { b"SECRET" };
        assert_eq!(set[&(b"anna".to_vec(), b"both".to_vec())], (t.to_vec(), vec![1; 32]));
        assert!(set.contains_key(&(b"bert".to_vec(), b"short".to_vec())));
        assert_eq!(set, contents(&at(&sim, PATH)));
    }
}

#[test]
fn a_copy_that_changes_meanwhile_ends_it_and_nothing_is_overwritten() {
    for changed in [PATH, MIRROR] {
        let (sim, _) = with_renewal();
        let merging = read(&sim, &[PATH, MIRROR]).unwrap().unwrap();
        change(&sim, changed, &[store("meanwhile")]);
        let before = (sim.bytes(PATH), sim.bytes(MIRROR));
        assert!(merging.write(QUIET, |_| None).is_err());
        assert_eq!((sim.bytes(PATH), sim.bytes(MIRROR)), before, "{changed}");
    }
}

/// Nothing is written where the files cannot be kept: others are in their place, and stay.
#[test]
fn what_is_kept_never_takes_the_place_of_another_file() {
    let (sim, _) = with_renewal();
    let generation = at(&sim, MIRROR).status().generation;
    sim.put(kept(MIRROR, generation), b"something else".to_vec());
    let before = (sim.bytes(PATH), sim.bytes(MIRROR));
    assert!(matches!(merge(&sim, &[PATH, MIRROR]), Err(Error::BadRequest(BadRequest::AlreadyThere { .. }))));
    assert_eq!((sim.bytes(PATH), sim.bytes(MIRROR)), before);
    assert_eq!(sim.bytes(kept(MIRROR, generation)).unwrap(), b"something else");
}

/// What an interruption or a failure left: every key is there, the copies can be used together or say what to run, and
/// running it once more brings all keys into both.
fn check_left(sim: &Sim, start: &Sim, all: &Set, what: &str) {
    let mut found = Set::new();
    for path in [PATH, MIRROR] {
        let (keyring, _) = load(&Places::from(&sim.fs()), Path::new(path), &unlock())
            .unwrap_or_else(|e| panic!("{what}: {path}: {e}"));
        found.extend(contents(&keyring));
    }
    assert_eq!(found, *all, "{what}: a key is lost");
    let changed = [PATH, MIRROR].map(|path| sim.bytes(path) != start.bytes(path));
    if changed.contains(&true) {
        for path in [PATH, MIRROR] {
            let generation = at(start, path).status().generation;
            assert_eq!(sim.bytes(kept(path, generation)), start.bytes(path), "{what}: {path} was not kept");
        }
        let both = open_both(sim, &[PATH, MIRROR]).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(contents(&both), *all, "{what}");
        both.bring_up_to_date().unwrap();
    } else {
        merge(sim, &[PATH, MIRROR]).unwrap_or_else(|e| panic!("{what}: once more: {e}"));
    }
    for path in [PATH, MIRROR] {
        assert_eq!(contents(&at(sim, path)), *all, "{what}: {path}");
    }
}

#[test]
fn a_power_cut_at_every_operation_loses_no_key() {
    let (start, all) = with_renewal();
    let mut rng = Rng(3);
    let (mut states, mut in_between) = (0, 0);
    for point in 1.. {
        let sim = start.fork();
        let merging = read(&sim, &[PATH, MIRROR]).unwrap().unwrap();
        sim.crash_at(point);
        let done = merging.write(QUIET, |_| None);
        for left in sim.after_crash(&mut rng, 12, false) {
            states += 1;
            in_between += usize::from(
                (left.bytes(PATH) != start.bytes(PATH)) != (left.bytes(MIRROR) != start.bytes(MIRROR)),
            );
            check_left(&left, &start, &all, &format!("power cut at operation {point}"));
        }
        if done.is_ok() {
            break;
        }
    }
    println!("{states} states, {in_between} with one copy written");
    assert!(states > 100 && in_between > 0, "{states}, {in_between}");
}

#[test]
fn a_failing_operation_leaves_each_copy_before_or_after() {
    let (start, all) = with_renewal();
    for effect in [Effect::None, Effect::Half, Effect::Whole] {
        for point in 1.. {
            let sim = start.fork();
            let merging = read(&sim, &[PATH, MIRROR]).unwrap().unwrap();
            sim.fail_at(point, effect, 5);
            let done = merging.write(QUIET, |_| None);
            let reached = sim.counts().operations.len() >= point;
            sim.reset();
            check_left(&sim, &start, &all, &format!("operation {point} fails, {effect:?}: {done:?}"));
            if !reached {
                break;
            }
        }
    }
}

/// A server that has one of the two in use goes on from what was merged, without a restart.
#[test]
fn a_server_goes_on_from_what_was_merged() {
    let (sim, all) = with_renewal();
    let config = copies::config(&[MIRROR.into()], 1);
    let (server, _) = Keyring::open(&Places::from(&sim.fs()), &config, Trust::Witness, QUIET).unwrap();
    merge(&sim, &[PATH, MIRROR]).unwrap();
    store("next").run(&server).unwrap();
    assert_eq!(server.status().state, KeyringState::Attached);
    let held = contents(&server);
    assert!(all.iter().all(|key| held.get(key.0) == Some(key.1)) && held.len() == all.len() + 1);
    let both = open_both(&sim, &[PATH, MIRROR]).unwrap();
    assert_eq!(both.len(), all.len() + 1);
    assert_eq!(at(&sim, PATH).relation_to(&server), Relation::Ancestor);
}

/// A renewal alone, and more changes of the other copy since: no key is in one of them only, and still the renewal
/// must not be undone by the newer copy.
#[test]
fn a_renewal_that_the_newer_copy_does_not_know_is_not_undone() {
    let (sim, all) = diverged(&[Op::Rekey], &[store("theirs"), store("and more of theirs")]);
    assert_eq!(at(&sim, PATH).relation_to(&at(&sim, MIRROR)), Relation::Diverged);
    assert_eq!(at(&sim, PATH).missing_in(&at(&sim, MIRROR)), 0);
    let slot = |path: &str| at(&sim, path).slots().get(1).unwrap().clone();
    let renewed = slot(PATH);
    assert!(renewed != slot(MIRROR));
    merge(&sim, &[PATH, MIRROR]).unwrap();
    assert!(slot(PATH) == renewed && slot(MIRROR) == renewed);
    assert_eq!(contents(&at(&sim, PATH)), all);
}

/// Slots that were changed apart: the first copy's open what was merged, the other's do not.
#[test]
fn the_slots_of_the_first_copy_stay() {
    let (sim, _) = filled();
    sim.put(MIRROR, sim.bytes(PATH).unwrap());
    let (keyring, _) = open(&sim.fs()).unwrap();
    keyring.add_slot(&secret(&[9; 40]), "test", "ours", crate::common::CHEAP).unwrap();
    change(&sim, MIRROR, &[store("theirs")]);
    merge(&sim, &[PATH, MIRROR]).unwrap();
    assert_eq!(at(&sim, MIRROR).slots().len(), 2);
    let with = |bytes: &'static [u8]| {
        load_all(&Places::from(&sim.fs()), &[MIRROR.into()], 1, "test", || Ok(secret(bytes)), QUIET)
            .map(|(k, _)| k.len())
    };
    assert_eq!(with(&[9; 40]).unwrap(), 5);
}
