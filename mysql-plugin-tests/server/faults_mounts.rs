// SPDX-License-Identifier: GPL-2.0-or-later
//! Filesystems as sticks carry them (exFAT and NTFS through FUSE, btrfs, xfs), and a file server that
//! hangs and ends (sshfs).

use crate::faults_disk::holds;
use crate::rig::worker::{Book, random};
use crate::rig::{Host, Keyring, Kind, ROTATE, Volume, agree, times};
use keyring_external::key::{KeyType, NameRef};
use mysql::prelude::Queryable;
use std::fs;
use std::time::{Duration, Instant};

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
        assert_eq!(open.status().copies, (2, 2));
        volume.unmount();
        assert_eq!(open.status().copies, (1, 2));
        open.store(name("alone"), &value, &[5; 300]).unwrap();
        volume.mount();
        assert_eq!(open.status().copies, (2, 2));
        open.remove(name("alone")).unwrap();
        for path in keyring.paths() {
            holds(&keyring.copy(&path), &ids);
        }
    }
    assert!(fs::read(&keyring.path).unwrap() == fs::read(&keyring.mirrors[0]).unwrap());
    assert_eq!(fs::read_dir(volume.keys()).unwrap().count(), 1, "something is left beside it");
}

/// The program that serves the mount is killed in the middle of changes, as when a stick loses its power.
pub fn killed(kind: Kind) {
    let volume = Volume::of(kind);
    let keyring = Keyring::init(&volume);
    let mut book = Book::default();
    for _ in 0..times(6, 50) {
        book.round(&keyring, Duration::from_micros(500 + random(80_000)), |_| volume.kill_fuse());
        volume.mount();
        book.check(&keyring);
    }
    book.report(&format!("the FUSE program killed, {}", kind.name()));
}

/// The file server stops answering: the change fails, everything else in the server goes on at once; it
/// answers again: all works; it ends: changes fail, and work again on a new mount.
pub fn remote() {
    let volume = Volume::of(Kind::Sshfs);
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.install_udfs();
    server.sql(
        "CREATE TABLE mysql.t (a INT) ENCRYPTION='Y';
         INSERT INTO mysql.t VALUES (7);
         DO keyring_key_store('mine', 'SECRET', 'value')",
    );
    server.sql(ROTATE);
    agree(&server, &keyring, "ATTACHED", "1/1");

    volume.remote().hang();
    let connect = server.connector();
    let storing = std::thread::spawn(move || {
        let ask = "SELECT keyring_key_generate('hung', 'AES', 32)";
        connect().unwrap().query_first::<Option<i32>, _>(ask).map(Option::flatten)
    });
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
    }
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    if storing.is_finished() {
        panic!("the store did not hang, and so proves nothing: {:?}", storing.join().unwrap());
    }
    eprintln!("hang, sshfs: 20 fetches in {:?} while a store hung", began.elapsed());
    let stored = storing.join().unwrap();
    assert!(matches!(stored, Ok(None) | Err(_)), "{stored:?}");
    let log = server.log();
    assert!(log.contains("has not answered for"), "{log}");
    assert_eq!(server.status()["state"], "DETACHED");

    volume.remote().go_on();
    let works = |id: &str| {
        server.value::<Option<i32>>(&format!("SELECT keyring_key_generate('{id}', 'AES', 32)")) == Some(1)
    };
    assert!(crate::rig::wait_until(Duration::from_secs(30), || works("again")), "{}", server.log());
    agree(&server, &keyring, "ATTACHED", "1/1");

    volume.remote().kill();
    assert!(!works("lost"));
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
    assert_eq!(server.status()["state"], "DETACHED");
    volume.unmount();
    volume.remote().restart();
    volume.mount();
    assert!(works("mounted again"), "{}", server.log());
    agree(&server, &keyring, "ATTACHED", "1/1");
    server.stop();
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    server.stop();
}
