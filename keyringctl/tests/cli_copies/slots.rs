// SPDX-License-Identifier: GPL-2.0-or-later
//! Unlock slots of a keyring that a server on this host is configured with.

use super::{Host, SECRET};
use serde_json::Value;
use std::fs;

/// A host with a third slot, for the secret in /etc/mysql/new.secret.
fn with_third_slot(unlock: &str) -> Host {
    let host = Host::new(unlock);
    host.write("etc/mysql/new.secret", "no text: \u{1} and more than thirty-two bytes");
    host.of_server(&format!(
        "slot add --unlock file:HOST/{SECRET} --new file:HOST/etc/mysql/new.secret --name tom"
    ));
    assert_eq!(numbers(&host), [1, 2, 3]);
    host
}

fn document(host: &Host, line: &str) -> Value {
    let ended = host.of_server(line);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {} {}", ended.stdout, ended.stderr))
}

fn numbers(host: &Host) -> Vec<u64> {
    let listed = document(host, "slot list --json");
    listed["slots"].as_array().unwrap().iter().map(|slot| slot["number"].as_u64().unwrap()).collect()
}

fn bytes(host: &Host) -> [Vec<u8>; 2] {
    ["mnt/a/keys/k", "mnt/b/keys/k"].map(|path| fs::read(host.at(path)).unwrap())
}

#[test]
fn the_slot_that_the_server_needs_is_removed_only_with_force() {
    for unlock in [format!("file:/{SECRET}"), "credential:keyring".to_owned()] {
        let host = with_third_slot(&unlock);
        let before = bytes(&host);
        // Whatever unlocks the keyring now, and in a dry run too.
        for options in ["--yes", "--dry-run", "--yes --unlock file:HOST/etc/mysql/new.secret"] {
            let refused = host.of_server(&format!("slot remove 1 {options}"));
            assert_eq!(refused.code, 2, "{}", refused.stdout);
            for part in ["fits slot 1 only", "does not start again", "slot remove 1", "--force"] {
                assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
            }
            assert!(refused.stdout.contains("removed"), "the table: {}", refused.stdout);
            let commands = refused.stderr.lines().filter(|line| line.starts_with("  keyringctl ")).count();
            assert_eq!(commands, 3, "each command has a line of its own: {}", refused.stderr);
            assert!(bytes(&host) == before);
        }
        host.succeeds("slot remove 1 --dry-run --force");
        assert!(bytes(&host) == before);
        let done = host.succeeds("slot remove 1 --yes --force");
        assert!(
            done.stdout.contains("Removed slot 1: secret file (unlock secret), created"),
            "{}",
            done.stdout
        );
        assert_eq!(numbers(&host), [2, 3], "the others keep their numbers");
        let document = document(&host, "slot remove 2 --yes --json --unlock file:HOST/etc/mysql/new.secret");
        assert_eq!(document["removed"]["kind"], "recovery", "{document}");
        assert_eq!(document["slots"][0]["number"], 3, "{document}");
    }
}

#[test]
fn the_slot_that_unlocked_the_keyring_is_removed_only_with_force() {
    let host = with_third_slot(&format!("file:/{SECRET}"));
    let unlock = "--unlock file:HOST/etc/mysql/new.secret --yes";
    let refused = host.of_server(&format!("slot remove 3 {unlock}"));
    assert!(refused.code == 2 && refused.stderr.contains("unlocked the keyring now"), "{}", refused.stderr);
    host.succeeds(&format!("slot remove 3 {unlock} --force"));
    assert_eq!(numbers(&host), [1, 2]);
}

#[test]
fn a_slot_is_not_removed_while_it_is_not_known_whether_the_server_needs_it() {
    let host = with_third_slot("credential:sealed");
    let unlock = format!("--unlock file:HOST/{SECRET} --yes");
    let refused = host.of_server(&format!("slot remove 3 {unlock}"));
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    for part in ["could not be checked whether the server needs slot 3", "--server-secret SOURCE", "--force"]
    {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    let needed = host.of_server(&format!("slot remove 1 {unlock} --server-secret file:HOST/{SECRET}"));
    assert!(needed.code == 2 && needed.stderr.contains("fits slot 1 only"), "{}", needed.stderr);
    host.succeeds(&format!("slot remove 3 {unlock} --server-secret file:HOST/{SECRET}"));
    assert_eq!(numbers(&host), [1, 2]);
}

#[test]
fn the_only_recovery_key_is_removed_with_a_warning() {
    let host = Host::with_file();
    let done = host.succeeds("slot remove 2 --yes");
    assert!(done.stdout.contains("WARNING: this is the only recovery key"), "{}", done.stdout);
    let advice = done.stdout.split("create another one: keyringctl ").nth(1).unwrap();
    let added = host.of_server(advice.lines().next().unwrap());
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert_eq!(numbers(&host), [1, 2]);
}

#[test]
fn a_change_of_the_servers_slot_says_what_the_server_needs() {
    let host = with_third_slot(&format!("file:/{SECRET}"));
    host.write("etc/mysql/next.secret", "the next one: \u{1} and more than thirty-two bytes");
    let next = "slot change --new file:HOST/etc/mysql/next.secret";
    let planned = host.succeeds(&format!("{next} --dry-run"));
    assert!(
        planned.stdout.contains("does not start again until it has the new secret"),
        "{}",
        planned.stdout
    );
    // Another slot is no concern of the server.
    let other = format!("{next} --unlock file:HOST/etc/mysql/new.secret --yes --json");
    let other = document(&host, &other);
    assert_eq!((&other["changed"]["number"], &other["changed"]["name"]), (&3.into(), &"tom".into()));
    assert!(other["server"].is_null(), "{other}");
    // Its own slot: with a secret that is taken, then with a new one.
    let taken = host.of_server(&format!("{next} --yes"));
    assert!(taken.code == 2 && taken.stderr.contains("already unlocks slot 3, "), "{}", taken.stderr);
    let changed = document(&host, "slot change --new file:HOST/etc/mysql/new.secret --yes --json");
    let note = changed["server"].as_str().unwrap();
    assert!(note.contains("set its unlock source (keyringctl setup --unlock file:HOST/"), "{note}");
    assert_eq!(numbers(&host), [1, 2, 3]);
}

/// Whatever slot is removed, the commands that are printed with it can be run afterwards.
#[test]
fn the_advice_after_a_slot_is_removed_names_a_secret_that_still_unlocks() {
    let server = format!("--unlock file:HOST/{SECRET}");
    for (line, unlock) in [
        ("slot remove 1 --yes --force".to_owned(), ""),
        ("slot remove 3 --yes --force --unlock file:HOST/etc/mysql/new.secret".to_owned(), &*server),
        (format!("slot remove 3 --yes {server}"), &*server),
        (
            "slot remove 1 --yes --force --unlock file:HOST/etc/mysql/new.secret".to_owned(),
            "--unlock file:HOST/etc/mysql/new.secret",
        ),
    ] {
        let host = with_third_slot(&format!("file:/{SECRET}"));
        let done = host.succeeds(&line);
        let advice = done.stdout.split("renew the data key afterwards: keyringctl ").nth(1).unwrap();
        let advice = advice.lines().next().unwrap();
        assert_eq!(advice, format!("rekey HOST/mnt/a/keys/k {unlock}").trim_end(), "{line}");
        if !unlock.is_empty() {
            host.succeeds(&format!("{advice} --yes"));
        }
    }
}

#[test]
fn a_number_that_no_slot_can_have_is_refused_with_the_numbers_there_are() {
    let host = Host::with_file();
    for number in [0, 9] {
        let refused = host.of_server(&format!("slot remove {number} --yes"));
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains("slots are numbered from 1 to 8"), "{}", refused.stderr);
    }
}
