// SPDX-License-Identifier: GPL-2.0-or-later
//! What the repeatable tests stand on: the same seed and name make the same choices, whatever runs beside.

use crate::common::Rng;
use std::sync::Barrier;

fn choices(mut rng: Rng) -> Vec<u64> {
    (0..10_000).map(|_| rng.next()).collect()
}

#[test]
fn tests_that_run_at_once_do_not_disturb_each_other() {
    let names = ["kill::while_rotating", "faults_power::ext4", "faults_power::xfs", "faults_eio::power_cuts"];
    let alone = names.map(|name| choices(Rng::derived(7, name)));
    let barrier = Barrier::new(names.len());
    let at_once = std::thread::scope(|scope| {
        let test = |name| {
            barrier.wait();
            choices(Rng::derived(7, name))
        };
        names.map(|name| scope.spawn(move || test(name))).map(|thread| thread.join().unwrap())
    });
    assert!(at_once == alone);
    for (n, choices) in alone.iter().enumerate() {
        assert!(alone[..n].iter().all(|other| other[0] != choices[0]), "two tests make the same choices");
    }
}

#[test]
fn the_seed_of_the_run_is_the_same_for_all_and_counts() {
    assert_eq!(choices(Rng::of_test("a")), choices(Rng::of_test("a")));
    assert_ne!(choices(Rng::derived(1, "a")), choices(Rng::derived(2, "a")));
    assert_ne!(choices(Rng::derived(1, "a")), choices(Rng::derived(1, "b")));
    // What a thread of a test chooses is the test's too, whenever it runs.
    let (mut one, mut other) = (Rng::derived(1, "a"), Rng::derived(1, "a"));
    let thread = one.split();
    one.next();
    assert_eq!(choices(thread), choices(other.split()));
}
