// SPDX-License-Identifier: GPL-2.0-or-later
//! Calls to the component with bad arguments.

use super::component::ComponentStep;
use crate::arguments::{Buffer, endless, foreign_handles};
use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut, without_provenance_mut};

impl ComponentStep<'_> {
    pub(super) fn hostile(&mut self) {
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
                    // A key of no bytes is ignored, which is a success.
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
                    // If none of them is wrong, there is no such key.
                    assert_eq!((failed, a), (1, 1));
                }
            }
        }
        x.assert_untouched();
        y.assert_untouched();
    }
}
