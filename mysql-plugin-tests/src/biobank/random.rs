// SPDX-License-Identifier: GPL-2.0-or-later
//! Numbers that look random and are the same for the same seed.

/// SplitMix64.
pub struct Random(u64);

impl Random {
    /// Of a seed and further numbers.
    pub fn new(parts: &[u64]) -> Random {
        let mut random = Random(0);
        for part in parts {
            random.0 = random.next() ^ part;
        }
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `end`, without `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }
}
