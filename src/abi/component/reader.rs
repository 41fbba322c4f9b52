// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyring_reader_with_status`: hands out one key. A reader holds a name and no key bytes, and no lock is
//! held while one is open.

use super::name;
use crate::abi::guard::guard;
use crate::abi::handles::Handles;
use crate::abi::instance;
use crate::abi::pointers::{Shared, put_bytes};
use crate::abi::services::{self, Level};
use crate::abi::sys::kx_keyring_reader;
use crate::error::Error;
use crate::key::{KeyError, KeyName};
use crate::keyring::Keyring;
use std::ffi::{c_char, c_int, c_uchar, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

pub(super) static SERVICE: Shared<kx_keyring_reader> = Shared::new(kx_keyring_reader {
    init: Some(init),
    deinit: Some(deinit),
    fetch_length: Some(fetch_length),
    fetch: Some(fetch),
});

/// The keyring that was in use when the reader was made, and the key's name.
type Reader = (Arc<Keyring>, KeyName);

static READERS: Handles<Reader> = Handles::new(0x5200_0000_0000);

unsafe extern "C" fn init(data_id: *const c_char, auth_id: *const c_char, reader: *mut *mut c_void) -> c_int {
    guard(1, || {
        if reader.is_null() {
            return 1;
        }
        // SAFETY: not NULL, so it is the caller's variable.
        unsafe { *reader = null_mut() };
        let Some(keyring) = instance::get() else {
            services::log(Level::Error, &format!("Error while fetching key: {}", Error::Unavailable));
            return 1;
        };
        // SAFETY: NULL or C strings.
        let name = match unsafe { name(data_id, auth_id) } {
            Ok(name) => name,
            // No key has such a name.
            Err(Error::Key(KeyError::EmptyId | KeyError::IdTooLong | KeyError::UserTooLong)) => return 0,
            Err(_) => return 1,
        };
        if keyring.fetch(&name, |_| ()).is_some() {
            let handle = READERS.open((keyring, name.to_owned()));
            // SAFETY: as above.
            unsafe { *reader = handle };
        }
        0
    })
}

unsafe extern "C" fn deinit(reader: *mut c_void) -> c_int {
    guard(1, || {
        READERS.close(reader);
        0
    })
}

/// What stands behind a handle, with the handle's own lock given back.
fn behind(reader: *mut c_void) -> Option<Reader> {
    READERS.with(reader, |(keyring, name)| (Arc::clone(keyring), name.clone()))
}

unsafe extern "C" fn fetch_length(
    reader: *mut c_void,
    data_size: *mut usize,
    type_size: *mut usize,
) -> c_int {
    guard(1, || {
        if data_size.is_null() || type_size.is_null() {
            return 1;
        }
        let sizes = behind(reader).and_then(|(keyring, name)| {
            keyring.fetch(&name.as_ref(), |key| (key.data.len(), key.key_type.bytes().len()))
        });
        let Some(sizes) = sizes else { return 1 };
        // SAFETY: not NULL, so they are the caller's variables.
        unsafe { (*data_size, *type_size) = sizes };
        0
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
    guard(1, || {
        if data.is_null() || type_.is_null() || data_size.is_null() || type_size.is_null() {
            return 1;
        }
        let done = behind(reader).and_then(|(keyring, name)| {
            keyring.fetch(&name.as_ref(), |key| {
                let kind = key.key_type.bytes();
                if key.data.len() > data_room || kind.len() > type_room {
                    return false;
                }
                // SAFETY: the caller's buffers, whose room was compared; its variables are not NULL. Many
                // callers give the type no room for a terminator.
                unsafe {
                    put_bytes(data, key.data);
                    put_bytes(type_.cast(), kind);
                    if kind.len() < type_room {
                        *type_.add(kind.len()) = 0;
                    }
                    *data_size = key.data.len();
                    *type_size = kind.len();
                }
                true
            })
        });
        super::success(done == Some(true))
    })
}
