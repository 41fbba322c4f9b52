// SPDX-License-Identifier: GPL-2.0-or-later
//! Import and export.

use super::{Place, UNLOCK, check};

#[test]
fn other_keyrings() {
    let place = Place::with_keyring();
    let element = |id: &str, data: &str| {
        format!(r#"{{"user":"","data_id":"{id}","data_type":"AES","data":"{data}","extension":[]}}"#)
    };
    let file = |elements: &[String]| format!(r#"{{"version":"1.0","elements":[{}]}}"#, elements.join(","));
    let both = [element("DefaultMasterKey", "4142"), element("INNODBKey-1", "4344")];
    place.write("old", file(&both).as_bytes());
    place.write("differs", file(&[element("INNODBKey-1", "4546"), element("new", "47")]).as_bytes());
    place.write("differs.backup", file(&[element("lost", "48")]).as_bytes());
    let import =
        |src: &str| format!("import --from component_keyring_file DIR/{src} DIR/main.keyring {UNLOCK}");
    check(
        "import_says_what_it_would_do_and_does_it",
        &place,
        &[&format!("{} --dry-run", import("old")), &import("old"), &format!("{} --json", import("old"))],
    );
    check(
        "import_shows_everything_that_blocks_it",
        &place,
        &[&import("differs"), &import("old").replace("component_keyring_file", "keyring_file")],
    );
    let export = format!("export --to component_keyring_file DIR/main.keyring DIR/exported {UNLOCK}");
    check("export_warns_and_does_not_overwrite", &place, &[&export, &export]);
}
