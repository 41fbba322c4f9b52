// SPDX-License-Identifier: GPL-2.0-or-later
//! The plugin: what init refuses, orders of init and deinit, and what fetch allocates.

use crate::hosts::{Dir, Plugin};
use crate::stubs;
use keyring_external::abi::sys::{
    KX_VAR_BOOL, KX_VAR_INT, KX_VAR_MEMALLOC, KX_VAR_NOPERSIST, KX_VAR_OPCMDARG, KX_VAR_READONLY, KX_VAR_STR,
    KX_VAR_UNSIGNED,
};
use std::ffi::{CStr, c_void};
use std::os::unix::fs::PermissionsExt;
use std::ptr::{null, null_mut};

fn store(plugin: &Plugin, id: &CStr, data: &[u8]) -> bool {
    unsafe {
        plugin.keyring.store.unwrap()(id.as_ptr(), c"AES".as_ptr(), null(), data.as_ptr().cast(), data.len())
    }
}

/// `Err` for a failure, `None` for a key that does not exist.
fn fetch(plugin: &Plugin, id: &CStr) -> Result<Option<Vec<u8>>, ()> {
    let (mut kind, mut key, mut len) = (null_mut(), null_mut::<c_void>(), 0);
    let failed = unsafe { plugin.keyring.fetch.unwrap()(id.as_ptr(), &mut kind, null(), &mut key, &mut len) };
    if failed {
        assert!(key.is_null() && kind.is_null(), "a failed call hands out nothing");
        return Err(());
    }
    if key.is_null() {
        return Ok(None);
    }
    let bytes = unsafe { std::slice::from_raw_parts(key.cast::<u8>(), len) }.to_vec();
    assert_eq!(unsafe { CStr::from_ptr(kind) }, c"AES");
    assert_eq!(stubs::server_free(key), len + 1);
    assert_eq!(stubs::server_free(kind.cast()), 4);
    Ok(Some(bytes))
}

#[test]
fn init_refuses_at_every_step_and_says_why() {
    let dir = Dir::new();
    let plugin = Plugin::load(&dir);
    let refused = |why: &str| {
        assert_eq!(plugin.init(), 1, "{why}");
        assert!(stubs::logged(why), "not logged: {why}");
        assert_eq!(fetch(&plugin, c"k"), Err(()), "{why}: nothing is open");
        assert_eq!(plugin.status(), [], "{why}: the server removes what is there, by name");
    };
    refused("keyring_external_data is not set");
    plugin.set("data", "relative/path");
    refused("must be an absolute path");
    plugin.set("data", &format!("/{}", "x".repeat(5000)));
    refused("is too long");
    plugin.set("data", dir.path().join("none").to_str().unwrap());
    refused("keyring_external_unlock is not set");
    plugin.set("unlock", "hunter2");
    refused("the unlock source does not begin with a kind");
    assert!(!stubs::logged("hunter2"));
    plugin.set("unlock", &dir.unlock());
    plugin.set_bool("allow_same_device", true);
    refused("there is no keyring at");
    plugin.set("data", dir.keyring().to_str().unwrap());
    plugin.set("unlock", "env:KX_NO_SUCH_VARIABLE");
    refused("the variable is not set");
    plugin.set("unlock", &format!("file:{}", dir.write("other", &[1; 32]).display()));
    refused("does not unlock");
    plugin.set("unlock", &dir.unlock());
    plugin.set("mirrors", "relative");
    refused("the mirror relative must be an absolute path");
    plugin.set("mirrors", "");
    std::fs::set_permissions(dir.keyring(), std::fs::Permissions::from_mode(0o644)).unwrap();
    refused("is open to other users");
    std::fs::set_permissions(dir.keyring(), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(plugin.init(), 0, "nothing of all this did any harm");
    assert!(store(&plugin, c"k", &[1; 16]) as u8 == 0);
    assert_eq!(plugin.deinit(), 0);
}

#[test]
fn init_and_deinit_in_every_order() {
    let dir = Dir::new();
    let plugin = Plugin::set_up(&dir);
    let calls_fail = || {
        assert!(store(&plugin, c"k", b"data"));
        assert_eq!(fetch(&plugin, c"k"), Err(()));
        let mut iterator = std::ptr::dangling_mut::<c_void>();
        unsafe { plugin.keyring.iterator_init.unwrap()(&mut iterator) };
        assert!(iterator.is_null());
    };
    calls_fail();
    assert_eq!(plugin.deinit(), 0);
    assert_eq!(plugin.init(), 0);
    assert!(!store(&plugin, c"k", b"data"));
    assert_eq!(plugin.init(), 0, "a second init opens the keyring again");
    assert_eq!(fetch(&plugin, c"k"), Ok(Some(b"data".to_vec())));
    let mut iterator = null_mut();
    unsafe { plugin.keyring.iterator_init.unwrap()(&mut iterator) };
    let in_use = unsafe { (*plugin.descriptor).check_uninstall.unwrap()(null_mut()) };
    assert_eq!(in_use, 1, "an iterator is open");
    assert_eq!(plugin.deinit(), 0);
    assert_eq!(plugin.deinit(), 0);
    calls_fail();
    // An iterator outlives the keyring, as a list of names.
    let (mut id, mut user) = ([1 as _; 1025], [1 as _; 1025]);
    unsafe {
        let next = plugin.keyring.iterator_get_key.unwrap();
        assert!(!next(iterator, id.as_mut_ptr(), user.as_mut_ptr()));
        assert_eq!(CStr::from_ptr(id.as_ptr()), c"k");
        assert!(next(iterator, id.as_mut_ptr(), user.as_mut_ptr()));
        plugin.keyring.iterator_deinit.unwrap()(iterator);
        plugin.keyring.iterator_deinit.unwrap()(iterator);
        assert!(next(iterator, id.as_mut_ptr(), user.as_mut_ptr()));
    }
    assert_eq!(plugin.init(), 0);
    assert_eq!(fetch(&plugin, c"k"), Ok(Some(b"data".to_vec())));
    assert_eq!(plugin.deinit(), 0);
}

#[test]
fn what_fetch_hands_out_is_the_servers_and_nothing_is_lost_when_it_has_no_memory() {
    let _turn = stubs::ALLOCATOR.lock().unwrap_or_else(|e| e.into_inner());
    let dir = Dir::new();
    let plugin = Plugin::set_up(&dir);
    assert_eq!(plugin.init(), 0);
    assert!(!store(&plugin, c"k", b"a\0b"));
    assert_eq!(fetch(&plugin, c"k"), Ok(Some(b"a\0b".to_vec())));
    let before = stubs::blocks();
    for n in [0, 1] {
        stubs::fail_after(n);
        let fetched = fetch(&plugin, c"k");
        stubs::fail_after(-1);
        assert_eq!(fetched, Err(()));
        assert_eq!(stubs::blocks(), before, "a block was lost");
    }
    assert_eq!(fetch(&plugin, c"no such key"), Ok(None));
    // A server that linked nothing.
    plugin.link_malloc(std::ptr::without_provenance(0x0100));
    assert_eq!(fetch(&plugin, c"k"), Err(()));
    plugin.link_malloc(&stubs::MALLOC);
    assert_eq!(plugin.deinit(), 0);
}

/// A switch may be given without a value, as the server's own. Whatever else is given without one would be taken for
/// something else than it is, so the server must refuse it.
#[test]
fn the_flags_of_the_variables() {
    let plugin = Plugin::load(&Dir::new());
    let text = KX_VAR_STR | KX_VAR_MEMALLOC;
    let number = KX_VAR_INT | KX_VAR_UNSIGNED;
    let switch = KX_VAR_BOOL | KX_VAR_OPCMDARG;
    let mut expected = [
        ("data", text),
        ("mirrors", text | KX_VAR_READONLY),
        ("remotes", text | KX_VAR_READONLY),
        ("audit_log", text | KX_VAR_READONLY),
        ("audit_log_forward", text | KX_VAR_READONLY),
        ("min_copies", number | KX_VAR_READONLY),
        ("unlock", text | KX_VAR_READONLY),
        ("read_only", switch),
        ("allow_same_device", switch | KX_VAR_READONLY),
        ("auto_create", switch | KX_VAR_READONLY),
        ("wait", number | KX_VAR_READONLY),
    ]
    .map(|(name, flags)| (name.to_owned(), flags | KX_VAR_NOPERSIST));
    let mut flags = plugin.flags();
    expected.sort();
    flags.sort();
    assert_eq!(flags, expected);
}
