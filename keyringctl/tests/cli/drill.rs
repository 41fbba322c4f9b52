// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl drill` as far as it comes without a server: what it refuses, and the history. The drills themselves are among
//! the tests on a real server.

use super::{Place, UNLOCK, check};
use std::fs;

/// One line of a history.
fn line(time: u64, kind: &str, passed: bool) -> String {
    format!(
        "{{\"time\":{time},\"host\":\"db1\",\"passed\":{passed},\"backup\":\"/backup/{time}\",\"kind\":\"{kind}\",\"keyring\":null,\
         \"generation\":null,\"mysqld\":\"9.7.4\",\"tables\":3,\"rows\":9,\"tables_failed\":{},\"failed\":[],\"faults\":[],\
         \"recorded\":null,\"seconds\":4,\"program\":\"0.1.0\"}}\n",
        u64::from(!passed)
    )
}

#[test]
fn a_backup_that_is_none_is_refused_and_nothing_is_left() {
    let place = Place::with_keyring();
    fs::create_dir(place.path("empty")).unwrap();
    fs::create_dir(place.path("work")).unwrap();
    place.write("packed", b"\x28\xb5\x2f\xfd and more");
    place.write("record", b"{}");
    place.write("dump", b"-- MySQL dump 10.13\n");
    let rest = format!("DIR/main.keyring {UNLOCK} --work DIR/work --history DIR/history");
    let drill = |backup: &str| format!("drill --backup {backup} {rest}");
    check(
        "a_drill_of_what_is_no_backup",
        &place,
        &[
            "drill",
            &drill("DIR/none"),
            &drill("DIR/empty"),
            &drill("DIR/packed"),
            &format!("{} --record DIR/record", drill("DIR/dump")),
            &format!("--json {} --exact", drill("DIR/dump")),
            "drill --backup DIR/dump record",
        ],
    );
    let left: Vec<_> = fs::read_dir(place.path("work")).unwrap().collect();
    assert!(left.is_empty() && !place.path("history").exists(), "{left:?}");
}

#[test]
fn the_history_says_which_drill_was_the_last_of_its_kind() {
    let place = Place::new();
    let none = place.run("--json drill history --history DIR/none");
    assert_eq!(none.code, 1, "no drill is no success");
    let good = [
        line(1_700_000_000, "dump", false),
        line(1_700_000_100, "datadir", true),
        line(1_700_000_200, "dump", true),
    ];
    place.write("good", good.concat().as_bytes());
    let bad = [good.concat(), "cut o".to_owned(), line(1_700_000_300, "datadir", false)];
    place.write("bad", bad.concat().replace("cut o", "cut o\n").as_bytes());
    check(
        "the_history_of_drills",
        &place,
        &[
            "drill history --history DIR/good",
            "drill history --history DIR/good --prometheus",
            "drill history --history DIR/bad",
            "--json drill history --history DIR/bad",
        ],
    );
    assert_eq!(place.run("drill history --history DIR/good").code, 0);
    assert_eq!(place.run("drill history --history DIR/bad").code, 1);
}
