// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs `keyringctl` on copies at a remote: a small engine on loopback that speaks as much of etcd's JSON gateway as
//! keyrings need.

#[path = "../../../tests/common/mod.rs"]
mod common;
mod engine;
mod host;
#[path = "../mock_host/mod.rs"]
mod mock_host;
mod retention;
mod set_aside;
mod setup;
#[path = "../../../tests/common/typing.rs"]
mod typing;

use host::Host;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_copy_at_a_remote_stands_where_a_path_does() {
    let host = Host::with_keyring();
    let unlock = "--unlock file:DIR/secret";
    let status = host.fine("status @b/fleet/db1 DIR/k");
    assert!(status.contains("2/2 copies are up to date"), "{status}");
    assert!(status.contains("etcd at http://127.0.0.1:") && status.contains("on loopback"), "{status}");
    let status: Value = serde_json::from_str(&host.fine("status @b/fleet/db1 DIR/k --json")).unwrap();
    assert_eq!(status["copies"][0]["remote"]["tls"], false);
    assert!(status["copies"][1].get("remote").is_none());
    host.fine(&format!("verify @b/fleet/db1 DIR/k {unlock}"));
    host.fine(&format!("list @b/fleet/db1 {unlock} --json"));
    host.fine(&format!("check @b/fleet/db1 DIR/k {unlock} --json"));
    host.fine("slot list @b/fleet/db1");
    // A change of slots reaches the copy that is named beside it.
    host.write("other", "0123456789abcdef0123456789abcdef");
    host.fine(&format!("slot add @b/fleet/db1 --mirror DIR/k {unlock} --new file:DIR/other"));
    host.fine(&format!("rekey @b/fleet/db1 --mirror DIR/k {unlock} --yes"));
    let status = host.fine("status @b/fleet/db1 DIR/k --unlock file:DIR/other");
    assert!(status.contains("2/2 copies are up to date"), "{status}");
    // Both ways: from a remote to a file, and from a file to a remote.
    host.fine(&format!("sync @b/fleet/db1 --mirror DIR/new {unlock} --create --yes"));
    host.fine(&format!("sync DIR/new --mirror @b/fleet/db2 {unlock} --create --yes"));
    host.fine(&format!("backup @b/fleet/db2 DIR/backup {unlock}"));
    host.fine(&format!("backup DIR/k @b/backups/today {unlock}"));
    assert_eq!(
        fs::read(host.dir.path().join("k")).unwrap(),
        fs::read(host.dir.path().join("backup")).unwrap()
    );
    host.refused(&format!("backup DIR/k @b/backups/today {unlock}"), 2, "@b/backups/today");
    host.refused(
        &format!("export --to component_keyring_file @b/fleet/db1 @b/x {unlock}"),
        2,
        "cannot export to @b/x",
    );
    host.refused("init @b/fleet/db1 --unlock file:DIR/secret", 2, "@b/fleet/db1");
}

/// There are object stores that take the conditions of a put and ignore them.
#[test]
fn no_copy_is_created_at_an_engine_that_ignores_conditions() {
    let host = Host::with_keyring();
    let before = host.engine.names();
    host.engine.ignore_conditions();
    let why = "cannot hold a keyring: it overwrites an object";
    let unlock = "--unlock file:DIR/secret";
    host.refused("init @b/new --mirror DIR/new --unlock file:DIR/other --generate-secret", 2, why);
    host.refused(&format!("sync DIR/k --mirror @b/new {unlock} --create --yes"), 2, why);
    host.refused(&format!("backup DIR/k @b/new {unlock}"), 2, why);
    assert_eq!(host.engine.names(), before);
    assert!(!host.dir.path().join("other").exists() && !host.dir.path().join("new").exists());
    // What exists can still be read.
    host.fine(&format!("verify @b/fleet/db1 {unlock}"));
}

#[test]
fn messages_about_a_copy_at_a_remote_speak_of_no_volume() {
    let host = Host::with_keyring();
    let unlock = "--unlock file:DIR/secret";
    for line in [
        "status @b/none".to_owned(),
        "status @b/none @b/fleet/db1".to_owned(),
        "status @b/none @b/gone".to_owned(),
        "check @b/none".to_owned(),
        format!("verify @b/none {unlock}"),
        format!("list @b/none {unlock}"),
        format!("sync @b/none --mirror @b/gone {unlock}"),
        format!("backup @b/none DIR/copy {unlock}"),
        "slot list @b/none".to_owned(),
    ] {
        let ended = host.run(&line);
        let told = ended.stdout + &ended.stderr;
        assert!(ended.code != 0 && told.contains("@b/none"), "{line}: {told}");
        for word in ["olume", "ount ", "dmesg", "the file"] {
            assert!(!told.contains(word), "{line}: {told}");
        }
    }
}

#[test]
fn copies_at_one_remote_get_a_warning() {
    let host = Host::new();
    let made = host.fine("init @b/db1 --mirror @b/db2 --unlock file:DIR/secret --generate-secret");
    assert!(made.contains("@b/db1 and @b/db2 are at the same remote"), "{made}");
}

#[test]
fn a_remote_that_cannot_be_used_is_named_with_what_to_do() {
    let host = Host::with_keyring();
    host.refused("status @c/db1", 2, "has no remote \"c\": it has b");
    host.refused("status @b", 2, "write @b/PREFIX");
    host.refused("status @b/fleet/db9", 1, "@b/fleet/db9");
    host.engine.refuse(Some(403));
    host.refused("fleet status @b", 2, "cannot list @b: ");
    let ended = host.run("fleet check @b");
    assert!(ended.code == 3 && ended.stdout.starts_with("UNKNOWN: cannot list @b"), "{ended:?}");
    host.engine.refuse(None);
    host.fine("fleet check @b");
    fs::set_permissions(host.dir.path().join("remotes"), fs::Permissions::from_mode(0o644)).unwrap();
    host.refused("status @b/fleet/db1", 2, "chmod");
}

#[test]
fn a_fleet_is_seen_without_a_secret() {
    let host = Host::with_keyring();
    host.fine("init @b/lab/db7 --unlock file:DIR/secret --label Lab");
    let shown = host.fine("fleet status @b");
    assert!(shown.contains("@b/fleet/db1") && shown.contains("Biobank") && shown.contains("Lab"), "{shown}");
    assert!(
        shown.ends_with("2 keyrings, nothing wrong as far as their heads tell without a secret\n"),
        "{shown}"
    );
    let below: Value = serde_json::from_str(&host.fine("fleet status @b/lab --json")).unwrap();
    assert_eq!(below["keyrings"][0]["path"], "@b/lab/db7");
    assert_eq!(below["keyrings"].as_array().unwrap().len(), 1);
    // Somebody copies the objects of a keyring, and damages another.
    for name in host.engine.names().iter().filter(|name| name.starts_with("/lab/db7/")) {
        host.engine.put(&name.replace("db7", "copied"), &host.engine.get(name));
    }
    host.engine.put("/fleet/db1/head", b"<html>");
    let ended = host.run("fleet status @b");
    assert_eq!(ended.code, 1, "{ended:?}");
    for says in [
        "@b/fleet/db1: its head is not one of a keyring",
        "@b/lab/db7: its objects were copied to or from @b/lab/copied",
    ] {
        assert!(ended.stdout.contains(says), "{ended:?}");
    }
    // A remedy is the command as it must be typed here.
    assert!(
        !ended.stdout.contains("keyringctl sync @") || ended.stdout.contains("--remotes DIR/remotes"),
        "{ended:?}"
    );
    let ended = host.run("fleet check @b --json");
    assert_eq!(ended.code, 2, "{ended:?}");
    host.engine.delete("/fleet/db1/head");
    let metrics = host.run("fleet status @b --prometheus").stdout;
    assert!(metrics.contains("keyring_external_fleet_problems{kind=\"same_replica\"} 2\n"), "{metrics}");
}

#[test]
fn a_remote_that_is_down_does_not_hide_the_others() {
    let host = Host::with_keyring();
    let endpoint = host.engine.endpoint();
    host.write(
        "remotes",
        &format!(
            r#"{{"b": {{"kind": "etcd", "endpoints": ["{endpoint}"]}}, "down": {{"kind": "etcd", "endpoints": ["http://127.0.0.1:1"]}}}}"#
        ),
    );
    let ended = host.run("fleet status @down @b @b/nothing --json");
    assert_eq!(ended.code, 2, "{ended:?}");
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(document["keyrings"][0]["path"], "@b/fleet/db1");
    assert_eq!(document["empty"][0], "@b/nothing");
    assert!(document["failed"][0].as_str().unwrap().contains("cannot list @down"), "{ended:?}");
    assert_eq!(document["fine"], false);
    let metrics = host.run("fleet status @down @b --prometheus");
    assert!(metrics.stdout.contains("keyring_external_fleet_remotes_failed 1\n"), "{metrics:?}");
    let ended = host.run("fleet check @down @b");
    assert!(ended.code == 3 && ended.stdout.contains("cannot list @down"), "{ended:?}");
    // Nothing there is told, and is not fine.
    let ended = host.run("fleet status @b/nothing");
    assert!(ended.code == 1 && ended.stdout.contains("no keyring is at @b/nothing"), "{ended:?}");
    let ended = host.run("fleet status @down");
    assert!(ended.code == 2 && ended.stdout.is_empty(), "{ended:?}");
}

#[test]
fn nothing_is_created_where_pieces_of_a_keyring_lie() {
    let host = Host::with_keyring();
    let unlock = "--unlock file:DIR/secret";
    let piece = "/fleet/srv23/pieces/0000000000000001-0123456789abcdef";
    host.engine.put(piece, b"sealed");
    for line in [
        format!("init @b/fleet/srv23 {unlock}"),
        format!("sync DIR/k --mirror @b/fleet/srv23 {unlock} --create --yes"),
        format!("backup DIR/k @b/fleet/srv23 {unlock}"),
    ] {
        let ended = host.run(&line);
        assert_eq!(ended.code, 2, "{line}: {ended:?}");
        for says in ["pieces/0000000000000001-0123456789abcdef", "no head", "put it back", "interrupted"] {
            assert!(ended.stderr.contains(says), "{line}: {ended:?}");
        }
    }
    let below: Vec<_> =
        host.engine.names().into_iter().filter(|name| name.starts_with("/fleet/srv23/")).collect();
    assert_eq!(below, [piece]);
    // What the message says: without the pieces, there is a place.
    host.engine.delete(piece);
    host.fine(&format!("sync DIR/k --mirror @b/fleet/srv23 {unlock} --create --yes"));
}

#[test]
fn every_command_uses_the_remotes_file_of_the_server() {
    let host = Host::with_keyring();
    let dir = host.dir.path().to_str().unwrap().to_owned();
    fs::create_dir(host.dir.path().join("data")).unwrap();
    let options = format!(
        "[mysqld]\ndatadir={dir}/data\nearly-plugin-load=keyring_external.so\n\
         keyring_external=FORCE_PLUS_PERMANENT\nkeyring_external_data=@b/fleet/db1\n\
         keyring_external_mirrors={dir}/k\nkeyring_external_unlock=file:{dir}/secret\n\
         keyring_external_remotes={dir}/remotes\n"
    );
    host.write("my.cnf", &options);
    host.write("other", "0123456789abcdef0123456789abcdef");
    host.write("keys", r#"{"version": "1.0", "elements": []}"#);
    for line in [
        "witness accept --datadir DIR/data --yes",
        "status",
        "check",
        "check @b/fleet/db1",
        "verify",
        "verify @b/fleet/db1",
        "sync --yes",
        "list",
        "list @b/fleet/db1",
        "slot list",
        "slot add --new file:DIR/other",
        "rekey --yes",
        "which --datadir DIR/data",
        "import --from component_keyring_file DIR/keys",
        "backup DIR/backup",
    ] {
        let ended = host.run_as_it_is(&format!("{line} --option-file DIR/my.cnf"));
        assert_eq!(ended.code, 0, "{line}: {ended:?}");
    }
    let status = host.fine("status @b/fleet/db1 DIR/k");
    assert!(status.contains("2/2 copies are up to date"), "{status}");
    // The first path of a plugin may be a remote's, and doctor says which file describes it.
    let doctor = host.run_as_it_is("doctor --offline --option-file DIR/my.cnf");
    assert!(!doctor.stdout.contains("absolute path"), "{doctor:?}");
    assert!(doctor.stdout.contains("DIR/remotes"), "{doctor:?}");
}

#[test]
fn a_printed_remedy_names_the_remotes_file() {
    let host = Host::with_keyring();
    let unlock = "--unlock file:DIR/secret";
    for line in [
        format!("status @b/fleet/lost DIR/k {unlock}"),
        format!("verify @b/fleet/lost DIR/k {unlock}"),
        format!("sync DIR/k --mirror @b/fleet/lost {unlock}"),
    ] {
        let ended = host.run(&line);
        let said = ended.stdout.clone() + &ended.stderr;
        let remedy =
            format!("keyringctl sync DIR/k --mirror @b/fleet/lost {unlock} --remotes DIR/remotes --create");
        assert!(ended.code != 0 && said.contains(&remedy), "{line}: {ended:?}");
    }
}
