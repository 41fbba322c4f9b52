// SPDX-License-Identifier: GPL-2.0-or-later
//! The server's services, as stubs: an allocator that knows every block, an error log that keeps its lines, and a registry
//! that counts.

use keyring_external::abi::sys::{
    KX_MESSAGE_NOT_AES, KX_MESSAGE_NOT_FOUND, KX_MESSAGE_TEXT, kx_log_service, kx_malloc_service,
    kx_registry, kx_simple_error_log,
};
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, Ordering};

/// The allocated blocks, with their sizes. Each has a header before it, so that the free of another allocator detects a
/// block that is passed to it.
static BLOCKS: Mutex<Option<HashMap<usize, usize>>> = Mutex::new(None);
const HEADER: usize = 32;

/// How many more allocations succeed; negative is all.
static ALLOCATIONS_LEFT: AtomicI64 = AtomicI64::new(-1);
/// Tests that count blocks or let allocations fail take turns.
pub static ALLOCATOR: Mutex<()> = Mutex::new(());

fn with_blocks<R>(work: impl FnOnce(&mut HashMap<usize, usize>) -> R) -> R {
    work(BLOCKS.lock().unwrap().get_or_insert_default())
}

fn layout(size: usize) -> std::alloc::Layout {
    std::alloc::Layout::from_size_align(size + HEADER, 16).unwrap()
}

unsafe extern "C" fn malloc(_key: c_uint, size: usize, _flags: c_int) -> *mut c_void {
    match ALLOCATIONS_LEFT.load(Ordering::SeqCst) {
        0 => return null_mut(),
        n if n > 0 => ALLOCATIONS_LEFT.store(n - 1, Ordering::SeqCst),
        _ => {}
    }
    let block = unsafe { std::alloc::alloc(layout(size)).add(HEADER) };
    unsafe { block.write_bytes(0xa5, size) };
    with_blocks(|blocks| blocks.insert(block.addr(), size));
    block.cast()
}

unsafe extern "C" fn free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    let size = with_blocks(|blocks| blocks.remove(&block.addr()))
        .unwrap_or_else(|| abort("the server's free got a block that it did not hand out"));
    unsafe {
        block.cast::<u8>().write_bytes(0x5a, size);
        std::alloc::dealloc(block.cast::<u8>().sub(HEADER), layout(size));
    }
}

/// A stub may not unwind into the library.
fn abort(why: &str) -> ! {
    eprintln!("{why}");
    std::process::abort()
}

/// Frees a block as the server does, and returns how many bytes it had.
pub fn server_free(block: *mut c_void) -> usize {
    let size = with_blocks(|blocks| blocks.get(&block.addr()).copied())
        .expect("a block of the server's allocator was handed out");
    unsafe { free(block) };
    size
}

/// How many blocks are allocated.
pub fn blocks() -> usize {
    with_blocks(|blocks| blocks.len())
}

/// Lets `n` more allocations succeed and the later ones fail; -1 lets all succeed.
pub fn fail_after(n: i64) {
    ALLOCATIONS_LEFT.store(n, Ordering::SeqCst);
}

pub static MALLOC: kx_malloc_service = kx_malloc_service {
    mysql_malloc: Some(malloc),
    mysql_realloc: None,
    mysql_claim: None,
    mysql_free: Some(free),
    my_memdup: None,
    my_strdup: None,
    my_strndup: None,
};

/// All lines, of plugins and components.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn line(text: String) {
    let mut lines = LINES.lock().unwrap();
    // Thousands of the random calls fail.
    if lines.len() > 2000 {
        lines.clear();
    }
    lines.push(text);
}

/// Whether a line was written that holds `text`.
pub fn logged(text: &str) -> bool {
    LINES.lock().unwrap().iter().any(|l| l.contains(text))
}

/// The lines written last.
pub fn last_lines() -> String {
    let lines = LINES.lock().unwrap();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

// These are variadic in C. Integers and pointers arrive in the same way as those of an ordinary function.
unsafe extern "C" fn plugin_log(
    plugin: *mut *mut c_void,
    level: c_int,
    format: *const c_char,
    text: *const c_char,
) -> c_int {
    unsafe {
        if *plugin != PLUGIN_HANDLE.load(Ordering::SeqCst) || CStr::from_ptr(format) != c"%s" {
            abort("my_plugin_log_message got a wrong handle or format");
        }
        line(format!("{level} {}", CStr::from_ptr(text).to_string_lossy()));
    }
    0
}

unsafe extern "C" fn emit(
    component: *const c_char,
    file: *const c_char,
    _line: c_int,
    severity: c_int,
    number: c_int,
    first: *const c_char,
    second: *const c_char,
) -> c_int {
    unsafe {
        let _ = (CStr::from_ptr(component), CStr::from_ptr(file));
        let text = match number as u32 {
            KX_MESSAGE_TEXT => CStr::from_ptr(first).to_string_lossy().into_owned(),
            KX_MESSAGE_NOT_AES | KX_MESSAGE_NOT_FOUND => {
                format!("{number} {:?} {:?}", CStr::from_ptr(first), CStr::from_ptr(second))
            }
            _ => number.to_string(),
        };
        line(format!("{severity} {text}"));
    }
    0
}

pub static PLUGIN_HANDLE: AtomicPtr<c_void> = AtomicPtr::new(0x7000 as *mut c_void);

type PluginLog = unsafe extern "C" fn(*mut *mut c_void, c_int, *const c_char, ...) -> c_int;
type Emit = unsafe extern "C" fn(*const c_char, *const c_char, c_int, c_int, c_int, ...) -> c_int;

pub fn log_service() -> kx_log_service {
    let function: *const () = plugin_log as *const ();
    kx_log_service {
        my_plugin_log_message: Some(unsafe { std::mem::transmute::<*const (), PluginLog>(function) }),
    }
}

/// Whether the registry has `mysql_simple_error_log`.
pub static HAS_LOG: AtomicBool = AtomicBool::new(true);
/// Services that were acquired and not released.
pub static ACQUIRED: AtomicI64 = AtomicI64::new(0);

unsafe extern "C" fn acquire(name: *const c_char, service: *mut *mut c_void) -> c_int {
    if unsafe { CStr::from_ptr(name) } != c"mysql_simple_error_log" || !HAS_LOG.load(Ordering::SeqCst) {
        return 1;
    }
    ACQUIRED.fetch_add(1, Ordering::SeqCst);
    let function: *const () = emit as *const ();
    let table =
        kx_simple_error_log { emit: Some(unsafe { std::mem::transmute::<*const (), Emit>(function) }) };
    unsafe { *service = Box::into_raw(Box::new(table)).cast() };
    0
}

unsafe extern "C" fn release(service: *mut c_void) -> c_int {
    ACQUIRED.fetch_sub(1, Ordering::SeqCst);
    drop(unsafe { Box::from_raw(service.cast::<kx_simple_error_log>()) });
    0
}

pub static REGISTRY: kx_registry =
    kx_registry { acquire: Some(acquire), acquire_related: None, release: Some(release) };
