// SPDX-License-Identifier: GPL-2.0-or-later
//! The operating system's files.

use super::fs::{Access, File, Fs, Kind, Meta};
use rustix::fs::{Advice, FileType, FlockOperation, Gid, Mode, OFlags, StatVfsMountFlags, Uid};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The operating system's filesystem.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

#[derive(Debug)]
struct RealFile(std::fs::File);

fn meta(stat: rustix::fs::Stat) -> Meta {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
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
            // What is on the volume counts, not what the system remembers of a device that has died since. A
            // filesystem that cannot forget is read as it is.
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

    fn unlink(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlink(path)?)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let open =
            || rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        rustix::fs::fsync(open()?)?;
        // XFS, when it has shut itself down (its device is gone), answers success to the sync of a
        // directory all the same, and the name is lost. It does not let anything be opened then.
        open()?;
        Ok(())
    }

    fn meta(&self, path: &Path) -> io::Result<Meta> {
        Ok(meta(rustix::fs::lstat(path)?))
    }

    fn room_beside(&self, path: &Path, len: u64) -> io::Result<()> {
        let told = rustix::fs::statvfs(path)?;
        if told.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(Errno::ROFS.into());
        }
        // Some filesystems know nothing of blocks.
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

    fn cut(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn meta(&self) -> io::Result<Meta> {
        Ok(meta(rustix::fs::fstat(&self.0)?))
    }

    fn try_lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            // A volume without locks: the comparison of the front before each write is left.
            Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => Ok(true),
            Err(e) => Err(e.into()),
        }
    }

    fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        Ok(rustix::fs::fchown(&self.0, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
    }
}

/// The user that this program runs as.
pub fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}
