// SPDX-License-Identifier: GPL-2.0-or-later
//! A volume that is full, read-only, pulled or broken while it is written to: a clear error, nothing
//! acknowledged is lost, and when the fault has passed, all goes on.

use crate::rig::worker::{Book, random};
use crate::rig::{Keyring, Kind, Volume, times};
use keyring_external::error::Result;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::Keyring as Open;
use std::fs;
use std::time::Duration;

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

/// Not a block is free: store, remove and the rewriting of a damaged copy fail or succeed, and nothing
/// is lost.
pub fn full(kind: Kind) {
    let (volume, other) = (Volume::of(kind), Volume::of(Kind::Directory));
    let keyring = Keyring::init(&volume);
    let open = keyring.open();
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push(format!("before{n}"));
        store(&open, &ids[n], 4000).unwrap();
    }
    volume.fill();
    let mut refused = 0;
    for n in 0..60 {
        let id = format!("full{n}");
        match store(&open, &id, 4000) {
            Ok(()) => ids.push(id),
            Err(e) => {
                refused += 1;
                assert!(e.to_string().contains("Free some space on the volume"), "store: {e}");
            }
        }
        holds(&keyring, &ids);
    }
    // XFS keeps blocks back for its own use, and gives some of them away in the end.
    assert!(refused > 0 || kind == Kind::Xfs, "the volume was not full");
    match open.remove(name("before7")) {
        Ok(()) => ids.retain(|id| id != "before7"),
        Err(e) => assert!(e.to_string().contains("Free some space on the volume"), "remove: {e}"),
    }
    holds(&keyring, &ids);

    // A healthy copy elsewhere, and this one damaged: healing needs room for a whole file.
    drop(open);
    let mirror = other.keys().join("keyring");
    fs::copy(&keyring.path, &mirror).unwrap();
    let pair = Keyring { mirrors: vec![mirror], ..keyring.clone() };
    {
        use std::os::unix::fs::FileExt;
        let file = fs::File::options().write(true).open(&keyring.path).unwrap();
        // In place: the last record.
        let end = file.metadata().unwrap().len();
        let _ = file.write_all_at(&[0x55; 8], end - 40);
        // Where every write goes to a new block, there is none for this one.
        let _ = file.sync_all();
    }
    let open = pair.open();
    let _ = open.settle();
    drop(open);
    holds(&pair, &ids);

    volume.make_room();
    let open = pair.open();
    open.settle().unwrap();
    store(&open, "after", 4000).unwrap();
    ids.push("after".to_owned());
    open.remove(name("before1")).unwrap();
    ids.retain(|id| id != "before1");
    drop(open);
    for path in pair.paths() {
        holds(&pair.copy(&path), &ids);
    }
    eprintln!("full disk, {}: {refused} stores refused, 1 remove, 1 heal; 0 lost, 0 false", kind.name());
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
    let mut book = Book::default();
    for n in 0..times(9, 60) {
        book.round(&keyring, Duration::from_micros(500 + random(60_000)), |_| match n % 3 {
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
