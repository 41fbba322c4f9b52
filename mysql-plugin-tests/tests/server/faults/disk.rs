// SPDX-License-Identifier: GPL-2.0-or-later
//! A volume that is read-only, pulled or broken while it is written to: a clear error, nothing
//! acknowledged is lost, and when the fault has passed, all goes on.

use keyring_external::error::Result;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::Keyring as Open;
use mysql_plugin_tests::rig::worker::Book;
use mysql_plugin_tests::rig::{Keyring, Kind, Volume, moment, rng, times};

fn name(id: &str) -> NameRef<'_> {
    NameRef::new(id.as_bytes(), b"").unwrap()
}

fn store(open: &Open, id: &str, len: usize) -> Result<()> {
    open.store(name(id), &KeyType::new(b"SECRET").unwrap(), &vec![id.len() as u8; len])
}

/// The keyring on disk has exactly these keys, each as it was stored.
pub fn holds(keyring: &Keyring, ids: &[String]) {
    let open = keyring.open();
    let mut found = keyring.ids("");
    found.sort();
    let mut expected = ids.to_vec();
    expected.sort();
    assert_eq!(found, expected);
    for id in ids {
        let bytes = open.fetch(&name(id), |key| key.data.to_vec()).unwrap();
        assert!(bytes.iter().all(|b| *b == id.len() as u8), "{id} has other bytes");
    }
}

fn ends_with(result: Result<()>, what: &str, parts: &[&str]) {
    let e = result.expect_err(what).to_string();
    assert!(parts.iter().any(|part| e.contains(part)), "{what}: {e}");
}

/// Mounted read-only while it is in use, and writable again.
pub fn read_only(kind: Kind) {
    let volume = Volume::of(kind);
    let keyring = Keyring::init(&volume);
    let open = keyring.open();
    let mut ids = vec!["one".to_owned(), "two".to_owned()];
    ids.iter().for_each(|id| store(&open, id, 32).unwrap());
    volume.remount("ro");
    for id in ["three", "four"] {
        ends_with(store(&open, id, 32), "store", &["Mount the volume writable"]);
    }
    ends_with(open.remove(name("one")), "remove", &["Mount the volume writable"]);
    assert!(open.fetch(&name("one"), |_| ()).is_some());
    holds(&keyring, &ids);
    volume.remount("rw");
    store(&open, "five", 32).unwrap();
    open.remove(name("two")).unwrap();
    ids = vec!["one".to_owned(), "five".to_owned()];
    holds(&keyring, &ids);
    eprintln!("read-only remount, {}: 3 faults; 0 lost, 0 false", kind.name());
}

/// Pulled while it is written to: lazily unmounted, or its device stops answering, or both.
pub fn pulled(kind: Kind) {
    let volume = Volume::of(kind);
    let keyring = Keyring::init(&volume);
    let (mut book, mut rng) = (Book::default(), rng());
    for n in 0..times(9, 60) {
        book.round(&keyring, moment(&mut rng, 500, 60_000), |_| match n % 3 {
            0 => volume.pull(),
            1 => volume.kill_device(),
            _ => volume.pull_out(),
        });
        assert!(book.error.is_some(), "the worker noticed nothing");
        if n % 3 == 1 {
            volume.unmount();
        }
        volume.mount_when_free();
        book.check(&keyring);
    }
    book.report(&format!("pulled or its device gone, {}", kind.name()));
}
