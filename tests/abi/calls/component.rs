// SPDX-License-Identifier: GPL-2.0-or-later
//! Random calls to the component.

use super::{Actor, run};
use crate::arguments::Buffer;
use crate::hosts::{Component, Dir};
use crate::{stubs, variables};
use keyring_external::aes::{Cipher, Mode};
use std::collections::HashSet;
use std::ffi::{CStr, CString, c_void};
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Odd while a reload is in progress.
static RELOADS: AtomicU64 = AtomicU64::new(0);
/// The server reloads only while no change is in progress. It also makes one change at a time; here they run in parallel.
static CHANGES: RwLock<()> = RwLock::new(());

#[test]
fn random_calls_to_the_component() {
    let _turn = variables::turn();
    let dir = Dir::new();
    dir.configure_well();
    let component = Component::open(&dir);
    component.link(&variables::REGISTRY);
    assert_eq!((component.init(), component.load()), (0, 0));
    run("random_calls_to_the_component", |actor| ComponentStep { component: &component, actor }.step());
    assert_eq!(component.load(), 0);
    assert_eq!(component.deinit(), 0);
    assert_eq!(stubs::ACQUIRED.load(Ordering::SeqCst), 0, "a service was not given back");
}

pub(super) struct ComponentStep<'a> {
    pub(super) component: &'a Component,
    pub(super) actor: &'a mut Actor,
}

impl ComponentStep<'_> {
    fn step(&mut self) {
        match self.actor.random.below(1000) {
            0..350 => self.read(),
            350..500 => self.aes(),
            500..580 => self.store(),
            580..610 => self.generate(),
            610..660 => self.remove(),
            660..662 => self.iterate(),
            662..664 => {
                let rows = self.component.rows();
                assert_eq!(rows.len(), 15);
                assert_eq!(variables::show().len(), 14);
                self.actor.calls += 72;
            }
            664 => self.reload(),
            665..670 => assert!(self.component.is_active()),
            670..690 => self.read_later(),
            _ => {
                self.hostile();
                self.actor.hostile += 1;
            }
        }
        self.actor.calls += 1;
    }

    fn open(&mut self, id: &CStr) -> *mut c_void {
        let mut reader = without_provenance_mut(7);
        let init = self.component.reader.init.unwrap();
        assert_eq!(unsafe { init(id.as_ptr(), self.actor.user.as_ptr(), &mut reader) }, 0);
        reader
    }

    fn read(&mut self) {
        let id = self.actor.id();
        let reader = self.open(&id);
        if reader.is_null() {
            assert!(!self.actor.keys.contains_key(&id), "{id:?} is gone");
            return;
        }
        self.fetch(reader, &id);
        self.actor.calls += 3;
        assert_eq!(unsafe { self.component.reader.deinit.unwrap()(reader) }, 0);
    }

    /// Fetches with exactly the room that is needed, more, or too little.
    fn fetch(&mut self, reader: *mut c_void, id: &CStr) {
        let (mut len, mut kind_len) = (0, 0);
        unsafe {
            let fetch_length = self.component.reader.fetch_length.unwrap();
            assert_eq!(fetch_length(reader, &mut len, &mut kind_len), 0);
        }
        let short = self.actor.random.below(4);
        let room = len - usize::from(short == 1);
        let kind_room =
            kind_len + self.actor.random.below(2) as usize - usize::from(short == 2) * (1 + kind_len / 2);
        let (mut data, mut kind) = (Buffer::new(room), Buffer::new(kind_room));
        let (mut got, mut kind_got) = (0, 0);
        let failed = unsafe {
            self.component.reader.fetch.unwrap()(
                reader,
                data.ptr(),
                room,
                &mut got,
                kind.ptr(),
                kind_room,
                &mut kind_got,
            )
        };
        if room < len || kind_room < kind_len {
            assert_eq!(failed, 1);
            data.assert_untouched();
            kind.assert_untouched();
            return;
        }
        assert_eq!((failed, got, kind_got), (0, len, kind_len));
        self.actor.check(id, kind.get(kind_got), data.get(got));
    }

    /// A reader notices that its key was removed after it was opened.
    fn read_later(&mut self) {
        let before = RELOADS.load(Ordering::SeqCst);
        let id = self.actor.id();
        let reader = self.open(&id);
        let was = self.actor.keys.contains_key(&id);
        assert_eq!(reader.is_null(), !was);
        self.remove_id(&id);
        let (mut len, mut kind_len) = (0, 0);
        let failed = unsafe { self.component.reader.fetch_length.unwrap()(reader, &mut len, &mut kind_len) };
        // During a reload it may read the keyring from before.
        if before.is_multiple_of(2) && before == RELOADS.load(Ordering::SeqCst) {
            assert_eq!(failed, 1, "a removed key was handed out");
        }
        unsafe {
            self.component.reader.deinit.unwrap()(reader);
            self.component.reader.deinit.unwrap()(reader);
            assert_eq!(self.component.reader.fetch_length.unwrap()(reader, &mut len, &mut kind_len), 1);
        }
        self.actor.calls += 5;
    }

    fn kind(&mut self) -> CString {
        [c"AES", c"aes", c"SECRET", c"a type of its own"][self.actor.random.below(4) as usize].to_owned()
    }

    fn store(&mut self) {
        let (id, kind, len) = (self.actor.id(), self.kind(), self.actor.length());
        let data = self.actor.random.bytes(len);
        let _change = CHANGES.read().unwrap();
        let failed = unsafe {
            self.component.writer.store.unwrap()(
                id.as_ptr(),
                self.actor.user.as_ptr(),
                data.as_ptr(),
                len,
                kind.as_ptr(),
            )
        };
        assert_eq!(failed == 1, self.actor.keys.contains_key(&id), "store {id:?}");
        self.actor.keys.entry(id).or_insert((kind, len, Some(data)));
    }

    fn generate(&mut self) {
        let (id, kind, len) = (self.actor.id(), self.kind(), self.actor.length());
        let _change = CHANGES.read().unwrap();
        let failed = unsafe {
            self.component.generator.generate.unwrap()(
                id.as_ptr(),
                self.actor.user.as_ptr(),
                kind.as_ptr(),
                len,
            )
        };
        assert_eq!(failed == 1, self.actor.keys.contains_key(&id), "generate {id:?}");
        self.actor.keys.entry(id).or_insert((kind, len, None));
    }

    fn remove(&mut self) {
        let id = self.actor.id();
        self.remove_id(&id);
    }

    fn remove_id(&mut self, id: &CStr) {
        let _change = CHANGES.read().unwrap();
        let failed = unsafe { self.component.writer.remove.unwrap()(id.as_ptr(), self.actor.user.as_ptr()) };
        assert_eq!(failed == 1, self.actor.keys.remove(id).is_none(), "remove {id:?}");
    }

    fn iterate(&mut self) {
        let iterator = &self.component.iterator;
        let mut seen = HashSet::new();
        let mut handle = null_mut();
        unsafe {
            assert_eq!(iterator.init.unwrap()(&mut handle), 0);
            while iterator.is_valid.unwrap()(handle) == 1 {
                let (mut id_len, mut user_len) = (0, 0);
                assert_eq!(iterator.get_length.unwrap()(handle, &mut id_len, &mut user_len), 0);
                let (mut id, mut user) = (Buffer::new(id_len + 1), Buffer::new(user_len + 1));
                let get = iterator.get.unwrap();
                assert_eq!(get(handle, id.ptr(), id_len, user.ptr(), user_len + 1), 1, "no room for the end");
                id.assert_untouched();
                assert_eq!(get(handle, id.ptr(), id_len + 1, user.ptr(), user_len + 1), 0);
                let user = CStr::from_bytes_with_nul(user.get(user_len + 1)).unwrap();
                if self.actor.is_mine(user) {
                    seen.insert(CStr::from_bytes_with_nul(id.get(id_len + 1)).unwrap().to_owned());
                }
                assert_eq!(iterator.next.unwrap()(handle), 0);
                self.actor.calls += 5;
            }
            assert_eq!(iterator.next.unwrap()(handle), 1);
            assert_eq!(iterator.deinit.unwrap()(handle), 0);
        }
        assert_eq!(seen, self.actor.keys.keys().cloned().collect());
    }

    fn aes(&mut self) {
        let id = self.actor.id();
        let names = [c"cbc", c"cfb1", c"cfb8", c"cfb128", c"ofb"];
        let name = names[self.actor.random.below(5) as usize];
        let mode = Mode::new(name.to_bytes(), 256).unwrap();
        let iv: [u8; 16] = self.actor.random.bytes(16).try_into().unwrap();
        let padding = self.actor.random.one_in(2);
        let len = self.actor.random.below(70) as usize;
        let plain = self.actor.random.bytes(len);
        let mut size = 0;
        unsafe {
            let get_size = self.component.aes.get_size.unwrap();
            assert_eq!(get_size(len, name.as_ptr(), 256, &mut size), 0);
        }
        // This test can encrypt only with keys whose bytes it knows.
        let cipher = match self.actor.keys.get(&id) {
            Some((_, _, None)) => return,
            Some((kind, _, Some(data))) if kind.as_bytes().eq_ignore_ascii_case(b"aes") => {
                Some(Cipher::new(data))
            }
            _ => None,
        };
        let expected = cipher.and_then(|cipher| cipher.encrypt(mode, &iv, padding, &plain).ok());
        let room = size - usize::from(size > 0 && self.actor.random.one_in(8));
        let mut out = Buffer::new(room);
        let mut got = 0;
        let call = |encrypt: bool, input: &[u8], out: &mut Buffer, room: usize, got: &mut usize| {
            let aes = &self.component.aes;
            let operation = if encrypt { aes.encrypt } else { aes.decrypt };
            unsafe {
                operation.unwrap()(
                    id.as_ptr(),
                    self.actor.user.as_ptr(),
                    name.as_ptr(),
                    256,
                    iv.as_ptr(),
                    u8::from(padding),
                    input.as_ptr(),
                    input.len(),
                    out.ptr(),
                    room,
                    got,
                )
            }
        };
        let failed = call(true, &plain, &mut out, room, &mut got);
        let Some(expected) = expected.filter(|e| e.len() <= room) else {
            assert_eq!(failed, 1);
            return out.assert_untouched();
        };
        assert_eq!((failed, out.get(got)), (0, &expected[..]));
        let mut back = Buffer::new(expected.len());
        assert_eq!(call(false, &expected, &mut back, expected.len(), &mut got), 0);
        assert_eq!(back.get(got), plain);
        self.actor.calls += 2;
    }

    fn reload(&mut self) {
        let _alone = CHANGES.write().unwrap();
        RELOADS.fetch_add(1, Ordering::SeqCst);
        let failed = self.component.load();
        assert_eq!(failed, 0, "{}", stubs::last_lines());
        RELOADS.fetch_add(1, Ordering::SeqCst);
    }
}
