// SPDX-License-Identifier: GPL-2.0-or-later
//! What messages propose: never to change a directory that is not the keyring's own, and never a new keyring in the place
//! of a copy that is lost.

#[path = "../../tests/common/mod.rs"]
mod common;
mod mock_host;

use common::ended::Ended;
use mock_host::Host;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

fn keyringctl(args: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyringctl"));
    Ended::of(&command.args(args).stdin(Stdio::null()).output().unwrap())
}

/// A keyring and its secret in a directory of its own.
fn keyring(dir: &Path) -> (String, String) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
    let (keyring, secret) = (dir.join("main.keyring"), dir.join("secret"));
    let unlock = format!("file:{}", secret.display());
    let keyring = keyring.to_str().unwrap().to_owned();
    keyringctl(&["init", &keyring, "--unlock", &unlock, "--generate-secret"]).says(0, &["Created keyring"]);
    (keyring, unlock)
}

#[test]
fn no_advice_changes_a_directory_that_is_not_the_keyrings_own() {
    let dir = tempfile::tempdir().unwrap();
    let (keyring, unlock) = keyring(dir.path());
    let volume = dir.path().join("volume");
    fs::create_dir_all(volume.join("photos")).unwrap();
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o755)).unwrap();
    for shared in ["/", "/tmp", "/etc", "/var/lib", volume.to_str().unwrap()] {
        assert!(fs::metadata(shared).unwrap().mode() & 0o044 != 0, "{shared} is not open to others here");
        let file = Path::new(shared).join("no-such.keyring");
        let new = file.to_str().unwrap();
        for args in [
            &["backup", &keyring, new, "--unlock", &unlock][..],
            &["init", new, "--unlock", &unlock],
            &["sync", &keyring, "--mirror", new, "--create", "--unlock", &unlock],
        ] {
            let told = keyringctl(args);
            assert!(told.code != 0 && !file.exists(), "{args:?}: {told:?}");
            let text = format!("{}{}", told.out, told.err);
            assert!(text.contains("is not for the keyring alone"), "{args:?}: {text}");
            let own = Path::new(shared).join("keys");
            assert!(
                text.contains(&format!("-m 0700 {}", own.display()).replace("-m 0700 //", "-m 0700 /")),
                "{text}"
            );
            for change in ["chmod", "chown", "rm ", "mv "] {
                assert!(!text.contains(change), "{change}: {args:?}: {text}");
            }
        }
    }
    // For one of its own, it is the right advice.
    let own = dir.path().join("own");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
    let new = own.join("k");
    keyringctl(&["backup", &keyring, new.to_str().unwrap(), "--unlock", &unlock])
        .says(1, &[&format!("run chmod 0700 {}", own.display())]);
}

#[test]
fn the_following_of_that_advice_works() {
    let dir = tempfile::tempdir().unwrap();
    let (keyring, unlock) = keyring(dir.path());
    let volume = dir.path().join("volume");
    fs::create_dir_all(volume.join("photos")).unwrap();
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o755)).unwrap();
    let backup = |to: &Path| keyringctl(&["backup", &keyring, to.to_str().unwrap(), "--unlock", &unlock]);
    let told = backup(&volume.join("k")).says(1, &["Create a directory"]).err;
    let create = told.split('`').nth(1).unwrap().to_owned();
    assert!(Command::new("sh").args(["-c", &create]).status().unwrap().success(), "{create}");
    backup(&volume.join("keys/k")).says(0, &["every byte authenticated"]);
    assert_eq!(fs::metadata(&volume).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn a_path_that_is_no_keyrings_is_not_taken_for_an_unmounted_volume() {
    for args in [
        &["doctor", "--root", "/no/such/place"][..],
        &["setup", "--root", "/no/such/place", "--dry-run"],
        &["verify", "/no/such/k", "--datadir", "/no/such/place", "--unlock", "file:/no/such/secret"],
        &[
            "export",
            "/no/such/k",
            "/no/such/place/keys",
            "--to",
            "component_keyring_file",
            "--unlock",
            "file:/x",
        ],
    ] {
        let told = keyringctl(args);
        let text = format!("{}{}", told.out, told.err);
        assert!(told.code != 0 && !text.contains("Is the volume mounted"), "{args:?}: {text}");
    }
}

#[test]
fn setup_proposes_a_directory_below_one_that_is_not_the_keyrings_own() {
    let host = Host::new();
    fs::create_dir(host.at("mnt/a/photos")).unwrap();
    fs::set_permissions(host.at("mnt/a"), fs::Permissions::from_mode(0o755)).unwrap();
    let before = host.files();
    for mode in ["--yes", "--dry-run"] {
        let args = ["/mnt/a/main.keyring", "--allow-same-device", "--as", "component", mode];
        let told = host.setup(&args).says(
            2,
            &["is not for the keyring alone", "such as /mnt/a/keys/main.keyring", "Nothing was changed"],
        );
        assert!(!told.err.contains("chmod") && !told.err.contains("chown"), "{told:?}");
        assert_eq!(host.files(), before);
    }
    host.setup(&["/mnt/a/keys/main.keyring", "--allow-same-device", "--as", "component", "--yes"])
        .says(0, &[]);
}

#[test]
fn a_lost_mirror_does_not_lead_to_a_new_keyring() {
    let dir = tempfile::tempdir().unwrap();
    let (keyring, unlock) = keyring(dir.path());
    let lost = dir.path().join("lost.keyring");
    for args in [
        &["status", &keyring, lost.to_str().unwrap()][..],
        &["list", &keyring, "--mirror", lost.to_str().unwrap(), "--unlock", &unlock],
        &["verify", &keyring, lost.to_str().unwrap(), "--unlock", &unlock],
        &["backup", lost.to_str().unwrap(), "/tmp/no-such-directory/k", "--unlock", &unlock],
        &["list", lost.to_str().unwrap(), "--unlock", &unlock],
    ] {
        let told = keyringctl(args);
        let text = format!("{}{}", told.out, told.err);
        assert!(!text.contains("keyringctl init"), "{args:?}: {text}");
    }
    let host = Host::new();
    host.setup(&[
        "/mnt/a/keys/k",
        "--mirror",
        "/mnt/b/keys/k",
        "--allow-same-device",
        "--as",
        "component",
        "--yes",
    ])
    .says(0, &[]);
    fs::remove_file(host.at("mnt/b/keys/k")).unwrap();
    for args in [&["doctor", "--offline"][..], &["setup", "--yes"]] {
        let told = host.run(args);
        let text = format!("{}{}", told.out, told.err);
        assert!(text.contains("keyringctl sync") && !text.contains("keyringctl init"), "{args:?}: {text}");
    }
}
