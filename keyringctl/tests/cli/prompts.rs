// SPDX-License-Identifier: GPL-2.0-or-later
//! What is asked on a terminal, and what is said without one.

use super::{Place, UNLOCK};
use std::fs;

const PASSPHRASE: &str = "Passphrase or recovery key of";

/// With a keyring that the passphrase in the file `phrase` unlocks.
fn with_passphrase() -> Place {
    let place = Place::new();
    let made = place.run("init DIR/main.keyring --unlock file:DIR/phrase");
    assert_eq!(made.code, 0, "{}", made.stderr);
    place
}

#[test]
fn a_wrong_passphrase_is_asked_for_three_times() {
    let place = with_passphrase();
    let right = [(PASSPHRASE, ""), (PASSPHRASE, "not this one"), (PASSPHRASE, "correct horse battery")];
    for line in [
        "list DIR/main.keyring",
        "verify DIR/main.keyring",
        "slot change DIR/main.keyring --new file:DIR/phrase --yes",
        "backup DIR/main.keyring DIR/backup.keyring",
        "rekey DIR/main.keyring --yes",
    ] {
        let Some(shown) = place.at_terminal(line, &right) else { return };
        assert_eq!(shown.code, 0, "{line}: {}", shown.stdout);
        assert!(shown.stdout.contains("the input was empty: try again"), "{line}: {}", shown.stdout);
        assert!(shown.stdout.contains("does not unlock DIR/main.keyring: try again"), "{}", shown.stdout);
        assert!(!shown.stdout.contains("correct horse"), "a secret is not echoed: {}", shown.stdout);
    }
    let wrong = [(PASSPHRASE, "one"), (PASSPHRASE, "two"), (PASSPHRASE, "three")];
    let refused = place.at_terminal("list DIR/main.keyring", &wrong).unwrap();
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stdout.contains("fits none of the unlock slots"), "{}", refused.stdout);
    assert_eq!(refused.stdout.matches("try again").count(), 2, "{}", refused.stdout);
}

#[test]
fn new_passphrases_that_are_empty_short_or_differ_are_asked_for_again() {
    let place = Place::new();
    let (new, repeat) = ("New passphrase:", "Repeat passphrase:");
    let answers = [
        (new, ""),
        (new, "short"),
        (new, "correct horse battery"),
        (repeat, "correct horse batery"),
        (new, "correct horse battery"),
        (repeat, "correct horse battery"),
    ];
    let Some(made) = place.at_terminal("init DIR/main.keyring", &answers) else { return };
    assert_eq!(made.code, 0, "{}", made.stdout);
    for why in
        ["the input was empty: try again", "at least 8 bytes, this one has 5: try again", "differ: try again"]
    {
        assert!(made.stdout.contains(why), "{why}: {}", made.stdout);
    }
    assert_eq!(place.run("verify DIR/main.keyring --unlock file:DIR/phrase").code, 0);
    let unlike = [(new, "correct horse battery"), (repeat, "another")].repeat(3);
    let refused = place.at_terminal("init DIR/other.keyring", &unlike).unwrap();
    assert_eq!(refused.code, 2, "{}", refused.stdout);
    assert!(!place.path("other.keyring").exists());
}

#[test]
fn a_passphrase_that_verifies_no_slot_is_asked_for_again() {
    let place = Place::with_keyring();
    let added = place.run(&format!("slot add DIR/main.keyring {UNLOCK} --new file:DIR/phrase"));
    assert_eq!(added.code, 0, "{}", added.stderr);
    let question = "Passphrase of the slot of";
    let typed = [(question, "not this one"), (question, "correct horse battery")];
    let line = format!("rekey DIR/main.keyring {UNLOCK} --verify-passphrase --yes --json");
    let Some(done) = place.at_terminal(&line, &typed) else { return };
    assert_eq!(done.code, 0, "{}", done.stdout);
    assert!(done.stdout.contains("this secret fits no slot: try again"), "{}", done.stdout);
}

#[test]
fn sync_asks_again_for_a_passphrase_that_does_not_unlock() {
    let place = Place::with_keyring();
    let added = place.run(&format!("slot add DIR/main.keyring {UNLOCK} --new file:DIR/phrase"));
    assert_eq!(added.code, 0, "{}", added.stderr);
    fs::copy(place.path("main.keyring"), place.path("mirror.keyring")).unwrap();
    let question = "Passphrase or recovery key of";
    let typed = [(question, "not this one"), (question, "nor this"), (question, "correct horse battery")];
    for option in ["", " --merge"] {
        let line = format!("sync DIR/main.keyring --mirror DIR/mirror.keyring{option} --yes");
        let Some(done) = place.at_terminal(&line, &typed) else { return };
        assert_eq!(done.code, 0, "{line}: {}", done.stdout);
        assert_eq!(done.stdout.matches("try again").count(), 2, "{line}: {}", done.stdout);
    }
}

#[test]
fn without_a_terminal_the_option_that_is_missing_is_named() {
    let place = Place::with_keyring();
    for (line, option) in [
        ("init DIR/other.keyring".to_owned(), "--unlock SOURCE"),
        ("list DIR/main.keyring".to_owned(), "--unlock SOURCE"),
        ("slot add DIR/main.keyring".to_owned(), "--unlock SOURCE"),
        (format!("slot add DIR/main.keyring {UNLOCK}"), "--new SOURCE"),
        (format!("slot change DIR/main.keyring {UNLOCK} --yes"), "--new SOURCE"),
        (format!("rekey DIR/main.keyring {UNLOCK} --verify-passphrase --yes"), "--verify-slot SOURCE"),
    ] {
        let refused = place.run(&line);
        assert_eq!(refused.code, 2, "{line}: {}", refused.stderr);
        assert!(refused.stderr.contains(&format!("the secret: {option}")), "{line}: {}", refused.stderr);
    }
}

/// On a terminal, a no leaves every byte as it is.
#[test]
fn removing_changing_and_renewing_ask_on_a_terminal() {
    let place = Place::with_keyring();
    let before = fs::read(place.path("main.keyring")).unwrap();
    for (line, question) in [
        (format!("slot remove DIR/main.keyring 2 {UNLOCK}"), "Remove slot 2, recovery key (recovery key)"),
        (
            format!("slot change DIR/main.keyring {UNLOCK} --new file:DIR/phrase"),
            "Change the secret of slot 1",
        ),
        (format!("rekey DIR/main.keyring {UNLOCK}"), "Renew the data key?"),
    ] {
        let Some(refused) = place.at_terminal(&line, &[(question, "no")]) else { return };
        assert_eq!(refused.code, 2, "{line}: {}", refused.stdout);
        assert!(refused.stdout.contains("nothing was changed"), "{line}: {}", refused.stdout);
        assert!(fs::read(place.path("main.keyring")).unwrap() == before, "{line}");
    }
    let line = format!("slot remove DIR/main.keyring 2 {UNLOCK}");
    let done = place.at_terminal(&line, &[("Remove slot 2", "yes")]).unwrap();
    assert_eq!(done.code, 0, "{}", done.stdout);
    assert!(done.stdout.contains("Removed slot 2: recovery key (recovery key), created"), "{}", done.stdout);
}
