// SPDX-License-Identifier: GPL-2.0-or-later
//! Random calls from eight threads at once, hostile ones among them, every answer compared with a model. Each
//! thread has a user of its own, so that it knows what its keys must be; the file and the locks are shared.

use crate::arguments::{Buffer, Random, endless, foreign_handles};
use crate::hosts::{Component, Dir, Plugin};
use crate::seed::Rng;
use crate::stubs;
use keyring_external::aes::{Cipher, Mode};
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, RwLock};

const THREADS: u64 = 8;
/// Key ids of each thread.
const IDS: u64 = 12;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|v| v.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// The type of a key, and its bytes once they are known: those of a generated key are seen at the first
/// fetch.
type Key = (CString, usize, Option<Vec<u8>>);

/// What a thread knows.
struct Actor {
    random: Random,
    user: CString,
    keys: HashMap<CString, Key>,
    calls: u64,
    hostile: u64,
}

impl Actor {
    fn new(random: Random, number: u64) -> Actor {
        Actor {
            random,
            user: CString::new(format!("user{number}@host")).unwrap(),
            keys: HashMap::new(),
            calls: 0,
            hostile: 0,
        }
    }

    fn id(&mut self) -> CString {
        match self.random.below(IDS) {
            // As long as can be.
            0 => CString::new(vec![b'l'; 255]).unwrap(),
            n => CString::new(format!("key{n}")).unwrap(),
        }
    }

    fn length(&mut self) -> usize {
        [1, 16, 32, 33, 200, 16384][self.random.below(6) as usize]
    }

    /// What must be read: `None` when there is no such key.
    fn check(&mut self, id: &CStr, kind: &[u8], data: &[u8]) {
        let user = &self.user;
        let (was_kind, len, was) =
            self.keys.get_mut(id).unwrap_or_else(|| panic!("{id:?} of {user:?} should not be there"));
        assert_eq!((was_kind.as_bytes(), *len), (kind, data.len()), "{id:?} of {user:?}");
        assert!(was.get_or_insert_with(|| data.to_vec()) == data, "{id:?} of {user:?} has other bytes");
    }

    fn is_mine(&self, user: &CStr) -> bool {
        self.user.as_c_str() == user
    }
}

/// Runs `step` in all threads until that many calls were made.
fn run(name: &str, step: impl Fn(&mut Actor) + Sync) {
    let calls = setting("KX_ABI_CALLS").unwrap_or(20_000) / 2;
    let mut rng = Rng::of_test(name);
    println!("{name}: {calls} calls by {THREADS} threads");
    let barrier = Barrier::new(THREADS as usize);
    let totals = Mutex::new((0, 0));
    std::thread::scope(|scope| {
        for number in 0..THREADS {
            let (barrier, totals, step, random) = (&barrier, &totals, &step, Random(rng.split()));
            scope.spawn(move || {
                let mut actor = Actor::new(random, number);
                barrier.wait();
                while actor.calls < calls.div_ceil(THREADS) {
                    step(&mut actor);
                }
                let mut totals = totals.lock().unwrap();
                *totals = (totals.0 + actor.calls, totals.1 + actor.hostile);
            });
        }
    });
    let (calls, hostile) = totals.into_inner().unwrap();
    println!("{name}: {calls} calls made, {hostile} of them with hostile arguments, no wrong answer");
}

// ---- the plugin -------------------------------------------------------------------------------------------

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
    // All that was acknowledged is in the file: a fresh library finds the same number of keys.
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

// ---- the component ----------------------------------------------------------------------------------------

/// Odd while a reload is under way.
static RELOADS: AtomicU64 = AtomicU64::new(0);
/// The server makes a reload only while no change is under way. Changes are made one at a time there too; here
/// they are not.
static CHANGES: RwLock<()> = RwLock::new(());

#[test]
fn random_calls_to_the_component() {
    let dir = Dir::new();
    let component = Component::set_up(&dir);
    run("random_calls_to_the_component", |actor| ComponentStep { component: &component, actor }.step());
    assert_eq!(component.load(), 0);
    assert_eq!(component.deinit(), 0);
    assert_eq!(stubs::ACQUIRED.load(Ordering::SeqCst), 0, "a service was not given back");
}

struct ComponentStep<'a> {
    component: &'a Component,
    actor: &'a mut Actor,
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
                self.actor.calls += 60;
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

    /// Fetches with room as it is, more of it, or too little.
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

    /// A reader sees what became of its key since it was opened.
    fn read_later(&mut self) {
        let before = RELOADS.load(Ordering::SeqCst);
        let id = self.actor.id();
        let reader = self.open(&id);
        let was = self.actor.keys.contains_key(&id);
        assert_eq!(reader.is_null(), !was);
        self.remove_id(&id);
        let (mut len, mut kind_len) = (0, 0);
        let failed = unsafe { self.component.reader.fetch_length.unwrap()(reader, &mut len, &mut kind_len) };
        // After a reload it may look at the keyring before.
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
        // Only keys whose bytes are known can be computed with here.
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

    fn hostile(&mut self) {
        let user = self.actor.user.clone();
        let (id, user) = (c"hostile".as_ptr(), user.as_ptr());
        let c = self.component;
        let random = &mut self.actor.random;
        let data = [0u8; 16];
        let bad_id = [null(), c"".as_ptr(), endless()][random.below(3) as usize];
        let bad_kind = [null(), c"".as_ptr(), endless()][random.below(3) as usize];
        let bad_len = [0, 16385, 1 << 31, usize::MAX / 2, usize::MAX][random.below(5) as usize];
        let handle: *mut c_void = without_provenance_mut(foreign_handles(random));
        let (mut a, mut b) = (1, 2);
        let (mut x, mut y) = (Buffer::new(256), Buffer::new(256));
        let mut out = null_mut();
        unsafe {
            match random.below(20) {
                0 => assert_eq!(c.writer.store.unwrap()(bad_id, user, data.as_ptr(), 16, c"AES".as_ptr()), 1),
                1 => assert_eq!(c.writer.store.unwrap()(id, user, data.as_ptr(), 16, bad_kind), 1),
                2 => {
                    let store = c.writer.store.unwrap();
                    // None at all is no key, and no failure.
                    let failed = store(id, user, data.as_ptr(), bad_len, c"AES".as_ptr());
                    assert_eq!(failed, i32::from(bad_len > 0));
                }
                3 => assert_eq!(c.writer.store.unwrap()(id, user, null(), 16, c"AES".as_ptr()), 1),
                4 => {
                    let store = c.writer.store.unwrap();
                    assert_eq!(store(id, endless(), data.as_ptr(), 16, c"AES".as_ptr()), 1);
                }
                5 => assert_eq!(c.generator.generate.unwrap()(bad_id, user, c"AES".as_ptr(), 16), 1),
                6 => assert_eq!(c.generator.generate.unwrap()(id, user, bad_kind, 16), 1),
                7 => assert_eq!(c.generator.generate.unwrap()(id, user, c"AES".as_ptr(), bad_len), 1),
                8 => assert_eq!(c.writer.remove.unwrap()(bad_id, user), 1),
                9 => {
                    out = handle;
                    assert_eq!(c.reader.init.unwrap()(bad_id, user, &mut out), 0);
                    assert!(out.is_null(), "no key has such a name");
                    assert_eq!(c.reader.init.unwrap()(id, user, null_mut()), 1);
                }
                10 => {
                    assert_eq!(c.reader.fetch_length.unwrap()(handle, &mut a, &mut b), 1);
                    assert_eq!((a, b), (1, 2), "a failed call wrote");
                    let fetch = c.reader.fetch.unwrap();
                    assert_eq!(fetch(handle, x.ptr(), 256, &mut a, y.ptr(), 256, &mut b), 1);
                    assert_eq!(c.reader.deinit.unwrap()(handle), 0);
                }
                11 => {
                    assert_eq!(c.iterator.init.unwrap()(&mut out), 0);
                    // A handle of another kind.
                    assert_eq!(c.reader.fetch_length.unwrap()(out, &mut a, &mut b), 1);
                    assert_eq!(c.metadata.is_valid.unwrap()(out), 0);
                    assert_eq!(c.metadata.deinit.unwrap()(out), 0);
                    assert_eq!(c.iterator.get_length.unwrap()(out, null_mut(), null_mut()), 1);
                    assert_eq!(c.iterator.get.unwrap()(out, null_mut(), 256, null_mut(), 256), 1);
                    assert_eq!(c.iterator.get.unwrap()(out, x.ptr(), 0, y.ptr(), 0), 1);
                    assert_eq!(c.iterator.deinit.unwrap()(out), 0);
                    assert_eq!(c.iterator.deinit.unwrap()(out), 0);
                    assert_eq!(c.iterator.is_valid.unwrap()(out), 0);
                    assert_eq!(c.iterator.next.unwrap()(out), 1);
                    self.actor.calls += 8;
                }
                12 => {
                    assert_eq!(c.iterator.is_valid.unwrap()(handle), 0);
                    assert_eq!(c.iterator.next.unwrap()(handle), 1);
                    assert_eq!(c.iterator.get_length.unwrap()(handle, &mut a, &mut b), 1);
                    assert_eq!(c.iterator.get.unwrap()(handle, x.ptr(), 256, y.ptr(), 256), 1);
                    assert_eq!(c.iterator.init.unwrap()(null_mut()), 1);
                }
                13 => {
                    assert_eq!(c.metadata.is_valid.unwrap()(handle), 0);
                    assert_eq!(c.metadata.next.unwrap()(handle), 1);
                    assert_eq!(c.metadata.get_length.unwrap()(handle, &mut a, &mut b), 1);
                    assert_eq!(c.metadata.get.unwrap()(handle, x.ptr(), 256, y.ptr(), 256), 1);
                    assert_eq!(c.metadata.init.unwrap()(null_mut()), 1);
                }
                14 => {
                    let get_size = c.aes.get_size.unwrap();
                    assert_eq!(get_size(usize::MAX, c"cbc".as_ptr(), 256, &mut a), 1);
                    assert_eq!(get_size(16, c"cbc".as_ptr(), 256, null_mut()), 1);
                    assert_eq!(get_size(16, c"CBC".as_ptr(), 256, &mut a), 1);
                    assert_eq!(get_size(16, c"cbc".as_ptr(), 128, &mut a), 1);
                    assert_eq!(get_size(16, endless(), 256, &mut a), 1);
                    assert_eq!(get_size(16, null(), 256, &mut a), 1);
                    assert_eq!(a, 1, "a failed call wrote");
                }
                15 => {
                    let (path, mut n) = (handle.addr() as u64 % 3, 0);
                    let load = c.load.load.unwrap();
                    n += load([null(), c"".as_ptr(), c"/no/such/directory".as_ptr()][path as usize], null());
                    assert_eq!(n, 1);
                }
                _ => {
                    // One argument of an operation is wrong.
                    let which = random.below(8);
                    let pick =
                        |n: u64, good: *const c_char, bad: *const c_char| if which == n { bad } else { good };
                    let operation =
                        if random.one_in(2) { c.aes.encrypt.unwrap() } else { c.aes.decrypt.unwrap() };
                    let failed = operation(
                        pick(0, id, bad_id),
                        pick(1, user, endless()),
                        pick(2, c"cbc".as_ptr(), null()),
                        if which == 3 { 192 } else { 256 },
                        pick(4, data.as_ptr().cast(), null()).cast(),
                        random.next() as u8,
                        pick(5, data.as_ptr().cast(), null()).cast(),
                        if which == 6 { usize::MAX } else { 16 },
                        if which == 7 { null_mut() } else { x.ptr() },
                        256,
                        &mut a,
                    );
                    // With none of them wrong there would be no such key.
                    assert_eq!((failed, a), (1, 1));
                }
            }
        }
        x.assert_untouched();
        y.assert_untouched();
    }
}
