// SPDX-License-Identifier: GPL-2.0-or-later
//! The table of open readers. The server opens and closes one for each key that it fetches, so the table is made for
//! speed: each thread uses the same reader again and again, which keeps the keyring and has a lock of its own. A fetch
//! takes less than half of the time that it takes `component_keyring_file`. With [`Handles`](crate::abi::handles::Handles)
//! it would take two thirds (docs/BENCHMARKS.md).
//!
//! As everywhere, a handle is a number, and none is given out twice: a stale, foreign or doubly freed handle is refused.
//! It tells which reader it is and how often that was opened.

use crate::abi::instance;
use crate::abi::spin::{Spin, SpinGuard};
use crate::format::records::KeyRecord;
use crate::key::{KeyName, NameRef};
use crate::keyring::{FoundKey, Keyring};
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// No handle is smaller.
const FIRST: usize = 0x5200_0000_0000;
/// How many readers can be open at a time.
const COUNT: usize = 4096;

struct Reader {
    /// How often it was opened.
    times: usize,
    /// The keyring that it reads, or read last, and the instance's count when it was taken from there.
    keyring: Option<(u64, Arc<Keyring>)>,
    /// While it is open: the name of its key, and where that was found.
    key: Option<(KeyName, FoundKey)>,
}

static READERS: [Spin<Reader>; COUNT] =
    [const { Spin::new(Reader { times: 0, keyring: None, key: None }) }; COUNT];

thread_local! {
    /// The reader that this thread tries first.
    static MINE: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % COUNT
    };
}

/// The result of opening a reader.
pub(super) enum OpenedReader {
    /// Its handle.
    Reader(*mut c_void),
    /// There is no such key.
    NoKey,
    /// No keyring is open.
    NoKeyring,
    /// All readers are open.
    TooMany,
}

/// Opens a reader of the key of that name.
pub(super) fn open(name: &NameRef<'_>) -> OpenedReader {
    let Some((number, mut reader)) = closed() else { return OpenedReader::TooMany };
    let count = instance::count();
    if reader.keyring.as_ref().is_none_or(|(at, _)| *at != count) {
        reader.keyring = instance::get().map(|keyring| (count, keyring));
    }
    let Some((_, keyring)) = &reader.keyring else { return OpenedReader::NoKeyring };
    let Some(found) = keyring.find(name) else { return OpenedReader::NoKey };
    reader.key = Some((name.to_owned(), found));
    reader.times += 1;
    OpenedReader::Reader(std::ptr::without_provenance_mut(FIRST + reader.times * COUNT + number))
}

/// A reader that is not open, with its number.
fn closed() -> Option<(usize, SpinGuard<'static, Reader>)> {
    let (before, from) = READERS.split_at(MINE.with(|mine| *mine));
    let numbered = (before.len()..).zip(from).chain((0..).zip(before));
    numbered
        .filter_map(|(number, reader)| Some((number, reader.try_lock()?)))
        .find(|(_, reader)| reader.key.is_none())
}

/// The reader behind a handle.
fn opened(handle: *mut c_void) -> Option<SpinGuard<'static, Reader>> {
    let number = handle.addr().wrapping_sub(FIRST);
    let reader = READERS.get(number % COUNT)?.lock();
    (reader.times == number / COUNT && reader.key.is_some()).then_some(reader)
}

/// Bytes of a reader's key and of its type; `None` when the reader is not open or the key not there.
pub(super) fn lengths(handle: *mut c_void) -> Option<(usize, usize)> {
    let reader = opened(handle)?;
    let ((_, keyring), (name, found)) = (reader.keyring.as_ref()?, reader.key.as_ref()?);
    keyring.lengths(found, &name.as_ref())
}

/// Hands the key of a reader to `look`, as it is now; `None` when the reader is not open or the key not there.
pub(super) fn look<R>(handle: *mut c_void, look: impl FnOnce(&KeyRecord<'_>) -> R) -> Option<R> {
    let reader = opened(handle)?;
    let ((_, keyring), (name, found)) = (reader.keyring.as_ref()?, reader.key.as_ref()?);
    keyring.fetch_found(found, &name.as_ref(), look)
}

/// Closes a reader; one that is not open is left alone.
pub(super) fn close(handle: *mut c_void) {
    if let Some(mut reader) = opened(handle) {
        reader.key = None;
        reader.forget_replaced();
    }
}

/// Drops keyrings that were replaced from all readers that are not open. An open reader does so when it is
/// closed.
pub(super) fn forget_replaced() {
    for reader in &READERS {
        let mut reader = reader.lock();
        if reader.key.is_none() {
            reader.forget_replaced();
        }
    }
}

impl Reader {
    fn forget_replaced(&mut self) {
        self.keyring.take_if(|(at, _)| *at != instance::count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, PoisonError};

    /// The tests take turns: one has all readers open.
    static TURN: Mutex<()> = Mutex::new(());

    /// Opens a reader without a keyring.
    fn open() -> *mut c_void {
        let (number, mut reader) = closed().unwrap();
        reader.key = Some((NameRef::new(b"k", b"").unwrap().to_owned(), FoundKey::default()));
        reader.times += 1;
        std::ptr::without_provenance_mut(FIRST + reader.times * COUNT + number)
    }

    fn is_open(handle: *mut c_void) -> bool {
        opened(handle).is_some()
    }

    #[test]
    fn handles_are_never_given_out_twice_and_refused_when_they_are_not_open() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open_ones: Vec<_> = (0..1000).map(|_| open()).collect();
        let mut all = open_ones.clone();
        for handle in open_ones.drain(..) {
            assert!(is_open(handle));
            for other in [handle.addr() + COUNT, handle.addr() - COUNT] {
                let other = std::ptr::without_provenance_mut(other);
                assert!(!is_open(other));
                close(other);
            }
            close(handle);
            close(handle);
            assert!(!is_open(handle));
        }
        all.extend((0..1000).map(|_| open()));
        all.iter().for_each(|handle| close(*handle));
        let given = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), given);
        for foreign in [0, 1, usize::MAX, FIRST - 1, FIRST, FIRST + COUNT - 1, FIRST + 7 * COUNT] {
            assert!(!is_open(std::ptr::without_provenance_mut(foreign)));
        }
    }

    #[test]
    fn all_of_them_can_be_open_and_no_more() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let open_ones: Vec<_> = (0..COUNT).map(|_| open()).collect();
        assert!(closed().is_none());
        open_ones.iter().for_each(|handle| close(*handle));
        assert!(closed().is_some());
    }
}
