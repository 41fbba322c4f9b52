// SPDX-License-Identifier: GPL-2.0-or-later
//! A lock for values that hardly ever have two users at a time. Locking and unlocking take one atomic exchange, where a
//! `Mutex` takes two.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

/// A value that one thread uses at a time, in cache lines of its own. A panic unlocks it.
#[repr(align(128))]
pub(super) struct Spin<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `value` is reached only through a `SpinGuard`, and only the thread that set `locked` has one.
unsafe impl<T: Send> Sync for Spin<T> {}

/// The value, while it is locked.
pub(super) struct SpinGuard<'a, T> {
    by: &'a Spin<T>,
}

impl<T> Spin<T> {
    /// Holds `value`, unlocked.
    pub(super) const fn new(value: T) -> Self {
        Self { locked: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// The value, unless another thread has it.
    pub(super) fn try_lock(&self) -> Option<SpinGuard<'_, T>> {
        let won = self.locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        // `then_some` would make a SpinGuard, and so unlock, where another thread has it.
        won.then(|| SpinGuard { by: self })
    }

    /// The value, once no other thread has it.
    pub(super) fn lock(&self) -> SpinGuard<'_, T> {
        loop {
            match self.try_lock() {
                Some(locked) => return locked,
                None => std::thread::yield_now(),
            }
        }
    }
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: there is no other SpinGuard of this value.
        unsafe { &*self.by.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.by.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    fn drop(&mut self) {
        self.by.locked.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_turns() {
        // A value that only one thread at a time can change without spoiling it.
        let shared = Spin::new(vec![0u32; 1]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5000 {
                        let mut value = shared.lock();
                        let n = value.pop().unwrap();
                        assert!(value.is_empty());
                        value.push(n + 1);
                    }
                });
            }
        });
        assert_eq!(*shared.lock(), [20_000]);
    }

    #[test]
    fn a_locked_value_is_not_to_be_had_and_a_panic_unlocks_it() {
        let shared = Spin::new(1);
        let locked = shared.lock();
        assert!(shared.try_lock().is_none());
        assert!(shared.try_lock().is_none(), "trying in vain does not unlock it");
        drop(locked);
        let panics = || {
            let _locked = shared.lock();
            panic!("on purpose");
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert!(shared.try_lock().is_some());
    }
}
