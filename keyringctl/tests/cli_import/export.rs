// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl export`.

use super::Place;
use super::files::{json_file, key, set, some_keys};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn an_export_is_complete_private_and_can_be_imported() {
    let place = Place::with_keyring();
    place.write("src", &json_file(&some_keys()));
    place.import("component_keyring_file", "src", &[]).says(0, &[]);
    let keyring = place.bytes("keyring");
    let export = |dst: &str| place.ctl(&["export", "--to", "component_keyring_file", "keyring", dst]);
    let done = export("dst").says(0, &["exported 3 keys"]);
    assert!(done.err.contains("WARNING: dst holds all keys unencrypted"), "{done:?}");
    assert_eq!(fs::metadata(place.path("dst")).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(place.bytes("keyring") == keyring, "an export changed the keyring");

    let dst = place.bytes("dst");
    export("dst").says(2, &["dst already exists and was not changed"]);
    assert!(place.bytes("dst") == dst, "a file was written over");
    place.write("other.backup", b"{}");
    export("other").says(2, &["other.backup already exists"]);
    assert!(!place.path("other").exists());
    export("none/dst").says(2, &["cannot look at none"]);

    let other = Place::with_keyring();
    other.write("src", &dst);
    other.import("component_keyring_file", "src", &[]).says(0, &["imported 3 keys"]);
    assert_eq!(other.keys("keyring"), set(&some_keys()));
}

/// Names that are not UTF-8 are imported and exported unchanged.
#[test]
fn a_name_may_have_any_bytes() {
    let place = Place::with_keyring();
    let mut file = json_file(&[key("NAME", "", "AES", 16)]);
    let at = file.windows(4).position(|w| w == b"NAME").unwrap();
    file[at..at + 4].copy_from_slice(&[0xff, b'x', 0xc3, b'y']);
    place.write("src", &file);
    place.import("component_keyring_file", "src", &[]).says(0, &["imported 1 key"]);
    place.ctl(&["export", "--to", "component_keyring_file", "keyring", "dst"]).says(0, &["exported 1 key"]);
    let id = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(4).any(|w| w == [0xff, b'x', 0xc3, b'y'])
    };
    assert!(id(&place.path("dst")));
}
