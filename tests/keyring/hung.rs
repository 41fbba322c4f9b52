// SPDX-License-Identifier: GPL-2.0-or-later
//! Volumes that hang: one holds up one change once, and nothing but itself (invariant 7).

use crate::common::copies::{bytes, config, generate, made, open, real, try_open};
use crate::common::gate::Gate;
use crate::common::hooked::Hooked;
use crate::common::{private_dir, tended};
use keyring_external::keyring::{Keyring, Trust};
use keyring_external::store::file::fs::{Access, Lock};
use keyring_external::store::places::Places;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Three of eight volumes hang: the change is acknowledged on the others, the next one does not wait for them, and
/// nothing more is begun on them, however often the keyring is opened again.
#[test]
fn volumes_that_hang_hold_up_one_change_once() {
    let dir = private_dir();
    let paths = made(dir.path(), &["a", "b", "c", "d", "e", "f", "g", "h"]);
    let (gate, _arrivals, let_go) = Gate::new();
    gate.closed.store(false, Ordering::Relaxed);
    let (hung, at_hung) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)));
    let (begun, hung_paths) = (Arc::clone(&at_hung), paths[1..4].to_vec());
    let fs = Hooked::fs(real(), move |_, path| {
        if hung_paths.iter().any(|hung| hung == path) && hung.closed.load(Ordering::Relaxed) {
            begun.fetch_add(1, Ordering::Relaxed);
            hung.pass();
        }
    });
    let server = open(&fs, &paths);
    generate(&server, "before").unwrap();
    gate.closed.store(true, Ordering::Relaxed);
    generate(&server, "first").unwrap();
    assert_eq!(server.known_status().copies, (5, 8));
    assert_eq!(at_hung.load(Ordering::Relaxed), 3);
    for i in 0..20 {
        generate(&server, &format!("next {i}")).unwrap();
    }
    assert_eq!(tended(&server).copies, (5, 8));
    for _ in 0..3 {
        let again = try_open(&fs, &paths).unwrap();
        assert_eq!(again.len(), 22);
    }
    assert_eq!(at_hung.load(Ordering::Relaxed), 3, "nothing more is begun on a hung volume");
    drop(let_go);
    while tended(&server).copies != (8, 8) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(paths.iter().all(|path| bytes(path) == bytes(&paths[0])));
}

/// A removal that hangs until the change is given up keeps the copy's lock: what it does late must not meet another
/// program's new file of that name.
#[test]
fn a_removal_that_hangs_keeps_the_lock_of_its_copy() {
    let dir = private_dir();
    let paths = made(dir.path(), &["a", "b"]);
    let (gate, arrivals, let_go) = Gate::new();
    gate.closed.store(false, Ordering::Relaxed);
    let (hung, made_new, temporary) = (Arc::clone(&gate), AtomicBool::new(false), dir.path().join("a.new"));
    let fs = Hooked::fs(real(), move |operation, path| match operation {
        "create" if path == temporary => made_new.store(true, Ordering::Relaxed),
        "unlink" if path == temporary && made_new.load(Ordering::Relaxed) => hung.pass(),
        _ => {}
    });
    let server = Keyring::open(&Places::from(&fs), &config(&paths, 2), Trust::Witness, |_, _| {}).unwrap().0;
    // The first change writes files anew. The one beside `b` can't be made, so that the one beside `a` is removed.
    std::fs::create_dir(dir.path().join("b.new")).unwrap();
    gate.closed.store(true, Ordering::Relaxed);
    let failed = generate(&server, "key");
    assert!(failed.is_err(), "{failed:?}");
    arrivals.recv().unwrap();
    drop(server);
    let copy = real().open(&paths[0], Access::Write).unwrap();
    assert!(matches!(copy.try_lock(), Ok(Lock::Held)), "another program could make its own a.new");
    drop(let_go);
    while matches!(copy.try_lock(), Ok(Lock::Held)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!dir.path().join("a.new").exists());
}
