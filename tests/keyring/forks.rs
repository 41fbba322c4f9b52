// SPDX-License-Identifier: GPL-2.0-or-later
//! A keyring that was copied, and both copies went on: whatever is done with the two afterwards, no
//! key that either acknowledged is dropped without a word (invariants 1 and 4).

use crate::common::sim::Sim;
use crate::common::{Op, PATH, Set, contents, copies, data, filled, open, tended, unlock};
use keyring_external::error::{Error, Refusal};
use keyring_external::keyring::{Keyring, KeyringState, Trust, load_all};
use keyring_external::store::places::Places;

const MIRROR: &str = "/volume/mirror";

fn store(id: &'static str) -> Op {
    Op::Store { id, user: "", key_type: "AES", data: data(id.len() as u64, 32) }
}

fn change(sim: &Sim, ops: &[Op]) -> Set {
    let (keyring, _) = open(&sim.fs()).unwrap();
    ops.iter().for_each(|op| op.run(&keyring).unwrap());
    contents(&keyring)
}

fn open_both(sim: &Sim) -> Result<Keyring, Error> {
    let read = || unlock().read();
    load_all(&Places::from(&sim.fs()), &[PATH.into(), MIRROR.into()], 1, "test", read, |_, _| {})
        .map(|(k, _)| k)
}

fn remove() -> Op {
    Op::Remove { id: "short", user: "anna" }
}

#[test]
fn a_copy_that_went_its_own_way_is_never_overwritten() {
    let (base, _) = filled();
    let own = store("own");
    let ways: [&[Op]; 4] = [
        &[store("theirs")],
        &[store("theirs"), store("more")],
        &[store("theirs"), store("more"), remove()],
        &[remove(), store("theirs")],
    ];
    for way in ways {
        let (ours, theirs) = (base.fork(), base.fork());
        change(&ours, std::slice::from_ref(&own));
        change(&theirs, way);
        let our_file = ours.bytes(PATH).unwrap();
        for ours_is_first in [true, false] {
            let sim = Sim::default();
            let (first, second) = if ours_is_first { (PATH, MIRROR) } else { (MIRROR, PATH) };
            sim.put(first, our_file.clone());
            sim.put(second, theirs.bytes(PATH).unwrap());
            match open_both(&sim) {
                Err(Error::Refusal(Refusal::Fork { .. })) => {}
                Err(e) => panic!("{way:?}: {e}"),
                // The newest counts, and no key is made until the two are one again.
                Ok(keyring) => {
                    let stored = store("next").run(&keyring);
                    assert!(
                        matches!(stored, Err(Error::Refusal(Refusal::Diverged { .. }))),
                        "{way:?}: {stored:?}"
                    );
                    assert_eq!(tended(&keyring).state, KeyringState::Degraded, "{way:?}");
                    assert_eq!(sim.bytes(first).unwrap(), our_file, "{way:?}: an acknowledged key is gone");
                    assert_eq!(sim.bytes(second), theirs.bytes(PATH), "{way:?}: an acknowledged key is gone");
                }
            }
        }
    }
}

/// The same with one path: the file in use is exchanged for the other one.
#[test]
fn a_file_that_went_its_own_way_is_not_gone_on_from() {
    let config = copies::config(&[PATH.into()], 1);
    let (base, _) = filled();
    let way = [store("theirs"), store("more"), remove()];
    for in_common in [true, false] {
        let theirs = base.fork();
        change(&theirs, &way);
        let sim = base.fork();
        let (keyring, _) =
            Keyring::open(&Places::from(&sim.fs()), &config, Trust::Witness, |_, _| {}).unwrap();
        if !in_common {
            store("own").run(&keyring).unwrap();
        }
        sim.put(PATH, theirs.bytes(PATH).unwrap());
        let stored = store("next").run(&keyring);
        if in_common {
            // It is what this keyring became: that is gone on from.
            stored.unwrap();
            assert_eq!(keyring.len(), 4 - 1 + 3);
        } else {
            assert!(matches!(stored, Err(Error::Refusal(Refusal::Diverged { .. }))), "{stored:?}");
            assert_eq!(sim.bytes(PATH), theirs.bytes(PATH));
            assert_eq!(keyring.len(), 4 + 1);
        }
    }
}

/// A copy that only lagged behind is brought up to date, although keys that it has were removed since.
#[test]
fn a_copy_that_lagged_behind_is_brought_up_to_date() {
    let (base, _) = filled();
    let ways: [&[Op]; 4] = [
        &[store("one")],
        &[store("one"), store("two"), remove()],
        &[remove(), store("one"), Op::Remove { id: "one", user: "" }],
        &[store("one"), remove(), store("two"), Op::Remove { id: "one", user: "" }, store("three")],
    ];
    // All changes by one program; and each by another, which knows of those before only from the file.
    for (way, at_once) in ways.into_iter().flat_map(|way| [(way, 5), (way, 1)]) {
        let newer = base.fork();
        let mut set = Set::new();
        for ops in way.chunks(at_once) {
            set = change(&newer, ops);
        }
        let sim = Sim::default();
        sim.put(PATH, newer.bytes(PATH).unwrap());
        sim.put(MIRROR, base.bytes(PATH).unwrap());
        let keyring = open_both(&sim).unwrap();
        store("next").run(&keyring).unwrap();
        assert_eq!(sim.bytes(PATH), sim.bytes(MIRROR), "{way:?}");
        assert_eq!(contents(&open(&sim.fs()).unwrap().0), store("next").after(&set, &set));
    }
}
