// SPDX-License-Identifier: GPL-2.0-or-later
//! Open readers. A fetch opens and closes one, so that costs next to nothing: a reader's place is used again by the
//! next one of its thread and keeps the keyring meanwhile, and threads keep out of each other's way.
//!
//! As everywhere, a handle is a number that was never given out before, so that one that is not open is refused.

use crate::abi::instance;
use crate::format::records::KeyRecord;
use crate::key::{NameBuffer, NameRef};
use crate::keyring::{FoundKey, Keyring};
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The number before a place's first handle; the place's own number stands above [`PLACE_BITS`].
const FIRST: usize = 0x5200_0000_0000;
const PLACE_BITS: u32 = 48;

/// Places that there are first, and how often their number doubles at most: 65,472 readers can be open.
const FIRST_PLACES: usize = 64;
const DOUBLINGS: usize = 10;

struct Reader {
    /// The last handle that was given out here.
    handle: usize,
    open: bool,
    /// The keyring of the reader, or of the last one here; and the instance's count when it was taken.
    keyring: Option<(u64, Arc<Keyring>)>,
    name: NameBuffer,
    found: FoundKey,
}

/// A reader, and a lock that two calls want at a time only when two threads use one reader: nobody sleeps on it, and
/// it costs half of what a Mutex does.
struct Place {
    busy: AtomicBool,
    reader: UnsafeCell<Reader>,
}

// SAFETY: `reader` is reached through a `Held` only, and there is one at a time: who set `busy`.
unsafe impl Sync for Place {}

/// A place in use by one call.
struct Held(&'static Place);

impl Place {
    fn new(number: usize) -> Place {
        let reader = Reader {
            handle: (number << PLACE_BITS) | FIRST,
            open: false,
            keyring: None,
            name: NameBuffer::EMPTY,
            found: FoundKey::default(),
        };
        Place { busy: AtomicBool::new(false), reader: UnsafeCell::new(reader) }
    }

    fn try_hold(&'static self) -> Option<Held> {
        let free = self.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        // Not made, and dropped, where it is not free.
        free.then(|| Held(self))
    }

    fn hold(&'static self) -> Held {
        loop {
            match self.try_hold() {
                Some(held) => return held,
                None => std::thread::yield_now(),
            }
        }
    }
}

impl Deref for Held {
    type Target = Reader;
    fn deref(&self) -> &Reader {
        // SAFETY: this is the one `Held` of the place.
        unsafe { &*self.0.reader.get() }
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Reader {
        // SAFETY: as above.
        unsafe { &mut *self.0.reader.get() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

/// Each twice as large as the one before it.
static PLACES: [OnceLock<Box<[Place]>>; DOUBLINGS] = [const { OnceLock::new() }; DOUBLINGS];

/// The number of a block's first place.
const fn first_of(block: usize) -> usize {
    FIRST_PLACES * ((1 << block) - 1)
}

/// The places of a block that is there or is made now.
fn block(number: usize) -> Option<&'static [Place]> {
    let first = first_of(number);
    let make = || (first..first + (FIRST_PLACES << number)).map(Place::new).collect();
    Some(PLACES.get(number)?.get_or_init(make))
}

fn reader(handle: usize) -> Option<Held> {
    let number = handle >> PLACE_BITS;
    let block = (number / FIRST_PLACES + 1).ilog2() as usize;
    let reader = PLACES.get(block)?.get()?.get(number - first_of(block))?.hold();
    (reader.open && reader.handle == handle).then_some(reader)
}

/// A free place. Threads begin to look for one at different ones, told apart by their stacks.
fn free() -> Option<Held> {
    let on_stack = 0u8;
    let begin = ((&raw const on_stack).addr() >> 16).wrapping_mul(0x9e37_79b9) >> 8;
    for number in 0..DOUBLINGS {
        let block = block(number)?;
        for i in 0..block.len() {
            // As many as a power of two.
            let place = block.get(begin.wrapping_add(i) & (block.len() - 1))?;
            if let Some(reader) = place.try_hold().filter(|reader| !reader.open) {
                return Some(reader);
            }
        }
    }
    None
}

/// What became of opening a reader.
pub(super) enum Opened {
    /// Its handle.
    Reader(*mut c_void),
    /// There is no such key.
    NoKey,
    /// No keyring is open.
    NoKeyring,
    /// So many are open that one more is refused.
    TooMany,
}

/// Opens a reader of the key of that name.
pub(super) fn open(name: &NameRef<'_>) -> Opened {
    let Some(mut held) = free() else { return Opened::TooMany };
    let reader = &mut *held;
    let count = instance::count();
    if reader.keyring.as_ref().is_none_or(|(at, _)| *at != count) {
        reader.keyring = instance::get().map(|keyring| (count, keyring));
    }
    let Some((_, keyring)) = &reader.keyring else { return Opened::NoKeyring };
    let look = |key: &KeyRecord<'_>| {
        // Where there are many keys, the processor waits for this one's memory; so it begins before the fetch does.
        if let Some(first) = key.data.first() {
            // SAFETY: a reference. What is read goes nowhere.
            let _ = unsafe { std::ptr::from_ref(first).read_volatile() };
        }
    };
    let Some(found) = keyring.find(name, look) else { return Opened::NoKey };
    reader.found = found;
    reader.name.set(name);
    reader.handle += 1;
    reader.open = true;
    Opened::Reader(std::ptr::without_provenance_mut(reader.handle))
}

/// Bytes of a reader's key and of its type; `None` when the reader is not open or the key not there.
pub(super) fn lengths(handle: *mut c_void) -> Option<(usize, usize)> {
    let reader = reader(handle.addr())?;
    let (_, keyring) = reader.keyring.as_ref()?;
    keyring.lengths(&reader.found, &reader.name.as_ref())
}

/// Hands the key of a reader to `look`, as it is now; `None` when the reader is not open or the key not there.
pub(super) fn look<R>(handle: *mut c_void, look: impl FnOnce(&KeyRecord<'_>) -> R) -> Option<R> {
    let reader = reader(handle.addr())?;
    let (_, keyring) = reader.keyring.as_ref()?;
    keyring.fetch_found(&reader.found, &reader.name.as_ref(), look)
}

/// Closes a reader; one that is not open is left alone.
pub(super) fn close(handle: *mut c_void) {
    if let Some(mut reader) = reader(handle.addr()) {
        reader.open = false;
        forget_other(&mut reader);
    }
}

fn forget_other(reader: &mut Reader) {
    if reader.keyring.as_ref().is_some_and(|(at, _)| *at != instance::count()) {
        reader.keyring = None;
    }
}

/// Lets go of keyrings that are not in use any more; those of open readers go with them.
pub(super) fn forget_others() {
    for place in PLACES.iter().filter_map(OnceLock::get).flat_map(|block| block.iter()) {
        let mut reader = place.hold();
        if !reader.open {
            forget_other(&mut reader);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place as a reader finds it, with no keyring behind it.
    fn opened() -> *mut c_void {
        let mut reader = free().unwrap();
        reader.handle += 1;
        reader.open = true;
        std::ptr::without_provenance_mut(reader.handle)
    }

    fn is_open(handle: *mut c_void) -> bool {
        reader(handle.addr()).is_some()
    }

    #[test]
    fn handles_are_never_given_out_twice_and_refused_when_they_are_not_open() {
        let mut open: Vec<_> = (0..1000).map(|_| opened()).collect();
        let mut all = open.clone();
        for handle in open.drain(..) {
            assert!(is_open(handle));
            let next = std::ptr::without_provenance_mut(handle.addr() + 1);
            assert!(!is_open(next));
            close(next);
            close(handle);
            close(handle);
            assert!(!is_open(handle));
        }
        all.extend((0..1000).map(|_| opened()));
        all.iter().for_each(|handle| close(*handle));
        let given = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), given);
        for foreign in [0, 1, usize::MAX, FIRST, 0xffbf << PLACE_BITS, 0xffc0 << PLACE_BITS] {
            assert!(!is_open(std::ptr::without_provenance_mut(foreign)));
        }
    }

    #[test]
    fn threads_that_share_a_reader_take_turns() {
        let handle = opened().addr();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..2000 {
                        let mut reader = reader(handle).unwrap();
                        let id = [b'a' + (i % 26) as u8; 200];
                        reader.name.set(&NameRef::new(&id[..1 + i % 200], b"").unwrap());
                        let name = reader.name.as_ref();
                        assert!(name.id().len() == 1 + i % 200 && name.id().iter().all(|b| *b == id[0]));
                    }
                });
            }
        });
        close(std::ptr::without_provenance_mut(handle));
    }
}
