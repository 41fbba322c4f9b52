// SPDX-License-Identifier: GPL-2.0-or-later
//! Many small secrets in few locked buffers.

use super::locked::Locked;
use std::collections::HashMap;
use std::fmt;
use std::io;
use zeroize::Zeroize;

/// Bytes of a chunk. Two chunks fit the 64 KiB that old systems let a process lock.
const CHUNK: usize = 32 * 1024;
/// Reserved lengths are rounded up to a multiple of this, so that released places can be used again.
const GRAIN: usize = 16;

/// The place of a secret in a [`Vault`].
#[derive(Clone, Copy, Debug)]
pub struct VaultPlace {
    chunk: u32,
    offset: u32,
    len: u32,
}

impl VaultPlace {
    /// Length of the secret in bytes.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the secret is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Many small secrets in [`Locked`] chunks.
#[derive(Default)]
pub struct Vault {
    chunks: Vec<Locked>,
    used: usize,
    free: HashMap<usize, Vec<VaultPlace>>,
}

impl Vault {
    /// Reserves a zeroed place for `len` bytes, at most 16384.
    ///
    /// # Errors
    /// No memory; `len` does not fit a chunk.
    pub fn reserve(&mut self, len: usize) -> io::Result<VaultPlace> {
        let room = len.next_multiple_of(GRAIN);
        if let Some(place) = self.free.get_mut(&room).and_then(Vec::pop) {
            return Ok(VaultPlace { len: len as u32, ..place });
        }
        if room > CHUNK {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "secret too long"));
        }
        if self.chunks.is_empty() || self.used + room > CHUNK {
            self.chunks.push(Locked::new(CHUNK)?);
            self.used = 0;
        }
        let place =
            VaultPlace { chunk: (self.chunks.len() - 1) as u32, offset: self.used as u32, len: len as u32 };
        self.used += room;
        Ok(place)
    }

    /// The secret at `place`. Empty if the place belongs to another vault.
    pub fn get(&self, place: VaultPlace) -> &[u8] {
        self.chunks
            .get(place.chunk as usize)
            .and_then(|c| c.get(place.offset as usize..(place.offset + place.len) as usize))
            .unwrap_or_default()
    }

    /// The secret at `place`, for writing.
    pub fn get_mut(&mut self, place: VaultPlace) -> &mut [u8] {
        self.chunks
            .get_mut(place.chunk as usize)
            .and_then(|c| c.get_mut(place.offset as usize..(place.offset + place.len) as usize))
            .unwrap_or_default()
    }

    /// Wipes the secret at `place`, which can be reserved again.
    pub fn release(&mut self, place: VaultPlace) {
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
    use super::super::locked::lock_again;
    use super::*;

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
        // Another test may get the same address, but not with the same length.
        assert!(!all().contains(&place) && all().contains(&chunk));
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
