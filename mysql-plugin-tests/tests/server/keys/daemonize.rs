// SPDX-License-Identifier: GPL-2.0-or-later
//! `mysqld --daemonize`: it opens the component's keyring, and forks then. The keys that the child hands out and
//! makes are the ones in the file, before and after an ordinary start.

use mysql_plugin_tests::rig::component::{
    OURS, configuration_of, host_with, host_with_components, load_component,
};
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Server, Volume};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

pub fn component() {
    starts_in_turn(host_with);
}

pub fn plugin() {
    starts_in_turn(|keyring| Host::new().keyring(keyring));
}

/// A daemon on an empty keyring, and on one with keys in it.
fn starts_in_turn(host_of: impl Fn(&Keyring) -> Host) {
    for keys_before in [false, true] {
        let volume = Volume::directory();
        let keyring = Keyring::init(&volume);
        let host = host_of(&keyring);
        if keys_before {
            let server = host.start();
            make_table(&server, "before");
            server.stop();
        }
        let server = host.daemonize();
        if keys_before {
            check_table(&server, "before");
            check_locked(&server);
        }
        make_table(&server, "daemon");
        check_locked(&server);
        server.stop();
        is_whole(&keyring, if keys_before { 3 } else { 2 });

        let server = host.start();
        if keys_before {
            check_table(&server, "before");
        }
        check_table(&server, "daemon");
        server.sql(ROTATE);
        server.stop();
        is_whole(&keyring, if keys_before { 4 } else { 3 });
        let server = host.daemonize();
        check_table(&server, "daemon");
        server.stop();
    }
}

pub fn component_in_a_container() {
    first_start_of_a_container(|keyring| {
        let configuration = configuration_of(keyring).replace('}', r#", "auto_create": true}"#);
        let host = host_with_components(&[(OURS, configuration)]);
        load_component(&host, OURS);
        host
    });
}

pub fn plugin_in_a_container() {
    first_start_of_a_container(|keyring| {
        Host::new().keyring(keyring).option("--keyring-external-auto-create=ON")
    });
}

/// What the entrypoint of MySQL's official image does: it makes the data directory, runs its scripts against a daemon
/// without network, shuts that down, and starts the server.
fn first_start_of_a_container(host_of: impl Fn(&Keyring) -> Host) {
    let volume = Volume::directory();
    let keyring = Keyring {
        path: volume.keys().join("keyring"),
        secret: volume.mount_point().with_extension("secret"),
        mirrors: Vec::new(),
        min_copies: 1,
        remotes: None,
    };
    fs::write(&keyring.secret, [0xc4; 32]).unwrap();
    fs::set_permissions(&keyring.secret, fs::Permissions::from_mode(0o600)).unwrap();
    let host = host_of(&keyring);

    host.initialize();
    let temporary = host.daemonize();
    make_table(&temporary, "script");
    check_locked(&temporary);
    let mut admin = Command::new(mysql_plugin_tests::rig::program("mysqladmin"));
    admin.args(["--no-defaults", "-uroot", "shutdown"]).arg(format!("--socket={}", host.socket().display()));
    mysql_plugin_tests::rig::run(&mut admin);
    temporary.stop();
    is_whole(&keyring, 2);

    let server = host.start();
    check_table(&server, "script");
    make_table(&server, "later");
    server.stop();
    is_whole(&keyring, 3);
}

/// An encrypted table with a row, and a new master key for it.
fn make_table(server: &Server, name: &str) {
    server.sql(&format!(
        "CREATE TABLE mysql.{name} (a VARCHAR(20)) ENCRYPTION='Y';
         INSERT INTO mysql.{name} VALUES ('{name}');
         {ROTATE}"
    ));
    check_table(server, name);
}

fn check_table(server: &Server, name: &str) {
    assert_eq!(server.value::<String>(&format!("SELECT a FROM mysql.{name}")), name);
}

/// The keyring is whole and holds so many master keys.
fn is_whole(keyring: &Keyring, keys: usize) {
    let report = keyring.report("verify");
    assert_eq!(report["fine"], true, "{report}");
    assert_eq!(keyring.ids("INNODBKey-").len(), keys);
}

/// Key memory of the server is locked, in the process that is the server now and has used a key.
fn check_locked(server: &Server) {
    if server.log().contains("could not be locked") {
        eprintln!("the limit of locked memory is too low here to see whether keys are in it");
        return;
    }
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    let kib: u64 = locked.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib > 0, "nothing is locked");
}
