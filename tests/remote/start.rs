// SPDX-License-Identifier: GPL-2.0-or-later
//! Opening a keyring with copies at remotes: a late remote, a name for nothing, two names for one copy.

use crate::common::{PATH, Rng, contents, copies};
use crate::rig::{HEAD_ONE, Layout, ONE, TWO, World, paths, store};
use keyring_external::config::Config;
use keyring_external::error::{BadRequest, Error, Failure, Refusal};
use keyring_external::keyring::{Keyring, KeyringState, Trust};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const MIXED: Layout = &[PATH, ONE];

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A server that cannot reach a remote when it starts waits for it, as it waits for a volume that is mounted late.
#[test]
fn a_server_waits_for_a_remote_that_is_late() {
    for layout in [&[ONE][..], MIXED] {
        let (world, set) = World::filled(layout, Rng(81));
        let program = world.program();
        let (client, looks) = (Arc::clone(&program.one), AtomicUsize::new(0));
        program.one.before(move |_| client.cut_off(looks.fetch_add(1, Ordering::SeqCst) < 3));
        let config = Config { wait: 600, ..copies::config(&paths(layout), layout.len() as u32) };
        let (keyring, _) = Keyring::open(&program.places, &config, Trust::Witness, |_, _| {}).unwrap();
        assert_eq!(contents(&keyring), set);
        keyring.bring_up_to_date().unwrap();
        assert_eq!(keyring.status().state, KeyringState::Attached);
    }
}

/// Without waiting, the server starts with the other copy, or says which remote is away.
#[test]
fn a_server_starts_without_a_remote_that_is_away_if_it_has_another_copy() {
    let (world, set) = World::filled(MIXED, Rng(82));
    let program = world.program();
    program.one.cut_off(true);
    let keyring = program.serve(MIXED, 1).unwrap();
    assert_eq!(contents(&keyring), set);
    let status = keyring.status();
    assert_eq!(status.state, KeyringState::Degraded);
    assert!(status.last_error.contains("@one/fleet/db1"), "why, is told: {:?}", status.last_error);
    drop(keyring);
    let e = program.serve(&[ONE], 1).unwrap_err();
    assert!(matches!(e, Error::Failure(Failure::Remote { .. })), "{e:?}");
    assert!(e.to_string().contains(ONE), "{e}");
}

/// `auto_create` creates a keyring where it is certain that there is none: not at a remote that cannot be asked.
#[test]
fn auto_create_creates_at_a_remote_only_if_it_says_that_there_is_nothing() {
    for layout in [&[ONE][..], &[ONE, TWO]] {
        let world = World::new(Rng(83));
        let program = world.program();
        let config = Config { auto_create: true, ..copies::config(&paths(layout), layout.len() as u32) };
        let open = || Keyring::open(&program.places, &config, Trust::Witness, |_, _| {}).map(|(k, _)| k);
        program.one.cut_off(true);
        let e = open().unwrap_err();
        assert!(
            matches!(e, Error::Failure(Failure::Remote { .. }) | Error::Refusal(Refusal::Missing { .. })),
            "{e:?}"
        );
        assert!(
            world.one.names().is_empty() && world.two.names().is_empty(),
            "created beside one that is away"
        );
        program.one.cut_off(false);
        let keyring = open().unwrap();
        store("new").run(&keyring).unwrap();
        assert_eq!(world.found(layout).unwrap(), contents(&keyring));
        // It is there now, and is opened.
        drop(keyring);
        assert_eq!(contents(&open().unwrap()), world.found(layout).unwrap());
    }
}

/// Pieces without a head may be all that is left of a copy. A new head there would let later changes delete them.
#[test]
fn nothing_is_created_where_somebody_deleted_only_the_head() {
    let (world, set) = World::filled(&[ONE], Rng(85));
    let (program, head) = (world.program(), world.one.object(HEAD_ONE).unwrap());
    world.one.overwrite(HEAD_ONE, None);
    let left = world.one.objects();
    assert!(!left.is_empty());
    let config = Config { auto_create: true, ..copies::config(&paths(&[ONE]), 1) };
    let opened = Keyring::open(&program.places, &config, Trust::Witness, |_, _| {}).map(drop);
    for done in [program.create(&[ONE]), opened] {
        let e = done.unwrap_err();
        assert!(matches!(e, Error::BadRequest(BadRequest::PiecesWithoutHead { .. })), "{e:?}");
        assert!(e.to_string().contains(ONE) && e.to_string().contains("put it back"), "{e}");
    }
    assert_eq!(world.one.objects(), left);
    // A head that is put back counts again.
    world.one.overwrite(HEAD_ONE, Some(&head));
    assert_eq!(world.found(&[ONE]).unwrap(), set);
}

/// Two remotes of the remotes file may lead to one engine. Two names of one copy are not two copies.
#[test]
fn two_names_of_one_copy_at_a_remote_are_refused() {
    let (world, _) = World::filled(&[ONE], Rng(84));
    let places = world.program().places.with_engine("again", world.one.client() as _);
    let both = [PathBuf::from(ONE), PathBuf::from("@again/fleet/db1")];
    let e = Keyring::open(&places, &copies::config(&both, 1), Trust::Witness, |_, _| {}).unwrap_err();
    assert!(matches!(e, Error::Refusal(Refusal::OneFile { .. })), "{e:?}");
}

#[test]
fn two_copies_at_one_remote_cause_a_warning() {
    let both: Layout = &[ONE, "@one/beside/db1"];
    let world = World::with_keyring(both, Rng(85));
    let log = |_: keyring_external::keyring::Severity, told: &str| SAID.lock().unwrap().push(told.to_owned());
    let places = world.program().places;
    Keyring::open(&places, &copies::config(&paths(both), 1), Trust::Witness, log).unwrap();
    let said = SAID.lock().unwrap().join("\n");
    assert!(said.contains("@one/fleet/db1 and @one/beside/db1 are at one remote"), "{said}");
}
