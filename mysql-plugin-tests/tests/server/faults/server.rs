// SPDX-License-Identifier: GPL-2.0-or-later
//! Power cuts under a real server that generates, removes and rotates without a pause. After some the server
//! is started anew, after the others it goes on with the volume that is back.

use crate::faults::power::{cut, is_lost, prove, restore};
use keyring_external::key::NameRef;
use mysql::Conn;
use mysql::prelude::Queryable;
use mysql_plugin_tests::common::Rng;
use mysql_plugin_tests::rig::{
    Host, Keyring, Kind, ROTATE, Server, Volume, agree, moment, rng, times, wait_until,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Key ids of root@localhost, and their bytes.
type Keys = BTreeMap<String, Vec<u8>>;

/// So many keys are kept, roughly.
const KEPT: usize = 20;

/// What a server acknowledged until something failed.
struct Run {
    keys: Keys,
    /// The change that was not acknowledged: the key, and whether it was to be there.
    in_flight: Option<(String, bool)>,
    changes: usize,
    rotations: usize,
}

/// Generates two keys, removes one, and rotates now and then, until something fails.
fn work(mut conn: Conn, round: usize, keys: Keys, mut rng: Rng, changes: &AtomicUsize) -> Run {
    let mut run = Run { keys, in_flight: None, changes: 0, rotations: 0 };
    for n in 0.. {
        let id = format!("k{round}.{n}");
        if !calls(&mut conn, &format!("generate('{id}', 'AES', 32)")) {
            run.in_flight = Some((id, true));
            return run;
        }
        let bytes: Option<Vec<u8>> = conn.query_first(format!("SELECT keyring_key_fetch('{id}')")).unwrap();
        run.keys.insert(id, bytes.unwrap());
        run.changes += 1;
        changes.fetch_add(1, Ordering::Relaxed);
        if n % 2 == 1 || run.keys.len() > KEPT {
            let id = run.keys.keys().nth(rng.below(run.keys.len())).unwrap().clone();
            if !calls(&mut conn, &format!("remove('{id}')")) {
                run.in_flight = Some((id, false));
                return run;
            }
            run.keys.remove(&id);
            run.changes += 1;
            changes.fetch_add(1, Ordering::Relaxed);
        }
        if n % 5 == 4 {
            if conn.query_drop(ROTATE).is_err() {
                return run;
            }
            run.rotations += 1;
        }
    }
    run
}

fn calls(conn: &mut Conn, call: &str) -> bool {
    let answer: mysql::Result<Option<Option<i32>>> = conn.query_first(format!("SELECT keyring_key_{call}"));
    matches!(answer, Ok(Some(Some(1))))
}

/// Every acknowledged key is there and every removed one is gone, in the file and, where a server has it
/// open, in the server.
fn check(known: &Keys, keyring: &Keyring, server: Option<&Server>, what: &str) {
    let open = keyring.open();
    for (id, bytes) in known {
        let name = NameRef::new(id.as_bytes(), b"root@localhost").unwrap();
        let found = open.fetch(&name, |key| key.data.to_vec());
        assert_eq!(found.as_ref(), Some(bytes), "{what}: {id}");
        if let Some(server) = server {
            let found: Option<Vec<u8>> = server.value(&format!("SELECT keyring_key_fetch('{id}')"));
            assert_eq!(found.as_ref(), Some(bytes), "{what}: {id} in the server");
        }
    }
    let ids = keyring.ids("k");
    assert_eq!(ids.len(), known.len(), "{what}: removed keys are back: {ids:?}");
}

/// Cuts the power again and again.
pub fn cuts(kind: Kind) {
    let volume = Volume::of(kind);
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let mut server = host.start();
    server.install_udfs();
    server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'; INSERT INTO mysql.t VALUES (7)");
    let (faults, mut lost, mut restarts) = (times(12, 210), 0, 0);
    let (mut known, mut acknowledged, mut rotations) = (Keys::new(), 0, 0);
    let mut rng = rng();
    for n in 0..faults {
        let (conn, keys, changes) = (server.connect(), known.clone(), Arc::new(AtomicUsize::new(0)));
        let (seen, own) = (Arc::clone(&changes), rng.split());
        let working = std::thread::spawn(move || work(conn, n, keys, own, &seen));
        wait_until(Duration::from_secs(60), || changes.load(Ordering::Relaxed) > 2 || working.is_finished());
        std::thread::sleep(moment(&mut rng, 0, 150_000));
        let unsynced: PathBuf = cut(&volume);
        let run = working.join().unwrap();
        assert!(run.changes > 2, "the server failed before the power did: {}", server.log());
        known = run.keys;
        acknowledged += run.changes;
        rotations += run.rotations;

        let goes_on = n % 4 != 3;
        let server_before = goes_on.then_some(server);
        restore(&volume);
        lost += usize::from(is_lost(&unsynced));
        let what = format!("after cut {n}");
        // What the file came back as, before anybody writes to it.
        let mut in_file = known.clone();
        if let Some((id, stored)) = run.in_flight {
            match (stored, keyring.key_of_root(&id)) {
                (true, Some(bytes)) => drop(in_file.insert(id, bytes)),
                (false, None) => drop(in_file.remove(&id)),
                _ => {}
            }
        }
        check(&in_file, &keyring, None, &what);
        server = match server_before {
            // What it did not acknowledge has not happened.
            Some(server) => server,
            None => {
                known = in_file;
                restarts += 1;
                host.start()
            }
        };
        assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
        agree(&server, &keyring, "ATTACHED", "1/1");
        check(&known, &keyring, Some(&server), &what);
    }
    prove(lost, faults);
    eprintln!(
        "power cuts, mysqld on {}: {faults} faults, {restarts} restarts, {acknowledged} changes and {rotations} \
         rotations acknowledged; 0 lost, 0 false",
        kind.name()
    );
    assert!(rotations > 0);
    server.stop();
    let master_keys = keyring.ids("INNODBKey-").len();
    assert!((rotations + 1..=rotations + 1 + faults).contains(&master_keys), "{master_keys} for {rotations}");
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    server.stop();
}
