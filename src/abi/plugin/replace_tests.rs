// SPDX-License-Identifier: GPL-2.0-or-later
//! A variable points to memory of its own, whether an assignment succeeds, fails or panics.

use super::*;
use crate::abi::services::MALLOC_SERVICE;
use crate::abi::sys::kx_malloc_service;
use std::ffi::c_uint;
use std::sync::atomic::Ordering;

/// The server's allocator. Nothing is freed here.
unsafe extern "C" fn malloc(_key: c_uint, size: usize, _flags: c_int) -> *mut c_void {
    Box::leak(vec![0u8; size].into_boxed_slice()).as_mut_ptr().cast()
}

static MALLOC: kx_malloc_service = kx_malloc_service {
    mysql_malloc: Some(malloc),
    mysql_realloc: None,
    mysql_claim: None,
    mysql_free: None,
    my_memdup: None,
    my_strdup: None,
    my_strndup: None,
};

/// Assigns as the server does, overwrites the old text afterwards, and returns the variable's text.
fn assigned(change: impl FnOnce(&[u8]) -> Result<()>) -> Vec<u8> {
    MALLOC_SERVICE.store((&raw const MALLOC).cast_mut(), Ordering::Release);
    let mut old = *b"/the/old/one\0";
    let new = c"/the/new/one".as_ptr().cast_mut();
    let mut target = old.as_mut_ptr().cast::<c_char>();
    // SAFETY: a variable, and C strings that outlive the call.
    unsafe { assign(&mut target, &new, change) };
    assert!(target != old.as_mut_ptr().cast(), "it points to what the server frees");
    old.fill(0x5a);
    // SAFETY: a C string that lives on.
    unsafe { c_bytes(target, MAX_PATH) }.to_vec()
}

#[test]
fn an_assignment_that_panics_leaves_a_copy_of_the_old_text() {
    assert_eq!(assigned(|_| panic!("on purpose")), b"/the/old/one");
}

#[test]
fn an_assignment_that_fails_leaves_a_copy_of_the_old_text() {
    assert_eq!(assigned(|_| Err(Error::BadRequest(BadRequest::Unavailable))), b"/the/old/one");
}

#[test]
fn an_assignment_that_succeeds_takes_the_new_text() {
    let given = |path: &[u8]| {
        assert_eq!(path, b"/the/new/one");
        Ok(())
    };
    assert_eq!(assigned(given), b"/the/new/one");
}
