// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring component `component_keyring_external`: the symbol that the server looks up, and the descriptor that it
//! leads to. There is one file for each service, and one for the table of open readers.

mod aes;
mod arguments;
mod cursor;
mod failure;
mod generator;
mod identity;
mod iterator;
mod load;
pub(super) mod log;
mod metadata;
mod reader;
mod readers;
pub(super) mod registry;
mod status;
mod status_variables;
mod writer;

use super::care;
use super::guard::{Failed, guard};
use super::instance;
use super::level::Level;
use super::pointers::Shared;
use super::services;
use super::sys::{kx_component, kx_metadata, kx_provided, kx_required};
use identity::{AUTHOR, LICENSE, NAME};
use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};

/// What the server looks up.
#[unsafe(export_name = "list_components")]
pub extern "C" fn list_components() -> *const c_void {
    guard(|| Ok(COMPONENT.get().cast_const().cast()))
}

static COMPONENT: Shared<kx_component> = Shared::new(kx_component {
    name: NAME.as_ptr(),
    provides: PROVIDES.get().cast(),
    requires_: REQUIRES.get().cast(),
    metadata: METADATA.get().cast(),
    init: Some(init),
    deinit: Some(deinit),
});

macro_rules! provides {
    ($($service:literal => $table:expr,)*) => {
        [
            $(kx_provided {
                name: concat!($service, ".component_keyring_external\0").as_ptr().cast(),
                implementation: $table.get().cast(),
            },)*
            kx_provided { name: null(), implementation: null() },
        ]
    };
}

static PROVIDES: Shared<[kx_provided; 10]> = Shared::new(provides! {
    "keyring_aes" => aes::SERVICE,
    "keyring_generator" => generator::SERVICE,
    "keyring_load" => load::SERVICE,
    "keyring_keys_metadata_iterator" => iterator::SERVICE,
    "keyring_component_status" => status::SERVICE,
    "keyring_component_metadata_query" => metadata::SERVICE,
    "keyring_reader_with_status" => reader::SERVICE,
    "keyring_writer" => writer::SERVICE,
    "keyring_external_status" => status_variables::SERVICE,
});

// Only what every host of a keyring has, mysql_migrate_keyring too.
static REQUIRES: Shared<[kx_required; 2]> = Shared::new([
    kx_required { name: c"registry".as_ptr(), place: registry::REGISTRY.as_ptr().cast() },
    kx_required { name: null(), place: null_mut() },
]);

static METADATA: Shared<[kx_metadata; 4]> = Shared::new([
    kx_metadata { key: c"mysql.author".as_ptr(), value: AUTHOR.as_ptr() },
    kx_metadata { key: c"mysql.license".as_ptr(), value: LICENSE.as_ptr() },
    kx_metadata { key: c"mysql.dev".as_ptr(), value: NAME.as_ptr() },
    kx_metadata { key: null(), value: null() },
]);

/// Opens nothing: the server calls `keyring_load` when it is far enough.
unsafe extern "C" fn init() -> c_int {
    guard(|| {
        registry::start();
        Ok(())
    })
}

/// Closes the keyring and wipes its memory. After a failure, which the server's own functions do not show, it keeps the
/// library loaded.
unsafe extern "C" fn deinit() -> c_int {
    guard(|| {
        // First: a status query could start the thread again.
        let unregistered = status_variables::unregister();
        care::stop();
        if !unregistered {
            let why = "the server did not remove the status variables Keyring_external_*, so the component stays loaded";
            registry::left_alone(|| services::log(Level::Error, why));
        }
        // From here on the library does not use the registry, which the server is changing.
        registry::stop();
        instance::set(None);
        readers::forget_replaced();
        load::forget_last_load();
        if unregistered { Ok(()) } else { Err(Failed) }
    })
}
