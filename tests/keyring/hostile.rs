// SPDX-License-Identifier: GPL-2.0-or-later
//! Files that are authentic in every byte and lie all the same, as a faulty or malicious holder of the
//! keys would write them (invariants 3 and 7): refused as damaged, without a panic and without asking
//! for the memory that they claim to need.

use crate::common::forge::{Fields, Forge};
use crate::common::sim::Sim;
use crate::common::{PATH, Set, contents, open, put};
use keyring_external::error::{Error, Refusal};
use keyring_external::format::commit::Commit;
use keyring_external::format::layout::FIXED_LEN;

fn good() -> Fields<'static> {
    Fields::honest(b"AES", b"one", b"anna", b"some key bytes..")
}

fn open_with(forge: &Forge, commit: &Commit) -> Result<Set, Error> {
    let bytes = forge.with_slots(commit, commit);
    let sim = Sim::default();
    sim.put(PATH, bytes.clone());
    let opened = open(&sim.fs());
    assert_eq!(sim.bytes(PATH), Some(bytes));
    opened.map(|(keyring, _)| contents(&keyring))
}

fn open_forged(forge: &Forge) -> Result<Set, Error> {
    open_with(forge, &forge.commit())
}

fn is_damaged(forge: &Forge, what: &str) {
    match open_forged(forge) {
        Err(Error::Refusal(Refusal::Damaged { .. })) => {}
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn honest_records_are_taken() {
    let longest = vec![b'x'; 255];
    let data = vec![9; 16384];
    let forge = Forge::new()
        .seal(&good().body())
        .seal(&Fields::honest(&longest, &longest, &longest, &data).body())
        .seal(&Fields::honest(b"A", b"one", b"", b"k").body());
    let mut set = Set::new();
    put(&mut set, "one", "anna", "AES", b"some key bytes..");
    put(&mut set, "one", "", "A", b"k");
    set.insert((longest.clone(), longest.clone()), (longest, data));
    assert_eq!(open_forged(&forge).unwrap(), set);
}

#[test]
fn records_that_are_none_are_damage() {
    let lengths = |t, id, user, data| Fields { lengths: (t, id, user, data), ..good() }.body();
    let (long, longer) = (vec![b'x'; 256], vec![9; 16385]);
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("no body", vec![]),
        ("a kind alone", vec![1]),
        ("fields cut short", good().body()[..17].to_vec()),
        ("kind 0", Fields { kind: 0, ..good() }.body()),
        ("kind 2", Fields { kind: 2, ..good() }.body()),
        ("kind 255", Fields { kind: 255, ..good() }.body()),
        ("key one byte longer than there is", lengths(3, 3, 4, 17)),
        ("key one byte shorter than there is", lengths(3, 3, 4, 15)),
        ("key of four gigabytes", lengths(3, 3, 4, u32::MAX)),
        ("type longer than there is", lengths(255, 3, 4, 16)),
        ("id longer than there is", lengths(3, 255, 4, 16)),
        ("user longer than there is", lengths(3, 3, 255, 16)),
        ("a byte too many", [good().body(), vec![0]].concat()),
        ("no key", Fields::honest(b"AES", b"one", b"", b"").body()),
        ("no type", Fields::honest(b"", b"one", b"", b"k").body()),
        ("no id", Fields::honest(b"AES", b"", b"anna", b"k").body()),
        ("a NUL in the id", Fields::honest(b"AES", b"o\0e", b"", b"k").body()),
        ("a NUL in the user", Fields::honest(b"AES", b"one", b"\0", b"k").body()),
        ("a NUL in the type", Fields::honest(b"A\0S", b"one", b"", b"k").body()),
        ("a key too long", Fields::honest(b"AES", b"one", b"", &longer).body()),
        ("an id of 256 bytes, told as 0", Fields::honest(b"AES", &long, b"", b"k").body()),
        ("a body longer than any", vec![1; 20_000]),
    ];
    for (what, body) in bodies {
        is_damaged(&Forge::new().seal(&body), what);
        is_damaged(&Forge::new().seal(&good().body()).seal(&body), what);
        is_damaged(&Forge::new().seal(&body).seal(&good().body()), what);
        // Also where it is not committed yet: nobody can say what it stands for.
        let forge = Forge::new().seal(&good().body());
        let commit = forge.commit();
        let forge = forge.seal(&body);
        let opened = open_with(&forge, &commit);
        if body.len() > 17_000 {
            // Not even a record: a tail.
            assert_eq!(opened.unwrap().len(), 1, "{what}");
        } else {
            assert!(matches!(opened, Err(Error::Refusal(Refusal::Damaged { .. }))), "{what}: {opened:?}");
        }
    }
}

#[test]
fn two_records_of_one_name_are_damage() {
    let again = Fields::honest(b"SECRET", b"one", b"anna", b"other bytes").body();
    is_damaged(&Forge::new().seal(&good().body()).seal(&again), "other bytes");
    is_damaged(&Forge::new().seal(&good().body()).seal(&good().body()), "the same bytes");
    let other_user = Fields::honest(b"AES", b"one", b"bert", b"other bytes").body();
    assert_eq!(open_forged(&Forge::new().seal(&good().body()).seal(&other_user)).unwrap().len(), 2);
}

#[test]
fn commit_slots_that_lie_are_damage() {
    let forge = Forge::new().seal(&good().body()).seal(&Fields::honest(b"A", b"two", b"", b"k").body());
    let honest = forge.commit();
    assert_eq!(open_with(&forge, &honest).unwrap().len(), 2);
    let start = FIXED_LEN as u64;
    let lies = [
        Commit { count: u64::MAX, ..honest },
        Commit { count: 3, ..honest },
        Commit { count: 1, ..honest },
        Commit { count: 0, ..honest },
        Commit { length: u64::MAX, ..honest },
        Commit { length: u64::MAX, count: u64::MAX, ..honest },
        Commit { length: honest.length + 1, ..honest },
        Commit { length: honest.length - 1, ..honest },
        Commit { length: start, ..honest },
        Commit { length: start - 1, ..honest },
        Commit { length: 0, ..honest },
        Commit { length: 0, count: 0, ..honest },
        Commit { chain: [0; 32], ..honest },
    ];
    for lie in lies {
        let opened = open_with(&forge, &lie);
        assert!(matches!(opened, Err(Error::Refusal(Refusal::Damaged { .. }))), "{lie:?}: {opened:?}");
    }
    // The last generation there can be.
    let last = Commit { generation: u64::MAX, ..honest };
    assert_eq!(open_with(&forge, &last).unwrap().len(), 2);
}
