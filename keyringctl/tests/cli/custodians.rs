// SPDX-License-Identifier: GPL-2.0-or-later
//! Custodians: shares made, handed out and asked for.

use super::{Ended, Place, UNLOCK};
use keyring_external::custodians::Share;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const LIST: &str = "list DIR/main.keyring --custodians";

/// A keyring with custodians, and their shares.
fn with_custodians(of: &str) -> (Place, Vec<String>) {
    let place = Place::new();
    let line = "init DIR/main.keyring --unlock file:DIR/secret --generate-secret --label Biobank --json --custodians";
    let made = place.run(&format!("{line} {of}"));
    assert_eq!(made.code, 0, "{}", made.stderr);
    let document: Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!(document["slots"], serde_json::json!(["secret_file", "custodians"]));
    assert!(document["recovery_key"].is_null());
    (place, printed(&document))
}

fn printed(document: &Value) -> Vec<String> {
    let printed = document["custodians"]["printed"].as_array().unwrap();
    printed.iter().map(|share| share["share"].as_str().unwrap().to_owned()).collect()
}

/// Runs a command with lines on standard input.
fn given(place: &Place, line: &str, shares: &[&str]) -> Ended {
    place.run_with(line, format!("{}\n", shares.join("\n")).as_bytes())
}

/// A character that is not the one at `at`.
fn mistyped(share: &str, at: usize) -> String {
    let other = if share.as_bytes()[at] == b'7' { "8" } else { "7" };
    let mut share = share.to_owned();
    share.replace_range(at..=at, other);
    share
}

/// A share of the same set with the right checks and wrong contents: two shares, exchanged in their last groups.
fn altered(share: &str, other: &str) -> String {
    let (mut groups, others): (Vec<_>, Vec<_>) = (share.split('-').collect(), other.split('-').collect());
    groups[9] = others[9];
    groups.join("-")
}

#[test]
fn any_two_of_three_shares_open_the_keyring_and_one_does_not() {
    let (place, shares) = with_custodians("2-of-3");
    for (one, other) in [(0, 1), (1, 0), (0, 2), (1, 2)] {
        let opened = given(&place, LIST, &[&shares[one], &shares[other]]);
        assert_eq!((opened.code, opened.stderr.as_str()), (0, ""), "{}", opened.stdout);
        let refused = given(&place, LIST, &[&shares[one]]);
        assert_eq!(refused.code, 2, "{}", refused.stdout);
        assert!(refused.stderr.contains("has 1 share of set") && refused.stderr.contains("2 are needed"));
    }
    let none = place.run_with(LIST, b"");
    assert!(none.code == 2 && none.stderr.contains("Pipe the shares in, one a line"), "{}", none.stderr);
    let listed = place.run("slot list DIR/main.keyring");
    // The set is on the pages of the custodians.
    let set = Share::parse(shares[0].as_bytes()).unwrap().set();
    assert!(
        listed.stdout.contains(&format!("slot 2       custodians 2-of-3 (set {set}), created")),
        "{}",
        listed.stdout
    );
    let listed: Value = serde_json::from_str(&place.run("slot list DIR/main.keyring --json").stdout).unwrap();
    let slot = &listed["slots"][1];
    assert_eq!(
        (&slot["kind"], &slot["threshold"], &slot["shares"], &slot["set"]),
        (&"custodians".into(), &2.into(), &3.into(), &set.as_str().into())
    );
    let status = place.run("status DIR/main.keyring");
    assert!(status.stdout.contains(&format!("custodians 2-of-3 (set {set})")), "{}", status.stdout);
    for command in ["verify DIR/main.keyring", "backup DIR/main.keyring DIR/backup.keyring"] {
        let done = given(&place, &format!("{command} --custodians"), &[&shares[2], &shares[0]]);
        assert_eq!(done.code, 0, "{command}: {}", done.stderr);
    }
}

#[test]
fn a_share_that_cannot_be_right_is_named_at_once() {
    let (place, shares) = with_custodians("2-of-3");
    let (other_keyring, foreign) = with_custodians("2-of-3");
    let refused = |place: &Place, second: &str, why: &str| {
        let refused = given(place, LIST, &[&shares[0], second]);
        assert!(refused.code == 2 && refused.stderr.contains(why), "{why}: {}", refused.stderr);
        assert!(!refused.stderr.contains(&second[6..11]), "a secret is not shown: {}", refused.stderr);
    };
    refused(
        &place,
        &mistyped(&shares[1], 27),
        "line 2 of standard input: group 5 of share 2 has a typing mistake",
    );
    refused(
        &place,
        &mistyped(&shares[1], 3),
        "line 2 of standard input: group 1 of the share has a typing mistake",
    );
    refused(&place, "SOME-WORDS-THAT-ARE-NO-SHARE", "a share has 12 groups of 5 characters");
    refused(&place, &shares[0], "share 1 was given already");
    refused(&place, &foreign[1], "share 2 is of another keyring, whose id begins with");
    drop(other_keyring);

    let added = place.run(&format!("slot add DIR/main.keyring {UNLOCK} --new-custodians 3-of-5 --json"));
    let five = printed(&serde_json::from_str(&added.stdout).unwrap());
    let again =
        place.run(&format!("slot add DIR/main.keyring {UNLOCK} --new-custodians 2-of-3 --name heirs --json"));
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    let named = &again["slots"][3];
    let set = named["set"].as_str().unwrap_or_default();
    assert!(set.len() == 8 && named["name"] == format!("heirs, set {set}"), "{named}");
    let long =
        format!("slot add DIR/main.keyring {UNLOCK} --new-custodians 2-of-3 --name {}", "x".repeat(42));
    let refused = place.run(&long);
    assert!(
        refused.code == 2 && refused.stderr.contains("--name has 42 bytes, and the slot has room for 41")
    );
    let second_set = printed(&again);
    let mixed = given(&place, LIST, &[&shares[0], &second_set[1], &five[2]]);
    assert_eq!(mixed.code, 2, "{}", mixed.stderr);
    assert_eq!(
        mixed.stderr.matches("Shares of different sets do not work together").count(),
        2,
        "{}",
        mixed.stderr
    );
    // A set that is complete opens its slot, whatever was given between.
    for set in [&shares, &second_set] {
        let opened = given(&place, LIST, &[&five[0], &set[0], &set[2]]);
        assert_eq!(opened.code, 0, "{}", opened.stderr);
    }
    assert_eq!(given(&place, LIST, &[&five[4], &five[0], &five[2]]).code, 0);
    // The slot of the first set is removed.
    let removed = place.run(&format!("slot remove DIR/main.keyring 2 {UNLOCK} --yes"));
    assert!(removed.code == 0 && !removed.stdout.contains("WARNING: this is the only"), "{}", removed.stdout);
    let refused = given(&place, LIST, &[&shares[0], &shares[1]]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("at least one of them is wrong, or the set was replaced"),
        "{}",
        refused.stderr
    );
    let removed = place.run(&format!("slot remove DIR/main.keyring 4 {UNLOCK} --yes"));
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    let refused = given(&place, LIST, &[&shares[0]]);
    assert!(
        refused
            .stderr
            .contains("share 1 is of custodians 2-of-3, and DIR/main.keyring has custodians 3-of-5")
    );
}

#[test]
fn one_share_more_shows_which_one_is_wrong() {
    let (place, shares) = with_custodians("2-of-3");
    let wrong = altered(&shares[1], &shares[2]);
    let opened = given(&place, LIST, &[&shares[0], &wrong, &shares[2]]);
    assert_eq!(opened.code, 0, "{}", opened.stderr);
    assert!(opened.stderr.contains("shares 1, 2 of set"), "{}", opened.stderr);
    assert!(
        opened.stderr.contains(
            "share 2, as it was given, is wrong although its check characters are right: shares 1, 3"
        ),
        "{}",
        opened.stderr
    );
    let opened = given(&place, LIST, &[&wrong, &shares[1], &shares[0]]);
    assert!(opened.stderr.contains("share 2 was given already with other characters"), "{}", opened.stderr);
    assert!(
        opened.code == 0 && opened.stderr.contains("share 2, as it was given, is wrong"),
        "{}",
        opened.stderr
    );
    let refused = given(&place, LIST, &[&shares[0], &wrong]);
    assert!(
        refused.code == 1 && refused.stderr.contains("fits none of the unlock slots"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("custodians 2-of-3"), "{}", refused.stderr);
}

#[test]
fn shares_are_asked_for_one_by_one_and_not_echoed() {
    let (place, shares) = with_custodians("2-of-3");
    let typed = shares[1].to_lowercase().replace('-', " ");
    let answers = [
        ("Share 1 of the 2 that are needed for ", mistyped(&typed, 27)),
        ("Share 1 of the 2 that are needed for ", typed.clone()),
        ("Share 2 of the 2 that are needed for ", typed.clone()),
        ("Share 2 of the 2 that are needed for ", altered(&shares[2], &shares[0])),
        ("Share of another custodian of ", shares[0].clone()),
    ];
    let answers: Vec<_> = answers.iter().map(|(prompt, typed)| (*prompt, typed.as_str())).collect();
    let Some(opened) = place.at_terminal(LIST, &answers) else { return };
    assert_eq!(opened.code, 0, "{}", opened.stdout);
    for said in [
        "group 5 of share 2 has a typing mistake: try again",
        "share 2 was given already. Give the share of another custodian: try again",
        "share 3, as it was given, is wrong",
    ] {
        assert!(opened.stdout.contains(said), "{said}: {}", opened.stdout);
    }
    assert!(shares.iter().all(|share| !opened.stdout.contains(&share[6..17])), "{}", opened.stdout);
    assert!(!opened.stdout.contains(&typed[6..17]), "{}", opened.stdout);
}

#[test]
fn on_a_terminal_one_share_is_shown_at_a_time() {
    let place = Place::with_keyring();
    let line = format!("slot add DIR/main.keyring {UNLOCK} --new-custodians 2-of-2");
    let answers = [
        ("Let the custodian of share 1 look at the screen alone. Enter shows it:", ""),
        ("Enter clears the screen, for the custodian of share 2:", ""),
        ("Enter clears the screen:", ""),
    ];
    let Some(added) = place.at_terminal(&line, &answers) else { return };
    assert_eq!(added.code, 0, "{}", added.stdout);
    let pages: Vec<_> = added.stdout.split("\x1b[H\x1b[2J\x1b[3J").collect();
    assert_eq!(pages.len(), 4, "{}", added.stdout);
    for (page, number) in [(pages[1], 1), (pages[2], 2)] {
        assert!(page.contains(&format!("Share {number} of 2. Any 2 of them")), "{page}");
        assert_eq!(page.matches("groups ").count(), 3, "{page}");
        assert!(page.contains("Biobank") && page.contains("This page alone unlocks nothing"), "{page}");
    }
    let shares: Vec<String> = pages[1..3]
        .iter()
        .map(|page| {
            let lines = page.lines().filter_map(|line| line.trim_start().strip_prefix("groups "));
            lines.map(|line| line.split_whitespace().last().unwrap()).collect::<Vec<_>>().join("-")
        })
        .collect();
    assert_eq!(given(&place, LIST, &[&shares[0], &shares[1]]).code, 0);
    assert!(pages[0].matches('-').count() < 40 && !pages[3].contains("groups"), "{}", added.stdout);
}

#[test]
fn pages_are_files_of_their_own_and_print_nothing() {
    let place = Place::with_keyring();
    let line = format!("slot add DIR/main.keyring {UNLOCK} --new-custodians 2-of-3 --pages DIR/pages");
    let added = place.run(&line);
    assert_eq!(added.code, 0, "{}", added.stderr);
    let mut files: Vec<_> =
        fs::read_dir(place.path("pages")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 3);
    let mut shares = Vec::new();
    for (number, file) in (1..).zip(&files) {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let page = fs::read_to_string(file).unwrap();
        assert!(
            page.contains(&format!("<h1>Share {number} of 3</h1>")) && page.contains("Biobank"),
            "{page}"
        );
        assert!(page.contains("default-src 'none'") && page.contains("size: A4"), "{page}");
        // Nothing is loaded from elsewhere.
        assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("), "{page}");
        assert!(page.contains("<svg ") && page.matches("h1v1h-1z").count() > 300, "{page}");
        let groups = page.split("</small>").skip(1).map(|rest| rest.split('<').next().unwrap());
        shares.push(groups.collect::<Vec<_>>().join("-"));
    }
    assert!(shares.iter().all(|share| !added.stdout.contains(&share[6..17])), "{}", added.stdout);
    assert_eq!(given(&place, LIST, &[&shares[2], &shares[1]]).code, 0);
    // The same with JSON: the names of the files, no share.
    let again = place.run(&format!("{line} --json"));
    let document: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(document["custodians"]["pages"].as_array().unwrap().len(), 3);
    assert!(document["custodians"]["printed"].is_null(), "{document}");
    assert_eq!(fs::read_dir(place.path("pages")).unwrap().count(), 6);
    // A directory that cannot be written stops it before a slot is added.
    let slots = place.run("slot list DIR/main.keyring").stdout;
    let refused = place
        .run(&format!("slot add DIR/main.keyring {UNLOCK} --new-custodians 2-of-3 --pages DIR/none/pages"));
    assert!(refused.code == 2 && refused.stderr.contains("DIR/none/pages"), "{}", refused.stderr);
    assert_eq!(place.run("slot list DIR/main.keyring").stdout, slots);
}

#[test]
fn rekey_keeps_the_shares_and_verifies_their_slot_if_they_are_given() {
    let (place, shares) = with_custodians("2-of-3");
    let renewed = place.run(&format!("rekey DIR/main.keyring {UNLOCK} --yes"));
    assert!(renewed.stdout.contains("custodians 2-of-3 (set "), "{}", renewed.stdout);
    assert!(renewed.stdout.contains("renewed with its public key, NOT VERIFIED"), "{}", renewed.stdout);
    assert_eq!(given(&place, LIST, &[&shares[0], &shares[2]]).code, 0);
    let line = format!("rekey DIR/main.keyring {UNLOCK} --verify-custodians --require-all --yes");
    let renewed = given(&place, &line, &[&shares[1], &shares[2]]);
    assert_eq!(renewed.code, 0, "{}", renewed.stderr);
    assert!(!renewed.stdout.contains("NOT VERIFIED"), "{}", renewed.stdout);
    assert_eq!(given(&place, LIST, &[&shares[1], &shares[0]]).code, 0);
    // The shares as the secret that unlocks, and the recovery key of the next line.
    let renewed = given(&place, "rekey DIR/main.keyring --custodians --yes", &[&shares[0], &shares[1]]);
    assert_eq!(renewed.code, 0, "{}", renewed.stderr);
    assert_eq!(given(&place, LIST, &[&shares[2], &shares[0]]).code, 0);
}

#[test]
fn custodians_give_the_server_a_new_secret_when_the_old_one_is_lost() {
    let (place, shares) = with_custodians("3-of-5");
    fs::remove_file(place.path("secret")).unwrap();
    let line = "slot add DIR/main.keyring --custodians --new file:DIR/phrase --name server";
    let added = given(&place, line, &[&shares[4], &shares[0], &shares[2]]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert_eq!(place.run("list DIR/main.keyring --unlock file:DIR/phrase").code, 0);
    let vague = given(&place, "slot add DIR/main.keyring --custodians", &[]);
    assert!(
        vague.code == 2 && vague.stderr.contains("--new-custodians 2-of-3 creates new shares"),
        "{}",
        vague.stderr
    );
    // The secret of the custodians is replaced by another one.
    let line = "slot change DIR/main.keyring --custodians --new file:DIR/other --yes";
    let changed = given(&place, line, &[&shares[1], &shares[3], &shares[2]]);
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    assert_eq!(place.run("list DIR/main.keyring --unlock file:DIR/other").code, 0);
    // It is no set of shares any more.
    let listed = place.run("slot list DIR/main.keyring").stdout;
    assert!(
        listed.contains("slot 2 ") && listed.contains("(added)") && !listed.contains("(set "),
        "{listed}"
    );
    assert!(given(&place, LIST, &[&shares[1]]).stderr.contains("has no unlock slot for custodians"));
}

#[test]
fn the_only_custodians_are_not_removed_without_a_warning() {
    let (place, _) = with_custodians("2-of-3");
    let asked = place.run(&format!("slot remove DIR/main.keyring 2 {UNLOCK} --dry-run"));
    assert!(asked.stdout.contains("WARNING: this is the only slot for custodians"), "{}", asked.stdout);
    assert!(asked.stdout.contains("--new-custodians 2-of-3"), "{}", asked.stdout);
    for line in [
        "init DIR/k --unlock file:DIR/phrase --pages DIR/pages",
        "init DIR/k --unlock file:DIR/phrase --custodians 3-of-2",
    ] {
        let refused = place.run(line);
        assert!(
            refused.code == 2 && !place.path("k").exists() && !place.path("pages").exists(),
            "{}",
            refused.stderr
        );
    }
}
