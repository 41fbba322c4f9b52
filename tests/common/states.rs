// SPDX-License-Identifier: GPL-2.0-or-later
//! What a power cut may leave on the disk of a [`Sim`].

use super::Rng;
use super::sim::{Certainty, Inode, NameChange, Names, Sim, World, Write, apply};
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

const SECTOR: usize = 512;
/// What a file may hold where it became longer before its bytes were written.
const GARBAGE: u8 = 0xa5;

/// The parts of a write that arrived.
type Arrived = Vec<Range<usize>>;

impl Sim {
    /// Filesystems as a crash now may leave this one: all that matter when few writes are in doubt, else
    /// a seeded choice of about `most` for each state of the names. With `rename_in_two` a rename may
    /// also be cut in the middle: the file that had the new name is gone, the old name is still there.
    pub fn after_crash(&self, rng: &mut Rng, most: usize, rename_in_two: bool) -> Vec<Sim> {
        // However many states there are, which the random bytes in sealed records decide too, what the test chooses after
        // this is the same each time.
        let rng = &mut rng.split();
        let world = self.world();
        let mut result = Vec::new();
        for names in name_states(&world, rename_in_two) {
            let mut contents: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
            for ino in names.values() {
                contents.entry(*ino).or_insert_with(|| content_states(&world.inodes[*ino], rng, most));
            }
            // Every state of every file, beside a random one of the others.
            let rounds = contents.values().map(Vec::len).max().unwrap_or(1);
            for round in 0..rounds {
                let sim = Sim::default();
                for (path, ino) in &names {
                    let states = &contents[ino];
                    let state = states.get(round).unwrap_or_else(|| &states[rng.below(states.len())]);
                    sim.put(path, state.clone());
                }
                result.push(sim);
            }
        }
        result
    }
}

fn name_states(world: &World, rename_in_two: bool) -> Vec<Names> {
    let mut states = vec![world.base.clone()];
    for (change, certainty) in &world.log {
        let mut next = Vec::new();
        for names in states {
            let mut done = names.clone();
            change.apply(&mut done);
            if *certainty != Certainty::Sure {
                if let (NameChange::Rename(_, to, _), true) = (change, rename_in_two) {
                    let mut half = names.clone();
                    half.remove(to);
                    next.push(half);
                }
                next.push(names);
            }
            next.push(done);
        }
        next.sort();
        next.dedup();
        states = next;
    }
    states
}

fn content_states(inode: &Inode, rng: &mut Rng, most: usize) -> Vec<Vec<u8>> {
    let choices: Vec<Vec<Arrived>> =
        inode.log.iter().filter(|w| w.state != Certainty::Sure).map(|w| arrivals(w, rng)).collect();
    let all = choices.iter().map(Vec::len).fold(1, usize::saturating_mul);
    // The corners are always among them: nothing arrived, all arrived.
    let mut picks = vec![vec![0; choices.len()], vec![1; choices.len()]];
    for n in 0..all.min(most) {
        let mut n = if all <= most { n } else { rng.below(all) };
        let digit = |c: &Vec<Arrived>| {
            let pick = n % c.len();
            n /= c.len();
            pick
        };
        picks.push(choices.iter().map(digit).collect());
    }
    // In the order of the choices, not of the bytes: a failing test must fail the same way again.
    let (mut states, mut known) = (Vec::new(), HashSet::new());
    for pick in picks {
        for fill in [None, Some(0), Some(GARBAGE)] {
            let mut file = inode.base.clone();
            if let Some(fill) = fill
                && file.len() < inode.seen.len()
            {
                file.resize(inode.seen.len(), fill);
            }
            let mut arrived = pick.iter().zip(&choices).map(|(pick, choice)| &choice[*pick]);
            for w in &inode.log {
                if w.state == Certainty::Sure {
                    apply(&mut file, w.offset, &w.bytes);
                } else {
                    for part in arrived.next().unwrap() {
                        apply(&mut file, w.offset + part.start, &w.bytes[part.clone()]);
                    }
                }
            }
            if known.insert(file.clone()) {
                states.push(file);
            }
        }
    }
    states
}

/// What may have arrived of a write: nothing; all; subsets of its sectors; cuts inside sectors.
fn arrivals(write: &Write, rng: &mut Rng) -> Vec<Arrived> {
    let len = write.bytes.len();
    let whole = 0..len;
    let mut sectors: Arrived = Vec::new();
    let mut from = 0;
    while from < len {
        let to = ((write.offset + from) / SECTOR + 1) * SECTOR - write.offset;
        sectors.push(from..to.min(len));
        from = to;
    }
    let chosen = |keep: &dyn Fn(usize) -> bool| -> Arrived {
        sectors.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, s)| s.clone()).collect()
    };
    let mut all: Vec<Arrived> = vec![Vec::new(), vec![whole]];
    if sectors.len() <= 6 {
        all.extend((0..1usize << sectors.len()).map(|set| chosen(&|s| set >> s & 1 == 1)));
    } else {
        all.extend((0..sectors.len()).map(|cut| chosen(&|s| s < cut)));
        all.extend((0..sectors.len()).map(|lost| chosen(&|s| s != lost)));
        for _ in 0..16 {
            let bits = rng.next();
            all.push(chosen(&|s| bits >> (s % 64) & 1 == 1));
        }
    }
    let cuts: Vec<usize> =
        if len <= 400 { (1..len).collect() } else { (0..40).map(|_| 1 + rng.below(len - 1)).collect() };
    all.extend(cuts.into_iter().flat_map(|cut| [0..cut, cut..len]).map(|part| Vec::from([part])));
    all
}
