// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyring_reader_with_status`: hands out one key. A reader holds a name and no key bytes, and no lock is held while one
//! is open. A key that was found is not searched for again unless it was removed or the keyring was read again.

use super::arguments::name;
use super::readers::{self, OpenedReader};
use crate::abi::guard::{Failed, guard};
use crate::abi::instance;
use crate::abi::level::Level;
use crate::abi::pointers::{Shared, put_bytes};
use crate::abi::services;
use crate::abi::sys::kx_keyring_reader;
use crate::error::{BadRequest, Error};
use crate::key::KeyError;
use std::ffi::{c_char, c_int, c_uchar, c_void};
use std::fmt::Display;
use std::ptr::null_mut;

pub(super) static SERVICE: Shared<kx_keyring_reader> = Shared::new(kx_keyring_reader {
    init: Some(init),
    deinit: Some(deinit),
    fetch_length: Some(fetch_length),
    fetch: Some(fetch),
});

unsafe extern "C" fn init(data_id: *const c_char, auth_id: *const c_char, reader: *mut *mut c_void) -> c_int {
    guard(|| {
        if reader.is_null() {
            return Err(Failed);
        }
        // SAFETY: not NULL, so it is the caller's variable.
        unsafe { *reader = null_mut() };
        // SAFETY: NULL or C strings.
        let name = match unsafe { name(data_id, auth_id) } {
            Ok(name) => name,
            // No key has such a name.
            Err(Error::BadRequest(BadRequest::Key(
                KeyError::EmptyId | KeyError::IdTooLong | KeyError::UserTooLong,
            ))) => {
                return instance::get().map(drop).ok_or(Failed);
            }
            Err(_) => return Err(Failed),
        };
        let refused = |why: &dyn Display| {
            services::log(Level::Error, &format!("Error while fetching key: {why}"));
            Err(Failed)
        };
        match readers::open(&name) {
            OpenedReader::Reader(handle) => {
                // SAFETY: as above.
                unsafe { *reader = handle };
                Ok(())
            }
            OpenedReader::NoKey => Ok(()),
            OpenedReader::NoKeyring => refused(&Error::BadRequest(BadRequest::Unavailable)),
            OpenedReader::TooMany => refused(&"too many readers are open"),
        }
    })
}

unsafe extern "C" fn deinit(reader: *mut c_void) -> c_int {
    guard(|| {
        readers::close(reader);
        Ok(())
    })
}

unsafe extern "C" fn fetch_length(
    reader: *mut c_void,
    data_size: *mut usize,
    type_size: *mut usize,
) -> c_int {
    guard(|| {
        if data_size.is_null() || type_size.is_null() {
            return Err(Failed);
        }
        let sizes = readers::lengths(reader).ok_or(Failed)?;
        // SAFETY: not NULL, so they are the caller's variables.
        unsafe { (*data_size, *type_size) = sizes };
        Ok(())
    })
}

unsafe extern "C" fn fetch(
    reader: *mut c_void,
    data: *mut c_uchar,
    data_room: usize,
    data_size: *mut usize,
    type_: *mut c_char,
    type_room: usize,
    type_size: *mut usize,
) -> c_int {
    guard(|| {
        if data.is_null() || type_.is_null() || data_size.is_null() || type_size.is_null() {
            return Err(Failed);
        }
        let done = readers::look(reader, |key| {
            let kind = key.key_type.bytes();
            if key.data.len() > data_room || kind.len() > type_room {
                return Err(Failed);
            }
            // SAFETY: the caller's buffers, whose room was compared; its variables are not NULL. Many callers leave no
            // room for a terminator behind the type.
            unsafe {
                put_bytes(data, key.data);
                put_bytes(type_.cast(), kind);
                if kind.len() < type_room {
                    *type_.add(kind.len()) = 0;
                }
                *data_size = key.data.len();
                *type_size = kind.len();
            }
            Ok(())
        });
        done.unwrap_or(Err(Failed))
    })
}
