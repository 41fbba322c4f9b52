// SPDX-License-Identifier: GPL-2.0-or-later
//! Opens the library as mysqld opens a component.

use super::dir::{Dir, symbol};
use crate::stubs;
use keyring_external::abi::sys::*;
use libloading::os::unix::Library;
use std::ffi::{CStr, CString, c_int, c_void};

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
    /// The service of this project's own.
    pub variables: *const kx_keyring_external_status,
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
            assert_eq!(services.len(), 9);
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
                variables: services["keyring_external_status"].cast(),
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
