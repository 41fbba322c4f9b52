// SPDX-License-Identifier: GPL-2.0-or-later
//! Handles for what the server keeps between calls. A handle is a number, never an address, so that a
//! stale, foreign or doubly freed one is refused instead of followed.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The things behind the handles of one kind.
pub(super) struct Handles<T>(Mutex<Table<T>>);

struct Table<T> {
    last: usize,
    open: Option<HashMap<usize, T>>,
}

impl<T> Handles<T> {
    /// None yet. Handles begin behind `first`, which differs from kind to kind.
    pub const fn new(first: usize) -> Self {
        Self(Mutex::new(Table { last: first, open: None }))
    }

    fn table(&self) -> MutexGuard<'_, Table<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new handle for `thing`, never NULL and never one that was given out before.
    pub fn open(&self, thing: T) -> *mut c_void {
        let mut table = self.table();
        table.last += 1;
        let handle = table.last;
        table.open.get_or_insert_default().insert(handle, thing);
        std::ptr::without_provenance_mut(handle)
    }

    /// Works on the thing behind a handle; `None` when there is none.
    pub fn with<R>(&self, handle: *mut c_void, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.table().open.as_mut()?.get_mut(&handle.addr()).map(work)
    }

    /// Closes a handle; one that is not open is left alone.
    pub fn close(&self, handle: *mut c_void) {
        let closed = self.table().open.as_mut().and_then(|open| open.remove(&handle.addr()));
        // Dropped outside the lock.
        drop(closed);
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.table().open.as_ref().map_or(0, HashMap::len)
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
