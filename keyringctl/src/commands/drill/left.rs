// SPDX-License-Identifier: GPL-2.0-or-later
//! What drills that were killed have left. The kernel has released their lock, so that they are surely dead.
//!
//! A directory in `/var/tmp` may have been made by anybody, to look as if a drill had left it, with something in it that only
//! root can remove. Therefore root removes what another user has left with that user's rights alone.

use crate::host::accounts;
use crate::host::mounts::mounts;
use crate::show::{Shown, warn};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How the names of the directories of drills begin.
pub(super) const PREFIX: &str = "keyringctl-drill-";
/// A file in each of them, which is locked while the drill runs.
pub(super) const LOCK: &str = "lock";
/// How long the removal with the rights of another user may take, in seconds: that user can hold it up.
const LIMIT: &str = "300";

/// Who has left a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owner {
    /// A drill of this user. As root, also one whose directory belongs to the account of its server.
    This,
    /// A drill of another user, with this group.
    Other(u32, u32),
}

/// Removes what drills that were killed have left in a directory, and says so. Root does it for all users.
pub(super) fn remove_left(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_drill = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // It is locked until it is gone.
        let Some((_lock, owner)) = is_drill.then(|| dead(&path)).flatten() else { continue };
        let mounted = mounts_in(&path);
        let (removed, of) = match owner {
            _ if !mounted.is_empty() => (Err(is_mounted(&mounted)), String::new()),
            Owner::This => (fs::remove_dir_all(&path), String::new()),
            Owner::Other(uid, gid) => (remove_as(&path, uid, gid), format!(" of {}", user(uid))),
        };
        warn(match removed {
            Ok(()) => format!("removed {}, which a drill{of} that was killed has left", path.shown()),
            Err(e) => format!(
                "cannot remove {0}, which a drill{of} that was killed has left ({e}). Look what is in it, then remove it: rm -r --one-file-system {0}",
                path.shown()
            ),
        });
    }
}

/// The lock of a directory whose drill is dead, and whose drill it was. `None` if it is running, or if this user has no
/// business with it.
fn dead(path: &Path) -> Option<(File, Owner)> {
    let dir = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_dir)?;
    // What lies there may be a FIFO or a link.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let lock: File = rustix::fs::open(path.join(LOCK), flags, Mode::empty()).ok()?.into();
    let meta = lock.metadata().ok().filter(fs::Metadata::is_file)?;
    let this = rustix::process::geteuid().as_raw();
    let owner = match meta.uid() {
        // Root made the file; others can only have made their own.
        uid if uid == this => Owner::This,
        uid if this == 0 && uid == dir.uid() => Owner::Other(uid, dir.gid()),
        _ => return None,
    };
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some((lock, owner))
}

/// Removes a directory with the rights of another user: nothing is removed that they could not remove themselves, whatever
/// they put into it or exchange meanwhile.
fn remove_as(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", LIMIT, "setpriv"]);
    command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
    command.args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--"]);
    command.args(["rm", "-r", "-f", "--one-file-system", "--"]).arg(path);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let ended = command.status()?;
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        _ if ended.code() == Some(137) => {
            Err(io::Error::other(format!("it was not done after {LIMIT} seconds")))
        }
        _ => Err(io::Error::other(
            "with the rights of that user it cannot be: something in it belongs to another user, is closed to its owner, or \
             is being added",
        )),
    }
}

/// Where something is mounted in a directory, or on it. What is there may belong to anybody and be of any value.
fn mounts_in(path: &Path) -> Vec<PathBuf> {
    // Without /proc, nothing is known, and the kernel refuses only the last step.
    let Ok(mountinfo) = fs::read_to_string("/proc/self/mountinfo") else { return vec![path.to_owned()] };
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let points = mounts(&mountinfo, Path::new("/")).into_iter().map(|mount| mount.point);
    points.filter(|point| point.starts_with(&real)).collect()
}

fn is_mounted(points: &[PathBuf]) -> io::Error {
    let points: Vec<_> = points.iter().map(|point| point.shown().to_string()).collect();
    io::Error::other(format!("something is mounted there, unmount it first: umount {}", points.join(" ")))
}

fn user(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    accounts::name_of(&passwd, uid)
        .map_or_else(|| format!("user id {uid}"), |name| format!("user {}", name.shown()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::path::PathBuf;

    const OTHER: u32 = 4242;

    /// What a drill of a user has left: its directory, with data.
    fn left(base: &Path, name: &str, uid: u32) -> PathBuf {
        let path = base.join(format!("{PREFIX}{name}"));
        fs::create_dir_all(path.join("data/db")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        for part in ["lock", "data/db/t.ibd"] {
            fs::write(path.join(part), "").unwrap();
        }
        for part in ["", "lock", "data", "data/db", "data/db/t.ibd"] {
            chown(path.join(part), Some(uid), Some(uid)).unwrap();
        }
        path
    }

    fn base() -> Option<tempfile::TempDir> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can make what another user has left");
            return None;
        }
        let base = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        Some(base)
    }

    #[test]
    fn root_removes_what_dead_drills_of_all_users_have_left() {
        let Some(base) = base() else { return };
        let (own, other) = (left(base.path(), "a", 0), left(base.path(), "b", OTHER));
        let running = left(base.path(), "c", OTHER);
        let held = File::open(running.join(LOCK)).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        remove_left(base.path());
        assert!(!own.exists() && !other.exists() && running.join("data/db/t.ibd").exists());
        drop(held);
        // A command that another test starts holds all of this process's open files for an instant, with their locks.
        for _ in 0..1000 {
            remove_left(base.path());
            if !running.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("it is still there");
    }

    /// Root has mounted something in a leftover, or on one.
    #[test]
    fn what_is_mounted_in_a_leftover_stays() {
        const INNER: &str = "KX_TEST_OWN_MOUNTS";
        let Some(base) = base() else { return };
        let unshare = || {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "--"]);
            command
        };
        if std::env::var_os(INNER).is_none() {
            if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
                println!("skipped: no mount namespace can be made");
                return;
            }
            let this = "commands::drill::left::tests::what_is_mounted_in_a_leftover_stays";
            let mut command = unshare();
            command.arg(std::env::current_exe().unwrap()).args(["--exact", this, "--nocapture"]);
            let output = command.env(INNER, "1").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
            return;
        }
        let away = base.path().join("away");
        for (name, uid, on) in [("a", 0, "data/mnt"), ("b", OTHER, "data/mnt"), ("c", 0, "")] {
            fs::create_dir_all(&away).unwrap();
            for file in [LOCK, "precious"] {
                fs::write(away.join(file), "precious").unwrap();
                chown(away.join(file), Some(uid), Some(uid)).unwrap();
            }
            chown(&away, Some(uid), Some(uid)).unwrap();
            let path = left(base.path(), name, uid);
            fs::create_dir_all(path.join(on)).unwrap();
            let bind = |args: &[&str]| {
                let mut command = Command::new("mount");
                assert!(command.args(args).arg(&away).arg(path.join(on)).status().unwrap().success());
            };
            bind(&["--bind"]);
            remove_left(base.path());
            assert_eq!(fs::read(away.join("precious")).unwrap(), b"precious", "{name}");
            // As it is told.
            assert!(Command::new("umount").arg(path.join(on)).status().unwrap().success());
            remove_left(base.path());
            assert!(!path.exists(), "{name}");
            assert_eq!(fs::read(away.join("precious")).unwrap(), b"precious", "{name}");
        }
    }

    /// Somebody has planted what looks like a leftover.
    #[test]
    fn root_removes_nothing_that_its_owner_could_not() {
        let Some(base) = base() else { return };
        // Something of root's in it, in a directory of root's.
        let planted = left(base.path(), "a", OTHER);
        let of_root = planted.join("data/of-root");
        fs::create_dir(&of_root).unwrap();
        fs::write(of_root.join("file"), "precious").unwrap();
        // A link in it, and one in its place.
        let away = base.path().join("away");
        fs::create_dir(&away).unwrap();
        fs::write(away.join("file"), "precious").unwrap();
        let linking = left(base.path(), "b", OTHER);
        symlink(&away, linking.join("data/link")).unwrap();
        symlink(&away, base.path().join(format!("{PREFIX}c"))).unwrap();
        fs::write(away.join(LOCK), "").unwrap();
        chown(away.join(LOCK), Some(OTHER), Some(OTHER)).unwrap();
        // A directory of one user with the lock of another one, a link as a lock, and a FIFO.
        let mixed = left(base.path(), "d", OTHER);
        chown(mixed.join(LOCK), Some(OTHER + 1), None).unwrap();
        let linked = left(base.path(), "e", OTHER);
        fs::remove_file(linked.join(LOCK)).unwrap();
        symlink(away.join(LOCK), linked.join(LOCK)).unwrap();
        let fifo = left(base.path(), "f", OTHER);
        fs::remove_file(fifo.join(LOCK)).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            fifo.join(LOCK),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        remove_left(base.path());
        assert_eq!(fs::read(of_root.join("file")).unwrap(), b"precious");
        assert_eq!(fs::read(away.join("file")).unwrap(), b"precious");
        assert!(!linking.exists());
        for kept in [mixed, linked, fifo] {
            assert!(kept.join("data/db/t.ibd").exists(), "{}", kept.display());
        }
    }
}
