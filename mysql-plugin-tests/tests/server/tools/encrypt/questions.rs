// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl encrypt` asks before it does what is hard to take back, in all ways: `--dry-run`, a question that is
//! answered no or yes, `--yes`, and without a terminal. The commands that need no server are in keyringctl's own tests.

use super::command::{command, encrypt, encrypt_json};
use super::host::{host, tables_in_clear};
use super::typing::typed;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, told};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// What the commands change: the unencrypted tables, the binary logs, and the keyring's keys.
#[derive(PartialEq, Eq, Debug)]
struct State {
    in_clear: usize,
    logs: Vec<String>,
    keys: BTreeSet<String>,
    backups: usize,
}

fn state(server: &Server, keyring: &Keyring, backups: &Path) -> State {
    let logs = server.rows::<(String, u64, String)>("SHOW BINARY LOGS");
    State {
        in_clear: tables_in_clear(server),
        logs: logs.into_iter().map(|(name, ..)| name).collect(),
        keys: keyring.ids("INNODBKey-").into_iter().chain(keyring.ids("MySQLReplicationKey_")).collect(),
        backups: fs::read_dir(backups).unwrap().count(),
    }
}

/// Runs a command in the ways in which it changes nothing. `says` is in the table each time.
fn changes_nothing(host: &Host, args: &[&str], no: &str, says: &[&str], state: &dyn Fn() -> State) {
    let before = state();
    let with = |more: &[&'static str]| [args, more].concat();
    let ended = |output: std::process::Output, code: i32, text: &str| {
        let all = told(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {all}");
        assert!(
            says.iter().chain([&text]).all(|part| all.contains(part)),
            "{args:?}: no {says:?}, {text:?}: {all}"
        );
        assert_eq!(state(), before, "{args:?}: {all}");
    };
    ended(encrypt(host, &with(&["--dry-run"])), 0, "Nothing was changed: this was a dry run");
    let (code, document) = encrypt_json(host, &with(&["--dry-run", "--yes"]));
    assert!(
        code == 0 && document["dry_run"] == true && document["effects"][0]["what"].is_string(),
        "{document:#}"
    );
    let mut unasked = command(host, args);
    ended(unasked.stdin(Stdio::null()).output().unwrap(), 2, "--yes");
    ended(typed(command(host, args), &format!("{no}\n")), 2, "nothing was changed: the answer was no");
}

/// A purge of binary logs, a rotation, and the decryption of everything.
pub fn every_question_is_asked() {
    let (volume, backups) = (Volume::directory(), Volume::directory());
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    let server = host.start();
    server.sql("CREATE SCHEMA clinic; CREATE TABLE clinic.patients (id INT PRIMARY KEY); FLUSH BINARY LOGS");
    let directory = backups.keys();
    let state = || state(&server, &keyring, &directory);

    let purge = ["apply", "--purge-binary-logs"];
    let first = state().logs[0].clone();
    changes_nothing(
        &host,
        &purge,
        "no",
        &[&format!("binary logs {first} to "), "written from 20", "deleted", "No replica is connected now"],
        &state,
    );
    let done = typed(command(&host, &purge), "yes\n");
    assert!(done.status.success(), "{}", told(&done));
    assert!(state().in_clear == 0 && !state().logs.contains(&first), "{}", told(&done));
    // What only encrypts asks nothing, and there is nothing left to purge.
    for args in [&["apply"][..], &purge] {
        let done = command(&host, args).stdin(Stdio::null()).output().unwrap();
        assert!(done.status.success(), "{}", told(&done));
    }
    let both = encrypt(&host, &["apply", "--purge-binary-logs", "--only=clinic.patients", "--yes"]);
    assert!(both.status.code() == Some(2) && told(&both).contains("cannot be used with"), "{}", told(&both));

    let rotate = ["rotate", "--backup", directory.to_str().unwrap()];
    changes_nothing(&host, &rotate, "no", &["before-rotation-", "need the keyring as it is now"], &state);
    let before = state();
    let done = typed(command(&host, &rotate), "yes\n");
    assert!(done.status.success(), "{}", told(&done));
    let now = state();
    assert!(now.backups == before.backups + 1 && now.keys != before.keys, "{}", told(&done));
    assert!(told(&done).contains("need the backup"), "{}", told(&done));
    let without = ["rotate"];
    changes_nothing(&host, &without, "n", &["add --backup FILE"], &state);
    let named = directory.join("before.keyring");
    let (code, document) = encrypt_json(&host, &["rotate", "--backup", named.to_str().unwrap(), "--yes"]);
    assert!(code == 0 && document["backup"]["generation"].is_u64() && named.is_file(), "{document:#}");
    // Nothing is rotated if the backup cannot be made.
    let before = state();
    let refused = encrypt(&host, &["rotate", "--backup", named.to_str().unwrap(), "--yes"]);
    assert!(
        refused.status.code() == Some(2) && told(&refused).contains("already exists"),
        "{}",
        told(&refused)
    );
    let (wrong, other) = (format!("file:{}", named.display()), directory.join("other.keyring"));
    let refused =
        encrypt(&host, &["rotate", "--backup", other.to_str().unwrap(), "--unlock", &wrong, "--yes"]);
    assert!(told(&refused).contains("no master key was rotated"), "{}", told(&refused));
    assert_eq!(state(), before);

    let undo = ["apply", "--undo", "--all"];
    // A yes is not the word.
    changes_nothing(&host, &undo, "yes", &["can read the data without the keyring"], &state);
    let done = typed(command(&host, &undo), "decrypt\n");
    assert!(done.status.success(), "{}", told(&done));
    assert_ne!(state().in_clear, 0, "{}", told(&done));
    let done = encrypt(&host, &["apply", "--undo", "--all", "--yes"]);
    assert!(done.status.success(), "{}", told(&done));
    server.stop();
}
