// SPDX-License-Identifier: GPL-2.0-or-later
//! Good and hostile arguments, chosen by random numbers that a seed repeats.

use crate::seed::Rng;
use std::ffi::c_char;
use std::io::Write;
use std::sync::OnceLock;

/// The random numbers.
pub struct Random(pub Rng);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0.next()
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// A name of 256 bytes, one more than the longest, that has no terminator.
pub fn endless() -> *const c_char {
    endless_of(256)
}

/// A text of `len` bytes that has no terminator: the byte behind it cannot be read.
pub fn endless_of(len: usize) -> *const c_char {
    static MAP: OnceLock<memmap2::Mmap> = OnceLock::new();
    let map = MAP.get_or_init(|| {
        // Behind the end of a file, its mapping raises SIGBUS.
        let page = 64 * 1024;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'e'; page]).unwrap();
        unsafe { memmap2::MmapOptions::new().len(2 * page).map(&file) }.unwrap()
    });
    map[map.len() / 2 - len..].as_ptr().cast()
}

/// A buffer with room for `len` bytes, and a rim that must not be changed.
pub struct Buffer {
    bytes: Vec<u8>,
    len: usize,
}

const RIM: usize = 32;
const FILL: u8 = 0xc3;

impl Buffer {
    pub fn new(len: usize) -> Buffer {
        Buffer { bytes: vec![FILL; len + RIM], len }
    }

    pub fn ptr<T>(&mut self) -> *mut T {
        self.bytes.as_mut_ptr().cast()
    }

    /// The first `n` bytes. Nothing may have been written behind the room.
    pub fn get(&self, n: usize) -> &[u8] {
        assert!(self.bytes[self.len..].iter().all(|b| *b == FILL), "written past the end of a buffer");
        &self.bytes[..n]
    }

    /// Fails if anything was written.
    pub fn assert_untouched(&self) {
        assert!(self.bytes.iter().all(|b| *b == FILL), "a failed call wrote to a buffer");
    }
}

/// A handle that was never given out.
pub fn foreign_handles(random: &mut Random) -> usize {
    match random.below(5) {
        0 => 0,
        1 => usize::MAX,
        2 => random.next() as usize,
        3 => 0x1000 + random.below(4096) as usize,
        // Near those that are given out, of every kind.
        _ => {
            [0x6b78_0000, 0x5200_0000_0000, 0x4900_0000_0000, 0x4d00_0000_0000][random.below(4) as usize]
                | 0x4000_0000
        }
    }
}
