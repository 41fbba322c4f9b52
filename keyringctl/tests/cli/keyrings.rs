// SPDX-License-Identifier: GPL-2.0-or-later
//! Creating and inspecting keyrings, and the secrets that they are unlocked with.

use super::{Ended, Place, UNLOCK, check};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

#[test]
fn init() {
    let place = Place::new();
    check(
        "init_shows_the_recovery_key_once",
        &place,
        &["init DIR/main.keyring --unlock file:DIR/secret --generate-secret --label Biobank"],
    );
    check("init_does_not_overwrite", &place, &["init DIR/main.keyring --unlock file:DIR/secret"]);
    check(
        "init_refuses_a_short_passphrase",
        &{
            place.write("short", b"1234567");
            place
        },
        &["init DIR/other.keyring --unlock file:DIR/short"],
    );
    let place = Place::new();
    fs::create_dir(place.path("open")).unwrap();
    fs::set_permissions(place.path("open"), fs::Permissions::from_mode(0o755)).unwrap();
    check(
        "init_refuses_a_directory_that_others_can_change",
        &{
            fs::set_permissions(place.path("open"), fs::Permissions::from_mode(0o777)).unwrap();
            place
        },
        &["init DIR/open/main.keyring --unlock file:DIR/phrase"],
    );
}

/// Standard outputs that lose what is written to them.
fn lost_outputs() -> Vec<(&'static str, Option<Stdio>)> {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (_, nobody_reads) = std::io::pipe().unwrap();
    vec![("full", Some(full.into())), ("no reader", Some(nobody_reads.into())), ("closed", None)]
}

impl Place {
    /// Runs `keyringctl` with this standard output, or with a closed one.
    fn run_into(&self, line: &str, stdout: Option<Stdio>) -> Ended {
        let dir = self.dir.path().to_str().unwrap();
        let to = if stdout.is_none() { ">&-" } else { "" };
        let output = Command::new("/bin/sh")
            .args(["-c", &format!(r#"exec "$0" "$@" {to}"#), env!("CARGO_BIN_EXE_keyringctl")])
            .args(line.split_whitespace().map(|word| word.replace("DIR", dir)))
            .stdin(Stdio::null())
            .stdout(stdout.unwrap_or(Stdio::null()))
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap().replace(dir, "DIR");
        Ended { code: output.status.code().unwrap(), stdout: String::new(), stderr }
    }
}

#[test]
fn a_recovery_key_that_could_not_be_shown_unlocks_nothing() {
    let place = Place::with_keyring();
    let before = place.run("slot list DIR/main.keyring").stdout;
    let new =
        "init DIR/new.keyring --mirror DIR/mirror.keyring --unlock file:DIR/new.secret --generate-secret";
    let add = format!("slot add DIR/main.keyring {UNLOCK} --new-recovery");
    for line in [new.to_owned(), format!("{new} --json"), add.clone(), format!("{add} --json")] {
        for (what, stdout) in lost_outputs() {
            let Ended { code, stderr, .. } = place.run_into(&line, stdout);
            assert_eq!(code, 2, "{what}, {line}: {stderr}");
            assert!(stderr.contains("recovery key could not be shown"), "{what}, {line}: {stderr}");
            assert!(stderr.contains("removed again"), "{what}, {line}: {stderr}");
            for file in ["new.keyring", "new.keyring.new", "mirror.keyring", "new.secret"] {
                assert!(!place.path(file).exists(), "{what}, {line} left {file}");
            }
            assert_eq!(place.run("slot list DIR/main.keyring").stdout, before, "{what}, {line}");
        }
    }
    assert_eq!(place.run(new).code, 0, "nothing is in its way");
    // Redirecting the output to /dev/null is allowed.
    let null = fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    assert_eq!(place.run_into(&add, Some(null.into())).code, 0);
}

#[test]
fn looking_at_a_keyring() {
    let place = Place::with_keyring();
    check(
        "status_list_and_verify_of_a_new_keyring",
        &place,
        &[
            "status DIR/main.keyring",
            &format!("list DIR/main.keyring {UNLOCK}"),
            &format!("verify DIR/main.keyring {UNLOCK}"),
            &format!("verify DIR/main.keyring {UNLOCK} --json"),
            "slot list DIR/main.keyring --json",
        ],
    );
    check(
        "a_missing_keyring_is_not_replaced_by_a_new_one",
        &place,
        &["status DIR/none.keyring", &format!("verify DIR/none.keyring {UNLOCK}")],
    );
    check(
        "a_wrong_secret_is_distinguished_from_damage",
        &place,
        &["verify DIR/main.keyring --unlock file:DIR/phrase"],
    );
    let mut bytes = fs::read(place.path("main.keyring")).unwrap();
    bytes[100] ^= 1;
    bytes[4096 + 100] ^= 1;
    place.write("damaged.keyring", &bytes);
    check("damage_is_reported_with_its_offset", &place, &[&format!("verify DIR/damaged.keyring {UNLOCK}")]);
    place.write("foreign.keyring", b"not one");
    check("a_file_of_another_kind_is_refused", &place, &[&format!("verify DIR/foreign.keyring {UNLOCK}")]);
}

#[test]
fn figures_for_prometheus() {
    let place = Place::with_keyring();
    check(
        "status_prometheus_shows_the_missing_copy",
        &place,
        &[&format!("status DIR/main.keyring DIR/none.keyring --prometheus {UNLOCK}")],
    );
}

#[test]
fn secrets() {
    let place = Place::with_keyring();
    check(
        "a_secret_never_comes_from_the_command_line",
        &place,
        &[
            "list DIR/main.keyring --unlock hunter2",
            "list DIR/main.keyring",
            "list DIR/main.keyring --recovery",
        ],
    );
    fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    check("a_secret_that_others_can_read_is_refused", &place, &[&format!("list DIR/main.keyring {UNLOCK}")]);
}

/// A recovery key on standard input is read once for all copies.
#[test]
fn a_recovery_key_is_read_once() {
    let place = Place::new();
    let made = place
        .run("init DIR/a.keyring --mirror DIR/b.keyring --unlock file:DIR/secret --generate-secret --json");
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    let key = made["recovery_key"].as_str().unwrap();
    let done = place.run_with("verify DIR/a.keyring DIR/b.keyring --recovery", key.as_bytes());
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert_eq!(done.stdout.matches("every byte authenticated").count(), 2, "{}", done.stdout);
    let status = place.run_with("status DIR/a.keyring DIR/b.keyring --recovery", key.as_bytes());
    assert_eq!(status.code, 0, "{}{}", status.stdout, status.stderr);
    assert!(
        status.stdout.contains("keys") && !status.stdout.contains("not authenticated"),
        "{}",
        status.stdout
    );
    // Other sources are read once too: this program would fail the second time.
    let script = "#!/bin/sh\nset -C\n: > \"$0.ran\" || exit 1\ncat \"${0%/*}/secret\"\n";
    place.write("once", script.as_bytes());
    fs::set_permissions(place.path("once"), fs::Permissions::from_mode(0o700)).unwrap();
    for command in ["verify", "status"] {
        let _ = fs::remove_file(place.path("once.ran"));
        let dir = place.dir.path().to_str().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_keyringctl"))
            .args([command, "--unlock", &format!("command:{dir}/once")])
            .args([place.path("a.keyring"), place.path("b.keyring")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }
}
