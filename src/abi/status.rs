// SPDX-License-Identifier: GPL-2.0-or-later
//! The status variables, of the plugin and of the component. Each is computed when a client asks for it, under a lock for
//! which the end of the component waits. So the registry, which 8.0 and 8.4 lock meanwhile, is left alone.

use crate::abi::audit;
use crate::abi::component::registry;
use crate::abi::guard::{Failed, guard};
use crate::abi::instance;
use crate::abi::pointers::{Shared, put_c_bytes};
use crate::abi::sys::{
    KX_SHOW_BUFFER, KX_SHOW_CHAR, KX_SHOW_FUNC, KX_SHOW_LONGLONG, KX_SHOW_SCOPE_GLOBAL, kx_show_function,
    kx_show_var,
};
use crate::keyring::{KeyringState, Status};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

/// What a status variable shows.
enum Shown {
    Text(String),
    Number(u64),
}

const fn var(
    name: &'static CStr,
    show: unsafe extern "C" fn(*mut c_void, *mut kx_show_var, *mut c_char) -> c_int,
) -> kx_show_var {
    kx_show_var {
        name: name.as_ptr(),
        // A function pointer, as KX_SHOW_FUNC says.
        value: show as *mut c_char,
        type_: KX_SHOW_FUNC as c_int,
        scope: KX_SHOW_SCOPE_GLOBAL as c_int,
    }
}

macro_rules! shown {
    ($name:ident, $status:ident => $shown:expr, $none:expr) => {
        unsafe extern "C" fn $name(_thd: *mut c_void, out: *mut kx_show_var, buffer: *mut c_char) -> c_int {
            // SAFETY: the server's variable and its buffer of KX_SHOW_BUFFER bytes.
            guard(|| registry::left_alone(|| unsafe { show(out, buffer, |$status| $shown, $none) }))
        }
        // The type that the server calls it by.
        const _: kx_show_function = Some($name);
    };
}

shown!(state, s => Shown::Text(s.state.to_string()), Shown::Text(KeyringState::Unavailable.to_string()));
shown!(attached, s => Shown::Number(u64::from(is_attached(s))), Shown::Number(0));
shown!(keys, s => Shown::Number(s.keys as u64), Shown::Number(0));
shown!(id, s => Shown::Text(s.id.to_string()), Shown::Text(String::new()));
shown!(generation, s => Shown::Number(s.generation), Shown::Number(0));
shown!(copies, s => Shown::Text(format!("{}/{}", s.copies.0, s.copies.1)), Shown::Text("0/0".to_owned()));
shown!(copies_current, s => Shown::Number(s.copies.0 as u64), Shown::Number(0));
shown!(copies_configured, s => Shown::Number(s.copies.1 as u64), Shown::Number(0));
shown!(fetches, s => Shown::Number(s.fetches), Shown::Number(0));
shown!(retired_fetches, s => Shown::Number(s.retired_fetches), Shown::Number(0));
shown!(stores, s => Shown::Number(s.stores), Shown::Number(0));
shown!(audit_failures, _s => Shown::Number(audit::failures()), Shown::Number(audit::failures()));
shown!(failures, s => Shown::Number(s.failures), Shown::Number(0));
shown!(last_error, s => Shown::Text(instance::last_error(Some(s))), Shown::Text(instance::last_error(None)));

/// What ends a list of variables.
pub(super) const END: kx_show_var =
    kx_show_var { name: std::ptr::null(), value: null_mut(), type_: 0, scope: 0 };

/// How many variables there are, and the end.
pub(super) const COUNT: usize = 15;

/// All of them, ended by one without a name, as the server takes them.
///
/// Many monitoring agents take numbers only: for them, `_attached` shows the state, and `_copies_...` the copies.
pub(super) static VARS: Shared<[kx_show_var; COUNT]> = Shared::new([
    var(c"Keyring_external_state", state),
    var(c"Keyring_external_attached", attached),
    var(c"Keyring_external_audit_failures", audit_failures),
    var(c"Keyring_external_keys", keys),
    var(c"Keyring_external_id", id),
    var(c"Keyring_external_generation", generation),
    var(c"Keyring_external_copies", copies),
    var(c"Keyring_external_copies_current", copies_current),
    var(c"Keyring_external_copies_configured", copies_configured),
    var(c"Keyring_external_fetches", fetches),
    var(c"Keyring_external_retired_fetches", retired_fetches),
    var(c"Keyring_external_stores", stores),
    var(c"Keyring_external_failures", failures),
    var(c"Keyring_external_last_error", last_error),
    END,
]);

/// Whether all is well: every copy can be reached and is up to date.
fn is_attached(status: &Status) -> bool {
    matches!(status.state, KeyringState::Attached | KeyringState::ReadOnly)
}

/// # Safety
/// `out` is NULL or the server's variable, `buffer` NULL or [`KX_SHOW_BUFFER`] bytes.
unsafe fn show(
    out: *mut kx_show_var,
    buffer: *mut c_char,
    of: impl FnOnce(&Status) -> Shown,
    none: Shown,
) -> Result<(), Failed> {
    if out.is_null() || buffer.is_null() {
        return Err(Failed);
    }
    let type_ = match instance::status().map_or(none, |status| of(&status)) {
        Shown::Text(text) => {
            let mut cut = text.len().min(KX_SHOW_BUFFER as usize - 1);
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            // SAFETY: at most KX_SHOW_BUFFER bytes with the terminator.
            unsafe { put_c_bytes(buffer, text.get(..cut).unwrap_or_default().as_bytes()) };
            KX_SHOW_CHAR
        }
        Shown::Number(n) => {
            // SAFETY: 8 bytes fit; nothing is assumed of the alignment.
            unsafe { buffer.cast::<u64>().write_unaligned(n) };
            KX_SHOW_LONGLONG
        }
    };
    // SAFETY: not NULL, so it is the server's variable.
    unsafe {
        (*out).type_ = type_ as c_int;
        (*out).value = buffer;
    }
    Ok(())
}
