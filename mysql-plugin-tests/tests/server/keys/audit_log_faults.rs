// SPDX-License-Identifier: GPL-2.0-or-later
//! An audit log that cannot be written: its volume is full, mounted read-only, or does not answer. The server goes on,
//! counts the lines, and the next line that can be written says how many are missing. And one that logrotate rotates.

use super::audit_log::{LIMIT, RotatingKeys, host, is_fine, lines};
use mysql_plugin_tests::rig::{Keyring, Kind, ROTATE, Server, Volume, place, run, told, wait_until};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server in use that writes to a log on a volume.
struct InUse {
    server: Server,
    keyring: Keyring,
    log: PathBuf,
    _volume: Volume,
}

impl InUse {
    fn new(of_log: &Volume) -> InUse {
        let volume = Volume::directory();
        let keyring = Keyring::init(&volume);
        let log = of_log.keys().join("audit.log");
        let server = host(&keyring, &log).start();
        server.put_to_use();
        server.sql(ROTATE);
        let in_use = InUse { server, keyring, log, _volume: volume };
        assert_eq!(in_use.failures(), 0, "{}", in_use.server.log());
        in_use
    }

    fn failures(&self) -> u64 {
        self.server.status()["audit_failures"].parse().unwrap()
    }

    /// The log cannot be written now: all goes on, and each line that is missing is counted.
    fn goes_on(&self, why: &str) {
        // A file may have some room in its last block.
        assert!(wait_until(LIMIT, || {
            self.server.sql(ROTATE);
            self.failures() > 0
        }));
        let before = self.failures();
        for n in 1..=3 {
            self.server.sql(ROTATE);
            assert_eq!(self.server.value::<i32>("SELECT a FROM mysql.t"), 7);
            assert_eq!(self.server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
            assert_eq!(self.failures(), before + n);
        }
        assert_eq!(self.server.status()["state"], "ATTACHED");
        let said = self.server.log();
        assert_eq!(said.matches("cannot write the audit log").count(), 1, "{said}");
        assert!(said.contains(why), "{said}");
    }

    /// The log can be written again: the next line says what is missing, and so does the verification.
    fn ends_after_a_new_line(self) {
        // After a line that took too long, the log is left alone for some seconds.
        assert!(wait_until(LIMIT, || {
            let before = self.failures();
            self.server.sql(ROTATE);
            self.failures() == before
        }));
        let missing = self.failures();
        assert!(self.server.log().contains("can be written again"), "{}", self.server.log());
        let InUse { server, keyring, log, _volume } = self;
        server.stop();
        let all = lines(std::slice::from_ref(&log));
        let telling: Vec<&Value> = all.iter().filter(|line| !line["unwritten_lines"].is_null()).collect();
        assert_eq!(telling.len(), 1, "{telling:#?}");
        assert_eq!(telling[0]["unwritten_lines"], missing, "{telling:#?}");
        assert_eq!(telling[0]["event"], "key_generated");
        let document = is_fine(&[log], &keyring);
        let remarks = document["logs"][0]["remarks"].as_array().unwrap();
        let unwritten: Vec<_> = remarks.iter().filter(|r| r["trouble"] == "unwritten").collect();
        assert!(unwritten.len() == 1 && unwritten[0]["count"] == missing, "{document:#}");
        eprintln!("audit log: {missing} lines could not be written, and are told; 0 false alarms");
    }
}

/// Not a block is left on the volume of the log.
pub fn full_disk() {
    let disk = Volume::ext4();
    let in_use = InUse::new(&disk);
    disk.fill();
    in_use.goes_on("Free some space on its volume");
    disk.make_room();
    in_use.ends_after_a_new_line();
}

/// The volume of the log is mounted read-only, as after an error of its disk.
pub fn read_only() {
    let disk = Volume::ext4();
    let in_use = InUse::new(&disk);
    let remount = |how: &str| run(Command::new("mount").args(["-o", how]).arg(disk.mount_point()));
    remount("remount,ro");
    in_use.goes_on("Mount its volume writable");
    remount("remount,rw");
    in_use.ends_after_a_new_line();
}

/// The file server with the log stops answering.
pub fn hung() {
    let remote = Volume::of(Kind::Sshfs);
    let in_use = InUse::new(&remote);
    let hang = remote.remote().hang();
    in_use.goes_on("it has not answered for 2 seconds");
    drop(hang);
    in_use.ends_after_a_new_line();
}

/// Why logrotate cannot be run here.
pub fn why_no_logrotate() -> Option<String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let has = std::env::split_paths(&path).any(|dir| dir.join("logrotate").is_file());
    (!has).then(|| "the program logrotate is not installed".to_owned())
}

/// logrotate rotates and compresses the log of a server in use, with the example of the packages.
pub fn rotated_by_logrotate() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let dir = tempfile::tempdir_in(&place().run).unwrap();
    let log = dir.path().join("audit.log");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/logrotate/keyring-external");
    let example = fs::read_to_string(example).unwrap();
    let usual = "/var/log/mysql/keyring_external.audit.log";
    assert_eq!(example.matches(&format!("\n{usual} {{\n")).count(), 1, "{example}");
    let (settings, state) = (dir.path().join("settings"), dir.path().join("state"));
    fs::write(&settings, example.replace(usual, log.to_str().unwrap())).unwrap();
    let server = host(&keyring, &log).start();
    server.put_to_use();
    let rotating = RotatingKeys::start(&server);
    for _ in 0..4 {
        rotating.wait_for_more(10, &log);
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let mut logrotate = Command::new("logrotate");
        let done = logrotate.env("PATH", path).arg("-fs").arg(&state).arg(&settings).output().unwrap();
        assert!(done.status.success() && done.stderr.is_empty(), "{}", told(&done));
    }
    rotating.wait_for_more(10, &log);
    let rotations = rotating.stop();
    assert_eq!(server.status()["audit_failures"], "0");
    server.stop();
    let names = ["audit.log", "audit.log.1", "audit.log.2.gz", "audit.log.3.gz", "audit.log.4.gz"];
    let mut files: Vec<_> = names.iter().map(|name| dir.path().join(name)).collect();
    let document = is_fine(&files, &keyring);
    let first = document["logs"][0]["first"]["number"].as_u64();
    assert!(
        first == Some(1) && document["logs"][0]["lines"].as_u64() > Some(rotations as u64),
        "{document:#}"
    );
    // Without a compressed file, its lines are missing.
    files.remove(3);
    let (fine, document) = super::audit_log::verify(&files, &keyring);
    assert!(!fine && document["logs"][0]["findings"][0]["trouble"] == "missing", "{document:#}");
}
