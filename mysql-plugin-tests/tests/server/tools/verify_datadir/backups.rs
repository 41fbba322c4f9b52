// SPDX-License-Identifier: GPL-2.0-or-later
//! Backups in every form: whole ones are verified without a word, and whatever is not looked at, or missing, is named.

use super::kinds::{encrypting, make_kinds};
use super::verified::{Verified, verify};
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Volume, place, run, told};
use serde_json::json;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A copy of a directory, which replaces an earlier one.
fn copy(from: &Path, to: &Path) -> PathBuf {
    let _ = fs::remove_dir_all(to);
    run(Command::new("cp").arg("-a").arg(from).arg(to));
    to.to_owned()
}

fn assert_whole(verified: &Verified, what: &str) {
    verified.assert_opened();
    assert_eq!(verified.in_state("not_checked").len(), 0, "{what}: {:#}", verified.report);
    assert_eq!(verified.report["missing"], json!([]), "{what}");
    assert!(verified.in_state("opened").len() > 5, "{what}: {:#}", verified.report);
}

/// Asserts that exactly this file was not looked at.
fn assert_not_checked(verified: &Verified, path: &Path) {
    assert_eq!(verified.code, Some(1), "{:#}", verified.report);
    let not_checked: Vec<_> = verified.in_state("not_checked").into_iter().collect();
    assert_eq!(not_checked, [path], "{:#}", verified.report);
    assert!(verified.file(path)["notes"][0].is_string());
    assert_eq!(verified.report["missing"], json!([]));
}

/// A copy of a whole data directory, and what backup tools, administrators and accidents make of it.
pub fn forms_of_backups() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host =
        encrypting(Host::new()).keyring(&keyring).option("--general-log=ON").option("--slow-query-log=ON");
    let server = host.start();
    make_kinds(&server, &[]);
    exported(&host, &keyring, &mut server.connect());
    assert_whole(&verify(&keyring, &host.datadir(), &[]), "running");
    server.stop();
    let base = host.dir().join("backup");
    let fresh = || copy(&host.datadir(), &base);
    assert_whole(&verify(&keyring, &fresh(), &["--every-page"]), "stopped");

    // What backup tools make of a table.
    let table = base.join("clinic/own.ibd");
    for extension in ["zst", "qp", "lz4", "lz4.xbcrypt", "gz", "delta", "gpg"] {
        fresh();
        let other = table.with_extension(format!("ibd.{extension}"));
        fs::rename(&table, &other).unwrap();
        fs::write(table.with_extension("ibd.meta"), "page_size = 16384\nspace_id = 5\n").unwrap();
        assert_not_checked(&verify(&keyring, &base, &[]), &other);
    }
    for name in
        ["full.mbi", "all.tar", "all.xbstream", "dump.sql", "ibbackup_logfile", "xtrabackup_logfile", "core"]
    {
        let file = fresh().join(name);
        fs::write(&file, "something").unwrap();
        assert_not_checked(&verify(&keyring, &base, &[]), &file);
    }
    // The essential files, compressed: not checked, but not missing.
    fresh();
    fs::rename(base.join("mysql.ibd"), base.join("mysql.ibd.zst")).unwrap();
    assert_not_checked(&verify(&keyring, &base, &[]), &base.join("mysql.ibd.zst"));
    let args = [keyring.path.as_os_str(), OsStr::new("--datadir"), base.as_os_str()];
    let text = Command::new(&place().keyringctl)
        .arg("verify")
        .args(args)
        .args(["--unlock", &format!("file:{}", keyring.secret.display())])
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(stdout.contains("NOT CHECKED") && stdout.contains("mysql.ibd.zst"), "{}", told(&text));
    assert!(
        stdout.contains("other files              1 not checked") && !stdout.contains("\nOK       the"),
        "{stdout}"
    );

    xtrabackup(&keyring, &fresh());
    missing(&keyring, &|| fresh());
    links(&keyring, &fresh());
    // What the backup's settings name, and a pipe in the place of a table.
    let settings = "[mysqld]\ninnodb_data_file_path=ibdata1:12M;ibdata2:12M:autoextend\n";
    fs::write(fresh().join("backup-my.cnf"), settings).unwrap();
    let less = verify(&keyring, &base, &[]);
    assert_eq!((less.code, less.report["missing"].as_array().unwrap().len()), (Some(1), 1));
    assert!(less.report["missing"][0]["what"].as_str().unwrap().contains("ibdata2"), "{:#}", less.report);
    let pipe = fresh().join("clinic/pipe.ibd");
    run(Command::new("mkfifo").arg(&pipe));
    assert_not_checked(&verify(&keyring, &base, &[]), &pipe);

    // A file under another name is known by its contents.
    fresh();
    fs::rename(&table, base.join("clinic/OWN.IBD")).unwrap();
    let renamed = verify(&keyring, &base, &[]);
    assert_whole(&renamed, "renamed");
    assert_eq!(renamed.file(&base.join("clinic/OWN.IBD"))["kind"], "table");
    // A directory with one schema lacks nothing.
    let schema = verify(&keyring, &base.join("clinic"), &[]);
    schema.assert_opened();
    assert_eq!(schema.report["missing"], json!([]));
}

/// A table exported on its own, verified with a keyring that has none of its keys.
fn exported(host: &Host, keyring: &Keyring, conn: &mut mysql::Conn) {
    let volume = Volume::directory();
    let other = Keyring::init(&volume);
    let export = host.dir().join("export");
    fs::create_dir(&export).unwrap();
    conn.query_drop("FLUSH TABLES clinic.own, clinic.parts FOR EXPORT").unwrap();
    for name in ["own", "parts#p#p0", "parts#p#p1"] {
        for extension in ["ibd", "cfg", "cfp"] {
            let name = format!("{name}.{extension}");
            fs::copy(host.datadir().join("clinic").join(&name), export.join(&name)).unwrap();
        }
    }
    conn.query_drop("UNLOCK TABLES").unwrap();
    for options in [&[][..], &["--every-page"]] {
        let alone = verify(&other, &export, options);
        alone.assert_opened();
        assert_eq!(alone.in_state("opened").len(), 3, "{:#}", alone.report);
        assert_eq!(alone.file(&export.join("own.ibd"))["by_transfer_key"], true);
        let own = verify(keyring, &export, options);
        assert_eq!(own.file(&export.join("own.ibd"))["by_transfer_key"], json!(null));
    }
    // With the transfer key of another table it does not open.
    fs::copy(export.join("parts#p#p0.cfp"), export.join("own.cfp")).unwrap();
    let crossed = verify(&other, &export, &[]);
    assert_eq!(crossed.in_state("key_missing"), [export.join("own.ibd")].into());
}

/// The files that XtraBackup adds. Its log is like that of the server, until the backup is prepared.
fn xtrabackup(keyring: &Keyring, base: &Path) {
    for (name, text) in [
        ("backup-my.cnf", "[mysqld]\ninnodb_page_size=16384\n"),
        ("xtrabackup_info", "uuid = 1\n"),
        ("xtrabackup_binlog_info", "binlog.000001\t157\n"),
        ("xtrabackup_tablespaces", "{}"),
        ("ib_buffer_pool", "1,1\n"),
    ] {
        fs::write(base.join(name), text).unwrap();
    }
    let redo = base.join("#innodb_redo");
    let files = fs::read_dir(&redo).unwrap().map(|entry| entry.unwrap().path());
    let used = files.filter(|path| !path.to_str().unwrap().ends_with("_tmp")).max().unwrap();
    let log = base.join("xtrabackup_logfile");
    fs::copy(used, &log).unwrap();
    let state = |kind: &str| {
        fs::write(base.join("xtrabackup_checkpoints"), format!("backup_type = {kind}\nfrom_lsn = 0\n"))
            .unwrap()
    };
    state("full-prepared");
    assert_whole(&verify(keyring, base, &[]), "prepared");
    state("full-backuped");
    fs::remove_dir_all(&redo).unwrap();
    let unprepared = verify(keyring, base, &[]);
    assert_whole(&unprepared, "not prepared");
    assert_eq!(unprepared.file(&log)["kind"], "redo");
    let checkpoints = base.join("xtrabackup_checkpoints");
    state("incremental");
    assert_not_checked(&verify(keyring, base, &[]), &checkpoints);
    // An empty log is none.
    state("full-backuped");
    fs::write(&log, "").unwrap();
    let lost = verify(keyring, base, &[]);
    assert_eq!((lost.code, lost.in_state("not_checked")), (Some(1), [checkpoints].into()));
    assert!(lost.report["missing"][0]["what"].as_str().unwrap().contains("redo log"), "{:#}", lost.report);
    fs::write(&log, [7; 8192]).unwrap();
    assert_not_checked(&verify(keyring, base, &[]), &log);
}

/// Each part without which the directory is not whole.
fn missing(keyring: &Keyring, fresh: &dyn Fn() -> PathBuf) {
    for (name, word) in [
        ("ibdata1", "ibdata1"),
        ("mysql.ibd", "mysql.ibd"),
        ("undo_001", "undo_001"),
        ("undo_002", "undo_002"),
        ("#innodb_redo", "redo log"),
    ] {
        let base = fresh();
        let part = base.join(name);
        if part.is_dir() {
            fs::remove_dir_all(&part).unwrap()
        } else {
            fs::remove_file(&part).unwrap()
        }
        let verified = verify(keyring, &base, &[]);
        let parts = verified.report["missing"].as_array().unwrap();
        assert_eq!((verified.code, parts.len()), (Some(1), 1), "{name}: {:#}", verified.report);
        assert!(parts[0]["what"].as_str().unwrap().contains(word), "{name}: {parts:?}");
    }
}

/// Links, as for a schema on another disk.
fn links(keyring: &Keyring, base: &Path) {
    let outside = base.with_file_name("outside");
    fs::create_dir(&outside).unwrap();
    fs::rename(base.join("clinic"), outside.join("clinic")).unwrap();
    symlink(outside.join("clinic"), base.join("clinic")).unwrap();
    assert_not_checked(&verify(keyring, base, &[]), &base.join("clinic"));
    assert_whole(
        &verify(keyring, base, &["--also", outside.to_str().unwrap()]),
        "with the directory behind the link",
    );
    fs::remove_dir_all(&outside).unwrap();
    assert_not_checked(&verify(keyring, base, &[]), &base.join("clinic"));
}

/// A server whose system tablespace has two files with names of its own, and whose undo and redo logs are elsewhere.
pub fn other_places() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new();
    let at = |name: &str| host.dir().join(name);
    let host = host
        .clone()
        .option("--innodb-data-file-path=first:12M;second:12M:autoextend")
        .option(format!("--innodb-undo-directory={}", at("undo").display()))
        .option(format!("--innodb-log-group-home-dir={}", at("log").display()));
    for directory in ["undo", "log"] {
        fs::create_dir(at(directory)).unwrap();
    }
    host.initialize();
    let host = encrypting(host).keyring(&keyring);
    let server = host.start();
    make_kinds(&server, &[]);
    server.stop();
    let datadir = host.datadir();
    let alone = verify(&keyring, &datadir, &[]);
    let words: Vec<_> = alone.report["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["what"].as_str().unwrap())
        .collect();
    assert_eq!((alone.code, words.len()), (Some(1), 3), "{words:?}");
    assert_eq!(alone.in_state("not_checked").len(), 0, "{:#}", alone.report);
    let (undo, log) = (at("undo"), at("log"));
    let also = ["--also", undo.to_str().unwrap(), "--also", log.to_str().unwrap()];
    let whole = verify(&keyring, &datadir, &also);
    assert_whole(&whole, "with all directories");
    assert_eq!(whole.file(&datadir.join("first"))["kind"], "system");
    for name in ["second", "first"] {
        fs::rename(datadir.join(name), at("away")).unwrap();
        let verified = verify(&keyring, &datadir, &also);
        let parts = verified.report["missing"].as_array().unwrap();
        assert_eq!((verified.code, parts.len()), (Some(1), 1), "{name}: {:#}", verified.report);
        assert!(parts[0]["what"].as_str().unwrap().contains("system tablespace"), "{parts:?}");
        fs::rename(at("away"), datadir.join(name)).unwrap();
    }
}
