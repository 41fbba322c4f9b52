// SPDX-License-Identifier: GPL-2.0-or-later
//! Two servers at one remote store keys without a pause, and their requests go side by side: neither is starved.

use crate::common::Rng;
use crate::common::copies::{generate, ids};
use crate::rig::{ONE, Program, World};
use keyring_external::keyring::Keyring;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Lets two programs send their requests strictly in turn, until it is over. A turn lasts from one request of a program
/// until it is about to send the next, so what it does between them delays the other one and changes nothing else.
struct Turns {
    now: Mutex<Turn>,
    changed: Condvar,
}

struct Turn {
    whose: usize,
    /// Its request is sent.
    is_used: bool,
    are_over: bool,
}

impl Turns {
    fn beginning_with(whose: usize) -> Arc<Turns> {
        let now = Mutex::new(Turn { whose, is_used: false, are_over: false });
        Arc::new(Turns { now, changed: Condvar::new() })
    }

    /// Waits for a turn of this program.
    fn take(&self, who: usize) {
        let mut now = self.now.lock().unwrap();
        while !now.are_over {
            if now.whose == who {
                let was_used = now.is_used;
                *now = Turn { whose: if was_used { 1 - who } else { who }, is_used: !was_used, ..*now };
                self.changed.notify_all();
                if !was_used {
                    return;
                }
            }
            now = self.changed.wait(now).unwrap();
        }
    }

    fn are_over(&self) -> bool {
        self.now.lock().unwrap().are_over
    }
}

/// Ends the turns, also if its program fails.
struct Ends<'t>(&'t Turns);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.now.lock().unwrap().are_over = true;
        self.0.changed.notify_all();
    }
}

const BEHIND: usize = 0;
const AHEAD: usize = 1;

/// Two servers that send their requests in turn, with the keyring of each.
fn in_turns(world: &World) -> (Arc<Turns>, [Program; 2], [Keyring; 2]) {
    let turns = Turns::beginning_with(AHEAD);
    let programs = [world.program(), world.program()];
    let keyrings = programs.each_ref().map(|program| program.serve(&[ONE], 1).unwrap());
    for (who, program) in programs.iter().enumerate() {
        let turns = Arc::clone(&turns);
        program.one.before(move |_| turns.take(who));
    }
    (turns, programs, keyrings)
}

/// One server has just stored a key and goes on with the next. The other one has to read that key before it can store its
/// own: that takes more requests than the first needs for another key, so when it writes it is always behind again. It gets
/// its turn because it claims the remote. The order of the requests depends neither on time nor on chance.
#[test]
fn a_change_that_is_always_overtaken_claims_its_turn() {
    /// So many keys are enough to show that it gets none.
    const MOST: usize = 30;
    let (world, _) = World::filled(&[ONE], Rng(36));
    let (turns, _programs, keyrings) = in_turns(&world);
    let stored = AtomicUsize::new(0);
    let when_done = std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ends = Ends(&turns);
            while !turns.are_over() && stored.load(Ordering::SeqCst) < MOST {
                generate(&keyrings[AHEAD], &format!("ahead{}", stored.load(Ordering::SeqCst))).unwrap();
                stored.fetch_add(1, Ordering::SeqCst);
            }
        });
        let _ends = Ends(&turns);
        generate(&keyrings[BEHIND], "behind").unwrap();
        stored.load(Ordering::SeqCst)
    });
    println!("stored when the other one had stored {when_done} keys");
    assert!(when_done < MOST, "it was starved");
    let found = ids(&world.program().load(&[ONE], 1).unwrap());
    assert!(found.contains("behind") && found.contains("ahead0"), "{found:?}");
}

/// Both store keys until each has stored enough: each gets its turns, and no key is lost.
#[test]
fn a_busy_program_does_not_starve_another() {
    const EACH: usize = 40;
    let (world, set) = World::filled(&[ONE], Rng(36));
    let (turns, _programs, keyrings) = in_turns(&world);
    let stored = [BEHIND, AHEAD].map(|_| AtomicUsize::new(0));
    let count = |who: usize| stored[who].load(Ordering::SeqCst);
    std::thread::scope(|scope| {
        for (who, keyring) in keyrings.iter().enumerate() {
            let (turns, stored) = (&turns, &stored);
            scope.spawn(move || {
                let _ends = Ends(turns);
                // Until the other one is done too, so that it never has the remote for itself, or has failed.
                while !turns.are_over() && stored.iter().any(|stored| stored.load(Ordering::SeqCst) < EACH) {
                    generate(keyring, &format!("{who}-{}", stored[who].load(Ordering::SeqCst))).unwrap();
                    stored[who].fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    println!("{} and {} keys stored", count(BEHIND), count(AHEAD));
    assert_eq!(world.found(&[ONE]).unwrap().len(), set.len() + count(BEHIND) + count(AHEAD));
    let (least, most) = (count(BEHIND).min(count(AHEAD)), count(BEHIND).max(count(AHEAD)));
    assert!(most / least < 5, "{least} and {most}");
}
