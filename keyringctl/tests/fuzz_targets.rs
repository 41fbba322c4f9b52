// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs the fuzz targets (fuzz/) on their seeds and on small changes of them, without a fuzzer.

#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

/// Calls `each` with a seed changed in a few places, and truncated there.
fn changed(seed: &[u8], each: impl Fn(&[u8])) {
    let step = (seed.len() / 16).max(1);
    for at in (0..seed.len()).step_by(step) {
        for change in [1, 0x80, 0xff] {
            let mut other = seed.to_vec();
            other[at] ^= change;
            each(&other);
        }
        each(&seed[..at]);
    }
}

#[test]
fn every_target_takes_its_seeds_and_changes_of_them() {
    for (name, target) in fuzz::TARGETS {
        let seeds = fuzz::seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        target(b"");
        for seed in &seeds {
            target(seed);
        }
        for seed in seeds.iter().step_by(seeds.len().div_ceil(6)) {
            changed(seed, target);
        }
    }
}
