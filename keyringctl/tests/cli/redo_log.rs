// SPDX-License-Identifier: GPL-2.0-or-later
//! A redo log whose changes need a master key that a keyring lacks, and that no file's header names. With such a keyring, a
//! server never ends.

use super::data_directory::SERVER;
use super::which::{copy, server, store, used, which};
use super::witness::left_with_a_log_that_names;
use super::{Ended, Place, UNLOCK};
use std::fs;

const WHY: &str = "reads the log again and again without end";

/// The copies of the server have the key; DIR/old.keyring does not.
fn killed_server() -> (Place, String) {
    let place = server();
    left_with_a_log_that_names(&place, SERVER, 3);
    let id = format!("INNODBKey-{SERVER}-3");
    copy(&place, "main.keyring", "old.keyring");
    store(&place, "main.keyring", &id, &[7; 32]);
    copy(&place, "main.keyring", "mirror.keyring");
    used(&place, "main.keyring");
    (place, id)
}

#[test]
fn verify_counts_the_redo_log_as_one_more_thing_that_needs_a_key() {
    let (place, id) = killed_server();
    // A backup does not always have the witness.
    fs::remove_file(place.path("data/keyring_external.witness")).unwrap();
    let verify = |name: &str| place.run(&format!("verify DIR/{name}.keyring --datadir DIR/data {UNLOCK}"));
    let Ended { code, stdout, .. } = verify("old");
    let line = format!(
        "KEY MISSING   DIR/data/#innodb_redo: needs key {id}; changes in it since its last checkpoint"
    );
    assert!(code == 1 && stdout.contains(&line), "{stdout}");
    let json = place.run(&format!("verify DIR/old.keyring --datadir DIR/data {UNLOCK} --json")).stdout;
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    let of_log = |file: &&serde_json::Value| file["key"] == id.as_str();
    let file = told["files"].as_array().unwrap().iter().find(of_log).unwrap();
    assert_eq!((&file["kind"], &file["state"]), (&"redo".into(), &"key_missing".into()), "{told:#}");
    assert_eq!((&file["path"], &told["fine"]), (&"DIR/data/#innodb_redo".into(), &false.into()));
    let stdout = verify("main").stdout;
    assert!(!stdout.contains("KEY MISSING"), "{stdout}");
}

#[test]
fn which_calls_no_copy_right_with_which_the_server_never_ends() {
    let (place, id) = killed_server();
    // Also if the witness says that it is the newest.
    used(&place, "old.keyring");
    let old = format!("DIR/old.keyring {UNLOCK}");
    let (code, told) = which(&place, &old);
    assert_eq!(
        (code, &told["situation"], &told["right"]),
        (1, &"keys_missing".into(), &().into()),
        "{told:#}"
    );
    assert_eq!(told["copies"][0]["missing"][0]["key"], id.as_str(), "{told:#}");
    assert_eq!(told["next"], serde_json::json!([]), "{told:#}");
    let Ended { code, stdout, .. } =
        place.run(&format!("which {old} --datadir DIR/data --option-file /dev/null"));
    assert!(code == 1 && stdout.contains(WHY) && stdout.contains("restore a backup of the data"), "{stdout}");
    used(&place, "main.keyring");
    let (code, told) = which(&place, &format!("DIR/old.keyring DIR/main.keyring {UNLOCK}"));
    assert_eq!((code, &told["right"]), (0, &"DIR/main.keyring".into()), "{told:#}");
}

#[test]
fn witness_accept_refuses_a_keyring_with_which_the_server_never_ends() {
    let (place, id) = killed_server();
    fs::remove_file(place.path("data/keyring_external.witness")).unwrap();
    let accept = format!("witness accept DIR/old.keyring --datadir DIR/data {UNLOCK} --yes");
    let Ended { code, stdout, stderr } = place.run(&accept);
    assert!(code == 2 && stdout.contains(&format!("key {id}")) && stdout.contains(WHY), "{stdout}{stderr}");
    assert!(stderr.contains("restore a backup of the data") && stderr.contains(WHY), "{stderr}");
    assert!(!place.path("data/keyring_external.witness").exists());
    let Ended { code, stdout, .. } = place.run(&format!("{accept} --accept-missing-keys"));
    assert!(
        code == 0 && stdout.contains("restore a backup") && !stdout.contains("start the server"),
        "{stdout}"
    );
}
