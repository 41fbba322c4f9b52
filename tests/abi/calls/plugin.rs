// SPDX-License-Identifier: GPL-2.0-or-later
//! Random calls to the plugin.

use super::{Actor, run};
use crate::arguments::{Buffer, endless, foreign_handles};
use crate::hosts::{Dir, Plugin};
use crate::stubs;
use std::collections::HashSet;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut, without_provenance_mut};

#[test]
fn random_calls_to_the_plugin() {
    let _turn = stubs::ALLOCATOR.lock().unwrap_or_else(|e| e.into_inner());
    let blocks = stubs::blocks();
    let dir = Dir::new();
    let plugin = Plugin::set_up(&dir);
    assert_eq!(plugin.init(), 0);
    run("random_calls_to_the_plugin", |actor| PluginStep { plugin: &plugin, actor }.step());
    assert_eq!(plugin.deinit(), 0);
    assert_eq!(stubs::blocks(), blocks, "memory of the server was lost");
    // A fresh library opens the file.
    let again = Plugin::set_up(&dir);
    assert_eq!(again.init(), 0);
    assert_eq!(again.deinit(), 0);
}

struct PluginStep<'a> {
    plugin: &'a Plugin,
    actor: &'a mut Actor,
}

impl PluginStep<'_> {
    fn step(&mut self) {
        match self.actor.random.below(100) {
            0..50 => self.fetch(),
            50..58 => self.store(),
            58..61 => self.generate(),
            61..66 => self.remove(),
            66 => self.iterate(),
            67 => {
                self.plugin.status();
                self.actor.calls += 27;
                self.actor.hostile += 18;
            }
            _ => {
                self.hostile();
                self.actor.hostile += 1;
            }
        }
        self.actor.calls += 1;
    }

    fn fetch(&mut self) {
        let id = self.actor.id();
        let user = self.actor.user.clone();
        let (mut kind, mut key, mut len) = (null_mut::<c_char>(), null_mut::<c_void>(), 7);
        unsafe {
            let fetch = self.plugin.keyring.fetch.unwrap();
            assert!(!fetch(id.as_ptr(), &mut kind, user.as_ptr(), &mut key, &mut len));
            if key.is_null() {
                assert!(!self.actor.keys.contains_key(&id), "{id:?} is gone");
                assert!(kind.is_null() && len == 0);
                return;
            }
            let bytes = std::slice::from_raw_parts(key.cast::<u8>(), len);
            self.actor.check(&id, CStr::from_ptr(kind).to_bytes(), bytes);
        }
        stubs::server_free(key);
        stubs::server_free(kind.cast());
    }

    fn kind(&mut self) -> CString {
        [c"AES", c"RSA", c"DSA", c"SECRET"][self.actor.random.below(4) as usize].to_owned()
    }

    fn store(&mut self) {
        let (id, kind, len) = (self.actor.id(), self.kind(), self.actor.length());
        let data = self.actor.random.bytes(len);
        let failed = unsafe {
            self.plugin.keyring.store.unwrap()(
                id.as_ptr(),
                kind.as_ptr(),
                self.actor.user.as_ptr(),
                data.as_ptr().cast(),
                len,
            )
        };
        assert_eq!(failed, self.actor.keys.contains_key(&id), "store {id:?}");
        self.actor.keys.entry(id).or_insert((kind, len, Some(data)));
    }

    fn generate(&mut self) {
        let (id, kind, len) = (self.actor.id(), self.kind(), self.actor.length());
        let failed = unsafe {
            self.plugin.keyring.generate.unwrap()(id.as_ptr(), kind.as_ptr(), self.actor.user.as_ptr(), len)
        };
        assert_eq!(failed, self.actor.keys.contains_key(&id), "generate {id:?}");
        self.actor.keys.entry(id).or_insert((kind, len, None));
    }

    fn remove(&mut self) {
        let id = self.actor.id();
        let failed = unsafe { self.plugin.keyring.remove.unwrap()(id.as_ptr(), self.actor.user.as_ptr()) };
        assert_eq!(failed, self.actor.keys.remove(&id).is_none(), "remove {id:?}");
    }

    fn iterate(&mut self) {
        let mut seen = HashSet::new();
        let mut iterator = null_mut();
        unsafe {
            self.plugin.keyring.iterator_init.unwrap()(&mut iterator);
            assert!(!iterator.is_null());
            loop {
                let (mut id, mut user) = (Buffer::new(256), Buffer::new(256));
                self.actor.calls += 1;
                if self.plugin.keyring.iterator_get_key.unwrap()(iterator, id.ptr(), user.ptr()) {
                    break;
                }
                let user = CStr::from_bytes_until_nul(user.get(256)).unwrap();
                if self.actor.is_mine(user) {
                    seen.insert(CStr::from_bytes_until_nul(id.get(256)).unwrap().to_owned());
                }
            }
            self.plugin.keyring.iterator_deinit.unwrap()(iterator);
        }
        assert_eq!(seen, self.actor.keys.keys().cloned().collect());
    }

    fn hostile(&mut self) {
        let keyring = &self.plugin.keyring;
        let user = self.actor.user.clone();
        let (id, user) = (c"hostile".as_ptr(), user.as_ptr());
        let random = &mut self.actor.random;
        let data = [0u8; 16];
        let data_ptr: *const c_void = data.as_ptr().cast();
        let bad_id = [null(), c"".as_ptr(), endless()][random.below(3) as usize];
        let bad_kind =
            [null(), c"".as_ptr(), c"aes".as_ptr(), c"AES ".as_ptr(), endless()][random.below(5) as usize];
        let bad_len = [0, 16385, 1 << 31, usize::MAX / 2, usize::MAX][random.below(5) as usize];
        let (mut kind_out, mut key_out, mut len_out) = (null_mut::<c_char>(), null_mut::<c_void>(), 0);
        unsafe {
            let (store, fetch) = (keyring.store.unwrap(), keyring.fetch.unwrap());
            let (remove, generate) = (keyring.remove.unwrap(), keyring.generate.unwrap());
            match random.below(16) {
                0 => assert!(store(bad_id, c"AES".as_ptr(), user, data_ptr, 16)),
                1 => assert!(store(id, bad_kind, user, data_ptr, 16)),
                2 => assert!(store(id, c"AES".as_ptr(), user, data_ptr, bad_len)),
                3 => assert!(store(id, c"AES".as_ptr(), user, null(), 16)),
                4 => assert!(store(id, c"AES".as_ptr(), endless(), data_ptr, 16)),
                5 => assert!(generate(bad_id, c"AES".as_ptr(), user, 16)),
                6 => assert!(generate(id, bad_kind, user, 16)),
                7 => assert!(generate(id, c"AES".as_ptr(), user, bad_len)),
                8 => assert!(remove(bad_id, user) && remove(id, endless())),
                9 => {
                    assert!(fetch(bad_id, &mut kind_out, user, &mut key_out, &mut len_out));
                    assert!(key_out.is_null() && kind_out.is_null());
                }
                10 => assert!(fetch(id, null_mut(), user, &mut key_out, &mut len_out)),
                11 => assert!(fetch(id, &mut kind_out, user, null_mut(), &mut len_out)),
                12 => assert!(fetch(id, &mut kind_out, user, &mut key_out, null_mut())),
                13 => {
                    let handle = without_provenance_mut(foreign_handles(random));
                    let (mut a, mut b) = (Buffer::new(256), Buffer::new(256));
                    assert!(keyring.iterator_get_key.unwrap()(handle, a.ptr(), b.ptr()));
                    a.assert_untouched();
                    b.assert_untouched();
                    keyring.iterator_deinit.unwrap()(handle);
                }
                14 => {
                    let mut iterator = null_mut();
                    keyring.iterator_init.unwrap()(&mut iterator);
                    keyring.iterator_get_key.unwrap()(iterator, null_mut(), null_mut());
                    keyring.iterator_deinit.unwrap()(iterator);
                    keyring.iterator_deinit.unwrap()(iterator);
                    assert!(keyring.iterator_get_key.unwrap()(iterator, null_mut(), null_mut()));
                }
                _ => keyring.iterator_init.unwrap()(null_mut()),
            }
        }
    }
}
