// SPDX-License-Identifier: GPL-2.0-or-later
//! Locks that keep others out, as SMB's do: who has opened a file for himself neither reads nor changes it while
//! another open file has its lock.

use fuser::{Errno, FileHandle, INodeNo};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the kernel calls giving a lock back.
const F_UNLCK: i32 = 2;

#[derive(Debug, Default)]
pub struct Locks {
    opened: AtomicU64,
    /// The files that are locked, and the open file that has each lock.
    held: Mutex<HashMap<INodeNo, FileHandle>>,
}

impl Locks {
    /// A number for a file that was opened, of its own.
    pub fn opened(&self) -> FileHandle {
        FileHandle(self.opened.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes a lock or gives it back, as flock asks for it without waiting.
    pub fn set(&self, node: INodeNo, handle: FileHandle, kind: i32) -> Result<(), Errno> {
        if kind == F_UNLCK {
            self.closed(node, handle);
            return Ok(());
        }
        let mut held = self.held.lock().unwrap();
        if *held.entry(node).or_insert(handle) == handle { Ok(()) } else { Err(Errno::EAGAIN) }
    }

    pub fn closed(&self, node: INodeNo, handle: FileHandle) {
        let mut held = self.held.lock().unwrap();
        if held.get(&node) == Some(&handle) {
            held.remove(&node);
        }
    }

    /// Whether that open file may be read and changed; one that was not named has no lock.
    pub fn check(&self, node: INodeNo, handle: Option<FileHandle>) -> Result<(), Errno> {
        match self.held.lock().unwrap().get(&node) {
            Some(holder) if Some(*holder) != handle => Err(Errno::EACCES),
            _ => Ok(()),
        }
    }
}
