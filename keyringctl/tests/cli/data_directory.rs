// SPDX-License-Identifier: GPL-2.0-or-later
//! `verify --datadir`.

use super::{Ended, Place, UNLOCK, check};
use std::fs;

/// The keys that the files of the sample server need.
pub(super) const INNODB_KEY: (&str, [u8; 32]) = (
    "INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-2",
    hex("102516995E5F513135D5306F6E41AF36F4CEF177BD2A86C5AA96763B52D8B40B"),
);
pub(super) const SERVER_BINLOG_KEY: (&str, [u8; 32]) = (
    "MySQLReplicationKey_e6e52dec-e7fc-11f1-ada4-02fc00000001_1",
    hex("4656FD198522A0695C931968868D71D4E20AE34ADF9255360BC0E41B7F8DF5DE"),
);

const fn hex(text: &str) -> [u8; 32] {
    const fn digit(byte: u8) -> u8 {
        if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 }
    }
    let (text, mut bytes, mut i) = (text.as_bytes(), [0; 32], 0);
    while i < 32 {
        bytes[i] = digit(text[2 * i]) * 16 + digit(text[2 * i + 1]);
        i += 1;
    }
    bytes
}

/// The files of a throw-away server in `data` (src/tablespace/samples.rs), and keyrings: `main` has their keys, `less` lacks
/// one, `wrong` has one with other bytes.
pub(super) fn sample_server() -> Place {
    const SERVER: &str = "e6e52dec-e7fc-11f1-ada4-02fc00000001";
    let key = |id: &str, data: &str| {
        format!(
            r#"{{"user":"","data_id":"{id}","data_type":"AES","data":"{data}","extension":[]}}"#,
            id = id.replace('*', SERVER)
        )
    };
    let innodb = key("INNODBKey-*-2", "102516995E5F513135D5306F6E41AF36F4CEF177BD2A86C5AA96763B52D8B40B");
    let binlog =
        key("MySQLReplicationKey_*_1", "4656FD198522A0695C931968868D71D4E20AE34ADF9255360BC0E41B7F8DF5DE");
    let other = key("INNODBKey-*-2", &"AB".repeat(32));
    let place = Place::with_keyring();
    for (name, keys) in
        [("main", vec![&innodb, &binlog]), ("less", vec![&binlog]), ("wrong", vec![&other, &binlog])]
    {
        let keys: Vec<_> = keys.iter().map(|key| key.as_str()).collect();
        let json = format!(r#"{{"version":"1.0","elements":[{}]}}"#, keys.join(","));
        place.write("keys.json", json.as_bytes());
        if name != "main" {
            let made = place.run(&format!("init DIR/{name}.keyring {UNLOCK}"));
            assert_eq!(made.code, 0, "{}", made.stderr);
        }
        let from = "import --from component_keyring_file DIR/keys.json";
        let imported = place.run(&format!("{from} DIR/{name}.keyring {UNLOCK}"));
        assert_eq!(imported.code, 0, "{}", imported.stderr);
    }
    let sample: &[u8] = include_bytes!("../../src/tablespace/samples/table");
    let mut table = vec![0; 7 * 4096];
    table[..4096].copy_from_slice(&sample[..4096]);
    table[4096..3 * 4096].copy_from_slice(include_bytes!("../../src/tablespace/samples/first_pages"));
    table[4 * 4096..5 * 4096].copy_from_slice(&sample[4096..]);
    fs::create_dir_all(place.path("data/clinic")).unwrap();
    fs::create_dir(place.path("empty")).unwrap();
    place.write("data/clinic/patients.ibd", &table);
    place.write("data/binlog.000001", include_bytes!("../../src/tablespace/samples/binlog"));
    place.write("data/binlog.000002", b"\xfebin");
    place
}

#[test]
fn verify_of_a_data_directory() {
    let place = sample_server();
    let verify = |rest: &str| format!("verify DIR/{rest} {UNLOCK} --datadir DIR/data");
    check(
        "verify_shows_that_a_keyring_decrypts_a_data_directory",
        &place,
        &[
            &verify("main.keyring"),
            &verify("main.keyring --all-encrypted"),
            &verify("main.keyring --every-page --json"),
        ],
    );
    check(
        "verify_names_files_whose_key_is_missing_or_wrong",
        &place,
        &[&verify("less.keyring"), &verify("wrong.keyring")],
    );
    check(
        "verify_needs_one_keyring_and_files",
        &place,
        &[
            &format!("verify DIR/main.keyring DIR/less.keyring {UNLOCK}"),
            &verify("main.keyring DIR/less.keyring"),
            &verify("none.keyring"),
            &format!("verify DIR/main.keyring {UNLOCK} --datadir DIR/empty"),
            &format!("verify DIR/main.keyring {UNLOCK} --datadir DIR/gone"),
        ],
    );
    let mut table = fs::read(place.path("data/clinic/patients.ibd")).unwrap();
    table[100] ^= 1;
    place.write("data/clinic/patients.ibd", &table);
    check("verify_names_damaged_files", &place, &[&verify("main.keyring")]);

    // Anyone who can create files in the data directory must not control root's terminal.
    let name = |kind: &str| format!("data/clinic/{kind}\u{1b}[2J\u{9b}2J\u{202e}\nOK all.ibd");
    place.write(&name("table"), &table);
    std::os::unix::fs::symlink("/nowhere", place.path(&name("link"))).unwrap();
    place.write(&name("clear"), &[0; 7 * 4096]);
    let Ended { code, stdout, stderr } = place.run(&verify("main.keyring --all-encrypted"));
    assert_eq!(code, 1, "{stderr}");
    assert!(stdout.contains(r"table\x1b[2J\xc2\x9b2J\xe2\x80\xae\nOK all.ibd'"), "{stdout:?}");
    assert!(stdout.contains(r"link\x1b[2J"), "{stdout:?}");
    let hidden = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!format!("{stdout}{stderr}").contains(hidden), "{stdout:?}{stderr:?}");
    assert!(!stdout.contains("\nOK all"), "{stdout:?}");
}
