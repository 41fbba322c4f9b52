// SPDX-License-Identifier: GPL-2.0-or-later
//! C pointers to Rust values and back.

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_void};
use std::sync::atomic::AtomicBool;

unsafe extern "C" {
    /// The C library's, which looks at many bytes at once.
    fn strnlen(text: *const c_char, max: usize) -> usize;
}

/// The bytes of a C string, without its terminator; none for NULL. Reads at most `max + 1` bytes: of a longer string it
/// returns that many, and the check of its length refuses them.
///
/// # Safety
/// `text` is NULL, or points to bytes that stay as they are during `'a` and are readable up to a
/// terminator or for `max + 1` bytes.
pub(super) unsafe fn c_bytes<'a>(text: *const c_char, max: usize) -> &'a [u8] {
    if text.is_null() {
        return &[];
    }
    // SAFETY: promised by the caller for the bytes up to the terminator, or for max + 1 bytes.
    unsafe { std::slice::from_raw_parts(text.cast(), strnlen(text, max + 1)) }
}

/// `len` bytes at `data`; `None` for NULL or for more than `max`.
///
/// # Safety
/// `data` is NULL, or points to `len` bytes that stay as they are during `'a` when `len <= max`.
pub(super) unsafe fn bytes<'a>(data: *const c_void, len: usize, max: usize) -> Option<&'a [u8]> {
    if data.is_null() || len > max {
        return None;
    }
    // SAFETY: promised by the caller.
    Some(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// Writes `text` and a terminator to `to`, unless that is NULL.
///
/// # Safety
/// `to` is NULL or has room for `text.len() + 1` bytes.
pub(super) unsafe fn put_c_bytes(to: *mut c_char, text: &[u8]) {
    if to.is_null() {
        return;
    }
    // SAFETY: the caller has the room, and Rust's slice is none of the server's memory.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), to.cast(), text.len());
        *to.add(text.len()) = 0;
    }
}

/// Writes `bytes` to `to`.
///
/// # Safety
/// `to` has room for them.
pub(super) unsafe fn put_bytes(to: *mut u8, bytes: &[u8]) {
    // SAFETY: the caller has the room, and Rust's slice is none of the server's memory.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
}

/// Static memory that the server reads and writes: variables, descriptors and defaults. It is never in a read-only
/// segment, where a write by the server would end the process.
#[repr(transparent)]
pub(super) struct Shared<T>(UnsafeCell<T>);

// SAFETY: the server orders its own accesses by its locks (LOCK_plugin, LOCK_global_system_variables). This library
// reads a value without an atomic only if nothing can write it meanwhile: because it is read-only once the plugin runs,
// or because it is read in init or under those locks. A value that may change, and that check functions read without a
// lock, is read and written through an atomic (`Shared::<bool>::flag`).
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Holds `value` at first.
    pub(super) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Its address.
    pub(super) const fn get(&self) -> *mut T {
        self.0.get()
    }
}

impl Shared<bool> {
    /// The value as an atomic, for accesses that no lock orders.
    pub(super) fn flag(&self) -> &AtomicBool {
        // SAFETY: static memory of a bool, which lives as long as `self`. This library changes it only through the atomic.
        // The server sets it before init. Later it reads it without an atomic, but under the lock under which it also
        // calls the update function that writes here.
        unsafe { AtomicBool::from_ptr(self.0.get()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn strings_are_bounded() {
        // SAFETY: C literals.
        unsafe {
            assert_eq!(c_bytes(std::ptr::null(), 5), b"");
            assert_eq!(c_bytes(c"abc".as_ptr(), 5), b"abc");
            assert_eq!(c_bytes(c"abcdef".as_ptr(), 5), b"abcdef");
            assert_eq!(c_bytes(c"abcdefgh".as_ptr(), 5), b"abcdef");
        }
    }

    #[test]
    fn data_is_bounded() {
        let data = [1u8, 2, 3];
        // SAFETY: three bytes are there.
        unsafe {
            assert_eq!(bytes(data.as_ptr().cast(), 3, 3), Some(&data[..]));
            assert_eq!(bytes(data.as_ptr().cast(), usize::MAX, 3), None);
            assert_eq!(bytes(std::ptr::null(), 3, 3), None);
        }
    }
    #[test]
    fn a_flag_is_the_value_that_the_server_sees() {
        let shared = Shared::new(false);
        shared.flag().store(true, Ordering::Relaxed);
        // SAFETY: nobody else has it.
        assert!(unsafe { *shared.get() });
        // SAFETY: as above.
        unsafe { *shared.get() = false };
        assert!(!shared.flag().load(Ordering::Relaxed));
    }
}
