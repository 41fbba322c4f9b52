// SPDX-License-Identifier: GPL-2.0-or-later
//! What `trait Objects` promises while the engine is well.

use crate::opened::{name, put, read, soon, until_it_works};
use keyring_external::store::remote::objects::{MAX_OBJECT, Now, Object, Objects, Put, Version};
use keyring_external::store::remote::probe::{Verdict, honours_conditions};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many programs race, and how often.
const RACERS: usize = 8;
const ROUNDS: usize = 30;

/// All of them.
pub fn kept(objects: &dyn Objects) {
    what_was_put_is_read(objects);
    large_and_empty_objects(objects);
    names_are_apart(objects);
    stale_versions_replace_nothing(objects);
    what_is_known_need_not_be_sent(objects);
    two_are_put_or_none(objects);
    one_of_many_creates(objects);
    one_of_many_replaces(objects);
    counting_together_loses_nothing(objects);
    lists_name_what_is_there(objects);
    what_is_deleted_is_gone(objects);
    let minute = Instant::now() + Duration::from_secs(60);
    assert_eq!(honours_conditions(objects, crate::opened::PREFIX, minute), Ok(Verdict::Honoured));
}

fn what_was_put_is_read(objects: &dyn Objects) {
    let name = name("read/head");
    assert_eq!(read(objects, &name), None);
    let mut version: Option<Version> = None;
    for n in 0..20_u8 {
        let bytes: Vec<u8> = (0..=255).map(|byte: u8| byte ^ n).collect();
        let next = put(objects, &name, &bytes, version.as_ref());
        assert_ne!(Some(&next), version.as_ref());
        let found = objects.get(&name, soon()).unwrap();
        assert_eq!(found, Some(Object { bytes, version: next.clone() }));
        version = Some(next);
    }
}

fn large_and_empty_objects(objects: &dyn Objects) {
    for (of, bytes) in [("large", vec![0xa5; MAX_OBJECT]), ("empty", Vec::new())] {
        let name = name(of);
        let version = put(objects, &name, &bytes, None);
        assert_eq!(read(objects, &name), Some(bytes.clone()));
        put(objects, &name, &bytes, Some(&version));
        assert_eq!(read(objects, &name), Some(bytes));
    }
}

fn names_are_apart(objects: &dyn Objects) {
    let long = format!("n/{}", "x".repeat(60));
    let names = ["n/a", "n/a.b", "n/a-b", "n/a_b", "n/A", "n/aa", "n/a.b/c", "n/0-1", long.as_str()];
    names.iter().for_each(|of| drop(put(objects, &name(of), of.as_bytes(), None)));
    names.iter().for_each(|of| assert_eq!(read(objects, &name(of)), Some(of.as_bytes().to_vec())));
}

fn stale_versions_replace_nothing(objects: &dyn Objects) {
    let name = name("stale");
    let first = put(objects, &name, b"1", None);
    let second = put(objects, &name, b"2", Some(&first));
    for was in [None, Some(&first)] {
        assert_eq!(objects.put(&name, b"3", was, soon()), Ok(Put::Conflict));
    }
    assert_eq!(read(objects, &name), Some(b"2".to_vec()));
    objects.delete(std::slice::from_ref(&name), soon()).unwrap();
    assert_eq!(objects.put(&name, b"3", Some(&second), soon()), Ok(Put::Conflict));
    assert_eq!(read(objects, &name), None);
}

fn what_is_known_need_not_be_sent(objects: &dyn Objects) {
    let name = name("known");
    let first = put(objects, &name, b"1", None);
    let second = put(objects, &name, b"2", Some(&first));
    let is = |bytes: &[u8], version: &Version| Object { bytes: bytes.to_vec(), version: version.clone() };
    let ask = |known| objects.get_if_changed(&name, known, soon());
    assert_eq!(ask(&first), Ok(Now::Object(Some(is(b"2", &second)))));
    // It may be sent all the same.
    assert!([Ok(Now::Same), Ok(Now::Object(Some(is(b"2", &second))))].contains(&ask(&second)));
    objects.delete(std::slice::from_ref(&name), soon()).unwrap();
    assert_eq!(ask(&second), Ok(Now::Object(None)));
}

/// Where the engine has such a step.
fn two_are_put_or_none(objects: &dyn Objects) {
    let (head, piece) = (name("two/head"), name("two/pieces/1"));
    let first = put(objects, &head, b"1", None);
    let ask = |piece: &str, bytes: &[u8], was: &Version| {
        objects.put_with((piece, b"piece"), &head, bytes, was, soon()).unwrap()
    };
    let Some(done) = ask(&piece, b"2", &first) else {
        assert_eq!((read(objects, &head), read(objects, &piece)), (Some(b"1".to_vec()), None));
        return;
    };
    let Put::Done(second) = done else { panic!("{done:?}") };
    let found = objects.get(&head, soon()).unwrap();
    assert_eq!(found, Some(Object { bytes: b"2".to_vec(), version: second.clone() }));
    assert_eq!(read(objects, &piece), Some(b"piece".to_vec()));
    // The head is another one, or the piece is there already.
    let other = name("two/pieces/2");
    for (piece, was) in [(&other, &first), (&piece, &second)] {
        assert_eq!(ask(piece, b"3", was), Some(Put::Conflict));
    }
    assert_eq!((read(objects, &head), read(objects, &other)), (Some(b"2".to_vec()), None));
}

/// Bytes that begin with this one. No object had them before: the version of an object in S3 is a hash of its bytes.
fn unlike_any_other(first: u8) -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    [&[first], number.as_slice()].concat()
}

/// Puts by many threads at once. Returns those that succeeded, by thread.
fn race(objects: &dyn Objects, name: &str, was: Option<&Version>) -> Vec<(u8, Version)> {
    let start = Barrier::new(RACERS);
    let start = &start;
    std::thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS as u8)
            .map(|racer| {
                scope.spawn(move || {
                    start.wait();
                    match objects.put(name, &unlike_any_other(racer), was, soon()) {
                        Ok(Put::Done(version)) => Some((racer, version)),
                        Ok(Put::Conflict) => None,
                        Err(trouble) => panic!("{trouble}"),
                    }
                })
            })
            .collect();
        racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect()
    })
}

/// One has won a race, and what it put is there.
fn one_winner(objects: &dyn Objects, name: &str, was: Option<&Version>) -> Version {
    let winners = race(objects, name, was);
    let [(racer, version)] = winners.as_slice() else { panic!("{name}: winners {winners:?}") };
    let found = objects.get(name, soon()).unwrap();
    let found = found.expect("an object");
    assert_eq!((found.bytes.first(), &found.version), (Some(racer), version), "{name}");
    version.clone()
}

fn one_of_many_creates(objects: &dyn Objects) {
    for round in 0..ROUNDS {
        one_winner(objects, &name(&format!("race/{round}")), None);
    }
}

fn one_of_many_replaces(objects: &dyn Objects) {
    let name = name("race/head");
    let mut version = put(objects, &name, b"-", None);
    for _ in 0..ROUNDS {
        version = one_winner(objects, &name, Some(&version));
    }
}

/// As servers that share a keyring: who meets a conflict reads again.
fn counting_together_loses_nothing(objects: &dyn Objects) {
    const EACH: u64 = 10;
    let name = name("count");
    put(objects, &name, &0_u64.to_le_bytes(), None);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    until_it_works(|| {
                        loop {
                            let Object { bytes, version } = objects.get(&name, soon())?.expect("a count");
                            let next = u64::from_le_bytes(bytes.try_into().unwrap()) + 1;
                            let put = objects.put(&name, &next.to_le_bytes(), Some(&version), soon())?;
                            if put != Put::Conflict {
                                return Ok(());
                            }
                        }
                    });
                }
            });
        }
    });
    assert_eq!(read(objects, &name), Some((4 * EACH).to_le_bytes().to_vec()));
}

fn lists_name_what_is_there(objects: &dyn Objects) {
    assert_eq!(objects.list(&name("l"), soon()), Ok(Vec::new()));
    let mut names: Vec<String> = (0..150).map(|n| name(&format!("l/pieces/{n:016x}-x"))).collect();
    names.push(name("l/head"));
    names.iter().for_each(|name| drop(put(objects, name, b"x", None)));
    // It is no part of the folder.
    put(objects, &name("l2"), b"x", None);
    put(objects, &name("l0/head"), b"x", None);
    names.sort();
    // An engine may name them a moment later.
    until_it_works(|| {
        let mut found = objects.list(&name("l"), soon())?;
        found.sort();
        let told = format!("{} of {}", found.len(), names.len());
        (found == names).then_some(()).ok_or_else(|| {
            use keyring_external::store::remote::objects::{Cause, Trouble};
            Trouble::not_done(Cause::Unwell, told)
        })
    });
}

fn what_is_deleted_is_gone(objects: &dyn Objects) {
    let names = objects.list(&name("l"), soon()).unwrap();
    assert!(names.len() > 128);
    objects.delete(&names, soon()).unwrap();
    names.iter().step_by(20).for_each(|name| assert_eq!(read(objects, name), None));
    objects.delete(&names, soon()).unwrap();
    objects.delete(&[], soon()).unwrap();
    assert_eq!(read(objects, &name("l2")), Some(b"x".to_vec()));
    // The name is free again.
    put(objects, &names[0], b"new", None);
}
