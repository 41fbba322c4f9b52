// SPDX-License-Identifier: GPL-2.0-or-later
//! Programs at work on a volume of `rig::fuse` that fails or loses its power: a worker that changes keys
//! without a pause, and a real server that rotates its master key.

use mysql::prelude::Queryable;
use mysql_plugin_tests::common::sim::Effect;
use mysql_plugin_tests::rig::fuse::Fuse;
use mysql_plugin_tests::rig::worker::Book;
use mysql_plugin_tests::rig::{Host, ROTATE, Server, agree, moment, rng, times};
use std::collections::BTreeMap;

/// Power cuts at random moments, which leave any part of what was not synced: writes in part, and names or not.
pub fn power_cuts() {
    let mut volume = Fuse::cached();
    let keyring = volume.init();
    let (mut book, mut rng) = (Book::default(), rng());
    for _ in 0..times(25, 300) {
        book.round(&keyring, moment(&mut rng, 0, 20_000), |_| volume.cut_now());
        assert!(book.error.is_some(), "the worker noticed nothing");
        volume.power_returns(&mut rng);
        book.check(&keyring);
    }
    book.report("power cuts, FUSE");
}

/// What is in the encrypted tables.
fn data(server: &Server) -> Vec<(String, u64)> {
    server.rows("CHECKSUM TABLE mysql.a, mysql.b")
}

/// Each request of a rotation fails.
pub fn while_rotating() {
    let mut volume = Fuse::cached();
    let keyring = volume.init();
    let host = Host::new().keyring(&keyring);
    let mut server = host.start();
    for table in ["mysql.a", "mysql.b"] {
        server.sql(&format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, name VARCHAR(99)) ENCRYPTION='Y';
             INSERT INTO {table} WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                 SELECT i, SHA2(CONCAT('{table}', i), 256) FROM n"
        ));
    }
    let expected = data(&server);
    assert!(expected.iter().all(|(_, checksum)| *checksum != 0), "{expected:?}");
    server.sql(ROTATE);

    let mut conn = server.connect();
    let mut faults: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut refused, mut rotated) = (0, 0);
    for effect in [Effect::None, Effect::Half, Effect::Whole] {
        for at in 1.. {
            volume.fail_at(at, effect);
            let done = conn.query_drop(ROTATE);
            let Some(request) = volume.requests().get(at - 1).copied() else {
                done.unwrap_or_else(|e| panic!("nothing failed, but the rotation: {e}"));
                break;
            };
            volume.heal();
            *faults.entry(request).or_default() += 1;
            match done {
                Ok(()) => rotated += 1,
                Err(_) => {
                    refused += 1;
                    let told = &server.status()["last_error"];
                    assert!(told.contains("Input/output error"), "{request}: {told}");
                }
            }
            assert_eq!(data(&server), expected, "{effect:?} of request {at} ({request}) failed");
            conn.query_drop(ROTATE).unwrap_or_else(|e| panic!("after {request} failed: {e}"));
        }
    }
    agree(&server, &keyring, "ATTACHED", "1/1");

    // All requests fail for a while.
    volume.fail_from(3);
    for _ in 0..3 {
        server.sql_error(ROTATE);
    }
    server.comes_to(&[("state", "DETACHED")]);
    assert_eq!(data(&server), expected);
    volume.heal();
    conn.query_drop(ROTATE).unwrap();
    agree(&server, &keyring, "ATTACHED", "1/1");
    server.stop();
    server = host.start();
    assert_eq!(data(&server), expected);

    let mut rng = rng();
    let cuts = times(6, 60);
    for round in 0..cuts {
        volume.cut_at(1 + rng.below(40));
        let mut conn = server.connect();
        while conn.query_drop(ROTATE).is_ok() {
            rotated += 1;
        }
        // The server goes on with what comes back, or is started anew.
        if round % 2 == 0 {
            server.kill();
            volume.power_returns(&mut rng);
            server = host.start();
        } else {
            assert!(server.is_running());
            volume.power_returns(&mut rng);
        }
        assert_eq!(data(&server), expected, "power cut {round}");
        server.sql(ROTATE);
        agree(&server, &keyring, "ATTACHED", "1/1");
    }
    server.stop();
    let server = host.start();
    assert_eq!(data(&server), expected);
    server.stop();
    let all: usize = faults.values().sum();
    eprintln!(
        "EIO while rotating, mysqld on FUSE: {all} faults {faults:?}, {refused} rotations refused, {rotated} done; \
         {cuts} power cuts; 0 lost, 0 false"
    );
    for request in ["lookup", "getattr", "open", "read", "write", "fsync"] {
        assert!(faults.contains_key(request), "no {request} failed");
    }
    assert!(refused > 0 && rotated > 0);
}
