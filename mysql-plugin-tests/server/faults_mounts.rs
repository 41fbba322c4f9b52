// SPDX-License-Identifier: GPL-2.0-or-later
//! Filesystems as sticks carry them (exFAT and NTFS through FUSE, btrfs, xfs), and a file server that
//! hangs and ends (sshfs).

use crate::faults_disk::holds;
use crate::rig::worker::{Book, random};
use crate::rig::{
    Asked, Hang, Host, Keyring, Kind, ROTATE, Server, Volume, agree, agree_with, times, wait_until,
};
use keyring_external::key::{KeyType, NameRef};
use mysql::prelude::Queryable;
use std::fs;
use std::time::Duration;

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

/// The program that serves the mount is killed in the middle of changes, as when a stick loses its power; or
/// the file server's.
pub fn killed(kind: Kind) {
    let volume = Volume::of(kind);
    let keyring = Keyring::init(&volume);
    let mut book = Book::default();
    for _ in 0..times(6, 50) {
        book.round(&keyring, Duration::from_micros(500 + random(80_000)), |_| match kind {
            Kind::Sshfs => volume.remote().kill(),
            _ => volume.kill_fuse(),
        });
        if kind == Kind::Sshfs {
            volume.unmount();
            volume.remote().restart();
        }
        volume.mount();
        book.check(&keyring);
    }
    book.report(&format!("the program that serves it killed, {}", kind.name()));
}

/// A file server that stops answering, answers again, ends, and is there again.
pub fn remote() {
    let volume = Volume::of(Kind::Sshfs);
    let (keyring, host, server) = in_use(&volume);
    hung(&server, &keyring, || volume.remote().hang());

    volume.remote().kill();
    assert!(!generates(&server, "lost"));
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
    agree(&server, &keyring, "DETACHED", "0/1");
    // The mount finds it by itself.
    volume.remote().restart();
    assert!(wait_until(Duration::from_secs(30), || generates(&server, "there again")), "{}", server.log());
    agree(&server, &keyring, "ATTACHED", "1/1");
    server.stop();
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    assert!(keyring.key_of_root("there again").is_some() && keyring.key_of_root("lost").is_none());
    server.stop();
}

/// A server with an encrypted table and a key of its own on a volume.
fn in_use(volume: &Volume) -> (Keyring, Host, Server) {
    let keyring = Keyring::init(volume);
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
    (keyring, host, server)
}

fn generates(server: &Server, id: &str) -> bool {
    server.value::<Option<i32>>(&format!("SELECT keyring_key_generate('{id}', 'AES', 32)")) == Some(1)
}

/// The volume stops answering: the change fails after the time that the manual states, what needs no key
/// goes on meanwhile, and every other change fails at once; it answers again: all works.
fn hung(server: &Server, keyring: &Keyring, hang: impl FnOnce() -> Hang) {
    let hang = hang();
    let mut asked = Asked::about(keyring, server);
    let in_session = |statement: &'static str| {
        let connect = server.connector();
        std::thread::spawn(move || connect().unwrap().query_first::<Option<String>, _>(statement))
    };
    let making = in_session("SELECT keyring_key_generate('hung', 'AES', 32)");
    let waits = || making.is_finished() || server.log().contains("has not answered for");
    std::thread::sleep(Duration::from_secs(1));
    // mysqld lets no session fetch a key while another one makes one.
    let fetching = in_session("SELECT keyring_key_fetch('mine')");
    for n in 0..20 {
        server
            .sql(&format!("INSERT INTO mysql.t VALUES ({n}); DELETE FROM mysql.t WHERE a = {n} AND a <> 7"));
        assert!(server.value::<i64>("SELECT COUNT(*) FROM mysql.t WHERE a = 7") > 0);
        // What was known last: the query does not wait for the change under way.
        assert_eq!(server.status()["state"], "ATTACHED");
    }
    server.sql("DELETE FROM mysql.t; INSERT INTO mysql.t VALUES (7)");
    assert!(!waits(), "the change did not hang, and so proves nothing: {}", server.log());

    let made = making.join().unwrap();
    assert!(matches!(made, Ok(Some(None)) | Err(_)), "{made:?}");
    assert!(server.log().contains("has not answered for 30 seconds"), "{}", server.log());
    assert_eq!(fetching.join().unwrap().unwrap(), Some(Some("value".to_owned())));
    for n in 0..20 {
        assert!(!generates(server, &format!("hung{n}")));
    }
    agree_with(server, &mut asked, "DETACHED", "0/1");
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");

    drop(hang);
    let again = || generates(server, "again");
    assert!(wait_until(Duration::from_secs(30), again), "{}", server.log());
    agree(server, keyring, "ATTACHED", "1/1");
}
