// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring's volume loses its power the moment a change was acknowledged (invariant 1). The data
//! directory is on another filesystem, as always, and loses nothing.

use mysql_plugin_tests::rig::{Feature, Host, Keyring, ROTATE, Server, Volume, needs, place};
use std::fs;

/// Six times: change the keyring, cut the power, start again; nothing acknowledged is lost. In turn the
/// last change before the cut is an append (a stored key, a new master key in use) and a rewriting of the
/// file (a removed key): the one would make the other durable too.
pub fn acknowledged_keys_are_there() {
    let volume = Volume::ext4();
    let keyring = Keyring::init(&volume);
    cut_power(&volume, None);
    assert_eq!(keyring.report("verify")["keys"], 0, "a keyring just made is there after a power cut");

    let host = Host::new().keyring(&keyring);
    let mut server = host.start();
    server.install_udfs();
    let fetch = |server: &Server, id: &str| {
        server.value::<Option<String>>(&format!("SELECT keyring_key_fetch('{id}')"))
    };
    for round in 1..=6 {
        if round % 3 == 0 {
            let last = format!("kept{}", round - 1);
            assert_eq!(server.value::<i32>(&format!("SELECT keyring_key_remove('{last}')")), 1);
            cut_power(&volume, Some(server));
            server = host.start();
            assert_eq!(fetch(&server, &last), None, "the removed key is gone");
        } else if round % 3 == 1 {
            server.sql(&format!("DO keyring_key_store('kept{round}', 'SECRET', 'value {round}')"));
            cut_power(&volume, Some(server));
            server = host.start();
        } else {
            server.sql(&format!(
                "DO keyring_key_store('kept{round}', 'SECRET', 'to be removed');
                 {ROTATE};
                 CREATE TABLE mysql.t{round} (a VARCHAR(99)) ENCRYPTION='Y';
                 INSERT INTO mysql.t{round} VALUES ('row {round}')"
            ));
            cut_power(&volume, Some(server));
            server = host.start();
        }
        for r in (1..=round).filter(|r| r % 3 == 2) {
            assert_eq!(server.value::<String>(&format!("SELECT a FROM mysql.t{r}")), format!("row {r}"));
        }
        for r in (1..=round).filter(|r| r % 3 == 1) {
            assert_eq!(fetch(&server, &format!("kept{r}")), Some(format!("value {r}")));
        }
        server.comes_to(&[("state", "ATTACHED")]);
    }
    server.stop();
    assert_eq!(keyring.report("verify")["fine"], true);
}

/// The yardstick: with Oracle's `component_keyring_file`, which never syncs, the same loses the instance.
/// When this fails, the power cut of these tests cuts nothing.
pub fn component_keyring_file_loses_the_instance() {
    needs(Feature::Manifest);
    needs(Feature::Library("component_keyring_file.so"));
    let volume = Volume::ext4();
    let host = Host::new();
    // A manifest is looked for beside the program: this server has one of its own.
    let bin = host.dir().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::copy(&place().mysqld, bin.join("mysqld")).unwrap();
    fs::write(bin.join("mysqld.my"), r#"{ "components": "file://component_keyring_file" }"#).unwrap();
    let path = volume.keys().join("component_keyring_file");
    fs::write(
        host.datadir().join("component_keyring_file.cnf"),
        format!(r#"{{ "path": "{}", "read_only": false }}"#, path.display()),
    )
    .unwrap();
    let host = host.mysqld(bin.join("mysqld"));

    let server = host.start();
    server.sql(
        "CREATE TABLE mysql.t (a INT) ENCRYPTION='Y';
         INSERT INTO mysql.t VALUES (1)",
    );
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 1);
    assert!(fs::metadata(&path).unwrap().len() > 100, "the key was written");
    cut_power(&volume, Some(server));

    let failure = host.try_start().expect_err("the key was lost, and with it the instance");
    eprintln!("component_keyring_file after a power cut: {}", first_error(&failure.log));
    assert!(failure.status.is_some_and(|s| !s.success()), "{failure}");
}

/// Cuts the power of a volume, takes the server down with it, and brings the volume back as it is then.
fn cut_power(volume: &Volume, server: Option<Server>) {
    let unsynced = volume.mount_point().join("unsynced");
    fs::write(&unsynced, "nobody has made this durable").unwrap();
    volume.cut_power();
    drop(server);
    volume.unmount();
    volume.mount();
    assert!(!unsynced.exists(), "the power cut lost nothing, and so proves nothing");
}

fn first_error(log: &str) -> &str {
    log.lines().find(|line| line.contains("[ERROR]")).unwrap_or("no error in the log")
}
