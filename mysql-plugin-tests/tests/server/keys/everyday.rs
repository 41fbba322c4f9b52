// SPDX-License-Identifier: GPL-2.0-or-later
//! What every server does every day.

use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Server, Volume};

/// An encrypted table is read back after a restart and after twenty rotations of the master key, and
/// the server and `keyringctl` agree about the keyring.
pub fn restarts_and_rotations() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);

    let server = host.start();
    assert!(server.log().contains("opened the keyring"), "{}", server.log());
    server.sql(
        "CREATE DATABASE biobank;
         CREATE TABLE biobank.patient (id INT PRIMARY KEY, name VARCHAR(99)) ENCRYPTION='Y';
         INSERT INTO biobank.patient VALUES (1, 'Astrid'), (2, 'Birger')",
    );
    agree(&server, &keyring);
    server.stop();

    let server = host.start();
    assert_eq!(names(&server), ["Astrid", "Birger"]);
    let before = keyring.ids("INNODBKey-").len();
    for _ in 0..20 {
        server.sql(ROTATE);
    }
    assert_eq!(keyring.ids("INNODBKey-").len(), before + 20);
    agree(&server, &keyring);
    server.stop();

    let server = host.start();
    assert_eq!(names(&server), ["Astrid", "Birger"]);
    agree(&server, &keyring);
    server.stop();
}

fn names(server: &Server) -> Vec<String> {
    server.rows("SELECT name FROM biobank.patient ORDER BY id")
}

/// The status variables, `keyringctl status`, `verify` and `list` and performance_schema agree.
fn agree(server: &Server, keyring: &Keyring) {
    let shown = server.status();
    assert_eq!(shown["state"], "ATTACHED", "{shown:?}");
    assert_eq!(shown["copies"], "1/1", "{shown:?}");
    assert_eq!((shown["failures"].as_str(), shown["last_error"].as_str()), ("0", ""), "{shown:?}");
    for command in ["status", "verify"] {
        let report = keyring.report(command);
        assert_eq!(report["fine"], true, "{report}");
        assert_eq!(report["id"], shown["id"].as_str(), "{report}");
        assert_eq!(report["keys"].to_string(), shown["keys"], "{report}");
        assert_eq!(report["generation"].to_string(), shown["generation"], "{report}");
    }
    let listed = keyring.report("list")["keys"].as_array().unwrap().len();
    assert_eq!(listed.to_string(), shown["keys"]);
    assert_eq!(server.value::<usize>("SELECT COUNT(*) FROM performance_schema.keyring_keys"), listed);
}
