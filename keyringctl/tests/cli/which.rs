// SPDX-License-Identifier: GPL-2.0-or-later
//! `which`: the right copy for a data directory, in each situation. The printed commands are followed, and then the server
//! would open its copies.

use super::data_directory::{INNODB_KEY, SERVER_BINLOG_KEY, sample_server};
use super::witness::{RunningServer, left_by_a_killed_server};
use super::{Ended, Place, UNLOCK, common};
use keyring_external::keyring::{Keyring, load};
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::sync::Arc;

const SERVER: &str = "--option-file DIR/server.cnf --mysqld DIR/none/mysqld";

fn real_fs() -> Arc<dyn Fs> {
    Arc::new(RealFs)
}

/// The sample server, which is configured with DIR/main.keyring and DIR/mirror.keyring, both in the same state. The data
/// directory was last used with them.
pub(super) fn server() -> Place {
    let place = sample_server();
    let dir = place.dir.path().display();
    let options = format!(
        "[mysqld]\ndatadir={dir}/data\nearly-plugin-load=keyring_external.so\n\
         keyring_external_data={dir}/main.keyring\nkeyring_external_mirrors={dir}/mirror.keyring\n\
         keyring_external_unlock=file:{dir}/secret\n"
    );
    place.write("server.cnf", options.as_bytes());
    copy(&place, "main.keyring", "mirror.keyring");
    used(&place, "main.keyring");
    place
}

pub(super) fn copy(place: &Place, from: &str, to: &str) {
    place.write(to, &fs::read(place.path(from)).unwrap());
}

pub(super) fn open(place: &Place, name: &str) -> Keyring {
    load(&Places::from(&real_fs()), &place.path(name), &UnlockSource::File(place.path("secret"))).unwrap().0
}

pub(super) fn store(place: &Place, name: &str, id: &str, data: &[u8]) {
    open(place, name).store(common::name(id, ""), &common::key_type("AES"), data).unwrap();
}

/// The data directory was used with this copy.
pub(super) fn used(place: &Place, name: &str) {
    open(place, name).write_witness(&real_fs(), &place.path("data"), |_, _| {}).unwrap();
}

/// Runs `which` with the paths of copies. Returns its exit code and its document.
pub(super) fn which(place: &Place, copies: &str) -> (i32, Value) {
    let Ended { code, stdout, stderr } =
        place.run(&format!("which {copies} --datadir DIR/data {SERVER} --json"));
    (code, serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}{stderr}")))
}

/// Follows the printed commands.
fn follow(place: &Place, told: &Value) {
    for step in told["next"].as_array().unwrap() {
        let step = step.as_str().unwrap();
        let Some(line) = step.strip_prefix("keyringctl ") else {
            let dir = place.dir.path().to_str().unwrap();
            assert!(Command::new("sh").args(["-c", &step.replace("DIR", dir)]).status().unwrap().success());
            continue;
        };
        let asks = ["sync", "witness"].iter().any(|command| line.starts_with(command));
        let line = format!("{line} {}", if asks { "--yes" } else { "" });
        let Ended { code, stdout, stderr } = place.run(&line);
        assert_eq!(code, 0, "{line}: {stdout}{stderr}");
    }
}

/// The server would open its copies, and decrypt its files with them.
fn is_well(place: &Place) {
    let (code, told) = which(place, "");
    assert!(code == 0 && told["next"] == Value::Array(Vec::new()), "{told:#}");
    for line in [
        format!("status DIR/main.keyring DIR/mirror.keyring {UNLOCK} --datadir DIR/data"),
        format!("verify DIR/main.keyring {UNLOCK} --datadir DIR/data"),
    ] {
        let Ended { code, stdout, stderr } = place.run(&line);
        assert_eq!(code, 0, "{line}: {stdout}{stderr}");
    }
}

/// Asserts what is told of the copies, and that following it makes all well.
fn is_followed(place: &Place, copies: &str, situation: &str, code: i32) -> Value {
    let (ended, told) = which(place, copies);
    assert_eq!((ended, told["situation"].as_str().unwrap()), (code, situation), "{told:#}");
    follow(place, &told);
    if situation == "diverged" {
        // The merged copies are right.
        assert_eq!(which(place, copies).0, 0);
    }
    is_well(place);
    told
}

#[test]
fn which_says_that_nothing_needs_to_be_done() {
    let place = server();
    is_well(&place);
    let text = place.run(&format!("which --datadir DIR/data {SERVER}")).stdout;
    for expected in [
        "DIR/main.keyring is right: it has all 2 master keys that the files in DIR/data need",
        "opened with  file:DIR/secret",
        "needed keys  2 of 2",
        "Nothing needs to be done",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn which_creates_the_missing_directory_of_a_copy_before_the_copy() {
    let place = server();
    let options = fs::read_to_string(place.path("server.cnf")).unwrap();
    place.write("server.cnf", options.replace("/mirror.keyring", "/volume/keys/mirror.keyring").as_bytes());
    fs::create_dir(place.path("volume")).unwrap();
    let (code, told) = which(&place, "");
    let next: Vec<_> = told["next"].as_array().unwrap().iter().map(|step| step.as_str().unwrap()).collect();
    assert!(code == 0 && next.len() == 2, "{told:#}");
    assert!(
        next[0].starts_with("install -d -m 0700 -o ") && next[1].starts_with("keyringctl sync"),
        "{told:#}"
    );
    follow(&place, &told);
    assert!(place.path("volume/keys/mirror.keyring").exists());
}

#[test]
fn which_calls_no_older_copy_right_while_the_server_runs_or_after_it_was_killed() {
    let place = server();
    copy(&place, "main.keyring", "backup.keyring");
    store(&place, "main.keyring", "newest", &[7; 32]);
    copy(&place, "main.keyring", "mirror.keyring");
    used(&place, "main.keyring");
    left_by_a_killed_server(&place);
    let backup = format!("DIR/backup.keyring {UNLOCK}");
    let text = || {
        let Ended { code, stdout, .. } = place.run(&format!("which {backup} --datadir DIR/data {SERVER}"));
        assert_eq!(code, 1, "{stdout}");
        assert!(!stdout.contains("is right") && !stdout.contains("can be used"), "{stdout}");
        assert!(!stdout.contains("no file in DIR/data needs a key that is lost"), "{stdout}");
        stdout
    };
    let (code, told) = which(&place, &backup);
    assert_eq!(
        (code, told["situation"].as_str(), &told["right"]),
        (1, Some("not_shut_down"), &Value::Null),
        "{told:#}"
    );
    assert_eq!(told["copies"][0]["complete"], false);
    assert!(text().contains("was not shut down cleanly: its redo log may need keys that no file names yet"));
    // The copies that the server last used.
    let (code, told) = which(&place, "");
    assert!(code == 0 && told["next"] == serde_json::json!([]), "{told:#}");
    let running = RunningServer::of(&place);
    let (code, told) = which(&place, &backup);
    assert_eq!(
        (code, told["situation"].as_str(), &told["right"]),
        (1, Some("in_use"), &Value::Null),
        "{told:#}"
    );
    assert_eq!(told["next"], serde_json::json!(["keyringctl doctor"]));
    assert!(text().contains("Do not stop the server"));
    let Ended { code, stdout, .. } = place.run(&format!("which --datadir DIR/data {SERVER}"));
    assert!(code == 0 && stdout.contains("run ALTER INSTANCE RELOAD KEYRING"), "{stdout}");
    running.stop();
    // Following what is said is the last resort.
    copy(&place, "backup.keyring", "main.keyring");
    copy(&place, "backup.keyring", "mirror.keyring");
    let (_, told) = which(&place, "");
    assert!(told["next"].to_string().contains("--accept-missing-keys"), "{told:#}");
    follow(&place, &told);
    assert_eq!(which(&place, "").0, 0);
}

#[test]
fn which_names_the_newest_copy_and_sync_brings_the_other_one_up_to_date() {
    let place = server();
    store(&place, "mirror.keyring", "newer", &[7; 32]);
    used(&place, "mirror.keyring");
    let told = is_followed(&place, "", "right_copy", 0);
    assert_eq!(told["right"], "DIR/mirror.keyring");
    assert_eq!(
        (&told["copies"][0]["standing"], &told["copies"][1]["standing"]),
        (&"behind".into(), &"newest".into())
    );
    // One that is missing is created.
    fs::remove_file(place.path("mirror.keyring")).unwrap();
    is_followed(&place, "", "right_copy", 0);
}

#[test]
fn which_restores_a_backup_that_is_older_than_the_witness_saw() {
    let place = server();
    copy(&place, "main.keyring", "backup.keyring");
    store(&place, "main.keyring", "lost", &[7; 32]);
    used(&place, "main.keyring");
    fs::remove_file(place.path("main.keyring")).unwrap();
    fs::remove_file(place.path("mirror.keyring")).unwrap();
    let before = fs::read(place.path("backup.keyring")).unwrap();
    let line = format!("which DIR/backup.keyring --datadir DIR/data {UNLOCK} {SERVER}");
    let text = place.run(&line).stdout;
    assert!(
        text.contains("1 change of the keyring") && text.contains("First look for a newer copy"),
        "{text}"
    );
    is_followed(&place, &format!("DIR/backup.keyring {UNLOCK}"), "older_than_witness", 0);
    assert!(fs::read(place.path("backup.keyring")).unwrap() == before, "the backup is not changed");
}

#[test]
fn which_merges_copies_that_have_diverged() {
    let place = server();
    store(&place, "main.keyring", "here", &[7; 32]);
    store(&place, "mirror.keyring", "there", &[8; 32]);
    used(&place, "mirror.keyring");
    is_followed(&place, "", "diverged", 0);
}

#[test]
fn which_merges_diverged_copies_of_which_each_lacks_a_key() {
    let place = server();
    for name in ["main", "mirror"] {
        fs::remove_file(place.path(&format!("{name}.keyring"))).unwrap();
    }
    assert_eq!(place.run(&format!("init DIR/main.keyring {UNLOCK}")).code, 0);
    copy(&place, "main.keyring", "mirror.keyring");
    store(&place, "main.keyring", INNODB_KEY.0, &INNODB_KEY.1);
    store(&place, "mirror.keyring", SERVER_BINLOG_KEY.0, &SERVER_BINLOG_KEY.1);
    used(&place, "mirror.keyring");
    let told = is_followed(&place, "", "diverged", 1);
    assert_eq!(told["copies"][0]["missing"][0]["key"], SERVER_BINLOG_KEY.0);
}

#[test]
fn which_accepts_no_keyring_of_another_server_and_sets_it_aside_for_the_right_one() {
    let place = server();
    copy(&place, "main.keyring", "backup.keyring");
    // Alone, it is told from the server's by its id.
    let (code, told) = which(&place, &format!("DIR/less.keyring {UNLOCK}"));
    assert_eq!((code, told["situation"].as_str().unwrap()), (1, "keys_missing"), "{told:#}");
    let text = place.run(&format!("which DIR/less.keyring --datadir DIR/data {UNLOCK} {SERVER}")).stdout;
    assert!(text.contains("which belongs to another server") && text.contains("MISSING"), "{text}");
    assert!(text.contains("--accept-missing-keys"), "{text}");
    for name in ["main", "mirror"] {
        copy(&place, "less.keyring", &format!("{name}.keyring"));
    }
    let told = is_followed(&place, &format!("DIR/main.keyring DIR/backup.keyring {UNLOCK}"), "right_copy", 0);
    assert_eq!(told["right"], "DIR/backup.keyring");
    let aside = fs::read(place.path("main.keyring.set-aside")).unwrap();
    assert!(aside == fs::read(place.path("less.keyring")).unwrap());
}

#[test]
fn which_says_what_to_do_if_no_copy_opens() {
    let place = server();
    let locked = "--unlock file:DIR/other";
    let (code, told) = which(&place, locked);
    assert_eq!((code, told["situation"].as_str().unwrap()), (1, "none_opens"), "{told:#}");
    let next = told["next"][0].as_str().unwrap();
    assert!(next.ends_with("DIR/main.keyring DIR/mirror.keyring --datadir DIR/data --recovery"), "{next}");
    // Another secret is tried too.
    let (code, told) = which(&place, "--unlock file:DIR/other --other-unlock file:DIR/secret");
    assert_eq!((code, &told["copies"][0]["unlock"]), (0, &"file:DIR/secret".into()), "{told:#}");
    for name in ["main", "mirror"] {
        fs::remove_file(place.path(&format!("{name}.keyring"))).unwrap();
    }
    let text = place.run(&format!("which --datadir DIR/data {SERVER}")).stdout;
    assert!(text.contains("Mount the volume of DIR/main.keyring"), "{text}");
    place.write("keys", br#"{"version":"1.0","elements":[]}"#);
    let text = place.run(&format!("which DIR/keys --datadir DIR/data {UNLOCK} {SERVER}")).stdout;
    let import = "keyringctl import --from component_keyring_file DIR/keys";
    assert!(text.contains("component_keyring_file") && text.contains(import), "{text}");
    let none = place.run(&format!("which DIR/main.keyring --datadir DIR/none {UNLOCK} {SERVER}"));
    assert_eq!(none.code, 2, "{}", none.stdout);
}

#[test]
fn copies_that_are_all_older_than_the_server_used_are_changed_only_if_accepted() {
    let place = server();
    for name in ["main", "mirror"] {
        copy(&place, &format!("{name}.keyring"), &format!("{name}.before"));
    }
    store(&place, "main.keyring", "later", b"later");
    copy(&place, "main.keyring", "mirror.keyring");
    copy(&place, "main.keyring", "newest.keyring");
    used(&place, "main.keyring");
    for name in ["main", "mirror"] {
        copy(&place, &format!("{name}.before"), &format!("{name}.keyring"));
    }
    let before = fs::read(place.path("main.keyring")).unwrap();
    for line in [
        format!("sync DIR/main.keyring --mirror DIR/mirror.keyring {UNLOCK} {SERVER} --yes"),
        format!("rekey DIR/main.keyring {UNLOCK} {SERVER} --yes"),
        format!("slot add DIR/main.keyring --new-recovery {UNLOCK} {SERVER}"),
        format!("slot remove DIR/main.keyring 1 {UNLOCK} {SERVER} --force --yes"),
    ] {
        let Ended { code, stdout, stderr } = place.run(&line);
        let said = format!("{line}: {stdout}{stderr}");
        assert_eq!(code, 2, "{said}");
        assert!(stderr.contains("--accept-older") && stderr.contains("nothing was changed"), "{said}");
        assert_eq!(fs::read(place.path("main.keyring")).unwrap(), before, "{line}");
    }
    let accepted = place.run(&format!("rekey DIR/main.keyring {UNLOCK} {SERVER} --yes --accept-older"));
    assert_eq!(accepted.code, 0, "{}{}", accepted.stdout, accepted.stderr);
    assert_ne!(fs::read(place.path("main.keyring")).unwrap(), before);
}
