// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyring_keys_metadata_iterator`: lists the names of all keys.

use super::cursor::Cursor;
use crate::abi::guard::{Failed, guard, guard_yes_no};
use crate::abi::handles::Handles;
use crate::abi::instance;
use crate::abi::pointers::{Shared, put_c_bytes};
use crate::abi::sys::kx_keyring_keys_metadata_iterator;
use crate::key::KeyName;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

pub(super) static SERVICE: Shared<kx_keyring_keys_metadata_iterator> =
    Shared::new(kx_keyring_keys_metadata_iterator {
        init: Some(init),
        deinit: Some(deinit),
        is_valid: Some(is_valid),
        next: Some(next),
        get_length: Some(get_length),
        get: Some(get),
    });

static ITERATORS: Handles<Cursor<KeyName>> = Handles::new(0x4900_0000_0000);

unsafe extern "C" fn init(iterator: *mut *mut c_void) -> c_int {
    guard(|| {
        if iterator.is_null() {
            return Err(Failed);
        }
        // SAFETY: not NULL, so it is the caller's variable.
        unsafe { *iterator = null_mut() };
        let keyring = instance::get().ok_or(Failed)?;
        let handle = ITERATORS.open(Cursor::new(keyring.names()));
        // SAFETY: as above.
        unsafe { *iterator = handle };
        Ok(())
    })
}

unsafe extern "C" fn deinit(iterator: *mut c_void) -> c_int {
    guard(|| {
        ITERATORS.close(iterator);
        Ok(())
    })
}

/// 1 if it is at a key.
unsafe extern "C" fn is_valid(iterator: *mut c_void) -> c_int {
    guard_yes_no(|| ITERATORS.with(iterator, |names| names.current().is_some()) == Some(true))
}

unsafe extern "C" fn next(iterator: *mut c_void) -> c_int {
    guard(|| ITERATORS.with(iterator, Cursor::step).flatten().ok_or(Failed))
}

fn current(iterator: *mut c_void) -> Result<KeyName, Failed> {
    ITERATORS.with(iterator, |names| names.current().cloned()).flatten().ok_or(Failed)
}

unsafe extern "C" fn get_length(
    iterator: *mut c_void,
    data_id_size: *mut usize,
    auth_id_size: *mut usize,
) -> c_int {
    guard(|| {
        let name = current(iterator)?;
        if data_id_size.is_null() || auth_id_size.is_null() {
            return Err(Failed);
        }
        // SAFETY: not NULL, so they are the caller's variables.
        unsafe {
            *data_id_size = name.as_ref().id().len();
            *auth_id_size = name.as_ref().user().len();
        }
        Ok(())
    })
}

unsafe extern "C" fn get(
    iterator: *mut c_void,
    data_id: *mut c_char,
    data_id_room: usize,
    auth_id: *mut c_char,
    auth_id_room: usize,
) -> c_int {
    guard(|| {
        let name = current(iterator)?;
        let (id, user) = (name.as_ref().id(), name.as_ref().user());
        // A shortened name would be another key's.
        if data_id.is_null() || auth_id.is_null() || id.len() >= data_id_room || user.len() >= auth_id_room {
            return Err(Failed);
        }
        // SAFETY: the caller's buffers, whose room was compared.
        unsafe {
            put_c_bytes(data_id, id);
            put_c_bytes(auth_id, user);
        }
        Ok(())
    })
}
