// SPDX-License-Identifier: GPL-2.0-or-later
//! The server's side of a keyring component, ours or another: the library is opened with dlopen, the services
//! that it asks for answer nothing, and its own are called as the server calls them.

use keyring_external::abi::sys::{
    kx_component, kx_keyring_generator, kx_keyring_load, kx_keyring_reader, kx_keyring_writer, kx_registry,
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{null, null_mut};

/// Type of all keys here.
pub const KEY_TYPE: &CStr = c"AES";
/// Bytes of all keys here, as InnoDB's master keys have.
pub const KEY_LEN: usize = 32;

/// A component of which init was called.
pub struct Component {
    name: String,
    load: kx_keyring_load,
    reader: kx_keyring_reader,
    writer: kx_keyring_writer,
    generator: kx_keyring_generator,
    _library: Library,
}

// SAFETY: tables of functions that the server calls from all its threads, too.
unsafe impl Sync for Component {}

/// The registry knows no service: what a component would have liked to have beyond those it names is missing.
unsafe extern "C" fn acquire(_name: *const c_char, service: *mut *mut c_void) -> c_int {
    if !service.is_null() {
        // SAFETY: not NULL, so it is the caller's variable.
        unsafe { *service = null_mut() };
    }
    1
}

unsafe extern "C" fn release(_service: *mut c_void) -> c_int {
    0
}

static REGISTRY: kx_registry =
    kx_registry { acquire: Some(acquire), acquire_related: None, release: Some(release) };

/// Stands for every function of every other service: success, or NULL where an address is the answer. An error
/// log that gives out no line is asked for nothing more.
unsafe extern "C" fn nothing() -> *mut c_void {
    null_mut()
}

/// More functions than any of those services has.
static OTHER_SERVICE: [unsafe extern "C" fn() -> *mut c_void; 64] = [nothing; 64];

/// Runs C functions with names and buffers that live as long as the call.
impl Component {
    /// Opens a library and initialises the component in it.
    pub fn open(library: &Path) -> Result<Component, String> {
        let failed = |e: libloading::Error| format!("{}: {e}", library.display());
        type List = unsafe extern "C" fn() -> *const kx_component;
        // SAFETY: a component's library, by its interface: descriptor, lists that end in a NULL name, places for
        // the services that it requires, and tables of the services that it provides.
        unsafe {
            let opened = Library::open(Some(library), RTLD_NOW | RTLD_LOCAL).map_err(failed)?;
            let list: List = *opened.get(b"list_components\0").map_err(failed)?;
            let component = list();
            let name = CStr::from_ptr((*component).name).to_string_lossy().into_owned();
            let mut required = (*component).requires_;
            while !(*required).name.is_null() {
                let is_registry = CStr::from_ptr((*required).name) == c"registry";
                let table: *const c_void =
                    if is_registry { (&raw const REGISTRY).cast() } else { OTHER_SERVICE.as_ptr().cast() };
                *(*required).place = table.cast_mut();
                required = required.add(1);
            }
            let provided = |service: &str| {
                let wanted = CString::new(format!("{service}.{name}")).expect("no zero in it");
                let mut at = (*component).provides;
                while !(*at).name.is_null() && CStr::from_ptr((*at).name) != wanted.as_c_str() {
                    at = at.add(1);
                }
                let found = !(*at).name.is_null();
                found.then_some((*at).implementation).ok_or(format!("{name} has no service {service}"))
            };
            let (load, reader, writer, generator) = (
                *provided("keyring_load")?.cast(),
                *provided("keyring_reader_with_status")?.cast(),
                *provided("keyring_writer")?.cast(),
                *provided("keyring_generator")?.cast(),
            );
            let init = (*component).init.ok_or("no init")?;
            if init() != 0 {
                return Err(format!("{name}: init failed"));
            }
            Ok(Component { name, load, reader, writer, generator, _library: opened })
        }
    }

    /// keyring_load, as at the server's start.
    pub fn load(&self, plugin_dir: &Path, datadir: &Path) -> Result<(), String> {
        let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).expect("no zero in it");
        let (plugin_dir, datadir) = (text(plugin_dir), text(datadir));
        // SAFETY: C strings.
        let failed = unsafe { self.load.load.expect("keyring_load")(plugin_dir.as_ptr(), datadir.as_ptr()) };
        if failed == 0 { Ok(()) } else { Err(format!("{}: keyring_load failed", self.name)) }
    }

    /// Stores a key of the server itself.
    pub fn store(&self, id: &CStr, data: &[u8]) -> bool {
        let store = self.writer.store.expect("keyring_writer");
        // SAFETY: C strings, and a buffer with its length.
        unsafe { store(id.as_ptr(), null(), data.as_ptr(), data.len(), KEY_TYPE.as_ptr()) == 0 }
    }

    /// Makes a key.
    pub fn generate(&self, id: &CStr) -> bool {
        let generate = self.generator.generate.expect("keyring_generator");
        // SAFETY: C strings.
        unsafe { generate(id.as_ptr(), null(), KEY_TYPE.as_ptr(), KEY_LEN) == 0 }
    }

    /// Removes a key.
    pub fn remove(&self, id: &CStr) -> bool {
        // SAFETY: C strings.
        unsafe { self.writer.remove.expect("keyring_writer")(id.as_ptr(), null()) == 0 }
    }

    /// Fetches a key as the server does: opens a reader, asks for lengths, takes the bytes, closes it. Whether
    /// it was there, with as many bytes as all have.
    #[inline]
    pub fn fetch(&self, id: &CStr) -> bool {
        let mut data: [c_uchar; KEY_LEN] = [0; KEY_LEN];
        let mut kind: [c_char; 8] = [0; 8];
        let (mut len, mut kind_len, mut reader) = (0, 0, null_mut());
        let service = &self.reader;
        // SAFETY: a C string, variables of this function, and buffers with their lengths.
        unsafe {
            if service.init.expect("init")(id.as_ptr(), null(), &raw mut reader) != 0 || reader.is_null() {
                return false;
            }
            let sized = service.fetch_length.expect("fetch_length")(reader, &raw mut len, &raw mut kind_len);
            let fits = sized == 0 && len == KEY_LEN && kind_len <= kind.len();
            let fetched = fits
                && service.fetch.expect("fetch")(
                    reader,
                    data.as_mut_ptr(),
                    len,
                    &raw mut len,
                    kind.as_mut_ptr(),
                    kind_len,
                    &raw mut kind_len,
                ) == 0;
            let closed = service.deinit.expect("deinit")(reader) == 0;
            std::hint::black_box(&data);
            fetched && closed
        }
    }
}
