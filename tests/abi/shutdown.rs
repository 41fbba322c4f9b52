// SPDX-License-Identifier: GPL-2.0-or-later
//! The end of the component in MySQL 8.0 and 8.4, which hold the registry's lock for writing meanwhile.

use crate::component::store;
use crate::hosts::{Component, Dir};
use crate::stubs;
use keyring_external::abi::sys::kx_registry;
use std::ffi::{c_char, c_int, c_void};
use std::sync::mpsc::channel;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

/// Far longer than any step here takes.
const HANG: Duration = Duration::from_secs(120);

static LOCK: RwLock<()> = RwLock::new(());

unsafe extern "C" fn acquire(name: *const c_char, service: *mut *mut c_void) -> c_int {
    let _lock = LOCK.read();
    unsafe { stubs::REGISTRY.acquire.unwrap()(name, service) }
}

unsafe extern "C" fn release(service: *mut c_void) -> c_int {
    let _lock = LOCK.read();
    unsafe { stubs::REGISTRY.release.unwrap()(service) }
}

static REGISTRY: kx_registry =
    kx_registry { acquire: Some(acquire), acquire_related: None, release: Some(release) };

#[test]
fn copies_are_seen_to_and_deinit_ends_while_the_registry_is_locked() {
    let dir = Dir::new();
    let (mirror, away) = (dir.path().join("mirror"), dir.path().join("away"));
    dir.configure_with_mirror(&mirror);
    let component = Arc::new(Component::open(&dir));
    component.link(&REGISTRY);
    assert_eq!((component.init(), component.load()), (0, 0));
    std::fs::rename(&mirror, &away).unwrap();
    assert_eq!(store(&component, c"k", b"data"), 0);
    assert!(stubs::logged(&format!("the copy {} is out of use", mirror.display())));

    let locked = LOCK.write().unwrap();
    // Only the thread that looks after the copies writes to the mirror, and it logs a line then.
    std::fs::rename(&away, &mirror).unwrap();
    let until = Instant::now() + HANG;
    while std::fs::read(&mirror).unwrap() != std::fs::read(dir.keyring()).unwrap() {
        assert!(Instant::now() < until, "the mirror is not brought up to date");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (send, ended) = channel();
    std::thread::spawn({
        let component = Arc::clone(&component);
        move || send.send(component.deinit())
    });
    assert_eq!(ended.recv_timeout(HANG), Ok(0), "deinit waits for a thread that waits for the registry");
    drop(locked);
    let told = format!("the copy {} is up to date again", mirror.display());
    assert!(!stubs::logged(&told), "that went to standard error");
}
