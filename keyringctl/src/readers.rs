// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads many files, and large ones in ranges, with a bounded number of threads.
//!
//! ```ignore
//! let readers = Readers::new();
//! readers.each(paths.len(), &|i| read(&paths[i], &readers), &mut |i, result| ...);
//! // Within `read`, for a file of any size:
//! let of_ranges = readers.ranges(&file, length, |range, buffer, kept| ...)?;
//! ```
//!
//! Threads that have no more files to read help with the ranges of those that others still read, so that a single large
//! file is read as fast as many small ones. However many files and ranges there are, no more than [`MOST`] threads run, also
//! if a filesystem does not answer. Each has one buffer of [`PIECE`] bytes.
//!
//! What is read stays in the page cache only as far as the kernel has room for it: files are read ahead, but their pages do
//! not count as used, so they do not displace what a running server uses (from Linux 6.3 on). They are not removed from the
//! cache either, because a server that reads them through it (innodb_flush_method=fsync) would have to read them again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::{self, Builder};

/// Disks and network filesystems are faster with several requests at once, even if there are fewer processors.
const LEAST: usize = 8;
/// More threads are not faster than any disk.
const MOST: usize = 32;
/// Bytes of a range, which one thread reads: large enough that reading ahead pays.
const RANGE: u64 = 8 << 20;
/// The most ranges of a file, so that the results of the ranges of a very large one take little memory.
const MOST_RANGES: u64 = 4096;
/// Bytes that are read at once: a multiple of every page and block size. They fit into a processor's cache, so that they
/// are still there when they are checked.
pub(crate) const PIECE: usize = 256 * 1024;

/// Threads that can still be started.
#[derive(Debug)]
pub(crate) struct Readers {
    spare: AtomicUsize,
}

/// The right to run a thread, until it is dropped.
struct Permit<'a>(&'a AtomicUsize);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

impl Readers {
    /// Allows as many threads as there are processors, within bounds.
    pub(crate) fn new() -> Readers {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Readers { spare: AtomicUsize::new(processors.clamp(LEAST, MOST)) }
    }

    fn permit(&self) -> Option<Permit<'_>> {
        let taken =
            self.spare.fetch_update(Ordering::Acquire, Ordering::Relaxed, |spare| spare.checked_sub(1));
        taken.ok().map(|_| Permit(&self.spare))
    }

    /// Calls `work` with each number below `count`, in several threads, and `done` in this one with each result.
    pub(crate) fn each<T: Send>(
        &self,
        count: usize,
        work: &(dyn Fn(usize) -> T + Sync),
        done: &mut dyn FnMut(usize, T),
    ) {
        let next = AtomicUsize::new(0);
        let claim = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|i| *i < count);
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            let mut started = false;
            for _ in 0..count {
                let Some(permit) = self.permit() else { break };
                let sender = sender.clone();
                let run = move || {
                    let _permit = permit;
                    while let Some(i) = claim() {
                        if sender.send((i, work(i))).is_err() {
                            break;
                        }
                    }
                };
                if Builder::new().spawn_scoped(scope, run).is_err() {
                    break;
                }
                started = true;
            }
            drop(sender);
            if started {
                receiver.into_iter().for_each(|(i, result)| done(i, result));
            } else {
                // The system has no thread for this.
                while let Some(i) = claim() {
                    done(i, work(i));
                }
            }
        });
    }

    /// Calls `work` with each range of the first `len` bytes of a file and with what its thread keeps: a buffer of
    /// [`PIECE`] bytes, or of `len` if that is less, and an `S`. Returns the results in the order of the ranges, each of
    /// which begins at a multiple of [`PIECE`].
    ///
    /// # Errors
    /// The first one, in the order of the ranges, that `work` returns.
    pub(crate) fn ranges<S: Default, T: Send>(
        &self,
        file: &File,
        len: u64,
        work: impl Fn(Range<u64>, &mut [u8], &mut S) -> io::Result<T> + Sync,
    ) -> io::Result<Vec<T>> {
        read_once(file);
        let size = RANGE.max(len.div_ceil(MOST_RANGES).next_multiple_of(PIECE as u64));
        let buffer = || vec![0; usize::try_from(len).unwrap_or(PIECE).min(PIECE)];
        if len <= size {
            return work(0..len, &mut buffer(), &mut S::default()).map(|result| vec![result]);
        }
        let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
        let results = Mutex::new(BTreeMap::new());
        let one = |buffer: &mut [u8], kept: &mut S| {
            let at = next.fetch_add(size, Ordering::Relaxed);
            if at >= len || failed.load(Ordering::Relaxed) {
                return false;
            }
            let result = work(at..len.min(at + size), buffer, kept);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            results.lock().unwrap_or_else(PoisonError::into_inner).insert(at, result);
            true
        };
        thread::scope(|scope| {
            let (mut own, mut kept) = (buffer(), S::default());
            loop {
                let more = next.load(Ordering::Relaxed).saturating_add(size) < len;
                if let Some(permit) = more.then(|| self.permit()).flatten() {
                    let help = || {
                        let (_permit, mut buffer, mut kept) = (permit, buffer(), S::default());
                        while one(&mut buffer, &mut kept) {}
                    };
                    // Without a thread, it is read here.
                    drop(Builder::new().spawn_scoped(scope, help));
                }
                if !one(&mut own, &mut kept) {
                    break;
                }
            }
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }
}

/// Tells the kernel that a file is read from its beginning to its end, once. It may not care.
fn read_once(file: &File) {
    use rustix::fs::{Advice, fadvise};
    for advice in [Advice::Sequential, Advice::NoReuse] {
        let _ = fadvise(file, 0, None, advice);
    }
}

/// Reads until the buffer is full or the file ends. Returns how much was read.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn read_at(file: &File, at: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while let Some(rest) = into.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at.saturating_add(len as u64)) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_a_file_once_and_in_order() {
        let file = tempfile::tempfile().unwrap();
        for len in [0, 1, RANGE, RANGE + 1, 5 * RANGE + 3, MOST_RANGES * RANGE * 3 + 1] {
            let readers = Readers::new();
            let ranges = readers
                .ranges(&file, len, |range, buffer: &mut [u8], _: &mut ()| {
                    assert_eq!(buffer.len() as u64, len.min(PIECE as u64));
                    Ok(range)
                })
                .unwrap();
            let mut at = 0;
            for range in &ranges {
                assert_eq!((range.start, range.start % PIECE as u64), (at, 0), "{len}");
                at = range.end;
            }
            assert_eq!(at, len);
            assert!(ranges.len() as u64 <= MOST_RANGES);
            // All threads are there again.
            assert_eq!(readers.spare.into_inner(), Readers::new().spare.into_inner());
        }
    }

    #[test]
    fn the_first_error_in_the_order_of_the_file_is_returned() {
        let file = tempfile::tempfile().unwrap();
        let fails = |range: Range<u64>, _: &mut [u8], _: &mut ()| match range.start / RANGE {
            n @ 3.. => Err(io::Error::other(n.to_string())),
            _ => Ok(()),
        };
        for _ in 0..20 {
            let error = Readers::new().ranges(&file, 100 * RANGE, fails).unwrap_err();
            assert_eq!(error.to_string(), "3");
        }
    }

    #[test]
    fn large_files_within_many_take_no_more_threads_than_allowed() {
        let file = tempfile::tempfile().unwrap();
        let readers = Readers::new();
        let (allowed, running, most) =
            (readers.spare.load(Ordering::Relaxed), AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |_: Range<u64>, _: &mut [u8], _: &mut ()| {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            thread::sleep(std::time::Duration::from_millis(1));
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        };
        let mut sum = 0;
        let ranges = |_| readers.ranges(&file, 20 * RANGE, work).unwrap().len();
        readers.each(3, &ranges, &mut |_, n| sum += n);
        assert_eq!(sum, 60);
        let most = most.load(Ordering::SeqCst);
        assert!((2..=allowed).contains(&most), "{most} of {allowed}");
        // Without a thread to spare, the caller's own does it all.
        let none = Readers { spare: AtomicUsize::new(0) };
        let mut numbers = Vec::new();
        none.each(3, &|i| i, &mut |_, i| numbers.push(i));
        assert_eq!((numbers, none.ranges(&file, 2 * RANGE, work).unwrap().len()), (vec![0, 1, 2], 2));
    }
}
