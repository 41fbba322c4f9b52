// SPDX-License-Identifier: GPL-2.0-or-later
//! A drill of a backup whose master key `keyringctl keys destroy` has destroyed, although the backup needs it.

use super::super::backup::encrypting;
use super::shared::{Drills, Told, backed_up, copy, fill, host, text};
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Volume, place, told};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::process::Command;

/// `keyringctl keys VERB` of the first master key, with the data directory of a server that is stopped and no backup.
fn keys(verb: &str, keyring: &Keyring, key: &str, host: &Host, more: &[&str]) {
    let datadir = host.datadir();
    let args = [keyring.path.as_os_str(), key.as_ref(), "--datadir".as_ref(), datadir.as_os_str()];
    let more = ["--yes", "--only-named-copies"].iter().chain(more).map(OsStr::new);
    let output = keyring.ctl_with(&["keys", verb], args.into_iter().chain(more));
    assert!(output.status.success(), "{verb}: {}", told(&output));
}

/// The keyring's first master key is rotated away, retired and destroyed. Returns a backup of the keyring from before.
fn destroy_first_key(keyring: &Keyring, host: &Host, safe: &Volume) -> Keyring {
    let then = safe.keys().join("monday");
    let output = keyring.ctl_with(&["backup"], [keyring.path.as_os_str(), then.as_os_str()]);
    assert!(output.status.success(), "{}", told(&output));
    let ids = keyring.ids("INNODBKey-");
    let [first] = &ids[..] else { panic!("{ids:?}") };
    let server = host.start();
    server.sql(&format!("{ROTATE}; INSERT INTO clinic.patient VALUES (3, 'Noah'); {ROTATE}"));
    server.stop();
    keys("retire", keyring, first, host, &[]);
    keys("destroy", keyring, first, host, &["--min-wait", "0"]);
    let left = keyring.ids("INNODBKey-");
    assert!(left.len() == 2 && !left.contains(first), "{left:?}");
    keyring.copy(&then)
}

/// The backup fails with the keyring of now, and the tables are named. It passes with the backup of the keyring from its
/// time, and a newer backup passes with the keyring of now.
pub fn a_backup_whose_key_was_destroyed() {
    let (volume, safe) = (Volume::directory(), Volume::directory());
    let keyring = Keyring::init(&volume);
    let host = host(&keyring);
    let drills = Drills::new();
    let monday = backed_up(&host, &drills, "monday");
    let monday_keys = destroy_first_key(&keyring, &host, &safe);
    let destroyed = monday_keys.ids("INNODBKey-").remove(0);

    let log = drills.path("audit.log");
    let failed = drills.drill(&monday, Some(&keyring), &["--audit-log", text(&log)]);
    assert_eq!(failed.names(), ["clinic.patient", "'clinic.vis it'"], "{}", failed.all);
    let reason = format!("its master key {destroyed} is not in the keyring");
    assert!(failed.failed().iter().all(|(_, why)| *why == reason), "{}", failed.all);
    assert!(failed.document["tables"].as_u64() > Some(30), "the others are read: {}", failed.all);
    let lines = fs::read_to_string(&log).unwrap();
    let line: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert!(line["event"] == "drill" && line["result"] == "failed" && line["mac"] != "none", "{lines}");

    drills.drill(&monday, Some(&monday_keys), &[]).passed();
    let tuesday = drills.path("tuesday");
    copy(&host.datadir(), &tuesday);
    drills.drill(&tuesday, Some(&keyring), &[]).passed();

    let history = Command::new(&place().keyringctl)
        .args(["--json", "drill", "history", "--history"])
        .arg(drills.history())
        .output();
    let history = Told::of(&history.unwrap());
    let all = history.document["drills"].as_array().unwrap();
    assert_eq!(all.iter().map(|drill| drill["passed"] == true).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(all[0]["failed"], failed.document["failed"], "{}", history.all);
}

/// The redo log of a server that was killed names a master key that the keyring lacks. A server that recovered it would
/// never end; the drill says so and ends.
pub fn a_snapshot_whose_redo_log_needs_a_missing_key() {
    let (volume, safe) = (Volume::directory(), Volume::directory());
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring).option("--disable-log-bin");
    let drills = Drills::new();
    let server = host.start();
    fill(&server);
    let then = keyring.copy(&safe.keys().join("then"));
    fs::copy(&keyring.path, &then.path).unwrap();
    // A rotation alone may be in memory only; a commit writes the log.
    server.sql(&format!("{}; INSERT INTO clinic.patient VALUES (3, 'Noah')", [ROTATE; 3].join("; ")));
    server.kill();
    let backup = drills.path("backup");
    copy(&host.datadir(), &backup);
    drills.drill(&backup, Some(&keyring), &[]).passed();
    let failed = drills.drill(&backup, Some(&then), &[]);
    let faults = failed.document["faults"].to_string();
    // Unless the server was so slow that it has written all its pages before it was killed.
    let is_written = failed.failed().iter().any(|(_, why)| why.contains("is not in the keyring"));
    assert!(faults.contains("no server can recover it") || is_written, "{}", failed.all);
    assert!(failed.names().contains(&"clinic.patient".to_owned()), "{}", failed.all);
}

/// As [`a_backup_whose_key_was_destroyed`], with undo and redo logs that need the key too, so that no server starts.
pub fn a_backup_with_which_no_server_starts() {
    let (volume, safe) = (Volume::directory(), Volume::directory());
    let keyring = Keyring::init(&volume);
    let host = encrypting(Host::new()).keyring(&keyring);
    let drills = Drills::new();
    let monday = backed_up(&host, &drills, "monday");
    let monday_keys = destroy_first_key(&keyring, &host, &safe);

    let failed = drills.drill(&monday, Some(&keyring), &[]);
    let names = failed.names();
    for table in ["clinic.patient", "'clinic.vis it'", "clinic.open_data"] {
        assert!(names.contains(&table.to_owned()), "{table}: {}", failed.all);
    }
    let faults = failed.document["faults"].to_string();
    assert!(faults.contains("the server does not start with this backup"), "{}", failed.all);
    assert!(faults.contains("undo_001") && faults.contains("is not in the keyring"), "{}", failed.all);
    drills.drill(&monday, Some(&monday_keys), &[]).passed();
}
