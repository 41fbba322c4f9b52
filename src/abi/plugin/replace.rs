// SPDX-License-Identifier: GPL-2.0-or-later
//! `SET GLOBAL keyring_external_data`: another keyring replaces the open one. The server calls a check function, whose
//! failure the client sees, and later an update function, which returns nothing and runs under a lock that new
//! connections need. So the check does all that can take long or fail.

use super::settings::{self, MAX_PATH};
use crate::abi::guard::{Failed, guard};
use crate::abi::instance;
use crate::abi::level::Level;
use crate::abi::pointers::c_bytes;
use crate::abi::services::{log, server_copy};
use crate::abi::sys::{kx_sysvar, kx_value};
use crate::config::Config;
use crate::error::{BadRequest, Error, Result};
use crate::keyring::Keyring;
use std::ffi::{c_char, c_int, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keyrings that were checked and are not in use yet, each with the path that it was opened from. Sessions set the
/// variable at the same time, and a statement leaves its keyring behind if the check of another variable fails.
static PENDING: Mutex<Vec<(Vec<u8>, Arc<Keyring>)>> = Mutex::new(Vec::new());

/// How many keyrings wait at most. One more makes the oldest go.
const MAX_PENDING: usize = 4;

fn pending() -> MutexGuard<'static, Vec<(Vec<u8>, Arc<Keyring>)>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a keyring that was opened from `path`, and forgets an earlier one.
fn keep(path: &[u8], keyring: Arc<Keyring>) {
    let mut pending = pending();
    pending.retain(|(of, _)| of != path);
    if pending.len() >= MAX_PENDING {
        pending.remove(0);
    }
    pending.push((path.to_vec(), keyring));
}

/// Takes the keyring that was opened from `path`.
fn take(path: &[u8]) -> Option<Arc<Keyring>> {
    let mut pending = pending();
    let at = pending.iter().position(|(of, _)| of == path)?;
    Some(pending.remove(at).1)
}

/// Forgets the keyrings that are not in use yet.
pub(super) fn forget_pending() {
    pending().clear();
}

/// Opens the keyring at a path, and refuses it if it cannot replace the open one.
pub(super) unsafe extern "C" fn check_data(
    _thd: *mut c_void,
    _var: *mut kx_sysvar,
    save: *mut c_void,
    value: *mut kx_value,
) -> c_int {
    guard(|| {
        // With a buffer that is too small for any string, the server returns a copy that lives as long as the statement.
        let mut buffer: [c_char; 1] = [0];
        let mut len: c_int = 1;
        // SAFETY: the server's value object, and a buffer of the given length.
        let text = unsafe {
            match (*value).val_str {
                Some(val_str) => val_str(value, buffer.as_mut_ptr(), &mut len),
                None => std::ptr::null(),
            }
        };
        // SAFETY: NULL or a C string.
        let path = unsafe { c_bytes(text, MAX_PATH) };
        logging(|| {
            // No keyring is created by the way.
            let config = Config { auto_create: false, ..settings::config_for(path)? };
            keep(path, instance::open_other(&config)?);
            Ok(())
        })?;
        // SAFETY: the server's place for the checked value of a string variable.
        unsafe { *save.cast::<*const c_char>() = text };
        Ok(())
    })
}

/// Puts the keyring that [`check_data`] has opened to use.
pub(super) unsafe extern "C" fn update_data(
    _thd: *mut c_void,
    _var: *mut kx_sysvar,
    target: *mut c_void,
    save: *const c_void,
) {
    guard(|| {
        // SAFETY: the server's variable and its own copy of the new value.
        unsafe { assign(target.cast(), save.cast(), use_pending) };
        Ok(())
    })
}

fn use_pending(path: &[u8]) -> Result<()> {
    // DEFAULT comes here without a check.
    let new = take(path).ok_or_else(|| {
        BadRequest::Config("keyring_external_data has no default: name the path of a keyring".to_owned())
    })?;
    // The setting may have changed since the keyring was opened.
    new.set_read_only(settings::read_only());
    instance::replace(&new)
}

/// Does `work`, and logs its failure.
fn logging(work: impl FnOnce() -> Result<()>) -> std::result::Result<(), Failed> {
    work().map_err(|e: Error| {
        log(
            Level::Error,
            &format!("cannot switch to the new keyring; the server keeps using the old one: {e}"),
        );
        Failed
    })
}

/// Assigns to a string variable with KX_VAR_MEMALLOC: what `save` holds if `change` succeeds with it, otherwise a copy of
/// the old text.
///
/// The server handed over a copy of its own in `save`, and frees the old text when this returns. So the new text is
/// assigned before anything else is done: even a panic must not leave the variable pointing to the old text. If the old
/// text is kept, the copy in `save` is leaked.
///
/// # Safety
/// `target` and `save` point to a C string or NULL each; `target` may be written to.
unsafe fn assign(
    target: *mut *mut c_char,
    save: *const *mut c_char,
    change: impl FnOnce(&[u8]) -> Result<()>,
) {
    // SAFETY: promised by the caller.
    let (old, new) = unsafe { (*target, *save) };
    // SAFETY: as above.
    unsafe { *target = new };
    let failed: bool = guard(|| {
        // SAFETY: NULL or a C string that stays until this function returns.
        logging(|| change(unsafe { c_bytes(new.cast_const(), MAX_PATH) }))
    });
    // SAFETY: NULL or a C string that stays until this function returns.
    if failed && let Some(copy) = server_copy(unsafe { c_bytes(old.cast_const(), MAX_PATH) }) {
        // SAFETY: promised by the caller.
        unsafe { *target = copy.as_ptr().cast() };
    }
}

#[cfg(test)]
#[path = "replace_tests.rs"]
mod tests;
