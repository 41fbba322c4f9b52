// SPDX-License-Identifier: GPL-2.0-or-later
//! The random choices of each test, from the seed of the run and the test's name.

use crate::common::Rng;
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    /// The test that this thread runs.
    static TEST: Cell<&'static str> = const { Cell::new("") };
}

/// Runs a test of that name.
pub fn as_test<R>(name: &'static str, test: impl FnOnce() -> R) -> R {
    TEST.set(name);
    test()
}

/// The generator of the test that this thread runs, from its beginning.
pub fn rng() -> Rng {
    let name = TEST.get();
    assert!(!name.is_empty(), "a thread of a test gets a generator that is split from the test's");
    Rng::of_test(name)
}

/// A time from `least` microseconds on, for so many.
pub fn moment(rng: &mut Rng, least: u64, span: usize) -> Duration {
    Duration::from_micros(least + rng.below(span) as u64)
}
