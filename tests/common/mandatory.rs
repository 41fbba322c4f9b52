// SPDX-License-Identifier: GPL-2.0-or-later
//! A filesystem on which a lock is not advice, as SMB's: who has opened a file for himself neither reads nor changes
//! it while another open file has its lock.

use keyring_external::store::file::fs::{Access, File, Fs, Lock, Meta};
use keyring_external::store::file::real::RealFs;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What the filesystem answers to those that have not the lock.
const EACCES: i32 = 13;

/// A file, by its device and number there, to the open file that has its lock.
type Locks = Arc<Mutex<HashMap<(u64, u64), usize>>>;

/// The system's files, with such locks.
#[derive(Debug, Default)]
pub struct Mandatory {
    locks: Locks,
    opened: AtomicUsize,
}

#[derive(Debug)]
struct Open {
    file: Box<dyn File>,
    number: usize,
    id: (u64, u64),
    locks: Locks,
}

impl Mandatory {
    fn opened(&self, file: Box<dyn File>) -> io::Result<Box<dyn File>> {
        let meta = file.meta()?;
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Open { file, number, id: (meta.dev, meta.ino), locks: Arc::clone(&self.locks) }))
    }
}

impl Fs for Mandatory {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>> {
        self.opened(RealFs.open(path, access)?)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.opened(RealFs.create_new(path)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename_new(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        RealFs.unlink(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.sync_dir(path)
    }

    fn meta(&self, path: &Path) -> io::Result<Meta> {
        RealFs.meta(path)
    }

    fn room_beside(&self, path: &Path, len: u64) -> io::Result<()> {
        RealFs.room_beside(path, len)
    }
}

impl Open {
    /// Runs `work` unless another open file has the lock; nobody gets it meanwhile.
    fn if_allowed<R>(&self, work: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        let locks = self.locks.lock().unwrap();
        match locks.get(&self.id) {
            Some(number) if *number != self.number => Err(io::Error::from_raw_os_error(EACCES)),
            _ => work(),
        }
    }
}

impl File for Open {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.if_allowed(|| self.file.read_at(buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.if_allowed(|| self.file.write_at(buf, offset))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.if_allowed(|| self.file.truncate(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn meta(&self) -> io::Result<Meta> {
        self.file.meta()
    }

    fn try_lock(&self) -> io::Result<Lock> {
        let holder = *self.locks.lock().unwrap().entry(self.id).or_insert(self.number);
        Ok(if holder == self.number { Lock::Taken } else { Lock::Held })
    }

    fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        self.file.set_owner(uid, gid)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut locks = self.locks.lock().unwrap();
        if locks.get(&self.id) == Some(&self.number) {
            locks.remove(&self.id);
        }
    }
}
