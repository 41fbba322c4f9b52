// SPDX-License-Identifier: GPL-2.0-or-later
//! Handles for what the server keeps between calls. A handle is a number, never an address, so that a stale, foreign or
//! doubly freed handle is refused instead of followed.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The things behind the handles of one kind.
pub(super) struct Handles<T>(Mutex<OpenHandles<T>>);

struct OpenHandles<T> {
    /// The handle that was given out last.
    last: usize,
    things: Option<HashMap<usize, T>>,
}

impl<T> Handles<T> {
    /// None yet. All handles are larger than `first`, which is different for each kind.
    pub(super) const fn new(first: usize) -> Self {
        Self(Mutex::new(OpenHandles { last: first, things: None }))
    }

    fn lock(&self) -> MutexGuard<'_, OpenHandles<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new handle for `thing`, never NULL and never one that was given out before.
    pub(super) fn open(&self, thing: T) -> *mut c_void {
        let mut open = self.lock();
        open.last += 1;
        let handle = open.last;
        open.things.get_or_insert_default().insert(handle, thing);
        std::ptr::without_provenance_mut(handle)
    }

    /// Does `work` on the thing behind a handle; `None` if that is not open.
    pub(super) fn with<R>(&self, handle: *mut c_void, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.lock().things.as_mut()?.get_mut(&handle.addr()).map(work)
    }

    /// Closes a handle; one that is not open is left alone.
    pub(super) fn close(&self, handle: *mut c_void) {
        let closed = self.lock().things.as_mut().and_then(|things| things.remove(&handle.addr()));
        // Dropped after the lock was released.
        drop(closed);
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.lock().things.as_ref().map_or(0, HashMap::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_and_foreign_handles_are_refused() {
        let handles = Handles::new(1 << 20);
        let a = handles.open(1);
        let b = handles.open(2);
        assert!(!a.is_null() && a != b);
        assert_eq!(handles.with(a, |v| *v), Some(1));
        handles.close(a);
        handles.close(a);
        assert_eq!(handles.with(a, |v| *v), None);
        assert_eq!(handles.with(std::ptr::null_mut(), |v| *v), None);
        assert_eq!(handles.with(std::ptr::without_provenance_mut(usize::MAX), |v| *v), None);
        assert_eq!((handles.with(b, |v| *v), handles.count()), (Some(2), 1));
    }
}
