// SPDX-License-Identifier: GPL-2.0-or-later
//! Unlock slots, and renewing the data key.

use super::{Place, UNLOCK, check};

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
