// SPDX-License-Identifier: GPL-2.0-or-later
//! Nodes that are killed or stop while objects are put: what was acknowledged is there, and it goes on by itself.

use crate::opened::{RECOVERY, STEP, name, put, read, soon, trouble, until_it_works};
use keyring_external::store::remote::objects::{Cause, Objects, Put, Version};
use mysql_plugin_tests::rig::engines::Engine;
use mysql_plugin_tests::rig::{times, wait_until};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// An engine of three nodes loses one, then another.
///
/// `old` is for how long reads may show what was there before: on some engines a node that stopped while it led and goes
/// on says for a moment that it still leads, or until it is started again.
pub fn of_three_nodes(engine: &mut dyn Engine, objects: &dyn Objects, old: Duration) {
    one_node_down(engine, objects);
    leader_fails_during_puts(engine, objects, old);
    no_majority(engine, objects);
}

/// A follower is killed: nothing is noticed.
fn one_node_down(engine: &mut dyn Engine, objects: &dyn Objects) {
    let leader = engine.leader().expect("a leader");
    let follower = (leader + 1) % engine.nodes();
    engine.kill(follower);
    let mut version = None;
    for n in 0..20_u8 {
        version = Some(put(objects, &name("down"), &[n], version.as_ref()));
        assert_eq!(read(objects, &name("down")), Some(vec![n]));
    }
    engine.start(follower);
    engine.wait_until_whole();
}

/// What a writer did that never stops.
#[derive(Default)]
struct Told {
    done: AtomicU64,
    unknown: AtomicU64,
    stop: AtomicBool,
}

/// A head is replaced again and again and pieces are put, while the leader is killed or stops.
fn leader_fails_during_puts(engine: &mut dyn Engine, objects: &dyn Objects, old: Duration) {
    let told = Told::default();
    let rounds = times(1, 25);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(objects, &told, old));
        // A writer that fails ends the rounds; a round that fails ends the writer.
        struct Stop<'a>(&'a Told);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.stop.store(true, Ordering::Relaxed);
            }
        }
        let stop = Stop(&told);
        let progress = |engine: &mut dyn Engine, more: u64| {
            let from = told.done.load(Ordering::Relaxed);
            let end = Instant::now() + RECOVERY;
            while told.done.load(Ordering::Relaxed) < from + more && !writer.is_finished() {
                assert!(Instant::now() < end, "no put succeeds any more");
                std::thread::sleep(Duration::from_millis(20));
                engine.tend();
            }
        };
        for _ in 0..rounds {
            progress(engine, 10);
            let leader = engine.leader().expect("a leader");
            engine.kill(leader);
            progress(engine, 10);
            engine.start(leader);
            engine.wait_until_whole();
            progress(engine, 10);
            let leader = engine.leader().expect("a leader");
            let paused = engine.pause(leader);
            progress(engine, 10);
            drop(paused);
            engine.wait_until_whole();
        }
        drop(stop);
        let acknowledged = writer.join().unwrap();
        // All that was acknowledged is there.
        for n in acknowledged {
            let piece = name(&format!("leader/pieces/{n}"));
            assert_eq!(
                until_it_works(|| objects.get(&piece, soon())).map(|o| o.bytes),
                Some(vec![7; 1000]),
                "{n}"
            );
        }
    });
    let (done, unknown) = (told.done.into_inner(), told.unknown.into_inner());
    println!(
        "{} faults of the leader: {done} pairs of puts, {unknown} without a known outcome at first",
        2 * rounds
    );
}

/// Puts a piece and then a head that counts them, until it is told to stop. Returns the pieces that were acknowledged.
fn write(objects: &dyn Objects, told: &Told, old: Duration) -> Vec<u64> {
    let head = name("leader/head");
    let mut acknowledged = Vec::new();
    let mut version: Option<Version> = None;
    for n in 0_u64.. {
        if told.stop.load(Ordering::Relaxed) {
            break;
        }
        let piece = name(&format!("leader/pieces/{n}"));
        settled(objects, (&piece, &[7; 1000]), None, None, told, old);
        let before = n.checked_sub(1).map(u64::to_le_bytes);
        let before = before.as_ref().map(<[u8; 8]>::as_slice);
        version = Some(settled(objects, (&head, &n.to_le_bytes()), version.as_ref(), before, told, old));
        acknowledged.push(n);
        told.done.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

/// Puts an object that nobody else changes. If the outcome is not known, finds it out: what is there is what was there
/// `before`, or what was put.
fn settled(
    objects: &dyn Objects,
    (name, bytes): (&str, &[u8]),
    was: Option<&Version>,
    before: Option<&[u8]>,
    told: &Told,
    old: Duration,
) -> Version {
    let mut was = was.cloned();
    let end = Instant::now() + RECOVERY;
    loop {
        let put = objects.put(name, bytes, was.as_ref(), soon());
        if let Ok(Put::Done(version)) = put {
            return version;
        }
        told.unknown.fetch_add(1, Ordering::Relaxed);
        assert!(Instant::now() < end, "{name}: {put:?}");
        let mut found = None;
        let is_true = wait_until(old, || {
            found = until_it_works(|| objects.get(name, soon()));
            match &found {
                Some(object) if object.bytes == bytes => true,
                // After a conflict there must be something that it was a conflict with.
                Some(object) => {
                    before == Some(object.bytes.as_slice())
                        && (put != Ok(Put::Conflict) || Some(&object.version) != was.as_ref())
                }
                None => before.is_none() && put != Ok(Put::Conflict),
            }
        });
        assert!(
            is_true,
            "{name}: an acknowledged put is gone, or there was no conflict: {put:?}, {was:?}, {found:?}"
        );
        match found {
            Some(object) if object.bytes == bytes => return object.version,
            Some(object) => was = Some(object.version),
            None => {}
        }
    }
}

/// Two of three nodes are away: nothing is put or read, and it is said why. When they are back, it goes on.
fn no_majority(engine: &mut dyn Engine, objects: &dyn Objects) {
    let name = name("majority");
    let version = put(objects, &name, b"1", None);
    engine.kill(0);
    engine.kill(1);
    let began = Instant::now();
    // A leader that has a lease answers for some moments, and rightly: no other one can have been elected.
    let get = loop {
        match objects.get(&name, soon()) {
            Err(trouble) => break trouble,
            Ok(found) => assert_eq!(found.map(|object| object.bytes), Some(b"1".to_vec())),
        }
        assert!(began.elapsed() < RECOVERY, "it is read without a majority");
    };
    let began = Instant::now();
    let troubles = [
        get,
        trouble("get", objects.get(&name, soon())),
        trouble("put", objects.put(&name, b"2", Some(&version), soon())),
    ];
    // Each ends by itself, however slow the machine is.
    assert!(began.elapsed() < 6 * STEP);
    for trouble in troubles {
        let expected = [Cause::NoMajority, Cause::Unreachable, Cause::Unwell];
        assert!(expected.contains(&trouble.cause), "{trouble:?}");
        println!("no majority: {trouble}");
    }
    engine.start(0);
    engine.start(1);
    // Nothing is done here: the same connections and credentials.
    let found = until_it_works(|| objects.get(&name, soon())).expect("an object");
    assert!([b"1", b"2"].contains(&found.bytes.as_slice().try_into().unwrap()), "{:?}", found.bytes);
    engine.wait_until_whole();
    let found = objects.get(&name, soon()).unwrap().expect("an object");
    put(objects, &name, b"3", Some(&found.version));
}
