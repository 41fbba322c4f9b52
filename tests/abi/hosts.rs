// SPDX-License-Identifier: GPL-2.0-or-later
//! Opens the library as mysqld opens a plugin and a component.

use crate::stubs;
use keyring_external::abi::sys::*;
use keyring_external::format::cost::Cost;
use keyring_external::key::KeyName;
use keyring_external::keyring::{NewKeyring, load};
use keyring_external::secret::Locked;
use keyring_external::secret::UnlockSecret;
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::unlock::UnlockSource;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A directory with a keyring, its secret and copies of the library. It vanishes.
pub struct Dir(tempfile::TempDir);

impl Dir {
    pub fn new() -> Dir {
        // In memory where that is possible: no test here is about a disk.
        let base = ["/dev/shm", "/tmp"].into_iter().find(|d| tempfile::tempdir_in(d).is_ok()).unwrap();
        let dir = tempfile::Builder::new().prefix("kxabi").tempdir_in(base).unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let dir = Dir(dir);
        dir.write("secret", &[0xf0; 32]);
        let secret = UnlockSecret::new(Locked::copy_of(&[0xf0; 32]).unwrap());
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        NewKeyring::new("", &secret, "test", Cost::NONE).unwrap().write(&fs, &[dir.keyring()]).unwrap();
        dir
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn keyring(&self) -> PathBuf {
        self.path().join("keyring")
    }

    /// The ids of the keys in the file of the keyring.
    pub fn ids(&self) -> Vec<String> {
        let unlock: UnlockSource = self.unlock().parse().unwrap();
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let (keyring, _) = load(&fs, &self.keyring(), &unlock).unwrap();
        let id = |name: &KeyName| String::from_utf8(name.as_ref().id().to_vec()).unwrap();
        keyring.names().iter().map(id).collect()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A source for the secret.
    pub fn unlock(&self) -> String {
        format!("file:{}", self.path().join("secret").display())
    }

    /// The component's configuration.
    pub fn configure(&self, text: &str) {
        self.write("component_keyring_external.cnf", text.as_bytes());
    }

    pub fn configure_well(&self) {
        self.configure(&format!(
            r#"{{"path": "{}", "unlock": "{}", "allow_same_device": true}}"#,
            self.keyring().display(),
            self.unlock()
        ));
    }

    /// The library from a file of its own, so that its statics are fresh.
    fn open(&self) -> Library {
        let built = std::env::var_os("KX_LIBRARY").map_or_else(
            || std::env::current_exe().unwrap().parent().unwrap().join("libkeyring_external.so"),
            PathBuf::from,
        );
        let copy = (0..).map(|i| self.path().join(format!("library{i}.so"))).find(|p| !p.exists()).unwrap();
        std::fs::copy(&built, &copy).unwrap_or_else(|e| panic!("{}: {e}", built.display()));
        unsafe { Library::open(Some(&copy), RTLD_NOW | RTLD_LOCAL) }.unwrap()
    }
}

fn symbol<T>(library: &Library, name: &str) -> *mut T {
    let symbol = unsafe { library.get::<*mut c_void>(name.as_bytes()) };
    symbol.unwrap_or_else(|e| panic!("{name}: {e}")).into_raw().cast()
}

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

    /// `SET GLOBAL`: checks the value, and if it is accepted, updates the variable. Whether it was.
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
            // A copy of the server's own, which the variable has from now on.
            let copy = CStr::from_ptr(save).to_owned().into_raw();
            let target = (*variable.cast::<kx_sysvar_str>()).value;
            (*variable).update.unwrap()(thd, variable, target.cast(), (&raw const copy).cast());
        }
        true
    }

    /// What a text variable shows.
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

    /// All status variables: name and value.
    pub fn status(&self) -> Vec<(String, String)> {
        let mut list = unsafe { (*self.descriptor).status_vars };
        let mut shown = Vec::new();
        while let name @ Some(_) = unsafe { (*list).name.as_ref() } {
            let name = unsafe { CStr::from_ptr(name.unwrap()) }.to_str().unwrap().to_owned();
            let mut buffer = [0x7f as c_char; KX_SHOW_BUFFER as usize + 16];
            let mut out =
                kx_show_var { name: std::ptr::null(), value: std::ptr::null_mut(), type_: 0, scope: 0 };
            unsafe {
                let function = (*list).value.cast::<c_void>();
                let show = std::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut c_void, *mut kx_show_var, *mut c_char) -> c_int,
                >(function);
                assert_eq!(show(std::ptr::null_mut(), &mut out, buffer.as_mut_ptr()), 0);
                assert_eq!(show(std::ptr::null_mut(), std::ptr::null_mut(), buffer.as_mut_ptr()), 1);
                assert_eq!(show(std::ptr::null_mut(), &mut out, std::ptr::null_mut()), 1);
                shown.push((
                    name,
                    match out.type_ as u32 {
                        KX_SHOW_LONGLONG => out.value.cast::<u64>().read_unaligned().to_string(),
                        _ => CStr::from_ptr(out.value).to_str().unwrap().to_owned(),
                    },
                ));
                list = list.add(1);
            }
            assert!(buffer[KX_SHOW_BUFFER as usize..].iter().all(|b| *b == 0x7f), "written past the buffer");
        }
        shown
    }
}

/// The library as a component.
pub struct Component {
    pub descriptor: *const kx_component,
    pub aes: kx_keyring_aes,
    pub generator: kx_keyring_generator,
    pub load: kx_keyring_load,
    pub iterator: kx_keyring_keys_metadata_iterator,
    pub status: kx_keyring_component_status,
    pub metadata: kx_keyring_component_metadata_query,
    pub reader: kx_keyring_reader,
    pub writer: kx_keyring_writer,
    place: *mut *const kx_registry,
    path: CString,
    _library: Library,
}

unsafe impl Send for Component {}
unsafe impl Sync for Component {}

impl Component {
    /// Loaded, with the registry put in its place; init was not called.
    pub fn open(dir: &Dir) -> Component {
        let library = dir.open();
        type List = unsafe extern "C" fn() -> *const kx_component;
        let list = unsafe { std::mem::transmute::<*mut c_void, List>(symbol(&library, "list_components")) };
        unsafe {
            let descriptor = list();
            assert_eq!(CStr::from_ptr((*descriptor).name), c"component_keyring_external");
            let mut services = std::collections::HashMap::new();
            let mut provided = (*descriptor).provides;
            while !(*provided).name.is_null() {
                let name = CStr::from_ptr((*provided).name).to_str().unwrap();
                let (service, implementation) = name.split_once('.').unwrap();
                assert_eq!(implementation, "component_keyring_external");
                services.insert(service.to_owned(), (*provided).implementation);
                provided = provided.add(1);
            }
            assert_eq!(services.len(), 8);
            let required = (*descriptor).requires_;
            assert_eq!(CStr::from_ptr((*required).name), c"registry");
            assert!((*required.add(1)).name.is_null(), "nothing else that a migration tool may not have");
            let mut metadata = (*descriptor).metadata;
            while !(*metadata).key.is_null() {
                assert!(!CStr::from_ptr((*metadata).value).is_empty());
                metadata = metadata.add(1);
            }
            let component = Component {
                descriptor,
                aes: *services["keyring_aes"].cast(),
                generator: *services["keyring_generator"].cast(),
                load: *services["keyring_load"].cast(),
                iterator: *services["keyring_keys_metadata_iterator"].cast(),
                status: *services["keyring_component_status"].cast(),
                metadata: *services["keyring_component_metadata_query"].cast(),
                reader: *services["keyring_reader_with_status"].cast(),
                writer: *services["keyring_writer"].cast(),
                place: (*required).place.cast(),
                path: CString::new(dir.path().to_str().unwrap()).unwrap(),
                _library: library,
            };
            component.link(&stubs::REGISTRY);
            component
        }
    }

    /// Loaded, initialised, and with the directory's keyring open.
    pub fn set_up(dir: &Dir) -> Component {
        dir.configure_well();
        let component = Component::open(dir);
        assert_eq!(component.init(), 0);
        assert_eq!(component.load(), 0);
        component
    }

    /// Puts the registry in its place.
    pub fn link(&self, registry: *const kx_registry) {
        unsafe { *self.place = registry };
    }

    pub fn init(&self) -> c_int {
        unsafe { (*self.descriptor).init.unwrap()() }
    }

    pub fn deinit(&self) -> c_int {
        unsafe { (*self.descriptor).deinit.unwrap()() }
    }

    /// keyring_load, for the directory's configuration.
    pub fn load(&self) -> c_int {
        unsafe { self.load.load.unwrap()(self.path.as_ptr(), std::ptr::null()) }
    }

    pub fn is_active(&self) -> bool {
        unsafe { self.status.keyring_initialized.unwrap()() == 1 }
    }

    /// The rows of the status table, read as the server reads them.
    pub fn rows(&self) -> Vec<(String, String)> {
        let query = &self.metadata;
        let mut rows = Vec::new();
        unsafe {
            let mut handle = std::ptr::null_mut();
            assert_eq!(query.init.unwrap()(&mut handle), 0);
            while query.is_valid.unwrap()(handle) == 1 {
                let (mut key, mut value) = (0, 0);
                assert_eq!(query.get_length.unwrap()(handle, &mut key, &mut value), 0);
                assert!(key <= 256 && value <= 1024);
                let mut key = vec![0x7f; key];
                let mut value = vec![0x7f; value];
                let got = query.get.unwrap()(
                    handle,
                    key.as_mut_ptr().cast(),
                    key.len(),
                    value.as_mut_ptr().cast(),
                    value.len(),
                );
                assert_eq!(got, 0);
                let text =
                    |bytes: &[u8]| CStr::from_bytes_with_nul(bytes).unwrap().to_str().unwrap().to_owned();
                rows.push((text(&key), text(&value)));
                query.next.unwrap()(handle);
            }
            assert_eq!(query.next.unwrap()(handle), 1);
            assert_eq!(query.deinit.unwrap()(handle), 0);
        }
        rows
    }

    pub fn row(&self, key: &str) -> String {
        self.rows().into_iter().find(|(k, _)| k == key).unwrap_or_else(|| panic!("no row {key}")).1
    }
}
