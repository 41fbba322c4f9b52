// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl import` and `export` transfer all keys or none. A refusal names its reason and changes no byte of the
//! keyring, and no output contains a key.

#[path = "../../../tests/common/mod.rs"]
mod common;
mod export;
mod files;

use common::ended::Ended;
use common::{Set, contents, private_dir, put, secret_file};
use files::{CANARY, Key, json_file, key, plugin_file, set, some_keys};
use keyring_external::keyring::load;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

const SECRET: [u8; 40] = [0xe8; 40];
/// A directory for keyrings and files of other keyrings.
struct Place(tempfile::TempDir);

fn ended(output: &Output) -> Ended {
    let ended = Ended::of(output);
    let hex: String = CANARY.bytes().map(|b| format!("{b:02x}")).collect();
    for secret in [CANARY, &hex, &hex.to_uppercase()] {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "a key was shown: {ended:?}");
    }
    ended
}

impl Place {
    fn new() -> Self {
        let place = Self(private_dir());
        fs::create_dir(place.path("mirror")).unwrap();
        fs::set_permissions(place.path("mirror"), fs::Permissions::from_mode(0o700)).unwrap();
        place
    }

    fn with_keyring() -> Self {
        let place = Self::new();
        place.init("keyring", &[]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Runs `keyringctl` in the directory, with the unlock secret.
    fn ctl(&self, args: &[&str]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_keyringctl"))
            .current_dir(self.0.path())
            .args(args)
            .args(["--unlock", &format!("file:{}", secret_file(&SECRET).display())])
            .env("PERCONA", "correct horse")
            .output()
            .unwrap();
        ended(&output)
    }

    fn init(&self, name: &str, more: &[&str]) {
        self.ctl(&[&["init", name], more].concat()).says(0, &[]);
    }

    fn import(&self, from: &str, src: &str, more: &[&str]) -> Ended {
        self.ctl(&[&["import", "--from", from, src, "keyring"], more].concat())
    }

    /// The keys in the keyring at `name`.
    fn keys(&self, name: &str) -> Set {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        contents(
            &load(&Places::from(&fs), &self.path(name), &UnlockSource::File(secret_file(&SECRET))).unwrap().0,
        )
    }

    /// The names and contents of all files.
    fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut all = Vec::new();
        for dir in [self.0.path().to_owned(), self.path("mirror")] {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    all.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        all.sort();
        all
    }

    /// Checks that an import is refused with these texts and changes no file.
    #[track_caller]
    fn refuses(&self, code: i32, from: &str, src: &str, more: &[&str], texts: &[&str]) -> Ended {
        let before = self.everything();
        let ended = self.import(from, src, more).says(code, texts);
        assert!(self.everything() == before, "a refused import changed a file");
        ended
    }
}

#[test]
fn all_keys_of_either_file_are_imported_and_a_second_time_nothing_changes() {
    for (from, file) in
        [("keyring_file", plugin_file(&some_keys())), ("component_keyring_file", json_file(&some_keys()))]
    {
        let place = Place::with_keyring();
        place.write("src", &file);
        let empty = place.bytes("keyring");
        let dry = place.import(from, "src", &["--dry-run"]);
        dry.says(0, &["3 to import, 0 already in the keyring", "16384", "anna@host", "nothing was changed"]);
        assert!(place.bytes("keyring") == empty, "a dry run changed the keyring");

        let done = place.import(from, "src", &["--json"]).says(0, &[]);
        let count = &done.json()["count"];
        assert_eq!(
            *count,
            json!({"source": 3, "before": 0, "new": 3, "present": 0, "refused": 0, "after": 3, "verified": 3})
        );
        assert_eq!(place.keys("keyring"), set(&some_keys()));

        let full = place.bytes("keyring");
        let again = place.import(from, "src", &["--json"]).says(0, &[]);
        assert_eq!(
            (&again.json()["count"]["present"], &again.json()["count"]["verified"]),
            (&json!(3), &json!(3))
        );
        assert!(place.bytes("keyring") == full, "an import of nothing new changed the keyring");
        assert!(place.bytes("src") == file, "the source was changed");
    }
}

#[test]
fn existing_keys_are_kept_and_the_others_are_imported() {
    let place = Place::with_keyring();
    place.write("first", &json_file(&some_keys()[..1]));
    place.import("component_keyring_file", "first", &[]).says(0, &["imported 1 key"]);
    place.write("all", &json_file(&some_keys()));
    place.import("component_keyring_file", "all", &[]).says(
        0,
        &[
            "2 to import, 1 already in the keyring",
            "imported 2 keys: the keyring now holds 3 keys",
            "all 3 keys",
        ],
    );
    assert_eq!(place.keys("keyring"), set(&some_keys()));
}

#[test]
fn another_key_of_the_same_name_blocks_the_import_and_is_named() {
    for other in
        [("mine", "anna@host", "SECRET", b"other bytes".to_vec()), key("mine", "anna@host", "AES", 100)]
    {
        let place = Place::with_keyring();
        place.write("old", &json_file(&[other]));
        place.import("component_keyring_file", "old", &[]).says(0, &[]);
        place.write("src", &json_file(&some_keys()));
        for more in [&["--dry-run"][..], &[]] {
            let refused = place.refuses(
                1,
                "component_keyring_file",
                "src",
                more,
                &[
                    "REFUSED the key 'mine' of user 'anna@host'",
                    "another key of this name",
                    "nothing was imported",
                ],
            );
            assert!(!refused.out.contains("REFUSED the key 'mine' of user 'bert@host'"), "{refused:?}");
        }
        let report = place.refuses(1, "component_keyring_file", "src", &["--json"], &[]).json();
        assert_eq!((&report["done"], &report["count"]["refused"]), (&json!(false), &json!(1)));
        assert_eq!(report["keys"].as_array().unwrap().iter().filter(|k| k["action"] == "refused").count(), 1);
    }
}

#[test]
fn keys_that_exceed_a_limit_block_the_import_and_are_named() {
    let place = Place::with_keyring();
    let long = "x".repeat(256);
    let bad = [
        key("too long", "", "SECRET", 16385),
        key("without bytes", "", "AES", 0),
        key("without type", "", "", 16),
        key(&long, "", "AES", 16),
        key("of somebody", &long, "AES", 16),
        key("a\0b", "", "AES", 16),
    ];
    for bad in bad {
        let name = if bad.0.contains('\0') { "a\\x00b".to_owned() } else { bad.0.to_owned() };
        let mut keys = some_keys();
        keys.push(bad);
        place.write("src", &json_file(&keys));
        let texts = [&format!("REFUSED the key '{name}'")[..], "cannot hold this key", "1 refused"];
        place.refuses(1, "component_keyring_file", "src", &[], &texts);
    }
}

#[test]
fn a_file_that_is_damaged_or_of_another_format_is_refused() {
    let place = Place::with_keyring();
    let mut file = plugin_file(&some_keys());
    *file.last_mut().unwrap() ^= 1;
    place.write("src", &file);
    place.refuses(1, "keyring_file", "src", &[], &["src", "checksum is wrong", "Nothing was changed"]);
    place.write("src.backup", &plugin_file(&some_keys()[..2]));
    place.refuses(1, "keyring_file", "src", &[], &["backup src.backup is intact and holds 2 keys"]);
    place.write("json", &json_file(&some_keys()));
    place.refuses(1, "keyring_file", "json", &[], &["--from component_keyring_file"]);
    place.write("plugin", &plugin_file(&some_keys()));
    place.refuses(1, "component_keyring_file", "plugin", &[], &["--from keyring_file"]);
    place.write("random", &[7; 5000]);
    for from in ["keyring_file", "component_keyring_file"] {
        place.refuses(1, from, "random", &[], &["cannot be read as a file of"]);
        place.refuses(1, from, "keyring", &[], &["cannot be read as a file of"]);
    }
    place.refuses(2, "keyring_file", "none", &[], &["cannot open none"]);
    place.refuses(1, "keyring_file", "mirror", &[], &["mirror is a directory"]);
    let huge = fs::File::create(place.path("huge")).unwrap();
    huge.set_len(257 << 20).unwrap();
    place.import("keyring_file", "huge", &[]).says(1, &["larger than any such file"]);
}

#[test]
fn a_missing_keyring_is_not_created() {
    let place = Place::new();
    place.write("src", &json_file(&some_keys()));
    place.refuses(
        1,
        "component_keyring_file",
        "src",
        &[],
        &[
            "there is no keyring at",
            "If the file is lost, create it again from another copy (keyringctl sync) or from a backup",
        ],
    );
}

#[test]
fn a_backup_that_holds_more_blocks_the_import_until_the_administrator_decides() {
    for (from, file) in
        [("keyring_file", plugin_file as fn(&[Key<'_>]) -> Vec<u8>), ("component_keyring_file", json_file)]
    {
        let place = Place::with_keyring();
        let other = ("mine", "anna@host", "SECRET", b"other bytes".to_vec());
        place.write("src", &file(&[key("only here", "", "AES", 16), some_keys().remove(1)]));
        place.write("src.backup", &file(&[key("only there", "", "AES", 32), other]));
        let texts = [
            "only in src.backup: 'only there'",
            "with other bytes in src.backup: 'mine' of user 'anna@host'",
            "only in src: 'only here'",
            "REFUSED until you choose: import only src with --ignore-backup",
        ];
        place.refuses(1, from, "src", &[], &texts);
        let backup = &place.refuses(1, from, "src", &["--json"], &[]).json()["backup"];
        assert_eq!(
            (&backup["whole"], &backup["only_in_backup"][0]["id"]),
            (&json!(true), &json!("only there"))
        );

        place.import(from, "src", &["--ignore-backup"]).says(0, &["imported 2 keys", "only in src.backup"]);
        assert_eq!(place.keys("keyring").len(), 2);
        place.refuses(1, from, "src.backup", &[], &["REFUSED the key 'mine' of user 'anna@host'"]);
        place.write("src.backup", &file(&[key("only there", "", "AES", 32)]));
        place.import(from, "src.backup", &[]).says(0, &["imported 1 key"]);
        assert_eq!(place.keys("keyring").len(), 3);
    }
}

#[test]
fn a_backup_with_nothing_more_or_incomplete_does_not_block_an_import() {
    let part = json_file(&some_keys()[..1]);
    for (backup, texts) in [
        (json_file(&some_keys()), &["an interrupted write left src.backup: 3 keys"][..]),
        (part.clone(), &["src.backup: 1 key", "only in src: 'mine' of user 'bert@host'"]),
        (part[..part.len() / 2].to_vec(), &["src.backup, which was not used"]),
    ] {
        let place = Place::with_keyring();
        place.write("src", &json_file(&some_keys()));
        place.write("src.backup", &backup);
        place.import("component_keyring_file", "src", &[]).says(0, texts);
        assert_eq!(place.keys("keyring"), set(&some_keys()));
        assert!(place.bytes("src.backup") == backup, "the backup was changed");
    }
}

#[test]
fn names_that_the_old_plugin_does_not_distinguish_are_listed() {
    let place = Place::with_keyring();
    place.write("first", &json_file(&[key("KEY1", "", "AES", 16)]));
    place.import("component_keyring_file", "first", &[]).says(0, &[]);
    place.write("src", &plugin_file(&[key("Key1", "", "AES", 32), key("other", "", "AES", 16)]));
    place.import("keyring_file", "src", &[]).says(0, &["NOTE 'Key1', 'KEY1'", "imported 2 keys"]);
    assert_eq!(place.keys("keyring").len(), 3);
}

#[test]
fn every_copy_gets_the_keys_or_none_does() {
    let place = Place::new();
    place.init("keyring", &["--mirror", "mirror/keyring"]);
    place.write("src", &json_file(&some_keys()));
    let mirror = ["--mirror", "mirror/keyring"];
    // If one copy is missing, the other is not changed either.
    fs::rename(place.path("mirror/keyring"), place.path("mirror/away")).unwrap();
    let before = place.everything();
    let e = place.import("component_keyring_file", "src", &mirror);
    assert_ne!(e.code, 0, "{e:?}");
    assert!(e.err.contains("mirror/keyring"), "{e:?}");
    assert!(place.everything() == before, "something was changed");
    fs::rename(place.path("mirror/away"), place.path("mirror/keyring")).unwrap();
    place.import("component_keyring_file", "src", &mirror).says(0, &["keyring and ", "all 3 keys"]);
    assert!(place.bytes("keyring") == place.bytes("mirror/keyring"), "the copies differ");
    assert_eq!(place.keys("mirror/keyring"), set(&some_keys()));
}

/// Created with Python's hashlib.pbkdf2_hmac and `openssl enc -aes-256-cbc`, as in src/legacy/percona.rs.
const PERCONA: &str = "01000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f000003e86465666768\
    696a6b6c6d6e6f707172732063955200927eeb7765a5b13effa47485112d99a705adc8d2f1fe242127d3\
    781909eba78fbcd9cb9a689c12edae9df2ea6e17d52ea1e7d1425d57842a219e75fc9cc67c8f25ac239a\
    7ecf4fc00b2b96282971557bab18d964379c4e73d005c63c1e4a6fdecd01a5d7f3802d1af69d2488d6a3\
    93a13c5c2add50821e6b17cd3dd169c6b8cdadf92a3d0b414224de0bee3d7888b3786437911a49c1edec\
    c11864a50a85dd35b471c890cb872b1313954d";

#[test]
fn an_encrypted_file_needs_its_password() {
    let place = Place::with_keyring();
    let file: Vec<u8> =
        (0..PERCONA.len() / 2).map(|i| u8::from_str_radix(&PERCONA[i * 2..i * 2 + 2], 16).unwrap()).collect();
    place.write("src", &file);
    place.refuses(2, "percona_encrypted_file", "src", &[], &["--source-unlock"]);
    let wrong = secret_file(b"another password");
    let wrong = format!("file:{}", wrong.display());
    let e = place.refuses(1, "percona_encrypted_file", "src", &["--source-unlock", &wrong], &["password"]);
    assert!(!e.err.contains("another password"), "{e:?}");
    let password = ["--source-unlock", "env:PERCONA"];
    place.import("percona_encrypted_file", "src", &password).says(0, &["imported 1 key"]);
    let mut expected = Set::new();
    put(&mut expected, "INNODBKey-1", "", "AES", &(0..32).collect::<Vec<u8>>());
    assert_eq!(place.keys("keyring"), expected);
    place.write("json", &json_file(&some_keys()));
    place.refuses(2, "component_keyring_file", "json", &password, &["remove --source-unlock"]);
}
