// SPDX-License-Identifier: GPL-2.0-or-later
//! The registry of the component's host, and when it must not be used: not outside init and deinit, and not on a thread
//! that another one waits for while it holds the registry's lock. 8.0 and 8.4 hold it while they call deinit.

use crate::abi::registry::Service;
use crate::abi::sys::kx_registry;
use std::cell::Cell;
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Where the host puts the registry before init.
pub(super) static REGISTRY: AtomicPtr<kx_registry> = AtomicPtr::new(null_mut());

/// Between init and deinit.
static STARTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// This thread does not use the registry.
    static LEFT_ALONE: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn start() {
    STARTED.store(true, Ordering::Release);
}

pub(super) fn stop() {
    STARTED.store(false, Ordering::Release);
}

/// Whether this library was loaded as a component, and deinit was not called.
pub(super) fn is_started() -> bool {
    STARTED.load(Ordering::Acquire)
}

/// From now on, this thread does not use the registry.
pub(in crate::abi) fn leave_alone() {
    LEFT_ALONE.set(true);
}

/// Does something during which this thread does not use the registry.
pub(in crate::abi) fn left_alone<R>(work: impl FnOnce() -> R) -> R {
    /// Sets back what was before, after a panic too.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            LEFT_ALONE.set(self.0);
        }
    }
    let _before = Before(LEFT_ALONE.replace(true));
    work()
}

/// Acquires a service; `None` if the host has none of that name, or the registry must not be used.
///
/// # Safety
/// `T` is the type of that service's table.
pub(super) unsafe fn service<T>(name: &CStr) -> Option<Service<'static, T>> {
    let registry = REGISTRY.load(Ordering::Acquire);
    if LEFT_ALONE.get() || registry.is_null() || !is_started() {
        return None;
    }
    // SAFETY: the host's table, which lives as long as the host; the caller promises the type.
    unsafe { Service::acquire(&*registry, name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_left_alone_during_the_work_only_even_if_it_panics() {
        assert!(left_alone(|| left_alone(|| LEFT_ALONE.get()) && LEFT_ALONE.get()));
        assert!(std::panic::catch_unwind(|| left_alone(|| panic!("on purpose"))).is_err());
        assert!(!LEFT_ALONE.get());
        leave_alone();
        left_alone(|| ());
        assert!(LEFT_ALONE.get());
        LEFT_ALONE.set(false);
    }
}
