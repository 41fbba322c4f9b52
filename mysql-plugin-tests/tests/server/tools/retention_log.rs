// SPDX-License-Identifier: GPL-2.0-or-later
//! What the audit log says of keys that are destroyed.

use super::backup::write;
use super::retention::{LONG, Site, succeeds};
use crate::keys::audit_log::{is_fine, lines, verify};
use mysql_plugin_tests::rig::{ROTATE, Server, place, told, wait_until};
use serde_json::Value;
use std::path::Path;

fn destroyed(log: &Path) -> Vec<Value> {
    let mut all = lines(&[log.to_owned()]);
    all.retain(|line| line["event"] == "key_destroyed");
    all
}

/// The line names the key, the waiting time and the command. Without the log the keys stay, unless that is asked for.
pub fn destroyed_with_a_log_and_without() {
    let mut site = Site::new();
    let dir = tempfile::tempdir_in(&place().run).unwrap();
    let log = dir.path().join("audit.log");
    site.host = site.host.option(format!("--keyring-external-audit-log={}", log.display()));
    let server = site.host.start();
    write(&server, "Monday");
    server.sql(ROTATE);
    server.sql(ROTATE);
    let ids = site.wait_for_unneeded(2);
    let given = ["--audit-log", log.to_str().unwrap()];
    succeeds(site.keys("retire", &ids, &["--yes", given[0], given[1]]));
    let adopted = |server: &Server| {
        let generation = |of: &Server| of.status()["generation"].parse::<u64>().unwrap();
        let is_known = || generation(server) == site.keyring.open().status().generation;
        assert!(wait_until(LONG, is_known), "{}", server.log());
    };
    adopted(&server);

    // The keyring notes this log, and without it nothing is destroyed.
    let now = ["--yes", "--min-wait", "0"];
    let refused = site.keys("destroy", &ids[..1], &now).output().unwrap();
    assert!(
        !refused.status.success() && told(&refused).contains("--without-audit-log"),
        "{}",
        told(&refused)
    );
    assert!(destroyed(&log).is_empty() && site.keyring.ids("INNODBKey-").contains(&ids[0]));
    succeeds(site.keys("destroy", &ids[..1], &[&now[..], &given].concat()));
    let all = destroyed(&log);
    let [line] = &all[..] else { panic!("{all:#?}") };
    assert_eq!(
        (&line["min_wait_days"], &line["who"]["command"]),
        (&0.into(), &"keys destroy".into()),
        "{line}"
    );
    assert!(line.to_string().contains(&ids[0]) && !line.to_string().contains(&ids[1]), "{line}");
    assert!(line["who"]["options"].to_string().contains("--min-wait=0"), "{line}");
    let files = std::slice::from_ref(&log);
    is_fine(files, &site.keyring);

    // The server adopts the new data key, and its next lines are authenticated by it.
    adopted(&server);
    server.sql(ROTATE);
    is_fine(files, &site.keyring);
    adopted(&server);
    succeeds(site.keys("destroy", &ids[1..2], &[&now[..], &["--without-audit-log"]].concat()));
    assert_eq!(destroyed(&log).len(), 1);
    assert!(!site.keyring.ids("INNODBKey-").contains(&ids[1]));
    adopted(&server);
    server.sql(ROTATE);
    server.stop();
    // Earlier lines have only the hashes after them now.
    let (fine, document) = verify(files, &site.keyring);
    let found = &document["logs"][0];
    assert!(
        fine && found["by_hash"].as_u64() > Some(0) && found["by_mac"].as_u64() > Some(0),
        "{document:#}"
    );
}
