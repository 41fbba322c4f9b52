// SPDX-License-Identifier: GPL-2.0-or-later
//! A store costs the same however many keys there are (invariant 9). Counted, not timed.

use mysql::Conn;
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume};
use std::collections::BTreeMap;

/// Bytes and calls of reading and writing by the whole server are the same for the 10th key and for the
/// 2,000th.
pub fn of_storing() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.install_udfs();
    let mut conn = server.connect();
    let mut costs = Vec::new();
    for i in 1..=2002 {
        let before = used_by(&server);
        store(&mut conn, i);
        let after = used_by(&server);
        costs.push(std::array::from_fn(|c| after[c] - before[c]));
    }
    let (tenth, last) = (median(&costs[7..12]), median(&costs[1997..2002]));
    eprintln!("cost of a store as {COUNTED:?}: 10th key {tenth:?}, 2,000th key {last:?}");
    let [read, written, reads, writes] = tenth;
    assert!(writes >= 2 && reads >= 1, "the counters count nothing: {tenth:?}");
    assert!(written < 8192 && read < 65536, "{tenth:?}");
    for (then, now) in tenth.iter().zip(last) {
        assert!(now.abs_diff(*then) <= 64, "the cost grows: {tenth:?} to {last:?}");
    }
    server.stop();
}

const COUNTED: [&str; 4] = ["rchar", "wchar", "syscr", "syscw"];

fn used_by(server: &Server) -> [u64; 4] {
    let text = std::fs::read_to_string(format!("/proc/{}/io", server.pid())).unwrap();
    let values: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once(": ")).collect();
    COUNTED.map(|name| values[name].parse().unwrap())
}

fn store(conn: &mut Conn, i: u32) {
    let stored: Option<i32> =
        conn.query_first(format!("SELECT keyring_key_store('key{i:05}', 'SECRET', 'a value')")).unwrap();
    assert_eq!(stored, Some(1));
}

/// Of five, so that what the server does in the background now and then doesn't count.
fn median(costs: &[[u64; 4]]) -> [u64; 4] {
    std::array::from_fn(|c| {
        let mut values: Vec<_> = costs.iter().map(|cost| cost[c]).collect();
        values.sort_unstable();
        values[values.len() / 2]
    })
}
