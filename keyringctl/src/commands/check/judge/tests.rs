// SPDX-License-Identifier: GPL-2.0-or-later

use super::*;
use crate::commands::status::copy_status::Description;
use crate::error::ServerError;
use std::path::Path;
use uuid::Uuid;

fn about(generation: u64) -> Description {
    Description {
        id: Uuid::nil(),
        label: "Biobank|1".to_owned(),
        created: 0,
        generation: Some(generation),
        authenticated: false,
        keys: None,
        slots: Vec::new(),
        notes: Vec::new(),
        unchangeable: None,
        witness: None,
    }
}

/// A copy that is up to date, at generation 7.
fn good(path: &str) -> CopyStatus {
    CopyStatus { fine: true, about: Some(about(7)), ..CopyStatus::of(Path::new(path)) }
}

fn bad(path: &str, wrong: Wrong) -> CopyStatus {
    let mut copy = CopyStatus::of(Path::new(path));
    copy.fail(wrong, format!("{wrong:?}"));
    copy
}

fn figures(state: &str, copies: (u32, u32)) -> Figures {
    Figures {
        state: state.to_owned(),
        id: Uuid::nil().to_string(),
        generation: 7,
        keys: 3,
        copies,
        failures: Some(2),
        last_error: "/mnt/b/k is gone".to_owned(),
    }
}

fn only(copies: &[CopyStatus]) -> Option<Found<'_>> {
    Some(Found { copies, without_witness: None, damaged_witness: None })
}

const LIMITS: Limits = Limits { min_copies: 1, max_failures: None, stores: true };

fn of_copies(copies: &[CopyStatus], limits: &Limits) -> (Level, String) {
    let line = line(only(copies), None, limits, Vec::new());
    (line.level, line.to_string())
}

fn of_server(server: Result<KeyringFigures>, limits: &Limits) -> (Level, String) {
    let line = line(None, Some(&server), limits, Vec::new());
    (line.level, line.to_string())
}

#[test]
fn a_damaged_witness_is_a_warning() {
    let copies = [good("/a/k")];
    let damaged_witness = Some(Path::new("/data/keyring_external.witness"));
    let found = Some(Found { copies: &copies, without_witness: None, damaged_witness });
    let line = line(found, None, &LIMITS, Vec::new());
    assert_eq!(line.level, Level::Warning);
    assert!(line.text.contains("/data/keyring_external.witness is damaged"), "{}", line.text);
}

#[test]
fn a_missing_copy_is_a_warning_until_too_few_are_left() {
    let copies = || vec![good("/a/k"), bad("/b/k", Wrong::Unusable)];
    let (level, text) = of_copies(&copies(), &LIMITS);
    assert_eq!(level, Level::Warning);
    assert_eq!(
        text,
        "WARNING: 1/2 copies up to date; /b/k: Unusable; keyring 00000000-0000-0000-0000-000000000000 \
         (Biobank\\u{7c}1), generation 7, not authenticated (no --unlock) | copies_current=1;2:;1: copies_configured=2 \
         generation=7"
    );
    assert_eq!(of_copies(&copies(), &Limits { min_copies: 2, ..LIMITS }).0, Level::Critical);
    assert_eq!(of_copies(&[bad("/a/k", Wrong::Unusable)], &LIMITS).0, Level::Critical);
    assert_eq!(of_copies(&[good("/a/k"), good("/b/k")], &Limits { min_copies: 2, ..LIMITS }).0, Level::Ok);
}

#[test]
fn fewer_copies_than_demanded_are_critical_even_if_all_are_good() {
    let five = Limits { min_copies: 5, ..LIMITS };
    let (level, text) = of_copies(&[good("/a/k"), good("/b/k")], &five);
    assert!(level == Level::Critical && text.contains("named is 2, but --min-copies demands 5"), "{text}");
    let closed = bad("/a/k", Wrong::NoPermission);
    assert_eq!(of_copies(&[closed, good("/b/k")], &five).0, Level::Critical);
    for (state, expected) in [("ATTACHED", Level::Critical), ("READ_ONLY", Level::Critical)] {
        assert_eq!(of_server(Ok(KeyringFigures::Ours(figures(state, (4, 4)))), &five).0, expected, "{state}");
    }
}

#[test]
fn a_data_directory_without_a_witness_is_no_comparison() {
    let found = |server: Option<&str>, stores| {
        let copies = [good("/a/k")];
        let found =
            Some(Found { copies: &copies, without_witness: Some(Path::new("/tmp")), damaged_witness: None });
        let server = server.map(|state| Ok(KeyringFigures::Ours(figures(state, (1, 1)))));
        let line = line(found, server.as_ref(), &Limits { stores, ..LIMITS }, Vec::new());
        assert!(line.text.contains("there is no witness in /tmp"), "{}", line.text);
        line.level
    };
    assert_eq!(found(None, true), Level::Warning);
    assert_eq!(found(Some("ATTACHED"), true), Level::Warning);
    // Such a server writes none.
    assert_eq!(found(Some("READ_ONLY"), true), Level::Ok);
    assert_eq!(found(None, false), Level::Ok);
}

#[test]
fn a_wrong_secret_is_named_with_the_count() {
    let locked = |path| bad(path, Wrong::OtherSecret);
    let (level, text) = of_copies(&[locked("/a/k"), locked("/b/k")], &LIMITS);
    assert_eq!(level, Level::Critical);
    assert!(text.contains("0/2 copies up to date: the secret does not open the keyring; /a/k"), "{text}");
    let (level, text) = of_copies(&[good("/a/k"), locked("/b/k")], &LIMITS);
    assert_eq!(level, Level::Warning);
    assert!(text.contains("1/2 copies up to date: the secret does not open 1 of them"), "{text}");
}

#[test]
fn each_kind_of_copy_has_its_level() {
    for (wrong, expected) in [
        (Wrong::NoPermission, Level::Unknown),
        (Wrong::Behind, Level::Warning),
        (Wrong::SameFile, Level::Warning),
        (Wrong::Diverged, Level::Critical),
        (Wrong::AnotherKeyring, Level::Critical),
    ] {
        assert_eq!(of_copies(&[good("/a/k"), bad("/b/k", wrong)], &LIMITS).0, expected, "{wrong:?}");
    }
    // What this user may not read may be in order.
    let closed = || bad("/a/k", Wrong::NoPermission);
    assert_eq!(of_copies(&[closed()], &LIMITS).0, Level::Unknown);
    assert_eq!(of_copies(&[closed(), bad("/b/k", Wrong::Behind)], &LIMITS).0, Level::Warning);
}

#[test]
fn a_copy_that_cannot_be_changed_is_reported_before_a_change_fails() {
    let full = |path| {
        let mut copy = good(path);
        copy.about.as_mut().unwrap().unchangeable = Some("the volume is full".to_owned());
        copy
    };
    let (level, text) = of_copies(&[good("/a/k"), full("/b/k")], &LIMITS);
    assert!(
        level == Level::Warning && text.contains("/b/k: no new key can be stored: the volume is full"),
        "{text}"
    );
    assert_eq!(of_copies(&[full("/a/k"), full("/b/k")], &LIMITS).0, Level::Critical);
    // Nobody wants to store one.
    assert_eq!(of_copies(&[full("/a/k")], &Limits { stores: false, ..LIMITS }).0, Level::Ok);
    let server = Ok(KeyringFigures::Ours(figures("READ_ONLY", (2, 2))));
    assert_eq!(
        line(only(&[full("/a/k"), full("/b/k")]), Some(&server), &LIMITS, Vec::new()).level,
        Level::Ok
    );
}

#[test]
fn a_damaged_copy_that_still_opens_is_no_copy_that_counts() {
    let mut copy = good("/b/k");
    copy.fine = false;
    copy.about.as_mut().unwrap().notes = vec!["one header is damaged".to_owned()];
    let (level, text) = of_copies(&[good("/a/k"), copy], &LIMITS);
    assert!(level == Level::Warning && text.contains("/b/k: it is damaged: one header is damaged"), "{text}");
}

#[test]
fn each_state_of_the_server_has_its_level() {
    for (state, copies, expected) in [
        ("ATTACHED", (2, 2), Level::Ok),
        ("READ_ONLY", (2, 2), Level::Ok),
        ("DEGRADED", (1, 2), Level::Warning),
        ("DETACHED", (0, 2), Level::Critical),
        ("UNAVAILABLE", (0, 0), Level::Critical),
        ("something new", (2, 2), Level::Critical),
    ] {
        let (level, text) = of_server(Ok(KeyringFigures::Ours(figures(state, copies))), &LIMITS);
        assert_eq!(level, expected, "{text}");
        assert!(text.contains(&format!("server {state} with {}/{} copies", copies.0, copies.1)), "{text}");
        // The last error may be old: it is shown only if it is why no copy can be used.
        assert_eq!(text.contains("/mnt/b/k is gone"), level == Level::Critical, "{text}");
    }
    let two = Limits { min_copies: 2, ..LIMITS };
    assert_eq!(of_server(Ok(KeyringFigures::Ours(figures("DEGRADED", (1, 2)))), &two).0, Level::Critical);
    assert_eq!(of_server(Ok(KeyringFigures::Ours(figures("ATTACHED", (1, 1)))), &two).0, Level::Critical);
    assert_eq!(of_server(Ok(KeyringFigures::None), &LIMITS).0, Level::Critical);
    assert_eq!(of_server(Ok(KeyringFigures::Other("keyring_file".to_owned())), &LIMITS).0, Level::Critical);
}

#[test]
fn a_failed_reload_is_a_warning_and_an_old_error_is_none() {
    let after = |last_error: &str, state| {
        let last_error = last_error.to_owned();
        of_server(Ok(KeyringFigures::Ours(Figures { last_error, ..figures(state, (2, 2)) })), &LIMITS)
    };
    assert_eq!(after("/mnt/b/k was gone", "ATTACHED").0, Level::Ok);
    let failed = format!("{RELOAD_FAILED}: /etc/x.cnf: expected value");
    for (state, expected) in
        [("ATTACHED", Level::Warning), ("READ_ONLY", Level::Warning), ("DETACHED", Level::Critical)]
    {
        let (level, text) = after(&failed, state);
        assert_eq!((level, text.matches(&failed).count()), (expected, 1), "{text}");
        assert!(text.contains("ALTER INSTANCE RELOAD KEYRING"), "{text}");
    }
}

#[test]
fn the_copies_themselves_say_what_is_wrong_with_them() {
    let server = Ok(KeyringFigures::Ours(figures("DEGRADED", (1, 2))));
    let one = |copies: &[CopyStatus]| line(only(copies), Some(&server), &LIMITS, Vec::new()).text;
    let text = one(&[good("/a/k"), bad("/b/k", Wrong::Unusable)]);
    assert!(
        text.starts_with("server DEGRADED with 1/2 copies; 1/2 copies up to date; /b/k: Unusable; key"),
        "{text}"
    );
    // The server may see what this program does not.
    let text = one(&[good("/a/k"), good("/b/k")]);
    assert!(text.contains("2/2 copies up to date; run keyringctl doctor on its host"), "{text}");
}

#[test]
fn failures_are_counted_if_a_limit_is_given() {
    let server = || Ok(KeyringFigures::Ours(figures("ATTACHED", (2, 2))));
    for (max, expected) in [(None, Level::Ok), (Some(2), Level::Ok), (Some(1), Level::Warning)] {
        let (level, text) = of_server(server(), &Limits { max_failures: max, ..LIMITS });
        assert_eq!(level, expected);
        let range = max.map(|max| format!(";{max}")).unwrap_or_default();
        assert!(text.ends_with(&format!(" server_failures=2c{range}")), "{text}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_critical_and_a_refused_account_is_unknown() {
    let answer = |code| {
        let e = ServerError { doing: "connect".to_owned(), code, silent: code == 0, why: "no".to_owned() };
        of_server(Err(Error::Server(e)), &LIMITS)
    };
    assert_eq!(answer(0), (Level::Critical, "CRITICAL: cannot connect: no".to_owned()));
    assert_eq!(answer(1040).0, Level::Critical);
    assert_eq!(answer(1045), (Level::Unknown, "UNKNOWN: cannot connect: no".to_owned()));
    let usage = Err(Error::Usage("no password".to_owned()));
    assert_eq!(of_server(usage, &LIMITS).0, Level::Unknown);
}

#[test]
fn the_copies_must_be_those_that_the_server_uses() {
    let both = |server: Figures| {
        let line = line(only(&[good("/a/k")]), Some(&Ok(KeyringFigures::Ours(server))), &LIMITS, Vec::new());
        (line.level, line.to_string())
    };
    assert_eq!(both(figures("ATTACHED", (1, 1))).0, Level::Ok);
    let (level, text) = both(Figures { generation: 9, ..figures("ATTACHED", (1, 1)) });
    assert!(level == Level::Critical && text.contains("generation 9, but these copies have 7"), "{text}");
    let (level, text) = both(Figures { id: "other".to_owned(), ..figures("ATTACHED", (1, 1)) });
    assert!(level == Level::Critical && text.contains("uses keyring other"), "{text}");
    // The server may have stored a key since it was asked.
    assert_eq!(both(Figures { generation: 6, ..figures("ATTACHED", (1, 1)) }).0, Level::Ok);
}

#[test]
fn a_secret_that_cannot_be_read_does_not_hide_what_the_server_says() {
    let server = Ok(KeyringFigures::Ours(figures("DEGRADED", (1, 2))));
    let line = line(None, Some(&server), &LIMITS, vec![Problem::unknown("no secret".to_owned())]);
    assert_eq!(line.level, Level::Warning);
    assert!(line.text.ends_with("; no secret"), "{}", line.text);
}
