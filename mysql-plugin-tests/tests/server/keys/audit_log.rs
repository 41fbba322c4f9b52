// SPDX-License-Identifier: GPL-2.0-or-later
//! The audit log of a server: beside keyringctl, rotated in use, killed between a line and its change, and where it cannot
//! be written.

use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::component::{OURS, configuration_of, host_with_components, load_component};
use mysql_plugin_tests::rig::{
    Host, Keyring, ROTATE, Server, Volume, moment, place, rng, times, told, wait_until,
};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The lines in the files of a log, in this order.
pub(crate) fn lines(files: &[PathBuf]) -> Vec<Value> {
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Their events.
fn events(files: &[PathBuf]) -> Vec<String> {
    lines(files).iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect()
}

/// What `keyringctl audit verify` says of these files and a keyring.
pub(crate) fn verify(files: &[PathBuf], keyring: &Keyring) -> (bool, Value) {
    let output = Command::new(&place().keyringctl)
        .args(["--json", "audit", "verify"])
        .args(files)
        .arg(&keyring.path)
        .args(["--unlock", &format!("file:{}", keyring.secret.display())])
        .output()
        .unwrap();
    let document =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
    (output.status.success(), document)
}

pub(crate) fn is_fine(files: &[PathBuf], keyring: &Keyring) -> Value {
    let (fine, document) = verify(files, keyring);
    assert!(fine, "{document:#}");
    let log = &document["logs"][0];
    assert_eq!(document["logs"].as_array().map(Vec::len), Some(1), "{document:#}");
    assert_eq!((&log["compared_with_note"], &log["lines"]), (&true.into(), &log["by_mac"]), "{document:#}");
    document
}

pub(super) fn host(keyring: &Keyring, log: &Path) -> Host {
    Host::new().keyring(keyring).option(format!("--keyring-external-audit-log={}", log.display()))
}

/// A client that rotates the master key again and again.
pub(super) struct RotatingKeys {
    thread: JoinHandle<()>,
    count: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
}

impl RotatingKeys {
    pub fn start(server: &Server) -> RotatingKeys {
        let (mut conn, count, end) = (server.connect(), Arc::new(AtomicUsize::new(0)), Arc::default());
        let (counter, ends) = (Arc::clone(&count), Arc::clone(&end));
        let thread = std::thread::spawn(move || {
            while !AtomicBool::load(&ends, Ordering::Relaxed) {
                conn.query_drop(ROTATE).unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        RotatingKeys { thread, count, end }
    }

    /// Waits until there were so many more rotations, and the log is there.
    pub fn wait_for_more(&self, more: usize, log: &Path) {
        let count = || self.count.load(Ordering::Relaxed);
        let before = count();
        assert!(wait_until(LIMIT, || count() >= before + more && log.exists()), "{} rotations", count());
    }

    /// Ends it. Returns how many rotations there were.
    pub fn stop(self) -> usize {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.count.load(Ordering::Relaxed)
    }
}

/// Server and keyringctl write to one log, also across a renewal of the data key, which keeps earlier lines verifiable.
pub fn beside_keyringctl() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let dir = tempfile::tempdir_in(&place().run).unwrap();
    let log = dir.path().join("audit.log");
    let server = host(&keyring, &log).start();
    server.put_to_use();
    for command in ["rekey", "slot add"] {
        server.sql(ROTATE);
        let log = log.display().to_string();
        let mut words: Vec<&str> = command.split(' ').collect();
        words.extend(["--audit-log", &log]);
        words.push(if command == "rekey" { "--yes" } else { "--new-recovery" });
        let done = keyring.ctl_with(&words, [keyring.path.as_os_str()]);
        assert!(done.status.success(), "{}", told(&done));
        server.sql(ROTATE);
    }
    server.sql("DO keyring_key_remove('mine')");
    assert!(server.sql_error("SELECT keyring_key_store('MINE', 'NOTYPE', 'x')").contains("keyring"));
    assert_eq!(server.status()["audit_failures"], "0");
    server.stop();
    let files = [log];
    is_fine(&files, &keyring);
    let events = events(&files);
    assert_eq!((&*events[0], &*events[1]), ("segment_started", "opened"));
    assert_eq!(events.last().map(String::as_str), Some("closed"));
    for event in ["key_stored", "key_generated", "key_removed", "rekey", "slot_added", "change_adopted"] {
        assert!(events.iter().any(|e| e == event), "{event} is not in {events:?}");
    }
    let text = fs::read_to_string(&files[0]).unwrap();
    assert!(!text.contains("\"value\""), "the bytes of a key are in the log");
}

/// The file is renamed again and again while keys are made: no line is lost.
pub fn rotated_in_use() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let dir = tempfile::tempdir_in(&place().run).unwrap();
    let log = dir.path().join("audit.log");
    let server = host(&keyring, &log).start();
    server.put_to_use();
    let rotating = RotatingKeys::start(&server);
    let mut files = Vec::new();
    for round in 1..=5 {
        rotating.wait_for_more(10, &log);
        let renamed = dir.path().join(format!("audit.log.{round}"));
        fs::rename(&log, &renamed).unwrap();
        files.push(renamed);
    }
    assert!(wait_until(LIMIT, || log.exists()));
    let rotated = rotating.stop();
    server.stop();
    files.push(log);
    is_fine(&files, &keyring);
    let generated = events(&files).iter().filter(|e| *e == "key_generated").count();
    // The first key was made by the server's start.
    assert!(generated > rotated, "{generated} lines of {rotated} rotations");
    // Without one of them, its lines are missing.
    files.remove(2);
    let (fine, document) = verify(&files, &keyring);
    assert!(!fine && document["logs"][0]["findings"][0]["trouble"] == "missing", "{document:#}");
}

/// kill -9 at any moment between a line and its change: no false alarm, and at most one change that nothing confirms.
pub fn killed() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let dir = tempfile::tempdir_in(&place().run).unwrap();
    let log = dir.path().join("audit.log");
    let host = host(&keyring, &log);
    let (kills, mut rng) = (times(6, 50), rng());
    let mut server = host.start();
    server.put_to_use();
    for _ in 0..kills {
        let (mut conn, count) = (server.connect(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&count);
        let rotating = std::thread::spawn(move || {
            while conn.query_drop(ROTATE).is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert!(wait_until(LIMIT, || count.load(Ordering::Relaxed) >= 2), "no rotations");
        std::thread::sleep(moment(&mut rng, 0, 17_000));
        server.kill();
        rotating.join().unwrap();
        let document = is_fine(std::slice::from_ref(&log), &keyring);
        let remarks = document["logs"][0]["remarks"].as_array().unwrap();
        assert!(
            remarks.iter().all(|r| ["unconfirmed", "interrupted"].contains(&r["trouble"].as_str().unwrap()))
        );
        server = host.start();
    }
    server.sql(ROTATE);
    server.stop();
    let document = is_fine(std::slice::from_ref(&log), &keyring);
    let remarks = document["logs"][0]["remarks"].as_array().unwrap().len();
    eprintln!("kill -9 while rotating: {kills} kills, {remarks} changes that nothing confirms");
    assert!(remarks <= kills, "{document:#}");
}

/// A folder that is missing, a pipe, a file that is locked: the server goes on, counts, and writes again when it can.
pub fn not_writable() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let dir = tempfile::tempdir_in(&place().run).unwrap();
    let folder = dir.path().join("log");
    let log = folder.join("audit.log");
    let server = host(&keyring, &log).start();
    server.put_to_use();
    let failures = || server.status()["audit_failures"].parse::<u64>().unwrap();
    let before = failures();
    assert!(
        before > 0 && server.log().matches("cannot write the audit log").count() == 1,
        "{}",
        server.log()
    );
    fs::create_dir(&folder).unwrap();
    let pipe = Command::new("mkfifo").arg(&log).status().unwrap();
    assert!(pipe.success());
    server.sql(ROTATE);
    assert!(failures() > before);
    fs::remove_file(&log).unwrap();
    server.sql(ROTATE);
    let after = failures();
    assert!(server.log().contains("can be written again"), "{}", server.log());
    // Another program holds the lock.
    let held = fs::File::open(&log).unwrap();
    held.lock().unwrap();
    server.sql(ROTATE);
    assert!(failures() > after);
    drop(held);
    assert!(wait_until(LIMIT, || {
        let count = failures();
        server.sql(ROTATE);
        failures() == count
    }));
    server.stop();
    let document = is_fine(&[log], &keyring);
    let remarks = document["logs"][0]["remarks"].as_array().unwrap();
    assert!(remarks.iter().any(|r| r["trouble"] == "unwritten"), "{document:#}");
}

/// The component: the log begins with a reload, and goes on through the next.
pub fn of_the_component() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let dir = tempfile::tempdir_in(&place().run).unwrap();
    let log = dir.path().join("audit.log");
    let without = configuration_of(&keyring);
    let with = without.replacen('{', &format!(r#"{{"audit_log": "{}", "#, log.display()), 1);
    let host = host_with_components(&[(OURS, without)]);
    load_component(&host, OURS);
    let server = host.start();
    server.sql(ROTATE);
    assert!(!log.exists());
    let file = host.dir().join("plugins").join(format!("{OURS}.cnf"));
    let file = if file.exists() { file } else { panic!("{} is not there", file.display()) };
    fs::write(&file, with).unwrap();
    server.sql("ALTER INSTANCE RELOAD KEYRING");
    server.sql(ROTATE);
    server.sql("ALTER INSTANCE RELOAD KEYRING");
    server.sql(ROTATE);
    assert_eq!(server.status()["audit_failures"], "0");
    server.stop();
    let files = [log];
    is_fine(&files, &keyring);
    let events = events(&files);
    assert_eq!(events.iter().filter(|e| *e == "opened").count(), 2, "{events:?}");
    assert!(events.iter().filter(|e| *e == "closed").count() >= 2, "{events:?}");
}
