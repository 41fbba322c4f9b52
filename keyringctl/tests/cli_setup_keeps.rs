// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl setup` loses no keyring: it creates none in the place of another one, and takes none that lacks the server's
//! keys or that mysqld could not unlock.

#[path = "../../tests/common/mod.rs"]
mod common;
mod mock_host;

use common::ended::Ended;
use mock_host::Host;
use mock_host::configured::{A, B, CNF, OPTIONS, WAYS, configured};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

/// A witness in the data directory that names the keyring at A, as a server would leave it.
fn with_witness(host: &Host) -> String {
    let secret = format!("file:{}", host.at("etc/mysql/keyring_external.secret").display());
    let (path, datadir) = (host.at(&A[1..]), host.at("var/lib/mysql"));
    let args = ["witness", "accept", path.to_str().unwrap(), "--datadir", datadir.to_str().unwrap()];
    let more = ["--unlock", &secret, "--yes"];
    host.run(&[&args[..], &more].concat()).says(0, &[]);
    secret
}

#[test]
fn no_new_keyring_takes_the_place_of_one_that_is_lost_or_not_mounted() {
    for way in WAYS {
        let host = configured(way, &[]);
        with_witness(&host);
        for copy in ["mnt/a", "mnt/b"] {
            fs::rename(host.at(copy), host.at(&format!("{copy}.away"))).unwrap();
            fs::create_dir(host.at(copy)).unwrap();
        }
        let refused = |args: &[&str], words: &[&str]| {
            let before = host.files();
            host.setup(args).says(2, words);
            assert_eq!(host.files(), before, "{args:?}");
        };
        let told =
            ["is configured with", A, B, "was last used with keyring", "Mount the volume", "--new-keyring"];
        refused(&["--yes"], &told);
        refused(&["--dry-run"], &told);
        fs::remove_file(host.at("etc/mysql/keyring_external.secret")).unwrap();
        refused(&["--yes"], &told);
        // The configuration alone and the witness alone are enough.
        let witness = host.at("var/lib/mysql/keyring_external.witness");
        fs::rename(&witness, host.at("witness")).unwrap();
        refused(&["--yes"], &["is configured with", A, B]);
        fs::rename(host.at("witness"), &witness).unwrap();
        for file in [CNF, OPTIONS, "usr/sbin/mysqld.my"] {
            let _ = fs::remove_file(host.at(file));
        }
        let again = [A, "--allow-same-device", "--as", way];
        refused(&[&again[..], &["--dry-run"]].concat(), &["was last used with keyring", "--new-keyring"]);
        let new = host.setup(&[&again[..], &["--new-keyring", "--yes"]].concat());
        new.says(0, &["Created keyring", "none of the server's keys", "    keyringctl witness accept"]);
        host.setup(&["--new-keyring", "--yes"]).says(2, &["--new-keyring creates", "exists"]);
    }
}

#[test]
fn a_copy_of_another_keyring_or_an_older_one_is_not_taken_for_the_servers() {
    let host = configured("component", &[]);
    let old = fs::read(host.at(&A[1..])).unwrap();
    let at = |path: &str| host.at(path).to_str().unwrap().to_owned();
    let secret = format!("file:{}", host.at("etc/mysql/keyring_external.secret").display());
    let rekey = ["rekey", &at("mnt/a/keys/main.keyring"), "--mirror", &at("mnt/b/keys/main.keyring")];
    host.run(&[&rekey[..], &["--unlock", &secret, "--yes"]].concat()).says(0, &[]);
    with_witness(&host);
    let before_is_kept = |args: &[&str], words: &[&str]| {
        let before = host.files();
        host.setup(args).says(2, words);
        assert_eq!(host.files(), before, "{args:?}");
    };
    let foreign = at("mnt/a/keys/foreign.keyring");
    let init = Command::new(env!("CARGO_BIN_EXE_keyringctl"))
        .args(["init", &foreign, "--unlock", &secret])
        .output()
        .unwrap();
    Ended::of(&init).says(0, &["Created keyring"]);
    let to = |path| [path, "--remove-mirror", A, "--remove-mirror", B, "--dry-run"];
    let foreign = ["is keyring", "keyringctl witness accept", "keyringctl which"];
    before_is_kept(&to("/mnt/a/keys/foreign.keyring"), &foreign);
    // The old copy lacks what the others have; so it does if they are gone.
    fs::copy(host.at(&A[1..]), host.at("newest")).unwrap();
    fs::write(host.at(&A[1..]), &old).unwrap();
    let behind = ["lacks changes", "keyringctl sync", B];
    before_is_kept(&["--remove-mirror", B, "--dry-run"], &behind);
    before_is_kept(&["--remove-mirror", B, "--yes"], &behind);
    fs::remove_file(host.at(&B[1..])).unwrap();
    let older = ["this is an older copy", "keyringctl witness accept", "Nothing was changed"];
    before_is_kept(&["--remove-mirror", B, "--yes"], &older);
    fs::copy(host.at("newest"), host.at(&A[1..])).unwrap();
    host.setup(&["--remove-mirror", B, "--yes"]).says(0, &["Read back"]);
}

#[test]
fn setup_says_that_it_does_not_know_which_keys_a_missing_redo_log_needs() {
    let host = configured("component", &[]);
    let change = ["--remove-mirror", B, "--dry-run"];
    let why = "not checked whether the keyring has every key: the data directory ";
    let told = host.setup(&change);
    assert!(!format!("{}{}", told.out, told.err).contains(why));
    host.write("var/lib/mysql/ibdata1", "tables");
    host.setup(&change).says(0, &[why, "lacks the redo log (#innodb_redo"]);
}

#[test]
fn a_secret_that_mysqld_cannot_read_is_refused() {
    let host = configured("component", &[]);
    let before = host.files();
    for unlock in ["file:secret", "file:./etc/mysql/keyring_external.secret", "file:"] {
        host.setup(&["--unlock", unlock, "--yes"]).says(2, &[]);
        host.setup(&["--unlock", unlock, "--dry-run"]).says(2, &[]);
    }
    host.setup(&["--unlock", "file:secret", "--yes"]).says(2, &["absolute path", "Nothing was changed"]);
    assert_eq!(host.files(), before);
    if let Some(asked) = host.on_terminal("setup", "\n\nfile:secret\n\n\n") {
        asked.says(0, &["give an absolute path", "Nothing to change"]);
    }
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(host.0.path(), PermissionsExt::from_mode(0o755)).unwrap();
        host.write("etc/passwd", "mysql:x:4242:4242::/:/bin/false\n");
        for path in ["mnt/a/keys", "mnt/b/keys", &A[1..], &B[1..]] {
            chown(host.at(path), Some(4242), Some(4242)).unwrap();
        }
        let command = format!("run chown mysql: {}", host.at("etc/mysql/keyring_external.secret").display());
        host.setup(&["--dry-run"]).says(2, &["has no permission to read it", &command]);
        fs::create_dir(host.at("closed")).unwrap();
        let closed = host.at("closed");
        fs::rename(host.at("etc/mysql/keyring_external.secret"), closed.join("n")).unwrap();
        fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
        host.setup(&["--unlock", "file:/closed/n", "--yes"])
            .says(2, &["does not let user mysql reach the unlock secret /closed/n", "run chmod o+x"]);
    }
}

#[test]
fn a_dry_run_has_every_field_and_no_step_if_nothing_changes() {
    let host = configured("component", &[]);
    let dry = host.setup(&["--dry-run", "--json"]).says(0, &[]).json();
    assert!(
        dry["failed"].as_array().unwrap().is_empty() && dry["next"].as_array().unwrap().is_empty(),
        "{dry}"
    );
    let dry = host.setup(&["--wait", "5", "--dry-run", "--json"]).says(0, &[]).json();
    assert!(dry["next"].to_string().contains("restart"), "{dry}");
}
