// SPDX-License-Identifier: GPL-2.0-or-later
//! Backups and copies.

use super::{Ended, Place, UNLOCK, check};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn copies() {
    let place = Place::with_keyring();
    check(
        "backup_is_verified_and_does_not_overwrite",
        &place,
        &[
            &format!("backup DIR/main.keyring DIR/backup.keyring {UNLOCK}"),
            &format!("backup DIR/main.keyring DIR/backup.keyring {UNLOCK}"),
            &format!("verify DIR/backup.keyring {UNLOCK}"),
        ],
    );
    assert!(fs::read(place.path("main.keyring")).unwrap() == fs::read(place.path("backup.keyring")).unwrap());
    check(
        "sync_creates_a_missing_copy",
        &place,
        &[&format!("sync DIR/main.keyring --mirror DIR/mirror.keyring {UNLOCK} --create --yes")],
    );
    fs::hard_link(place.path("main.keyring"), place.path("link.keyring")).unwrap();
    check(
        "one_file_under_two_names_is_no_second_copy",
        &place,
        &[&format!("sync DIR/main.keyring --mirror DIR/link.keyring {UNLOCK}")],
    );
    check(
        "backup_of_a_damaged_keyring_creates_nothing",
        &{
            let mut bytes = fs::read(place.path("main.keyring")).unwrap();
            bytes[8192..].fill(0);
            place.write("damaged.keyring", &bytes);
            place
        },
        &[&format!("backup DIR/damaged.keyring DIR/none.keyring {UNLOCK}"), "status DIR/none.keyring"],
    );
}

#[test]
fn a_mirror_whose_directory_is_missing_is_not_created_as_a_new_keyring() {
    let place = Place::with_keyring();
    for line in [
        format!("sync DIR/main.keyring --mirror DIR/none/k {UNLOCK} --create"),
        format!("status DIR/main.keyring DIR/none/k {UNLOCK}"),
        format!("verify DIR/none/k DIR/main.keyring {UNLOCK}"),
    ] {
        let Ended { code, stdout, stderr } = place.run(&line);
        let output = stdout + &stderr;
        assert_ne!(code, 0, "{line}: {output}");
        let sync = format!("keyringctl sync DIR/main.keyring --mirror DIR/none/k {UNLOCK} --create");
        let has_remedy = output.contains("install -d -m 0700 -o ") && output.contains("DIR/none`");
        assert!(has_remedy && output.contains(&sync), "{line}: {output}");
        assert!(!output.contains("keyringctl init"), "{line}: {output}");
    }
    // The commands in the message are sufficient.
    fs::create_dir(place.path("none")).unwrap();
    fs::set_permissions(place.path("none"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(
        place.run(&format!("sync DIR/main.keyring --mirror DIR/none/k {UNLOCK} --create --yes")).code,
        0
    );
    for line in ["init DIR/new.keyring --mirror DIR/gone/k", "backup DIR/main.keyring DIR/gone/k"] {
        let Ended { code, stderr, .. } = place.run(&format!("{line} {UNLOCK}"));
        assert!(code == 2 && stderr.contains("cannot create DIR/gone/k"), "{line}: {stderr}");
        assert!(stderr.contains("install -d -m 0700"), "{line}: {stderr}");
        assert!(!stderr.contains("keyringctl init"), "{line}: {stderr}");
    }
}

#[test]
fn one_file_under_two_names_counts_once() {
    let place = Place::with_keyring();
    fs::hard_link(place.path("main.keyring"), place.path("link.keyring")).unwrap();
    std::os::unix::fs::symlink(place.path(""), place.path("dir")).unwrap();
    fs::create_dir(place.path("sub")).unwrap();
    for other in ["DIR/link.keyring", "DIR/dir/main.keyring", "DIR/sub/../main.keyring", "DIR/main.keyring"] {
        for command in ["status", "verify"] {
            let Ended { code, stdout, .. } =
                place.run(&format!("{command} DIR/main.keyring {other} {UNLOCK}"));
            let is_found = stdout.contains("one file under two names") || stdout.contains("is named twice");
            assert!(code == 1 && is_found, "{command} {other}: {stdout}");
            let counted = command == "verify" || stdout.contains("1/2 copies are up to date");
            assert!(counted, "{command} {other}: {stdout}");
        }
    }
}
