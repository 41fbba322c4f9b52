// SPDX-License-Identifier: GPL-2.0-or-later
//! Files and texts that an administrator writes: the component's configuration, unlock sources, recovery keys, shares, option files.

use keyring_external::config::{MAX_COPIES, MAX_WAIT, file};
use keyring_external::custodians::{Custodians, Share};
use keyring_external::recovery::RecoveryKey;
use keyring_external::unlock::UnlockSource;
use keyringctl::server::{ConnectOptions, OptionFiles};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// Creates a directory, in memory if possible.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("there is a directory for temporary files")
}

fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("the directory takes a file");
    // The umask of the run may allow more.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its own file");
}

/// The configuration file beside the component and, after a NUL, the one in the data directory. The same bytes are also
/// parsed as an unlock source, as a recovery key, as a share and as numbers of custodians.
pub fn config(data: &[u8]) {
    let (component, datadir) = (scratch(), scratch());
    let mut parts = data.splitn(2, |byte| *byte == 0);
    put(&file::file_in(component.path()), parts.next().unwrap_or_default());
    put(&file::file_in(datadir.path()), parts.next().unwrap_or_default());
    for user in [0, 27] {
        match file::read(Some(component.path()), Some(datadir.path()), user) {
            Ok(config) => {
                assert!(config.path.is_absolute());
                assert!((1..=MAX_COPIES).contains(&config.min_copies) && config.wait <= MAX_WAIT);
                assert_eq!(config.datadir.as_deref(), Some(datadir.path()));
            }
            Err(e) => drop(e.to_string()),
        }
    }
    let text = String::from_utf8_lossy(data);
    match text.parse::<UnlockSource>() {
        Ok(source) => {
            let shown = source.to_string();
            assert!(text.starts_with(&shown) || matches!(source, UnlockSource::Command(_)), "{shown}");
        }
        Err(e) => drop(e.to_string()),
    }
    match RecoveryKey::parse(data) {
        Ok(key) => {
            let mut written = String::new();
            key.write_to(&mut written).expect("a string takes text");
            let again = RecoveryKey::parse(written.as_bytes()).expect("what was written is read");
            assert!(again.bytes() == key.bytes());
        }
        Err(e) => drop(e.to_string()),
    }
    match Share::parse(data) {
        Ok(share) => {
            let mut written = String::new();
            share.write_to(&mut written).expect("a string takes text");
            let again = Share::parse(written.as_bytes()).expect("what was written is read");
            assert!(again.is(&share) && (1..=share.custodians().shares()).contains(&share.number()));
        }
        Err(e) => drop(e.to_string()),
    }
    match text.parse::<Custodians>() {
        Ok(custodians) => assert_eq!(custodians.to_string().parse(), Ok(custodians)),
        Err(e) => drop(e),
    }
}

/// How many includes of a file are kept. More would take exponential time: files may include each other, eight levels deep.
const INCLUDES: usize = 2;

/// An option file and, after NULs, the files that it may include as `/more/0.cnf`, `/more/1.cnf` and so on.
pub fn option_file(data: &[u8]) {
    let root = scratch();
    let more = root.path().join("more");
    fs::create_dir(&more).expect("the directory takes another");
    let mut parts = data.splitn(4, |byte| *byte == 0);
    let main = root.path().join("my.cnf");
    put(&main, &tamed(parts.next().unwrap_or_default(), INCLUDES));
    for (n, part) in parts.enumerate() {
        put(&more.join(format!("{n}.cnf")), &tamed(part, INCLUDES));
    }
    match OptionFiles::read(&main, root.path()) {
        Ok(read) => {
            assert!(read.ignored.is_empty() && read.files.contains(&main));
            for entry in &read.entries {
                assert!(entry.line > 0 && !entry.name.contains('_'));
                let _ = entry.wrong("wrong").to_string();
            }
        }
        Err(e) => drop(e.to_string()),
    }
    put(&main, &tamed(data, 0));
    match ConnectOptions::from_file(&main) {
        Ok(options) => drop(format!("{options:?}")),
        Err(e) => drop(e.to_string()),
    }
}

/// Removes includes that lead out of the directory, and those after the first few.
fn tamed(text: &[u8], mut includes: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let tame = text.lines().filter(|line| {
        let Some(directive) = line.trim().strip_prefix('!') else { return true };
        let path = directive.split_once(char::is_whitespace).map_or("", |(_, path)| path.trim());
        let stays = path.starts_with('/') && !path.contains("..");
        let taken = stays && includes > 0;
        includes -= usize::from(taken);
        taken
    });
    tame.flat_map(|line| [line.as_bytes(), b"\n"]).flatten().copied().collect()
}
