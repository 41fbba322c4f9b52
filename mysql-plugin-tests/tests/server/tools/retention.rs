// SPDX-License-Identifier: GPL-2.0-or-later
//! Which master keys a real server needs, and what becomes of the others (docs/OPERATIONS.md, "Retention of keys").

use super::backup::{encrypting, names, restored, write};
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{
    Host, Keyring, ROTATE, Server, Volume, moment, place, rng, run, times, told, wait_until,
};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

pub(super) const LONG: Duration = Duration::from_secs(120);

/// A server that encrypts everything, with two copies of its keyring.
pub(super) struct Site {
    pub host: Host,
    pub keyring: Keyring,
    _volumes: [Volume; 2],
    safe: Volume,
}

impl Site {
    pub fn new() -> Site {
        let volumes = [Volume::directory(), Volume::directory()];
        let keyring = Keyring::init_on(&[&volumes[0], &volumes[1]]);
        let host = encrypting(Host::new()).keyring(&keyring);
        Site { host, keyring, _volumes: volumes, safe: Volume::directory() }
    }

    /// Runs `keyringctl keys` with the keyring, its mirror and the data directory.
    pub fn keys(&self, command: &str, ids: &[String], more: &[&str]) -> Command {
        let mut ctl = Command::new(&place().keyringctl);
        ctl.args(["--json", "keys", command]).arg(&self.keyring.path).args(ids);
        ctl.args(["--unlock", &format!("file:{}", self.keyring.secret.display())]);
        for mirror in &self.keyring.mirrors {
            ctl.arg("--mirror").arg(mirror);
        }
        ctl.arg("--only-named-copies");
        if command != "unretire" {
            ctl.arg("--datadir").arg(self.host.datadir());
        }
        ctl.args(more);
        ctl
    }

    /// The keys of InnoDB that nothing needs, the oldest first; `also` are further places.
    fn unneeded(&self, also: &[&str]) -> Vec<String> {
        let mut ctl = self.keys("needed", &[], also);
        let output = ctl.output().unwrap();
        let report = document(&output);
        assert!(report["missing"].as_array().unwrap().is_empty(), "{}", told(&output));
        let keys = report["keys"].as_array().unwrap().iter();
        let mut ids: Vec<String> = keys
            .filter(|key| key["need"] == "nothing" && key["kind"] == "innodb")
            .map(|key| key["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort_by_key(|id| number(id));
        ids
    }

    /// Waits until nothing needs these many keys: the server has written all its pages.
    pub fn wait_for_unneeded(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        let enough = wait_until(LONG, || {
            ids = self.unneeded(&[]);
            ids.len() >= count
        });
        assert!(enough, "{ids:?}: {}", told(&self.keys("needed", &[], &[]).output().unwrap()));
        ids
    }

    fn back_up(&self, name: &str) -> (PathBuf, Keyring) {
        let (data, keys) = (self.host.dir().join(name), self.safe.keys().join(name));
        run(Command::new("cp").args(["-a", "--sparse=always"]).arg(self.host.datadir()).arg(&data));
        let output = self.keyring.ctl_with(&["backup"], [self.keyring.path.as_os_str(), keys.as_os_str()]);
        assert!(output.status.success(), "{}", told(&output));
        (data, self.keyring.copy(&keys))
    }
}

fn number(id: &str) -> u64 {
    id.rsplit('-').next().unwrap().parse().unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(output)))
}

pub(super) fn succeeds(mut ctl: Command) -> Value {
    let output = ctl.output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    document(&output)
}

fn refused(mut ctl: Command, why: &str) {
    let output = ctl.output().unwrap();
    let said = told(&output);
    assert!(output.status.code() == Some(1) && said.contains(why), "{said}");
}

/// A backup needs the first key, the server the last one, and nothing the one between them.
pub fn from_need_to_destruction() {
    let site = Site::new();
    let server = site.host.start();
    write(&server, "Monday");
    server.stop();
    let (monday, monday_keys) = site.back_up("monday");
    let server = site.host.start();
    server.sql(ROTATE);
    write(&server, "Tuesday");
    server.sql(ROTATE);
    let all = { site.keyring.ids("INNODBKey-") };
    assert_eq!(all.len(), 3, "{all:?}");
    let backup = ["--backup", monday.to_str().unwrap()];
    let unneeded = site.wait_for_unneeded(2);
    let [first, second] = &unneeded[..] else { panic!("{unneeded:?}") };
    let both = [first.clone(), second.clone()];
    assert_eq!(site.unneeded(&backup), std::slice::from_ref(second));

    // Refused, with the files that need it; what nothing needs is retired.
    let yes = ["--yes", backup[0], backup[1]];
    let output = site.keys("retire", &both[..1], &yes).output().unwrap();
    let report = document(&output);
    let files = report["refused"][0]["files"].as_array().unwrap();
    assert!(output.status.code() == Some(1) && !files.is_empty(), "{}", told(&output));
    assert!(files.iter().all(|file| file.as_str().unwrap().starts_with(backup[1])), "{files:?}");
    assert!(files.iter().any(|file| file.as_str().unwrap().ends_with("patient.ibd")), "{files:?}");
    succeeds(site.keys("retire", &both[1..], &yes));
    refused(site.keys("destroy", &both[1..], &yes), "30 days later");

    // The server must have read that.
    let now = ["--yes", "--min-wait", "0", backup[0], backup[1]];
    refused(site.keys("destroy", &both[1..], &now), "SHOW GLOBAL STATUS");
    let keys: usize = server.status()["keys"].parse().unwrap();
    let generation = |server: &Server| server.status()["generation"].parse::<u64>().unwrap();
    let of_file = |keyring: &Keyring| keyring.open().status().generation;
    assert!(wait_until(LONG, || generation(&server) == of_file(&site.keyring)), "{}", server.log());
    assert_eq!(server.status()["retired_fetches"], "0");
    let before = fs::read(&site.keyring.path).unwrap();
    let report = succeeds(site.keys("destroy", &both[1..], &now));
    assert_eq!(report["destroyed"][0], *second.as_str());
    for path in site.keyring.paths() {
        let ids = site.keyring.copy(&path).ids("INNODBKey-");
        assert!(!ids.contains(second) && ids.contains(first) && ids.len() == 2, "{ids:?}");
        let after = fs::read(&path).unwrap();
        for piece in before[16384..].chunks_exact(32) {
            assert!(!after.windows(32).any(|window| window == piece), "{}", path.display());
        }
    }
    // The running server wipes it from its memory, and goes on.
    let gone = || server.status()["keys"].parse::<usize>().unwrap() == keys - 1;
    assert!(wait_until(LONG, gone), "{}", server.log());
    server.sql(ROTATE);
    write(&server, "Wednesday");

    // The backup was not named: its key is retired, and a server that uses it says so.
    succeeds(site.keys("retire", &both[..1], &["--yes"]));
    server.stop();
    let host = restored(&monday, &site.keyring);
    let copy = host.start();
    assert_eq!(names(&copy), ["Monday"]);
    assert!(copy.status()["retired_fetches"].parse::<u64>().unwrap() > 0, "{:?}", copy.status());
    copy.stop();
    succeeds(site.keys("destroy", &both[..1], &["--yes", "--min-wait", "0"]));

    // Each backup opens with its own backup of the keyring, and the data with the keyring.
    let host = restored(&monday, &monday_keys);
    let copy = host.start();
    assert_eq!(names(&copy), ["Monday"]);
    copy.stop();
    let server = site.host.start();
    assert_eq!(names(&server), ["Monday", "Tuesday", "Wednesday"]);
    server.stop();
    assert_eq!(document(&site.keys("needed", &[], &[]).output().unwrap())["missing"], Value::Array(vec![]));
}

/// A server under load that rotates its key, while keys are retired and destroyed by programs that are killed. The server
/// is killed too.
pub fn killed_while_destroying() {
    let site = Site::new();
    let mut server = site.host.start();
    server.sql(
        "CREATE DATABASE clinic; CREATE TABLE clinic.patient (id INT PRIMARY KEY, name VARCHAR(99));
         CREATE TABLE clinic.load_ (id INT AUTO_INCREMENT PRIMARY KEY, t VARCHAR(99));
         INSERT INTO clinic.patient WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 900)
             SELECT i, SHA2(i, 256) FROM n",
    );
    let checksum = |server: &Server| server.rows::<(String, u64)>("CHECKSUM TABLE clinic.patient");
    let expected = checksum(&server);
    let (rounds, mut rng) = (times(5, 40), rng());
    let (mut destroyed, mut rotations) = (0, 0);
    for round in 0..rounds {
        for _ in 0..3 {
            server.sql(ROTATE);
        }
        let ids = site.wait_for_unneeded(2);
        let (end, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ended, count, connect) = (Arc::clone(&end), Arc::clone(&made), server.connector());
        let load = std::thread::spawn(move || {
            let mut conn = connect().unwrap();
            while !ended.load(Ordering::Relaxed) {
                let done = conn
                    .query_drop(ROTATE)
                    .and_then(|()| conn.query_drop("INSERT INTO clinic.load_ (t) VALUES (UUID())"));
                match done {
                    Ok(()) => drop(count.fetch_add(1, Ordering::Relaxed)),
                    Err(mysql::Error::MySqlError(e)) => return Err(e.to_string()),
                    // The server was killed.
                    Err(_) => return Ok(()),
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        });
        // A program that is killed at any moment leaves the keyring as it was before or as it is afterwards.
        let mut interrupted = |mut ctl: Command| {
            let mut child = ctl.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(moment(&mut rng, 0, 3_000_000));
            // It may have ended.
            let _ = child.kill();
            child.wait().unwrap();
        };
        interrupted(site.keys("retire", &ids, &["--yes"]));
        // Files that the server was just writing count as not read, and refuse it.
        let mut refused = String::new();
        let retired = wait_until(LONG, || {
            let retired = site.keys("retire", &ids, &["--yes"]).output().unwrap();
            refused = told(&retired);
            retired.status.success()
        });
        assert!(retired, "round {round}: {refused}");
        let rotated = made.load(Ordering::Relaxed);
        assert!(
            wait_until(LONG, || made.load(Ordering::Relaxed) > rotated),
            "round {round}: {}",
            server.log()
        );
        server.status();
        interrupted(site.keys("destroy", &ids, &["--yes", "--min-wait", "0"]));
        let left = |ids: &[String]| {
            let held = site.keyring.ids("INNODBKey-");
            ids.iter().filter(|id| held.contains(id)).count()
        };
        assert!(
            [0, ids.len()].contains(&left(&ids)),
            "round {round}: {} of {} are left",
            left(&ids),
            ids.len()
        );
        if round % 2 == 0 {
            end.store(true, Ordering::Relaxed);
        } else {
            server.kill();
            end.store(true, Ordering::Relaxed);
            server = site.host.start();
        }
        load.join().unwrap().unwrap_or_else(|e| panic!("round {round}: {e}: {}", server.log()));
        rotations += made.load(Ordering::Relaxed);
        assert_eq!(checksum(&server), expected, "round {round}");
        if left(&ids) > 0 {
            let adopted = wait_until(LONG, || {
                server.status();
                site.keys("destroy", &ids, &["--yes", "--min-wait", "0"]).output().unwrap().status.success()
            });
            assert!(
                adopted,
                "round {round}: {}",
                told(&site.keys("destroy", &ids, &["--dry-run"]).output().unwrap())
            );
        }
        assert_eq!(left(&ids), 0, "round {round}");
        destroyed += ids.len();
    }
    server.stop();
    // Nothing that is needed is lost.
    let report = document(&site.keys("needed", &[], &[]).output().unwrap());
    assert!(report["missing"].as_array().unwrap().is_empty(), "{report}");
    for path in site.keyring.paths() {
        assert_eq!(site.keyring.copy(&path).report("verify")["fine"], true);
    }
    let server = site.host.start();
    assert_eq!(checksum(&server), expected);
    server.stop();
    eprintln!("{rounds} rounds: {destroyed} keys destroyed, {rotations} rotations beside; 0 lost");
}
