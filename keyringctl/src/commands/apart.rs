// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies that are not separate: one file under two names, or two files on one filesystem.

use super::output::Output;
use super::stat::metadata;
use crate::error::Error;
use crate::show::{self, Shown};
use keyring_external::error::Refusal;
use keyring_external::store::places::is_remote;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether two paths lead to the same file, through links or because a directory is mounted twice.
pub(super) fn is_one_file(one: &Path, other: &Path) -> bool {
    fn file(path: &Path) -> Option<(u64, u64, Option<&OsStr>)> {
        match metadata(path) {
            Ok(m) => Some((m.dev(), m.ino(), None)),
            // The file does not exist yet: compare its directory and name.
            Err(e) if e.kind() == ErrorKind::NotFound => {
                metadata(path.parent()?).ok().map(|m| (m.dev(), m.ino(), path.file_name()))
            }
            Err(_) => None,
        }
    }
    let is_file = |path: &Path| !is_remote(path);
    one == other
        || is_file(one) && is_file(other) && file(one).is_some_and(|of_one| file(other) == Some(of_one))
}

/// The error if the path at `number` leads to the same file as an earlier path.
pub(super) fn same_as_earlier(paths: &[PathBuf], number: usize) -> Option<Error> {
    let path = paths.get(number)?;
    let other = paths.iter().take(number).find(|other| is_one_file(other, path))?;
    Some(if other == path {
        Error::Usage(format!("{} is named twice: it counts as one copy", path.shown()))
    } else {
        Refusal::OneFile { path: other.clone(), other: path.clone() }.into()
    })
}

/// The name of the remote that a copy is at.
pub(super) fn remote_of(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix('@')?.split('/').next()
}

/// The device number of the filesystem that a path is on, or would be on.
fn device(path: &Path) -> Option<u64> {
    if is_remote(path) {
        return None;
    }
    path.ancestors().find_map(|path| metadata(path).ok()).map(|m| m.dev())
}

/// Warnings about the copies, from number `from` on, that are on the same filesystem or at the same remote as an earlier
/// copy. `seen` converts
/// a path to the one to show.
pub(super) fn warnings(paths: &[PathBuf], from: usize, seen: impl Fn(&Path) -> PathBuf) -> Vec<String> {
    let shared = |(i, path): (usize, &PathBuf)| {
        if let Some(remote) = remote_of(path) {
            let other = paths.iter().take(i).find(|other| remote_of(other) == Some(remote))?;
            return Some(format!(
                "WARNING: {} and {} are at the same remote: if it fails, both are lost. Put each copy at a remote or on a \
                 volume of its own.",
                other.shown(),
                path.shown()
            ));
        }
        let other =
            paths.iter().take(i).find(|other| device(path).is_some_and(|d| device(other) == Some(d)))?;
        Some(format!(
            "WARNING: {} and {} are on the same filesystem: if it fails, both are lost. Put each copy on its own volume.",
            seen(other).shown(),
            seen(path).shown()
        ))
    };
    paths.iter().enumerate().skip(from).filter_map(shared).collect()
}

/// Where the files of a keyring are, or will be, as this process sees them.
#[derive(Clone, Copy)]
pub(super) struct Places<'p> {
    /// The copies, the keyring first.
    pub copies: &'p [PathBuf],
    /// The file with the unlock secret.
    pub secret: Option<&'p Path>,
    /// The data directory of the server that uses the keyring.
    pub datadir: Option<&'p Path>,
}

/// Warnings about files that are lost or stolen together: copies on one filesystem, the keyring beside the data, and the
/// secret beside either. `seen` converts a path to the one to show.
pub(super) fn doubts(places: Places<'_>, seen: impl Fn(&Path) -> PathBuf) -> Vec<String> {
    let mut all = warnings(places.copies, 0, &seen);
    if let Some(datadir) = places.datadir {
        let beside = places.copies.iter().filter(|copy| is_beside(datadir, std::slice::from_ref(copy)));
        all.extend(beside.map(|copy| {
            format!(
                "WARNING: {} is on the same filesystem as the data directory {}: anyone who takes that disk has both. \
                 Put the keyring on a volume of its own.",
                seen(copy).shown(),
                seen(datadir).shown()
            )
        }));
        if let Some(secret) = places.secret.filter(|secret| real(secret).starts_with(real(datadir))) {
            all.push(format!(
                "WARNING: the unlock secret {} is in the data directory {}: every copy and backup of that directory has \
                 it. Keep the secret elsewhere on the server, such as in /etc/mysql.",
                seen(secret).shown(),
                seen(datadir).shown()
            ));
        }
    }
    if let Some(secret) = places.secret.filter(|secret| is_beside(secret, places.copies)) {
        all.push(format!(
            "WARNING: {} is on the same filesystem as the keyring: anyone who takes that volume has both. Keep the \
             secret on the server.",
            seen(secret).shown()
        ));
    }
    all
}

/// Whether a path is on the filesystem of one of the copies.
pub(super) fn is_beside(path: &Path, copies: &[PathBuf]) -> bool {
    device(path).is_some_and(|of_path| copies.iter().any(|copy| device(copy) == Some(of_path)))
}

/// A path without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let existing = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    existing.map_or_else(
        || path.to_owned(),
        |(above, real)| path.strip_prefix(above).map_or_else(|_| real.clone(), |rest| real.join(rest)),
    )
}

/// Prints the warnings: with the text, or on standard error beside a JSON document.
pub(super) fn warn(paths: &[PathBuf], from: usize, out: &mut Output) {
    warn_of(&warnings(paths, from, Path::to_owned), out);
}

/// As [`warn`], these warnings.
pub(super) fn warn_of(warnings: &[String], out: &mut Output) {
    for warning in warnings {
        if out.is_json() {
            show::warn(warning);
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
        // First while the file does not exist, then when it does.
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
    fn copies_at_one_remote_get_a_warning_and_are_never_files() {
        let at = |names: &[&str]| {
            warnings(&names.iter().map(PathBuf::from).collect::<Vec<_>>(), 0, Path::to_owned)
        };
        assert!(at(&["@a/db1", "@b/db1", "/proc/k"]).is_empty());
        let told = at(&["@a/db1", "/proc/k", "@a/db2"]);
        assert!(told.len() == 1 && told[0].contains("@a/db1 and @a/db2 are at the same remote"), "{told:?}");
        assert!(is_one_file(Path::new("@a/x"), Path::new("@a/x")));
        assert!(!is_one_file(Path::new("@a/x"), Path::new("@a/y")));
    }

    #[test]
    fn copies_on_one_filesystem_get_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a/keys/k"), dir.path().join("b/keys/k"));
        let shared = warnings(&[a.clone(), "/proc/k".into(), b], 0, Path::to_owned);
        assert!(shared.len() == 1 && shared[0].contains(&a.display().to_string()), "{shared:?}");
        assert!(warnings(&[a, "/proc/k".into()], 0, Path::to_owned).is_empty());
    }
}
