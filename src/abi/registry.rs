// SPDX-License-Identifier: GPL-2.0-or-later
//! Services from the server's registry: one is asked for by its name, used, and released.

use super::sys::kx_registry;
use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};

/// A service that was acquired. It is released when this value is dropped.
pub(super) struct Service<'a, T> {
    registry: &'a kx_registry,
    table: NonNull<c_void>,
    of: PhantomData<T>,
}

impl<'a, T> Service<'a, T> {
    /// Acquires a service; `None` if the registry has none of that name.
    ///
    /// # Safety
    /// `T` is the type of that service's table.
    pub(super) unsafe fn acquire(registry: &'a kx_registry, name: &CStr) -> Option<Self> {
        // Without this function, one that was acquired could not be released.
        registry.release?;
        let mut service: *mut c_void = null_mut();
        // SAFETY: the host's function, a C string and a place for the answer.
        if unsafe { registry.acquire?(name.as_ptr(), &mut service) } != 0 {
            return None;
        }
        Some(Self { registry, table: NonNull::new(service)?, of: PhantomData })
    }

    /// The service's functions.
    pub(super) fn table(&self) -> &T {
        // SAFETY: a service handle is the address of its table, which stays until it is released; the caller of `acquire`
        // has promised its type.
        unsafe { self.table.cast::<T>().as_ref() }
    }
}

impl<T> Drop for Service<'_, T> {
    fn drop(&mut self) {
        if let Some(release) = self.registry.release {
            // SAFETY: acquired from this registry, and not used any more.
            unsafe { release(self.table.as_ptr()) };
        }
    }
}
