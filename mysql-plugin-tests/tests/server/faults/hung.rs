// SPDX-License-Identifier: GPL-2.0-or-later
//! Volumes that do not answer: a file server (sshfs) that is stopped, the program that serves a stick. No call
//! waits longer than the manual says, what needs no key goes on, and when the volume answers again, all works.

use keyring_external::key::{KeyType, NameRef};
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{
    Asked, Hang, Host, Keyring, Kind, ROTATE, Server, Volume, agree, agree_with, moment, rng, times,
    wait_until,
};
use std::fs;
use std::sync::mpsc::channel;
use std::time::Duration;

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
    server.put_to_use();
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
    for _ in 0..20 {
        server.sql("INSERT INTO mysql.t VALUES (8); DELETE FROM mysql.t WHERE a = 8");
        assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
        // What was known last: the query does not wait for the change under way.
        assert_eq!(server.status()["state"], "ATTACHED");
    }
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

/// One of two copies is on a file server that stops answering: the first change waits for it as long as the
/// manual says and is made on the other, later ones are made at once.
pub fn mirror() {
    let (volume, stick) = (Volume::of(Kind::Sshfs), Volume::directory());
    let keyring = Keyring::init_on(&[&volume, &stick]);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.install_udfs();
    agree(&server, &keyring, "ATTACHED", "2/2");
    let hang = volume.remote().hang();
    assert!(generates(&server, "first"), "{}", server.log());
    assert!(server.log().contains("has not answered for 10 seconds"), "{}", server.log());
    for n in 0..20 {
        assert!(generates(&server, &format!("later{n}")), "{}", server.log());
    }
    server.sql(ROTATE);
    let mut asked = Asked::about(&keyring, &server);
    agree_with(&server, &mut asked, "DEGRADED", "1/2");
    drop(hang);
    let back = || server.status()["state"] == "ATTACHED";
    assert!(wait_until(Duration::from_secs(30), back), "{}", server.log());
    agree(&server, &keyring, "ATTACHED", "2/2");
    assert!(fs::read(&keyring.path).unwrap() == fs::read(&keyring.mirrors[0]).unwrap(), "the copies differ");
    server.stop();
    eprintln!("hung for good, one of two copies, sshfs: 1 fault, 22 changes made meanwhile; 0 lost, 0 false");
}

/// The program that serves a stick stops at any moment of a change: whichever request it was that it does
/// not answer, the call returns, and so does every later one.
pub fn sticks() {
    let mut rng = rng();
    let moments: Vec<_> = (0..times(8, 40)).map(|_| moment(&mut rng, 0, 100_000)).collect();
    let threads: Vec<_> = moments.into_iter().map(|after| std::thread::spawn(move || stick(after))).collect();
    let acknowledged: Vec<usize> = threads.into_iter().map(|t| t.join().expect("all was well")).collect();
    eprintln!(
        "hung at any moment, ntfs: {} faults, {} changes acknowledged; 0 lost, 0 false",
        acknowledged.len(),
        acknowledged.iter().sum::<usize>()
    );
}

/// Stops so long after the first changes.
fn stick(after: Duration) -> usize {
    let volume = Volume::of(Kind::Ntfs);
    let keyring = Keyring::init(&volume);
    let open = keyring.open();
    let (tell, told) = channel();
    let working = std::thread::spawn(move || {
        let mut made = Vec::new();
        loop {
            let n = made.len();
            let name = format!("k{n}");
            let name = NameRef::new(name.as_bytes(), b"").unwrap();
            let mut done = open.generate(name, &KeyType::new(b"AES").unwrap(), 32);
            if done.is_ok() && n % 3 == 2 {
                done =
                    open.remove(name).and_then(|()| open.generate(name, &KeyType::new(b"AES").unwrap(), 32));
            }
            match done {
                Ok(()) => made.push(open.fetch(&name, |key| key.data.to_vec()).unwrap()),
                Err(e) => {
                    tell.send(Some(e.to_string())).unwrap();
                    break;
                }
            }
            tell.send(None).unwrap();
        }
        assert_eq!(open.status().copies, (0, 1));
        tell.send(None).unwrap();
        (open, made)
    });
    for _ in 0..3 {
        assert_eq!(told.recv().unwrap(), None);
    }
    std::thread::sleep(after);
    let hang = volume.hang_fuse();
    let next =
        || told.recv_timeout(Duration::from_secs(60)).expect("a call on a hung volume does not return");
    let error = loop {
        if let Some(error) = next() {
            break error;
        }
    };
    assert!(error.contains("has not answered for"), "{error}");
    assert_eq!(next(), None);
    drop(hang);
    let (open, made) = working.join().unwrap();
    let back = || {
        open.maintain();
        open.known_status().copies == (1, 1)
    };
    assert!(wait_until(Duration::from_secs(60), back));
    let (name, again) = (NameRef::new(b"again", b"").unwrap(), KeyType::new(b"AES").unwrap());
    open.generate(name, &again, 32).unwrap();
    drop(open);
    let open = keyring.open();
    for (n, bytes) in made.iter().enumerate() {
        let name = format!("k{n}");
        let found = open.fetch(&NameRef::new(name.as_bytes(), b"").unwrap(), |key| key.data.to_vec());
        assert_eq!(found.as_ref(), Some(bytes), "{name}");
    }
    made.len()
}
