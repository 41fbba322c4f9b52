// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring plugin `keyring_external`: the symbols that mysqld looks up, and the descriptor that they lead to.

mod functions;
mod lifecycle;
mod replace;
mod settings;
mod status_variables;
mod variables;

use super::pointers::Shared;
use super::sys::{
    KX_KEYRING_INTERFACE_VERSION, KX_PLUGIN_INTERFACE_VERSION, KX_PLUGIN_LICENSE_GPL,
    KX_PLUGIN_OPT_ALLOW_EARLY, KX_PLUGIN_TYPE_KEYRING, kx_keyring, kx_plugin,
};
use std::ffi::{c_int, c_uint, c_ulong};

/// The plugin's version, shown by SHOW PLUGINS: 0x0001 is 0.1.
const VERSION: c_uint = 0x0001;

/// The version of the plugin interface that this library is made for.
#[unsafe(export_name = "_mysql_plugin_interface_version_")]
pub static INTERFACE_VERSION: c_int = KX_PLUGIN_INTERFACE_VERSION as c_int;

/// Bytes of one descriptor.
#[unsafe(export_name = "_mysql_sizeof_struct_st_plugin_")]
pub static SIZEOF_PLUGIN: c_int = size_of::<kx_plugin>() as c_int;

/// The descriptors: one plugin, and zeros.
#[unsafe(export_name = "_mysql_plugin_declarations_")]
pub static DECLARATIONS: Declarations = Declarations(Shared::new([
    kx_plugin {
        type_: KX_PLUGIN_TYPE_KEYRING as c_int,
        info: KEYRING.get().cast(),
        name: c"keyring_external".as_ptr(),
        author: c"The keyring_external developers".as_ptr(),
        descr: c"Keeps keys in an encrypted file on a separate external volume".as_ptr(),
        license: KX_PLUGIN_LICENSE_GPL as c_int,
        init: Some(lifecycle::init),
        check_uninstall: Some(lifecycle::check_uninstall),
        deinit: Some(lifecycle::deinit),
        version: VERSION,
        status_vars: status_variables::SHOWN.get().cast(),
        system_vars: variables::VARS.get().cast(),
        reserved: std::ptr::null_mut(),
        flags: KX_PLUGIN_OPT_ALLOW_EARLY as c_ulong,
    },
    END,
]));

/// The type of [`DECLARATIONS`].
#[repr(transparent)]
pub struct Declarations(Shared<[kx_plugin; 2]>);

const END: kx_plugin = kx_plugin {
    type_: 0,
    info: std::ptr::null_mut(),
    name: std::ptr::null(),
    author: std::ptr::null(),
    descr: std::ptr::null(),
    license: 0,
    init: None,
    check_uninstall: None,
    deinit: None,
    version: 0,
    status_vars: std::ptr::null_mut(),
    system_vars: std::ptr::null_mut(),
    reserved: std::ptr::null_mut(),
    flags: 0,
};

static KEYRING: Shared<kx_keyring> = Shared::new(kx_keyring {
    interface_version: KX_KEYRING_INTERFACE_VERSION as c_int,
    store: Some(functions::store),
    fetch: Some(functions::fetch),
    remove: Some(functions::remove),
    generate: Some(functions::generate),
    iterator_init: Some(functions::iterator_init),
    iterator_deinit: Some(functions::iterator_deinit),
    iterator_get_key: Some(functions::iterator_get_key),
});
