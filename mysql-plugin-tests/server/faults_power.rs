// SPDX-License-Identifier: GPL-2.0-or-later
//! Power cuts at random moments of a continuous run of generate and remove: what was acknowledged is
//! there, what was removed is gone, and the change in flight has happened or not (invariants 1 and 2).

use crate::rig::worker::{Book, random};
use crate::rig::{Host, Keyring, Kind, ROTATE, Volume, agree, times, wait_until};
use mysql::prelude::Queryable;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A moment while a worker works.
fn moment() -> Duration {
    Duration::from_micros(500 + random(60_000))
}

/// Cuts the power of a volume, and gives it back.
fn cut_and_return(volume: &Volume) {
    volume.unmount();
    volume.mount();
}

/// One copy.
pub fn cuts(kind: Kind) {
    let volume = Volume::of(kind);
    let keyring = Keyring::init(&volume);
    let mut book = Book::default();
    let mut lost = 0;
    for n in 0..times(20, 220) {
        let unsynced = volume.mount_point().join(format!("unsynced{n}"));
        book.round(&keyring, moment(), |_| {
            fs::write(&unsynced, "nobody has made this durable").unwrap();
            volume.cut_power();
        });
        cut_and_return(&volume);
        // Most often: the worker's own sync may take it along.
        lost += usize::from(!fs::read(&unsynced).is_ok_and(|bytes| !bytes.is_empty()));
        book.check(&keyring);
    }
    assert!(lost * 2 > book.faults, "{lost} power cuts of {} lost anything: they prove nothing", book.faults);
    book.report(&format!("power cuts, {}", kind.name()));
}

/// Two copies, of which one or both lose their power.
pub fn cuts_of_mirrors() {
    let (a, b) = (Volume::of(Kind::Ext4), Volume::of(Kind::Xfs));
    let keyring = Keyring::init_on(&[&a, &b]);
    let mut book = Book::default();
    for n in 0..times(12, 150) {
        book.round(&keyring, moment(), |worker| {
            let (first, second) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
            first.cut_power();
            if n % 3 == 0 {
                // It goes on with the other for a while.
                std::thread::sleep(Duration::from_millis(random(40)));
                worker.kill();
            } else {
                std::thread::sleep(Duration::from_micros(random(4000)));
                second.cut_power();
            }
        });
        cut_and_return(&a);
        cut_and_return(&b);
        book.check(&keyring);
        let (first, second) = (fs::read(&keyring.path).unwrap(), fs::read(&keyring.mirrors[0]).unwrap());
        assert!(first == second, "after fault {} the copies differ: {}", n + 1, book.story_of(""));
    }
    book.report("power cuts, mirrors on ext4 and xfs");
}

/// A server that generates, removes and rotates until the power is cut.
pub fn cuts_under_mysqld() {
    let volume = Volume::ext4();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let mut server = host.start();
    server.install_udfs();
    server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'; INSERT INTO mysql.t VALUES (7)");
    let mut known: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let (rounds, mut acknowledged, mut rotations) = (times(3, 20), 0, 0);
    for round in 0..rounds {
        let connect = server.connector();
        let mut keys = known.clone();
        let begun = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&begun);
        let working = std::thread::spawn(move || {
            let mut conn = connect().unwrap();
            let (mut done, mut rotated) = (0, 0);
            for n in 0.. {
                let id = format!("k{round}.{n}");
                let ask = format!("SELECT keyring_key_generate('{id}', 'AES', 32)");
                let Ok(Some(1)) = conn.query_first::<Option<i32>, _>(ask).map(Option::flatten) else {
                    return (keys, Some((id, true)), done, rotated);
                };
                let fetch = format!("SELECT keyring_key_fetch('{id}')");
                let Ok(Some(bytes)) = conn.query_first::<Vec<u8>, _>(fetch) else {
                    panic!("{id} was generated and is not there");
                };
                keys.insert(id, bytes);
                done += 1;
                if n % 2 == 1 {
                    let id = keys.keys().next().unwrap().clone();
                    let ask = format!("SELECT keyring_key_remove('{id}')");
                    let Ok(Some(1)) = conn.query_first::<Option<i32>, _>(ask).map(Option::flatten) else {
                        return (keys, Some((id, false)), done, rotated);
                    };
                    keys.remove(&id);
                    done += 1;
                }
                if n % 5 == 4 {
                    if conn.query_drop(ROTATE).is_err() {
                        return (keys, None, done, rotated);
                    }
                    rotated += 1;
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }
            unreachable!()
        });
        wait_until(Duration::from_secs(60), || begun.load(Ordering::Relaxed) > 0 || working.is_finished());
        std::thread::sleep(Duration::from_millis(random(300)));
        volume.cut_power();
        let (keys, mut in_flight, done, rotated) = working.join().unwrap();
        acknowledged += done;
        rotations += rotated;
        known = keys;
        server.kill();
        cut_and_return(&volume);
        server = host.start();
        assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
        agree(&server, &keyring, "ATTACHED", "1/1");
        if let Some((id, stored)) = in_flight.take() {
            match (stored, keyring.key_of_root(&id)) {
                (true, Some(bytes)) => drop(known.insert(id, bytes)),
                (false, None) => drop(known.remove(&id)),
                _ => {}
            }
        }
        for (id, bytes) in &known {
            let found = server.value::<Option<Vec<u8>>>(&format!("SELECT keyring_key_fetch('{id}')"));
            assert_eq!(found.as_ref(), Some(bytes), "cut {round}: {id}");
        }
        let ids = keyring.ids("k");
        assert_eq!(ids.len(), known.len(), "cut {round}: removed keys are back: {ids:?}");
    }
    eprintln!(
        "power cuts, mysqld on ext4: {rounds} faults, {acknowledged} changes and {rotations} rotations \
         acknowledged; 0 lost, 0 false"
    );
    assert!(acknowledged > rounds && rotations > 0);
    server.stop();
}
