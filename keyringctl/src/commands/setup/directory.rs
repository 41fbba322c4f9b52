// SPDX-License-Identifier: GPL-2.0-or-later
//! Creates the directory of a keyring, in a parent that may belong to another user.

use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::store::file::real::effective_user;
use keyring_external::store::file::volume::directory_of;
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::path::Path;

/// Creates a directory for a keyring with mode 0700. Its parent must exist.
///
/// The parent may belong to another user, as below /media, who could replace the new directory. So root changes the owner
/// of the directory that it has open, not of whatever the path leads to by then.
pub(super) fn create_directory(path: &Path, owner: Option<(u32, u32)>) -> Result<()> {
    create_directory_and(path, owner, Mode::RWXU, || {})
}

/// Creates a directory for an audit log, which the owner's group may read.
pub(super) fn create_log_directory(path: &Path, owner: Option<(u32, u32)>) -> Result<()> {
    create_directory_and(path, owner, Mode::RWXU | Mode::RGRP | Mode::XGRP, || {})
}

/// As [`create_directory`]; calls `created` before the directory is opened, for tests.
fn create_directory_and(
    path: &Path,
    owner: Option<(u32, u32)>,
    mode: Mode,
    created: impl FnOnce(),
) -> Result<()> {
    let failed = |e: Errno| Error::io("create", path, e.into());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(directory_of(path), flags, Mode::empty()).map_err(failed)?;
    let name = path.file_name().ok_or(Errno::INVAL).map_err(failed)?;
    rustix::fs::mkdirat(&parent, name, Mode::RWXU).map_err(failed)?;
    created();
    let dir = match rustix::fs::openat(&parent, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(dir) if rustix::fs::fstat(&dir).map_err(failed)?.st_uid == effective_user() => dir,
        Ok(_) | Err(Errno::LOOP | Errno::NOTDIR | Errno::NOENT) => {
            return Err(Error::Usage(format!(
                "{} was replaced while it was created: another user can write to {}. The owner of the replacement was \
                 not changed. Find out who that user is (ls -la), or create the directory yourself, then run setup again",
                path.shown(),
                directory_of(path).shown()
            )));
        }
        Err(e) => return Err(failed(e)),
    };
    let finish = || {
        // The umask may have taken bits away.
        rustix::fs::fchmod(&dir, mode)?;
        if let Some((uid, gid)) = owner {
            rustix::fs::fchown(&dir, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        rustix::fs::fsync(&dir)?;
        rustix::fs::fsync(&parent)
    };
    finish().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn a_directory_is_created_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        create_directory(&keys, None).unwrap();
        assert_eq!(fs::symlink_metadata(&keys).unwrap().mode() & 0o7777, 0o700);
        assert!(create_directory(&keys, None).is_err(), "an existing directory is not changed");
    }

    #[test]
    fn a_directory_that_is_replaced_while_it_is_created_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (keys, target) = (dir.path().join("keys"), dir.path().join("target"));
        fs::create_dir(&target).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
        // Only root can change the owner; user 1 owns nothing here.
        let owner = (effective_user() == 0).then_some((1, 1));
        let before = fs::metadata(&target).map(|m| (m.mode(), m.uid(), m.gid())).unwrap();
        let swapped = create_directory_and(&keys, owner, Mode::RWXU, || {
            fs::rename(&keys, dir.path().join("aside")).unwrap();
            std::os::unix::fs::symlink(&target, &keys).unwrap();
        });
        let message = swapped.unwrap_err().to_string();
        assert!(message.contains("was replaced while it was created"), "{message}");
        assert!(message.contains("keys"), "{message}");
        assert_eq!(fs::metadata(&target).map(|m| (m.mode(), m.uid(), m.gid())).unwrap(), before);
        let aside = fs::metadata(dir.path().join("aside")).unwrap();
        assert_eq!(aside.uid(), effective_user(), "the owner of the new directory did not change either");
    }

    #[test]
    fn another_users_directory_is_not_taken_for_the_new_one() {
        if effective_user() != 0 {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (keys, other) = (dir.path().join("keys"), dir.path().join("other"));
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::chown(&other, Some(7), Some(7)).unwrap();
        let swapped = create_directory_and(&keys, Some((1, 1)), Mode::RWXU, || {
            fs::remove_dir(&keys).unwrap();
            fs::rename(&other, &keys).unwrap();
        });
        assert!(swapped.is_err());
        assert_eq!(fs::metadata(&keys).unwrap().uid(), 7);
    }
}
