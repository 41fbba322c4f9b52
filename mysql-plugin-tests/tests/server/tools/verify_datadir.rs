// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl verify --datadir` on the files of real servers: without the server, it reports each file as the server does,
//! and names exactly those that a keyring does not decrypt.

mod agreement;
mod backups;
mod checksums;
mod corpus;
mod kinds;
mod one_key;
mod redo_log;
mod verified;

pub use agreement::commands_agree;
pub use backups::{forms_of_backups, other_places};
pub use checksums::as_innochecksum;
pub use corpus::std_data;
pub use one_key::one_key_missing;
pub use redo_log::redo_log_needs_a_key;

use kinds::{ROWS, encrypting, make_kinds};
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Server, Volume, run};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use verified::{Verified, verify};

/// ROW_FORMAT=COMPRESSED in all sizes, and pages compressed for holes.
const COMPRESSED: &[(&str, &str)] = &[
    ("zip1", "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=1"),
    ("zip2", "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=2"),
    ("zip4", "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4"),
    ("zip8", "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8"),
    ("zip16", "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=16"),
    ("zlib", "COMPRESSION='zlib'"),
    ("lz4", "COMPRESSION='lz4'"),
];

/// Returns the files of the server's tablespaces and whether each is encrypted, as the server reports it.
fn said_by_server(server: &Server, datadir: &Path) -> BTreeMap<PathBuf, bool> {
    let rows = server.rows::<(String, String)>(
        "SELECT f.file_name, t.encryption FROM information_schema.innodb_tablespaces t
         JOIN information_schema.files f ON f.file_id = t.space",
    );
    let path = |name: &str| datadir.join(name.strip_prefix("./").unwrap_or(name));
    rows.iter().map(|(name, encryption)| (path(name), encryption == "Y")).collect()
}

/// Compares the report with what the server reported, and asserts that each encrypted tablespace was proved with a page.
fn assert_as_the_server_said(verified: &Verified, said: &BTreeMap<PathBuf, bool>) {
    for (path, encrypted) in said {
        let file = verified.file(path);
        let state = if *encrypted { "opened" } else { "not_encrypted" };
        assert_eq!(file["state"], state, "{file:#}");
        assert_eq!(*encrypted, file["checked_page"].is_u64(), "{file:#}");
    }
    // There is no tablespace that the server does not report, except the sessions' temporary ones and ibdata1.
    for (path, file) in verified.files() {
        if ["table", "general", "dictionary", "undo"].contains(&file["kind"].as_str().unwrap()) {
            assert!(said.contains_key(&path), "{file:#}");
        }
    }
}

/// Every kind of file of a server with all kinds of tables: running, stopped, and copied away.
pub fn every_kind() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let outside = volume.mount_point().parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    let directories = format!("--innodb-directories={}", outside.display());
    let host = encrypting(Host::new()).keyring(&keyring).option(directories);
    let server = host.start();
    make_kinds(&server, COMPRESSED);
    server.sql(&format!(
        "CREATE TABLE clinic.far (id INT PRIMARY KEY) ENCRYPTION='Y' DATA DIRECTORY='{}'; FLUSH BINARY LOGS",
        outside.display()
    ));
    let datadir = host.datadir();
    let mut said = said_by_server(&server, &datadir);
    let far = outside.join("clinic/far.ibd");
    assert_eq!(said.remove(&far), Some(true), "{said:?}");
    assert_eq!(said.values().filter(|encrypted| **encrypted).count(), 17, "{said:?}");
    let running = verify(&keyring, &datadir, &["--every-page"]);
    running.assert_opened();
    server.stop();

    for options in [&[][..], &["--every-page"]] {
        let verified = verify(&keyring, &datadir, options);
        verified.assert_opened();
        let there = said.clone().into_iter().filter(|(path, _)| path.exists()).collect();
        assert_as_the_server_said(&verified, &there);
        let kind = |name: &str| -> BTreeSet<String> {
            let files = verified.files();
            let of_kind = files.values().filter(|file| file["kind"] == name);
            of_kind.map(|file| file["state"].as_str().unwrap().to_owned()).collect()
        };
        assert!(kind("redo").contains("opened"), "{:#}", verified.report);
        assert!(kind("doublewrite").contains("opened"), "{:#}", verified.report);
        assert_eq!(kind("binary_log"), ["opened".to_owned()].into());
        assert_eq!(kind("system"), ["not_encrypted".to_owned()].into());
        assert!(!verified.files().contains_key(&far));
    }
    let also = verify(&keyring, &datadir, &["--also", outside.to_str().unwrap()]);
    assert_eq!(also.file(&far)["state"], "opened");

    // Unencrypted data is a failure only with --all-encrypted.
    let strict = verify(&keyring, &datadir, &["--all-encrypted"]);
    assert_eq!(strict.code, Some(1));
    let in_clear: BTreeSet<_> =
        strict.files().into_iter().filter(|(_, f)| f["in_clear"] == true).map(|(path, _)| path).collect();
    for clear in ["clinic/clear.ibd", "open.ibd", "sys/sys_config.ibd"] {
        assert!(in_clear.contains(&datadir.join(clear)), "{clear}");
    }
    for not in ["clinic/own.ibd", "shared.ibd", "mysql.ibd", "ibdata1"] {
        assert!(!in_clear.contains(&datadir.join(not)), "{not}");
    }
    damage(&keyring, &datadir);
}

/// Copies of files with one changed byte.
fn damage(keyring: &Keyring, datadir: &Path) {
    let copy = datadir.with_file_name("copy");
    let table = copy.join("clinic/own.ibd");
    let page = |number: u64| number * 16384;
    // The information is at 10390 of page 0: magic, number, UUID, key, checksum.
    for (file, at, expected) in [
        ("clinic/own.ibd", 10391, "damaged"),
        ("clinic/own.ibd", 10396, "damaged"),
        ("clinic/own.ibd", 10500, "damaged"),
        ("clinic/own.ibd", 56, "damaged"),
        ("clinic/own.ibd", page(4) + 5000, "damaged"),
        ("mysql.ibd", 10440, "damaged"),
        ("shared.ibd", 10440, "damaged"),
        ("spare.ibu", 10440, "damaged"),
        ("binlog.000001", 4, "damaged"),
        ("binlog.000001", 30, "key_missing"),
        ("binlog.000001", 100, "wrong_key"),
    ] {
        let path = copy_of(datadir, &copy, file);
        flip(&path, at);
        let verified = verify(keyring, &copy, &[]);
        assert_eq!(verified.code, Some(1), "{file} at {at}: {:#}", verified.report);
        assert_eq!(verified.file(&path)["state"], expected, "{file} at {at}: {:#}", verified.report);
    }
    // Truncated, as by a full disk.
    copy_of(datadir, &copy, "clinic/own.ibd");
    fs::File::options().write(true).open(&table).unwrap().set_len(page(5)).unwrap();
    assert_eq!(verify(keyring, &copy, &[]).file(&table)["state"], "damaged");
    // A page far behind in the file, which only --every-page reads.
    copy_of(datadir, &copy, "clinic/own.ibd");
    flip(&table, page(7) + 100);
    verify(keyring, &copy, &[]).assert_opened();
    assert_eq!(verify(keyring, &copy, &["--every-page"]).file(&table)["state"], "damaged");
    // Pages that something else overwrote, in every kind of tablespace; and pages that were lost.
    for file in ["clinic/own.ibd", "clinic/clear.ibd", "shared.ibd", "mysql.ibd", "undo_001", "ibdata1"] {
        let path = copy_of(datadir, &copy, file);
        let pages = fs::metadata(&path).unwrap().len() / page(1);
        overwrite(&path, page(4), &[0xa5; 16384]);
        let verified = verify(keyring, &copy, &["--every-page"]);
        assert_eq!(verified.file(&path)["state"], "damaged", "{file}: {:#}", verified.report);
        let note = verified.file(&path)["notes"].to_string();
        assert!(note.contains("damaged pages, for example 4:"), "{file}: {note}");
        if !["clinic/clear.ibd", "ibdata1"].contains(&file) {
            overwrite(&path, page(1), &vec![0; page(pages - 1) as usize]);
            for options in [&[][..], &["--every-page"]] {
                let verified = verify(keyring, &copy, options);
                assert_eq!(verified.file(&path)["state"], "damaged", "{file}: {:#}", verified.report);
            }
        }
    }
    fs::remove_dir_all(copy).unwrap();
}

/// Copies one file into its own directory. The copy looks old, so that it is read only once.
fn copy_of(from: &Path, to: &Path, file: &str) -> PathBuf {
    let _ = fs::remove_dir_all(to);
    let path = to.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(from.join(file), &path).unwrap();
    path
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
}

/// Other page sizes and checksums. Pages of 4 KiB cannot be compressed for holes on most filesystems.
pub fn page_sizes() {
    let zip: Vec<_> =
        COMPRESSED.iter().filter(|(name, _)| ["zip1", "zip2", "zip4"].contains(name)).copied().collect();
    for (size, checksum, more) in
        [("4k", "innodb", &zip[..]), ("8k", "none", &zip[..]), ("32k", "crc32", &[]), ("64k", "none", &[])]
    {
        let volume = Volume::directory();
        let keyring = Keyring::init(&volume);
        let host = encrypting(Host::new())
            .option(format!("--innodb-page-size={size}"))
            .option(format!("--innodb-checksum-algorithm={checksum}"));
        fs::remove_dir_all(host.datadir()).unwrap();
        let initialise =
            host.clone().option("--skip-innodb-redo-log-encrypt").option("--skip-innodb-undo-log-encrypt");
        run(initialise.option("--skip-binlog-encryption").command().arg("--initialize-insecure"));
        let host = host.keyring(&keyring);
        let server = host.start();
        make_kinds(&server, more);
        let said = said_by_server(&server, &host.datadir());
        server.stop();
        for options in [&[][..], &["--every-page"]] {
            let verified = verify(&keyring, &host.datadir(), options);
            verified.assert_opened();
            let there: BTreeMap<_, _> = said.iter().filter(|(path, _)| path.exists()).collect();
            for (path, encrypted) in there {
                let file = verified.file(path);
                assert_eq!(
                    file["state"],
                    if *encrypted { "opened" } else { "not_encrypted" },
                    "{size}: {file:#}"
                );
                // Pages of ROW_FORMAT=COMPRESSED without checksums prove nothing.
                let provable = checksum != "none" || !path.to_string_lossy().contains("zip");
                assert_eq!(file["checked_page"].is_u64(), *encrypted && provable, "{size}: {file:#}");
            }
        }
        eprintln!("pages of {size}, checksum {checksum}: {} tablespaces", said.len());
    }
}

/// Reports no failure while a server rotates its keys and creates and drops tables, nor after it was killed meanwhile.
pub fn while_running() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = encrypting(Host::new()).keyring(&keyring);
    let server = host.start();
    make_kinds(&server, COMPRESSED);
    let connect = server.connector();
    let done = AtomicBool::new(false);
    let mut looked = 0;
    std::thread::scope(|scope| {
        let (connect, done) = (connect.clone(), &done);
        let busy = scope.spawn(move || {
            let mut conn = connect().unwrap();
            for i in 0..40 {
                for statement in [
                    ROTATE.to_owned(),
                    format!("CREATE TABLE clinic.new{i} (id INT PRIMARY KEY, a LONGTEXT) ENCRYPTION='Y'"),
                    format!("INSERT {}", ROWS.replace("%s", &format!("new{i}"))),
                    "FLUSH BINARY LOGS".to_owned(),
                    format!("DROP TABLE IF EXISTS clinic.new{}", i + 100 - 5 - if i < 5 { 0 } else { 100 }),
                ] {
                    conn.query_drop(&statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) && !busy.is_finished() {
            verify(&keyring, &host.datadir(), &[]).assert_opened();
            looked += 1;
        }
    });
    eprintln!("looked {looked} times while a server rotated 40 times");
    // A rotation killed halfway: tablespaces need two master keys.
    let rotating = std::thread::spawn(move || connect().unwrap().query_drop(ROTATE));
    std::thread::sleep(Duration::from_millis(5));
    server.kill();
    let _ = rotating.join();
    verify(&keyring, &host.datadir(), &["--every-page"]).assert_opened();

    // Whether the next start replays the redo log is told rightly after each way to end.
    let is_replayed = || {
        let verified = verify(&keyring, &host.datadir(), &[]);
        verified.assert_opened();
        verified.report["not_shut_down"][0].is_string()
    };
    assert!(is_replayed(), "killed");
    for (fast, expected) in [(2, true), (1, false)] {
        let server = host.start();
        assert!(is_replayed(), "it runs");
        server.sql(&format!("SET GLOBAL innodb_fast_shutdown = {fast}"));
        server.stop();
        assert_eq!(is_replayed(), expected, "innodb_fast_shutdown = {fast}");
    }
    host.start().kill();
    assert!(is_replayed(), "killed before its first checkpoint");
}
