// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl setup` and the audit log: it configures one, prepares its directory, keeps one that is configured, and writes
//! to it.

#[path = "../../tests/common/mod.rs"]
mod common;
mod mock_host;

use mock_host::Host;
use mock_host::configured::{A, CNF, OPTIONS, WAYS};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const LOG: &str = "/var/log/mysql/keyring_external.audit.log";
const PROFILE: &str = "etc/apparmor.d/local/usr.sbin.mysqld";

fn host() -> Host {
    let host = Host::new();
    fs::create_dir_all(host.at("var/log")).unwrap();
    host
}

fn lines(host: &Host, log: &str) -> Vec<Value> {
    let text = host.read(log.strip_prefix('/').unwrap());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn events(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["event"].as_str().unwrap()).collect()
}

#[test]
fn setup_configures_a_log_keeps_it_and_removes_it() {
    for way in WAYS {
        let host = host();
        let args = [A, "--allow-same-device", "--as", way, "--audit-log", LOG];
        let before = host.files();
        let shown = [
            "DIRECTORY  /var/log/mysql (mode 0750, for mysqld's user)",
            "AUDIT LOG  /var/log/mysql/",
            "(new)",
        ];
        let dry = host.setup(&[&args[..], &["--dry-run"]].concat()).says(0, &shown);
        let step = "cp /usr/share/keyring-external/logrotate/keyring-external /etc/logrotate.d/";
        assert!(!dry.out.contains("Next steps"), "{dry:?}");
        assert_eq!(host.files(), before);
        let planned = host.setup(&[&args[..], &["--dry-run", "--json"]].concat()).says(0, &[]).json();
        assert_eq!(planned["audit_log"]["make_directory"], "/var/log/mysql");
        assert!(planned["next"].as_array().unwrap().contains(&step.into()), "{planned:#}");
        host.setup(&[&args[..], &["--yes"]].concat()).says(0, &["Created keyring", "Read back", step]);
        let settings = if way == "plugin" { OPTIONS } else { CNF };
        let configured = if way == "plugin" {
            format!("keyring_external_audit_log = {LOG}")
        } else {
            format!("\"audit_log\": \"{LOG}\"")
        };
        assert!(host.read(settings).contains(&configured), "{}", host.read(settings));
        assert!(host.read(PROFILE).contains(LOG), "{}", host.read(PROFILE));
        assert_eq!(host.mode("var/log/mysql"), 0o750);
        // The line about the new keyring is authentic.
        let all = lines(&host, LOG);
        assert_eq!(events(&all), ["segment_started", "copies_created"]);
        assert_eq!((&all[1]["new_keyring"], &all[1]["who"]["command"]), (&true.into(), &"setup".into()));
        let verified = host.run(&["audit", "verify", "--json"]).says(0, &[]).json();
        assert_eq!(verified["logs"][0]["by_mac"], 2, "{verified:#}");

        // What no option changes stays, and a run that changes something says who ran it.
        let before = host.files();
        host.setup(&["--yes"]).says(0, &["Nothing to change"]);
        assert_eq!(host.files(), before);
        let again = host.setup(&["--wait", "9", "--yes"]).says(0, &["exists, will be continued"]);
        assert!(!again.out.contains("logrotate"), "{again:?}");
        assert!(host.read(settings).contains(&configured));
        assert_eq!(events(&lines(&host, LOG)), ["segment_started", "copies_created", "opened"]);

        let other = "/var/log/other/keyring.log";
        host.setup(&["--audit-log", other, "--yes"]).says(
            0,
            &[
                "REMOVED    /var/log/mysql/keyring_external.audit.log",
                "change the path in it to /var/log/other/keyring.log",
            ],
        );
        assert!(host.read(settings).contains(other) && !host.read(settings).contains(LOG));
        host.setup(&["--audit-log", "none", "--yes"])
            .says(0, &["REMOVED    /var/log/other/keyring.log", "Read back"]);
        assert!(!host.read(settings).contains("audit_log"), "{}", host.read(settings));
        assert!(host.at("var/log/other/keyring.log").exists() && host.at("var/log/mysql").exists());
    }
}

#[test]
fn a_log_that_mysqld_could_not_write_is_refused() {
    let host = host();
    host.write("var/log/notes", "a shopping list\n");
    let before = host.files();
    let refused = |log: &str, words: &[&str]| {
        for mode in ["--dry-run", "--yes"] {
            host.setup(&[A, "--allow-same-device", "--as", "component", "--audit-log", log, mode])
                .says(2, &[words, &["Nothing was changed"]].concat());
        }
    };
    host.setup(&[A, "--as", "component", "--audit-log", "audit.log", "--yes"])
        .says(2, &["the audit log is audit.log: give an absolute path"]);
    host.setup(&[A, "--as", "component", "--audit-log", "@remote/log", "--yes"])
        .says(2, &["give the absolute path of a file on this host"]);
    refused("/var/none/mysql/audit.log", &["var/none does not exist"]);
    refused("/mnt/a/keys/audit.log", &["is in the directory of /mnt/a/keys/main.keyring"]);
    refused("/etc/mysql/keyring_external.secret", &["is the file of the unlock secret"]);
    refused("/etc/mysql", &["is not a regular file"]);
    refused("/var/log/notes", &["var/log/notes exists and is no audit log: choose another path"]);
    assert_eq!(host.files(), before);
    if !rustix::process::geteuid().is_root() {
        return;
    }
    fs::set_permissions(host.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    host.write("etc/passwd", "mysql:x:4242:4242::/:/bin/false\n");
    refused(
        "/var/log/audit.log",
        &["mysql has no permission to create files in", "a new one, which setup creates"],
    );
    host.write("var/log/mysql/audit.log", "");
    refused("/var/log/mysql/audit.log", &["mysql has no permission to write", "run chown mysql: "]);
    let args =
        [A, "--allow-same-device", "--as", "component", "--audit-log", "/var/log/keys/audit.log", "--yes"];
    host.setup(&args).says(0, &["Read back"]);
    // Both belong to mysqld's account, which goes on with the log.
    for path in ["var/log/keys", "var/log/keys/audit.log"] {
        assert_eq!(fs::metadata(host.at(path)).unwrap().uid(), 4242, "{path}");
    }
}

/// Each command that unlocks the keyring writes one line; those that a timer runs every few minutes write none.
#[test]
fn commands_that_unlock_the_keyring_write_a_line() {
    let host = host();
    host.setup(&[A, "--allow-same-device", "--as", "component", "--audit-log", LOG, "--yes"]).says(0, &[]);
    let count = || lines(&host, LOG).len();
    for (line, new) in [
        ("list", 1),
        ("verify", 1),
        ("which", 1),
        ("doctor --offline", 1),
        ("keys needed", 1),
        ("status", 0),
        ("audit verify", 0),
        ("audit show", 0),
    ] {
        let before = count();
        let words: Vec<_> = line.split(' ').collect();
        let ended = host.run(&words);
        let all = lines(&host, LOG);
        assert_eq!(all.len() - before, new, "{line}: {ended:?}");
        let last = all.last().unwrap();
        let named = if new == 0 { "keys needed" } else { line.split(" --").next().unwrap() };
        assert_eq!((&last["event"], &last["who"]["command"]), (&"opened".into(), &named.into()), "{last}");
    }
    host.run(&["audit", "verify"]).says(0, &["OK"]);
}
