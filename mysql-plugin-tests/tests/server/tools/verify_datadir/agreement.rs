// SPDX-License-Identifier: GPL-2.0-or-later
//! All commands that read a server's files say the same of files that cannot be looked at.

use super::kinds::encrypting;
use super::verified::verify;
use mysql_plugin_tests::rig::{Host, Keyring, Volume, place, told};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Runs a command on the server that must find something: its document, or its text.
fn found(host: &Host, args: &[&str]) -> Value {
    let mut command = Command::new(&place().keyringctl);
    command.args(args).args(["--json", "--no-defaults", "--user=root", "--socket"]).arg(host.socket());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", told(&output)))
}

/// Whether a document says somewhere that this file was not checked.
fn says_not_checked(document: &Value, path: &Path) -> bool {
    let path = path.to_str().unwrap();
    match document {
        Value::Array(all) => all.iter().any(|one| says_not_checked(one, Path::new(path))),
        Value::Object(fields) => {
            let texts: Vec<_> = fields.values().filter_map(Value::as_str).collect();
            let says = |word: &str| texts.iter().any(|text| text.contains(word));
            // A place of the report has the state "unknown".
            let unknown = fields.get("state").is_some_and(|state| state == "unknown");
            says(path) && (unknown || says("not checked") || says("not_checked"))
                || fields.values().any(|field| says_not_checked(field, Path::new(path)))
        }
        _ => false,
    }
}

/// A file that no server writes, and a schema on another disk behind a link, which the server reaches.
pub fn commands_agree() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = encrypting(Host::new()).keyring(&keyring);
    let server = host.start();
    server.sql(
        "CREATE DATABASE clinic; CREATE TABLE clinic.t (id INT PRIMARY KEY) ENCRYPTION='Y'; INSERT INTO clinic.t VALUES (1)",
    );
    server.stop();
    let outside = host.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    let clinic = host.datadir().join("clinic");
    fs::rename(&clinic, outside.join("clinic")).unwrap();
    symlink(outside.join("clinic"), &clinic).unwrap();
    let server = host.start();
    let unlock = format!("--unlock=file:{}", keyring.secret.display());
    let stray = host.datadir().join("t.ibd.zst");
    let both = |is_there: bool| {
        for args in [
            &["encrypt", "verify", "--no-canary", &unlock][..],
            &["report", &unlock],
            &["encrypt", "verify", "--undo"],
        ] {
            let document = found(&host, args);
            assert_eq!(says_not_checked(&document, &stray), is_there, "{args:?}: {document:#}");
            // The link was followed, as the server follows it.
            assert!(!says_not_checked(&document, &clinic), "{args:?}: {document:#}");
        }
        let verified = verify(&keyring, &host.datadir(), &["--also", outside.to_str().unwrap()]);
        assert_eq!(verified.code, Some(i32::from(is_there)), "{:#}", verified.report);
        assert_eq!(says_not_checked(&verified.report, &stray), is_there);
    };
    both(false);
    fs::write(&stray, "compressed").unwrap();
    both(true);
    // Behind the link too.
    fs::rename(&stray, outside.join("clinic/notes.txt")).unwrap();
    let elsewhere = found(&host, &["encrypt", "verify", "--no-canary", &unlock]);
    assert!(says_not_checked(&elsewhere, &clinic.join("notes.txt")), "{elsewhere:#}");
    fs::remove_file(outside.join("clinic/notes.txt")).unwrap();
    server.stop();
}
