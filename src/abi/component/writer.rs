// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyring_writer`: stores and removes keys.

use super::arguments::{key_type, name};
use super::failure::logging;
use crate::abi::guard::guard;
use crate::abi::instance;
use crate::abi::level::Level;
use crate::abi::pointers::{Shared, bytes};
use crate::abi::services;
use crate::abi::sys::kx_keyring_writer;
use crate::error::BadRequest;
use crate::key::{KeyError, MAX_DATA};
use std::ffi::{c_char, c_int, c_uchar};

pub(super) static SERVICE: Shared<kx_keyring_writer> =
    Shared::new(kx_keyring_writer { store: Some(store), remove: Some(remove) });

unsafe extern "C" fn store(
    data_id: *const c_char,
    auth_id: *const c_char,
    data: *const c_uchar,
    size: usize,
    type_: *const c_char,
) -> c_int {
    guard(|| {
        logging("storing", || {
            // SAFETY: the server passes NULL or C strings, and `size` bytes at `data`.
            let (name, key_type, data) =
                unsafe { (name(data_id, auth_id)?, key_type(type_)?, bytes(data.cast(), size, MAX_DATA)) };
            if size == 0 {
                // keyring_udf's callers expect a success. For every reader, a key without bytes does not exist, so there
                // is nothing to keep.
                if instance::read(|keyring| Ok(keyring.fetch(&name, |_| ())))?.is_some() {
                    return Err(BadRequest::Exists { name: name.to_string() }.into());
                }
                services::log(Level::Note, &format!("key {name} has no bytes, so nothing was stored"));
                return Ok(());
            }
            let data = data.ok_or(if size > MAX_DATA { KeyError::KeyTooLong } else { KeyError::EmptyKey })?;
            instance::settle_and_change(|keyring| keyring.store(name, &key_type, data))
        })
    })
}

/// Fails if the key does not exist, as keyring_udf's callers expect.
unsafe extern "C" fn remove(data_id: *const c_char, auth_id: *const c_char) -> c_int {
    guard(|| {
        logging("removing", || {
            // SAFETY: the server passes NULL or C strings.
            let name = unsafe { name(data_id, auth_id)? };
            instance::settle_and_change(|keyring| keyring.remove(name))
        })
    })
}
