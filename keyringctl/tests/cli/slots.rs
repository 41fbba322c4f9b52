// SPDX-License-Identifier: GPL-2.0-or-later
//! Unlock slots, and renewing the data key.

use super::{Place, UNLOCK, check};
use std::fs;

#[test]
fn slots() {
    let place = Place::with_keyring();
    check(
        "slots_are_added_changed_and_removed",
        &place,
        &[
            &format!("slot add DIR/main.keyring {UNLOCK} --new file:DIR/phrase --name administrator"),
            "slot change DIR/main.keyring --unlock file:DIR/phrase --new file:DIR/other --yes",
            &format!("slot remove DIR/main.keyring 2 {UNLOCK} --yes"),
        ],
    );
    check(
        "rekey_keeps_the_slots_and_names_those_not_verified",
        &place,
        &[&format!("rekey DIR/main.keyring {UNLOCK} --yes"), "slot list DIR/main.keyring"],
    );
    let verified = format!("rekey DIR/main.keyring {UNLOCK} --require-all --yes");
    check(
        "rekey_verifies_slots_by_their_secrets",
        &place,
        &[
            &verified,
            &format!("{verified} --verify-slot file:DIR/phrase"),
            &format!("{verified} --verify-slot file:DIR/other"),
            &format!("rekey DIR/main.keyring {UNLOCK} --json --yes"),
        ],
    );
    leaving_out_a_copy(&place);
    check(
        "the_last_slot_is_not_removed",
        &place,
        &[
            &format!("slot remove DIR/main.keyring 2 {UNLOCK} --yes"),
            &format!("slot remove DIR/main.keyring 1 {UNLOCK} --yes"),
            &format!("slot remove DIR/main.keyring 9 {UNLOCK} --yes"),
        ],
    );
}

/// The server's configuration names two copies: neither can be left out by mistake, and one that is missing does not stop
/// the change.
fn leaving_out_a_copy(place: &Place) {
    let dir = place.dir.path().to_str().unwrap();
    let options = format!(
        "[mysqld]\nearly-plugin-load=keyring_external.so\nkeyring_external_data={dir}/main.keyring\n\
         keyring_external_mirrors={dir}/mirror.keyring\nkeyring_external_unlock=file:{dir}/secret\n"
    );
    place.write("server.cnf", options.as_bytes());
    let server = "--option-file DIR/server.cnf --mysqld DIR/none/mysqld";
    check(
        "rekey_and_slot_include_the_copies_of_the_server",
        place,
        &[
            &format!("rekey DIR/main.keyring {UNLOCK} {server} --yes"),
            &format!("slot add DIR/main.keyring {UNLOCK} --new file:DIR/phrase {server}"),
            &format!("slot remove DIR/main.keyring 3 {UNLOCK} {server} --yes"),
            &format!("rekey DIR/main.keyring --mirror DIR/mirror.keyring {UNLOCK} {server} --yes"),
            &format!("rekey DIR/main.keyring --only-named-copies {UNLOCK} {server} --yes"),
        ],
    );
}

/// The recovery key verifies its slot. Without a terminal, it is read from standard input.
#[test]
fn rekey_verifies_the_recovery_slot() {
    let place = Place::new();
    let made = place.run("init DIR/main.keyring --unlock file:DIR/secret --generate-secret --json");
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    let key = made["recovery_key"].as_str().unwrap();
    let line = format!("rekey DIR/main.keyring {UNLOCK} --verify-recovery --require-all --json --yes");
    let done = place.run_with(&line, key.as_bytes());
    assert_eq!(done.code, 0, "{}", done.stderr);
    let done: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&done["unverified"], &done["slots"][1]["renewed"]), (&0.into(), &"by_secret".into()));
    let another = place.run_with(&line, b"00000-00000-00000-00000-00000-00000-00000-00000");
    assert_eq!(another.code, 2, "a typing mistake: {}", another.stderr);
    assert!(another.stderr.contains("group"), "{}", another.stderr);
}

/// If the unlock secret is lost, the recovery key replaces it on all copies.
#[test]
fn the_recovery_key_replaces_a_lost_unlock_secret() {
    let place = Place::new();
    let made = place
        .run("init DIR/a.keyring --mirror DIR/b.keyring --unlock file:DIR/secret --generate-secret --json");
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    let key = made["recovery_key"].as_str().unwrap();
    place.write("new", &[5; 32]);
    let add = "slot add DIR/a.keyring --mirror DIR/b.keyring --recovery --new file:DIR/new";
    let added = place.run_with(add, key.as_bytes());
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert_eq!(place.run("verify DIR/a.keyring DIR/b.keyring --unlock file:DIR/new").code, 0);
    let remove = "slot remove DIR/a.keyring 1 --mirror DIR/b.keyring --unlock file:DIR/new --yes";
    assert_eq!(place.run(remove).code, 0);
    assert_eq!(place.run(&format!("verify DIR/a.keyring DIR/b.keyring {UNLOCK}")).code, 1);
}

/// The numbers and names of the slots.
fn listed(place: &Place) -> Vec<(u64, String)> {
    let listed = place.run("slot list DIR/main.keyring --json");
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let slots = listed["slots"].as_array().unwrap().iter();
    slots.map(|s| (s["number"].as_u64().unwrap(), s["name"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn a_removed_slot_leaves_a_gap_and_the_next_new_slot_fills_it() {
    let place = Place::with_keyring();
    place.write("third", &[3; 32]);
    place.write("fourth", &[4; 32]);
    for (secret, name) in [("third", "tom"), ("fourth", "eva")] {
        let added =
            place.run(&format!("slot add DIR/main.keyring {UNLOCK} --new file:DIR/{secret} --name {name}"));
        assert_eq!(added.code, 0, "{}", added.stderr);
    }
    let removed = place.run(&format!("slot remove DIR/main.keyring 2 {UNLOCK} --yes"));
    assert!(
        removed.stdout.contains("Removed slot 2: recovery key (recovery key), created"),
        "{}",
        removed.stdout
    );
    let with_gap = [(1, "unlock secret"), (3, "tom"), (4, "eva")].map(|(n, name)| (n, name.to_owned()));
    assert_eq!(listed(&place), with_gap);
    let status = place.run("status DIR/main.keyring").stdout;
    assert!(status.contains("slot 3       secret file (tom)") && !status.contains("slot 2"), "{status}");
    let renewed = place.run(&format!("rekey DIR/main.keyring {UNLOCK} --require-all --yes"));
    assert!(renewed.stderr.contains("unlock slot 3 (tom)"), "{}", renewed.stderr);
    // Whatever rewrites the file, the numbers stay.
    for line in [
        format!("rekey DIR/main.keyring {UNLOCK} --yes"),
        format!("backup DIR/main.keyring DIR/backup.keyring {UNLOCK}"),
    ] {
        assert_eq!(place.run(&line).code, 0, "{line}");
        assert_eq!(listed(&place), with_gap, "{line}");
    }
    let gone = place.run(&format!("slot remove DIR/main.keyring 2 {UNLOCK} --yes"));
    assert!(gone.code == 2 && gone.stderr.contains("has these slots: 1, 3, 4"), "{}", gone.stderr);
    let added = place.run(&format!("slot add DIR/main.keyring {UNLOCK} --new-recovery --name safe"));
    assert!(added.stdout.contains("Added slot 2: recovery key (safe), created"), "{}", added.stdout);
}

#[test]
fn a_secret_that_already_unlocks_a_slot_is_not_added_again() {
    let place = Place::with_keyring();
    let added = place.run(&format!("slot add DIR/main.keyring {UNLOCK} --new file:DIR/secret"));
    assert_eq!(added.code, 2, "{}", added.stderr);
    let why = "the secret from file:DIR/secret already unlocks slot 1, secret file (unlock secret), created";
    assert!(added.stderr.contains(why), "{}", added.stderr);
    assert_eq!(listed(&place).len(), 2);
}

#[test]
fn a_slot_has_the_name_that_was_given_and_keeps_it() {
    let place = Place::with_keyring();
    place.write("third", &[3; 32]);
    let recovery =
        place.run(&format!("slot add DIR/main.keyring {UNLOCK} --new-recovery --name safe --json"));
    let recovery: serde_json::Value = serde_json::from_str(&recovery.stdout).unwrap();
    assert_eq!((&recovery["added"]["number"], &recovery["added"]["name"]), (&3.into(), &"safe".into()));
    assert!(recovery["recovery_key"].is_string());
    for line in [
        format!("slot change DIR/main.keyring {UNLOCK} --new file:DIR/third --yes"),
        "rekey DIR/main.keyring --unlock file:DIR/third --yes".to_owned(),
    ] {
        assert_eq!(place.run(&line).code, 0, "{line}");
        let names = listed(&place).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(names, ["unlock secret", "recovery key", "safe"], "{line}");
    }
    let long = "n".repeat(56);
    let refused = place.run(&format!("slot add DIR/main.keyring --new-recovery --name {long}"));
    assert!(refused.code == 2 && refused.stderr.contains("room for 55"), "{}", refused.stderr);
}

#[test]
fn recovery_unlocks_with_the_recovery_key_in_slot_add_too() {
    let place = Place::new();
    let made = place.run("init DIR/main.keyring --unlock file:DIR/secret --generate-secret --json");
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    let key = made["recovery_key"].as_str().unwrap().as_bytes();
    // Who expects that it creates one is told how.
    for line in ["slot add DIR/main.keyring --recovery", "slot add DIR/main.keyring --recovery --name x"] {
        let unclear = place.run_with(line, key);
        assert_eq!(unclear.code, 2, "{}", unclear.stderr);
        assert!(unclear.stderr.contains("--new-recovery creates another recovery key"), "{}", unclear.stderr);
    }
    let both = place.run(&format!("slot add DIR/main.keyring {UNLOCK} --recovery"));
    assert_eq!(both.code, 2, "{}", both.stderr);
    let added = place.run_with("slot add DIR/main.keyring --recovery --new-recovery --name second", key);
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert_eq!(listed(&place).last().unwrap(), &(3, "second".to_owned()));
}

/// Nothing is changed by a dry run, or without a terminal and without `--yes`.
#[test]
fn what_changes_slots_or_the_data_key_asks_first() {
    let place = Place::with_keyring();
    let before = fs::read(place.path("main.keyring")).unwrap();
    for line in [
        format!("slot remove DIR/main.keyring 2 {UNLOCK}"),
        format!("slot change DIR/main.keyring {UNLOCK} --new file:DIR/phrase"),
        format!("rekey DIR/main.keyring {UNLOCK}"),
    ] {
        let refused = place.run(&line);
        assert_eq!(refused.code, 2, "{line}: {}", refused.stderr);
        assert!(refused.stderr.contains(&format!("keyringctl {line} --yes")), "{}", refused.stderr);
        for options in ["--dry-run", "--dry-run --yes", "--dry-run --json"] {
            let dry = place.run(&format!("{line} {options}"));
            assert_eq!(dry.code, 0, "{line}: {}", dry.stderr);
            assert!(dry.stdout.contains("DIR/main.keyring"), "{line}: {}", dry.stdout);
        }
        assert!(fs::read(place.path("main.keyring")).unwrap() == before, "{line}");
    }
    // A dry run asks for no passphrase.
    assert_eq!(place.run(&format!("slot change DIR/main.keyring {UNLOCK} --dry-run")).code, 0);
    let done = place.run(&format!("slot remove DIR/main.keyring 2 {UNLOCK} --yes --json"));
    assert_eq!(done.code, 0, "{}", done.stderr);
}
