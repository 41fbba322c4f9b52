// SPDX-License-Identifier: GPL-2.0-or-later
//! Services that the server links by name: it looks for a symbol with the service's name, which holds the version that
//! is wanted, and writes the address of its table there before it calls init.

use super::level::Level;
use super::sys::{
    KX_LOG_ERROR, KX_LOG_NOTE, KX_LOG_WARNING, KX_SERVICE_VERSION, kx_log_service, kx_malloc_service,
    kx_plugin_registry_service, kx_registry,
};
use std::ffi::{CString, c_char, c_int, c_void};
use std::io::Write;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

/// The server's allocator. All memory that the server frees comes from here.
#[unsafe(export_name = "mysql_malloc_service")]
pub static MALLOC_SERVICE: AtomicPtr<kx_malloc_service> =
    AtomicPtr::new(ptr::without_provenance_mut(KX_SERVICE_VERSION as usize));

/// The server's error log.
#[unsafe(export_name = "my_plugin_log_service")]
pub static LOG_SERVICE: AtomicPtr<kx_log_service> =
    AtomicPtr::new(ptr::without_provenance_mut(KX_SERVICE_VERSION as usize));

/// The server's registry of services, for a plugin. A component gets the registry in another way.
#[unsafe(export_name = "plugin_registry_service")]
pub static REGISTRY_SERVICE: AtomicPtr<kx_plugin_registry_service> =
    AtomicPtr::new(ptr::without_provenance_mut(KX_SERVICE_VERSION as usize));

/// The server's handle of this plugin, for log lines.
static PLUGIN: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// The table of a service; `None` until the server has linked it.
fn table<T>(service: &AtomicPtr<T>) -> Option<&'static T> {
    let table = service.load(Ordering::Acquire);
    if table.addr() <= KX_SERVICE_VERSION as usize {
        return None;
    }
    // SAFETY: any value but the version is the address of the server's table, which lives as long as the server.
    Some(unsafe { &*table })
}

/// Keeps the handle that init was called with, for log lines; NULL forgets it.
pub(super) fn set_plugin(plugin: *mut c_void) {
    PLUGIN.store(plugin, Ordering::Release);
}

/// Writes a line to the server's error log, or to standard error if there is none. The server sends its standard error to
/// the error log too.
pub(super) fn log(level: Level, message: &str) {
    let plugin = PLUGIN.load(Ordering::Acquire);
    let write = table(&LOG_SERVICE).and_then(|t| t.my_plugin_log_message);
    let (Some(write), false) = (write, plugin.is_null()) else {
        if !super::component::log::text(level, message) {
            // Unlike eprintln!, this cannot panic.
            let _ = writeln!(std::io::stderr(), "keyring_external: {message}");
        }
        return;
    };
    let level = match level {
        Level::Error => KX_LOG_ERROR,
        Level::Warning => KX_LOG_WARNING,
        Level::Note => KX_LOG_NOTE,
    };
    let text = CString::new(message.replace('\0', " ")).unwrap_or_default();
    let mut plugin = plugin;
    // SAFETY: the server's own function and handle; the format takes one string.
    unsafe { write(&mut plugin, level as c_int, c"%s".as_ptr(), text.as_ptr()) };
}

/// Does something with the server's registry; `None` if it gives none to a plugin.
pub(super) fn with_registry<R>(work: impl FnOnce(&kx_registry) -> R) -> Option<R> {
    let service = table(&REGISTRY_SERVICE)?;
    let (acquire, release) = (service.acquire?, service.release?);
    // SAFETY: the server's function.
    let registry = NonNull::new(unsafe { acquire() })?;
    // SAFETY: the server's table, which stays until it is released.
    let done = work(unsafe { registry.as_ref() });
    // SAFETY: acquired above, and not used any more.
    unsafe { release(registry.as_ptr()) };
    Some(done)
}

/// A copy of `bytes` in the server's memory, with a NUL behind it; `None` if the server has no memory.
pub(super) fn server_copy(bytes: &[u8]) -> Option<NonNull<u8>> {
    let malloc = table(&MALLOC_SERVICE)?.mysql_malloc?;
    // SAFETY: the server's allocator; key 0 names no instrument, flags 0 ask for nothing special.
    let memory = NonNull::new(unsafe { malloc(0, bytes.len() + 1, 0) }.cast::<u8>())?;
    // SAFETY: bytes.len() + 1 bytes were just allocated.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), memory.as_ptr(), bytes.len());
        *memory.as_ptr().add(bytes.len()) = 0;
    }
    Some(memory)
}

/// Frees memory of the server's allocator. NULL is allowed.
///
/// # Safety
/// `memory` is NULL or came from the server's allocator and is not used any more.
pub(super) unsafe fn server_free(memory: *mut c_char) {
    if let Some(free) = table(&MALLOC_SERVICE).and_then(|t| t.mysql_free)
        && !memory.is_null()
    {
        // SAFETY: promised by the caller.
        unsafe { free(memory.cast()) };
    }
}
