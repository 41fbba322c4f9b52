// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies that took parts, keyrings that take the place of others, and what must not be taken for either.

use crate::common::copies::{bytes, config, generate, ids, made, open, real, tool, try_open};
use crate::common::{CHEAP, SECRET, data, key_type, name, private_dir, rekey, secret, secret_file, tended};
use keyring_external::error::{Error, Refusal};
use keyring_external::keyring::{Keyring, KeyringState, NewKeyring, Standing, Trust, load_with};
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

/// The ids of the keys in one copy.
fn on_disk(path: &Path) -> BTreeSet<String> {
    let read = || UnlockSource::File(secret_file(&SECRET)).read();
    ids(&load_with(&Places::from(&real()), path, "test", read).unwrap().0)
}

/// A server with the copies `a` and `b`, of which `b` got a key by another program while it was away, and the server
/// another one in `a` in the meantime; where `b` lies aside.
fn parted(dir: &Path) -> (Keyring, Vec<PathBuf>, PathBuf) {
    let paths = made(dir, &["a", "b"]);
    let server = open(&real(), &paths);
    generate(&server, "first").unwrap();
    let aside = dir.join("aside");
    std::fs::rename(&paths[1], &aside).unwrap();
    generate(&server, "the server's").unwrap();
    let other = open(&real(), std::slice::from_ref(&aside));
    generate(&other, "the other's").unwrap();
    (server, paths, aside)
}

/// Changes both commit slots, so that the copy says of itself neither how long it is nor in which state.
fn damage_both_commits(path: &Path) {
    let mut bytes = bytes(path);
    bytes[8192 + 70] ^= 1;
    bytes[12288 + 70] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// The keyring in use makes keys between the check of the one that is to take its place and the exchange, and so did
/// another program before: neither lot may be forgotten.
#[test]
fn a_keyring_that_parted_after_the_check_takes_no_place() {
    for meanwhile in 1..5 {
        let dir = private_dir();
        let all = made(dir.path(), &["a", "c"]);
        let old = open(&real(), &all[..1]);
        generate(&old, "first").unwrap();
        drop(open(&real(), &all));
        let other = open(&real(), &all[1..]);
        generate(&other, "the other's").unwrap();
        drop(other);
        let new = try_open(&real(), &all[1..]).unwrap();
        assert_eq!(old.check_successor(&new).unwrap(), 0);
        for i in 0..meanwhile {
            generate(&old, &format!("meanwhile {i}")).unwrap();
        }
        let given = old.hand_over_to(&new);
        assert!(matches!(given, Err(Error::Refusal(Refusal::Diverged { .. }))), "{meanwhile}: {given:?}");
        generate(&old, "after").unwrap();
        assert!(on_disk(&all[0]).contains("meanwhile 0") && on_disk(&all[1]).contains("the other's"));
    }
}

/// What another program changed in the copy that is left does not make the server forget that the one that is away
/// has diverged.
#[test]
fn a_copy_that_diverged_stays_known_when_another_program_changes_the_rest() {
    let dir = private_dir();
    let (server, paths, aside) = parted(dir.path());
    std::fs::rename(&aside, &paths[1]).unwrap();
    assert!(matches!(generate(&server, "refused"), Err(Error::Refusal(Refusal::Diverged { .. }))));
    std::fs::rename(&paths[1], &aside).unwrap();
    tool(&real(), &paths[..1]).unwrap().add_slot(&secret(&[7; 32]), "test", "new", CHEAP).unwrap();
    let refused = generate(&server, "refused, too");
    assert!(
        matches!(
            refused,
            Err(Error::Refusal(Refusal::Diverged { .. }) | Error::Refusal(Refusal::Changed { .. }))
        ),
        "{refused:?}"
    );
}

/// A damaged copy is overwritten with what counts only when it cannot hold anything else.
#[test]
fn a_damaged_copy_that_diverged_is_not_overwritten() {
    let dir = private_dir();
    let (server, paths, aside) = parted(dir.path());
    std::fs::rename(&aside, &paths[1]).unwrap();
    assert!(generate(&server, "refused").is_err());
    damage_both_commits(&paths[1]);
    let before = bytes(&paths[1]);
    let _ = generate(&server, "whatever");
    server.maintain();
    assert!(bytes(&paths[1]) == before, "overwritten while in use");
}

/// Several sessions need a key while a tool renews the data key: all get theirs.
#[test]
fn sessions_that_meet_a_renewed_data_key_together_all_go_on() {
    let dir = private_dir();
    let paths = made(dir.path(), &["a"]);
    let server = open(&real(), &paths);
    generate(&server, "first").unwrap();
    for round in 0..10 {
        rekey(&tool(&real(), &paths).unwrap(), &[&SECRET], false).unwrap();
        let barrier = Barrier::new(3);
        std::thread::scope(|scope| {
            let (server, barrier) = (&server, &barrier);
            for session in 0..2 {
                scope.spawn(move || {
                    barrier.wait();
                    generate(server, &format!("{round} {session}")).unwrap();
                });
            }
            scope.spawn(|| {
                barrier.wait();
                server.maintain();
            });
        });
    }
    assert_eq!(ids(&server).len(), 21);
}

/// A copy of another keyring that the same secret opens stands beside, and is neither used nor touched.
#[test]
fn a_copy_of_another_keyring_with_the_same_secret_is_left_alone() {
    let dir = private_dir();
    let paths = made(dir.path(), &["a", "b"]);
    let server = open(&real(), &paths);
    generate(&server, "first").unwrap();
    std::fs::remove_file(&paths[1]).unwrap();
    NewKeyring::new("", &secret(&SECRET), "test", CHEAP)
        .unwrap()
        .write(&Places::from(&real()), &paths[1..])
        .unwrap();
    let before = bytes(&paths[1]);
    generate(&server, "second").unwrap();
    server.maintain();
    generate(&server, "third").unwrap();
    let status = server.known_status();
    assert_eq!((status.state, status.copies), (KeyringState::Degraded, (1, 2)));
    assert!(matches!(&server.standings()[1].1, Standing::Out(_)), "{:?}", server.standings());
    assert!(bytes(&paths[1]) == before, "a keyring of somebody else was changed");
}

/// A whole rewriting of many keys, and another one, by a tool: the server, its mirror that was away and its witness
/// have seen neither, and follow.
#[test]
fn many_keys_written_anew_twice_are_followed() {
    let dir = private_dir();
    let datadir = private_dir();
    std::fs::write(datadir.path().join("mysql.ibd"), "").unwrap();
    let paths = made(dir.path(), &["a", "b"]);
    let mut with_witness = config(&paths, 1);
    with_witness.datadir = Some(datadir.path().to_owned());
    let start = || {
        let (keyring, _) =
            Keyring::open(&Places::from(&real()), &with_witness, Trust::Witness, |_, _| {}).unwrap();
        keyring.bring_up_to_date().unwrap();
        keyring
    };
    let server = start();
    for i in 0..50 {
        server.store(name(&format!("key {i}"), ""), &key_type("AES"), &data(i, 32)).unwrap();
    }
    let aside = dir.path().join("aside");
    std::fs::rename(&paths[1], &aside).unwrap();
    for _ in 0..2 {
        rekey(&tool(&real(), &paths[..1]).unwrap(), &[&SECRET], false).unwrap();
    }
    std::fs::rename(&aside, &paths[1]).unwrap();
    generate(&server, "after").unwrap();
    assert_eq!(tended(&server).copies, (2, 2));
    drop(server);
    for _ in 0..2 {
        rekey(&tool(&real(), &paths[..1]).unwrap(), &[&SECRET], false).unwrap();
    }
    let server = start();
    generate(&server, "after the start").unwrap();
    assert_eq!(tended(&server).copies, (2, 2));
    assert!(bytes(&paths[0]) == bytes(&paths[1]));
    assert_eq!(server.len(), 52);
}
