// SPDX-License-Identifier: GPL-2.0-or-later
//! Random choices that can be made again: all of a test come from the seed of the run and the test's name, so that
//! tests which run at once do not disturb each other. `KX_SEED` gives the seed that a failed test has printed.

use std::sync::OnceLock;

/// The variable with the seed.
const SETTING: &str = "KX_SEED";

/// SplitMix64: small, seeded, the same on every machine.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    /// The generator of a test. The seed of the run is printed.
    pub fn of_test(name: &str) -> Rng {
        let seed = seed_of_run();
        println!("{name}: {SETTING}={seed}");
        Rng::derived(seed, name)
    }

    /// The generator that a seed and a name lead to.
    pub fn derived(seed: u64, name: &str) -> Rng {
        name.bytes().fold(Rng(seed), |mut rng, byte| Rng(rng.next() ^ u64::from(byte)))
    }

    /// One that goes its own way, for another thread of the test.
    pub fn split(&mut self) -> Rng {
        Rng(self.next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// The same for all tests of this process: the setting, or another one for each run.
fn seed_of_run() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| match std::env::var(SETTING) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SETTING} is no number: {text}")),
        Err(_) => std::time::UNIX_EPOCH.elapsed().map_or(1, |t| t.as_nanos() as u64 >> 10),
    })
}
