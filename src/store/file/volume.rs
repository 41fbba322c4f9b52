// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules for the path of a keyring (invariants 4 and 5). Each has a message of its own, and nothing is
//! created or changed on disk.

use super::fs::{FileKind, Fs, Meta};
use super::own_directory;
use super::real;
use crate::error::{BadRequest, Error, Refusal, Result};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// Any access to a file by others than its owner.
const OTHERS_ANY: u32 = 0o077;
/// Read or write access to a directory by others than its owner.
const OTHERS_READ_WRITE: u32 = 0o066;

/// The directory that holds `path`.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

fn name_of(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

/// The path of a new version of a file, until it is renamed over the old one. After an interruption a file
/// may remain there. If the copy itself is missing then, because the filesystem's rename is not atomic, that
/// file is intact and holds the keyring.
pub fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".new");
    name.into()
}

/// Returns [`Refusal::Missing`] if `e` says that nothing is at `path`, otherwise the I/O error.
pub fn missing_or(fs: &dyn Fs, path: &Path, doing: &'static str, e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::Refusal(Refusal::Missing { path: path.to_owned(), found: describe_missing(fs, path) })
        }
        _ => Error::io(doing, path, e),
    }
}

/// Describes why a file is missing: which directory exists, and whether a volume is mounted there.
fn describe_missing(fs: &dyn Fs, path: &Path) -> String {
    let dir = directory_of(path);
    let Some((there, meta)) = dir.ancestors().find_map(|a| fs.meta(a).ok().map(|m| (a, m))) else {
        return format!("the directory {} does not exist", dir.display());
    };
    let mount =
        there.ancestors().take_while(|a| fs.meta(a).is_ok_and(|m| m.dev == meta.dev)).last().unwrap_or(there);
    let volume = if mount == Path::new("/") {
        "no volume is mounted there".to_owned()
    } else {
        format!("the volume mounted at {} does not have it", mount.display())
    };
    let temporary = temporary_of(path);
    if fs.meta(&temporary).is_ok() {
        let t = temporary.display();
        format!(
            "an interrupted write left {t}, which may be the only copy: if `keyringctl verify {t}` finds it intact, rename it to {}",
            path.display()
        )
    } else if there == dir {
        format!("directory {} exists, but the file does not, and {volume}", dir.display())
    } else {
        format!("directory {} does not exist, and {volume}", dir.display())
    }
}

/// Checks a keyring file and its directory.
///
/// # Errors
/// [`Refusal::Missing`], [`Refusal::NotAFile`], [`Refusal::Exposed`], [`Refusal::Owner`].
pub fn check_file(fs: &dyn Fs, path: &Path) -> Result<Meta> {
    let meta = fs.meta(path).map_err(|e| missing_or(fs, path, "look at", e))?;
    let not_a_file = |kind| Error::Refusal(Refusal::NotAFile { path: path.to_owned(), kind });
    match meta.kind {
        FileKind::File => {}
        FileKind::Directory => return Err(not_a_file("a directory")),
        FileKind::Link => return Err(not_a_file("a symbolic link")),
        FileKind::Other => return Err(not_a_file("a device, pipe or socket")),
    }
    if meta.mode & OTHERS_ANY != 0 {
        return Err(Refusal::Exposed { path: path.to_owned(), mode: meta.mode, fix: "0600" }.into());
    }
    check_owner(path, &meta)?;
    check_directory(fs, path)?;
    Ok(meta)
}

/// Checks the directory of a keyring file: only its owner can read or write it, and the owner is this user or
/// root.
///
/// # Errors
/// [`Refusal::Missing`], [`Refusal::Exposed`], [`Refusal::Owner`], [`Refusal::SharedDirectory`].
pub fn check_directory(fs: &dyn Fs, path: &Path) -> Result<()> {
    let dir = directory_of(path);
    let meta = fs.follow(dir).map_err(|e| missing_or(fs, path, "look at", e))?;
    let checked = if meta.mode & OTHERS_READ_WRITE == 0 {
        check_owner(dir, &meta)
    } else {
        Err(Refusal::Exposed { path: dir.to_owned(), mode: meta.mode, fix: "0700" }.into())
    };
    checked.map_err(|e| if own_directory::is_own(dir, name_of(path)) { e } else { shared_directory(e, path) })
}

/// The refusal of a directory that is not for keyrings alone.
fn shared_directory(e: Error, path: &Path) -> Error {
    let wrong = match &e {
        Error::Refusal(Refusal::Exposed { mode, .. }) => format!("is open to other users (mode {mode:04o})"),
        Error::Refusal(Refusal::Owner { owner, user, .. }) => {
            format!("belongs to user id {owner}, but this program runs as user id {user}")
        }
        _ => return e,
    };
    Error::Refusal(Refusal::SharedDirectory {
        path: directory_of(path).to_owned(),
        wrong,
        create: own_directory::create_command(directory_of(path)),
        instead: own_directory::below(directory_of(path)).join(name_of(path)),
    })
}

/// Returns the metadata of the directory of `path`. Its owner will own a new file there.
///
/// # Errors
/// [`Refusal::Missing`]; I/O errors.
pub fn directory_meta(fs: &dyn Fs, path: &Path) -> Result<Meta> {
    fs.follow(directory_of(path)).map_err(|e| missing_or(fs, path, "look at", e))
}

fn check_owner(path: &Path, meta: &Meta) -> Result<()> {
    let user = real::effective_user();
    if user == 0 || meta.uid == 0 || meta.uid == user {
        return Ok(());
    }
    Err(Error::Refusal(Refusal::Owner { path: path.to_owned(), owner: meta.uid, user }))
}

/// Refuses a path on the filesystem of the data directory.
///
/// # Errors
/// [`BadRequest::SameDevice`]; [`Refusal::Missing`] if the directory of the keyring does not exist.
pub(crate) fn check_device(fs: &dyn Fs, path: &Path, datadir: &Path) -> Result<()> {
    let ours = fs.follow(directory_of(path)).map_err(|e| missing_or(fs, path, "look at", e))?;
    let theirs = fs.follow(datadir).map_err(|e| Error::io("look at", datadir, e))?;
    if ours.dev == theirs.dev {
        return Err(BadRequest::SameDevice { path: path.to_owned(), datadir: PathBuf::from(datadir) }.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::real::RealFs;
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn private_dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        chmod(dir.path(), 0o700);
        dir
    }

    fn file(dir: &Path, mode: u32) -> PathBuf {
        let path = dir.join("keyring");
        std::fs::write(&path, b"x").unwrap();
        chmod(&path, mode);
        path
    }

    #[test]
    fn a_private_file_in_a_private_directory_passes() {
        let dir = private_dir();
        assert_eq!(check_file(&RealFs, &file(dir.path(), 0o600)).unwrap().len, 1);
    }

    #[test]
    fn a_file_or_directory_open_to_others_is_refused() {
        let dir = private_dir();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610] {
            let path = file(dir.path(), mode);
            let e = check_file(&RealFs, &path).unwrap_err();
            assert!(
                matches!(&e, Error::Refusal(Refusal::Exposed { path: p, fix: "0600", .. }) if *p == path),
                "{e}"
            );
        }
        let path = file(dir.path(), 0o600);
        for mode in [0o770, 0o707, 0o750] {
            chmod(dir.path(), mode);
            let e = check_file(&RealFs, &path).unwrap_err();
            assert!(
                matches!(&e, Error::Refusal(Refusal::Exposed { path: p, fix: "0700", .. }) if p == dir.path()),
                "{e}"
            );
        }
        chmod(dir.path(), 0o711);
        assert!(check_file(&RealFs, &path).is_ok());
        // Others have files here too, so its mode must stay.
        chmod(dir.path(), 0o1777);
        let e = check_file(&RealFs, &path).unwrap_err().to_string();
        let own = dir.path().join("keys");
        assert!(
            e.contains(&format!("-m 0700 {}", own.display())) || e.contains(&format!(" {}`", own.display())),
            "{e}"
        );
        assert!(!e.contains("chmod"), "{e}");
    }

    #[test]
    fn links_directories_and_pipes_are_refused() {
        let dir = private_dir();
        let target = file(dir.path(), 0o600);
        let link = dir.path().join("link");
        symlink(&target, &link).unwrap();
        let e = check_file(&RealFs, &link).unwrap_err();
        assert!(matches!(e, Error::Refusal(Refusal::NotAFile { kind: "a symbolic link", .. })), "{e}");
        let e = check_file(&RealFs, dir.path()).unwrap_err();
        assert!(matches!(e, Error::Refusal(Refusal::NotAFile { kind: "a directory", .. })), "{e}");
        let e = check_file(&RealFs, Path::new("/dev/null")).unwrap_err();
        assert!(matches!(e, Error::Refusal(Refusal::NotAFile { .. })), "{e}");
    }

    #[test]
    fn a_missing_file_error_says_what_exists() {
        let dir = private_dir();
        let path = dir.path().join("gone/deeper/keyring");
        let text = check_file(&RealFs, &path).unwrap_err().to_string();
        assert!(text.contains(&path.display().to_string()), "{text}");
        assert!(text.contains("gone/deeper does not exist"), "{text}");
        let text = check_file(&RealFs, &dir.path().join("keyring")).unwrap_err().to_string();
        assert!(text.contains("exists, but the file does not"), "{text}");
    }

    #[test]
    fn a_leftover_of_an_interrupted_write_is_named() {
        let dir = private_dir();
        let path = dir.path().join("keyring");
        std::fs::write(temporary_of(&path), b"x").unwrap();
        let text = check_file(&RealFs, &path).unwrap_err().to_string();
        assert!(text.contains("keyring.new` finds it intact, rename it"), "{text}");
    }

    #[test]
    fn the_datadirs_own_filesystem_is_refused() {
        let dir = private_dir();
        let e = check_device(&RealFs, &dir.path().join("keyring"), dir.path()).unwrap_err();
        assert!(matches!(e, Error::BadRequest(BadRequest::SameDevice { .. })), "{e}");
        assert!(check_device(&RealFs, Path::new("/proc/keyring"), dir.path()).is_ok());
    }
}
