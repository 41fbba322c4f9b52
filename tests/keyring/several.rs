// SPDX-License-Identifier: GPL-2.0-or-later
//! Several copies and several programs: what one acknowledged is in what all come to in the end, a copy that somebody
//! else holds is waited for, and one that hangs holds up nothing but itself (invariants 1, 7 and 9).

use crate::common::copies::{bytes, config, generate, ids, made, open, real, tool, try_open};
use crate::common::gate::Gate;
use crate::common::hooked::Hooked;
use crate::common::{CHEAP, SECRET, contents, data, key_type, name, private_dir, rekey, secret, tended};
use keyring_external::config::Config;
use keyring_external::error::{Error, Failure, Refusal};
use keyring_external::keyring::{Keyring, KeyringState, Severity, Trust};
use keyring_external::store::places::Places;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

/// A tool changes one of the server's copies, on a volume where that takes its time. The server waits for it.
#[test]
fn a_copy_that_another_program_holds_is_waited_for() {
    let dir = private_dir();
    let paths = made(dir.path(), &["a", "b"]);
    let server = open(&real(), &paths);
    generate(&server, "before").unwrap();
    let (gate, arrivals, let_go) = Gate::new();
    let slow = Hooked::fs(real(), move |operation, _| {
        if operation == "sync" {
            gate.pass();
        }
    });
    let tool = tool(&slow, &paths[1..]).unwrap();
    std::thread::scope(|s| {
        let changed = s.spawn(|| tool.add_slot(&secret(&[7; 32]), "test", "new", CHEAP));
        arrivals.recv().unwrap();
        // The tool holds the lock.
        let stored = s.spawn(|| generate(&server, "meanwhile"));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!stored.is_finished(), "acknowledged without the copy that was being changed");
        assert_eq!(server.known_status().state, KeyringState::Attached, "it is not out of use for that");
        drop(let_go);
        changed.join().unwrap().unwrap();
        stored.join().unwrap().unwrap();
    });
    generate(&server, "after").unwrap();
    assert_eq!(tended(&server).copies, (2, 2));
    drop((server, tool));
    let server = open(&real(), &paths);
    assert_eq!(ids(&server), ["after", "before", "meanwhile"].map(String::from).into());
    assert_eq!(server.slots().len(), 2);
    assert_eq!(bytes(&paths[0]), bytes(&paths[1]));
}

/// Two servers that name the same copies in another order, on volumes that take a while to sync, and a tool in
/// between: every key that either acknowledged is there in the end.
#[test]
fn programs_that_name_the_copies_in_opposite_orders_lose_nothing() {
    let changes = if std::env::var_os("KX_LONG").is_some() { 10_000 } else { 150 };
    let dir = private_dir();
    let mut ab = made(dir.path(), &["a", "b"]);
    let slow = Hooked::fs(real(), |operation, _| {
        if operation == "sync" {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let one = open(&slow, &ab);
    let all = ab.clone();
    ab.reverse();
    let two = open(&slow, &ab);
    let barrier = Barrier::new(2);
    let acknowledged = Mutex::new(BTreeSet::new());
    let tool_changes = AtomicUsize::new(0);
    std::thread::scope(|s| {
        for (keyring, who) in [(&one, "one"), (&two, "two")] {
            let (barrier, acknowledged) = (&barrier, &acknowledged);
            s.spawn(move || {
                barrier.wait();
                for i in 0..changes / 2 {
                    let id = format!("{who} {i}");
                    generate(keyring, &id).unwrap_or_else(|e| panic!("{id}: {e}"));
                    acknowledged.lock().unwrap().insert(id);
                }
            });
        }
        s.spawn(|| {
            for copies in [&all[..], &all[..1], &all[..]] {
                let tool = tool(&slow, copies).unwrap();
                rekey(&tool, &[&SECRET], false).unwrap();
                tool_changes.fetch_add(1, Ordering::Relaxed);
            }
        });
    });
    assert_eq!(tool_changes.into_inner(), 3);
    drop((one, two));
    let server = open(&real(), &all);
    assert_eq!(ids(&server), acknowledged.into_inner().unwrap());
    assert_eq!(bytes(&all[0]), bytes(&all[1]));
    println!("{changes} changes");
}

/// The mirror in a safe: the server was started anew while it was away, and the keyring changed.
#[test]
fn a_mirror_that_was_away_over_a_restart_is_taken_back() {
    for changes in [0, 1, 2, 3, 39, 40, 41, 100] {
        for in_use_when_it_left in [false, true] {
            let dir = private_dir();
            let paths = made(dir.path(), &["a", "b"]);
            let server = open(&real(), &paths);
            generate(&server, "first").unwrap();
            let safe = dir.path().join("safe");
            let to_the_safe = || std::fs::rename(&paths[1], &safe).unwrap();
            if in_use_when_it_left {
                to_the_safe();
                generate(&server, "second").unwrap();
                drop(server);
            } else {
                drop(server);
                to_the_safe();
            }
            let server = open(&real(), &paths);
            for i in 0..changes {
                let id = format!("away {i}");
                generate(&server, &id).unwrap();
                // A key that the mirror has too is removed: its keys alone do not tell it from one that diverged.
                if i == changes / 2 {
                    server.remove(name("first", "")).unwrap();
                } else if i % 3 == 0 {
                    server.remove(name(&id, "")).unwrap();
                }
            }
            assert_eq!(server.known_status().state, KeyringState::Degraded);
            std::fs::rename(&safe, &paths[1]).unwrap();
            // Once by itself, once by the next change.
            if in_use_when_it_left {
                assert_eq!(tended(&server).copies, (2, 2), "{changes} changes");
            } else {
                generate(&server, "next").unwrap();
                assert_eq!(server.known_status().copies, (2, 2), "{changes} changes");
            }
            assert_eq!(bytes(&paths[0]), bytes(&paths[1]));
        }
    }
}

/// At start and in use alike: an earlier state is brought up to date where another copy holds the present one, and
/// refused where none does.
#[test]
fn an_earlier_state_is_brought_up_to_date_only_beside_the_present_one() {
    let dir = private_dir();
    let paths = made(dir.path(), &["a", "b"]);
    let old = bytes(&paths[0]);
    let server = open(&real(), &paths);
    generate(&server, "key").unwrap();
    drop(server);
    let server = open(&real(), &paths);
    std::fs::write(&paths[1], &old).unwrap();
    assert_eq!(tended(&server).copies, (2, 2));
    assert_eq!(bytes(&paths[0]), bytes(&paths[1]));
    for path in &paths {
        std::fs::write(path, &old).unwrap();
    }
    let refused = generate(&server, "another");
    assert!(matches!(refused, Err(Error::Failure(Failure::TooFewCopies { .. }))), "{refused:?}");
    assert_eq!(tended(&server).state, KeyringState::Detached);
    assert!(paths.iter().all(|path| bytes(path) == old));
}

/// The data key is renewed on one copy only: the server takes that over before it makes a key.
#[test]
fn a_renewal_of_one_copy_is_taken_over_before_a_key_is_made() {
    for (renewed, other) in [(0, 1), (1, 0)] {
        let dir = private_dir();
        let paths = made(dir.path(), &["a", "b"]);
        let server = open(&real(), &paths);
        generate(&server, "before").unwrap();
        let renewal = tool(&real(), &paths[renewed..=renewed]).unwrap();
        rekey(&renewal, &[&SECRET], false).unwrap();
        // A later state is no error, and nothing is written to find it.
        std::thread::sleep(Duration::from_millis(1100));
        let status = server.status();
        assert_eq!((status.state, status.last_error.as_str()), (KeyringState::Attached, ""));
        assert!(server.needs_care());
        generate(&server, "after").unwrap();
        assert_eq!(server.known_status().copies, (2, 2));
        assert_eq!(bytes(&paths[renewed]), bytes(&paths[other]));
        drop(server);
        let server = open(&real(), &paths);
        assert_eq!(ids(&server), ["after", "before"].map(String::from).into());
    }
}

/// A copy that was changed apart and then went away may hold keys that nobody else knows.
#[test]
fn a_copy_that_diverged_stops_changes_also_when_it_goes_away() {
    let dir = private_dir();
    let paths = made(dir.path(), &["a", "b"]);
    let server = open(&real(), &paths);
    generate(&server, "shared").unwrap();
    let away = dir.path().join("away");
    std::fs::rename(&paths[1], &away).unwrap();
    generate(&server, "ours").unwrap();
    generate(&tool(&real(), std::slice::from_ref(&away)).unwrap(), "theirs").unwrap();
    let theirs = bytes(&away);
    std::fs::rename(&away, &paths[1]).unwrap();
    let refused = generate(&server, "more");
    assert!(matches!(refused, Err(Error::Refusal(Refusal::Diverged { .. }))), "{refused:?}");
    assert_eq!(bytes(&paths[1]), theirs);
    std::fs::rename(&paths[1], &away).unwrap();
    let refused = generate(&server, "more");
    assert!(matches!(refused, Err(Error::Refusal(Refusal::Changed { .. }))), "{refused:?}");
    assert_eq!(tended(&server).state, KeyringState::Degraded);
    // A copy of this keyring in its place ends that.
    std::fs::copy(&paths[0], &paths[1]).unwrap();
    std::fs::set_permissions(&paths[1], std::fs::Permissions::from_mode(0o600)).unwrap();
    generate(&server, "more").unwrap();
    assert_eq!(server.known_status().copies, (2, 2));
}

/// Every sync of a store waits for the same sync on all the other copies.
#[test]
fn a_store_syncs_all_copies_side_by_side() {
    let dir = private_dir();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let paths = made(dir.path(), &names);
    let meet = Arc::new((Barrier::new(names.len()), AtomicBool::new(false)));
    let at_sync = Arc::clone(&meet);
    let fs = Hooked::fs(real(), move |operation, _| {
        if operation == "sync" && at_sync.1.load(Ordering::Relaxed) {
            at_sync.0.wait();
        }
    });
    let server = open(&fs, &paths);
    generate(&server, "first").unwrap();
    meet.1.store(true, Ordering::Relaxed);
    generate(&server, "appended").unwrap();
    server.remove(name("first", "")).unwrap();
    meet.1.store(false, Ordering::Relaxed);
    assert_eq!(server.known_status().copies, (8, 8));
    assert!(paths.iter().all(|path| bytes(path) == bytes(&paths[0])));
}

/// As many agents as there are may ask for the status: each copy is looked at once a second, and nothing is written.
#[test]
fn status_queries_look_once_a_second_and_write_nothing() {
    let dir = private_dir();
    let paths = made(dir.path(), &["a", "b"]);
    let (looks, writes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (look, write) = (Arc::clone(&looks), Arc::clone(&writes));
    let fs = Hooked::fs(real(), move |operation, _| {
        let counted = match operation {
            "open" => &look,
            "read" => return,
            _ => &write,
        };
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let server = open(&fs, &paths);
    generate(&server, "key").unwrap();
    // A mirror that lags behind is not brought up to date by somebody who looks.
    let old = bytes(&paths[1]);
    generate(&server, "another").unwrap();
    std::fs::write(&paths[1], &old).unwrap();
    for counted in [&looks, &writes] {
        counted.store(0, Ordering::Relaxed);
    }
    let began = Instant::now();
    let mut states = BTreeSet::new();
    while began.elapsed() < Duration::from_millis(2500) {
        states.insert(server.status().state.to_string());
    }
    let seconds = began.elapsed().as_secs() as usize;
    let looks = looks.load(Ordering::Relaxed);
    assert!((2..=2 * (seconds + 1)).contains(&looks), "{looks} looks in {seconds} s");
    assert_eq!(writes.load(Ordering::Relaxed), 0);
    assert!(states.contains("DEGRADED"), "{states:?}");
    assert_eq!(bytes(&paths[1]), old);
}

/// A panic that was caught while the writer's lock was held does not freeze the status.
#[test]
fn the_status_is_live_after_a_panic() {
    let dir = private_dir();
    let paths = made(dir.path(), &["a"]);
    let panics = Arc::new(AtomicBool::new(true));
    let fs = Hooked::fs(real(), {
        let panics = Arc::clone(&panics);
        // The witness is written by the thread that makes the change.
        move |_, path| {
            let is_witness = path.to_string_lossy().contains("witness");
            assert!(!is_witness || !panics.load(Ordering::Relaxed), "on purpose");
        }
    });
    let config = Config { datadir: Some(dir.path().to_owned()), ..config(&paths, 1) };
    panics.store(false, Ordering::Relaxed);
    let server = Keyring::open(&Places::from(&fs), &config, Trust::Witness, |_, _| {}).unwrap().0;
    panics.store(true, Ordering::Relaxed);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| generate(&server, "key")));
    assert!(panicked.is_err());
    panics.store(false, Ordering::Relaxed);
    std::fs::remove_file(&paths[0]).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let status = server.status();
    assert_eq!((status.state, status.copies), (KeyringState::Detached, (0, 1)));
}

#[test]
fn one_file_under_two_names_is_refused() {
    let dir = private_dir();
    let sub = dir.path().join("sub");
    std::fs::create_dir(&sub).unwrap();
    std::fs::set_permissions(&sub, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&sub, dir.path().join("link")).unwrap();
    let mut paths = made(&sub, &["a", "b"]);
    let server = open(&real(), &paths);
    generate(&server, "key").unwrap();
    // While it is in use, too.
    std::fs::remove_file(&paths[1]).unwrap();
    std::fs::hard_link(&paths[0], &paths[1]).unwrap();
    assert_eq!(tended(&server).copies, (1, 2));
    generate(&server, "another").unwrap();
    let status = server.known_status();
    assert_eq!((status.state, status.copies), (KeyringState::Degraded, (1, 2)));
    // The change wrote the first copy anew under its name, so the two names are two files again.
    assert_eq!(tended(&server).copies, (2, 2));
    paths[1] = dir.path().join("link/a");
    let refused = try_open(&real(), &paths);
    assert!(matches!(refused, Err(Error::Refusal(Refusal::OneFile { .. }))), "{refused:?}");
}

#[test]
fn copies_on_one_filesystem_are_warned_of() {
    static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let dir = private_dir();
    let paths = made(dir.path(), &["a", "b"]);
    let report = |severity, message: &str| {
        if severity == Severity::Warning {
            WARNINGS.lock().unwrap().push(message.to_owned());
        }
    };
    Keyring::open(&Places::from(&real()), &config(&paths, 1), Trust::Witness, report).unwrap();
    let warnings = WARNINGS.lock().unwrap();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(paths.iter().all(|path| warning.contains(path.to_str().unwrap())), "{warning}");
    assert!(warning.contains("one filesystem"), "{warning}");
}

/// Changes that fail again and again are forgotten in the end, but not the state that the copies are in.
#[test]
fn a_state_is_recognised_after_many_failed_changes() {
    let dir = private_dir();
    let paths = made(dir.path(), &["a", "b"]);
    let failing = Arc::new(AtomicBool::new(false));
    let fail = Arc::clone(&failing);
    let fs = Hooked::fs(real(), move |operation, path| {
        if operation == "rename" && fail.load(Ordering::Relaxed) {
            // What is to be renamed is gone.
            let _ = std::fs::remove_file(path.with_extension("new"));
        }
    });
    let server = open(&fs, &paths);
    server.store(name("key", ""), &key_type("AES"), &data(1, 32)).unwrap();
    let set = contents(&server);
    failing.store(true, Ordering::Relaxed);
    for _ in 0..100 {
        assert!(server.remove(name("key", "")).is_err());
    }
    failing.store(false, Ordering::Relaxed);
    assert_eq!(tended(&server).copies, (2, 2));
    assert_eq!(contents(&server), set);
    drop(server);
    let server = open(&real(), &paths);
    assert_eq!((contents(&server), server.known_status().copies), (set, (2, 2)));
}
