// SPDX-License-Identifier: GPL-2.0-or-later
//! Files whose blocks come from two versions of one keyring, as failing media, torn copies and
//! half-finished restores leave them (invariant 3): the keys of a version that once was the whole
//! keyring, or a refusal; never a mixture, and never a lost key while the blocks that hold it are there.

use crate::common::sim::Sim;
use crate::common::{Op, PATH, Rng, SECRET, Set, contents, create, data, open};
use keyring_external::error::{Error, Refusal};
use keyring_external::format::cost::Cost;
use keyring_external::format::crypto::DataKeys;
use keyring_external::format::header::Header;
use keyring_external::format::image::Image;
use keyring_external::format::layout::FIXED_LEN;
use keyring_external::format::records::Sealer;
use keyring_external::format::slots::{Slot, SlotKind};

fn store(id: &'static str, len: usize) -> Op {
    Op::Store { id, user: "", key_type: "AES", data: data(len as u64, len) }
}

fn remove(id: &'static str) -> Op {
    Op::Remove { id, user: "" }
}

/// A version of a file: its bytes and its keys.
type Version = (Vec<u8>, Set);

/// What every history begins with; its last version is the older one of a mixture.
fn beginning() -> Vec<Op> {
    vec![store("first", 32), store("short", 1), store("long", 300), store("fourth", 100)]
}

/// All versions that a keyring goes through, after the beginning and then these changes.
fn versions(ops: &[Op]) -> Vec<Version> {
    let sim = Sim::default();
    create(&sim.fs()).unwrap();
    let (keyring, _) = open(&sim.fs()).unwrap();
    let mut all = vec![(sim.bytes(PATH).unwrap(), Set::new())];
    for op in beginning().iter().chain(ops) {
        op.run(&keyring).unwrap();
        all.push((sim.bytes(PATH).unwrap(), contents(&keyring)));
    }
    all
}

/// The blocks of `newer` with those in `from_older` taken from `older`; what the older file does not
/// have is zero.
fn mixed(newer: &[u8], older: &[u8], size: usize, from_older: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut bytes = newer.to_vec();
    for (n, block) in bytes.chunks_mut(size).enumerate().filter(|(n, _)| from_older(*n)) {
        for (i, byte) in block.iter_mut().enumerate() {
            *byte = older.get(n * size + i).copied().unwrap_or(0);
        }
    }
    bytes
}

/// Opens a mixture: `None` is a refusal.
fn opened(bytes: Vec<u8>, what: &str) -> Option<Set> {
    let sim = Sim::default();
    sim.put(PATH, bytes);
    match open(&sim.fs()) {
        Ok((keyring, _)) => Some(contents(&keyring)),
        Err(Error::Refusal(Refusal::Damaged { .. })) => None,
        Err(e) => panic!("{what}: {e}"),
    }
}

/// All mixtures of the version after the beginning and the last one (a seeded choice when there are
/// many): each opens as one of `versions`, because no file can tell that it was wholly put back. When a
/// single block is old, it opens as the newest or not at all.
fn check_mixtures(rng: &mut Rng, versions: &[Version], size: usize) -> (usize, usize) {
    let ((older, _), (newer, newest)) = (&versions[beginning().len()], versions.last().unwrap());
    let block =
        |bytes: &[u8], n: usize| bytes.get(n * size..bytes.len().min((n + 1) * size)).map(<[u8]>::to_vec);
    let differing: Vec<usize> =
        (0..newer.len().div_ceil(size)).filter(|n| block(older, *n) != block(newer, *n)).collect();
    let all = 1_usize << differing.len();
    let (mut healed, mut refused) = (0, 0);
    for n in 0..all.min(600) {
        let choice = if all <= 600 { n } else { rng.below(all) };
        let old = |n: usize| differing.iter().position(|d| *d == n).is_some_and(|i| choice >> i & 1 == 1);
        let what = format!("of {differing:?}, {size} bytes each, {choice:b} are old");
        match opened(mixed(newer, older, size, old), &what) {
            None => refused += 1,
            Some(found) => {
                healed += 1;
                assert!(versions.iter().any(|(_, set)| *set == found), "{what}: {found:?}");
                if choice.count_ones() <= 1 {
                    assert_eq!(found, *newest, "{what}");
                }
            }
        }
    }
    (healed, refused)
}

#[test]
fn blocks_of_two_versions_never_make_a_third() {
    let histories: [&[Op]; 6] = [
        &[store("one", 32)],
        &[store("one", 32), store("two", 500)],
        &[store("one", 700), store("two", 700), store("three", 700)],
        &[remove("short")],
        &[store("one", 32), remove("short")],
        &[remove("short"), store("one", 700), remove("long"), store("short", 600)],
    ];
    let mut rng = Rng::of_test("blocks_of_two_versions_never_make_a_third");
    let (mut healed, mut refused) = (0, 0);
    for history in histories {
        let versions = versions(history);
        for size in [512, 4096] {
            let (h, r) = check_mixtures(&mut rng, &versions, size);
            healed += h;
            refused += r;
        }
    }
    println!("{healed} opened, {refused} refused");
    assert!(healed > 30 && refused > 500, "{healed} {refused}");
}

/// One commit slot of an acknowledged state is lost or went back to what it was: the records say more.
#[test]
fn an_old_commit_slot_loses_no_acknowledged_key() {
    let versions = versions(&[store("one", 32), store("two", 32), store("three", 32)]);
    let (newest, set) = versions.last().unwrap();
    for (older, _) in &versions[beginning().len()..] {
        for slots in [vec![2], vec![3], vec![2, 3]] {
            let bytes = mixed(newest, older, 4096, |n| slots.contains(&n));
            let found = opened(bytes, "old slots");
            assert_eq!(found.as_ref(), Some(set), "{slots:?}");
        }
    }
}

/// Each header has its own commit slot, and the records are of one of them: the newest commit decides,
/// whichever header it belongs to.
#[test]
fn of_two_headers_the_newest_commit_decides() {
    let versions = versions(&[remove("short"), store("one", 32)]);
    let ((older, _), (newer, newest)) = (&versions[beginning().len()], versions.last().unwrap());
    for (header, slot) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        let old = |n: usize| n == header || n == slot;
        let what = format!("header {header} and slot {slot} are old");
        assert_eq!(opened(mixed(newer, older, 4096, old), &what).as_ref(), Some(newest), "{what}");
        let old = |n: usize| old(n) || n >= 4;
        assert_eq!(opened(mixed(newer, older, 4096, old), &what), None, "{what}, and the records");
    }
}

/// A header of before and one of after a change of the unlock secret: what the secret opens counts, and
/// what does not fit it is damage, not a wrong secret.
#[test]
fn headers_of_two_secrets_in_one_file_are_damage() {
    let base = Header::new("", 1).unwrap();
    let keys = DataKeys::generate(&base.id).unwrap();
    let image = |secret: &[u8], generation| {
        let mut header = base.clone();
        let slot = Slot::seal(SlotKind::SecretFile, Cost::NONE, "", 1, secret, &keys, &base.id);
        header.add(slot.unwrap()).unwrap();
        Image::seal(&header, &keys, generation, None, std::iter::empty(), &mut Sealer::new().unwrap())
            .unwrap()
            .bytes
    };
    let (before, after) = (image(&[1; 32], 1), image(&SECRET, 2));
    let with = |from_older: &[usize]| {
        let sim = Sim::default();
        sim.put(PATH, mixed(&after, &before, 4096, |n| from_older.contains(&n)));
        open(&sim.fs()).map(|(keyring, _)| keyring.len())
    };
    assert!(matches!(with(&[]), Ok(0)));
    for one_header in [0, 1] {
        assert!(matches!(with(&[one_header]), Ok(0)), "header {one_header} is old");
        let e = with(&[one_header, 2, 3]).unwrap_err();
        assert!(
            matches!(e, Error::Refusal(Refusal::Damaged { .. })),
            "header {one_header} and the slots are old: {e}"
        );
    }
    assert!(matches!(with(&[0, 1]), Err(Error::Refusal(Refusal::WrongSecret { .. }))));
    assert!(matches!(with(&[0, 1, 2, 3]), Err(Error::Refusal(Refusal::WrongSecret { .. }))));
    assert_eq!(before.len(), FIXED_LEN);
}
