// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl doctor`: the names of its checks, who runs it, and what it says of a server that it cannot see.

#[path = "../../tests/common/mod.rs"]
mod common;
mod mock_host;

use common::ended::Ended;
use mock_host::Host;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

const ARGS: [&str; 7] =
    ["/mnt/a/keys/k", "--mirror", "/mnt/b/keys/k", "--allow-same-device", "--as", "component", "--yes"];

#[test]
fn a_check_that_does_not_exist_cannot_be_ignored() {
    let host = Host::new();
    host.run(&["doctor", "--offline", "--ignore", "one_copy"]).says(
        2,
        &["there is no check \"one_copy\"", "Did you mean one-copy?", "keyringctl doctor --list-checks"],
    );
    host.run(&["doctor", "--offline", "--ignore", "configured", "--ignore", "NONSENSE"])
        .says(2, &["there is no check \"NONSENSE\""]);
    host.run(&["doctor", "--list-checks"]).says(0, &["one-copy ", "unlock-secret ", "server-state "]);
    let listed = host.run(&["doctor", "--list-checks", "--json"]).says(0, &[]).json();
    assert!(listed["checks"]["one-copy"].is_string());
    // Every check that runs has a name that is listed.
    host.setup(&ARGS).says(0, &[]);
    let found = host.run(&["doctor", "--offline", "--json"]).says(1, &[]).json();
    let names = found["findings"].as_array().unwrap().iter().map(|f| &f["check"]);
    for name in names.chain(found["passed"].as_array().unwrap()) {
        assert!(listed["checks"][name.as_str().unwrap()].is_string(), "{name}");
    }
}

#[test]
fn without_asking_the_server_doctor_does_not_say_that_it_has_no_keyring() {
    let host = Host::new();
    host.run(&["doctor", "--offline"]).says(
        1,
        &[
            "ERROR   configured: mysqld does not load keyring_external",
            "Started like this, the server has no keyring",
            "A running server may still have a keyring",
            "keyringctl doctor --option-file FILE",
        ],
    );
}

#[test]
fn each_copy_that_must_move_gets_a_volume_of_its_own() {
    let host = Host::new();
    host.setup(&ARGS).says(0, &[]);
    let told = host.run(&["doctor", "--offline"]).says(1, &["/OTHER/VOLUME/keys/k", "/OTHER/VOLUME2/keys/k"]);
    let targets: Vec<_> = told.out.lines().filter(|line| line.contains(" --mirror /OTHER/")).collect();
    for line in targets {
        assert_eq!(line.contains("mnt/b/keys/k --mirror"), line.contains("/OTHER/VOLUME2/"), "{line}");
    }
}

#[test]
fn options_of_the_plugin_that_nothing_loads_are_found_before_mysqld_ends_with_them() {
    let host = Host::new();
    host.setup(&ARGS).says(0, &[]);
    host.write(
        "etc/my.cnf",
        "[mysqld]\nloose_keyring_external_wait=1\nkeyring_external_data=/mnt/a/keys/k\n",
    );
    let told = ["nothing loads it", "etc/my.cnf line 3", "unknown variable"];
    host.run(&["doctor", "--offline"]).says(1, &told);
    let before = host.files();
    host.setup(&["--wait", "5", "--yes"])
        .says(2, &["unknown variable", "etc/my.cnf line 3", "Nothing was changed"]);
    assert_eq!(host.files(), before);
}

#[test]
fn next_steps_have_the_connection_options_that_were_given() {
    let host = Host::new();
    host.setup(&ARGS).says(0, &[]);
    // A file of component_keyring_file with a key.
    let keys = r#"{"version":"1.0","elements":[{"user":"","data_id":"k","data_type":"AES","data":"00","extension":[]}]}"#;
    host.write("var/lib/mysql-keyring/component_keyring_file", keys);
    let told = host.run(&["doctor", "--no-defaults", "--user", "an admin", "--socket", "/no/such.sock"]);
    told.says(1, &["keyringctl encrypt rotate --no-defaults --user='an admin' --socket=/no/such.sock"]);
}

/// Runs the command as an ordinary user. `None`: only root can become another user.
fn as_ordinary_user(host: &Host, args: &[&str]) -> Option<Ended> {
    let mut command = host.command(args);
    if rustix::process::geteuid().is_root() {
        // The program may be where only root can read it.
        let program = host.at("keyringctl");
        fs::copy(env!("CARGO_BIN_EXE_keyringctl"), &program).unwrap();
        fs::set_permissions(host.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut other = std::process::Command::new(program);
        other.args(command.get_args()).uid(65534).gid(65534);
        command = other;
    } else {
        eprintln!("SKIPPED: only root can become another user");
        return None;
    }
    Some(Ended::of(&command.stdin(Stdio::null()).output().unwrap()))
}

#[test]
fn an_ordinary_user_is_told_to_use_sudo_and_nothing_false() {
    let host = Host::new();
    host.setup(&ARGS).says(0, &[]);
    let closed = "usr/lib/mysql/plugin/component_keyring_external.cnf";
    for mode in [0o640, 0o644] {
        fs::set_permissions(host.at(closed), fs::Permissions::from_mode(mode)).unwrap();
        let Some(told) = as_ordinary_user(&host, &["doctor", "--offline", "--json"]) else { return };
        let found = told.says(1, &[]).json();
        let findings = found["findings"].as_array().unwrap();
        let one: Vec<_> = findings.iter().filter(|f| f["check"] == "permission").collect();
        assert!(one.len() == 1 && one[0]["fix"][0].as_str().unwrap().starts_with("sudo keyringctl doctor"));
        for finding in findings {
            let text = finding.to_string();
            for words in ["chown", "chmod", "AppArmor", "apparmor", "SELinux"] {
                assert!(!text.contains(words), "{words}: {text}");
            }
        }
        for check in ["keyring-file", "unlock-secret", "verify", "apparmor-rules"] {
            assert!(
                !found["passed"].as_array().unwrap().iter().any(|p| p == check),
                "{check} was not checked"
            );
        }
        if mode == 0o640 {
            assert_eq!(findings.len(), 1, "{findings:#?}");
        }
    }
    // On this host itself, not in an image.
    let program = host.at("keyringctl");
    for args in [&["setup", "/mnt/a/keys/k", "--yes"][..], &["setup", "/mnt/a/keys/k", "--dry-run"]] {
        let mut command = std::process::Command::new(&program);
        let told =
            Ended::of(&command.args(args).uid(65534).gid(65534).stdin(Stdio::null()).output().unwrap());
        let told =
            told.says(2, &["Run it with sudo: sudo keyringctl setup /mnt/a/keys/k", "Nothing was changed"]);
        assert!(!told.err.contains("chown") && told.out.is_empty(), "{told:?}");
    }
}
