// SPDX-License-Identifier: GPL-2.0-or-later
//! Page checksums of every kind, as innochecksum writes and judges them.

use super::kinds::ROWS;
use super::verified::verify;
use mysql_plugin_tests::rig::{Host, Keyring, Volume, program, run};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Tables with pages of several kinds and sizes.
const TABLES: &[(&str, &str)] = &[
    ("plain", ""),
    ("zip1", "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=1"),
    ("zip4", "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4"),
    ("zip16", "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=16"),
    ("redundant", "ROW_FORMAT=REDUNDANT"),
];
/// Bytes of the first page that lie in different parts of it: the header, the descriptors, the unused rest.
const CHANGED: &[u64] = &[5, 20, 60, 200, 700];

/// Whatever checksum innochecksum has written into a copy of a file is right here too, and where it refuses a changed byte,
/// so does this.
pub fn as_innochecksum() {
    let innochecksum = program("innochecksum");
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.sql("CREATE DATABASE clinic");
    for (table, options) in TABLES {
        server.sql(&format!("CREATE TABLE clinic.{table} (id INT PRIMARY KEY, a LONGTEXT) {options}"));
        server.sql(&format!("INSERT {}", ROWS.replace("%s", table)));
    }
    server.stop();
    let copies = host.dir().join("copies");
    fs::create_dir(&copies).unwrap();
    let accepts = |file: &Path| {
        let mut command = Command::new(&innochecksum);
        // Only the first page, which is the one that is checked here in a file in clear.
        command.args(["--page=0"]).arg(file).output().unwrap().status.success()
    };
    let mut compared = 0;
    for (table, _) in TABLES {
        for algorithm in ["crc32", "innodb", "none"] {
            let copy = copies.join(format!("{table}_{algorithm}.ibd"));
            fs::copy(host.datadir().join(format!("clinic/{table}.ibd")), &copy).unwrap();
            run(Command::new(&innochecksum).arg("--no-check").arg(format!("--write={algorithm}")).arg(&copy));
            assert!(accepts(&copy), "{}", copy.display());
            let whole = fs::read(&copy).unwrap();
            for at in CHANGED {
                let changed = copies.join(format!("{table}_{algorithm}_{at}.ibd"));
                fs::write(&changed, &whole).unwrap();
                let file = fs::File::options().write(true).open(&changed).unwrap();
                file.write_all_at(&[whole[*at as usize] ^ 0x10], *at).unwrap();
                file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
            }
        }
    }
    let verified = verify(&keyring, &copies, &[]);
    for (path, file) in verified.files() {
        let damaged = file["state"] == "damaged";
        assert!(damaged || file["state"] == "not_encrypted", "{file:#}");
        if accepts(&path) {
            // A page without a checksum shows no damage, but it must still be the first page of a tablespace.
            let is_header = ["_5.ibd", "_60.ibd"].iter().any(|end| path.to_str().unwrap().ends_with(end));
            assert!(!damaged || is_header, "innochecksum accepts it: {file:#}");
        } else {
            assert!(damaged, "innochecksum refuses it: {file:#}");
        }
        compared += 1;
    }
    assert_eq!(compared, TABLES.len() * 3 * (1 + CHANGED.len()));
}
