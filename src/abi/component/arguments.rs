// SPDX-License-Identifier: GPL-2.0-or-later
//! C strings from the server, as names and types of keys.

use crate::abi::pointers::c_bytes;
use crate::error::Result;
use crate::key::{KeyType, MAX_ID, MAX_TYPE, MAX_USER, NameRef};
use std::ffi::c_char;

/// # Safety
/// NULL or C strings.
pub(super) unsafe fn name<'a>(data_id: *const c_char, auth_id: *const c_char) -> Result<NameRef<'a>> {
    // SAFETY: promised by the caller.
    let (id, user) = unsafe { (c_bytes(data_id, MAX_ID), c_bytes(auth_id, MAX_USER)) };
    Ok(NameRef::new(id, user)?)
}

/// # Safety
/// NULL or a C string.
pub(super) unsafe fn key_type(key_type: *const c_char) -> Result<KeyType> {
    // SAFETY: promised by the caller.
    Ok(KeyType::new(unsafe { c_bytes(key_type, MAX_TYPE) })?)
}
