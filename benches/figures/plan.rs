// SPDX-License-Identifier: GPL-2.0-or-later
//! How much is measured: all of it in three quarters of an hour, or little of it in a few minutes.

/// Sizes, rounds and limits.
#[derive(Debug)]
pub struct Plan {
    /// Keys of keyrings.
    pub sizes: &'static [u64],
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
    /// Stores in the server, of each size, at most; `change_millis` ends them too.
    pub server_stores: usize,
    /// Encrypted tablespaces, in growing number; new master keys for each; starts with the most.
    pub spaces: &'static [u64],
    pub rotations: u32,
    pub starts: u32,
    /// The biobank whose files are read, 1 for 2 GB, and how often.
    pub biobank: f64,
    pub readings: u32,
    /// Rows of a table, rounds, and seconds of each turn in one.
    pub oltp_rows: u64,
    pub oltp_rounds: u32,
    pub oltp_seconds: u64,
    /// The biobank that is encrypted under load: 1 is 2 GB; seconds of the load before that.
    pub biobank_scale: f64,
    pub load_seconds: u64,
}

/// The whole of it.
pub const FULL: Plan = Plan {
    sizes: &[10, 1_000, 10_000, 100_000],
    rounds: 5,
    loads: 3,
    fetch_rounds: 3,
    fetch_millis: 300,
    changes: 50,
    change_millis: 4_000,
    server_stores: 200,
    spaces: &[1, 100, 5_000],
    rotations: 20,
    starts: 7,
    biobank: 1.0,
    readings: 7,
    oltp_rows: 20_000,
    oltp_rounds: 40,
    oltp_seconds: 5,
    biobank_scale: 1.0,
    load_seconds: 10,
};

/// Few samples.
pub const QUICK: Plan = Plan {
    rounds: 1,
    loads: 1,
    fetch_rounds: 1,
    changes: 10,
    change_millis: 500,
    server_stores: 20,
    spaces: &[1, 20, 100],
    rotations: 3,
    starts: 2,
    biobank: 0.02,
    readings: 2,
    oltp_rows: 2_000,
    oltp_rounds: 2,
    oltp_seconds: 2,
    biobank_scale: 0.1,
    load_seconds: 5,
    ..FULL
};
