// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl check`: one line, and the exit codes of monitoring plugins.

use super::{Ended, Place, UNLOCK, check, common};
use keyring_external::keyring::load;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

const BOTH: &str = "check DIR/main.keyring DIR/mirror.keyring";

/// Two copies; the data directory `data` was last used with their present state.
fn with_mirror() -> Place {
    let place = Place::with_keyring();
    fs::create_dir(place.path("data")).unwrap();
    store(&place, "main.keyring", "first");
    fs::copy(place.path("main.keyring"), place.path("mirror.keyring")).unwrap();
    open(&place, "main.keyring").write_witness(&fs(), &place.path("data"), |_, _| {}).unwrap();
    place
}

fn fs() -> Arc<dyn Fs> {
    Arc::new(RealFs)
}

fn open(place: &Place, path: &str) -> keyring_external::keyring::Keyring {
    load(&Places::from(&fs()), &place.path(path), &UnlockSource::File(place.path("secret"))).unwrap().0
}

fn store(place: &Place, path: &str, id: &str) {
    open(place, path).store(common::name(id, ""), &common::key_type("AES"), &[7; 32]).unwrap();
}

/// What the line says, which is the only one, and the exit code that belongs to its first word.
#[track_caller]
fn says(place: &Place, line: &str, state: &str, texts: &[&str]) {
    let Ended { code, stdout, stderr } = place.run(line);
    let expected = ["OK", "WARNING", "CRITICAL", "UNKNOWN"].iter().position(|s| *s == state);
    assert_eq!(Some(code), expected.and_then(|n| n.try_into().ok()), "{line}: {stdout}{stderr}");
    assert!(stdout.starts_with(&format!("{state}: ")) && stdout.ends_with('\n'), "{line}: {stdout}");
    assert_eq!(stdout.lines().count(), 1, "{line}: {stdout}");
    assert!(stdout.matches('|').count() <= 1, "{line}: {stdout}");
    for text in texts {
        assert!(stdout.contains(text), "{line}: {text} is not in {stdout}");
    }
}

#[test]
fn each_state_has_its_line_and_exit_code() {
    let place = with_mirror();
    check(
        "check_of_copies_in_order",
        &place,
        &[
            &format!("{BOTH} --datadir DIR/data {UNLOCK}"),
            BOTH,
            &format!("{BOTH} --datadir DIR/data --min-copies 2 --json"),
        ],
    );
    check(
        "check_counts_the_copies_that_are_there",
        &place,
        &[
            &format!("check DIR/main.keyring DIR/none.keyring --datadir DIR/data {UNLOCK}"),
            "check DIR/main.keyring DIR/none.keyring --min-copies 2",
            "check DIR/none.keyring",
        ],
    );
    check(
        "check_that_cannot_be_carried_out_is_unknown",
        &place,
        &[
            "check --min-copies 0",
            "check DIR/main.keyring --frobnicate",
            "--json check --timeout soon",
            "check DIR/main.keyring --json --frobnicate",
            "check DIR/main.keyring --unlock file:DIR/none",
            "check DIR/main.keyring --datadir DIR/none",
            "check --no-defaults --socket DIR/s --password",
        ],
    );
}

#[test]
fn a_mirror_that_is_behind_is_a_warning() {
    let place = with_mirror();
    store(&place, "main.keyring", "second");
    let behind = [
        "1/2 copies up to date",
        "DIR/mirror.keyring: it is behind DIR/main.keyring",
        " | copies_current=1;2:;1: ",
    ];
    says(&place, &format!("{BOTH} {UNLOCK}"), "WARNING", &behind);
    says(&place, &format!("{BOTH} --datadir DIR/data {UNLOCK}"), "WARNING", &behind);
    says(&place, &format!("{BOTH} --min-copies 2 {UNLOCK}"), "CRITICAL", &behind[..2]);
    says(&place, BOTH, "WARNING", &behind);
    verify_says(&place, "DIR/mirror.keyring: it is behind DIR/main.keyring (generation 3)");
}

#[test]
fn a_mirror_that_has_diverged_is_critical() {
    let place = with_mirror();
    store(&place, "main.keyring", "here");
    store(&place, "mirror.keyring", "there");
    let diverged = ["it has diverged from", "keyringctl sync DIR/m", "--merge"];
    for line in [BOTH.to_owned(), format!("{BOTH} {UNLOCK}")] {
        says(&place, &line, "CRITICAL", &diverged);
    }
    store(&place, "main.keyring", "here again");
    says(&place, &format!("{BOTH} {UNLOCK}"), "CRITICAL", &diverged);
    open(&place, "main.keyring").write_witness(&fs(), &place.path("data"), |_, _| {}).unwrap();
    says(&place, &format!("{BOTH} --datadir DIR/data {UNLOCK}"), "CRITICAL", &["1/2", diverged[0]]);
    says(&place, &format!("check DIR/mirror.keyring --datadir DIR/data {UNLOCK}"), "CRITICAL", &["0/1"]);
    verify_says(&place, "it has diverged from");
}

/// `verify` compares the copies too.
fn verify_says(place: &Place, expected: &str) {
    let verified = place.run(&format!("verify DIR/main.keyring DIR/mirror.keyring {UNLOCK}"));
    assert!(verified.code == 1 && verified.stdout.contains(expected), "{}", verified.stdout);
}

#[test]
fn a_damaged_copy_is_found_with_the_secret() {
    let place = with_mirror();
    let mut bytes = fs::read(place.path("mirror.keyring")).unwrap();
    let at = bytes.len() - 5;
    bytes[at] ^= 1;
    place.write("mirror.keyring", &bytes);
    says(&place, &format!("{BOTH} {UNLOCK}"), "WARNING", &["1/2", "DIR/mirror.keyring", "damaged"]);
    // Without the secret, only the front is looked at, and the line says so.
    says(&place, BOTH, "OK", &["not authenticated (no --unlock)"]);
    bytes[100] ^= 1;
    place.write("mirror.keyring", &bytes);
    says(
        &place,
        BOTH,
        "WARNING",
        &["DIR/mirror.keyring: it is damaged but can be used: one of the two copies of the header"],
    );
}

#[test]
fn a_copy_of_another_keyring_or_older_than_the_data_is_critical() {
    let place = with_mirror();
    store(&place, "main.keyring", "second");
    open(&place, "main.keyring").write_witness(&fs(), &place.path("data"), |_, _| {}).unwrap();
    let older = format!("check DIR/mirror.keyring --datadir DIR/data {UNLOCK}");
    says(&place, &older, "CRITICAL", &["was last used with generation"]);
    assert_eq!(place.run(&format!("init DIR/other.keyring {UNLOCK}")).code, 0);
    says(
        &place,
        &format!("check DIR/main.keyring DIR/other.keyring {UNLOCK}"),
        "CRITICAL",
        &["not a copy of keyring"],
    );
    says(&place, "check DIR/main.keyring DIR/main.keyring", "WARNING", &["is named twice"]);
}

#[test]
fn what_was_asked_for_and_cannot_be_told_is_no_ok() {
    let place = with_mirror();
    says(&place, &format!("{BOTH} --min-copies 5"), "CRITICAL", &["2/2", "--min-copies demands 5"]);
    says(&place, &format!("{BOTH} --min-copies 2"), "OK", &["2/2"]);
    fs::create_dir(place.path("empty")).unwrap();
    for unlock in ["", UNLOCK] {
        let line = format!("{BOTH} --datadir DIR/empty {unlock}");
        says(&place, &line, "WARNING", &["2/2", "there is no witness in DIR/empty"]);
    }
    let wrong = format!("{BOTH} --unlock file:DIR/other");
    says(&place, &wrong, "CRITICAL", &["0/2 copies up to date: the secret does not open the keyring"]);
}

#[test]
fn a_server_that_does_not_answer_is_critical() {
    let place = with_mirror();
    let server = "--no-defaults --user monitor --socket DIR/s";
    says(
        &place,
        &format!("check {server}"),
        "CRITICAL",
        &["cannot connect to the MySQL server at DIR/s as monitor"],
    );
    // What is known of the copies is said even so.
    let both = format!("{BOTH} {server}");
    says(&place, &both, "CRITICAL", &["2/2 copies up to date; cannot connect", "copies_current=2;2:;1:"]);
    // It accepts connections, and then says nothing.
    let _listener = UnixListener::bind(place.path("s")).unwrap();
    says(&place, &format!("check {server} --timeout 3"), "CRITICAL", &["MySQL server"]);
}

#[test]
fn a_name_cannot_forge_a_line() {
    let place = Place::with_keyring();
    let name = "k|copies_current=2\nOK:\u{202e}fine";
    fs::copy(place.path("main.keyring"), place.path("x")).unwrap();
    let dir = place.path("").display().to_string();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_keyringctl"))
        .args(["check", &format!("{dir}/main.keyring"), &format!("{dir}/{name}")])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), text.lines().count(), text.matches('|').count()),
        (Some(1), 1, 1),
        "{text}"
    );
    assert!(text.starts_with("WARNING: ") && !text.contains('\u{202e}'), "{text}");
}

/// The service of the timer, which fails if a copy is behind or has diverged.
#[test]
fn the_timers_command_finds_a_mirror_that_is_behind() {
    let unit = include_str!("../../../packaging/monitoring/keyring-external-check.service");
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/keyringctl ")).unwrap();
    let line = command
        .replace("$COPIES", "DIR/main.keyring DIR/mirror.keyring")
        .replace("${DATADIR}", "DIR/data")
        .replace("${UNLOCK}", "file:DIR/secret");
    let place = with_mirror();
    says(&place, &line, "OK", &["every byte authenticated"]);
    store(&place, "main.keyring", "second");
    says(&place, &line, "WARNING", &["it is behind"]);
    store(&place, "mirror.keyring", "other");
    says(&place, &line, "CRITICAL", &["diverged"]);
}
