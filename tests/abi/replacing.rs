// SPDX-License-Identifier: GPL-2.0-or-later
//! `SET GLOBAL keyring_external_data` while other sessions store and fetch keys.

use crate::hosts::{Dir, Plugin};
use crate::stubs;
use std::collections::BTreeSet;
use std::ffi::{CString, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const THREADS: usize = 6;

fn generate(plugin: &Plugin, id: &str) -> bool {
    let id = CString::new(id).unwrap();
    unsafe { !plugin.keyring.generate.unwrap()(id.as_ptr(), c"AES".as_ptr(), null(), 32) }
}

/// Whether the call succeeded, and found the key.
fn fetch(plugin: &Plugin, id: &str) -> (bool, bool) {
    let id = CString::new(id).unwrap();
    let (mut kind, mut key, mut len) = (null_mut(), null_mut::<c_void>(), 0);
    let failed = unsafe { plugin.keyring.fetch.unwrap()(id.as_ptr(), &mut kind, null(), &mut key, &mut len) };
    if !key.is_null() {
        stubs::server_free(key);
        stubs::server_free(kind.cast());
    }
    (!failed, !key.is_null())
}

/// Runs `replace` while threads make keys; answers the ids of those that were acknowledged. All of them were.
fn while_keys_are_made(plugin: &Plugin, replace: impl FnOnce()) -> BTreeSet<String> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let make = |thread: usize| {
            let mut made = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let id = format!("{thread} {}", made.len());
                assert!(generate(plugin, &id), "{}", stubs::last_lines());
                assert!(fetch(plugin, &id).0);
                made.push(id);
            }
            made
        };
        let makers: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || make(thread))).collect();
        // Whatever becomes of it, the threads must end.
        let replaced = std::panic::catch_unwind(std::panic::AssertUnwindSafe(replace));
        stop.store(true, Ordering::Relaxed);
        let made = makers.into_iter().flat_map(|maker| maker.join().unwrap()).collect();
        replaced.unwrap();
        made
    })
}

#[test]
fn no_key_is_lost_when_the_keyring_is_opened_again() {
    let _turn = stubs::ALLOCATOR.lock().unwrap_or_else(|e| e.into_inner());
    let dir = Dir::new();
    let plugin = Plugin::set_up(&dir);
    assert_eq!(plugin.init(), 0);
    let made = while_keys_are_made(&plugin, || {
        for _ in 0..20 {
            assert!(plugin.assign("data", dir.keyring().to_str().unwrap()), "{}", stubs::last_lines());
        }
    });
    assert!(made.iter().all(|id| fetch(&plugin, id) == (true, true)));
    assert_eq!(plugin.deinit(), 0);
    assert_eq!(BTreeSet::from_iter(dir.ids()), made);
}

/// A call that waits while the keyring is replaced is made on the new one.
#[test]
fn a_keyring_that_was_replaced_is_not_changed_any_more() {
    let _turn = stubs::ALLOCATOR.lock().unwrap_or_else(|e| e.into_inner());
    let dirs = [Dir::new(), Dir::new()];
    let plugin = Plugin::set_up(&dirs[0]);
    // Both are opened by secrets of the same bytes.
    assert_eq!(plugin.init(), 0);
    let made = while_keys_are_made(&plugin, || {
        for round in 0..10 {
            let (old, new) = (&dirs[round % 2], &dirs[(round + 1) % 2]);
            assert!(plugin.assign("data", new.keyring().to_str().unwrap()), "{}", stubs::last_lines());
            let replaced = std::fs::read(old.keyring()).unwrap();
            thread::sleep(Duration::from_millis(20));
            assert!(std::fs::read(old.keyring()).unwrap() == replaced, "the old keyring was changed");
        }
    });
    assert_eq!(plugin.deinit(), 0);
    let [first, second] = dirs.map(|dir| BTreeSet::from_iter(dir.ids()));
    assert!(!second.is_empty() && first.is_disjoint(&second));
    assert_eq!(&first | &second, made);
}

#[test]
fn a_keyring_that_is_refused_changes_nothing() {
    let dir = Dir::new();
    let plugin = Plugin::set_up(&dir);
    assert_eq!(plugin.init(), 0);
    assert!(generate(&plugin, "key"));
    let older = dir.path().join("older");
    std::fs::copy(dir.keyring(), &older).unwrap();
    assert!(generate(&plugin, "another key"));
    for refused in [older.to_str().unwrap(), "/no/such/keyring", "relative", ""] {
        assert!(!plugin.assign("data", refused), "{refused}");
    }
    assert_eq!(plugin.value("data"), dir.keyring().to_str().unwrap());
    assert_eq!(fetch(&plugin, "another key"), (true, true));
    assert!(generate(&plugin, "a third key"));
    assert!(plugin.assign("data", dir.keyring().to_str().unwrap()));
    assert_eq!(plugin.deinit(), 0);
}
