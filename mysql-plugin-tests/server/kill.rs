// SPDX-License-Identifier: GPL-2.0-or-later
//! kill -9 while the master key is rotated again and again.

use crate::rig::{Host, Keyring, ROTATE, Server, Volume};
use mysql::prelude::Queryable;
use std::time::Duration;

/// Ten times in a row, at different moments: every table is read back, and every rotation that was
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

    let mut acknowledged = 0;
    for round in 0..10 {
        let connect = server.connector();
        let rotating = std::thread::spawn(move || {
            let mut conn = connect().unwrap();
            (0..).take_while(|_| conn.query_drop(ROTATE).is_ok()).count()
        });
        std::thread::sleep(Duration::from_millis(40 + 37 * round));
        server.kill();
        acknowledged += rotating.join().unwrap();
        server = host.start();
        assert_eq!(checksums(&server), expected, "after kill {round}");
    }
    let keys = keyring.ids("INNODBKey-").len();
    eprintln!("10 kills among {acknowledged} rotations acknowledged, {keys} master keys");
    assert!(acknowledged >= 10, "too few rotations to have been interrupted: {acknowledged}");
    // The first key came with the first table; one more may have been made in each interrupted rotation.
    assert!((acknowledged + 1..=acknowledged + 11).contains(&keys), "{keys} for {acknowledged}");
    server.sql(ROTATE);
    server.stop();
    assert_eq!(keyring.report("verify")["fine"], true);
    let server = host.start();
    assert_eq!(checksums(&server), expected);
    server.stop();
}
