// SPDX-License-Identifier: GPL-2.0-or-later
//! Numbers that look random and are the same for the same seed.

use crate::common::Rng;

/// The tests' generator, begun with several numbers.
pub struct Random(Rng);

impl Random {
    /// Of a seed and further numbers.
    pub fn new(parts: &[u64]) -> Random {
        Random(parts.iter().fold(Rng(0), |mut rng, part| Rng(rng.next() ^ part)))
    }

    pub fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// From 0 to `end`, without `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }
}
