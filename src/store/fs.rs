// SPDX-License-Identifier: GPL-2.0-or-later
//! The file operations that a keyring needs, and no more: the seam at which tests put a filesystem
//! that fails, tears writes and loses power.

use std::fmt::Debug;
use std::io;
use std::path::Path;

/// What kind of thing a path names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, socket or pipe.
    Other,
}

/// What the filesystem says about a path; links are not followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The device it is on.
    pub dev: u64,
    /// Its number there.
    pub ino: u64,
    /// Bytes.
    pub len: u64,
}

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// To read.
    Read,
    /// To read and write.
    Write,
}

/// What came of taking a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lock {
    /// It is this file's now.
    Taken,
    /// Another program has it.
    Held,
    /// The volume has no locks.
    NotSupported,
}

/// A filesystem.
pub trait Fs: Send + Sync + Debug {
    /// Opens an existing file. A symbolic link as last component is an error (ELOOP); a pipe does not block.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>>;
    /// Makes a file with mode 0600 that must not exist yet.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Renames `from` over `to`, both in one directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames `from` to `to`, both in one directory, where there is nothing yet: what is there, though it came a moment
    /// ago, stays as it is, and the answer is [`io::ErrorKind::AlreadyExists`].
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Looks at a path without following a link in its last component.
    fn meta(&self, path: &Path) -> io::Result<Meta>;
    /// Looks at what a path leads to, through links. A filesystem without links need not say more than [`Fs::meta`].
    fn follow(&self, path: &Path) -> io::Result<Meta> {
        self.meta(path)
    }
    /// Whether a new version of a file, of about `len` bytes, could be made beside it now: an error when the
    /// filesystem is mounted read-only or has less room than that. Not every filesystem tells.
    fn room_beside(&self, path: &Path, len: u64) -> io::Result<()> {
        let _ = (path, len);
        Ok(())
    }
}

/// An open file.
pub trait File: Send + Sync + Debug {
    /// Reads at `offset` until `buf` is full or the file ends; returns the bytes read.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf` at `offset`.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes what was written durable, with the file's size.
    fn sync(&self) -> io::Result<()>;
    /// Looks at the open file.
    fn meta(&self) -> io::Result<Meta>;
    /// Takes the exclusive lock, if nobody has it. Held until the file is closed.
    fn try_lock(&self) -> io::Result<Lock>;
    /// Gives the file to another owner. Only root can.
    fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()>;
}
