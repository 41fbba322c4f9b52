// SPDX-License-Identifier: GPL-2.0-or-later
//! Random calls from eight threads at once, some of them hostile. Every result is compared with a model. Each thread has
//! a user of its own, so that it knows what its keys must be; the threads share the file and the locks.

#[path = "calls/component.rs"]
mod component;
#[path = "calls/component_hostile.rs"]
mod component_hostile;
#[path = "calls/plugin.rs"]
mod plugin;

use crate::arguments::Random;
use crate::seed::Rng;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::{Barrier, Mutex};

const THREADS: u64 = 8;
/// Key ids of each thread.
const IDS: u64 = 12;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|v| v.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// The type of a key, its length, and its bytes once they are known: those of a generated key from the first fetch on.
type Key = (CString, usize, Option<Vec<u8>>);

/// What a thread knows.
struct Actor {
    random: Random,
    user: CString,
    keys: HashMap<CString, Key>,
    calls: u64,
    hostile: u64,
}

impl Actor {
    fn new(random: Random, number: u64) -> Actor {
        Actor {
            random,
            user: CString::new(format!("user{number}@host")).unwrap(),
            keys: HashMap::new(),
            calls: 0,
            hostile: 0,
        }
    }

    fn id(&mut self) -> CString {
        match self.random.below(IDS) {
            // The longest possible.
            0 => CString::new(vec![b'l'; 255]).unwrap(),
            n => CString::new(format!("key{n}")).unwrap(),
        }
    }

    fn length(&mut self) -> usize {
        [1, 16, 32, 33, 200, 16384][self.random.below(6) as usize]
    }

    /// Compares a key that was fetched with the model.
    fn check(&mut self, id: &CStr, kind: &[u8], data: &[u8]) {
        let user = &self.user;
        let (was_kind, len, was) =
            self.keys.get_mut(id).unwrap_or_else(|| panic!("{id:?} of {user:?} should not be there"));
        assert_eq!((was_kind.as_bytes(), *len), (kind, data.len()), "{id:?} of {user:?}");
        assert!(was.get_or_insert_with(|| data.to_vec()) == data, "{id:?} of {user:?} has other bytes");
    }

    fn is_mine(&self, user: &CStr) -> bool {
        self.user.as_c_str() == user
    }
}

/// Runs `step` in all threads until that many calls were made.
fn run(name: &str, step: impl Fn(&mut Actor) + Sync) {
    let calls = setting("KX_ABI_CALLS").unwrap_or(20_000) / 2;
    let mut rng = Rng::of_test(name);
    println!("{name}: {calls} calls by {THREADS} threads");
    let barrier = Barrier::new(THREADS as usize);
    let totals = Mutex::new((0, 0));
    std::thread::scope(|scope| {
        for number in 0..THREADS {
            let (barrier, totals, step, random) = (&barrier, &totals, &step, Random(rng.split()));
            scope.spawn(move || {
                let mut actor = Actor::new(random, number);
                barrier.wait();
                while actor.calls < calls.div_ceil(THREADS) {
                    step(&mut actor);
                }
                let mut totals = totals.lock().unwrap();
                *totals = (totals.0 + actor.calls, totals.1 + actor.hostile);
            });
        }
    });
    let (calls, hostile) = totals.into_inner().unwrap();
    println!("{name}: {calls} calls made, {hostile} of them with hostile arguments, no wrong answer");
}
