// SPDX-License-Identifier: GPL-2.0-or-later
//! Drills by an ordinary user, and of backups in several directories.

use super::shared::{Drills, Told, copy, fill, host, text};
use mysql_plugin_tests::rig::{Keyring, Volume, program, run, told};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a command as nobody if this is root, and otherwise as it is. Returns what it says.
fn as_user(command: &Command) -> Output {
    let mut run = if rustix::process::geteuid().is_root() {
        let mut run = Command::new("setpriv");
        run.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(command.get_program());
        run
    } else {
        Command::new(command.get_program())
    };
    run.args(command.get_args()).current_dir("/").stdin(Stdio::null()).output().unwrap()
}

/// Gives files to nobody if this is root.
fn give(paths: &[&Path]) {
    if rustix::process::geteuid().is_root() {
        run(Command::new("chown").args(["-R", "nobody:nogroup"]).args(paths));
    }
}

/// A copy of a data directory whose tables are partly in another directory, and a dump, drilled by root and by an ordinary
/// user. What is not in the backup is said, and what this user may not read.
pub fn by_an_ordinary_user_with_other_directories() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let drills = Drills::new();
    let live = drills.path("live");
    fs::create_dir(&live).unwrap();
    let host = host(&keyring).option(format!("--innodb-directories={}", live.display()));
    let server = host.start();
    fill(&server);
    server.sql(&format!(
        "CREATE TABLE clinic.far (id INT PRIMARY KEY) DATA DIRECTORY='{}' ENCRYPTION='Y'; INSERT INTO clinic.far VALUES (1)",
        live.display()
    ));
    let dump = Command::new(program("mysqldump"))
        .args(["--no-defaults", "-uroot", "--databases", "clinic", "--ignore-table=clinic.far", "-S"])
        .arg(host.socket())
        .output()
        .unwrap();
    assert!(dump.status.success(), "{}", told(&dump));
    server.stop();
    // The directory of the live server is not there when its backup is drilled.
    let (backup, far, dumped) = (drills.path("backup"), drills.path("far"), drills.path("dump.sql"));
    copy(&host.datadir(), &backup);
    fs::rename(&live, &far).unwrap();
    fs::write(&dumped, &dump.stdout).unwrap();

    let also = ["--also", text(&far)];
    drills.drill(&backup, Some(&keyring), &also).passed();
    let lacks = drills.drill(&backup, Some(&keyring), &[]);
    let [(table, why)] = &lacks.failed()[..] else { panic!("{}", lacks.all) };
    assert!(table == "clinic.far" && why.contains("the backup has no file of it"), "{}", lacks.all);
    assert!(why.contains("--also"), "{}", lacks.all);

    // All of it belongs to an ordinary user.
    let own = drills.path("own");
    fs::create_dir(&own).unwrap();
    let keys = own.join("keyring");
    fs::copy(&keyring.path, &keys).unwrap();
    fs::copy(&keyring.secret, own.join("secret")).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
    for file in ["keyring", "secret"] {
        fs::set_permissions(own.join(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
    give(&[&own, &backup, &far, &drills.work(), &drills.history()]);
    let theirs = Keyring { secret: own.join("secret"), ..keyring.copy(&keys) };
    let drill = |backup: &Path, keyring: Option<&Keyring>, options: &[&str]| {
        let told = Told::of(&as_user(&drills.command(backup, keyring, &drills.work(), options)));
        drills.assert_nothing_is_left();
        told
    };
    let good = drill(&backup, Some(&theirs), &also);
    good.passed();
    assert!(good.document["apart"].as_str().unwrap().contains("of this program"), "{}", good.all);
    let client = program("mysql");
    drill(&dumped, None, &["--mysql", text(&client)]).passed();
    if rustix::process::geteuid().is_root() {
        let refused = |told: Told, why: &[&str]| {
            let said = told.document["error"].as_str().unwrap_or_default();
            assert!(told.code == 2 && why.iter().all(|why| said.contains(why)), "{}", told.all);
        };
        refused(drill(&backup, Some(&keyring), &also), &["ermission"]);
        run(Command::new("chmod").arg("0").arg(backup.join("clinic")));
        run(Command::new("chown").arg("root").arg(backup.join("clinic")));
        refused(drill(&backup, Some(&theirs), &also), &["cannot read", "clinic", "sudo"]);
        run(Command::new("chown").arg("root").arg(drills.work()));
        refused(drill(&dumped, None, &["--mysql", text(&client)]), &["--work"]);
    }
}

/// A dump without a table, such as an empty file, is no backup, although the temporary server has tables of its own.
pub fn a_dump_without_a_table_fails() {
    let drills = Drills::new();
    let client = program("mysql");
    for (name, bytes) in [("empty.sql", &b""[..]), ("comments.sql", b"-- a comment\n\n")] {
        let dump = drills.path(name);
        fs::write(&dump, bytes).unwrap();
        let told = drills.drill(&dump, None, &["--mysql", text(&client)]);
        assert_eq!(told.names(), [""; 0], "{}", told.all);
        let faults = told.document["faults"].to_string();
        assert!(faults.contains("no table besides the server's own"), "{}", told.all);
    }
}
