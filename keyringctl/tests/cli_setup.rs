// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl setup` and `doctor` with `--root`: what they show, ask, write and refuse.

#[path = "../../tests/common/mod.rs"]
mod common;
mod mock_host;

use common::ended::Ended;
use mock_host::Host;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};

const MANIFEST: &str = "usr/sbin/mysqld.my";
const CNF: &str = "usr/lib/mysql/plugin/component_keyring_external.cnf";
const DROP_IN: &str = "etc/systemd/system/mysql.service.d/keyring_external.conf";
const LOCAL: &str = "etc/apparmor.d/local/usr.sbin.mysqld";
const KEYRING: &str = "mnt/a/keys/main.keyring";
/// The data directory is on the same filesystem here.
const ARGS: [&str; 4] = ["/mnt/a/keys/main.keyring", "--allow-same-device", "--as", "component"];

#[test]
fn without_a_terminal_nothing_is_written_by_default() {
    let host = Host::new();
    let before = host.files();
    host.setup(&ARGS).says(2, &["no terminal", "--yes", "--dry-run"]);
    assert_eq!(host.files(), before);
}

#[test]
fn nothing_is_set_up_if_the_recovery_key_cannot_be_shown() {
    let host = Host::new();
    // Create the directory here, because setup does not remove it again.
    fs::create_dir(host.at("mnt/a/keys")).unwrap();
    fs::set_permissions(host.at("mnt/a/keys"), fs::Permissions::from_mode(0o700)).unwrap();
    let before = host.files();
    for json in [&["--yes"][..], &["--yes", "--json"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = host.command(&[&["setup"], &ARGS[..], json].concat());
        let ended = Ended::of(&command.stdin(Stdio::null()).stdout(full).output().unwrap());
        ended.says(2, &["recovery key could not be shown", "removed again"]);
        assert_eq!(host.files(), before);
    }
    host.setup(&[&ARGS[..], &["--yes"]].concat()).says(0, &["The recovery key unlocks"]);
}

#[test]
fn a_dry_run_shows_every_file_and_writes_nothing() {
    let host = Host::new();
    let before = host.files();
    let shown = host
        .setup(&[&ARGS[..], &["--mirror", "/mnt/b/keys/main.keyring", "--dry-run"]].concat())
        .says(0, &[]);
    assert_eq!(host.files(), before);
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("setup_shows_every_file_that_it_would_write", shown.out);
    });
    let plugin =
        host.setup(&["/mnt/a/keys/k", "--allow-same-device", "--as", "plugin", "--wait", "60", "--dry-run"]);
    plugin.says(
        0,
        &[
            "NEW        /etc/mysql/mysql.conf.d/keyring_external.cnf",
            "| early-plugin-load = keyring_external.so",
            "| keyring_external_wait = 60",
        ],
    );
}

#[test]
fn all_is_written_with_its_modes_and_a_second_run_changes_nothing() {
    let host = Host::new();
    let report = host.setup(&[&ARGS[..], &["--yes", "--json"]].concat()).says(0, &[]).json();
    let words = report["recovery_key"].as_str().unwrap().split('-').count();
    assert_eq!(words, 8);
    for (path, mode) in [
        (MANIFEST, 0o644),
        (CNF, 0o640),
        (DROP_IN, 0o644),
        (LOCAL, 0o644),
        (KEYRING, 0o600),
        ("mnt/a/keys", 0o700),
        ("etc/mysql/keyring_external.secret", 0o600),
    ] {
        assert_eq!(host.mode(path), mode, "{path}");
    }
    let before = host.files();
    let again =
        host.setup(&[&ARGS[..], &["--yes"]].concat()).says(0, &["exists, will be used", "Nothing to change"]);
    assert_eq!(again.out.matches("UNCHANGED").count(), 4, "{again:?}");
    assert_eq!(host.files(), before);
    // The doctor finds what setup wrote.
    let doctor = host.run(&["doctor", "--offline", "--json"]).says(1, &[]).json();
    let passed = doctor["passed"].as_array().unwrap();
    for check in [
        "configured",
        "component-configuration",
        "unlock-secret",
        "verify",
        "recovery-slot",
        "apparmor-rules",
    ] {
        assert!(passed.iter().any(|p| p == check), "{check}: {doctor:#}");
    }
    assert_eq!(doctor["fine"], false);
}

#[test]
fn a_changed_file_is_shown_as_a_difference_and_kept() {
    let host = Host::new();
    host.write(DROP_IN, "[Service]\nNice=5\n");
    host.write(LOCAL, "/srv/** r,\n");
    let args = [&ARGS[..], &["--yes"]].concat();
    host.setup(&args).says(
        0,
        &["CHANGED    /etc/systemd/system", " Nice=5", "+LimitMEMLOCK=64M", "keyring_external.conf.bak"],
    );
    assert_eq!(host.read(&format!("{DROP_IN}.bak")), "[Service]\nNice=5\n");
    // Other rules are kept.
    assert!(host.read(LOCAL).starts_with("/srv/** r,\n# BEGIN keyring_external"));
    assert_eq!(host.read(&format!("{LOCAL}.bak")), "/srv/** r,\n");
}

#[test]
fn another_keyring_in_the_manifest_is_refused_or_replaced() {
    let host = Host::new();
    host.write(MANIFEST, r#"{"components": "file://component_log,file://component_keyring_file"}"#);
    let args = [&ARGS[..], &["--yes"]].concat();
    let before = host.files();
    host.setup(&args).says(2, &["loads component_keyring_file", "keyringctl import", "--replace-keyring"]);
    assert_eq!(host.files(), before);
    host.setup(&[&args[..], &["--replace-keyring"]].concat()).says(0, &["CHANGED    /usr/sbin/mysqld.my"]);
    let manifest: Value = serde_json::from_str(&host.read(MANIFEST)).unwrap();
    assert_eq!(manifest["components"], "file://component_log,file://component_keyring_external");
    assert!(host.read(&format!("{MANIFEST}.bak")).contains("component_keyring_file"));
}

#[test]
fn plugin_and_component_are_not_set_up_side_by_side() {
    let host = Host::new();
    host.setup(&[&ARGS[..], &["--yes"]].concat()).says(0, &[]);
    host.setup(&["/mnt/a/keys/main.keyring", "--allow-same-device", "--as", "plugin", "--yes"])
        .says(2, &["mysqld.my loads component_keyring_external"]);
    let host = Host::new();
    host.setup(&["/mnt/a/k/m", "--allow-same-device", "--as", "plugin", "--yes"]).says(0, &[]);
    host.write("etc/my.cnf", "!includedir /etc/mysql/mysql.conf.d\n");
    host.setup(&["/mnt/a/k/m", "--allow-same-device", "--as", "component", "--yes"])
        .says(2, &["loads the plugin keyring_external"]);
}

#[test]
fn a_manifest_that_refers_to_the_data_directory_is_followed() {
    let host = Host::new();
    host.write(MANIFEST, r#"{"read_local_manifest": true}"#);
    host.setup(&[&ARGS[..], &["--yes"]].concat()).says(0, &["NEW        /var/lib/mysql/mysqld.my"]);
    assert_eq!(host.read(MANIFEST), r#"{"read_local_manifest": true}"#);
    assert!(
        host.read(LOCAL).contains("\n/var/lib/mysql/mysqld.my r,\n/usr/lib")
            && host.read(LOCAL).contains("\n/usr/sbin/mysqld.my r,\n")
    );
}

#[test]
fn a_credential_is_for_systemd_only() {
    let host = Host::new();
    let args = [&ARGS[..], &["--unlock", "credential:keyring", "--yes"]].concat();
    host.setup(&args)
        .says(0, &["SECRET     /etc/mysql/keyring_external.secret (32 random bytes, mode 0600, for root)"]);
    assert!(host.read(DROP_IN).contains("\nLoadCredential=keyring:/etc/mysql/keyring_external.secret\n"));
    assert!(host.read(LOCAL).contains("\n/run/credentials/mysql.service/keyring r,\n"));
    let cnf: Value = serde_json::from_str(&host.read(CNF)).unwrap();
    assert_eq!(cnf["unlock"], "credential:keyring");
    assert_eq!(
        fs::metadata(host.at("etc/mysql/keyring_external.secret")).unwrap().uid(),
        rustix::process::geteuid().as_raw()
    );
    host.setup(&[&ARGS[..], &["--unlock", "env:X", "--credential-file", "/x", "--yes"]].concat())
        .says(2, &["--credential-file needs"]);
}

#[test]
fn impossible_settings_are_refused_before_anything_is_written() {
    let host = Host::new();
    let before = host.files();
    let refused = |args: &[&str], code, words: &str| {
        host.setup(&[args, &["--yes"]].concat()).says(code, &[words]);
        assert_eq!(host.files(), before, "{args:?}");
    };
    refused(&["/mnt/a/keys/k", "--as", "component"], 2, "is on the same filesystem as the data directory");
    refused(&["/mnt/a/keys/k", "--allow-same-device"], 2, "is not known: programs below --root are not run");
    refused(&["keys/k", "--allow-same-device", "--as", "plugin"], 2, "give an absolute path");
    refused(&["--as", "plugin"], 2, "the keyring was not given");
    refused(&["/mnt/none/keys/k", "--allow-same-device", "--as", "plugin"], 2, "mnt/none does not exist");
    refused(
        &["/mnt/a/keys/k", "--allow-same-device", "--as", "plugin", "--min-copies", "2"],
        2,
        "the number of copies, which is 1",
    );
    refused(
        &["/mnt/a/keys/k", "--allow-same-device", "--as", "plugin", "--unlock", "env:NO_SUCH_VARIABLE_HERE"],
        2,
        "not set",
    );
    fs::create_dir(host.at(DROP_IN).parent().unwrap()).unwrap();
    symlink("/dev/null", host.at(DROP_IN)).unwrap();
    host.setup(&[&ARGS[..], &["--yes"]].concat()).says(2, &["not a regular file"]);
}

#[test]
fn a_new_keyring_gets_custodians_instead_of_a_recovery_key() {
    let host = Host::new();
    let pages = host.at("pages").to_str().unwrap().to_owned();
    let args = [&ARGS[..], &["--custodians", "2-of-3"]].concat();
    let before = host.files();
    host.setup(&[&args[..], &["--pages", &pages, "--dry-run"]].concat()).says(0, &["Nothing was written"]);
    host.setup(&[&ARGS[..], &["--pages", &pages, "--yes"]].concat()).says(2, &["add --custodians"]);
    assert_eq!(host.files(), before);
    let made = host.setup(&[&args[..], &["--yes"]].concat());
    let made = made.says(0, &["Share 1 of 3", "Share 3 of 3", "This page alone unlocks nothing"]);
    assert!(!made.out.contains("recovery key"), "{made:?}");
    host.setup(&[&args[..], &["--yes"]].concat()).says(2, &["slot add --new-custodians 2-of-3"]);
}

#[test]
fn an_existing_keyring_must_be_unlocked_by_the_secret() {
    let host = Host::new();
    let args = [&ARGS[..], &["--yes"]].concat();
    host.setup(&args).says(0, &[]);
    fs::write(host.at("etc/mysql/keyring_external.secret"), [0xfe; 32]).unwrap();
    host.setup(&args).says(1, &["does not unlock"]);
    host.setup(&[&args[..], &["--mirror", "/mnt/b/keys/main.keyring"]].concat())
        .says(2, &["keyringctl sync"]);
}

#[test]
fn a_volume_that_mysqld_cannot_enter_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::new();
    host.write("etc/passwd", "mysql:x:4242:4242::/:/bin/false\n");
    fs::set_permissions(host.at("mnt/a"), fs::Permissions::from_mode(0o700)).unwrap();
    host.setup(&[&ARGS[..], &["--yes"]].concat()).says(2, &["does not let user mysql reach", "chmod o+x"]);
    fs::set_permissions(host.at("mnt/a"), fs::Permissions::from_mode(0o711)).unwrap();
    host.setup(&[&ARGS[..], &["--yes"]].concat()).says(0, &[]);
    assert_eq!(fs::metadata(host.at(KEYRING)).unwrap().uid(), 4242);
}

/// Uses `script` as the terminal.
#[test]
fn setup_asks_on_a_terminal_and_no_stops_it() {
    let host = Host::new();
    let on_terminal = |typed: &str| host.on_terminal("setup --as component --allow-same-device", typed);
    let before = host.files();
    let Some(no) = on_terminal("/mnt/a/keys/main.keyring\n\n\n\n\nn\n") else {
        return;
    };
    no.says(
        1,
        &[
            "Path of the keyring file",
            "Path of a copy on another volume",
            "[file:/etc/mysql/keyring_external.secret]",
            "Audit log: a path such as /var/log/mysql/keyring_external.audit.log, or none [none]: ",
            "recovery key (key), or custodians (as 2-of-3)",
            "Write all of this? [y/n]",
            "Nothing was written",
        ],
    );
    assert_eq!(host.files(), before);
    fs::create_dir_all(host.at("var/log")).unwrap();
    let answers =
        "/mnt/a/keys/main.keyring\n/mnt/b/keys/main.keyring\ncredential:k\nlog\n/var/log/mysql/audit.log\n";
    on_terminal(&format!("{answers}4-of-3\nkey\nwhat\ny\n"))
        .unwrap()
        .says(0, &["the audit log is log: give an absolute path", "Created keyring", "recovery key"]);
    assert!(host.read(CNF).contains("credential:k") && host.at("mnt/b/keys/main.keyring").exists());
    assert!(host.read(CNF).contains(r#""audit_log": "/var/log/mysql/audit.log""#), "{}", host.read(CNF));
}

#[test]
fn the_doctor_ends_in_2_if_there_is_nothing_to_check() {
    let host = Host::new();
    host.run(&["doctor", "--offline"])
        .says(1, &["ERROR   configured:", "why  ", "fix  keyringctl setup", "FAILED; 1 error, 0 warnings"]);
    host.run(&["doctor", "--offline", "--ignore", "configured"]).says(0, &["OK; 0 errors, 0 warnings"]);
    let none = Command::new(env!("CARGO_BIN_EXE_keyringctl"))
        .args(["doctor", "--root", "/no/such/place"])
        .output()
        .unwrap();
    Ended::of(&none).says(2, &["/no/such/place"]);
}

#[test]
fn a_secret_beside_the_new_keyring_gets_a_warning() {
    let host = Host::new();
    let beside = [&ARGS[..], &["--unlock", "file:/mnt/a/keys/secret"]].concat();
    let told = ["/mnt/a/keys/secret is on the same filesystem as the keyring"];
    host.setup(&[&beside[..], &["--dry-run"]].concat()).says(0, &told);
    host.setup(&[&beside[..], &["--yes"]].concat()).says(0, &told);
}
