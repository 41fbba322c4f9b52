// SPDX-License-Identifier: GPL-2.0-or-later
//! The component: what a load refuses, orders of init, load and deinit, and what stays in use when a reload fails.

use crate::hosts::{Component, Dir};
use crate::stubs;
use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::Ordering;

pub fn store(component: &Component, id: &CStr, data: &[u8]) -> i32 {
    unsafe {
        component.writer.store.unwrap()(id.as_ptr(), null(), data.as_ptr(), data.len(), c"whatever".as_ptr())
    }
}

pub fn open(component: &Component, id: &CStr) -> Result<*mut c_void, ()> {
    let mut reader = 7 as *mut c_void;
    match unsafe { component.reader.init.unwrap()(id.as_ptr(), null(), &mut reader) } {
        0 => Ok(reader),
        _ => {
            assert!(reader.is_null());
            Err(())
        }
    }
}

/// The data behind a reader.
pub fn read(component: &Component, reader: *mut c_void) -> Option<Vec<u8>> {
    let (mut len, mut type_len) = (0, 0);
    if unsafe { component.reader.fetch_length.unwrap()(reader, &mut len, &mut type_len) } != 0 {
        return None;
    }
    let (mut data, mut kind) = (vec![0; len], vec![0; type_len]);
    let (mut got, mut type_got) = (0, 0);
    let fetched = unsafe {
        component.reader.fetch.unwrap()(
            reader,
            data.as_mut_ptr(),
            len,
            &mut got,
            kind.as_mut_ptr().cast(),
            type_len,
            &mut type_got,
        )
    };
    assert_eq!((fetched, got, type_got), (0, len, type_len));
    assert_eq!(kind, b"whatever");
    Some(data)
}

#[test]
fn a_load_refuses_at_every_step_and_the_status_says_why() {
    let dir = Dir::new();
    let component = Component::open(&dir);
    assert_eq!(component.init(), 0);
    let refused = |why: &str| {
        assert_eq!(component.load(), 1, "{why}");
        assert!(stubs::logged(why), "not logged: {why}");
        assert!(!component.is_active());
        assert!(component.row("Last_error").contains(why), "{:?}", component.rows());
        assert_eq!(component.row("Component_status"), "Disabled");
        assert_eq!(component.row("State"), "UNAVAILABLE");
        assert_eq!(open(&component, c"k"), Err(()));
        assert_eq!(store(&component, c"k", b"data"), 1);
    };
    assert_eq!(component.rows()[0], ("Component_name".to_owned(), "component_keyring_external".to_owned()));
    refused("cannot read config file");
    dir.configure("{");
    refused("has not valid format");
    dir.configure(r#"{"path": "/v/k", "unlock": "hunter2"}"#);
    refused("the unlock source does not begin with a kind");
    dir.configure(r#"{"read_local_config": true}"#);
    refused("the server has none");
    let path = dir.keyring();
    let path = path.display();
    dir.configure(&format!(r#"{{"path": "{path}.none", "unlock": "{}"}}"#, dir.unlock()));
    refused("there is no keyring at");
    dir.configure(&format!(r#"{{"path": "{path}", "unlock": "env:KX_NO_SUCH_VARIABLE"}}"#));
    refused("the variable is not set");
    dir.configure(&format!(r#"{{"path": "{path}", "mirrors": ["{path}"], "unlock": "{}"}}"#, dir.unlock()));
    refused("is named twice");
    assert_eq!(component.row("Data_file"), path.to_string());
    assert!(component.rows().iter().all(|(_, value)| !value.contains("hunter2")));
    dir.configure_well();
    assert_eq!(component.load(), 0, "nothing of all this did any harm");
    assert!(component.is_active());
    assert_eq!((component.row("State"), component.row("Last_error")), ("ATTACHED".into(), String::new()));
    unsafe {
        let load = component.load.load.unwrap();
        assert_eq!(load(null(), null()), 1);
        assert_eq!(load(crate::arguments::endless_of(4097), null()), 1);
    }
    assert!(component.is_active(), "what was in use goes on");
    assert_eq!(component.deinit(), 0);
}

#[test]
fn a_failed_reload_leaves_the_keyring_and_its_configuration() {
    let dir = Dir::new();
    let component = Component::set_up(&dir);
    assert_eq!(store(&component, c"k", b"data"), 0);
    let before = open(&component, c"k").unwrap();
    for bad in ["", r#"{"path": "/nowhere/k", "unlock": "env:HOME"}"#] {
        dir.configure(bad);
        assert_eq!(component.load(), 1);
        assert!(component.is_active());
        assert_eq!(component.row("Data_file"), dir.keyring().display().to_string());
        assert_ne!(component.row("Last_error"), "");
        assert_eq!(store(&component, c"k", b"data"), 1, "a duplicate");
        assert_eq!(read(&component, open(&component, c"k").unwrap()), Some(b"data".to_vec()));
    }
    // Back to the same keyring: a reader that was open stays usable.
    dir.configure_well();
    assert_eq!(component.load(), 0);
    assert_eq!(component.row("Last_error"), "");
    assert_eq!(read(&component, before), Some(b"data".to_vec()));
    // To another one.
    let other = Dir::new();
    dir.configure(&format!(
        r#"{{"path": "{}", "unlock": "{}", "allow_same_device": true, "read_only": true}}"#,
        other.keyring().display(),
        other.unlock()
    ));
    assert_eq!(component.load(), 0);
    assert!(stubs::logged("1 keys of the keyring at"));
    assert_eq!(open(&component, c"k"), Ok(null_mut()));
    assert_eq!(store(&component, c"l", b"data"), 1);
    assert!(stubs::logged("is read-only"));
    assert_eq!((component.row("Read_only"), component.row("State")), ("Yes".into(), "READ_ONLY".into()));
    assert_eq!(component.deinit(), 0);
}

#[test]
fn a_reader_answers_what_its_key_is_now() {
    let dir = Dir::new();
    let component = Component::set_up(&dir);
    assert_eq!(store(&component, c"k", b"data"), 0);
    let (reader, other) = (open(&component, c"k").unwrap(), open(&component, c"k").unwrap());
    let remove = || unsafe { component.writer.remove.unwrap()(c"k".as_ptr(), null()) };
    assert_ne!(reader, other);
    for data in [&b"as long"[..], b"longer by some", b"shorter"] {
        assert_eq!((read(&component, reader).is_some(), remove()), (true, 0));
        assert_eq!((read(&component, reader), read(&component, other)), (None, None));
        assert_eq!(store(&component, c"k", data), 0);
        assert_eq!(
            (read(&component, reader), read(&component, other)),
            (Some(data.into()), Some(data.into()))
        );
    }
    for handle in [other, reader, reader] {
        assert_eq!(unsafe { component.reader.deinit.unwrap()(handle) }, 0);
        assert_eq!(read(&component, handle), None);
    }
    // The readers are used again, their handles are not.
    let again: Vec<_> = (0..100).map(|_| open(&component, c"k").unwrap()).collect();
    assert!(!again.contains(&reader) && !again.contains(&other));
    assert_eq!((read(&component, reader), read(&component, other)), (None, None));
    assert_eq!(read(&component, again[99]), Some(b"shorter".to_vec()));
    assert_eq!(component.deinit(), 0);
}

#[test]
fn init_load_and_deinit_in_every_order() {
    let dir = Dir::new();
    dir.configure_well();
    let component = Component::open(&dir);
    assert_eq!(store(&component, c"k", b"data"), 1);
    assert!(!component.is_active());
    assert_eq!(component.deinit(), 0);
    assert_eq!(component.load(), 0, "nothing in it needs init");
    assert_eq!(component.init(), 0);
    assert_eq!(component.init(), 0);
    assert_eq!(component.load(), 0);
    assert_eq!(store(&component, c"k", b"data"), 0);
    let reader = open(&component, c"k").unwrap();
    let mut iterator = null_mut();
    assert_eq!(unsafe { component.iterator.init.unwrap()(&mut iterator) }, 0);
    assert_eq!(component.deinit(), 0);
    assert_eq!(component.deinit(), 0);
    assert!(!component.is_active());
    assert_eq!(open(&component, c"k"), Err(()));
    unsafe {
        // A handle can be closed, more than once, and only by its own kind.
        assert_eq!(component.iterator.is_valid.unwrap()(reader), 0);
        assert_eq!(component.iterator.deinit.unwrap()(reader), 0);
        assert!(read(&component, reader).is_some());
        assert!(read(&component, iterator).is_none());
        assert_eq!(component.iterator.is_valid.unwrap()(iterator), 1);
        for _ in 0..2 {
            assert_eq!(component.reader.deinit.unwrap()(reader), 0);
            assert_eq!(component.iterator.deinit.unwrap()(iterator), 0);
            assert!(read(&component, reader).is_none());
            assert_eq!(component.iterator.is_valid.unwrap()(iterator), 0);
        }
        assert_eq!(component.reader.deinit.unwrap()(null_mut()), 0);
    }
    assert_eq!(component.init(), 0);
    assert_eq!(component.load(), 0);
    assert_eq!(read(&component, open(&component, c"k").unwrap()), Some(b"data".to_vec()));
    assert_eq!(component.deinit(), 0);
}

#[test]
fn it_works_without_an_error_log_and_without_a_registry() {
    let dir = Dir::new();
    dir.configure_well();
    let component = Component::open(&dir);
    component.link(null());
    assert_eq!(component.init(), 0);
    assert_eq!(component.load(), 0);
    assert_eq!(store(&component, c"", b"data"), 1);
    component.link(&stubs::REGISTRY);
    stubs::HAS_LOG.store(false, Ordering::SeqCst);
    let stored = store(&component, c"", b"data");
    stubs::HAS_LOG.store(true, Ordering::SeqCst);
    assert_eq!(stored, 1);
    assert_eq!(component.deinit(), 0);
}

/// Nothing is written before the first change after the server has dropped its privileges. Only root can test that.
#[test]
fn nothing_is_written_while_the_server_is_still_root() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let dir = Dir::new();
    let mirror = dir.path().join("mirror");
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("mysql.ibd"), b"").unwrap();
    std::os::unix::fs::chown(&data, Some(65534), None).unwrap();
    std::fs::copy(dir.keyring(), &mirror).unwrap();
    let damaged = std::fs::OpenOptions::new().append(true).open(&mirror).unwrap();
    damaged.set_len(16384 / 2).unwrap();
    let state = || (std::fs::read(&mirror).unwrap(), std::fs::read_dir(&data).unwrap().count());
    let before = state();
    dir.configure(&format!(
        r#"{{"path": "{}", "mirrors": ["{}"], "unlock": "{}", "allow_same_device": true, "auto_create": true}}"#,
        dir.keyring().display(),
        mirror.display(),
        dir.unlock()
    ));
    let component = Component::open(&dir);
    assert_eq!(component.init(), 0);
    let data = std::ffi::CString::new(data.to_str().unwrap()).unwrap();
    let loaded = unsafe { component.load.load.unwrap()(component_path(&dir).as_ptr(), data.as_ptr()) };
    assert_eq!(loaded, 0);
    assert_eq!(state(), before, "a load changed something");
    assert_eq!(store(&component, c"k", b"data"), 0);
    let after = state();
    assert!(
        after.0 == std::fs::read(dir.keyring()).unwrap() && after.1 == before.1 + 1,
        "healed and witnessed"
    );
    assert_eq!(component.deinit(), 0);
}

fn component_path(dir: &Dir) -> std::ffi::CString {
    std::ffi::CString::new(dir.path().to_str().unwrap()).unwrap()
}
