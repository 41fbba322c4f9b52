// SPDX-License-Identifier: GPL-2.0-or-later
//! An engine that is not what it was: restored from an older snapshot, an older head brought back by a bucket with
//! versions, another keyring under the same name, two clusters of one name. It is found in memory and by the witness,
//! with the messages that files have (invariant 4), and what may be healed is healed.

use crate::common::{Op, PATH, Rng, contents, copies, take_into_use, tended};
use crate::rig::{HEAD_ONE, ONE, Program, World, file, paths, store};
use keyring_external::config::Config;
use keyring_external::error::{Error, Refusal};
use keyring_external::keyring::{Keyring, KeyringState, Trust};
use keyring_external::store::remote::head::Head;
use std::path::Path;

/// What objects are at the copy, in order.
fn names(world: &World) -> Vec<String> {
    let head = Head::decode(&world.one.object(HEAD_ONE).unwrap()).unwrap();
    let mut names = vec![HEAD_ONE.to_owned()];
    names.extend(head.pieces.iter().map(|piece| format!("fleet/db1/{}", piece.name)));
    names.sort();
    names
}

/// Every kind of change is refused with an error that `expected` takes; the engine and memory stay.
fn is_refused(world: &World, keyring: &Keyring, expected: impl Fn(&Error) -> bool) {
    let (objects, memory) = (world.one.objects(), contents(keyring));
    for op in [store("refused"), Op::Remove { id: "short", user: "anna" }, Op::AddSlot] {
        let e = op.run(keyring).unwrap_err();
        assert!(expected(&e), "{op:?}: {e:?}");
        assert!(e.to_string().contains(ONE), "{e}");
    }
    assert_eq!(world.one.objects(), objects);
    assert_eq!(contents(keyring), memory);
    assert_eq!(tended(keyring).state, KeyringState::Detached);
}

#[test]
fn an_engine_restored_from_an_older_snapshot_is_older() {
    for changes in [vec![store("since")], vec![Op::Remove { id: "long", user: "anna" }, store("since")]] {
        let (world, _) = World::filled(&[ONE], Rng(41));
        let keyring = world.program().serve(&[ONE], 1).unwrap();
        take_into_use(&keyring);
        let snapshot = world.one.snapshot();
        changes.iter().for_each(|op| op.run(&keyring).unwrap());
        let now = world.one.snapshot();
        world.one.restore(&snapshot);
        is_refused(&world, &keyring, |e| matches!(e, Error::Refusal(Refusal::Older { .. })));
        // The administrator restores the newer one.
        world.one.restore(&now);
        store("after").run(&keyring).unwrap();
        assert_eq!(world.found(&[ONE]).unwrap(), contents(&keyring));
    }
}

#[test]
fn a_head_that_a_bucket_with_versions_brought_back_is_older_or_damaged() {
    let (world, _) = World::filled(&[ONE], Rng(42));
    let keyring = world.program().serve(&[ONE], 1).unwrap();
    take_into_use(&keyring);
    let snapshot = world.one.snapshot();
    store("since").run(&keyring).unwrap();
    world.one.restore_one(&snapshot, HEAD_ONE);
    is_refused(&world, &keyring, |e| matches!(e, Error::Refusal(Refusal::Older { .. })));
    // After everything was written anew, the pieces of the old head are gone.
    let (world, _) = World::filled(&[ONE], Rng(43));
    let keyring = world.program().serve(&[ONE], 1).unwrap();
    let snapshot = world.one.snapshot();
    take_into_use(&keyring);
    world.one.restore_one(&snapshot, HEAD_ONE);
    let e = store("refused").run(&keyring).unwrap_err();
    assert!(matches!(e, Error::Refusal(Refusal::Older { .. } | Refusal::Damaged { .. })), "{e:?}");
    assert!(matches!(world.found(&[ONE]), Err(Error::Refusal(Refusal::Damaged { .. }))));
}

fn with_witness(layout: &[&str]) -> Config {
    let paths: Vec<_> = layout.iter().map(Into::into).collect();
    Config { datadir: Some("/volume".into()), ..copies::config(&paths, 1) }
}

fn start(program: &Program, layout: &[&str]) -> Result<Keyring, Error> {
    let (keyring, _) = Keyring::open(&program.places, &with_witness(layout), Trust::Witness, |_, _| {})?;
    keyring.bring_up_to_date()?;
    Ok(keyring)
}

#[test]
fn the_witness_finds_that_an_engine_was_restored_while_the_server_was_down() {
    let (world, _) = World::filled(&[ONE], Rng(44));
    let keyring = start(&world.program(), &[ONE]).unwrap();
    store("before").run(&keyring).unwrap();
    let snapshot = world.one.snapshot();
    store("since").run(&keyring).unwrap();
    drop(keyring);
    world.one.restore(&snapshot);
    let e = start(&world.program(), &[ONE]).unwrap_err();
    assert!(matches!(e, Error::Refusal(Refusal::WitnessOlder { .. })), "{e:?}");
    assert!(e.to_string().contains(ONE), "{e}");
}

#[test]
fn a_restored_engine_beside_a_file_is_brought_up_to_date() {
    let (world, _) = World::filled(&[PATH, ONE], Rng(45));
    let keyring = world.program().serve(&[PATH, ONE], 1).unwrap();
    take_into_use(&keyring);
    let snapshot = world.one.snapshot();
    for op in [store("since"), Op::Remove { id: "long", user: "anna" }, store("later")] {
        op.run(&keyring).unwrap();
    }
    let lost = world.one.names();
    world.one.restore(&snapshot);
    // A bucket whose head alone went back still has the pieces of the history that was lost.
    for name in lost.iter().filter(|name| *name != HEAD_ONE) {
        world.one.overwrite(name, Some(b"of the history that was lost"));
    }
    store("after").run(&keyring).unwrap();
    assert_eq!(world.found(&[ONE]).unwrap(), contents(&keyring));
    assert_eq!(file(&world.one, "fleet/db1"), world.volume.bytes(PATH).unwrap());
    Op::Remove { id: "later", user: "" }.run(&keyring).unwrap();
    assert_eq!(world.one.names(), names(&world), "nothing of the lost history is left");
    assert_eq!(world.found(&[ONE]).unwrap(), contents(&keyring));
}

#[test]
fn another_keyring_at_the_same_prefix_is_foreign() {
    let (world, _) = World::filled(&[ONE], Rng(46));
    let (other, _) = World::filled(&[ONE], Rng(47));
    let keyring = start(&world.program(), &[ONE]).unwrap();
    world.one.restore(&other.one.snapshot());
    is_refused(&world, &keyring, |e| matches!(e, Error::Refusal(Refusal::Foreign { .. })));
    let e = start(&world.program(), &[ONE]).unwrap_err();
    assert!(matches!(e, Error::Refusal(Refusal::WitnessForeign { .. })), "{e:?}");
}

#[test]
fn two_clusters_of_one_name_that_went_different_ways_have_diverged() {
    let (world, _) = World::filled(&[ONE], Rng(48));
    let keyring = world.program().serve(&[ONE], 1).unwrap();
    take_into_use(&keyring);
    let other = world.fork();
    store("here").run(&keyring).unwrap();
    store("there").run(&other.program().load(&[ONE], 1).unwrap()).unwrap();
    world.one.restore(&other.one.snapshot());
    is_refused(&world, &keyring, |e| {
        matches!(e, Error::Refusal(Refusal::Diverged { .. } | Refusal::Changed { .. }))
    });
}

/// Two names of one copy can neither be counted as two copies nor be changed side by side.
#[test]
fn two_names_of_one_copy_are_one() {
    let (world, _) = World::filled(&[ONE], Rng(49));
    let program = world.program();
    let places = program.places.with_engine("again", program.one.clone());
    let again = [ONE.into(), "@again/fleet/db1".into()];
    let opened = Keyring::open(&places, &copies::config(&again, 1), Trust::Witness, |_, _| {});
    assert!(matches!(opened.unwrap_err(), Error::Refusal(Refusal::OneFile { .. })));
    assert_eq!(paths(&[ONE]), [Path::new(ONE)]);
}
