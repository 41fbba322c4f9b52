// SPDX-License-Identifier: GPL-2.0-or-later
//! The system variables as the server knows them. It puts `keyring_external_` before their names.

use super::replace::{check_data, update_data};
use super::settings;
use crate::abi::guard::guard;
use crate::abi::instance;
use crate::abi::pointers::Shared;
use crate::abi::sys::{
    KX_VAR_BOOL, KX_VAR_INT, KX_VAR_MEMALLOC, KX_VAR_NOPERSIST, KX_VAR_OPCMDARG, KX_VAR_READONLY, KX_VAR_STR,
    KX_VAR_UNSIGNED, kx_sysvar, kx_sysvar_bool, kx_sysvar_str, kx_sysvar_uint, kx_value,
};
use crate::config::{MAX_COPIES, MAX_WAIT};
use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

// Not persistable: an early plugin is loaded before persisted values are known.
const STARTUP: u32 = KX_VAR_READONLY | KX_VAR_NOPERSIST;

// As with the server's own booleans, the name alone means ON. All others need a value, as the server's own do.
const SWITCH: u32 = KX_VAR_BOOL | KX_VAR_OPCMDARG;

/// [`crate::config::DEFAULT_REMOTES`] as a C string.
const DEFAULT_REMOTES: &CStr = c"/etc/mysql/keyring_external.remotes.json";

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

static DATA: Shared<kx_sysvar_str> = Shared::new(kx_sysvar_str {
    head: head(
        KX_VAR_STR | KX_VAR_MEMALLOC | KX_VAR_NOPERSIST,
        c"data",
        c"Path of the keyring file on its external volume, or @NAME/PREFIX at a remote",
        Some(check_data),
        Some(update_data),
    ),
    value: settings::DATA.get(),
    def_val: c"".as_ptr(),
});

static UNLOCK: Shared<kx_sysvar_str> = Shared::new(kx_sysvar_str {
    head: head(
        KX_VAR_STR | KX_VAR_MEMALLOC | STARTUP,
        c"unlock",
        c"Where the unlock secret comes from: file:PATH, credential:NAME, env:NAME or command:PROGRAM ARGS",
        None,
        None,
    ),
    value: settings::UNLOCK.get(),
    def_val: c"".as_ptr(),
});

static MIRRORS: Shared<kx_sysvar_str> = Shared::new(kx_sysvar_str {
    head: head(
        KX_VAR_STR | KX_VAR_MEMALLOC | STARTUP,
        c"mirrors",
        c"Additional copies of the keyring, paths on other volumes or @NAME/PREFIX, separated by colons",
        None,
        None,
    ),
    value: settings::MIRRORS.get(),
    def_val: c"".as_ptr(),
});

static REMOTES: Shared<kx_sysvar_str> = Shared::new(kx_sysvar_str {
    head: head(
        KX_VAR_STR | KX_VAR_MEMALLOC | STARTUP,
        c"remotes",
        c"File that describes the remotes of copies named @NAME/PREFIX",
        None,
        None,
    ),
    value: settings::REMOTES.get(),
    def_val: DEFAULT_REMOTES.as_ptr(),
});

static MIN_COPIES: Shared<kx_sysvar_uint> = Shared::new(kx_sysvar_uint {
    head: head(
        KX_VAR_INT | KX_VAR_UNSIGNED | STARTUP,
        c"min_copies",
        c"Minimum number of copies that must store a new key before it is acknowledged",
        None,
        None,
    ),
    value: settings::MIN_COPIES.get(),
    def_val: 1,
    min_val: 1,
    max_val: MAX_COPIES,
    blk_sz: 0,
});

static READ_ONLY: Shared<kx_sysvar_bool> = Shared::new(kx_sysvar_bool {
    head: head(
        SWITCH | KX_VAR_NOPERSIST,
        c"read_only",
        c"Refuse to store, generate and remove keys",
        None,
        Some(update_read_only),
    ),
    value: settings::READ_ONLY.get(),
    def_val: false,
});

static SAME_DEVICE: Shared<kx_sysvar_bool> = Shared::new(kx_sysvar_bool {
    head: head(
        SWITCH | STARTUP,
        c"allow_same_device",
        c"Allow the keyring on the filesystem of the data directory",
        None,
        None,
    ),
    value: settings::SAME_DEVICE.get(),
    def_val: false,
});

static AUTO_CREATE: Shared<kx_sysvar_bool> = Shared::new(kx_sysvar_bool {
    head: head(
        SWITCH | STARTUP,
        c"auto_create",
        c"Create a keyring if there is none (for tests and containers)",
        None,
        None,
    ),
    value: settings::AUTO_CREATE.get(),
    def_val: false,
});

static WAIT: Shared<kx_sysvar_uint> = Shared::new(kx_sysvar_uint {
    head: head(
        KX_VAR_INT | KX_VAR_UNSIGNED | STARTUP,
        c"wait",
        c"Seconds to wait at startup for a volume that is mounted late",
        None,
        None,
    ),
    value: settings::WAIT.get(),
    def_val: 0,
    min_val: 0,
    max_val: MAX_WAIT,
    blk_sz: 0,
});

static AUDIT_LOG: Shared<kx_sysvar_str> = Shared::new(kx_sysvar_str {
    head: head(
        KX_VAR_STR | KX_VAR_MEMALLOC | STARTUP,
        c"audit_log",
        c"File of the audit log: who opened and changed the keyring",
        None,
        None,
    ),
    value: settings::AUDIT_LOG.get(),
    def_val: c"".as_ptr(),
});

static AUDIT_LOG_FORWARD: Shared<kx_sysvar_str> = Shared::new(kx_sysvar_str {
    head: head(
        KX_VAR_STR | KX_VAR_MEMALLOC | STARTUP,
        c"audit_log_forward",
        c"Where lines of the audit log are passed on to: syslog or journal",
        None,
        None,
    ),
    value: settings::AUDIT_LOG_FORWARD.get(),
    def_val: c"".as_ptr(),
});

/// The list in the descriptor, ended by NULL.
pub(super) static VARS: Shared<[*mut kx_sysvar; 12]> = Shared::new([
    DATA.get().cast(),
    MIRRORS.get().cast(),
    REMOTES.get().cast(),
    MIN_COPIES.get().cast(),
    UNLOCK.get().cast(),
    READ_ONLY.get().cast(),
    SAME_DEVICE.get().cast(),
    AUTO_CREATE.get().cast(),
    WAIT.get().cast(),
    AUDIT_LOG.get().cast(),
    AUDIT_LOG_FORWARD.get().cast(),
    null_mut(),
]);

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
mod tests {
    use super::*;

    #[test]
    fn the_default_remotes_file_is_the_same_everywhere() {
        assert_eq!(DEFAULT_REMOTES.to_str(), Ok(crate::config::DEFAULT_REMOTES));
    }
}
