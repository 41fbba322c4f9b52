// SPDX-License-Identifier: GPL-2.0-or-later
//! Many keys stored at once: all, or none and not a byte written. Power cuts and failing operations within
//! are in crash.rs, faults.rs and mirrors.rs.

use crate::common::{Op, PATH, contents, data, filled, name, open};
use keyring_external::error::{BadRequest, Error};

fn all(ids: &[&'static str]) -> Op {
    Op::StoreAll { keys: ids.iter().map(|id| (*id, data(id.len() as u64, 32))).collect() }
}

#[test]
fn all_are_there_and_can_be_removed_again() {
    let (sim, set) = filled();
    let (keyring, _) = open(&sim.fs()).unwrap();
    let op = all(&["one", "two", "three"]);
    op.run(&keyring).unwrap();
    let (again, notes) = open(&sim.fs()).unwrap();
    assert_eq!((contents(&again), notes), (op.after(&set, &set), vec![]));
    assert_eq!(contents(&keyring), contents(&again));
    assert_eq!(keyring.status().stores, 3);
    keyring.remove(name("two", "")).unwrap();
    assert_eq!(open(&sim.fs()).unwrap().0.len(), set.len() + 2);
}

#[test]
fn one_that_is_there_or_cannot_be_stops_all() {
    let (sim, set) = filled();
    let (keyring, _) = open(&sim.fs()).unwrap();
    let disk = sim.bytes(PATH);
    let too_long = Op::StoreAll { keys: vec![("one", data(1, 32)), ("two", data(2, 16385))] };
    for (op, exists) in
        [(all(&["one", "INNODBKey-1"]), true), (all(&["one", "one"]), true), (too_long, false)]
    {
        sim.reset();
        let e = op.run(&keyring).unwrap_err();
        assert_eq!(matches!(e, Error::BadRequest(BadRequest::Exists { .. })), exists, "{e}");
        assert_eq!(sim.counts().changes(), 0, "{op:?}");
        assert_eq!((sim.bytes(PATH), contents(&keyring)), (disk.clone(), set.clone()), "{op:?}");
    }
    // The bytes of keys that did not come to be are not left behind.
    all(&["one"]).run(&keyring).unwrap();
    assert_eq!(contents(&keyring), all(&["one"]).after(&set, &set));
}
