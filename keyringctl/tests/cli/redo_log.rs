// SPDX-License-Identifier: GPL-2.0-or-later
//! A redo log whose changes need a master key that a keyring lacks, and that no file's header names. With such a keyring, a
//! server never ends.

use super::data_directory::SERVER;
use super::which::{copy, server, store, used, which};
use super::witness::{RunningServer, left_with_a_log_that_names};
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

/// What `which` and `witness accept` say of a copy if the redo log cannot be read.
fn is_not_known(place: &Place, copy: &str, why: &str) {
    let (code, told) = which(place, &format!("DIR/{copy}.keyring {UNLOCK}"));
    assert_eq!(
        (code, &told["situation"], &told["right"], &told["copies"][0]["complete"]),
        (1, &"log_not_read".into(), &().into(), &false.into()),
        "{told:#}"
    );
    let command = format!("which DIR/{copy}.keyring --datadir DIR/data --option-file /dev/null {UNLOCK}");
    let Ended { code, stdout, .. } = place.run(&command);
    assert!(code == 1 && stdout.to_lowercase().contains(&why.to_lowercase()), "{stdout}");
    assert!(!stdout.contains("can be used") && !stdout.contains("need no master key"), "{stdout}");
    let accept = format!("witness accept DIR/{copy}.keyring --datadir DIR/data {UNLOCK} --yes");
    let Ended { code, stdout, stderr } = place.run(&accept);
    assert!(code == 2 && stderr.contains(&format!("nothing was accepted: {why}")), "{stdout}{stderr}");
    assert!(!stdout.contains("need no master key"), "{stdout}");
}

#[test]
fn no_copy_is_right_for_a_data_directory_without_its_redo_log() {
    let (place, id) = killed_server();
    fs::create_dir(place.path("redo")).unwrap();
    fs::rename(place.path("data/#innodb_redo"), place.path("redo/#innodb_redo")).unwrap();
    let why = "the data directory DIR/data lacks the redo log (#innodb_redo, or ib_logfile0, in innodb_log_group_home_dir)";
    for copy in ["old", "main"] {
        is_not_known(&place, copy, why);
    }
    let accept = format!("witness accept DIR/main.keyring --datadir DIR/data {UNLOCK} --yes");
    assert!(place.run(&accept).stderr.contains("name that with --also"));
    // Spare files are no log.
    fs::create_dir(place.path("data/#innodb_redo")).unwrap();
    place.write("data/#innodb_redo/#ib_redo7_tmp", &[0; 4096]);
    is_not_known(&place, "main", why);

    // In the directory that is named, or that the option file names, it is read.
    let both = format!("DIR/old.keyring DIR/main.keyring {UNLOCK}");
    let (code, told) = which(&place, &format!("DIR/old.keyring {UNLOCK} --also DIR/redo"));
    assert_eq!((code, &told["situation"]), (1, &"keys_missing".into()), "{told:#}");
    assert_eq!(told["copies"][0]["missing"][0]["key"], id.as_str(), "{told:#}");
    let accept = |copy: &str| {
        place.run(&format!(
            "witness accept DIR/{copy}.keyring --datadir DIR/data --also DIR/redo {UNLOCK} --yes"
        ))
    };
    let Ended { code, stdout, stderr } = accept("old");
    assert!(code == 2 && stdout.contains(&id), "{stdout}{stderr}");
    assert_eq!(accept("main").code, 0);
    let options = fs::read_to_string(place.path("server.cnf")).unwrap();
    let elsewhere = format!("{options}innodb_log_group_home_dir={}\n", place.path("redo").display());
    place.write("server.cnf", elsewhere.as_bytes());
    let (code, told) = which(&place, &both);
    assert_eq!((code, &told["right"]), (0, &"DIR/main.keyring".into()), "{told:#}");
    // The command that is printed reads it too.
    copy(&place, "main.keyring", "older.keyring");
    store(&place, "main.keyring", "another", &[7; 32]);
    used(&place, "main.keyring");
    let (code, told) = which(&place, &format!("DIR/older.keyring {UNLOCK}"));
    assert_eq!((code, &told["situation"]), (1, &"not_shut_down".into()), "{told:#}");
    let next = told["next"][0].as_str().unwrap();
    assert!(next.contains("accept DIR/older.keyring --datadir DIR/data --also DIR/redo"), "{next}");
    let Ended { code, stderr, .. } =
        place.run(&format!("{} --yes", next.strip_prefix("keyringctl ").unwrap()));
    assert_eq!(code, 0, "{stderr}");
}

/// Changes the only file of the redo log.
fn change_log(place: &Place, change: impl FnOnce(&mut Vec<u8>)) {
    let path = place.path("data/#innodb_redo/#ib_redo0");
    let mut log = fs::read(&path).unwrap();
    change(&mut log);
    fs::write(path, log).unwrap();
}

/// No command takes a redo log that cannot all be read for one that needs no key.
fn is_not_read(place: &Place, why: &str) {
    for copy in ["old", "main"] {
        is_not_known(place, copy, "the redo log of DIR/data could not all be read");
        let line = format!("verify DIR/{copy}.keyring --datadir DIR/data {UNLOCK}");
        let Ended { code, stdout, .. } = place.run(&line);
        assert!(
            code == 1 && stdout.contains(&format!("NOT CHECKED   DIR/data/#innodb_redo: {why}")),
            "{stdout}"
        );
        let told: serde_json::Value =
            serde_json::from_str(&place.run(&format!("{line} --json")).stdout).unwrap();
        assert_eq!(told["log_not_read"], serde_json::json!(["DIR/data/#innodb_redo"]), "{told:#}");
        let needed =
            format!("keys needed DIR/{copy}.keyring --datadir DIR/data {UNLOCK} --only-named-copies --json");
        let Ended { code, stdout, stderr } = place.run(&needed);
        let told: serde_json::Value =
            serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stderr}"));
        let unread = told["unread"].as_array().unwrap();
        assert!(code == 1 && unread.iter().any(|u| u["why"].as_str().unwrap().contains(why)), "{told:#}");
    }
}

#[test]
fn a_redo_log_without_a_readable_checkpoint_is_not_one_that_needs_no_key() {
    let (place, _) = killed_server();
    change_log(&place, |log| {
        log[512..1024].fill(0);
        log[1536..2048].fill(0);
    });
    is_not_read(&place, "its redo log has no readable checkpoint");
    // Neither is one of which a header is damaged.
    change_log(&place, |log| log[..2048].fill(0));
    is_not_read(&place, "a file of its redo log has no readable header");
}

#[test]
fn a_redo_log_that_is_cut_short_is_not_one_that_needs_no_key() {
    let (place, _) = killed_server();
    let whole = fs::read(place.path("data/#innodb_redo/#ib_redo0")).unwrap();
    // Before the block with the checkpoint.
    change_log(&place, |log| log.truncate(5 * 512));
    is_not_read(&place, "a file of its redo log is missing or cut short");
    // After a full block of a server: the log goes on.
    change_log(&place, |log| {
        *log = whole.clone();
        log[16..22].copy_from_slice(b"MySQL ");
        log[5 * 512 + 12..6 * 512].fill(0);
        log.truncate(6 * 512);
    });
    is_not_read(&place, "its redo log does not end in its last file");
    // It ends in a block that is not full, or that was not written.
    for len in [6 * 512, 8 * 512] {
        change_log(&place, |log| {
            *log = whole.clone();
            log[16..22].copy_from_slice(b"MySQL ");
            if len < log.len() {
                log[5 * 512 + 4..5 * 512 + 6].copy_from_slice(&300_u16.to_be_bytes());
            }
            log.truncate(len);
        });
        let Ended { stdout, .. } = place.run(&format!("verify DIR/main.keyring --datadir DIR/data {UNLOCK}"));
        assert!(!stdout.contains("NOT CHECKED   DIR/data/#innodb_redo"), "{stdout}");
    }
    // A file between two others is gone.
    change_log(&place, |log| *log = whole.clone());
    let mut third = whole;
    third[8..16].copy_from_slice(&(8192_u64 + 2 * 4 * 512).to_be_bytes());
    third[520..528].fill(0);
    place.write("data/#innodb_redo/#ib_redo2", &third);
    is_not_read(&place, "a file of its redo log is missing or cut short");
}

/// It may have the only copy of its keys in its memory.
#[test]
fn nothing_is_given_up_while_a_server_runs_whose_keys_no_copy_has() {
    let (place, id) = killed_server();
    let server = RunningServer::of(&place);
    let old = format!("DIR/old.keyring {UNLOCK}");
    let Ended { code, stdout, .. } =
        place.run(&format!("which {old} --datadir DIR/data --option-file /dev/null"));
    let (_, told) = which(&place, &old);
    server.stop();
    assert!(code == 1 && stdout.contains(&id), "{stdout}");
    let advice = stdout.split_once("\n\n").unwrap().1;
    assert!(advice.starts_with("A server runs on this data directory: do not stop it."), "{stdout}");
    assert!(!stdout.contains("restore a backup"), "{stdout}");
    assert_eq!(
        (&told["situation"], &told["next"]),
        (&"keys_missing".into(), &serde_json::json!([])),
        "{told:#}"
    );
}
