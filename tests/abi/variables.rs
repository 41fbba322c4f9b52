// SPDX-License-Identifier: GPL-2.0-or-later
//! The server's list of status variables, as a stub. As in the server, a query holds the list's lock while it calls the
//! variables' functions, and variables are removed by their names alone.

use crate::hosts::status::{entries, shown};
use crate::stubs;
use keyring_external::abi::sys::*;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

struct Variable(kx_show_var);

unsafe impl Send for Variable {}

static LIST: Mutex<Vec<Variable>> = Mutex::new(Vec::new());
static TURN: Mutex<()> = Mutex::new(());

/// What the service does.
pub static MISSING: AtomicBool = AtomicBool::new(false);
/// As when there is no memory: it takes some and fails.
pub static REFUSES: AtomicBool = AtomicBool::new(false);
pub static KEEPS: AtomicBool = AtomicBool::new(false);
/// Services that were acquired and not released.
static ACQUIRED: AtomicI64 = AtomicI64::new(0);

/// A component's service [`kx_keyring_external_status`] as the registry hands it to the plugin.
pub static OF_COMPONENT: AtomicPtr<kx_keyring_external_status> = AtomicPtr::new(null_mut());

/// The stub to oneself, with an empty list at the beginning and at the end.
pub struct Turn(#[allow(dead_code, reason = "held")] MutexGuard<'static, ()>);

pub fn turn() -> Turn {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for flag in [&MISSING, &REFUSES, &KEEPS] {
        flag.store(false, Ordering::SeqCst);
    }
    OF_COMPONENT.store(null_mut(), Ordering::SeqCst);
    list().clear();
    Turn(turn)
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(names(), [""; 0], "pointers to a library that is unmapped were left");
            assert_eq!(ACQUIRED.load(Ordering::SeqCst), 0, "a service was not given back");
        }
    }
}

fn list() -> MutexGuard<'static, Vec<Variable>> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(variable: &kx_show_var) -> &CStr {
    unsafe { CStr::from_ptr(variable.name) }
}

/// The names in the list.
pub fn names() -> Vec<String> {
    list().iter().map(|v| name(&v.0).to_str().unwrap().to_owned()).collect()
}

/// `SHOW GLOBAL STATUS`: name, value, and whether that is a number.
pub fn show() -> Vec<(String, String, bool)> {
    list().iter().map(|v| shown(&v.0)).collect()
}

/// The value of one variable.
pub fn value(of: &str) -> String {
    let wanted = format!("Keyring_external_{of}");
    show().into_iter().find(|(name, ..)| *name == wanted).unwrap_or_else(|| panic!("no {wanted}")).1
}

unsafe extern "C" fn register(variables: *mut kx_show_var) -> c_int {
    let mut entries = unsafe { entries(variables) };
    let refused = REFUSES.load(Ordering::SeqCst);
    if refused {
        entries.truncate(2);
    }
    list().extend(entries.into_iter().map(Variable));
    c_int::from(refused)
}

unsafe extern "C" fn unregister(variables: *mut kx_show_var) -> c_int {
    let mut list = list();
    if KEEPS.load(Ordering::SeqCst) {
        return 1;
    }
    for removed in unsafe { entries(variables) } {
        if let Some(at) = list.iter().position(|v| name(&v.0) == name(&removed)) {
            list.remove(at);
        }
    }
    0
}

/// Adds the variables in a plugin's descriptor, as the server does after init.
pub fn add_those_of(descriptor: *const kx_plugin) {
    assert_eq!(unsafe { register((*descriptor).status_vars) }, 0);
}

/// Removes them, as the server does before deinit and after a failed init.
pub fn remove_those_of(descriptor: *const kx_plugin) {
    assert_eq!(unsafe { unregister((*descriptor).status_vars) }, 0);
}

static SERVICE: kx_status_variable_registration = kx_status_variable_registration {
    register_variable: Some(register),
    unregister_variable: Some(unregister),
};

fn is(service: *mut c_void) -> bool {
    std::ptr::eq(service.cast(), &raw const SERVICE)
}

pub unsafe extern "C" fn acquire(name: *const c_char, service: *mut *mut c_void) -> c_int {
    unsafe {
        if CStr::from_ptr(name) != c"status_variable_registration.mysql_server" {
            return stubs::REGISTRY.acquire.unwrap()(name, service);
        }
        if MISSING.load(Ordering::SeqCst) {
            return 1;
        }
        ACQUIRED.fetch_add(1, Ordering::SeqCst);
        *service = (&raw const SERVICE).cast_mut().cast();
    }
    0
}

pub unsafe extern "C" fn release(service: *mut c_void) -> c_int {
    if !is(service) {
        return unsafe { stubs::REGISTRY.release.unwrap()(service) };
    }
    ACQUIRED.fetch_sub(1, Ordering::SeqCst);
    0
}

/// The registry of a server with this service.
pub static REGISTRY: kx_registry =
    kx_registry { acquire: Some(acquire), acquire_related: None, release: Some(release) };

unsafe extern "C" fn acquire_for_plugin(name: *const c_char, service: *mut *mut c_void) -> c_int {
    let of_component = OF_COMPONENT.load(Ordering::SeqCst);
    unsafe {
        let wanted = c"keyring_external_status.component_keyring_external";
        if CStr::from_ptr(name) != wanted || of_component.is_null() {
            return 1;
        }
        *service = of_component.cast();
    }
    ACQUIRED.fetch_add(1, Ordering::SeqCst);
    0
}

unsafe extern "C" fn release_for_plugin(_service: *mut c_void) -> c_int {
    ACQUIRED.fetch_sub(1, Ordering::SeqCst);
    0
}

static REGISTRY_OF_PLUGIN: kx_registry = kx_registry {
    acquire: Some(acquire_for_plugin),
    acquire_related: None,
    release: Some(release_for_plugin),
};

unsafe extern "C" fn give_registry() -> *mut kx_registry {
    ACQUIRED.fetch_add(1, Ordering::SeqCst);
    (&raw const REGISTRY_OF_PLUGIN).cast_mut()
}

unsafe extern "C" fn take_registry(registry: *mut kx_registry) -> c_int {
    assert!(std::ptr::eq(registry, &raw const REGISTRY_OF_PLUGIN));
    ACQUIRED.fetch_sub(1, Ordering::SeqCst);
    0
}

/// The service that gives a plugin the registry.
pub static PLUGIN_REGISTRY: kx_plugin_registry_service =
    kx_plugin_registry_service { acquire: Some(give_registry), release: Some(take_registry) };
