// SPDX-License-Identifier: GPL-2.0-or-later
//! A keyring that has all keys but one.

use super::kinds::{encrypting, make_kinds};
use super::verified::verify;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::Keyring as Open;
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Volume, run};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files of two servers, and of one of them before a rotation, in one directory, with a keyring that lacks one key.
/// Exactly the files that name this key are reported as "key missing", and as "wrong key" if the key has other bytes.
pub fn one_key_missing() {
    let all = Volume::directory();
    let files = all.mount_point().parent().unwrap().join("files");
    fs::create_dir(&files).unwrap();
    let copy = |from: &Path, to: &str| {
        run(Command::new("cp").args(["-a", "--sparse=always"]).arg(from).arg(files.join(to)))
    };
    // A rotation removes the old master key of binary logs once the existing files have the new one.
    let mut keyrings = Vec::new();
    for name in ["a", "b"] {
        let volume = Volume::directory();
        let keyring = Keyring::init(&volume);
        let host = encrypting(Host::new()).keyring(&keyring);
        let server = host.start();
        make_kinds(&server, &[]);
        server.stop();
        copy(&host.datadir(), &format!("{name}-before"));
        keyrings.push(keyring.open());
        if name == "a" {
            let server = host.start();
            server.sql(&format!("{ROTATE}; ALTER INSTANCE ROTATE BINLOG MASTER KEY; CREATE TABLE clinic.later (id INT) ENCRYPTION='Y'"));
            server.stop();
            copy(&host.datadir(), &format!("{name}-after"));
            keyrings.push(keyring.open());
        }
    }
    let needed = needed_by_tablespaces_and_binlogs(&files);
    let master_keys: BTreeSet<_> = needed.values().cloned().collect();
    eprintln!("{} files under {} master keys", needed.len(), master_keys.len());
    // Two of InnoDB and two of the binary logs of server a, one each of server b.
    assert_eq!(master_keys.len(), 6, "{master_keys:?}");

    let (whole, _volume) = merged(&keyrings, None, None);
    let verified = verify(&whole, &files, &[]);
    verified.assert_opened();
    for (path, key) in &needed {
        assert_eq!(verified.file(path)["key"], key.as_str(), "{}", path.display());
    }
    for key in &master_keys {
        let expected: BTreeSet<_> =
            needed.iter().filter(|(_, k)| *k == key).map(|(path, _)| path.clone()).collect();
        for (bytes, state) in [(None, "key_missing"), (Some([7; 32]), "wrong_key")] {
            let (keyring, _volume) = merged(&keyrings, Some(key), bytes);
            let verified = verify(&keyring, &files, &[]);
            assert_eq!(verified.code, Some(1), "without {key}");
            let is_log = |path: &PathBuf| path.to_string_lossy().contains("#i");
            let mut found = verified.in_state(state);
            found.retain(|path| !is_log(path));
            assert_eq!(found, expected, "{state} {key}");
            let mut others = verified.in_state("opened");
            others.retain(|path| !is_log(path));
            assert_eq!(others, needed.keys().filter(|path| !expected.contains(*path)).cloned().collect());
            // A redo log needs one master key, that of the file with the checkpoint.
            let logs = |state| {
                let logs = verified
                    .in_state(state)
                    .into_iter()
                    .filter(|path| path.to_string_lossy().contains("#ib_redo"));
                logs.map(|path| path.strip_prefix(&files).unwrap().iter().next().unwrap().to_owned())
                    .collect::<BTreeSet<_>>()
            };
            let (shut, open) = (logs(state), logs("opened"));
            assert_eq!(shut.intersection(&open).count(), 0, "{key}: {shut:?} {open:?}");
            assert_eq!(shut.len() + open.len(), 3);
            assert_eq!(shut.len(), usize::from(key.starts_with("INNODBKey")), "{key}: {shut:?}");
        }
    }
}

/// Returns the master key that each tablespace and binary log names, by searching the beginning of the file for its name.
fn needed_by_tablespaces_and_binlogs(files: &Path) -> BTreeMap<PathBuf, String> {
    let mut needed = BTreeMap::new();
    let mut directories = vec![files.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if !path.to_string_lossy().contains("#ib_") {
                needed.extend(name_of_key(&path).map(|key| (path, key)));
            }
        }
    }
    needed
}

fn name_of_key(path: &Path) -> Option<String> {
    let bytes = fs::read(path).unwrap();
    let front = &bytes[..bytes.len().min(65536)];
    let uuid = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes.get(..36)?).into_owned();
        (text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])).then_some(text)
    };
    if front.starts_with(b"\xfdbin") {
        let id = &front[7..][..usize::from(front[6])];
        return Some(String::from_utf8(id.to_vec()).unwrap());
    }
    front.windows(50).find_map(|window| {
        let number = u32::from_be_bytes(window[3..7].try_into().unwrap());
        (window.starts_with(b"lCC"))
            .then(|| uuid(&window[7..]))
            .flatten()
            .map(|uuid| format!("INNODBKey-{uuid}-{number}"))
    })
}

/// Creates a keyring with the keys of others, but without one of them, or with other bytes for it.
fn merged(keyrings: &[Open], without: Option<&String>, instead: Option<[u8; 32]>) -> (Keyring, Volume) {
    let volume = Volume::directory();
    let merged = Keyring::init(&volume);
    let open = merged.open();
    for keyring in keyrings {
        keyring.for_each(|key| {
            let is_the_one = without.is_some_and(|id| key.name.id() == id.as_bytes());
            if !is_the_one && open.fetch(&key.name, |_| ()).is_none() {
                open.store(key.name, key.key_type, key.data).unwrap();
            }
        });
    }
    if let (Some(id), Some(bytes)) = (without, instead) {
        let name = NameRef::new(id.as_bytes(), b"").unwrap();
        open.store(name, &KeyType::new(b"AES").unwrap(), &bytes).unwrap();
    }
    (merged, volume)
}
