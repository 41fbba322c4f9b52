// SPDX-License-Identifier: GPL-2.0-or-later
//! kill -9 while the master key is rotated again and again.

use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Server, Volume, moment, rng, times, wait_until};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Again and again, at different moments: every table is read back, and every rotation that was
/// acknowledged has its key.
pub fn while_rotating() {
    const TABLES: &str = "mysql.a, mysql.b, mysql.c";
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let mut server = host.start();
    for table in TABLES.split(", ") {
        server.sql(&format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, name VARCHAR(99)) ENCRYPTION='Y';
             INSERT INTO {table} WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 900)
                 SELECT i, SHA2(CONCAT('{table}', i), 256) FROM n"
        ));
    }
    let checksums = |server: &Server| server.rows::<(String, u64)>(&format!("CHECKSUM TABLE {TABLES}"));
    let expected = checksums(&server);
    assert!(expected.iter().all(|(_, checksum)| *checksum != 0), "{expected:?}");

    let (kills, mut acknowledged, mut rng) = (times(10, 50), 0, rng());
    for round in 0..kills {
        let (mut conn, count) = (server.connect(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&count);
        let rotating = std::thread::spawn(move || {
            while conn.query_drop(ROTATE).is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert!(wait_until(Duration::from_secs(60), || count.load(Ordering::Relaxed) >= 2), "no rotations");
        std::thread::sleep(moment(&mut rng, 17_000 * (round % 10) as u64, 17_000));
        server.kill();
        rotating.join().unwrap();
        acknowledged += count.load(Ordering::Relaxed);
        server = host.start();
        assert_eq!(checksums(&server), expected, "after kill {round}");
    }
    let keys = keyring.ids("INNODBKey-").len();
    eprintln!(
        "kill -9 while rotating: {kills} faults among {acknowledged} rotations acknowledged, {keys} master keys; \
         0 lost, 0 false"
    );
    // The first key came with the first table; one more may have been made in each interrupted rotation.
    assert!((acknowledged + 1..=acknowledged + 1 + kills).contains(&keys), "{keys} for {acknowledged}");
    server.sql(ROTATE);
    server.stop();
    assert_eq!(keyring.report("verify")["fine"], true);
    let server = host.start();
    assert_eq!(checksums(&server), expected);
    server.stop();
}
