// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl setup` on a server that is configured already: nothing that is configured is lost or changed, unless an
//! option or an answer says so.

#[path = "../../tests/common/mod.rs"]
mod common;
mod mock_host;

use common::ended::Ended;
use mock_host::Host;
use mock_host::configured::{A, B, CNF, OPTIONS, WAYS, configured};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

const DROP_IN: &str = "etc/systemd/system/mysql.service.d/keyring_external.conf";

fn settings(host: &Host) -> Value {
    serde_json::from_str(&host.read(CNF)).unwrap()
}

#[test]
fn setup_again_without_mirror_keeps_the_mirror() {
    for way in WAYS {
        let host = configured(way, &[]);
        let before = host.files();
        for args in [&["--yes"][..], &[A, "--yes"], &[A, "--mirror", B, "--yes"], &["--yes", "--dry-run"]] {
            host.setup(args).says(0, &["It is configured already", B, "Nothing to change"]);
            assert_eq!(host.files(), before, "{way} {args:?}");
        }
    }
}

#[test]
fn a_mirror_goes_only_when_an_option_names_it() {
    for way in WAYS {
        let host = configured(way, &[]);
        let before = host.files();
        let refused = |args: &[&str], words: &[&str]| {
            host.setup(&[args, &["--yes"]].concat()).says(2, words);
            assert_eq!(host.files(), before, "{args:?}");
        };
        refused(
            &["--remove-mirror", "/mnt/c/k"],
            &["--remove-mirror is /mnt/c/k, but the server is configured with", A, B],
        );
        refused(&["--remove-mirror", A, "--remove-mirror", B], &["remove every copy"]);
        refused(&["--remove-mirror", B, "--mirror", B], &["both as a copy and with --remove-mirror"]);
        refused(&[A, "--remove-mirror", A], &["both as a copy and with --remove-mirror"]);
        // Another path beside the configured ones would be a copy too.
        fs::create_dir(host.at("mnt/c")).unwrap();
        let other = host.setup(&["/mnt/c/keys/main.keyring", "--yes"]);
        other.says(2, &["exists, but its copy /mnt/c/keys/main.keyring does not", "keyringctl sync"]);
        fs::remove_dir(host.at("mnt/c")).unwrap();

        host.setup(&["--remove-mirror", B, "--dry-run"]).says(0, &["REMOVED    /mnt/b/keys/main.keyring"]);
        host.setup(&["--remove-mirror", B, "--yes"]).says(0, &["Read back"]);
        assert!(host.at("mnt/b/keys/main.keyring").exists(), "only the setting goes");
        let written = host.read(if way == "plugin" { OPTIONS } else { CNF });
        assert!(written.contains(A) && !written.contains(B), "{written}");

        // The keyring itself can go too: the other copy takes its place.
        let host = configured(way, &[]);
        host.setup(&["--remove-mirror", A, "--yes"]).says(0, &["Read back"]);
        let written = host.read(if way == "plugin" { OPTIONS } else { CNF });
        assert!(written.contains(B) && !written.contains(A), "{written}");
    }
}

#[test]
fn a_lost_mirror_is_not_dropped_either() {
    let host = configured("component", &[]);
    fs::remove_file(host.at("mnt/b/keys/main.keyring")).unwrap();
    let before = host.files();
    let refused = host.setup(&["--yes"]).says(
        2,
        &[
            "its copy /mnt/b/keys/main.keyring does not",
            "keyringctl sync",
            "--remove-mirror /mnt/b/keys/main.keyring",
        ],
    );
    assert!(!refused.err.contains("init"), "{refused:?}");
    assert_eq!(host.files(), before);
    host.setup(&["--remove-mirror", B, "--yes"]).says(0, &["Read back"]);
}

#[test]
fn every_setting_that_is_configured_stays() {
    let host = configured("component", &["--min-copies", "2", "--wait", "60", "--unlock", "credential:own"]);
    let mut all = settings(&host);
    all["read_only"] = true.into();
    all["auto_create"] = true.into();
    host.write(CNF, &serde_json::to_string_pretty(&all).unwrap());
    host.setup(&["--yes"]).says(0, &["Read back"]);
    assert_eq!(settings(&host), all);
    assert!(host.read(DROP_IN).contains("\nLoadCredential=own:/etc/mysql/keyring_external.secret\n"));
    // One setting changes, and only that.
    host.setup(&["--wait", "5", "--yes"]).says(0, &["-  \"wait\": 60", "+  \"wait\": 5"]);
    all["wait"] = 5.into();
    assert_eq!(settings(&host), all);
    host.setup(&["--min-copies", "1", "--allow-same-device=false", "--yes"])
        .says(2, &["is on the same filesystem as the data directory"]);
    assert_eq!(settings(&host), all);
    host.setup(&["--remove-mirror", B, "--yes"]).says(2, &["min_copies is 2", "--min-copies N"]);

    let host = configured("plugin", &["--min-copies", "2", "--wait", "60"]);
    let text = host.read(OPTIONS).replace("FORCE_PLUS_PERMANENT", "FORCE");
    host.write(
        OPTIONS,
        &format!("{text}keyring_external_read_only = ON\nkeyring_external_auto_create = ON\n"),
    );
    let before = host.files();
    host.setup(&["--yes"]).says(0, &["Nothing to change"]);
    assert_eq!(host.files(), before);
}

#[test]
fn a_persisted_value_wins_over_the_option_file_and_stays() {
    let host = configured("plugin", &["--wait", "60"]);
    let auto = r#"{"Version": 2, "mysql_static_variables": {"keyring_external_wait": {"Value": "7"}}}"#;
    host.write("var/lib/mysql/mysqld-auto.cnf", auto);
    host.setup(&["--yes"]).says(0, &["-keyring_external_wait = 60", "+keyring_external_wait = 7"]);
    host.setup(&["--wait", "5", "--yes"])
        .says(2, &["wait is \"7\", not \"5\"", "mysqld-auto.cnf line 1", "Nothing was changed"]);
    host.write("etc/my.cnf", &format!("{}persisted_globals_load = OFF\n", host.read("etc/my.cnf")));
    host.setup(&["--wait", "5", "--yes"]).says(0, &["Read back"]);
}

#[test]
fn the_way_that_is_configured_stays() {
    for way in WAYS {
        let host = configured(way, &[]);
        // By the version alone, the plugin is for 8.0, and the component for all others.
        for version in ["8.0.45", "9.7.4"] {
            host.write(
                "var/lib/dpkg/status",
                &format!("Package: mysql-server\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\n"),
            );
            host.write("var/lib/dpkg/info/mysql-server.list", "/usr/sbin/mysqld\n");
            host.setup(&["--yes"]).says(0, &["Nothing to change", &format!("the {way} ")]);
        }
    }
}

#[test]
fn lines_that_setup_did_not_write_stay_in_its_files() {
    let host = configured("plugin", &["--unlock", "credential:own"]);
    host.write(OPTIONS, &format!("{}innodb_redo_log_encrypt = ON\n[client]\nport = 1\n", host.read(OPTIONS)));
    host.write(
        DROP_IN,
        &format!(
            "{}Nice=5\n",
            host.read(DROP_IN)
                .replace(
                    "LoadCredential=own:/etc/mysql/keyring_external.secret",
                    "LoadCredentialEncrypted=own:/etc/sealed"
                )
                .replace("64M", "infinity")
        ),
    );
    let (options, unit) = (host.read(OPTIONS), host.read(DROP_IN));
    host.setup(&["--wait", "7", "--yes"]).says(0, &["Read back"]);
    let written = host.read(OPTIONS);
    assert!(written.ends_with("innodb_redo_log_encrypt = ON\n[client]\nport = 1\n"), "{written}");
    assert!(written.contains("keyring_external_wait = 7") && options.lines().all(|l| written.contains(l)));
    // A sealed credential and a higher limit are left alone.
    assert!(
        unit.lines().filter(|l| !l.starts_with('#')).all(|l| host.read(DROP_IN).contains(l)),
        "{}",
        host.read(DROP_IN)
    );
    assert!(!host.read(DROP_IN).contains("64M") && !host.read(DROP_IN).contains("\nLoadCredential="));
}

#[test]
fn settings_that_mysqld_does_not_read_or_setup_cannot_read_are_told() {
    let host = configured("plugin", &["--wait", "60"]);
    host.write("etc/my.cnf", "[mysqld]\n");
    host.setup(&["--as", "plugin", "--yes"]).says(0, &["Read back"]);
    assert!(host.read(OPTIONS).contains("keyring_external_wait = 60") && host.read(OPTIONS).contains(B));
    let host = configured("component", &[]);
    host.write(CNF, "{");
    host.setup(&["--as", "component", "--yes"]).says(2, &["the keyring was not given"]);
    host.setup(&[A, "--as", "component", "--allow-same-device", "--dry-run"])
        .says(0, &["WARNING component-configuration", "keeps none of them", "each copy with --mirror"]);
}

#[test]
fn the_configuration_in_the_data_directory_is_changed_where_it_is() {
    let host = configured("component", &[]);
    let local = "var/lib/mysql/component_keyring_external.cnf";
    host.write(local, &host.read(CNF));
    host.write(CNF, r#"{"read_local_config": true}"#);
    host.setup(&["--wait", "9", "--yes"])
        .says(0, &["Read back", "/var/lib/mysql/component_keyring_external.cnf"]);
    assert_eq!(host.read(CNF), r#"{"read_local_config": true}"#);
    assert!(host.read(local).contains("\"wait\": 9") && host.read(local).contains(B));
}

#[test]
fn the_questions_offer_what_is_configured() {
    let host = configured("component", &["--unlock", "credential:own"]);
    let Some(same) = host.on_terminal("setup", "\n\n\n\n") else { return };
    let same = same.says(
        0,
        &[
            &format!("[{A}]: "),
            &format!("Path of one more copy on another volume (empty for none; {B} stays)"),
            "[credential:own]: ",
            "Nothing to change",
        ],
    );
    assert!(!same.out.contains("Write all of this?"), "{same:?}");
    let before = host.files();
    host.on_terminal("setup --wait 3", "\n\n\n\nn\n").unwrap().says(1, &["Write all of this? [y/n]"]);
    assert_eq!(host.files(), before);
    // An answer that cannot be right is asked for again.
    let typed = format!("keys/k\n{A}\n{A}\nkeys/k\n/mnt/b/keys/main.keyring\n\nnonsense\n\n\n");
    host.on_terminal("setup", &typed)
        .unwrap()
        .says(0, &["is keys/k: give an absolute path", "is named twice", "nonsense", "Nothing to change"]);
    assert_eq!(host.files(), before);
}

#[test]
fn a_mirror_that_is_the_keyring_is_refused_in_a_dry_run() {
    let host = Host::new();
    fs::create_dir_all(host.at("mnt/a/keys")).unwrap();
    symlink("a", host.at("mnt/link")).unwrap();
    let before = host.files();
    for (mirror, code, words) in
        [(A, 2, "is named twice"), ("/mnt/link/keys/main.keyring", 1, "are one file under two names")]
    {
        for mode in ["--dry-run", "--yes"] {
            host.setup(&[A, "--mirror", mirror, "--allow-same-device", "--as", "component", mode])
                .says(code, &[words]);
            assert_eq!(host.files(), before, "{mirror}");
        }
    }
}

#[test]
fn copies_of_two_keyrings_are_refused() {
    let host = configured("component", &[]);
    let (copy, secret) = (host.at("mnt/b/keys/main.keyring"), host.at("etc/mysql/keyring_external.secret"));
    fs::remove_file(&copy).unwrap();
    // The same secret unlocks both.
    let init = Command::new(env!("CARGO_BIN_EXE_keyringctl"))
        .arg("init")
        .arg(&copy)
        .args(["--unlock", &format!("file:{}", secret.display())])
        .output()
        .unwrap();
    Ended::of(&init).says(0, &["Created keyring"]);
    let before = host.files();
    host.setup(&["--yes"]).says(2, &[A, B, "they are not copies of one keyring"]);
    assert_eq!(host.files(), before);
}

#[test]
fn setup_warns_of_what_init_warns_of() {
    let host = Host::new();
    fs::remove_file(host.at("usr/lib/mysql/plugin/component_keyring_external.so")).unwrap();
    let args = [A, "--mirror", B, "--allow-same-device", "--as", "component", "--dry-run"];
    let told = host.setup(&[&args[..], &["--unlock", "file:/var/lib/mysql/secret"]].concat()).says(0, &[]);
    for words in [
        "WARNING: /mnt/a/keys/main.keyring and /mnt/b/keys/main.keyring are on the same filesystem",
        "WARNING: /mnt/a/keys/main.keyring is on the same filesystem as the data directory /var/lib/mysql",
        "WARNING: /mnt/b/keys/main.keyring is on the same filesystem as the data directory /var/lib/mysql",
        "WARNING: the unlock secret /var/lib/mysql/secret is in the data directory /var/lib/mysql",
        "WARNING: /var/lib/mysql/secret is on the same filesystem as the keyring",
        "component_keyring_external.so does not exist",
        "install the package keyring-external",
    ] {
        assert!(told.out.contains(words), "{words}: {}", told.out);
    }
}
