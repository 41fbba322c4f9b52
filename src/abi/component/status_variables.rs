// SPDX-License-Identifier: GPL-2.0-or-later
//! Has the server show the status variables, and `keyring_external_status`, which tells this project's plugin in the
//! same server that they are there: the server removes variables by their names alone, so each may be there only once.

use super::registry;
use crate::abi::guard::guard_yes_no;
use crate::abi::level::Level;
use crate::abi::pointers::Shared;
use crate::abi::services::log;
use crate::abi::status::VARS;
use crate::abi::sys::{kx_keyring_external_status, kx_show_var, kx_status_variable_registration};
use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) static SERVICE: Shared<kx_keyring_external_status> =
    Shared::new(kx_keyring_external_status { are_registered: Some(are_registered) });

/// While the variables are registered, the server's function that removes them. It is called at deinit, when the
/// registry must not be used. It is in the server's own program, and so outlives this library: the service is asked for
/// by the name of the server's implementation.
static UNREGISTER: Mutex<Option<Unregister>> = Mutex::new(None);

type Unregister = unsafe extern "C" fn(*mut kx_show_var) -> c_int;

fn unregister_function() -> MutexGuard<'static, Option<Unregister>> {
    UNREGISTER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers the variables, unless they are registered. The component works without them.
pub(super) fn register() {
    let mut registered = unregister_function();
    if registered.is_some() {
        return;
    }
    // SAFETY: the type of this service.
    let service = unsafe {
        registry::service::<kx_status_variable_registration>(c"status_variable_registration.mysql_server")
    };
    let functions = service.as_ref().map(|service| service.table());
    let functions = functions.and_then(|table| Some((table.register_variable?, table.unregister_variable?)));
    let Some((register, unregister)) = functions else {
        log(
            Level::Note,
            "there are no status variables Keyring_external_*: this program does not offer them",
        );
        return;
    };
    // SAFETY: the server's functions, and a list that stays as it is until it is removed or the process ends.
    unsafe {
        if register(VARS.get().cast()) == 0 {
            *registered = Some(unregister);
        } else {
            // It may have taken some of them.
            unregister(VARS.get().cast());
            log(
                Level::Warning,
                "the server refused the status variables Keyring_external_*: it does not show them",
            );
        }
    }
}

/// Removes the variables, and waits for a status query in progress. Returns whether none is left: otherwise this library
/// must stay loaded.
pub(super) fn unregister() -> bool {
    let mut registered = unregister_function();
    let Some(unregister) = *registered else { return true };
    // SAFETY: the server's function, and the list that was registered.
    if unsafe { unregister(VARS.get().cast()) } != 0 {
        return false;
    }
    *registered = None;
    true
}

unsafe extern "C" fn are_registered() -> c_int {
    guard_yes_no(|| unregister_function().is_some())
}
