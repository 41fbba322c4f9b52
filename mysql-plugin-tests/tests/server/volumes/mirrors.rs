// SPDX-License-Identifier: GPL-2.0-or-later
//! Two copies on two volumes: one goes, comes back, dies, or is not the one it was. In every situation
//! the server and `keyringctl status` tell the same.

use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Server, Snapshot, Volume, agree, told};
use std::fs;
use std::path::Path;

/// Two ext4 volumes with a keyring, and a server that has an encrypted table.
fn two_sticks(kind: fn() -> Volume) -> (Volume, Volume, Keyring, Host, Server) {
    let (a, b) = (kind(), kind());
    let keyring = Keyring::init_on(&[&a, &b]);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.put_to_use();
    agree(&server, &keyring, "ATTACHED", "2/2");
    same(&keyring);
    (a, b, keyring, host, server)
}

/// All copies are the same, byte for byte.
fn same(keyring: &Keyring) {
    let first = fs::read(&keyring.path).unwrap();
    for mirror in &keyring.mirrors {
        assert!(fs::read(mirror).unwrap() == first, "{} differs", mirror.display());
    }
}

fn generate(server: &Server, id: &str) {
    let made = server.value::<Option<i32>>(&format!("SELECT keyring_key_generate('{id}', 'AES', 32)"));
    assert_eq!(made, Some(1), "{id}: {}", server.log());
}

fn reads(server: &Server) {
    server.sql("FLUSH TABLES");
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
}

/// Either goes and comes back, then both.
pub fn come_and_go() {
    let (a, b, keyring, host, server) = two_sticks(Volume::ext4);
    for (n, stick) in [&b, &a].into_iter().enumerate() {
        stick.unmount();
        agree(&server, &keyring, "DEGRADED", "1/2");
        generate(&server, &format!("without{n}"));
        server.sql(ROTATE);
        assert_eq!(server.value::<i32>(&format!("SELECT keyring_key_remove('without{n}')")), 1);
        reads(&server);
        agree(&server, &keyring, "DEGRADED", "1/2");
        assert!(server.log().contains("is out of use"), "{}", server.log());

        stick.mount();
        agree(&server, &keyring, "ATTACHED", "2/2");
        assert!(server.log().contains("is up to date again"), "{}", server.log());
        same(&keyring);
    }

    a.unmount();
    b.unmount();
    agree(&server, &keyring, "DETACHED", "0/2");
    reads(&server);
    server.sql_error(ROTATE);
    assert_eq!(server.value::<Option<i32>>("SELECT keyring_key_generate('none', 'AES', 32)"), None);
    let log = server.log();
    for path in keyring.paths() {
        assert!(log.contains(&path.display().to_string()), "{log}");
    }
    assert!(log.contains("so nothing was changed") && log.contains("Mount its volume"), "{log}");
    a.mount();
    b.mount();
    // The next write works, with no query of the status before it.
    server.sql(ROTATE);
    generate(&server, "both");
    agree(&server, &keyring, "ATTACHED", "2/2");
    same(&keyring);
    server.stop();

    // At start one is not there: the server starts with the other, and catches up.
    a.unmount();
    let server = host.start();
    agree(&server, &keyring, "DEGRADED", "1/2");
    reads(&server);
    generate(&server, "later");
    server.stop();
    a.mount();
    let server = host.start();
    assert!(server.log().contains("is behind or damaged"), "{}", server.log());
    agree(&server, &keyring, "ATTACHED", "2/2");
    same(&keyring);
    reads(&server);
    server.stop();
}

/// One is dead for good: a new, empty one and `keyringctl sync`, and nobody restarts anything.
pub fn dead_and_replaced() {
    let (_a, b, keyring, host, mut server) = two_sticks(Volume::ext4);
    b.kill_device();
    generate(&server, "dying");
    b.pull();
    agree(&server, &keyring, "DEGRADED", "1/2");
    generate(&server, "alone");
    b.replace_by_new();
    agree(&server, &keyring, "DEGRADED", "1/2");

    let mirror = &keyring.mirrors[0];
    let sync = keyring.ctl_with(
        &["sync", "--create", "--yes"],
        [keyring.path.as_os_str(), "--mirror".as_ref(), mirror.as_os_str()],
    );
    assert!(sync.status.success(), "{}", told(&sync));
    assert!(server.is_running());
    agree(&server, &keyring, "ATTACHED", "2/2");
    generate(&server, "two again");
    server.sql(ROTATE);
    agree(&server, &keyring, "ATTACHED", "2/2");
    same(&keyring);
    reads(&server);
    server.stop();
    host.start().stop();
}

/// A copy from earlier is mounted in the place of one that the server uses: it is brought up to date from what the
/// server holds beside it, as at a start.
pub fn older_copy_while_running() {
    let (_a, b, keyring, host, server) = two_sticks(Volume::ext4);
    let mut server = Some(server);
    let running = server.as_ref().expect("it runs");
    b.unmount();
    b.keep_as("old");
    b.mount();
    generate(running, "newer");
    running.sql(ROTATE);
    agree(running, &keyring, "ATTACHED", "2/2");
    for (restarted, put, keep) in [(false, "old", "new"), (true, "new", "last")] {
        let server = if restarted { host.start() } else { server.take().expect("it runs") };
        b.unmount();
        b.put_back(put, keep);
        b.mount();
        agree(&server, &keyring, "ATTACHED", "2/2");
        same(&keyring);
        generate(&server, if restarted { "after" } else { "before" });
        reads(&server);
        server.stop();
    }
}

/// The stick in a safe: the server is started anew while it is away, keys are made and removed, and it is mounted again.
pub fn away_over_a_restart() {
    let (_a, b, keyring, host, server) = two_sticks(Volume::ext4);
    b.unmount();
    generate(&server, "before the restart");
    server.stop();
    let server = host.start();
    agree(&server, &keyring, "DEGRADED", "1/2");
    for n in 0..60 {
        server.sql(ROTATE);
        generate(&server, &format!("passing{n}"));
        assert_eq!(server.value::<i32>(&format!("SELECT keyring_key_remove('passing{n}')")), 1);
    }
    assert_eq!(server.value::<i32>("SELECT keyring_key_remove('mine')"), 1);
    b.mount();
    agree(&server, &keyring, "ATTACHED", "2/2");
    same(&keyring);
    server.stop();
    host.start().stop();
}

/// What the data directory has seen is newer than the keyring, or another one.
pub fn older_and_foreign_at_start() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    assert!(!server.log().contains("there was no witness"), "{}", server.log());
    // A client asks: the server got through its start.
    server.status();
    assert!(server.log().contains("there was no witness"), "{}", server.log());
    server.install_udfs();
    generate(&server, "old");
    let old = fs::read(&keyring.path).unwrap();
    let old_generation = server.status()["generation"].clone();
    generate(&server, "new");
    generate(&server, "newer");
    let (generation, id) = (server.status()["generation"].clone(), server.status()["id"].clone());
    server.stop();
    let new = fs::read(&keyring.path).unwrap();

    let refused = |parts: &[&str]| {
        let before = Snapshot::of(&volume.mount_point());
        let failure = host.try_start().expect_err("it was to be refused");
        assert!(failure.status.is_some_and(|s| !s.success()), "{failure}");
        for part in parts {
            assert!(failure.log.contains(part), "{part:?} is missing: {failure}");
        }
        assert_eq!(Snapshot::of(&volume.mount_point()), before, "the volume was changed");
    };
    fs::write(&keyring.path, &old).unwrap();
    refused(&[
        &format!("holds generation {old_generation} of keyring {id}"),
        &format!("was last used with generation {generation}"),
        "keyringctl witness accept",
    ]);
    fs::write(&keyring.path, &new).unwrap();
    let server = host.start();
    assert_eq!(server.status()["generation"], generation);
    agree(&server, &keyring, "ATTACHED", "1/1");
    server.stop();

    // Another keyring, of another secret.
    let other_volume = Volume::directory();
    let other = Keyring::init(&other_volume);
    fs::copy(&other.path, &keyring.path).unwrap();
    let secret = fs::read(&keyring.secret).unwrap();
    fs::copy(&other.secret, &keyring.secret).unwrap();
    let found = other.report("status")["id"].as_str().unwrap().to_owned();
    refused(&[&found, &id, "was last used with keyring", "keyringctl witness accept"]);
    fs::write(&keyring.secret, secret).unwrap();

    // The newer one is lost for good: the old one is accepted on purpose, and not without being asked.
    fs::write(&keyring.path, &old).unwrap();
    let datadir = host.datadir();
    let args = [keyring.path.as_os_str(), "--datadir".as_ref(), datadir.as_os_str()];
    let unasked = keyring.ctl_with(&["witness", "accept"], args);
    assert!(!unasked.status.success(), "{}", told(&unasked));
    refused(&["was last used with generation"]);
    let accepted = keyring.ctl_with(&["witness", "accept", "--yes"], args);
    assert!(accepted.status.success(), "{}", told(&accepted));
    let server = host.start();
    assert_eq!(server.status()["generation"], old_generation);
    agree(&server, &keyring, "ATTACHED", "1/1");
    server.stop();
}

/// A change must reach two copies, and one is missing: it is refused, and not begun on the other.
pub fn too_few() {
    let (a, b) = (Volume::directory(), Volume::directory());
    let mut keyring = Keyring::init_on(&[&a, &b]);
    keyring.min_copies = 2;
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.install_udfs();
    generate(&server, "mine");
    agree(&server, &keyring, "ATTACHED", "2/2");

    b.unmount();
    agree(&server, &keyring, "DEGRADED", "1/2");
    let before = fs::read(&keyring.path).unwrap();
    server.sql_error(ROTATE);
    assert_eq!(server.value::<Option<i32>>("SELECT keyring_key_generate('new', 'AES', 32)"), None);
    assert_eq!(server.value::<Option<i32>>("SELECT keyring_key_remove('mine')"), None);
    assert_eq!(server.value::<Option<i32>>("SELECT keyring_key_length_fetch('mine')"), Some(32));
    assert!(server.log().contains("only 1 of the 2 copies"), "{}", server.log());
    assert!(fs::read(&keyring.path).unwrap() == before, "the copy that is there was changed");
    let beside: Vec<_> = fs::read_dir(a.keys()).unwrap().collect();
    assert_eq!(beside.len(), 1, "something is left beside it: {beside:?}");
    agree(&server, &keyring, "DEGRADED", "1/2");

    b.mount();
    generate(&server, "new");
    server.sql(ROTATE);
    agree(&server, &keyring, "ATTACHED", "2/2");
    same(&keyring);
    server.stop();
}

/// A keyring with two copies, some keys, and a host that has never used it.
fn at_rest() -> (Volume, Volume, Keyring, Host) {
    let (a, b) = (Volume::directory(), Volume::directory());
    let keyring = Keyring::init_on(&[&a, &b]);
    ["one", "two", "three"].iter().for_each(|id| keyring.store(id));
    let host = Host::new().keyring(&keyring);
    (a, b, keyring, host)
}

fn refused(host: &Host, volumes: [&Volume; 2], parts: &[&str]) {
    let before = volumes.map(|v| Snapshot::of(&v.mount_point()));
    let failure = host.try_start().expect_err("it was to be refused");
    assert!(failure.status.is_some_and(|s| !s.success()), "{failure}");
    for part in parts {
        assert!(failure.log.contains(part), "{part:?} is missing: {failure}");
    }
    assert_eq!(volumes.map(|v| Snapshot::of(&v.mount_point())), before, "a volume was changed");
}

/// Two copies that were changed apart: neither is taken, and neither touched.
pub fn fork() {
    let (a, b, keyring, host) = at_rest();
    let (first, second) = (keyring.path.clone(), keyring.mirrors[0].clone());
    keyring.copy(&first).store("here");
    keyring.copy(&second).store("there");
    let names = [first.display().to_string(), second.display().to_string()];
    refused(&host, [&a, &b], &[&names[0], &names[1], "have diverged"]);
    let status = keyring.ctl("status");
    assert!(!status.status.success() && told(&status).contains("diverged"), "{}", told(&status));
}

/// A damaged copy is healed from the other one; when the damaged one is the newer, none is taken.
pub fn damage() {
    let (a, b, keyring, host) = at_rest();
    let second = keyring.mirrors[0].clone();
    type Spoil = dyn Fn(&mut Vec<u8>);
    let spoilt: [(&str, &Spoil); 4] = [
        ("flipped bytes", &|bytes| bytes[8192..].iter_mut().step_by(97).for_each(|b| *b ^= 0x20)),
        ("a sector of zeros in the records", &|bytes| {
            let end = bytes.len();
            bytes[end - 100..].fill(0);
        }),
        ("a sector of zeros at its begin", &|bytes| bytes[..512].fill(0)),
        ("cut short", &|bytes| bytes.truncate(bytes.len() - 40)),
    ];
    for (n, (what, spoil)) in spoilt.into_iter().enumerate() {
        let whole = fs::read(&second).unwrap();
        let mut bytes = whole.clone();
        spoil(&mut bytes);
        assert!(bytes != whole, "{what}");
        fs::write(&second, &bytes).unwrap();
        let status = keyring.ctl("status");
        assert!(!status.status.success(), "{what}: {}", told(&status));
        let server = host.start();
        agree(&server, &keyring, "ATTACHED", "2/2");
        same(&keyring);
        if n == 0 {
            server.install_udfs();
        }
        generate(&server, what);
        agree(&server, &keyring, "ATTACHED", "2/2");
        let log = server.log();
        assert!(log.contains(&format!("{} is behind or damaged", second.display())), "{what}: {log}");
        same(&keyring);
        server.stop();
    }

    ["four", "five"].iter().for_each(|id| keyring.copy(&second).store(id));
    spoil_records(&second);
    let name = second.display().to_string();
    refused(&host, [&a, &b], &[&name, "is damaged at byte", "newer than every intact copy"]);
}

fn spoil_records(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let end = bytes.len();
    bytes[end - 60] ^= 1;
    fs::write(path, bytes).unwrap();
}
