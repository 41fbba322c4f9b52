// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory for secrets (invariant 6): locked in RAM, left out of core dumps, wiped before it is given back.
//!
//! A forked child has it too: `mysqld --daemonize` opens the keyring and forks then. Locks are not inherited, so the
//! child locks the memory again ([`lock_again`]). A child that executes another program loses all of it.

use memmap2::{Advice, MmapMut};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroize;

static LOCK_FAILED: AtomicBool = AtomicBool::new(false);
static LOCK_REPORTED: AtomicBool = AtomicBool::new(false);

/// True once in the life of the process, when some secret memory could not be locked in RAM
/// (`RLIMIT_MEMLOCK` too low); the caller then says so.
pub fn lock_failure_to_report() -> bool {
    LOCK_FAILED.load(Ordering::Relaxed) && !LOCK_REPORTED.swap(true, Ordering::Relaxed)
}

/// Every [`Locked`] buffer of the process: address and length of its mapping.
static LIVE: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

fn live() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks all secret memory again, in a process that was forked from the one that locked it. `lock` gets the address
/// and the length of one mapping after the other, which stays where it is meanwhile, and answers whether it could.
pub fn lock_again(lock: impl Fn(usize, usize) -> bool) {
    for (address, len) in live().iter() {
        if !lock(*address, *len) {
            LOCK_FAILED.store(true, Ordering::Relaxed);
        }
    }
}

/// A buffer of pages of its own for secrets.
pub struct Locked(MmapMut);

impl Locked {
    /// A zeroed buffer of `len` bytes (rounded up to at least one).
    ///
    /// # Errors
    /// When the system has no memory for the mapping. A failure to lock it is only noted, see
    /// [`lock_failure_to_report`].
    pub fn new(len: usize) -> io::Result<Self> {
        let map = MmapMut::map_anon(len.max(1))?;
        map.advise(Advice::DontDump)?;
        if map.lock().is_err() {
            LOCK_FAILED.store(true, Ordering::Relaxed);
        }
        live().insert(map.as_ptr().addr(), map.len());
        Ok(Self(map))
    }

    /// A buffer filled by the operating system's generator.
    ///
    /// # Errors
    /// When there is no memory or the generator fails.
    pub fn random(len: usize) -> io::Result<Self> {
        let mut buf = Self::new(len)?;
        fill_random(&mut buf)?;
        Ok(buf)
    }

    /// A buffer that holds a copy of `bytes`.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn copy_of(bytes: &[u8]) -> io::Result<Self> {
        let mut buf = Self::new(bytes.len())?;
        buf.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(buf)
    }
}

/// Fills `buf` from the operating system's generator.
///
/// # Errors
/// When the generator fails.
pub fn fill_random(buf: &mut [u8]) -> io::Result<()> {
    getrandom::fill(buf).map_err(|e| io::Error::other(format!("the system's random generator: {e}")))
}

/// An array of random bytes, for what is not secret: salts, nonces.
///
/// # Errors
/// When the generator fails.
pub fn random_array<const N: usize>() -> io::Result<[u8; N]> {
    let mut out = [0; N];
    fill_random(&mut out)?;
    Ok(out)
}

impl Deref for Locked {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.zeroize();
        // Before it is unmapped: another buffer may get the address then.
        live().remove(&self.0.as_ptr().addr());
    }
}

impl fmt::Debug for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked(..)")
    }
}

/// Bytes of one chunk of a [`Vault`]: small enough for the 64 KiB that old systems let a process lock.
const CHUNK: usize = 32 * 1024;
/// Places are rounded up to this, so that a freed one fits again.
const GRAIN: usize = 16;

/// Where a secret lies in a [`Vault`].
#[derive(Clone, Copy, Debug)]
pub struct Place {
    chunk: u32,
    offset: u32,
    len: u32,
}

impl Place {
    /// Bytes of the secret.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the secret has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Many small secrets packed into [`Locked`] chunks.
#[derive(Default)]
pub struct Vault {
    chunks: Vec<Locked>,
    used: usize,
    free: HashMap<usize, Vec<Place>>,
}

impl Vault {
    /// Reserves a zeroed place for `len` bytes, at most 16384.
    ///
    /// # Errors
    /// When the system has no memory, or `len` does not fit a chunk.
    pub fn reserve(&mut self, len: usize) -> io::Result<Place> {
        let room = len.next_multiple_of(GRAIN);
        if let Some(place) = self.free.get_mut(&room).and_then(Vec::pop) {
            return Ok(Place { len: len as u32, ..place });
        }
        if room > CHUNK {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "secret too long"));
        }
        if self.chunks.is_empty() || self.used + room > CHUNK {
            self.chunks.push(Locked::new(CHUNK)?);
            self.used = 0;
        }
        let place =
            Place { chunk: (self.chunks.len() - 1) as u32, offset: self.used as u32, len: len as u32 };
        self.used += room;
        Ok(place)
    }

    /// The secret at `place`; empty when the place is not of this vault.
    pub fn get(&self, place: Place) -> &[u8] {
        self.chunks
            .get(place.chunk as usize)
            .and_then(|c| c.get(place.offset as usize..(place.offset + place.len) as usize))
            .unwrap_or_default()
    }

    /// The secret at `place`, to be filled.
    pub fn get_mut(&mut self, place: Place) -> &mut [u8] {
        self.chunks
            .get_mut(place.chunk as usize)
            .and_then(|c| c.get_mut(place.offset as usize..(place.offset + place.len) as usize))
            .unwrap_or_default()
    }

    /// Wipes the secret at `place` and keeps the room for another.
    pub fn release(&mut self, place: Place) {
        self.get_mut(place).zeroize();
        self.free.entry(place.len().next_multiple_of(GRAIN)).or_default().push(place);
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({} chunks)", self.chunks.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's flags of the mapping that holds an address.
    fn flags(address: usize) -> Vec<String> {
        // The kernel joins mappings that lie side by side: those of tests that run beside this one.
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
    fn every_live_buffer_is_locked_again_and_no_other() {
        use std::cell::RefCell;
        let all = || {
            let seen = RefCell::new(Vec::new());
            lock_again(|address, len| {
                seen.borrow_mut().push((address, len));
                true
            });
            seen.into_inner()
        };
        let buf = Locked::new(5000).unwrap();
        let mut vault = Vault::default();
        vault.reserve(32).unwrap();
        let place = (buf.as_ptr().addr(), 5000);
        let chunk = (vault.chunks[0].as_ptr().addr(), CHUNK);
        assert!(all().contains(&place) && all().contains(&chunk));
        drop(buf);
        // Another test may have its address, but not its length.
        assert!(!all().contains(&place) && all().contains(&chunk));
    }

    #[test]
    fn debug_shows_nothing() {
        let buf = Locked::copy_of(b"some secret").unwrap();
        assert_eq!(format!("{buf:?}"), "Locked(..)");
    }

    #[test]
    fn a_released_place_is_wiped_and_used_again() {
        let mut vault = Vault::default();
        let first = vault.reserve(32).unwrap();
        vault.get_mut(first).copy_from_slice(&[7; 32]);
        let other = vault.reserve(5).unwrap();
        vault.get_mut(other).copy_from_slice(b"other");
        vault.release(first);
        assert_eq!(vault.get(first), [0; 32]);
        let again = vault.reserve(20).unwrap();
        assert_eq!((again.chunk, again.offset, again.len()), (0, 0, 20));
        assert_eq!(vault.get(other), b"other");
    }

    #[test]
    fn a_vault_grows_by_chunks_and_its_secrets_stay() {
        let mut vault = Vault::default();
        let places: Vec<_> = (0..100u8)
            .map(|i| {
                let place = vault.reserve(1000).unwrap();
                vault.get_mut(place).fill(i);
                place
            })
            .collect();
        assert!(vault.chunks.len() > 1);
        for (i, place) in places.iter().enumerate() {
            assert!(vault.get(*place).iter().all(|b| *b == i as u8));
        }
        assert!(vault.reserve(CHUNK + 1).is_err());
    }
}
