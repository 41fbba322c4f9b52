// SPDX-License-Identifier: GPL-2.0-or-later
//! Loading and unloading.

use super::{functions, replace, settings, status_variables};
use crate::abi::care;
use crate::abi::guard::{Failed, guard};
use crate::abi::instance;
use crate::abi::level::Level;
use crate::abi::services::{log, set_plugin};
use crate::keyring::Trust;
use std::ffi::{c_int, c_void};

/// How the ids of keys begin that the server itself needs: of InnoDB, the binary log, persisted variables.
const SERVER_KEYS: [&[u8]; 3] = [b"INNODBKey-", b"MySQLReplicationKey_", b"persisted_variables_key"];

/// Opens the keyring. If that fails, the plugin is not loaded, and nothing stays open or is changed.
pub(super) unsafe extern "C" fn init(plugin: *mut c_void) -> c_int {
    guard(|| {
        set_plugin(plugin);
        match settings::config().and_then(|config| instance::open(&config, Trust::Witness)) {
            Ok(keyring) => {
                instance::set(Some(keyring));
                status_variables::show();
                Ok(())
            }
            Err(e) => {
                log(Level::Error, &format!("the keyring was not opened: {e}"));
                instance::set(None);
                status_variables::hide();
                set_plugin(std::ptr::null_mut());
                Err(Failed)
            }
        }
    })
}

/// Refuses UNINSTALL PLUGIN while the server depends on the keyring. Nothing else does.
pub(super) unsafe extern "C" fn check_uninstall(_plugin: *mut c_void) -> c_int {
    guard(|| {
        let Some(keyring) = instance::get() else { return Ok(()) };
        let needed = keyring
            .names()
            .iter()
            .filter(|n| SERVER_KEYS.iter().any(|k| n.as_ref().id().starts_with(k)))
            .count();
        let why = match (needed, functions::open_iterators()) {
            (0, 0) => return Ok(()),
            (0, open) => format!("{open} iterators over its keys are open; try again"),
            (needed, _) => format!(
                "it holds {needed} keys of the server itself (InnoDB, binary log), without which encrypted data \
                 cannot be read. To remove the keyring anyway, stop the server and remove the plugin from \
                 early-plugin-load"
            ),
        };
        log(Level::Error, &format!("the plugin cannot be uninstalled: {why}"));
        Err(Failed)
    })
}

/// Closes the keyring and wipes its memory.
pub(super) unsafe extern "C" fn deinit(_plugin: *mut c_void) -> c_int {
    guard(|| {
        care::stop();
        instance::set(None);
        replace::forget_pending();
        status_variables::hide();
        set_plugin(std::ptr::null_mut());
        Ok(())
    })
}
