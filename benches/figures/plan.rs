// SPDX-License-Identifier: GPL-2.0-or-later
//! How much is measured: all of it in a quarter of an hour, or little of it in a few minutes.

/// Sizes, rounds and limits.
#[derive(Debug)]
pub struct Plan {
    /// Keys of keyrings.
    pub sizes: &'static [u64],
    /// Those that fetches are measured at.
    pub fetch_sizes: &'static [u64],
    /// How often both keyrings have their turn.
    pub rounds: u32,
    /// Loads in a round.
    pub loads: u32,
    /// Measurements of fetches in a round, and how long each is.
    pub fetch_rounds: u32,
    pub fetch_millis: u64,
    /// Changes of a kind in a round, and when it ends at the latest.
    pub changes: usize,
    pub change_millis: u64,
}

/// The whole of it.
pub const FULL: Plan = Plan {
    sizes: &[10, 1_000, 10_000, 100_000],
    fetch_sizes: &[10, 1_000, 100_000],
    rounds: 3,
    loads: 3,
    fetch_rounds: 3,
    fetch_millis: 300,
    changes: 50,
    change_millis: 4_000,
};

/// Few samples.
pub const QUICK: Plan =
    Plan { rounds: 1, loads: 1, fetch_rounds: 1, changes: 10, change_millis: 500, ..FULL };
