// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl encrypt` refuses before it looks for a server.

use super::Place;

/// A name that does not exist is refused with the nearest one, and with all.
#[test]
fn a_step_or_kind_that_does_not_exist_is_refused_with_the_nearest_one() {
    let place = Place::new();
    for (arguments, near, all) in [
        ("finish --only option-fil", "Did you mean option-file?", "reset-persist"),
        ("finish --skip Doublewrite", "Did you mean doublewrite?", "binary-logs"),
        ("finish --accept binarylog", "Did you mean binary-log?", "slow-log"),
        ("verify --accept slowlog", "Did you mean slow-log?", "doublewrite"),
    ] {
        let ended = place.run(&format!("encrypt {arguments}"));
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(near) && ended.stderr.contains(all), "{arguments}: {}", ended.stderr);
    }
}

/// Without a server there is nothing to finish, with `--dry-run` and `--yes` together too.
#[test]
fn finish_without_a_server_says_so() {
    let place = Place::new();
    let ended = place.run("encrypt finish --no-defaults --socket DIR/none --dry-run --yes");
    assert!(ended.code == 2 && ended.stderr.contains("DIR/none"), "{}", ended.stderr);
    let both = place.run("encrypt finish --only verify --skip verify");
    assert!(both.code == 2 && both.stderr.contains("cannot be used with"), "{}", both.stderr);
}
