// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyring_load`: reads the configuration and opens the keyring, at the server's start and at ALTER INSTANCE RELOAD
//! KEYRING. If that fails, the keyring that was open stays in use. A component that is never asked to load a keyring is
//! not the server's keyring, so the status variables are registered here, not at init.

use super::log;
use super::readers;
use super::status_variables;
use crate::abi::fork;
use crate::abi::guard::{Failed, guard};
use crate::abi::instance;
use crate::abi::level::Level;
use crate::abi::pointers::{Shared, c_bytes};
use crate::abi::services;
use crate::abi::sys::kx_keyring_load;
use crate::config::{Config, file};
use crate::error::{Error, Refusal, Result};
use crate::keyring::{RELOAD_FAILED, Trust};
use crate::store::file::real::effective_user;
use std::ffi::{OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Longest path in bytes.
const MAX_PATH: usize = 4096;

pub(super) static SERVICE: Shared<kx_keyring_load> = Shared::new(kx_keyring_load { load: Some(load) });

/// What the last call read, for the rows of the status table.
#[derive(Clone, Debug, Default)]
pub(super) struct LastLoad {
    /// The configuration of the open keyring; if none is open, the one that the last call read.
    pub config: Option<Config>,
}

static LAST_LOAD: Mutex<Option<LastLoad>> = Mutex::new(None);
/// Held during a call. The server makes one at a time, but nothing obliges it to.
static LOADING: Mutex<()> = Mutex::new(());

/// `None` before the first call.
pub(super) fn last_load() -> Option<LastLoad> {
    LAST_LOAD.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

pub(super) fn forget_last_load() {
    *LAST_LOAD.lock().unwrap_or_else(PoisonError::into_inner) = None;
    instance::set_load_failure(String::new());
}

unsafe extern "C" fn load(component_path: *const c_char, instance_path: *const c_char) -> c_int {
    guard(|| {
        let _one = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        fork::expect_one();
        status_variables::register();
        // SAFETY: NULL or C strings.
        let paths = unsafe { (path(component_path), path(instance_path)) };
        let (config, loaded) = match file::read(paths.0.as_deref(), paths.1.as_deref(), effective_user()) {
            Ok(config) => {
                let loaded = open(&config, last_load().is_none());
                (Some(config), loaded)
            }
            Err(e) => (None, Err(e)),
        };
        readers::forget_replaced();
        let in_use = instance::get().is_some();
        let failure = match &loaded {
            Ok(()) => {
                log::initialized();
                String::new()
            }
            Err(e) => {
                let what = if in_use { RELOAD_FAILED } else { "the keyring was not opened" };
                let told = format!("{what}: {e}");
                services::log(Level::Error, &told);
                // It tells apart what is wrong until the next reload, and what a call has met once.
                if in_use { told } else { e.to_string() }
            }
        };
        let failed = loaded.is_err();
        let mut last = LAST_LOAD.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.get_or_insert_default();
        instance::set_load_failure(failure);
        if !(failed && in_use) {
            last.config = config;
        }
        if failed { Err(Failed) } else { Ok(()) }
    })
}

fn open(config: &Config, first: bool) -> Result<()> {
    // A client waits for the answer of a reload, and all others wait for the keyring.
    let config = &Config { wait: if first { config.wait } else { 0 }, ..config.clone() };
    if instance::get().is_some() {
        return instance::replace(&instance::open_other(config)?);
    }
    if still_root_for(config.datadir.as_deref()) {
        let keyring = instance::open_untouched(config).inspect_err(|e| {
            if config.auto_create && matches!(e, Error::Refusal(Refusal::Missing { .. })) {
                services::log(
                    Level::Warning,
                    "auto_create does not create a keyring while mysqld still runs as root. Run ALTER INSTANCE \
                     RELOAD KEYRING once it has started, or start mysqld as its own user",
                );
            }
        })?;
        instance::set_unsettled(keyring);
    } else {
        instance::set(Some(instance::open(config, Trust::Witness)?));
    }
    Ok(())
}

/// Whether the server is going to drop its privileges: it runs as root, and its data directory belongs to another user.
/// It could not write a file later that is created now.
fn still_root_for(datadir: Option<&Path>) -> bool {
    effective_user() == 0
        && datadir.is_some_and(|dir| std::fs::metadata(dir).is_ok_and(|meta| meta.uid() != 0))
}

/// # Safety
/// NULL or a C string.
unsafe fn path(text: *const c_char) -> Option<PathBuf> {
    // SAFETY: promised by the caller.
    let bytes = unsafe { c_bytes(text, MAX_PATH) };
    (1..=MAX_PATH).contains(&bytes.len()).then(|| OsStr::from_bytes(bytes).into())
}
