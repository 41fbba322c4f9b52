// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies that are no two copies: one file under two names, or two files that are lost together.

use super::output::Output;
use super::stat::metadata;
use crate::error::Error;
use keyring_external::error::Refusal;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether two paths lead to one file: by links, or because one directory is mounted twice.
pub(super) fn is_one_file(one: &Path, other: &Path) -> bool {
    fn file(path: &Path) -> Option<(u64, u64, Option<&OsStr>)> {
        match metadata(path) {
            Ok(m) => Some((m.dev(), m.ino(), None)),
            // Where there is nothing yet: the place in the directory.
            Err(e) if e.kind() == ErrorKind::NotFound => {
                metadata(path.parent()?).ok().map(|m| (m.dev(), m.ino(), path.file_name()))
            }
            Err(_) => None,
        }
    }
    one == other || file(one).is_some_and(|of_one| file(other) == Some(of_one))
}

/// The error when the path of that number leads to the file of one before it.
pub(super) fn same_before(paths: &[PathBuf], number: usize) -> Option<Error> {
    let path = paths.get(number)?;
    let other = paths.iter().take(number).find(|other| is_one_file(other, path))?;
    Some(if other == path {
        Error::Usage(format!("{} is named twice, and is one copy", path.display()))
    } else {
        Refusal::OneFile { path: other.clone(), other: path.clone() }.into()
    })
}

/// The filesystem that a path is on, or would be on, by its device's number.
fn device(path: &Path) -> Option<u64> {
    path.ancestors().find_map(|path| metadata(path).ok()).map(|m| m.dev())
}

/// A warning for each copy, from number `from` on, that is on the filesystem of one before it; `seen` says how a path
/// is shown.
pub(super) fn warnings(paths: &[PathBuf], from: usize, seen: impl Fn(&Path) -> PathBuf) -> Vec<String> {
    let shared = |(i, path): (usize, &PathBuf)| {
        let other =
            paths.iter().take(i).find(|other| device(path).is_some_and(|d| device(other) == Some(d)))?;
        Some(format!(
            "WARNING: {} and {} are on the same filesystem: they are lost together. Put the copies on volumes of \
             their own.",
            seen(other).display(),
            seen(path).display()
        ))
    };
    paths.iter().enumerate().skip(from).filter_map(shared).collect()
}

/// Shows the warnings, in whichever form the answer is printed.
pub(super) fn warn(paths: &[PathBuf], from: usize, out: &mut Output) {
    for warning in warnings(paths, from, Path::to_owned) {
        if out.is_json() {
            eprintln!("keyringctl: {warning}");
        }
        out.line(warning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn one_file_has_several_names() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("a")).unwrap();
        symlink(at("a"), at("link")).unwrap();
        // Also before it is there.
        for _ in 0..2 {
            assert!(is_one_file(&at("a/k"), &at("link/k")));
            assert!(!is_one_file(&at("a/k"), &at("link/other")));
            assert!(!is_one_file(&at("a/k"), &at("none/k")) && !is_one_file(&at("none/k"), &at("gone/k")));
            fs::write(at("a/k"), "").unwrap();
        }
        fs::hard_link(at("a/k"), at("a/other")).unwrap();
        assert!(is_one_file(&at("a/k"), &at("link/other")));
    }

    #[test]
    fn copies_on_one_filesystem_are_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a/keys/k"), dir.path().join("b/keys/k"));
        let told = warnings(&[a.clone(), "/proc/k".into(), b], 0, Path::to_owned);
        assert!(told.len() == 1 && told[0].contains(&a.display().to_string()), "{told:?}");
        assert!(warnings(&[a, "/proc/k".into()], 0, Path::to_owned).is_empty());
    }
}
