// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl verify --datadir` on the files of MySQL's own test suite: data directories and exported tables that servers
//! from 5.7.25 to 8.4 wrote, on Linux, Windows, macOS and a big-endian machine, with their keyrings.

use super::verified::Verified;
use mysql_plugin_tests::rig::{Keyring, Volume, place, run, told};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Encrypted files, by archive: all of these must be opened, those of exported tables with the transfer key beside them.
const ENCRYPTED: &[(&str, usize)] = &[
    ("data_8021.zip", 1),
    ("import_8021.zip", 1),
    ("import2_8021.zip", 1),
    ("table_encrypted_32.zip", 1),
    ("table_encrypted_64.zip", 1),
    ("upgrade/data_encrypted_80016.zip", 1),
    ("upgrade/wl12261_upgrade_80012.zip", 4),
    ("upgrade/wl12261_upgrade_80013.zip", 5),
];

/// The ends of names of files in archives that are not checked, and why that is right.
const NOT_CHECKED: &[(&str, &str)] = &[
    (".sql", "a dump, which is in no data directory"),
    ("upgrade_schema.test", "a script of MySQL's test suite, which somebody left in the data directory"),
];

/// All archives and all plain files: no false alarm, and nothing skipped in silence.
pub fn std_data() {
    let std_data = place().test_suite().join("std_data");
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let scratch = tempfile::tempdir_in(&place().run).unwrap();
    let mut totals: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut count = |verified: &Verified| {
        for file in verified.files().into_values() {
            let word = |field: &str| file[field].as_str().unwrap().to_owned();
            *totals.entry((word("kind"), word("state"))).or_default() += 1;
        }
    };
    import_all(&keyring, &std_data);
    let archives = files_below(&std_data, "zip");
    assert!(archives.len() >= 40, "{archives:?}");
    for archive in &archives {
        let name = archive.strip_prefix(&std_data).unwrap().to_str().unwrap();
        let unpacked = scratch.path().join("unpacked");
        let unpack = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
        run(Command::new("python3").args(["-c", unpack]).arg(archive).arg(&unpacked));
        import_all(&keyring, &unpacked);
        let verified = verify_all(&keyring, &unpacked);
        count(&verified);
        assert_fine(name, &verified, |path| NOT_CHECKED.iter().any(|(end, _)| path.ends_with(end)));
        if let Some((_, encrypted)) = ENCRYPTED.iter().find(|(archive, _)| *archive == name) {
            assert_eq!(verified.in_state("opened").len(), *encrypted, "{name}: {:#}", verified.report);
        }
        fs::remove_dir_all(&unpacked).unwrap();
    }
    // The plain files are material for tests of all kinds: binary logs, tables of other engines, certificates, texts.
    let plain = verify_all(&keyring, &std_data);
    count(&plain);
    let data = ["ibd", "ibu", "MYD", "ARZ", "CSV", "cfp"];
    assert_fine("plain files", &plain, |path| {
        let extension = Path::new(path).extension().and_then(OsStr::to_str).unwrap_or_default();
        let is_log = extension.len() > 5 && extension.bytes().all(|b| b.is_ascii_digit());
        !data.contains(&extension) && !is_log
    });
    let opened: BTreeSet<_> = plain.in_state("opened");
    assert!(opened.contains(&std_data.join("rpl_nogtid_encryption_master-bin.000002")), "{opened:?}");
    for ((kind, state), files) in totals {
        eprintln!("{kind:<14} {state:<14} {files}");
    }
}

/// Imports every file of keyring_file below a directory.
fn import_all(keyring: &Keyring, directory: &Path) {
    for file in files_below(directory, "") {
        let is_keyring = fs::read(&file).is_ok_and(|bytes| bytes.starts_with(b"Keyring file version:"));
        if is_keyring {
            let args = ["import", "--from", "keyring_file"];
            let output = keyring.ctl_with(&args, [file.as_os_str(), keyring.path.as_os_str()]);
            assert!(output.status.success(), "{}: {}", file.display(), told(&output));
        }
    }
}

/// Returns the files below a directory with an extension.
fn files_below(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else if entry.path().extension().unwrap_or_default() == extension {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Verifies everything below a directory. The data directory in it, if there is one, must be whole.
fn verify_all(keyring: &Keyring, root: &Path) -> Verified {
    let dictionaries = files_below(root, "ibd").into_iter().filter(|path| path.ends_with("mysql.ibd"));
    let systems = files_below(root, "").into_iter().filter(|path| path.ends_with("ibdata1"));
    let datadir = dictionaries.chain(systems).next();
    let datadir = datadir.as_deref().and_then(Path::parent).unwrap_or(root);
    let args = [OsStr::new("--datadir"), datadir.as_os_str(), OsStr::new("--also"), root.as_os_str()];
    let output = keyring.ctl_with(&["verify"], [keyring.path.as_os_str()].into_iter().chain(args));
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{}: {e}: {}", root.display(), told(&output)));
    Verified { code: output.status.code(), report }
}

/// Asserts that there is no failure, except files that may be not checked.
fn assert_fine(name: &str, verified: &Verified, may_be_not_checked: impl Fn(&str) -> bool) {
    for state in ["key_missing", "wrong_key", "damaged", "unreadable"] {
        assert_eq!(verified.in_state(state), BTreeSet::new(), "{name}: {state}");
    }
    assert_eq!(verified.report["missing"], serde_json::json!([]), "{name}");
    let not_checked = verified.in_state("not_checked");
    let unexpected: Vec<_> =
        not_checked.iter().filter(|path| !may_be_not_checked(path.to_str().unwrap())).collect();
    assert!(unexpected.is_empty(), "{name}: {unexpected:?}");
    assert_eq!(verified.code, Some(i32::from(!not_checked.is_empty())), "{name}");
}
