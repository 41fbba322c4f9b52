// SPDX-License-Identifier: GPL-2.0-or-later
//! Accounts that can read the keyring and its secret through the server.

use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use mysql_plugin_tests::rig::{Host, Keyring, Volume, place, told};
use serde_json::Value;
use std::fs;
use std::process::Command;

/// What doctor finds of the privilege FILE on this host.
fn found(host: &Host) -> Option<String> {
    let output = Command::new(&place().keyringctl)
        .args(["--json", "doctor", "--no-defaults", "--user=root", "--socket"])
        .arg(host.socket())
        .output()
        .unwrap();
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
    let passed = report["passed"].as_array().unwrap().iter().any(|check| check == "file-privilege");
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["check"] == "file-privilege");
    assert!(passed != finding.is_some(), "{report:#}");
    finding.map(|finding| finding["what"].as_str().unwrap().to_owned())
}

/// doctor names the accounts that can read the secret, also through a role, and only those.
pub fn doctor_names_who_can_read_the_secret() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let open = host.clone().option("--secure-file-priv=");
    let server = open.start();
    server.sql(
        "CREATE ROLE files; GRANT FILE ON *.* TO files;
         CREATE USER clerk@localhost, reader@localhost; GRANT files TO clerk@localhost;
         CREATE USER gone@localhost ACCOUNT LOCK; GRANT FILE ON *.* TO gone@localhost",
    );
    let what = found(&open).expect("secure_file_priv is empty");
    for (account, is_named) in [("clerk", true), ("root", true), ("reader", false), ("gone", false)] {
        assert_eq!(what.contains(&format!("{account}@localhost")), is_named, "{what}");
    }
    let options = OptsBuilder::new().socket(Some(open.socket().display().to_string())).user(Some("clerk"));
    let mut clerk = Conn::new(options).unwrap();
    clerk.query_drop("SET ROLE ALL").unwrap();
    let read = format!("SELECT LOAD_FILE('{}')", keyring.secret.display());
    let secret: Option<Option<Vec<u8>>> = clerk.query_first(&read).unwrap();
    assert_eq!(secret.flatten(), Some(fs::read(&keyring.secret).unwrap()), "what doctor says is so");
    drop(clerk);
    server.stop();

    // As the fix says.
    let closed = host.option("--secure-file-priv=NULL");
    let server = closed.start();
    assert_eq!(found(&closed), None);
    server.stop();
}
