// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt finish` does what is left after apply, whatever interrupts it.

use super::command::{command, encrypt, encrypt_json};
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, place, told, wait_until};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const PAGE: usize = 16384;

/// Starts the server when it has ended and somebody has asked for it. A server ends with the thread that started it.
struct ServiceManager {
    done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl ServiceManager {
    /// Takes care of a server. The file is how one asks.
    fn of(host: &Host, mut server: Server, wanted: &Path) -> ServiceManager {
        let done = Arc::new(AtomicBool::new(false));
        let (host, wanted, ended) = (host.clone(), wanted.to_owned(), Arc::clone(&done));
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if wanted.exists() && !server.is_running() {
                    fs::remove_file(&wanted).unwrap();
                    server = host.start();
                }
                thread::sleep(Duration::from_millis(50));
            }
            server.stop();
        });
        ServiceManager { done, thread }
    }

    fn stop(self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// A server that reads an option file.
fn host_with_option_file(keyring: &Keyring) -> (Host, PathBuf) {
    let host = Host::new();
    let (script, options) = (host.dir().join("mysqld"), host.dir().join("my.cnf"));
    fs::write(&options, "[mysqld]\nback_log = 50\n").unwrap();
    // The first argument is --no-defaults.
    let (mysqld, shown) = (place().mysqld.display(), options.display());
    fs::write(&script, format!("#!/bin/sh\nshift\nexec '{mysqld}' --defaults-file='{shown}' \"$@\"\n"))
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let host =
        host.mysqld(script).keyring(keyring).option("--log-bin=binlog").option("--innodb-doublewrite=ON");
    (host, options)
}

/// The states of the steps.
fn states(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    report["steps"].as_array().unwrap().iter().map(|step| (text(&step["id"]), text(&step["state"]))).collect()
}

fn with_state(report: &Value, state: &str) -> Vec<String> {
    states(report).into_iter().filter(|(_, s)| s == state).map(|(id, _)| id).collect()
}

/// Everything is left to do: finish says so, changes nothing without consent, is killed between the shutdown of the server and
/// its start, and goes on when it is run again. So it does after a start that failed: it says so, and then starts the server
/// itself. Its restart command does not return. At the end nothing is left, and it does nothing more.
pub fn what_is_left_is_done_step_by_step() {
    let (volume, backups) = (Volume::directory(), Volume::directory());
    let keyring = Keyring::init(&volume);
    let (host, options) = host_with_option_file(&keyring);
    let server = host.start();
    server.sql(
        "CREATE SCHEMA clinic; CREATE TABLE clinic.visits (id INT PRIMARY KEY, name VARCHAR(99));
         INSERT INTO clinic.visits VALUES (1, 'Astrid'); FLUSH TABLES clinic.visits FOR EXPORT; UNLOCK TABLES",
    );
    let mut old_page = vec![0; PAGE];
    let table = fs::File::open(host.datadir().join("clinic/visits.ibd")).unwrap();
    table.read_exact_at(&mut old_page, 4 * PAGE as u64).unwrap();
    let _ = fs::remove_file(host.datadir().join("clinic/visits.cfg"));

    assert_eq!(encrypt(&host, &["plan"]).status.code(), Some(0));
    let option_file = format!("--option-file={}", options.display());
    let (_, first) = encrypt_json(&host, &["finish", "--dry-run", &option_file]);
    let before_apply = with_state(&first, "to_do");
    assert!(before_apply.starts_with(&["apply".to_owned(), "option-file".to_owned()]), "{first:#}");
    let output = encrypt(&host, &["apply"]);
    let text = told(&output);
    // Old binary logs are left.
    assert!(output.status.code() == Some(1) && text.contains("run: keyringctl encrypt finish"), "{text}");

    // A page from before, as the server leaves them until others take their place.
    let is_doublewrite = |path: &PathBuf| path.extension().is_some_and(|e| e == "dblwr");
    let files = || fs::read_dir(host.datadir()).unwrap().map(|e| e.unwrap().path()).filter(is_doublewrite);
    let planted = files().min().expect("a doublewrite file");
    OpenOptions::new().append(true).open(&planted).unwrap().write_all(&old_page).unwrap();

    let wanted = host.dir().join("wanted");
    let restart = format!(
        "kill $(cat '{pid}') 2>/dev/null; while kill -0 $(cat '{pid}') 2>/dev/null; do sleep 0.1; done; touch '{wanted}'; exec sleep 30 2>/dev/null",
        pid = host.pid_file().display(),
        wanted = wanted.display()
    );
    let restart = format!("--restart-command={restart}");
    let finish = ["finish", &option_file, &restart];
    let unchanged = fs::read_to_string(&options).unwrap();
    let refused = encrypt(&host, &finish);
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("nothing was changed") && said.trim_end().ends_with(" --yes"), "{said}");
    let (code, dry) = encrypt_json(&host, &[&finish[..], &["--dry-run", "--yes"]].concat());
    assert_eq!(code, 0, "{dry:#}");
    let left = ["option-file", "reset-persist", "binary-logs", "doublewrite", "restart", "verify"];
    assert_eq!(with_state(&dry, "to_do"), left, "{dry:#}");
    assert_eq!(
        with_state(&dry, "by_hand"),
        ["keyring-backup", "system-tablespace", "free-space", "old-backups"]
    );
    // A backup that would be none is refused, and so is a place for one that is missing, before anything is changed.
    for (file, expected) in [
        (keyring.paths().remove(0), "is a copy of the keyring that the server uses"),
        (host.dir().join("missing/backup.keyring"), "missing"),
    ] {
        let refused =
            encrypt(&host, &[&finish[..], &["--yes", &format!("--backup={}", file.display())]].concat());
        let text = told(&refused);
        assert!(refused.status.code() == Some(2) && text.contains(expected), "{text}");
    }
    // An option file that this server does not read is not written, so the stored values stay.
    let other = host.dir().join("other.cnf");
    fs::write(&other, "[mysqld]\n").unwrap();
    let not_read = [
        "finish",
        "--option-file",
        other.to_str().unwrap(),
        "--yes",
        "--skip=binary-logs",
        "--skip=doublewrite",
    ];
    let output = encrypt(&host, &[&not_read[..], &["--skip=verify"]].concat());
    let text = told(&output);
    assert!(output.status.code() == Some(1) && text.contains("this server does not read"), "{text}");
    assert!(text.contains("LEFT: option-file, reset-persist, restart."), "{text}");
    assert_eq!(fs::read_to_string(&other).unwrap(), "[mysqld]\n");
    assert_eq!(fs::read_to_string(&options).unwrap(), unchanged);
    let persisted =
        "SELECT COUNT(*) FROM performance_schema.persisted_variables WHERE VARIABLE_NAME LIKE 'innodb\\_%'";
    assert_eq!(server.value::<u32>(persisted), 3, "nothing was changed");

    // One step only.
    let (code, one) = encrypt_json(&host, &["finish", &option_file, "--only=option-file", "--yes"]);
    assert_eq!((code, &one["fine"]), (0, &Value::Bool(true)), "{one:#}");
    let text = fs::read_to_string(&options).unwrap();
    assert!(text.starts_with(&unchanged) && text.contains("innodb_redo_log_encrypt = ON"), "{text}");
    assert!(options.with_extension("cnf.bak").exists());

    // Killed when the server has stopped.
    let connect = server.connector();
    let manager = ServiceManager::of(&host, server, &wanted);
    let killed = format!("--restart-command=touch '{}'; kill -9 $PPID", wanted.display());
    let output = command(&host, &["finish", &option_file, &killed, "--yes"]).output().unwrap();
    assert_eq!(output.status.code(), None, "it was killed: {}", told(&output));
    let is_back = || encrypt(&host, &["plan"]).status.success();
    assert!(wait_until(Duration::from_secs(60), is_back), "{}", told(&output));
    assert!(host.log().contains("Shutdown complete"));

    // Its start fails: it says so at once, with what is left, and then starts the server itself.
    OpenOptions::new().append(true).open(files().min().unwrap()).unwrap().write_all(&old_page).unwrap();
    let failing = ["finish", &option_file, "--yes", "--only=doublewrite", "--restart-command=exit 3"];
    let output = encrypt(&host, &failing);
    let text = told(&output);
    assert!(output.status.code() == Some(1) && text.contains("LEFT: doublewrite."), "{text}");
    let said = "finish stopped the server, and its start failed: exit 3 failed (exit status: 3)";
    assert!(text.contains(said) && !text.contains("lost the connection"), "{text}");
    let output = encrypt(&host, &["finish", "--yes"]);
    let text = told(&output);
    assert!(output.status.code() == Some(2) && text.contains("run the same command again"), "{text}");

    // Run again, to the end.
    let backup = backups.keys().join("backup.keyring");
    let backup_option = format!("--backup={}", backup.display());
    let (code, report) = encrypt_json(&host, &[&finish[..], &["--yes", &backup_option]].concat());
    assert_eq!((code, &report["fine"]), (0, &Value::Bool(true)), "{report:#}");
    assert!(states(&report).iter().all(|(_, state)| state == "done" || state == "by_hand"), "{report:#}");
    assert_eq!(report["verify"]["fine"], Value::Bool(true));
    assert!(backup.exists());
    for file in files() {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.chunks(PAGE).any(|page| page == old_page), "{}", file.display());
    }
    // Nothing is left, so nothing is asked.
    let output = encrypt(&host, &[&finish[..], &[&backup_option]].concat());
    assert!(output.status.success(), "{}", told(&output));

    // What was deleted from the option file since is missing at the next start.
    let complete = fs::read_to_string(&options).unwrap();
    fs::write(&options, complete.replace("innodb_redo_log_encrypt = ON", "")).unwrap();
    let (_, again) = encrypt_json(&host, &["finish", "--dry-run", &option_file]);
    assert_eq!(with_state(&again, "to_do"), ["option-file", "verify"], "{again:#}");
    fs::write(&options, complete).unwrap();

    let mut conn = connect().unwrap();
    assert_eq!(conn.query_first(persisted).unwrap(), Some(0));
    let sources = "SELECT COUNT(*) FROM performance_schema.variables_info WHERE VARIABLE_NAME LIKE 'innodb%encrypt' AND VARIABLE_SOURCE = 'EXPLICIT'";
    assert_eq!(conn.query_first(sources).unwrap(), Some(2), "the settings come from the option file");
    drop(conn);
    manager.stop();
}
