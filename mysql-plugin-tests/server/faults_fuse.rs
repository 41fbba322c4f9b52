// SPDX-License-Identifier: GPL-2.0-or-later
//! Every request that the kernel makes of a volume fails once, or with all that follow, or in a power
//! cut, on a filesystem of these tests: what was acknowledged is there, byte for byte, what was removed
//! is gone, nothing else is there, each copy opens, and all goes on.

use crate::common::sim::Effect;
use crate::common::{Op, Rng, data};
use crate::rig::fuse::{Fuse, Life, Start};
use crate::rig::times;
use std::collections::BTreeMap;
use std::fmt;

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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Once(_) => "EIO once",
            Fault::FromThenOn => "EIO from then on",
            Fault::PowerCut => "power cut",
        })
    }
}

/// A scenario: what is done, and on which volumes.
struct Scenario {
    name: &'static str,
    start: Start,
    run: fn(&mut Life),
    /// Whether the second volume takes part.
    mirrored: bool,
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

fn init(life: &mut Life) {
    life.init();
}

fn changes(life: &mut Life) {
    life.load();
    life.change(store("one", 300));
    life.change(generate("two"));
    life.change(remove("kept", ""));
    life.change(store("three", 40));
    life.change(Op::AddSlot);
    life.change(remove("two", "anna"));
    life.change(Op::Rekey);
    life.change(generate("four"));
    life.close();
    life.load();
    life.close();
}

fn sync(life: &mut Life) {
    life.sync();
    life.sync();
}

/// Which requests were made to fail: how, and how often.
#[derive(Default)]
struct Counts {
    faults: BTreeMap<(String, &'static str), usize>,
    acknowledged: usize,
    failed: usize,
    states: usize,
}

fn everywhere(life: &mut Life, scenario: &Scenario, counts: &mut Counts, rng: &mut Rng) {
    let faults = [
        Fault::Once(Effect::None),
        Fault::Once(Effect::Half),
        Fault::Once(Effect::Whole),
        Fault::FromThenOn,
        Fault::PowerCut,
    ];
    for second in [false, true].into_iter().take(1 + usize::from(scenario.mirrored)) {
        for fault in faults {
            for at in 1.. {
                let name = scenario.name;
                life.begin(&scenario.start);
                life.what = format!("{name}, {fault:?} at request {at} of the volume {second}");
                let volume = |life: &'_ Life| -> *const Fuse { if second { &life.b } else { &life.a } };
                let _ = volume;
                let target = if second { &life.b } else { &life.a };
                match fault {
                    Fault::Once(effect) => target.fail_at(at, effect),
                    Fault::FromThenOn => target.fail_from(at),
                    Fault::PowerCut => target.cut_at(at),
                }
                (scenario.run)(life);
                let target = if second { &life.b } else { &life.a };
                let Some(request) = target.requests().get(at - 1).copied() else {
                    assert_eq!(life.promised.failed, 0, "{}", life.what);
                    break;
                };
                life.what.push_str(&format!(" ({request})"));
                *counts.faults.entry((fault.to_string(), request)).or_default() += 1;
                counts.acknowledged += life.promised.acknowledged;
                counts.failed += life.promised.failed;
                let states = life.after_cut(rng, times(3, 12));
                if fault != Fault::PowerCut {
                    life.a.heal();
                    life.b.heal();
                    life.check("at once");
                }
                for (n, state) in states.iter().enumerate() {
                    life.come_back(state);
                    life.check(&format!("after power cut {n}"));
                    counts.states += 1;
                }
            }
        }
    }
}

pub fn one() {
    let mut life = Life::new();
    let (mut counts, mut rng) = (Counts::default(), Rng(5));
    let began = std::time::Instant::now();
    let scenario = Scenario { name: "init", start: Start::empty(), run: init, mirrored: true };
    everywhere(&mut life, &scenario, &mut counts, &mut rng);
    eprintln!("{:?} {} {} {} {:?}", counts.faults, counts.acknowledged, counts.failed, counts.states, began.elapsed());
}
