// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyring_aes`: encrypts and decrypts with a key that never leaves the keyring.

use super::arguments::name;
use super::log;
use crate::abi::guard::{Failed, guard};
use crate::abi::instance;
use crate::abi::level::Level;
use crate::abi::pointers::{Shared, bytes, c_bytes, put_bytes};
use crate::abi::services;
use crate::abi::sys::kx_keyring_aes;
use crate::aes::{BLOCK, Cipher, MAX_INPUT, Mode};
use crate::error::{BadRequest, Error};
use crate::key::NameRef;
use std::ffi::{c_char, c_int, c_uchar};

/// Longer than the name of any mode.
const MAX_MODE: usize = 16;

pub(super) static SERVICE: Shared<kx_keyring_aes> =
    Shared::new(kx_keyring_aes { get_size: Some(get_size), encrypt: Some(encrypt), decrypt: Some(decrypt) });

/// # Safety
/// NULL or a C string.
unsafe fn mode(name: *const c_char, bits: usize) -> Option<Mode> {
    // SAFETY: promised by the caller.
    Mode::new(unsafe { c_bytes(name, MAX_MODE) }, bits)
}

unsafe extern "C" fn get_size(
    input_size: usize,
    mode_name: *const c_char,
    bits: usize,
    output_size: *mut usize,
) -> c_int {
    guard(|| {
        // SAFETY: NULL or a C string.
        let size = unsafe { mode(mode_name, bits) }.and_then(|mode| mode.size(input_size));
        let size = size.filter(|_| !output_size.is_null()).ok_or(Failed)?;
        // SAFETY: not NULL, so it is the caller's variable.
        unsafe { *output_size = size };
        Ok(())
    })
}

/// The cipher of a stored key; `None` if it cannot be used, and the log says why.
fn cipher(name: &NameRef<'_>) -> Option<Cipher> {
    let Some(keyring) = instance::get() else {
        services::log(Level::Error, &Error::BadRequest(BadRequest::Unavailable).to_string());
        return None;
    };
    let cipher = keyring
        .fetch(name, |key| key.key_type.bytes().eq_ignore_ascii_case(b"aes").then(|| Cipher::new(key.data)));
    match cipher {
        None => log::not_found(name),
        Some(None) => log::not_aes(name),
        Some(Some(cipher)) => return Some(cipher),
    }
    None
}

/// The arguments of an operation, as the server passes them.
struct Arguments {
    data_id: *const c_char,
    auth_id: *const c_char,
    mode: *const c_char,
    bits: usize,
    iv: *const c_uchar,
    input: *const c_uchar,
    input_size: usize,
    output: *mut c_uchar,
    output_room: usize,
    output_size: *mut usize,
}

/// Writes what `work` makes of the input to the output, all of it or nothing.
///
/// # Safety
/// Every pointer is NULL or the caller's, for the sizes given.
unsafe fn operate<B: AsRef<[u8]>>(
    doing: &str,
    a: &Arguments,
    work: impl FnOnce(&Cipher, Mode, &[u8; BLOCK], &[u8]) -> Result<B, crate::aes::AesError>,
) -> Result<(), Failed> {
    // SAFETY: promised by the caller.
    let (mode, name, iv, input) = unsafe {
        (
            mode(a.mode, a.bits),
            name(a.data_id, a.auth_id),
            bytes(a.iv.cast(), BLOCK, BLOCK).and_then(|iv| iv.first_chunk::<BLOCK>()),
            bytes(a.input.cast(), a.input_size, MAX_INPUT),
        )
    };
    let (Some(mode), Ok(name), Some(iv), Some(input)) = (mode, name, iv, input) else { return Err(Failed) };
    if a.output.is_null() || a.output_size.is_null() {
        return Err(Failed);
    }
    let cipher = cipher(&name).ok_or(Failed)?;
    let made = work(&cipher, mode, iv, input).map_err(|e| {
        services::log(Level::Note, &format!("Error while {doing} with key {name}: {e}"));
        Failed
    })?;
    let made = made.as_ref();
    if made.len() > a.output_room {
        return Err(Failed);
    }
    // SAFETY: the caller's buffer, whose room was compared, and its variable. The input is not used any more, so it may
    // be the same place.
    unsafe {
        put_bytes(a.output, made);
        *a.output_size = made.len();
    }
    Ok(())
}

unsafe extern "C" fn encrypt(
    data_id: *const c_char,
    auth_id: *const c_char,
    mode: *const c_char,
    bits: usize,
    iv: *const c_uchar,
    padding: c_uchar,
    input: *const c_uchar,
    input_size: usize,
    output: *mut c_uchar,
    output_room: usize,
    output_size: *mut usize,
) -> c_int {
    guard(|| {
        let a = Arguments {
            data_id,
            auth_id,
            mode,
            bits,
            iv,
            input,
            input_size,
            output,
            output_room,
            output_size,
        };
        // SAFETY: the server's pointers.
        unsafe { operate("encrypting", &a, |c, mode, iv, input| c.encrypt(mode, iv, padding != 0, input)) }
    })
}

unsafe extern "C" fn decrypt(
    data_id: *const c_char,
    auth_id: *const c_char,
    mode: *const c_char,
    bits: usize,
    iv: *const c_uchar,
    padding: c_uchar,
    input: *const c_uchar,
    input_size: usize,
    output: *mut c_uchar,
    output_room: usize,
    output_size: *mut usize,
) -> c_int {
    guard(|| {
        let a = Arguments {
            data_id,
            auth_id,
            mode,
            bits,
            iv,
            input,
            input_size,
            output,
            output_room,
            output_size,
        };
        // SAFETY: the server's pointers.
        unsafe { operate("decrypting", &a, |c, mode, iv, input| c.decrypt(mode, iv, padding != 0, input)) }
    })
}
