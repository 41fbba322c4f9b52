// SPDX-License-Identifier: GPL-2.0-or-later
//! A buffer for secrets, locked in RAM.
//!
//! A forked child inherits the memory, but not the lock: `mysqld --daemonize` opens the keyring and then
//! forks, so the child locks the memory again ([`lock_again`]). A child that executes another program loses
//! the memory.

use super::random::fill_random;
use memmap2::{Advice, MmapMut};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroize;

static LOCK_FAILED: AtomicBool = AtomicBool::new(false);
static LOCK_REPORTED: AtomicBool = AtomicBool::new(false);

/// Returns `true` once in the life of the process if some secret memory could not be locked (`RLIMIT_MEMLOCK`
/// is too low). The caller must report it.
pub(crate) fn lock_failure_to_report() -> bool {
    LOCK_FAILED.load(Ordering::Relaxed) && !LOCK_REPORTED.swap(true, Ordering::Relaxed)
}

/// All [`Locked`] buffers of the process: address and length of each mapping.
static LIVE: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

fn live() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks all secret memory again, in a process that was forked from the one that locked it. `lock` gets the
/// address and length of one mapping at a time, which stays valid during the call, and returns whether it was
/// locked.
pub(crate) fn lock_again(lock: impl Fn(usize, usize) -> bool) {
    for (address, len) in live().iter() {
        if !lock(*address, *len) {
            LOCK_FAILED.store(true, Ordering::Relaxed);
        }
    }
}

/// Size in bytes of a mapping that is kept for the next secret. A longer secret has a mapping of its own.
const PAGE: usize = 4096;

/// Maximum number of mappings that are kept. They count towards `RLIMIT_MEMLOCK`, which may be 64 KiB.
const MAX_SPARE: usize = 4;

/// Mappings without a secret, zeroed and locked, for the next secrets: to map, lock and unmap a page takes four system
/// calls, each of which holds up the memory operations of all threads.
static SPARE: Mutex<Vec<MmapMut>> = Mutex::new(Vec::new());

fn spare() -> MutexGuard<'static, Vec<MmapMut>> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer for secrets, on pages of its own.
pub struct Locked {
    /// `None` only while it is dropped.
    map: Option<MmapMut>,
    /// Number of bytes in use.
    len: usize,
}

impl Locked {
    /// Allocates a zeroed buffer of `len` bytes, at least one.
    ///
    /// # Errors
    /// If the system has no memory for the mapping. A failure to lock it is only recorded: see
    /// [`lock_failure_to_report`].
    pub fn new(len: usize) -> io::Result<Self> {
        let len = len.max(1);
        if let Some(map) = (len <= PAGE).then(|| spare().pop()).flatten() {
            return Ok(Self { map: Some(map), len });
        }
        let map = MmapMut::map_anon(len.max(PAGE))?;
        map.advise(Advice::DontDump)?;
        if map.lock().is_err() {
            LOCK_FAILED.store(true, Ordering::Relaxed);
        }
        live().insert(map.as_ptr().addr(), map.len());
        Ok(Self { map: Some(map), len })
    }

    /// Allocates a buffer filled with random bytes from the operating system.
    ///
    /// # Errors
    /// No memory or no randomness.
    pub fn random(len: usize) -> io::Result<Self> {
        let mut buf = Self::new(len)?;
        fill_random(&mut buf)?;
        Ok(buf)
    }

    /// Allocates a buffer with a copy of `bytes`.
    ///
    /// # Errors
    /// No memory.
    pub fn copy_of(bytes: &[u8]) -> io::Result<Self> {
        let mut buf = Self::new(bytes.len())?;
        buf.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(buf)
    }
}

impl Deref for Locked {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.map.as_ref().and_then(|map| map.get(..self.len)).unwrap_or_default()
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.map.as_mut().and_then(|map| map.get_mut(..self.len)).unwrap_or_default()
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.zeroize();
        let Some(map) = self.map.take() else { return };
        let mut spare = spare();
        if map.len() == PAGE && spare.len() < MAX_SPARE {
            spare.push(map);
            return;
        }
        drop(spare);
        // Before the memory is unmapped, because another buffer may get its address then.
        live().remove(&map.as_ptr().addr());
    }
}

impl fmt::Debug for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_kept_without_its_secret_for_the_next() {
        for _ in 0..100 {
            let mut secrets: Vec<Locked> = (0..MAX_SPARE + 2).map(|_| Locked::new(PAGE).unwrap()).collect();
            for secret in &mut secrets {
                assert!(secret.iter().all(|byte| *byte == 0), "a new secret is zeroed");
                secret.fill(7);
            }
            drop(secrets);
            let kept = spare();
            assert!(kept.len() <= MAX_SPARE);
            assert!(kept.iter().all(|map| map.len() == PAGE && map.iter().all(|byte| *byte == 0)));
        }
    }

    /// The kernel's flags of the mapping at an address.
    fn flags(address: usize) -> Vec<String> {
        // The kernel merges adjacent mappings, also with those of tests that run in parallel.
        let holds_it = |line: &str| {
            let ends = line.split(' ').next().and_then(|range| range.split_once('-'));
            let number = |hex| usize::from_str_radix(hex, 16).ok();
            ends.and_then(|(from, to)| Some(number(from)?..number(to)?)).is_some_and(|r| r.contains(&address))
        };
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let flags = smaps
            .lines()
            .skip_while(|line| !holds_it(line))
            .find_map(|line| line.strip_prefix("VmFlags:"))
            .expect("the buffer is mapped");
        flags.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_locked_buffer_is_locked_kept_out_of_dumps_and_left_to_forked_children() {
        let buf = Locked::copy_of(b"some secret").unwrap();
        let flags = flags(buf.as_ptr().addr());
        let has = |flag: &str| flags.iter().any(|f| f == flag);
        assert!(has("lo") && has("dd"), "neither locked nor kept out of dumps: {flags:?}");
        assert!(!has("dc") && !has("wf"), "not copied to a forked child, or wiped there: {flags:?}");
    }

    #[test]
    fn debug_shows_nothing() {
        let buf = Locked::copy_of(b"some secret").unwrap();
        assert_eq!(format!("{buf:?}"), "Locked(..)");
    }
}
