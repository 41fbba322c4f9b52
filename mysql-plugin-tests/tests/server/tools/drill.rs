// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl drill` on backups of real servers: good ones, and ones with a fault that it must name. Neither the backup nor
//! the keyring is changed, and nothing is left.

mod destroyed;
mod people;
mod shared;
mod user;

pub use destroyed::{
    a_backup_whose_key_was_destroyed, a_backup_with_which_no_server_starts,
    a_snapshot_whose_redo_log_needs_a_missing_key,
};
pub use people::unlocked_by_people;
pub use user::{a_dump_without_a_table_fails, by_an_ordinary_user_with_other_directories};

use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Volume, place, program, run, told, wait_until};
use serde_json::Value;
use shared::{Drills, LIMIT, Told, backed_up, copy, fill, host, pack, record, servers_in, snapshot, text};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PAGE: u64 = 16384;

/// A copy of a stopped server passes, with the record of the live server; a destroyed master key, a wrong keyring and a page
/// that is damaged are found, each with the tables that it concerns.
pub fn a_copy_and_its_faults() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host(&keyring);
    let drills = Drills::new();
    let server = host.start();
    // Without it, no other keyring could be there before the first key.
    let before = keyring.copy(&volume.keys().join("before"));
    fs::copy(&keyring.path, &before.path).unwrap();
    fill(&server);
    let recorded = drills.path("record.json");
    let said = record(&host.socket(), &recorded);
    assert!(said["tables"] == 3 && said["rows"] == 7 && said["gtid_executed"].is_string(), "{said:#}");
    server.stop();
    let backup = drills.path("backup");
    copy(&host.datadir(), &backup);
    let bytes = snapshot(&backup, &keyring);

    let log = drills.path("audit.log");
    let good =
        drills.drill(&backup, Some(&keyring), &["--record", text(&recorded), "--audit-log", text(&log)]);
    good.passed();
    // The line in the audit log is authenticated.
    let lines = fs::read_to_string(&log).unwrap();
    let line: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert!(line["event"] == "drill" && line["result"] == "passed" && line["mac"] != "none", "{lines}");
    let comparison = &good.document["comparison"];
    assert!(comparison["moment"] == "same" && comparison["same"] == 3, "{}", good.all);
    assert!(
        good.document["tables"].as_u64() > Some(30) && good.document["recovered"] == false,
        "{}",
        good.all
    );
    assert!(snapshot(&backup, &keyring) == bytes, "the backup or the keyring was changed");
    if rustix::process::geteuid().is_root() {
        assert!(good.document["apart"].as_str().unwrap().contains("network namespace"), "{}", good.all);
    }

    // A later record: the difference is told, and fails only if the two are said to be of one moment.
    let server = host.start();
    server
        .sql("INSERT INTO clinic.patient VALUES (3, 'Noah'); CREATE TABLE clinic.later (id INT PRIMARY KEY)");
    let later = drills.path("later.json");
    record(&host.socket(), &later);
    server.stop();
    let differs = drills.drill(&backup, Some(&keyring), &["--record", text(&later)]);
    assert_eq!(differs.names(), ["clinic.later"]);
    assert_eq!(differs.document["comparison"]["moment"], "another");
    assert_eq!(differs.document["comparison"]["differences"][0]["table"], "clinic.patient");
    let exact = drills.drill(&backup, Some(&keyring), &["--record", text(&later), "--exact"]);
    assert_eq!(exact.names(), ["clinic.later", "clinic.patient"]);

    // The master key was destroyed: a keyring of the same id without it.
    let destroyed = drills.drill(&backup, Some(&before), &[]);
    let failed = destroyed.failed();
    assert_eq!(
        failed.iter().map(|(table, _)| table.as_str()).collect::<Vec<_>>(),
        ["clinic.patient", "'clinic.vis it'"].map(str::to_owned).to_vec(),
        "{}",
        destroyed.all
    );
    assert!(failed.iter().all(|(_, reason)| reason.contains("its master key INNODBKey-")), "{failed:?}");
    assert!(destroyed.document["tables"].as_u64() > Some(30), "the others are read: {}", destroyed.all);
    assert!(destroyed.document["notes"][0].as_str().unwrap().contains("witness"), "{}", destroyed.all);

    // Another keyring.
    let others = Volume::directory();
    let other = Keyring::init(&others);
    let wrong = drills.drill(&backup, Some(&other), &[]);
    assert!(wrong.names().contains(&"clinic.patient".to_owned()), "{}", wrong.all);

    // A page of an encrypted table and one of an unencrypted table.
    for file in ["clinic/patient.ibd", "clinic/open_data.ibd"] {
        let file = fs::OpenOptions::new().write(true).open(backup.join(file)).unwrap();
        file.write_all_at(&[0x5a; 64], 4 * PAGE + 200).unwrap();
    }
    let damaged = drills.drill(&backup, Some(&keyring), &[]);
    let mut names = damaged.names();
    names.sort();
    assert_eq!(names, ["clinic.open_data", "clinic.patient"], "{}", damaged.all);
    assert!(damaged.document["tables"].as_u64() > Some(30), "the others are read: {}", damaged.all);

    // All of them are in the history.
    let history = Command::new(&place().keyringctl)
        .args(["--json", "drill", "history", "--history"])
        .arg(drills.history())
        .output();
    let history = Told::of(&history.unwrap());
    let passed: Vec<_> =
        history.document["drills"].as_array().unwrap().iter().map(|drill| drill["passed"] == true).collect();
    assert_eq!(passed, [true, false, false, false, false, false]);
    assert_eq!(history.code, 1, "the last one failed");
}

/// The files of a server that was killed, as in a snapshot, are recovered.
pub fn a_snapshot_is_recovered() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    // What is acknowledged is in InnoDB, not only in a binary log, which a drill leaves out.
    let host = Host::new()
        .keyring(&keyring)
        .option("--disable-log-bin")
        .option("--innodb-redo-log-encrypt=ON")
        .option("--innodb-undo-log-encrypt=ON");
    let drills = Drills::new();
    let server = host.start();
    fill(&server);
    server.sql(&format!("{ROTATE}; INSERT INTO clinic.patient VALUES (7, 'Ruth')"));
    let recorded = drills.path("record.json");
    record(&host.socket(), &recorded);
    server.kill();
    let backup = drills.path("backup");
    copy(&host.datadir(), &backup);
    let done = drills.drill(&backup, Some(&keyring), &["--record", text(&recorded)]);
    done.passed();
    assert_eq!(done.document["recovered"], true, "{}", done.all);
    assert_eq!(done.document["comparison"]["same"], 3, "{}", done.all);
}

/// A dump passes, plain and compressed; one that was cut off fails, with the table at which it ends and those that are missing.
pub fn a_dump_and_one_that_was_cut_off() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host(&keyring);
    let drills = Drills::new();
    let server = host.start();
    fill(&server);
    let recorded = drills.path("record.json");
    record(&host.socket(), &recorded);
    let dump = Command::new(program("mysqldump"))
        .args(["--no-defaults", "-uroot", "--single-transaction", "--routines", "--all-databases", "-S"])
        .arg(host.socket())
        .output()
        .unwrap();
    assert!(dump.status.success(), "{}", told(&dump));
    server.stop();
    let client = program("mysql");
    let options = ["--mysql", text(&client), "--record", text(&recorded)];

    let plain = drills.path("dump.sql");
    fs::write(&plain, &dump.stdout).unwrap();
    let good = drills.drill(&plain, None, &options);
    good.passed();
    assert_eq!(
        (&good.document["kind"], &good.document["comparison"]["same"]),
        (&"dump".into(), &3.into()),
        "{}",
        good.all
    );
    let packed = drills.path("dump.sql.gz");
    pack(&dump.stdout, &packed);
    drills.drill(&packed, None, &options).passed();

    // After the rows of the first table.
    let text_of = String::from_utf8_lossy(&dump.stdout).into_owned();
    let at = text_of.find("CREATE TABLE `patient`").unwrap();
    fs::write(&plain, &text_of.as_bytes()[..at + 30]).unwrap();
    let cut = drills.drill(&plain, None, &options);
    let failed = cut.failed();
    let reason =
        |table: &str| failed.iter().find(|(name, _)| name == table).map(|(_, reason)| reason.as_str());
    assert!(reason("clinic.patient").is_some_and(|why| why.contains("was cut off")), "{}", cut.all);
    assert!(reason("'clinic.vis it'").is_some_and(|why| why.contains("in the record")), "{}", cut.all);
    assert!(cut.document["faults"][0].as_str().unwrap().contains("was cut off"), "{}", cut.all);
    let bytes = fs::read(&packed).unwrap();
    fs::write(&packed, &bytes[..bytes.len() - 50]).unwrap();
    let cut = drills.drill(&packed, None, &["--mysql", text(&client)]);
    assert!(!cut.failed().is_empty(), "{}", cut.all);
    assert!(cut.document["faults"][0].as_str().unwrap().contains("cannot be read to its end"), "{}", cut.all);
}

/// Starts a drill, and waits until its server runs.
fn begin(drills: &Drills, backup: &Path, keyring: &Keyring) -> (Child, Vec<i32>) {
    let mut command = drills.command(backup, Some(keyring), &drills.work(), &[]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut servers = Vec::new();
    assert!(wait_until(LIMIT, || {
        servers = servers_in(&drills.work());
        !servers.is_empty() || child.try_wait().unwrap().is_some()
    }));
    (child, servers)
}

/// A drill that is stopped ends its server and removes its files; one that is killed takes its server with it, and the next
/// one removes its files.
pub fn stopped_and_killed_in_the_middle() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host(&keyring);
    let drills = Drills::new();
    let backup = backed_up(&host, &drills, "backup");

    let (mut child, servers) = begin(&drills, &backup, &keyring);
    assert!(!servers.is_empty());
    run(Command::new("kill").args(["-TERM", &child.id().to_string()]));
    assert_eq!(child.wait().unwrap().code(), Some(2));
    drills.assert_nothing_is_left();
    assert!(fs::read_to_string(drills.history()).unwrap().is_empty(), "nothing was proved");

    let (mut child, servers) = begin(&drills, &backup, &keyring);
    child.kill().unwrap();
    child.wait().unwrap();
    let is_over = || servers.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    assert!(wait_until(LIMIT, is_over), "the server outlives the drill");
    assert!(
        fs::read_dir(drills.work()).unwrap().next().is_some(),
        "a killed program cannot remove its files"
    );
    drills.drill(&backup, Some(&keyring), &[]).passed();
}

/// A filesystem that is too small is found before anything is copied, and one that becomes full says nothing about the backup.
pub fn no_space_for_the_copy() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host(&keyring);
    let drills = Drills::new();
    let small = drills.path("small");
    fs::create_dir(&small).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=400m,mode=755", "tmpfs"]).arg(&small));
    struct Mounted(PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            run(Command::new("umount").arg("-l").arg(&self.0));
        }
    }
    let _mounted = Mounted(small.clone());
    let server = host.start();
    fill(&server);
    server.sql("CREATE TABLE clinic.large (id INT PRIMARY KEY AUTO_INCREMENT, text LONGTEXT); INSERT INTO clinic.large (text) VALUES (REPEAT('z', 60000000)), (REPEAT('y', 60000000)), (REPEAT('x', 60000000)), (REPEAT('w', 60000000))");
    let dump = Command::new(program("mysqldump"))
        .args(["--no-defaults", "-uroot", "--max-allowed-packet=1G", "clinic", "-S"])
        .arg(host.socket())
        .output()
        .unwrap();
    assert!(dump.status.success(), "{}", told(&dump));
    server.stop();
    let refused = Told::of(&drills.command(&host.datadir(), Some(&keyring), &small, &[]).output().unwrap());
    assert!(
        refused.code == 2 && refused.document["error"].as_str().unwrap().contains("MiB free"),
        "{}",
        refused.all
    );

    // A small file of a large dump.
    let packed = drills.path("dump.sql.gz");
    pack(&dump.stdout, &packed);
    let client = program("mysql");
    let options = ["--mysql", text(&client), "--mysqld-option", "max_allowed_packet=1G"];
    let full = Told::of(&drills.command(&packed, None, &small, &options).output().unwrap());
    assert!(full.code == 2 && full.document["error"].as_str().unwrap().contains("is full"), "{}", full.all);
    let left: Vec<OsString> =
        fs::read_dir(&small).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}
