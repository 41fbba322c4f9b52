// SPDX-License-Identifier: GPL-2.0-or-later
//! Filesystems as sticks carry them (exFAT and NTFS through FUSE, btrfs, xfs), and a file server (sshfs),
//! whose program ends without warning.

use crate::faults::disk::holds;
use keyring_external::key::{KeyType, NameRef};
use mysql_plugin_tests::rig::worker::Book;
use mysql_plugin_tests::rig::{Keyring, Kind, Volume, moment, rng, times};
use std::fs;

fn name(id: &str) -> NameRef<'_> {
    NameRef::new(id.as_bytes(), b"").unwrap()
}

/// Init with a mirror, store, remove, unplug, plug in.
pub fn everyday(kind: Kind) {
    let (volume, other) = (Volume::of(kind), Volume::of(Kind::Directory));
    let keyring = Keyring::init_on(&[&volume, &other]);
    let value = KeyType::new(b"SECRET").unwrap();
    let mut ids = Vec::new();
    for round in 0..3 {
        let open = keyring.open();
        for n in 0..4 {
            let id = format!("k{round}.{n}");
            open.store(name(&id), &value, &vec![id.len() as u8; 300]).unwrap();
            ids.push(id);
        }
        let gone = ids.remove(round);
        open.remove(name(&gone)).unwrap();
        assert_eq!(copies(&open), (2, 2));
        volume.unmount();
        assert_eq!(copies(&open), (1, 2));
        open.store(name("alone"), &value, &[5; 300]).unwrap();
        volume.mount();
        assert_eq!(copies(&open), (2, 2));
        open.remove(name("alone")).unwrap();
        for path in keyring.paths() {
            holds(&keyring.copy(&path), &ids);
        }
    }
    assert!(fs::read(&keyring.path).unwrap() == fs::read(&keyring.mirrors[0]).unwrap());
    assert_eq!(fs::read_dir(volume.keys()).unwrap().count(), 1, "something is left beside it");
}

/// Copies that are up to date, and all, when the keyring was looked after.
fn copies(keyring: &keyring_external::keyring::Keyring) -> (usize, usize) {
    keyring.maintain();
    keyring.known_status().copies
}

/// The program that serves the mount is killed in the middle of changes, as when a stick loses its power; or
/// the file server's.
pub fn killed(kind: Kind) {
    let volume = Volume::of(kind);
    let keyring = Keyring::init(&volume);
    let (mut book, mut by_hand, mut rng) = (Book::default(), 0, rng());
    for _ in 0..times(6, 50) {
        book.round(&keyring, moment(&mut rng, 500, 80_000), |_| match kind {
            Kind::Sshfs => volume.remote().kill(),
            _ => volume.kill_fuse(),
        });
        if kind == Kind::Sshfs {
            volume.unmount();
            volume.remote().restart();
        }
        volume.mount();
        by_hand += usize::from(rename_as_told(&keyring));
        book.check(&keyring);
    }
    book.report(&format!(
        "the program that serves it killed, {}, renamed by hand {by_hand} times",
        kind.name()
    ));
}

/// Where a rename over an open file takes two steps (libfuse puts the old file aside first), an interruption
/// between them leaves the new file under its other name. Then the message says what to do, and that is done.
fn rename_as_told(keyring: &Keyring) -> bool {
    if keyring.path.exists() {
        return false;
    }
    let new = keyring.path.with_file_name("keyring.new");
    let told = keyring.try_open().expect_err("there is no keyring").to_string();
    assert!(told.contains(&format!("keyringctl verify {}", new.display())), "{told}");
    assert_eq!(keyring.copy(&new).report("verify")["fine"], true);
    fs::rename(&new, &keyring.path).unwrap();
    true
}
