// SPDX-License-Identifier: GPL-2.0-or-later
//! Every request that the kernel makes of a volume fails: once, or with all that follow, or in a power cut.
//! Afterwards what was acknowledged is there, byte for byte, what was removed is gone, nothing else is
//! there, each copy opens, and all goes on. The volumes are of a filesystem of these tests (`rig::fuse`),
//! which the product uses through the kernel as any other.

use mysql_plugin_tests::common::sim::Effect;
use mysql_plugin_tests::common::{Op, data};
use mysql_plugin_tests::rig::fuse::{Life, Start};
use mysql_plugin_tests::rig::{rng, times};
use std::collections::BTreeMap;

/// What is done to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// It fails, and nothing, half or all of it has happened.
    Once(Effect),
    /// It and all later ones fail.
    FromThenOn,
    /// The power fails in it.
    PowerCut,
}

/// Requests that change something, or make it durable.
const CHANGES: [&str; 7] = ["create", "fsync", "fsyncdir", "rename", "setattr", "unlink", "write"];

impl Fault {
    /// What is done to such a request, and to how many such in a row. A request that changes nothing fails in one
    /// way, and when the power fails in it, that is as if it had failed before; in the short run it does so once in a
    /// while.
    fn of(request: &str, number: usize) -> Vec<Fault> {
        let once = [Effect::None, Effect::Half, Effect::Whole].map(Fault::Once);
        if CHANGES.contains(&request) {
            once.into_iter().chain([Fault::FromThenOn, Fault::PowerCut]).collect()
        } else if number.is_multiple_of(times(5, 1)) {
            vec![once[0], Fault::FromThenOn, Fault::PowerCut]
        } else {
            vec![once[0]]
        }
    }

    fn name(self) -> &'static str {
        match self {
            Fault::Once(_) => "EIO once",
            Fault::FromThenOn => "EIO from then on",
            Fault::PowerCut => "power cut",
        }
    }
}

/// What was done and found.
#[derive(Default)]
struct Counts {
    /// How often a request failed, by the kind of fault and of request.
    faults: BTreeMap<&'static str, BTreeMap<&'static str, usize>>,
    acknowledged: usize,
    failed: usize,
    /// States of the volumes after power cuts.
    states: usize,
}

fn store(id: &'static str, len: usize) -> Op {
    Op::Store { id, user: "", key_type: "SECRET", data: data(len as u64, len) }
}

fn generate(id: &'static str) -> Op {
    Op::Generate { id, user: "anna", key_type: "AES", len: 32 }
}

fn remove(id: &'static str, user: &'static str) -> Op {
    Op::Remove { id, user }
}

/// Changes, and loading what came of them.
fn changes(life: &mut Life, ops: impl IntoIterator<Item = Op>) {
    life.load();
    ops.into_iter().for_each(|op| life.change(op));
    life.close();
    life.load();
    life.close();
}

/// The first is written whole, the next is appended, and so on.
fn few_changes(life: &mut Life) {
    changes(life, [store("one", 300), generate("two"), remove("kept", ""), store("three", 40)]);
}

fn all_changes(life: &mut Life) {
    let late = [Op::AddSlot, generate("four"), Op::Rekey, remove("two", "anna"), store("five", 900)];
    changes(life, [store("one", 300), generate("two"), remove("kept", "")].into_iter().chain(late));
}

/// A keyring with two keys and a copy on each volume.
fn two_copies(life: &mut Life) -> Start {
    life.begin(&Start::empty());
    life.init();
    life.load();
    life.change(store("kept", 16));
    life.change(generate("made"));
    life.close();
    life.state()
}

/// Runs a scenario once for each request that it leads to and each fault of that.
/// Answers how many of its steps failed.
fn everywhere(life: &mut Life, name: &str, start: &Start, scenario: fn(&mut Life)) -> usize {
    let (mut counts, mut rng) = (Counts::default(), rng());
    for volume in 0..2 {
        life.begin(start);
        life.what = name.to_owned();
        life.volume(volume).heal();
        scenario(life);
        assert_eq!(life.promised.failed, 0);
        let requests = life.volume(volume).requests();
        for (at, request) in (1..).zip(&requests) {
            for fault in Fault::of(request, at) {
                life.begin(start);
                life.what = format!("{name}: {fault:?} at request {at} of volume {volume}");
                match fault {
                    Fault::Once(effect) => life.volume(volume).fail_at(at, effect),
                    Fault::FromThenOn => life.volume(volume).fail_from(at),
                    Fault::PowerCut => life.volume(volume).cut_at(at),
                }
                scenario(life);
                let Some(request) = life.volume(volume).requests().get(at - 1).copied() else {
                    panic!("{}: there was no such request", life.what);
                };
                life.what.push_str(&format!(" ({request})"));
                *counts.faults.entry(fault.name()).or_default().entry(request).or_default() += 1;
                counts.acknowledged += life.promised.acknowledged;
                counts.failed += life.promised.failed;
                let states = life.after_cut(&mut rng, times(3, 20));
                if fault != Fault::PowerCut {
                    life.heal();
                    life.check("at once");
                }
                // With one state only, all was durable, and has just been checked.
                let states = if fault != Fault::PowerCut && states.len() == 1 { &[] } else { &states[..] };
                for (n, state) in states.iter().enumerate() {
                    life.come_back(state);
                    life.check(&format!("after power cut {n}"));
                }
                counts.states += states.len();
            }
        }
    }
    counts.report(name);
    counts.failed
}

impl Counts {
    fn report(&self, name: &str) {
        let mut all = 0;
        for (fault, requests) in &self.faults {
            let told: Vec<_> = requests.iter().map(|(request, n)| format!("{request} {n}")).collect();
            let sum: usize = requests.values().sum();
            all += sum;
            eprintln!("FUSE, {name}, {fault}: {sum} faults ({})", told.join(", "));
        }
        eprintln!(
            "FUSE, {name}: {all} faults, {} steps acknowledged, {} failed, {} states after power cuts; \
             0 lost, 0 false",
            self.acknowledged, self.failed, self.states
        );
        for fault in self.faults.values() {
            for request in ["write", "fsync", "create", "rename", "fsyncdir"] {
                assert!(fault.contains_key(request), "no {request} failed");
            }
        }
        assert!(self.acknowledged > 0 && self.states > 0);
    }
}

/// `keyringctl init --mirror`.
pub fn init() {
    assert!(everywhere(&mut Life::new(), "init", &Start::empty(), Life::init) > 0);
}

/// Changes of a keyring with one copy.
pub fn one_copy() {
    let mut life = Life::new();
    let start = two_copies(&mut life).with_one_copy().with_leftover();
    assert!(everywhere(&mut life, "one copy", &start, all_changes) > 0);
}

/// Changes of a keyring with two copies, of which one is enough.
pub fn either_copy() {
    let mut life = Life::new();
    let start = two_copies(&mut life);
    let failed = everywhere(&mut life, "either copy", &start, few_changes);
    assert_eq!(failed, 0, "one copy is enough");
}

/// Changes of a keyring with two copies, which both must be reached.
pub fn both_copies() {
    let mut life = Life::new();
    let start = two_copies(&mut life).with_min_copies(2);
    assert!(everywhere(&mut life, "both copies", &start, few_changes) > 0);
}

/// `keyringctl sync`: makes a copy, and brings one up to date that lags behind.
pub fn sync() {
    let mut life = Life::new();
    let start = two_copies(&mut life);
    assert!(everywhere(&mut life, "sync, new copy", &start.with_one_copy(), Life::sync) > 0);

    life.begin(&start);
    life.volume(1).fail_from(1);
    life.load();
    life.change(remove("kept", ""));
    life.change(store("late", 32));
    life.close();
    let lagging = life.state();
    assert!(everywhere(&mut life, "sync, lagging copy", &lagging, Life::sync) > 0);
}
