// SPDX-License-Identifier: GPL-2.0-or-later
//! A store costs the same however many keys there are (invariant 9). Counted, not timed.

use crate::rig::{Host, Keyring, Server, Volume};
use mysql::Conn;
use mysql::prelude::Queryable;
use std::collections::BTreeMap;

/// Bytes and calls of reading and writing by the connection's thread are the same for the 10th key and
/// for the 2,000th.
pub fn of_storing() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.install_udfs();
    let mut conn = server.connect();
    let thread: u32 = conn
        .query_first(
            "SELECT thread_os_id FROM performance_schema.threads WHERE processlist_id = CONNECTION_ID()",
        )
        .unwrap()
        .expect("a thread");
    let mut at = BTreeMap::new();
    for i in 1..=2000 {
        let before = used_by(&server, thread);
        store(&mut conn, i);
        let after = used_by(&server, thread);
        let cost: Vec<_> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        at.insert(i, cost);
    }
    let (tenth, last) = (&at[&10], &at[&2000]);
    eprintln!("cost of a store as {COUNTED:?}: 10th key {tenth:?}, 2,000th key {last:?}");
    let [read, written, reads, writes] = tenth[..] else { panic!("{tenth:?}") };
    assert!(writes >= 2 && reads >= 1, "the counters count nothing: {tenth:?}");
    assert!(written < 8192 && read < 32768, "{tenth:?}");
    for (then, now) in tenth.iter().zip(last) {
        assert!(now.abs_diff(*then) <= 64, "the cost grows: {tenth:?} to {last:?}");
    }
    server.stop();
}

const COUNTED: [&str; 4] = ["rchar", "wchar", "syscr", "syscw"];

fn used_by(server: &Server, thread: u32) -> Vec<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/task/{thread}/io", server.pid())).unwrap();
    let values: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once(": ")).collect();
    COUNTED.iter().map(|name| values[name].parse().unwrap()).collect()
}

fn store(conn: &mut Conn, i: u32) {
    let stored: Option<i32> =
        conn.query_first(format!("SELECT keyring_key_store('key{i:05}', 'SECRET', 'a value')")).unwrap();
    assert_eq!(stored, Some(1));
}
