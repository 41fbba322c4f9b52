// SPDX-License-Identifier: GPL-2.0-or-later
//! The volume is not there: at start, while the server runs, or not yet.

use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Volume};
use std::fs;
use std::time::{Duration, Instant};

/// Without its volume the server refuses to start, says what to do, and creates nothing.
pub fn at_start(volume: &Volume) {
    let keyring = Keyring::init(volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.sql(
        "CREATE TABLE mysql.t (a INT) ENCRYPTION='Y';
         INSERT INTO mysql.t VALUES (7)",
    );
    server.stop();

    volume.unmount();
    let failure = host.try_start().expect_err("the volume is not there");
    assert!(failure.status.is_some_and(|s| s.code().is_some_and(|code| code != 0)), "{failure}");
    for part in [
        format!("there is no keyring at {}", keyring.path.display()),
        "Mount the volume that holds it and try again; nothing was created".to_owned(),
    ] {
        assert!(failure.log.contains(&part), "{part:?} is missing: {failure}");
    }
    let found: Vec<_> = fs::read_dir(volume.mount_point()).unwrap().collect();
    assert!(found.is_empty(), "created at the mount point: {found:?}");

    volume.mount();
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    server.stop();
}

/// The volume is taken away while the server runs: nothing holds it, reads go on, changes fail cleanly,
/// and when it is back, all is as before without a restart.
pub fn while_running(volume: &Volume) {
    let keyring = Keyring::init(volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.put_to_use();
    server.sql(ROTATE);

    assert_eq!(volume.held_by(server.pid()), Vec::<String>::new());
    volume.unmount();
    server.comes_to(&[("state", "DETACHED")]);
    server.comes_to(&[("copies", "0/1")]);
    server.sql("FLUSH TABLES");
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
    // Its tablespace key is sealed with a master key that is on the volume already.
    server.sql("CREATE TABLE mysql.u (a INT) ENCRYPTION='Y'; INSERT INTO mysql.u VALUES (8)");

    server.sql_error(ROTATE);
    assert_eq!(server.value::<Option<i32>>("SELECT keyring_key_generate('new', 'AES', 32)"), None);
    assert_eq!(server.value::<Option<i32>>("SELECT keyring_key_remove('mine')"), None);
    let log = server.log();
    assert!(log.contains(&format!("there is no keyring at {}", keyring.path.display())), "{log}");
    let status = server.status();
    assert!(status["last_error"].contains(&keyring.path.display().to_string()), "{status:?}");
    assert!(status["failures"].parse::<u32>().unwrap() >= 3, "{status:?}");
    assert_eq!(fs::read_dir(volume.mount_point()).unwrap().count(), 0, "something was created");

    volume.mount();
    server.comes_to(&[("state", "ATTACHED")]);
    server.sql(ROTATE);
    assert_eq!(server.value::<i32>("SELECT keyring_key_generate('new', 'AES', 32)"), 1);
    server.stop();

    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.u"), 8);
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
    server.stop();
}

/// A volume that is mounted two seconds after the server was started is waited for.
pub fn mounted_late(volume: &Volume) {
    let keyring = Keyring::init(volume);
    let host = Host::new().keyring(&keyring).option("--keyring-external-wait=20");
    volume.unmount();
    let began = Instant::now();
    let mut server = host.launch();
    std::thread::sleep(Duration::from_secs(2));
    assert!(server.is_running(), "it did not wait:\n{}", server.log());
    volume.mount();
    let server = server.ready().unwrap_or_else(|e| panic!("it did not start: {e}"));
    assert!(began.elapsed() < Duration::from_secs(18), "it took {:?}", began.elapsed());
    server.comes_to(&[("state", "ATTACHED")]);
    server.stop();
}
