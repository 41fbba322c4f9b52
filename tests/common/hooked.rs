// SPDX-License-Identifier: GPL-2.0-or-later
//! A filesystem that tells a test of each operation before it does it: the test counts it, delays it, or lets it hang.

use keyring_external::store::file::fs::{Access, File, Fs, Lock, Meta};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Called with the name of an operation and its path.
pub type Hook = Arc<dyn Fn(&str, &Path) + Send + Sync>;

/// The filesystem.
pub struct Hooked {
    inner: Arc<dyn Fs>,
    hook: Hook,
}

struct HookedFile {
    inner: Box<dyn File>,
    path: PathBuf,
    hook: Hook,
}

impl Hooked {
    pub fn fs(inner: Arc<dyn Fs>, hook: impl Fn(&str, &Path) + Send + Sync + 'static) -> Arc<dyn Fs> {
        Arc::new(Self { inner, hook: Arc::new(hook) })
    }

    fn file(&self, path: &Path, inner: Box<dyn File>) -> Box<dyn File> {
        Box::new(HookedFile { inner, path: path.to_owned(), hook: Arc::clone(&self.hook) })
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hooked({:?})", self.inner)
    }
}

impl fmt::Debug for HookedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HookedFile({})", self.path.display())
    }
}

impl Fs for Hooked {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>> {
        (self.hook)(if access == Access::Read { "open" } else { "open to change" }, path);
        Ok(self.file(path, self.inner.open(path, access)?))
    }
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>> {
        (self.hook)("create", path);
        Ok(self.file(path, self.inner.create_new(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.hook)("rename", to);
        self.inner.rename(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.hook)("rename", to);
        self.inner.rename_new(from, to)
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        (self.hook)("unlink", path);
        self.inner.unlink(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        (self.hook)("sync directory", path);
        self.inner.sync_dir(path)
    }
    fn meta(&self, path: &Path) -> io::Result<Meta> {
        self.inner.meta(path)
    }
}

impl File for HookedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (self.hook)("read", &self.path);
        self.inner.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        (self.hook)("write", &self.path);
        self.inner.write_at(buf, offset)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        (self.hook)("cut", &self.path);
        self.inner.truncate(len)
    }
    fn sync(&self) -> io::Result<()> {
        (self.hook)("sync", &self.path);
        self.inner.sync()
    }
    fn meta(&self) -> io::Result<Meta> {
        self.inner.meta()
    }
    fn try_lock(&self) -> io::Result<Lock> {
        self.inner.try_lock()
    }
    fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        self.inner.set_owner(uid, gid)
    }
}
