// SPDX-License-Identifier: GPL-2.0-or-later
//! After a change that failed, the next status query leaves on the volumes what it tells: the state from
//! before the change, as memory holds it. A second reader finds the same.

use crate::common::sim::{Effect, Sim};
use crate::common::{Op, PATH, contents, data, filled, take_into_use, tended, unlock};
use keyring_external::error::{Error, Failure};
use keyring_external::format::layout::FIXED_LEN;
use keyring_external::keyring::{Keyring, KeyringState, load_all};
use keyring_external::store::places::Places;
use std::path::PathBuf;

const EIO: i32 = 5;
const MIRROR: &str = "/volume/mirror";

fn open(sim: &Sim, paths: &[&str], min_copies: usize) -> Result<Keyring, Error> {
    let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
    load_all(&Places::from(&sim.fs()), &paths, min_copies, "test", || unlock().read(), |_, _| {})
        .map(|(k, _)| k)
}

/// Makes each operation of each change fail, and shows what a status query makes of it.
fn after_each_failure(paths: &[&str], min_copies: usize, check: impl Fn(&Sim, &Keyring, &str)) {
    let (start, _) = filled();
    start.put(MIRROR, start.bytes(PATH).unwrap());
    let mut failed = 0;
    for (name, op) in [
        ("store", Op::Store { id: "new", user: "anna", key_type: "AES", data: data(77, 2000) }),
        ("remove", Op::Remove { id: "short", user: "anna" }),
        ("add a slot", Op::AddSlot),
        ("rekey", Op::Rekey),
    ] {
        for effect in [Effect::None, Effect::Half, Effect::Whole] {
            for at in 1.. {
                let sim = start.fork();
                let keyring = open(&sim, paths, min_copies).unwrap();
                take_into_use(&keyring);
                let before = contents(&keyring);
                sim.fail_at(at, effect, EIO);
                let done = op.run(&keyring);
                if sim.counts().operations.len() < at {
                    done.unwrap();
                    break;
                }
                sim.reset();
                let what = format!("{name}, {effect:?} at operation {at}: {done:?}");
                if done.is_err() {
                    failed += 1;
                    assert_eq!(contents(&keyring), before, "{what}");
                }
                check(&sim, &keyring, &what);
            }
        }
    }
    assert!(failed > 40, "{failed}");
}

#[test]
fn one_copy() {
    after_each_failure(&[PATH], 1, |sim, keyring, what| {
        let status = tended(keyring);
        assert_eq!((status.state, status.copies), (KeyringState::Attached, (1, 1)), "{what}: {status:?}");
        let found = open(sim, &[PATH], 1).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(found.known_status().generation, status.generation, "{what}");
        assert_eq!(contents(&found), contents(keyring), "{what}");
    });
}

/// The other copy is gone for good when the change that needed both has failed.
#[test]
fn one_of_two_that_are_needed() {
    for (gone, there) in [(PATH, MIRROR), (MIRROR, PATH)] {
        after_each_failure(&[PATH, MIRROR], 2, |sim, keyring, what| {
            sim.remove(gone);
            let status = tended(keyring);
            assert_eq!((status.state, status.copies), (KeyringState::Degraded, (1, 2)), "{what}: {status:?}");
            let found = open(sim, &[there], 1).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(found.known_status().generation, status.generation, "{what}");
            assert_eq!(contents(&found), contents(keyring), "{what}");
            let next = Op::Store { id: "next", user: "", key_type: "AES", data: data(78, 32) };
            let refused = next.run(keyring);
            assert!(
                matches!(refused, Err(Error::Failure(Failure::TooFewCopies { .. }))),
                "{what}: {refused:?}"
            );
        });
    }
}

/// A copy that is damaged and could not be healed when the other one was is healed by the next program.
#[test]
fn a_damaged_copy_that_lags_behind_is_healed_at_start() {
    let (start, _) = filled();
    // An interrupted write has left something behind the records: healing writes both copies anew.
    start.put(MIRROR, [start.bytes(PATH).unwrap(), vec![0x55; 10]].concat());
    let mut bytes = start.bytes(PATH).unwrap();
    bytes[FIXED_LEN + 30] ^= 1;
    start.overwrite(PATH, bytes);
    for at in 1.. {
        let sim = start.fork();
        let first = open(&sim, &[PATH, MIRROR], 1).unwrap();
        sim.fail_at(at, Effect::None, EIO);
        let healed = first.bring_up_to_date();
        if sim.counts().operations.len() < at {
            healed.unwrap();
            break;
        }
        drop(first);
        sim.reset();
        let next = open(&sim, &[PATH, MIRROR], 1).unwrap();
        next.bring_up_to_date().unwrap();
        let what = format!("operation {at}: {healed:?}, {:?}", next.standings());
        assert_eq!(tended(&next).copies, (2, 2), "{what}");
        assert!(sim.bytes(PATH) == sim.bytes(MIRROR), "{what}");
    }
}
