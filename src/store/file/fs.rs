// SPDX-License-Identifier: GPL-2.0-or-later
//! The file operations that a keyring needs. Tests implement them with a filesystem that fails, tears writes
//! and loses power.

use std::fmt::Debug;
use std::io;
use std::path::Path;

/// What a path names.
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

/// What the filesystem says about a path or an open file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// The kind of file.
    pub kind: FileKind,
    /// Permission bits (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The device that holds it.
    pub dev: u64,
    /// Its inode number on that device.
    pub ino: u64,
    /// Size in bytes.
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

/// The result of trying to take a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lock {
    /// The lock was taken.
    Taken,
    /// Another program holds it.
    Held,
    /// The volume does not support locks.
    NotSupported,
}

/// A filesystem.
pub trait Fs: Send + Sync + Debug {
    /// Opens an existing file. A symbolic link as the last component is an error (ELOOP). Opening a pipe does
    /// not block.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>>;
    /// Creates a file with mode 0600. It is an error if the path exists.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Renames `from` to `to` in the same directory, and replaces `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames `from` to `to` in the same directory. If `to` exists, even if it was created only a moment
    /// ago, it stays as it is, and the error is [`io::ErrorKind::AlreadyExists`].
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Returns the metadata of a path. Does not follow a symbolic link as the last component.
    fn meta(&self, path: &Path) -> io::Result<Meta>;
    /// Returns the metadata of a path, following symbolic links. The default suits filesystems without links.
    fn follow(&self, path: &Path) -> io::Result<Meta> {
        self.meta(path)
    }
    /// Checks whether a new file of about `len` bytes could be created beside `path` now. It is an error if
    /// the filesystem is mounted read-only or has less space. Not every filesystem can tell.
    fn room_beside(&self, path: &Path, len: u64) -> io::Result<()> {
        let _ = (path, len);
        Ok(())
    }
}

/// An open file.
pub trait File: Send + Sync + Debug {
    /// Reads at `offset` until `buf` is full or the file ends. Returns the number of bytes read.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf` at `offset`.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Truncates the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes written bytes and the size of the file durable.
    fn sync(&self) -> io::Result<()>;
    /// Returns the metadata of the open file.
    fn meta(&self) -> io::Result<Meta>;
    /// Takes the exclusive lock if nobody has it. It is released when the file is closed.
    fn try_lock(&self) -> io::Result<Lock>;
    /// Gives the file to another owner, which only root can do.
    fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()>;
}
