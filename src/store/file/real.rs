// SPDX-License-Identifier: GPL-2.0-or-later
//! The operating system's files.

use super::fs::{Access, File, FileKind, Fs, Lock, Meta};
use rustix::fs::{
    Advice, AtFlags, CWD, FileType, FlockOperation, Gid, Mode, OFlags, RenameFlags, StatVfsMountFlags, Uid,
};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The filesystems of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

#[derive(Debug)]
struct RealFile(std::fs::File);

fn meta(stat: rustix::fs::Stat) -> Meta {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Link,
        _ => FileKind::Other,
    };
    Meta {
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        dev: stat.st_dev,
        ino: stat.st_ino,
        len: stat.st_size.max(0) as u64,
    }
}

fn file(fd: OwnedFd) -> Box<dyn File> {
    Box::new(RealFile(std::fs::File::from(fd)))
}

impl Fs for RealFs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>> {
        let access_flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
        };
        // NONBLOCK: a pipe in the file's place must not block the server.
        let flags = access_flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        if access == Access::Read {
            // Read from the volume, not from the page cache: the device may have died since. If the
            // filesystem cannot drop its cache, the cached bytes are read.
            let _ = rustix::fs::fadvise(&fd, 0, None, Advice::DontNeed);
        }
        Ok(file(fd))
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(file(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::rename(from, to)?)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rename_new(from, to)?)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlink(path)?)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let open =
            || rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        rustix::fs::fsync(open()?)?;
        // After XFS has shut down because its device is gone, it still reports success for the sync of a
        // directory, and the name is lost. But it does not let anything be opened.
        open()?;
        Ok(())
    }

    fn meta(&self, path: &Path) -> io::Result<Meta> {
        Ok(meta(rustix::fs::lstat(path)?))
    }

    fn follow(&self, path: &Path) -> io::Result<Meta> {
        Ok(meta(rustix::fs::stat(path)?))
    }

    fn room_beside(&self, path: &Path, len: u64) -> io::Result<()> {
        let told = rustix::fs::statvfs(path)?;
        if told.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(Errno::ROFS.into());
        }
        // Some filesystems report no blocks at all.
        if told.f_blocks > 0 && told.f_bavail.saturating_mul(told.f_frsize) < len {
            return Err(Errno::NOSPC.into());
        }
        Ok(())
    }
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            match self.0.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn meta(&self) -> io::Result<Meta> {
        Ok(meta(rustix::fs::fstat(&self.0)?))
    }

    fn try_lock(&self) -> io::Result<Lock> {
        match rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock::Taken),
            Err(Errno::WOULDBLOCK) => Ok(Lock::Held),
            Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => Ok(Lock::NotSupported),
            Err(e) => Err(e.into()),
        }
    }

    fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        Ok(rustix::fs::fchown(&self.0, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
    }
}

/// Renames `from` to `to` unless `to` exists: see [`Fs::rename_new`].
///
/// # Errors
/// [`Errno::EXIST`]; I/O errors.
pub fn rename_new(from: &Path, to: &Path) -> rustix::io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // NFS, CIFS and others do not support this flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        done => return done,
    }
    match link_new(from, to) {
        done @ (Ok(()) | Err(Errno::EXIST)) => done,
        // Some of them do not support hard links either, and report that with different errors.
        Err(_) => look_and_rename(from, to),
    }
}

/// As [`rename_new`], through a hard link.
fn link_new(from: &Path, to: &Path) -> rustix::io::Result<()> {
    rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty())?;
    // Filesystems that identify files by path (sshfs) show the link as another file, so the created file
    // would not be recognised.
    let number = |path| rustix::fs::lstat(path).map(|stat| (stat.st_dev, stat.st_ino));
    if number(from)? != number(to)? {
        rustix::fs::unlink(to)?;
        return Err(Errno::OPNOTSUPP);
    }
    // If this fails, no link may remain.
    rustix::fs::unlink(from).inspect_err(|_| {
        let _ = rustix::fs::unlink(to);
    })
}

/// As [`rename_new`], for filesystems that support nothing better. A file that is created between the check
/// and the rename is replaced.
fn look_and_rename(from: &Path, to: &Path) -> rustix::io::Result<()> {
    match rustix::fs::lstat(to) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => rustix::fs::rename(from, to),
        Err(e) => Err(e),
    }
}

/// The effective user id of this process.
pub fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_rename_refuses_to_replace_a_file() {
        type Way = fn(&Path, &Path) -> rustix::io::Result<()>;
        for way in [rename_new as Way, link_new, look_and_rename] {
            let dir = tempfile::tempdir().unwrap();
            let (from, to) = (dir.path().join("from"), dir.path().join("to"));
            std::fs::write(&from, "new").unwrap();
            std::fs::write(&to, "other").unwrap();
            assert_eq!(way(&from, &to).unwrap_err(), Errno::EXIST);
            assert_eq!(std::fs::read(&from).unwrap(), b"new");
            assert_eq!(std::fs::read(&to).unwrap(), b"other");
            std::fs::remove_file(&to).unwrap();
            way(&from, &to).unwrap();
            assert_eq!(std::fs::read(&to).unwrap(), b"new");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }
}
