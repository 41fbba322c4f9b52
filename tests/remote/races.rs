// SPDX-License-Identifier: GPL-2.0-or-later
//! Two programs at one remote: whatever one does between two requests of the other, no acknowledged key is lost and none
//! is there twice. docs/ARCHITECTURE.md, "A remote", has the argument for each of these.

use crate::common::copies::{generate, ids};
use crate::common::{Op, PATH, Rng, Set, contents, data, key_type, name, take_into_use, tended};
use crate::engine::{Client, Fault, KINDS, Odds, What};
use crate::rig::{HEAD_ONE, LAYOUTS, Layout, ONE, World, file, store};
use keyring_external::error::{BadRequest, Error};
use keyring_external::keyring::KeyringState;
use keyring_external::store::remote::head::Head;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};

/// Runs `work` before request `at` of a program.
fn before_request(client: &Client, at: usize, work: impl Fn() + Send + Sync + 'static) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    client.before(move |_| {
        if counted.fetch_add(1, Ordering::SeqCst) + 1 == at {
            work();
        }
    });
    count
}

/// What the other program does meanwhile.
fn others() -> Vec<Vec<Op>> {
    let remove = Op::Remove { id: "short", user: "anna" };
    vec![
        vec![store("other")],
        vec![remove.clone()],
        vec![store("other"), remove, store("another")],
        (0..20).map(|n: u64| store(Box::leak(format!("other{n}").into_boxed_str()))).collect(),
    ]
}

/// A program is paused before each of its requests while another one changes the keyring, and then goes on.
#[test]
fn a_paused_program_that_wakes_up_loses_no_key_of_the_other() {
    let (mut points, mut refused) = (0, 0);
    // A file beside the remote is locked by the program that is paused.
    let layouts = LAYOUTS.into_iter().filter(|layout| !layout.contains(&PATH));
    for (layout, kind) in layouts.flat_map(|layout| KINDS.map(|kind| (layout, kind))) {
        let (start, set) = World::filled_on(kind, layout, Rng(31));
        for mine in [store("mine"), Op::Remove { id: "long", user: "anna" }, Op::AddSlot] {
            for (in_use, theirs) in
                [false, true].into_iter().flat_map(|u| others().into_iter().map(move |o| (u, o)))
            {
                for at in 1.. {
                    let world = start.fork();
                    let program = world.program();
                    let keyring = program.serve(layout, layout.len() as u32).unwrap();
                    if in_use {
                        take_into_use(&keyring);
                    }
                    let other = world.program().serve(layout, layout.len() as u32).unwrap();
                    let work = theirs.clone();
                    let told = Arc::new(Mutex::new(Vec::new()));
                    let heard = Arc::clone(&told);
                    let count = before_request(&program.one, at, move || {
                        work.iter().for_each(|op| heard.lock().unwrap().push(op.run(&other).is_ok()));
                    });
                    let done = mine.run(&keyring);
                    program.one.before(|_| {});
                    let what =
                        format!("{layout:?}, {mine:?} beside {theirs:?} before request {at}: {done:?}");
                    if count.load(Ordering::SeqCst) < at {
                        break;
                    }
                    points += 1;
                    let mut expected = set.clone();
                    for (op, made) in theirs.iter().zip(told.lock().unwrap().iter()) {
                        // Of two remotes, one may be changed already.
                        assert!(*made || layout.len() > 1, "{what}: the other's failed");
                        expected = if *made { op.after(&expected, &expected) } else { expected };
                    }
                    let found = world.found(layout).unwrap_or_else(|e| panic!("{what}: {e}"));
                    match &done {
                        // Of two remotes, one may be changed and adopted by the other program, and then the change is
                        // found to be made already.
                        Err(_) if layout.len() > 1 => {
                            assert!(
                                found == expected || found == mine.after(&expected, &found),
                                "{what}: {found:?}"
                            );
                            refused += 1;
                        }
                        Err(e) => panic!("{what}: {e}"),
                        Ok(()) => assert_eq!(found, mine.after(&expected, &expected), "{what}"),
                    }
                    // A change of the other that came last is seen by the next look.
                    assert_eq!(tended(&keyring).state, KeyringState::Attached, "{what}");
                    assert_eq!(contents(&keyring), found, "{what}");
                    file(&world.one, "fleet/db1");
                }
            }
        }
    }
    println!("{points} pauses, {refused} changes refused");
    assert!(points > 300 && 10 * refused < points, "{points} pauses, {refused} refused");
}

/// A put of the head is delayed. The program finds that it was not done, and from then on it cannot be.
#[test]
fn a_put_of_the_head_that_arrives_after_the_fence_changes_nothing() {
    let ops = [store("new"), Op::Remove { id: "long", user: "anna" }];
    for (op, kind) in ops.into_iter().flat_map(|op| KINDS.map(|kind| (op.clone(), kind))) {
        let (start, set) = World::filled_on(kind, &[ONE], Rng(32));
        for in_use in [false, true] {
            let world = start.fork();
            world.one.hold_delayed();
            let keyring = world.program().serve(&[ONE], 1).unwrap();
            if in_use {
                take_into_use(&keyring);
            }
            let sequence = || Head::decode(&world.one.object(HEAD_ONE).unwrap()).unwrap().sequence;
            let before = sequence();
            let heads = |requests: &[crate::engine::Request]| {
                requests.iter().position(|r| r.what == What::Put && r.name == HEAD_ONE).map(|at| at + 1)
            };
            // Find out which request puts the head, on another world.
            let probe = world.fork();
            let twin = probe.program().serve(&[ONE], 1).unwrap();
            if in_use {
                take_into_use(&twin);
            }
            probe.one.plan(&[]);
            op.run(&twin).unwrap();
            let at = heads(&probe.one.requests()).unwrap();
            // It is sent again once; both may arrive later.
            world.one.plan(&[(at, Fault::Late), (at + 2, Fault::Late)]);
            let e = op.run(&keyring).unwrap_err();
            assert!(!e.is_by_another() && !e.to_string().contains("may have been made"), "{e}");
            world.one.plan(&[]);
            assert!(sequence() > before);
            assert_eq!(world.found(&[ONE]).unwrap(), set);
            assert_eq!(world.one.deliver(), 2);
            assert_eq!(world.found(&[ONE]).unwrap(), set, "a change that failed was made later");
            // The same change works now.
            op.run(&keyring).unwrap();
            assert_eq!(world.found(&[ONE]).unwrap(), op.after(&set, &set));
        }
    }
}

/// A reader between whose requests another program writes everything anew finds a complete state.
#[test]
fn a_reader_begins_again_when_another_program_writes_everything_anew() {
    let (start, _) = World::filled(&[ONE], Rng(33));
    let keys = (0..400u64).map(|n| (&*Box::leak(n.to_string().into_boxed_str()), data(n, 2000))).collect();
    Op::StoreAll { keys }.run(&start.program().load(&[ONE], 1).unwrap()).unwrap();
    let set = start.found(&[ONE]).unwrap();
    let remove = Op::Remove { id: "7", user: "" };
    for at in 1.. {
        let world = start.fork();
        let (reader, writer) = (world.program(), world.program().load(&[ONE], 1).unwrap());
        let op = remove.clone();
        let count = before_request(&reader.one, at, move || op.run(&writer).unwrap());
        let found = reader.load(&[ONE], 1).map(|keyring| contents(&keyring)).unwrap();
        assert!(found == set || found == remove.after(&set, &set), "before request {at}");
        if count.load(Ordering::SeqCst) < at {
            assert!(at > 4, "{at} requests");
            break;
        }
    }
    // One that never comes to an end says so, and does not call the copy damaged.
    let world = start.fork();
    let (reader, writer) = (world.program(), world.program().load(&[ONE], 1).unwrap());
    let n = AtomicUsize::new(0);
    reader.one.before(move |request| {
        if request.what == What::Get && request.name != HEAD_ONE {
            let id = n.fetch_add(1, Ordering::SeqCst).to_string();
            writer.remove(name(&id, "")).unwrap();
        }
    });
    let e = reader.load(&[ONE], 1).unwrap_err().to_string();
    assert!(e.contains("replaced it meanwhile"), "{e}");
}

/// A program that has put a head in place, and deletes what it replaced, is slow: others change the keyring meanwhile.
#[test]
fn a_slow_cleaner_deletes_nothing_that_later_heads_name() {
    let (start, _) = World::filled(&[ONE], Rng(34));
    for kind in [What::List, What::Delete] {
        for theirs in others() {
            for stale in [false, true] {
                let world = start.fork();
                world.one.set_odds(Odds { stale, ..Odds::default() });
                let cleaner = world.program();
                let keyring = cleaner.load(&[ONE], 1).unwrap();
                let program = world.program();
                let state = Mutex::new((false, false));
                let theirs = theirs.clone();
                let done = Arc::new(Mutex::new(None));
                let result = Arc::clone(&done);
                cleaner.one.before(move |request| {
                    let mut state = state.lock().unwrap();
                    state.0 |= request.what == What::Put && request.name == HEAD_ONE;
                    if state.0 && !state.1 && request.what == kind {
                        state.1 = true;
                        let other = program.load(&[ONE], 1).unwrap();
                        theirs.iter().for_each(|op| drop(op.run(&other)));
                        // What is prepared for the next head may not be deleted either.
                        *result.lock().unwrap() = Some(contents(&other));
                    }
                });
                Op::Remove { id: "short", user: "bert" }.run(&keyring).unwrap();
                let expected = done.lock().unwrap().take().expect("the other program ran");
                assert_eq!(world.found(&[ONE]).unwrap(), expected, "{kind:?}, stale lists: {stale}");
            }
        }
    }
}

/// The cleaner is slow while another program has put a piece and not yet the head that names it.
#[test]
fn a_slow_cleaner_deletes_nothing_that_is_being_prepared() {
    let (world, set) = World::filled(&[ONE], Rng(35));
    let (cleaner, other) = (world.program(), world.program());
    let slow = cleaner.load(&[ONE], 1).unwrap();
    let remove = Op::Remove { id: "short", user: "bert" };
    let writer = Arc::new(Mutex::new(None));
    // The cleaner's head is in place; then it is paused until the other is about to put its head.
    let (paused, resume) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (p, r) = (Arc::clone(&paused), Arc::clone(&resume));
    let in_place = AtomicUsize::new(0);
    cleaner.one.before(move |request| {
        let put = request.what == What::Put && request.name == HEAD_ONE;
        in_place.fetch_add(usize::from(put), Ordering::SeqCst);
        if request.what == What::List && in_place.load(Ordering::SeqCst) == 1 {
            in_place.store(2, Ordering::SeqCst);
            p.wait();
            r.wait();
        }
    });
    std::thread::scope(|scope| {
        let cleaning = scope.spawn(|| remove.run(&slow));
        paused.wait();
        let keyring = other.load(&[ONE], 1).unwrap();
        take_into_use(&keyring);
        let puts = AtomicUsize::new(0);
        let resume = Arc::clone(&resume);
        let cleaning = Mutex::new(Some(cleaning));
        // A store puts its piece first. Before it puts the head, the cleaner ends.
        let ended = std::thread::scope(|_| {
            let cleaned = Arc::new(AtomicUsize::new(0));
            let seen = Arc::clone(&cleaned);
            other.one.before(move |request| {
                if request.what == What::Put && puts.fetch_add(1, Ordering::SeqCst) == 1 {
                    resume.wait();
                    while seen.load(Ordering::SeqCst) == 0 {
                        std::thread::yield_now();
                    }
                }
            });
            let waiting = cleaning.lock().unwrap().take().unwrap();
            let ender = scope.spawn(move || {
                waiting.join().unwrap().unwrap();
                cleaned.store(1, Ordering::SeqCst);
            });
            store("prepared").run(&keyring).unwrap();
            ender.join().unwrap();
            contents(&keyring)
        });
        *writer.lock().unwrap() = Some(ended);
    });
    let expected = store("prepared").after(&remove.after(&set, &set), &set);
    assert_eq!(writer.lock().unwrap().take().unwrap(), expected);
    assert_eq!(world.found(&[ONE]).unwrap(), expected);
}

/// Two servers race for hundreds of rounds while answers are lost and requests come late.
#[test]
fn two_racing_servers_lose_no_acknowledged_key() {
    let mut rng = Rng::of_test("two_racing_servers_lose_no_acknowledged_key");
    let odds = Odds { refused: 10, answer_lost: 20, request_lost: 20, late: 20, stale: true };
    let rounds = LAYOUTS.into_iter().zip([200, 60, 60]);
    for ((layout, rounds), kind) in rounds.flat_map(|rounds| KINDS.map(|kind| (rounds, kind))) {
        let layout: Layout = layout;
        let world = World::with_keyring_on(kind, layout, rng.split());
        let acknowledged = Mutex::new(BTreeSet::new());
        let attempted = Mutex::new(BTreeSet::new());
        let failed = AtomicUsize::new(0);
        let keyrings: Vec<_> =
            (0..2).map(|_| world.program().serve(layout, layout.len() as u32).unwrap()).collect();
        world.one.set_odds(odds);
        world.two.set_odds(odds);
        // A header names 32 ancestors; a program that is further behind does not know its own state in another's.
        let together = Barrier::new(2);
        std::thread::scope(|scope| {
            for (who, keyring) in keyrings.iter().enumerate() {
                let mut rng = rng.split();
                let (acknowledged, attempted, failed, together) =
                    (&acknowledged, &attempted, &failed, &together);
                scope.spawn(move || {
                    let mut own = Vec::new();
                    for round in 0..rounds {
                        if round % 8 == 0 {
                            together.wait();
                        }
                        let id = format!("{who}-{round}");
                        attempted.lock().unwrap().insert(id.clone());
                        match generate(keyring, &id) {
                            Ok(()) => {
                                acknowledged.lock().unwrap().insert(id.clone());
                                own.push(id);
                            }
                            Err(_) => drop(failed.fetch_add(1, Ordering::SeqCst)),
                        }
                        if rng.below(8) == 0 && !own.is_empty() {
                            let gone = own.swap_remove(rng.below(own.len()));
                            // From now on nobody can know whether it is there, unless this succeeds.
                            acknowledged.lock().unwrap().remove(&gone);
                            match keyring.remove(name(&gone, "")) {
                                Ok(()) => drop(attempted.lock().unwrap().remove(&gone)),
                                Err(Error::BadRequest(BadRequest::NoSuchKey { .. })) => {}
                                Err(_) => drop(failed.fetch_add(1, Ordering::SeqCst)),
                            }
                        }
                    }
                });
            }
        });
        world.one.set_odds(Odds::default());
        world.two.set_odds(Odds::default());
        world.deliver();
        // The next change settles what the last failure left.
        keyrings[0].store(name("settled", ""), &key_type("AES"), &data(1, 32)).unwrap();
        let found = world.program().load(layout, 1).unwrap();
        let there = ids(&found);
        let acknowledged = acknowledged.into_inner().unwrap();
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "{layout:?}: lost {lost:?}");
        let attempted = attempted.into_inner().unwrap();
        let unknown: Vec<_> =
            there.iter().filter(|id| *id != "settled" && !attempted.contains(*id)).collect();
        assert!(unknown.is_empty(), "{layout:?}: came back or never were made: {unknown:?}");
        let failed = failed.into_inner();
        println!("{layout:?}: {} acknowledged, {failed} failed", acknowledged.len());
        assert!(2 * acknowledged.len() >= rounds, "{layout:?}");
        let set: Set = contents(&found);
        for path in layout {
            assert_eq!(world.found(Box::leak(Box::new([*path]))).unwrap(), set, "{path}");
        }
    }
}
