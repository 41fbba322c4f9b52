// SPDX-License-Identifier: GPL-2.0-or-later
//! The status variables of the plugin: all of them, or none if the component, loaded in the same server, shows them. The
//! server removes variables by their names alone: with the same names twice, it might keep those of a library that it
//! unmaps.

use crate::abi::level::Level;
use crate::abi::pointers::Shared;
use crate::abi::registry::Service;
use crate::abi::services::{log, with_registry};
use crate::abi::status::{COUNT, END, VARS};
use crate::abi::sys::{kx_keyring_external_status, kx_show_var};

/// The list in the descriptor. The server reads it after init has succeeded, and before it calls deinit, even if init has
/// failed.
pub(super) static SHOWN: Shared<[kx_show_var; COUNT]> = Shared::new([END; COUNT]);

/// Has the server show the variables, unless the component does.
pub(super) fn show() {
    if component_shows_them() {
        hide();
        log(
            Level::Note,
            "the status variables Keyring_external_* are those of component_keyring_external, which is loaded too",
        );
    } else {
        // SAFETY: the server reads this list only when no call to init or deinit is in progress.
        unsafe { *SHOWN.get() = *VARS.get() };
    }
}

/// Leaves the list empty.
pub(super) fn hide() {
    // SAFETY: as above.
    unsafe { *SHOWN.get() = [END; COUNT] };
}

fn component_shows_them() -> bool {
    let ask = |registry: &_| {
        let name = c"keyring_external_status.component_keyring_external";
        // SAFETY: the type of that service, which the component of this project provides.
        let service = unsafe { Service::<kx_keyring_external_status>::acquire(registry, name) }?;
        let are_registered = service.table().are_registered?;
        // SAFETY: the component's function. The service is held, so the component stays loaded.
        Some(unsafe { are_registered() } == 1)
    };
    with_registry(ask).flatten().unwrap_or(false)
}
