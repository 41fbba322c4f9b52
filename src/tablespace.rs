// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads which master keys the files of an InnoDB data directory need, without a server.
//!
//! An encrypted file carries, in its first page (a redo file in its header), 3 bytes that name the
//! version of the encryption information (`lCA`, `lCB`, `lCC`), the number of the master key (4 bytes,
//! big-endian) and the UUID of the server that made it (36 characters): MySQL's
//! storage/innobase/os/os0enc.cc. The key's id in the keyring is made of both.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of the front of a file in which the information lies, whatever the page size.
const FRONT: u64 = 64 * 1024;
const MAGICS: [&[u8; 3]; 3] = [b"lCA", b"lCB", b"lCC"];
const UUID_LEN: usize = 36;
/// How deep below the data directory files are looked for: schemas are its directories.
const DEPTH: usize = 3;

/// The key ids that the files below `datadir` need, each with the files that need it.
///
/// # Errors
/// A directory or file that cannot be read.
pub fn master_keys(datadir: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut keys: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let mut directories = vec![(datadir.to_owned(), 0)];
    while let Some((directory, depth)) = directories.pop() {
        let told = |e| Error::io("read", &directory, e);
        for entry in std::fs::read_dir(&directory).map_err(told)? {
            let entry = entry.map_err(told)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(told)?);
            if kind.is_dir() && depth < DEPTH {
                directories.push((path, depth + 1));
            } else if kind.is_file() && is_innodb(&path) {
                let key = master_key_of(&path).map_err(|e| Error::io("read", &path, e))?;
                if let Some(key) = key {
                    keys.entry(key).or_default().push(path);
                }
            }
        }
    }
    keys.values_mut().for_each(|files| files.sort());
    Ok(keys)
}

/// Tablespaces (.ibd, .ibu), undo and system tablespaces, redo files.
fn is_innodb(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".ibd", ".ibu"].iter().any(|end| name.ends_with(end))
        || ["undo_", "ibdata", "#ib_redo", "ib_logfile"].iter().any(|start| name.starts_with(start))
}

/// The key id that a file needs; `None` for one that is not encrypted.
///
/// # Errors
/// A file that cannot be read.
pub fn master_key_of(path: &Path) -> io::Result<Option<String>> {
    let mut front = Vec::new();
    File::open(path)?.take(FRONT).read_to_end(&mut front)?;
    Ok(find_key_id(&front))
}

fn find_key_id(front: &[u8]) -> Option<String> {
    front.windows(3 + 4 + UUID_LEN).find_map(|window| {
        let (magic, rest) = window.split_first_chunk::<3>()?;
        let (number, uuid) = rest.split_first_chunk::<4>()?;
        let is_uuid = uuid
            .iter()
            .enumerate()
            .all(|(i, c)| if matches!(i, 8 | 13 | 18 | 23) { *c == b'-' } else { c.is_ascii_hexdigit() });
        (MAGICS.contains(&magic) && is_uuid)
            .then(|| format!("INNODBKey-{}-{}", String::from_utf8_lossy(uuid), u32::from_be_bytes(*number)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_is_found_and_nothing_else_taken_for_one() {
        let uuid = b"dd687905-e7cf-11f1-848c-02fc00000001";
        let mut page = vec![0; 20000];
        assert_eq!(find_key_id(&page), None);
        page[10390..10393].copy_from_slice(b"lCC");
        page[10393..10397].copy_from_slice(&7u32.to_be_bytes());
        assert_eq!(find_key_id(&page), None);
        page[10397..10433].copy_from_slice(uuid);
        assert_eq!(find_key_id(&page).unwrap(), "INNODBKey-dd687905-e7cf-11f1-848c-02fc00000001-7");
        page[10400] = b'x';
        assert_eq!(find_key_id(&page), None);
    }

    #[test]
    fn files_are_told_by_their_names() {
        for name in ["patients.ibd", "undo_001", "ibdata1", "#ib_redo12", "undo_002.ibu", "mysql.ibd"] {
            assert!(is_innodb(Path::new(name)), "{name}");
        }
        for name in ["binlog.000001", "auto.cnf", "keyring_external.witness", "patients.cfg"] {
            assert!(!is_innodb(Path::new(name)), "{name}");
        }
    }
}
