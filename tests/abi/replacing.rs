// SPDX-License-Identifier: GPL-2.0-or-later
//! `SET GLOBAL keyring_external_data` while other sessions store and fetch keys.

use crate::hosts::{Dir, Plugin};
use crate::stubs;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::load;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use std::collections::BTreeSet;
use std::ffi::{CString, c_void};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::Arc;
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

/// Runs `replace` while threads generate keys, which must all be acknowledged. Returns their ids.
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
        // The threads must end even if it fails.
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
    // Both keyrings have the same unlock secret.
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

/// The copy at `path` goes its own way, with a data key of its own.
fn make_foreign(dir: &Dir, path: &Path) {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let (keyring, _) = load(&Places::from(&fs), path, &dir.unlock().parse().unwrap()).unwrap();
    let name = NameRef::new(b"theirs", b"").unwrap();
    keyring.generate(name, &KeyType::new(b"AES").unwrap(), 32).unwrap();
    keyring.rekey(&[], false).unwrap();
}

/// Sessions that store keys need the unlock secret for a copy with another data key, and the command that should print
/// it hangs. Only one of them may wait for it, so that the administrator can replace the keyring soon.
#[test]
fn an_unlock_command_that_hangs_delays_a_replacement_once() {
    let dir = Dir::new();
    let [mirror, foreign, runs, go_on] =
        ["mirror", "foreign", "runs", "go on"].map(|name| dir.path().join(name));
    std::fs::copy(dir.keyring(), &mirror).unwrap();
    std::fs::copy(dir.keyring(), &foreign).unwrap();
    make_foreign(&dir, &foreign);
    // It prints the secret until there is a file of its runs. Then it waits for another file and fails; a command that
    // fails within a second is run again at once.
    let script = format!(
        "#!/bin/sh\n[ -e '{runs}' ] || exec cat '{secret}'\necho run >> '{runs}'\n\
         until [ -e '{go_on}' ]; do sleep 0.1; done\nsleep 1.1\nexit 1\n",
        runs = runs.display(),
        secret = dir.path().join("secret").display(),
        go_on = go_on.display(),
    );
    let command = dir.write("command", script.as_bytes());
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o700)).unwrap();
    let plugin = Plugin::set_up(&dir);
    plugin.set("mirrors", mirror.to_str().unwrap());
    plugin.set("unlock", &format!("command:{}", command.display()));
    assert_eq!(plugin.init(), 0, "{}", stubs::last_lines());
    assert!(generate(&plugin, "ours"));
    std::fs::write(&runs, "").unwrap();
    std::fs::rename(&foreign, &mirror).unwrap();
    plugin.set("mirrors", "");
    plugin.set("unlock", &dir.unlock());

    let lines = || std::fs::read_to_string(&runs).unwrap().lines().count();
    let stored = thread::scope(|scope| {
        let sessions: Vec<_> = (0..THREADS)
            .map(|thread| {
                let plugin = &plugin;
                scope.spawn(move || generate(plugin, &format!("session {thread}")))
            })
            .collect();
        while lines() == 0 {
            thread::sleep(Duration::from_millis(10));
        }
        std::fs::write(&go_on, "").unwrap();
        assert!(plugin.assign("data", dir.keyring().to_str().unwrap()), "{}", stubs::last_lines());
        sessions.into_iter().map(|session| session.join().unwrap()).filter(|stored| *stored).count()
    });
    // Who came after the replacement stored its key in the keyring that is in use now.
    assert!(stored < THREADS, "the session that waited for the command stored a key");
    assert_eq!(lines(), 1, "the command was run again");
    assert!(generate(&plugin, "stored") && fetch(&plugin, "ours") == (true, true));
    assert_eq!(plugin.deinit(), 0);
}
