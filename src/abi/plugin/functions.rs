// SPDX-License-Identifier: GPL-2.0-or-later
//! The seven functions of a keyring plugin. `true` is failure.

use crate::abi::guard::{Failed, guard};
use crate::abi::handles::Handles;
use crate::abi::instance;
use crate::abi::level::Level;
use crate::abi::pointers::{bytes, c_bytes, put_c_bytes};
use crate::abi::services::{log, server_copy, server_free};
use crate::error::{BadRequest, Error, Failure, Result};
use crate::key::{KeyError, KeyName, KeyType, MAX_DATA, MAX_ID, MAX_TYPE, MAX_USER, NameRef};
use std::ffi::{c_char, c_void};

/// The key types of a keyring plugin, compared byte for byte.
const TYPES: [&[u8]; 4] = [b"AES", b"RSA", b"DSA", b"SECRET"];

/// Open iterators, each with the names that there were when it was opened.
static ITERATORS: Handles<std::vec::IntoIter<KeyName>> = Handles::new(0x6b78_0000);

/// How many iterators the server has open.
pub(super) fn open_iterators() -> usize {
    ITERATORS.count()
}

/// Does `work`, and logs its failure as "Error while {doing} key: ...".
fn logging(doing: &str, work: impl FnOnce() -> Result<()>) -> std::result::Result<(), Failed> {
    work().map_err(|e| {
        log(Level::Error, &format!("Error while {doing} key: {e}"));
        Failed
    })
}

/// # Safety
/// NULL or C strings.
unsafe fn name<'a>(key_id: *const c_char, user_id: *const c_char) -> Result<NameRef<'a>> {
    // SAFETY: promised by the caller.
    let (id, user) = unsafe { (c_bytes(key_id, MAX_ID), c_bytes(user_id, MAX_USER)) };
    Ok(NameRef::new(id, user)?)
}

/// # Safety
/// NULL or a C string.
unsafe fn key_type(key_type: *const c_char) -> Result<KeyType> {
    // SAFETY: promised by the caller.
    let text = unsafe { c_bytes(key_type, MAX_TYPE) };
    if TYPES.contains(&text) { Ok(KeyType::new(text)?) } else { Err(KeyError::BadType.into()) }
}

pub(super) unsafe extern "C" fn store(
    id: *const c_char,
    type_: *const c_char,
    user: *const c_char,
    key: *const c_void,
    len: usize,
) -> bool {
    guard(|| {
        logging("storing", || {
            // SAFETY: the server passes NULL or C strings, and `len` bytes at `key`.
            let (name, key_type, data) =
                unsafe { (name(id, user)?, key_type(type_)?, bytes(key, len, MAX_DATA)) };
            let data = data.ok_or(if len > MAX_DATA { KeyError::KeyTooLong } else { KeyError::EmptyKey })?;
            instance::change(|keyring| keyring.store(name, &key_type, data))
        })
    })
}

pub(super) unsafe extern "C" fn generate(
    id: *const c_char,
    type_: *const c_char,
    user: *const c_char,
    len: usize,
) -> bool {
    guard(|| {
        logging("generating", || {
            // SAFETY: the server passes NULL or C strings.
            let (name, key_type) = unsafe { (name(id, user)?, key_type(type_)?) };
            instance::change(|keyring| keyring.generate(name, &key_type, len))
        })
    })
}

pub(super) unsafe extern "C" fn remove(id: *const c_char, user: *const c_char) -> bool {
    guard(|| {
        logging("removing", || {
            // SAFETY: the server passes NULL or C strings.
            let name = unsafe { name(id, user)? };
            instance::change(|keyring| keyring.remove(name))
        })
    })
}

pub(super) unsafe extern "C" fn fetch(
    id: *const c_char,
    type_out: *mut *mut c_char,
    user: *const c_char,
    key_out: *mut *mut c_void,
    len_out: *mut usize,
) -> bool {
    guard(|| {
        logging("fetching", || {
            if type_out.is_null() || key_out.is_null() || len_out.is_null() {
                return Err(
                    BadRequest::Config("the caller passed NULL as a place for the key".to_owned()).into()
                );
            }
            // SAFETY: not NULL, so they are the caller's variables. A key that does not exist is a success
            // with a NULL key.
            unsafe {
                *type_out = std::ptr::null_mut();
                *key_out = std::ptr::null_mut();
                *len_out = 0;
            }
            // SAFETY: the server passes NULL or C strings.
            let name = unsafe { name(id, user)? };
            let copies = instance::read(|keyring| {
                Ok(keyring.fetch(&name, |key| {
                    (server_copy(key.data), server_copy(key.key_type.bytes()), key.data.len())
                }))
            })?;
            match copies {
                None => Ok(()),
                Some((Some(key), Some(type_), len)) => {
                    // SAFETY: as above.
                    unsafe {
                        *type_out = type_.as_ptr().cast();
                        *key_out = key.as_ptr().cast();
                        *len_out = len;
                    }
                    Ok(())
                }
                Some((key, type_, _)) => {
                    for copy in [key, type_].into_iter().flatten() {
                        // SAFETY: just allocated there, and nobody has it.
                        unsafe { server_free(copy.as_ptr().cast()) };
                    }
                    Err(Error::Failure(Failure::System(std::io::ErrorKind::OutOfMemory.into())))
                }
            }
        })
    })
}

pub(super) unsafe extern "C" fn iterator_init(iterator: *mut *mut c_void) {
    guard(|| {
        if iterator.is_null() {
            return Err(Failed);
        }
        // SAFETY: not NULL, so it is the caller's variable.
        unsafe { *iterator = std::ptr::null_mut() };
        let handle = ITERATORS.open(instance::get().ok_or(Failed)?.names().into_iter());
        // SAFETY: as above.
        unsafe { *iterator = handle };
        Ok(())
    })
}

pub(super) unsafe extern "C" fn iterator_deinit(iterator: *mut c_void) {
    guard(|| {
        ITERATORS.close(iterator);
        Ok(())
    })
}

pub(super) unsafe extern "C" fn iterator_get_key(
    iterator: *mut c_void,
    id: *mut c_char,
    user: *mut c_char,
) -> bool {
    guard(|| {
        let key = ITERATORS.with(iterator, Iterator::next).flatten().ok_or(Failed)?;
        // SAFETY: the callers' buffers hold at least 64 bytes and, where a name can be longer, as much
        // as the longest name that a keyring takes (255 bytes and the terminator).
        unsafe {
            put_c_bytes(id, key.as_ref().id());
            put_c_bytes(user, key.as_ref().user());
        }
        Ok(())
    })
}

#[cfg(test)]
#[path = "functions_tests.rs"]
mod tests;
