// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a directory is for keyrings alone. Only then does a message propose to change its owner or mode: what is right
//! for a keyring's directory makes a system directory, a home directory or the root of a volume unusable for others.

use super::real::effective_user;
use crate::format::header::MAGIC;
use std::ffi::OsStr;
use std::fs::{self, DirEntry, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Directories in which volumes are mounted, and others whose entries are not for one program alone.
const SHARED: [&str; 8] = ["/", "/mnt", "/media", "/run/media", "/home", "/var/lib", "/var", "/usr"];
/// The name of the directory that is proposed instead.
const OWN: &str = "keys";

/// Whether the directory of a keyring file of this name is for keyrings alone: it is not the root of a volume, a home
/// directory or one of the system's, and nothing but keyrings is in it.
pub fn is_own(dir: &Path, name: &OsStr) -> bool {
    let Ok(dir) = fs::canonicalize(dir) else { return false };
    let Ok(meta) = fs::metadata(&dir) else { return false };
    let Some(above) = dir.parent() else { return false };
    let is_root_of_volume = fs::metadata(above).map_or(true, |above| above.dev() != meta.dev());
    // In a sticky directory such as /tmp, each user has files of its own.
    let is_sticky = meta.mode() & 0o1000 != 0;
    if is_root_of_volume || is_sticky || is_for_volumes(&dir) || is_home(&dir) {
        return false;
    }
    fs::read_dir(&dir)
        .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|entry| is_keyring(&entry, name))))
}

/// Whether volumes are mounted at such a path, such as `/mnt/a`, or the system keeps directories of its own there.
pub fn is_for_volumes(dir: &Path) -> bool {
    let Some(above) = dir.parent() else { return true };
    let is_shared = |dir: &Path| SHARED.iter().any(|shared| dir == Path::new(shared));
    // As in /media/USER/VOLUME.
    let is_users = ["/media", "/run/media"].iter().any(|m| above.parent() == Some(Path::new(m)));
    is_shared(dir) || is_shared(above) || is_users
}

/// Whether a directory is the home of an account.
pub fn is_home(dir: &Path) -> bool {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut homes = passwd.lines().filter_map(|line| line.split(':').nth(5)).filter(|home| home.len() > 1);
    homes.any(|home| Path::new(home) == dir) || dir == Path::new("/root")
}

/// The directory below this one that a keyring should have instead.
pub fn below(dir: &Path) -> PathBuf {
    dir.join(OWN)
}

/// The command that creates the directory of [`below`] for the user of this program.
pub(crate) fn create_command(dir: &Path) -> String {
    let dir = below(dir);
    match effective_user() {
        0 => format!("mkdir -m 0700 {}", dir.display()),
        user => format!("install -d -m 0700 -o {user} {}", dir.display()),
    }
}

/// Whether an entry of the directory is a keyring file, or belongs to the one of this name.
fn is_keyring(entry: &DirEntry, name: &OsStr) -> bool {
    let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
    let belongs = entry.file_name().as_encoded_bytes().starts_with(name.as_encoded_bytes());
    let begins_as_one = || {
        let mut start = [0; MAGIC.len()];
        let read = File::open(entry.path()).and_then(|mut file| file.read_exact(&mut start));
        read.is_ok() && start == *MAGIC
    };
    is_file && (belongs || begins_as_one())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn directories_of_the_system_are_not_a_keyrings_own() {
        for dir in [
            "/",
            "/tmp",
            "/etc",
            "/mnt",
            "/mnt/a",
            "/media/joe",
            "/media/joe/usb",
            "/root",
            "/proc",
            "/dev/shm",
        ] {
            assert!(!is_own(Path::new(dir), OsStr::new("main.keyring")), "{dir}");
        }
        assert!(is_for_volumes(Path::new("/mnt/a")) && is_for_volumes(Path::new("/media/joe/usb")));
        assert!(
            !is_for_volumes(Path::new("/mnt/a/keys")) && !is_for_volumes(Path::new("/media/joe/usb/keys"))
        );
    }

    #[test]
    fn a_directory_is_a_keyrings_own_while_nothing_else_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, name) = (dir.path(), OsStr::new("main.keyring"));
        assert!(is_own(path, name), "an empty one");
        for name in ["main.keyring", "main.keyring.new", "main.keyring.bak"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::write(dir.path().join("other"), MAGIC).unwrap();
        assert!(is_own(path, name));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(!is_own(path, name), "a sticky one");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.path().join("a photo"), "x").unwrap();
        assert!(!is_own(path, name));
        fs::remove_file(dir.path().join("a photo")).unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        assert!(!is_own(path, name));
        assert_eq!(below(path), path.join("keys"));
    }
}
