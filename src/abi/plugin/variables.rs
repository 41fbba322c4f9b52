// SPDX-License-Identifier: GPL-2.0-or-later
//! The system variables. The server puts `keyring_external_` before their names.

use crate::abi::guard::{Failed, guard};
use crate::abi::instance;
use crate::abi::pointers::{Shared, c_bytes};
use crate::abi::services::{Level, log, server_copy};
use crate::abi::sys::{
    KX_VAR_BOOL, KX_VAR_INT, KX_VAR_MEMALLOC, KX_VAR_NOPERSIST, KX_VAR_READONLY, KX_VAR_STR, KX_VAR_UNSIGNED,
    kx_sysvar, kx_sysvar_bool, kx_sysvar_str, kx_sysvar_uint, kx_value,
};
use crate::config::{Config, MAX_COPIES, MAX_WAIT};
use crate::error::{BadRequest, Error, Result};
use crate::keyring::Keyring;
use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Longest path that a variable takes.
const MAX_PATH: usize = 4096;

// Not persistable: an early plugin is loaded before persisted values are known.
const STARTUP: u32 = KX_VAR_READONLY | KX_VAR_NOPERSIST;

type Update = unsafe extern "C" fn(*mut c_void, *mut kx_sysvar, *mut c_void, *const c_void);
type Check = unsafe extern "C" fn(*mut c_void, *mut kx_sysvar, *mut c_void, *mut kx_value) -> c_int;

const fn head(
    flags: u32,
    name: &CStr,
    comment: &CStr,
    check: Option<Check>,
    update: Option<Update>,
) -> kx_sysvar {
    kx_sysvar { flags: flags as c_int, name: name.as_ptr(), comment: comment.as_ptr(), check, update }
}

static DATA_VALUE: Shared<*mut c_char> = Shared::new(null_mut());
static DATA: Shared<kx_sysvar_str> = Shared::new(kx_sysvar_str {
    head: head(
        KX_VAR_STR | KX_VAR_MEMALLOC | KX_VAR_NOPERSIST,
        c"data",
        c"Path of the keyring file on its external volume",
        Some(check_data),
        Some(update_data),
    ),
    value: DATA_VALUE.get(),
    def_val: c"".as_ptr(),
});

static UNLOCK_VALUE: Shared<*mut c_char> = Shared::new(null_mut());
static UNLOCK: Shared<kx_sysvar_str> = Shared::new(kx_sysvar_str {
    head: head(
        KX_VAR_STR | KX_VAR_MEMALLOC | STARTUP,
        c"unlock",
        c"Where the unlock secret comes from: file:PATH, credential:NAME, env:NAME or command:PROGRAM ARGS",
        None,
        None,
    ),
    value: UNLOCK_VALUE.get(),
    def_val: c"".as_ptr(),
});

static MIRRORS_VALUE: Shared<*mut c_char> = Shared::new(null_mut());
static MIRRORS: Shared<kx_sysvar_str> = Shared::new(kx_sysvar_str {
    head: head(
        KX_VAR_STR | KX_VAR_MEMALLOC | STARTUP,
        c"mirrors",
        c"Paths of further copies of the keyring file on other volumes, separated by colons",
        None,
        None,
    ),
    value: MIRRORS_VALUE.get(),
    def_val: c"".as_ptr(),
});

static MIN_COPIES_VALUE: Shared<c_uint> = Shared::new(1);
static MIN_COPIES: Shared<kx_sysvar_uint> = Shared::new(kx_sysvar_uint {
    head: head(
        KX_VAR_INT | KX_VAR_UNSIGNED | STARTUP,
        c"min_copies",
        c"How many copies a new key must be durable on before it is acknowledged",
        None,
        None,
    ),
    value: MIN_COPIES_VALUE.get(),
    def_val: 1,
    min_val: 1,
    max_val: MAX_COPIES,
    blk_sz: 0,
});

static READ_ONLY_VALUE: Shared<bool> = Shared::new(false);
static READ_ONLY: Shared<kx_sysvar_bool> = Shared::new(kx_sysvar_bool {
    head: head(
        KX_VAR_BOOL | KX_VAR_NOPERSIST,
        c"read_only",
        c"Refuse to store, generate and remove keys",
        None,
        Some(update_read_only),
    ),
    value: READ_ONLY_VALUE.get(),
    def_val: false,
});

static SAME_DEVICE_VALUE: Shared<bool> = Shared::new(false);
static SAME_DEVICE: Shared<kx_sysvar_bool> = Shared::new(kx_sysvar_bool {
    head: head(
        KX_VAR_BOOL | STARTUP,
        c"allow_same_device",
        c"Allow the keyring on the filesystem of the data directory",
        None,
        None,
    ),
    value: SAME_DEVICE_VALUE.get(),
    def_val: false,
});

static AUTO_CREATE_VALUE: Shared<bool> = Shared::new(false);
static AUTO_CREATE: Shared<kx_sysvar_bool> = Shared::new(kx_sysvar_bool {
    head: head(
        KX_VAR_BOOL | STARTUP,
        c"auto_create",
        c"Make a new keyring where there is none (for tests and containers)",
        None,
        None,
    ),
    value: AUTO_CREATE_VALUE.get(),
    def_val: false,
});

static WAIT_VALUE: Shared<c_uint> = Shared::new(0);
static WAIT: Shared<kx_sysvar_uint> = Shared::new(kx_sysvar_uint {
    head: head(
        KX_VAR_INT | KX_VAR_UNSIGNED | STARTUP,
        c"wait",
        c"Seconds to wait at start for a volume that mounts late",
        None,
        None,
    ),
    value: WAIT_VALUE.get(),
    def_val: 0,
    min_val: 0,
    max_val: MAX_WAIT,
    blk_sz: 0,
});

/// The list that the descriptor names, ended by NULL.
pub(super) static VARS: Shared<[*mut kx_sysvar; 9]> = Shared::new([
    DATA.get().cast(),
    MIRRORS.get().cast(),
    MIN_COPIES.get().cast(),
    UNLOCK.get().cast(),
    READ_ONLY.get().cast(),
    SAME_DEVICE.get().cast(),
    AUTO_CREATE.get().cast(),
    WAIT.get().cast(),
    null_mut(),
]);

/// A copy of a variable's value, of one that does not change while the plugin runs.
fn value<T: Copy>(of: &Shared<T>) -> T {
    // SAFETY: the server fills the value before init. Afterwards it changes only that of `data`, in the update
    // function, which it calls for a plugin that is initialised; that one is read in init only. `read_only` changes
    // too and has a function of its own.
    unsafe { *of.get() }
}

/// The value of `read_only`. Check functions, which run without a lock, read it while an update may write it.
fn read_only() -> bool {
    READ_ONLY_VALUE.flag().load(Ordering::Relaxed)
}

/// Longest text of a variable that holds no path, or several.
const MAX_TEXT: usize = 65536;

fn text(of: &Shared<*mut c_char>, name: &str) -> Result<String> {
    // SAFETY: NULL or the server's C string, which stays: the variable does not change while the plugin runs.
    let bytes = unsafe { c_bytes(value(of).cast_const(), MAX_TEXT) };
    let wrong = |why| Error::BadRequest(BadRequest::Config(format!("keyring_external_{name} {why}")));
    if bytes.len() > MAX_TEXT {
        return Err(wrong("is too long"));
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| wrong("is not UTF-8"))
}

fn path(bytes: &[u8]) -> Result<PathBuf> {
    let path = PathBuf::from(OsStr::from_bytes(bytes));
    let wrong = match bytes.len() {
        0 => "is not set: give the path of the keyring file on its external volume",
        n if n > MAX_PATH => "is too long",
        _ if !path.is_absolute() => "must be an absolute path",
        _ => return Ok(path),
    };
    Err(Error::BadRequest(BadRequest::Config(format!("keyring_external_data {wrong}"))))
}

/// The configuration that the variables make.
pub(super) fn config() -> Result<Config> {
    // SAFETY: NULL or the server's C string, which stays until the next update; init is the only caller, before any.
    config_for(path(unsafe { c_bytes(value(&DATA_VALUE).cast_const(), MAX_PATH) })?)
}

fn config_for(path: PathBuf) -> Result<Config> {
    let unlock = text(&UNLOCK_VALUE, "unlock")?;
    if unlock.is_empty() {
        return Err(BadRequest::Config(
            "keyring_external_unlock is not set: name the source of the unlock secret, such as \
             file:/etc/mysql/keyring.secret"
                .to_owned(),
        )
        .into());
    }
    Ok(Config {
        path,
        mirrors: text(&MIRRORS_VALUE, "mirrors")?
            .split(':')
            .filter(|p| !p.is_empty())
            .map(PathBuf::from)
            .collect(),
        min_copies: value(&MIN_COPIES_VALUE),
        unlock: unlock.parse()?,
        read_only: read_only(),
        allow_same_device: value(&SAME_DEVICE_VALUE),
        auto_create: value(&AUTO_CREATE_VALUE),
        wait: value(&WAIT_VALUE),
        // mysqld changes into its data directory before it loads any plugin.
        datadir: std::env::current_dir().ok(),
    })
}

/// A keyring that `SET GLOBAL keyring_external_data` has opened and not yet put in place: the server
/// checks all assignments of a statement before it carries out any.
/// Each with the path that it was opened from, because sessions do this at the same time, and a statement
/// that fails later leaves its own behind.
static PENDING: Mutex<Vec<(Vec<u8>, Arc<Keyring>)>> = Mutex::new(Vec::new());

/// How many are kept that were opened and not put in place.
const MAX_PENDING: usize = 4;

fn pending() -> std::sync::MutexGuard<'static, Vec<(Vec<u8>, Arc<Keyring>)>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a keyring that was opened from `path`, in the place of an earlier one.
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

/// Forgets keyrings that were opened and never put in place.
pub(super) fn forget() {
    pending().clear();
}

unsafe extern "C" fn check_data(
    _thd: *mut c_void,
    _var: *mut kx_sysvar,
    save: *mut c_void,
    value: *mut kx_value,
) -> c_int {
    guard(|| {
        // With a buffer too small for any string, the server hands out a copy that lives as long as
        // the statement.
        let mut buffer: [c_char; 1] = [0];
        let mut len: c_int = 1;
        // SAFETY: the server's value object, and a buffer of the length told.
        let text = unsafe {
            match (*value).val_str {
                Some(val_str) => val_str(value, buffer.as_mut_ptr(), &mut len),
                None => std::ptr::null(),
            }
        };
        // SAFETY: NULL or a C string.
        let bytes = unsafe { c_bytes(text, MAX_PATH) };
        // A keyring is never made in passing.
        let config = path(bytes).and_then(config_for).map(|config| Config { auto_create: false, ..config });
        match config.and_then(|config| instance::open_other(&config)) {
            Ok(keyring) => {
                keep(bytes, keyring);
                // SAFETY: the server's place for the checked value of a string variable.
                unsafe { *save.cast::<*const c_char>() = text };
                Ok(())
            }
            Err(e) => {
                log(
                    Level::Error,
                    &format!("keyring_external_data was not changed, the keyring in use goes on: {e}"),
                );
                Err(Failed)
            }
        }
    })
}

unsafe extern "C" fn update_data(
    _thd: *mut c_void,
    _var: *mut kx_sysvar,
    target: *mut c_void,
    save: *const c_void,
) {
    guard(|| {
        // SAFETY: the server's variable and its own copy of the new value.
        unsafe { assign(target.cast(), save.cast(), put_in_place) };
        Ok(())
    })
}

/// Puts the keyring that `check_data` opened from `path` in the place of the one in use.
fn put_in_place(path: &[u8]) -> Result<()> {
    // DEFAULT comes here without a check.
    let new = take(path)
        .ok_or_else(|| Error::BadRequest(BadRequest::Config("it needs the path of a keyring".to_owned())))?;
    // It may have been changed since the keyring was opened.
    new.set_read_only(read_only());
    instance::replace(&new)
}

/// Assigns to a string variable with KX_VAR_MEMALLOC what `save` holds, if `change` succeeds with it, and a copy of
/// the old text if not.
///
/// The server handed over a copy of its own in `save`, and frees the old text when this returns. So the new text is
/// assigned before anything else is done: even a panic must not leave the variable pointing to the old text. When the
/// old text is kept, the copy in `save` stays behind.
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
        change(unsafe { c_bytes(new.cast_const(), MAX_PATH) }).map_err(|e| {
            log(
                Level::Error,
                &format!("keyring_external_data was not changed, the keyring in use goes on: {e}"),
            );
            Failed
        })
    });
    // SAFETY: NULL or a C string that stays until this function returns.
    if failed && let Some(copy) = server_copy(unsafe { c_bytes(old.cast_const(), MAX_PATH) }) {
        // SAFETY: promised by the caller.
        unsafe { *target = copy.as_ptr().cast() };
    }
}

unsafe extern "C" fn update_read_only(
    _thd: *mut c_void,
    _var: *mut kx_sysvar,
    target: *mut c_void,
    save: *const c_void,
) {
    guard(|| {
        // SAFETY: both are the server's, of the variable's type; see `Shared::flag`.
        let read_only = unsafe {
            let read_only = *save.cast::<bool>();
            AtomicBool::from_ptr(target.cast()).store(read_only, Ordering::Relaxed);
            read_only
        };
        if let Some(keyring) = instance::get() {
            keyring.set_read_only(read_only);
        }
        Ok(())
    })
}

#[cfg(test)]
#[path = "variables_tests.rs"]
mod tests;
