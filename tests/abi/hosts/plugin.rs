// SPDX-License-Identifier: GPL-2.0-or-later
//! Opens the library as mysqld opens a plugin.

use super::dir::{Dir, symbol};
use super::status;
use crate::stubs;
use keyring_external::abi::sys::*;
use libloading::os::unix::Library;
use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::atomic::Ordering;

/// The library as a plugin.
pub struct Plugin {
    pub descriptor: *mut kx_plugin,
    pub keyring: kx_keyring,
    log: &'static kx_log_service,
    library: Library,
}

unsafe impl Send for Plugin {}
unsafe impl Sync for Plugin {}

impl Plugin {
    /// Loaded, with its services linked and its variables at their defaults; init was not called.
    pub fn load(dir: &Dir) -> Plugin {
        let library = dir.open();
        let log: &'static kx_log_service = Box::leak(Box::new(stubs::log_service()));
        unsafe {
            assert_eq!(*symbol::<c_int>(&library, "_mysql_plugin_interface_version_"), 0x010b);
            assert_eq!(
                *symbol::<c_int>(&library, "_mysql_sizeof_struct_st_plugin_") as usize,
                size_of::<kx_plugin>()
            );
            let descriptor: *mut kx_plugin = symbol(&library, "_mysql_plugin_declarations_");
            assert!((*descriptor.add(1)).name.is_null(), "one plugin, then the end");
            let keyring = *(*descriptor).info.cast::<kx_keyring>();
            assert_eq!(keyring.interface_version, 0x0101);
            let plugin = Plugin { descriptor, keyring, log, library };
            plugin.link_malloc(&stubs::MALLOC);
            *symbol::<*const kx_log_service>(&plugin.library, "my_plugin_log_service") = plugin.log;
            for var in plugin.variables() {
                // As the server does while it loads a plugin.
                (*var).flags |= 0;
                if (*var).flags & 0x7f == KX_VAR_STR as c_int {
                    *(*var.cast::<kx_sysvar_str>()).value = c"".as_ptr().cast_mut();
                }
            }
            plugin
        }
    }

    /// Loaded, and set up for the directory's keyring.
    pub fn set_up(dir: &Dir) -> Plugin {
        let plugin = Plugin::load(dir);
        plugin.set("data", dir.keyring().to_str().unwrap());
        plugin.set("unlock", &dir.unlock());
        plugin.set_bool("allow_same_device", true);
        plugin
    }

    /// Puts the address of the allocator, or what the library itself put there.
    pub fn link_malloc(&self, table: *const kx_malloc_service) {
        let place: *mut *const kx_malloc_service = symbol(&self.library, "mysql_malloc_service");
        unsafe {
            assert!((*place).addr() == 0x0100 || (*place).addr() > 0x1000, "the version wanted");
            *place = table;
        }
    }

    /// The names and flags of its variables.
    pub fn flags(&self) -> Vec<(String, u32)> {
        let name = |var: *mut kx_sysvar| unsafe { CStr::from_ptr((*var).name) }.to_str().unwrap().to_owned();
        self.variables().map(|var| (name(var), unsafe { (*var).flags } as u32)).collect()
    }

    fn variables(&self) -> impl Iterator<Item = *mut kx_sysvar> {
        let list = unsafe { (*self.descriptor).system_vars };
        (0..).map(move |i| unsafe { *list.add(i) }).take_while(|var| !var.is_null())
    }

    fn variable(&self, name: &str) -> *mut kx_sysvar {
        let named = |var: &*mut kx_sysvar| unsafe { CStr::from_ptr((**var).name) }.to_str() == Ok(name);
        self.variables().find(named).unwrap_or_else(|| panic!("no variable {name}"))
    }

    pub fn set(&self, name: &str, value: &str) {
        let value = CString::new(value).unwrap().into_raw();
        unsafe { *(*self.variable(name).cast::<kx_sysvar_str>()).value = value };
    }

    /// `SET GLOBAL`: checks the value, and updates the variable if it was accepted. Returns whether it was.
    pub fn assign(&self, name: &str, value: &str) -> bool {
        /// The server's object for a value, with the text behind it.
        #[repr(C)]
        struct Value(kx_value, *const c_char);
        unsafe extern "C" fn val_str(
            value: *mut kx_value,
            _buffer: *mut c_char,
            _length: *mut c_int,
        ) -> *const c_char {
            unsafe { (*value.cast::<Value>()).1 }
        }
        let text = CString::new(value).unwrap();
        let object = kx_value {
            value_type: None,
            val_str: Some(val_str),
            val_real: None,
            val_int: None,
            is_unsigned: None,
        };
        let mut object = Value(object, text.as_ptr());
        let (thd, variable) = (std::ptr::null_mut(), self.variable(name));
        let mut save: *const c_char = std::ptr::null();
        unsafe {
            if (*variable).check.unwrap()(thd, variable, (&raw mut save).cast(), (&raw mut object).cast())
                != 0
            {
                return false;
            }
            // A copy of the server's own, which belongs to the variable from now on.
            let copy = CStr::from_ptr(save).to_owned().into_raw();
            let target = (*variable.cast::<kx_sysvar_str>()).value;
            (*variable).update.unwrap()(thd, variable, target.cast(), (&raw const copy).cast());
        }
        true
    }

    /// The value of a text variable.
    pub fn value(&self, name: &str) -> String {
        let value = unsafe { CStr::from_ptr(*(*self.variable(name).cast::<kx_sysvar_str>()).value) };
        value.to_str().unwrap().to_owned()
    }

    pub fn set_bool(&self, name: &str, value: bool) {
        unsafe { *(*self.variable(name).cast::<kx_sysvar_bool>()).value = value };
    }

    pub fn init(&self) -> c_int {
        unsafe { (*self.descriptor).init.unwrap()(stubs::PLUGIN_HANDLE.load(Ordering::SeqCst)) }
    }

    pub fn deinit(&self) -> c_int {
        unsafe { (*self.descriptor).deinit.unwrap()(stubs::PLUGIN_HANDLE.load(Ordering::SeqCst)) }
    }

    /// The status variables that the server is to show: name and value.
    pub fn status(&self) -> Vec<(String, String)> {
        let variables = unsafe { status::entries((*self.descriptor).status_vars) };
        variables.iter().map(status::shown).map(|(name, value, _)| (name, value)).collect()
    }

    /// Puts the address of the service that gives the registry.
    pub fn link_registry(&self, table: *const kx_plugin_registry_service) {
        unsafe {
            *symbol::<*const kx_plugin_registry_service>(&self.library, "plugin_registry_service") = table;
        }
    }
}
