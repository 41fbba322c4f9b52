// SPDX-License-Identifier: GPL-2.0-or-later
//! What a failed sync left can be read for as long as the system runs, and is gone after a power cut. A
//! program that is started in between must not build on it (invariant 1).

use crate::common::sim::{Effect, Sim};
use crate::common::{Op, PATH, Rng, Set, contents, copies, data, filled, keyring_path, open, tended, unlock};
use keyring_external::error::Error;
use keyring_external::keyring::{Keyring, Trust, load_all};
use keyring_external::store::places::Places;
use std::path::{Path, PathBuf};

const EIO: i32 = 5;
const MIRROR: &str = "/volume/mirror";

fn operations() -> [Op; 4] {
    [
        Op::Store { id: "new", user: "anna", key_type: "AES", data: data(77, 2000) },
        Op::Remove { id: "short", user: "anna" },
        Op::AddSlot,
        Op::Rekey,
    ]
}

fn next(id: &'static str) -> Op {
    Op::Store { id, user: "", key_type: "AES", data: data(78, 32) }
}

fn failed(op: &Op, at: usize) -> String {
    let name = match op {
        Op::Store { .. } => "store",
        Op::Remove { .. } => "remove",
        Op::AddSlot => "a slot added",
        _ => "rekey",
    };
    format!("{name}, operation {at} failed")
}

/// What is found after every kind of power cut.
fn after_cut(sim: &Sim, rng: &mut Rng, check: impl Fn(&Sim)) -> usize {
    let states = sim.after_crash(rng, 20, false);
    states.iter().for_each(check);
    states.len()
}

#[test]
fn a_change_after_a_restart_does_not_build_on_one_that_failed() {
    let (start, _) = filled();
    let mut rng = Rng::of_test("a_change_after_a_restart_does_not_build_on_one_that_failed");
    let mut states = 0;
    for op in operations() {
        for at in 1.. {
            let sim = start.fork();
            let (keyring, _) = open(&sim.fs()).unwrap();
            sim.fail_at(at, Effect::None, EIO);
            let done = op.run(&keyring);
            if sim.counts().operations.len() < at {
                done.unwrap();
                break;
            }
            drop(keyring);
            sim.reset();
            let what = failed(&op, at);
            let (keyring, _) = open(&sim.fs()).unwrap();
            for id in ["next", "and the next"] {
                next(id).run(&keyring).unwrap();
                let set = contents(&keyring);
                states += after_cut(&sim, &mut rng, |left| {
                    let found = open(&left.fs()).unwrap_or_else(|e| panic!("{what}, then {id}: {e}")).0;
                    assert_eq!(contents(&found), set, "{what}, then {id}");
                });
            }
        }
    }
    println!("{states} states");
    assert!(states > 100, "{states}");
}

fn both(sim: &Sim) -> Keyring {
    let paths = [PATH, MIRROR].map(PathBuf::from);
    load_all(&Places::from(&sim.fs()), &paths, 1, "test", || unlock().read(), |_, _| {}).unwrap().0
}

fn alone(sim: &Sim, path: &str) -> Result<Set, Error> {
    let paths = [PathBuf::from(path)];
    load_all(&Places::from(&sim.fs()), &paths, 1, "test", || unlock().read(), |_, _| {})
        .map(|(k, _)| contents(&k))
}

/// One copy fails once; the change reaches the other. From the next change on both hold all.
#[test]
fn a_copy_that_failed_counts_again_only_when_it_holds_all() {
    let (start, _) = filled();
    start.put(MIRROR, start.bytes(PATH).unwrap());
    let mut rng = Rng::of_test("a_copy_that_failed_counts_again_only_when_it_holds_all");
    let mut states = 0;
    for op in operations() {
        for at in 1.. {
            let sim = start.fork();
            let keyring = both(&sim);
            sim.fail_at(at, Effect::None, EIO);
            let _ = op.run(&keyring);
            if sim.counts().operations.len() < at {
                break;
            }
            sim.reset();
            let what = failed(&op, at);
            for id in ["next", "and the next"] {
                next(id).run(&keyring).unwrap();
                assert_eq!(tended(&keyring).copies, (2, 2), "{what}");
                let set = contents(&keyring);
                states += after_cut(&sim, &mut rng, |left| {
                    for path in [PATH, MIRROR] {
                        let found = alone(left, path).unwrap_or_else(|e| panic!("{what}, then {id}: {e}"));
                        assert_eq!(found, set, "{what}, then {id}: {path}");
                    }
                });
            }
        }
    }
    println!("{states} states");
    assert!(states > 100, "{states}");
}

fn served(sim: &Sim) -> Result<Keyring, Error> {
    let mut config = copies::config(&[keyring_path().to_owned()], 1);
    config.datadir = Some(Path::new("/volume").to_owned());
    let (keyring, _) = Keyring::open(&Places::from(&sim.fs()), &config, Trust::Witness, |_, _| {})?;
    keyring.bring_up_to_date()?;
    Ok(keyring)
}

/// The witness must not have seen what a power cut takes back, nor anybody read it.
#[test]
fn a_server_that_starts_after_a_failed_change_keeps_what_it_read() {
    let (start, _) = filled();
    drop(served(&start).unwrap());
    let start = start.fork();
    let mut rng = Rng::of_test("a_server_that_starts_after_a_failed_change_keeps_what_it_read");
    let mut states = 0;
    for op in operations() {
        for at in 1.. {
            let sim = start.fork();
            let keyring = served(&sim).unwrap();
            sim.fail_at(at, Effect::None, EIO);
            let done = op.run(&keyring);
            if sim.counts().operations.len() < at {
                done.unwrap();
                break;
            }
            drop(keyring);
            sim.reset();
            let what = failed(&op, at);
            let set = contents(&served(&sim).unwrap_or_else(|e| panic!("{what}: {e}")));
            states += after_cut(&sim, &mut rng, |left| {
                let found = served(left).unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!(contents(&found), set, "{what}");
            });
        }
    }
    println!("{states} states");
    assert!(states > 50, "{states}");
}
