// SPDX-License-Identifier: GPL-2.0-or-later
//! Files of other keyrings, written by real servers, brought into a keyring by `keyringctl import` and back by
//! `export`, with no server running: the server that comes next reads everything.

use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::component::{
    ORACLES, OURS, configuration_of, configure, host_with_components, keys_of, load_component, read_json, row,
};
use mysql_plugin_tests::rig::{Feature, Host, Keyring, ROTATE, Server, Volume, needs, place, run, told};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server encrypted with Oracle's component is killed in the middle of its work; its keyring is imported, our
/// component is put in the place of Oracle's, and the server recovers and reads all. Then the way back.
pub fn from_oracles_component_and_back() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host_with_components(&[(OURS, configuration_of(&keyring)), (ORACLES, String::new())])
        .option("--default-table-encryption=ON")
        .option("--innodb-redo-log-encrypt=ON")
        .option("--innodb-undo-log-encrypt=ON")
        .option("--binlog-encryption=ON");
    let old = host.dir().join("component_keyring_file");
    use_oracles(&host, &old);
    let server = host.start();
    server.install_udfs();
    server.sql(
        "CREATE DATABASE biobank;
         ALTER TABLESPACE mysql ENCRYPTION='Y';
         CREATE TABLESPACE shared ADD DATAFILE 'shared.ibd' ENCRYPTION='Y';
         CREATE TABLE biobank.own (id INT PRIMARY KEY, name VARCHAR(99));
         CREATE TABLE biobank.general (id INT PRIMARY KEY, name VARCHAR(99)) TABLESPACE shared",
    );
    rows(&server, 1..200);
    server.sql(ROTATE);
    server.sql("FLUSH LOGS; ALTER INSTANCE ROTATE BINLOG MASTER KEY");
    rows(&server, 200..300);
    assert_eq!(server.value::<i32>("SELECT keyring_key_store('mine', 'SECRET', 'value')"), 1);
    // Not committed when the server dies: it is undone from the encrypted undo and redo logs.
    let mut open = server.connect();
    open.query_drop("START TRANSACTION").unwrap();
    open.query_drop("UPDATE biobank.own SET name = 'never committed'").unwrap();
    open.query_drop("DELETE FROM biobank.general").unwrap();
    server.sql("CREATE TABLE biobank.last (id INT PRIMARY KEY); INSERT INTO biobank.last VALUES (1)");
    assert_eq!(row(&server, "Component_status"), "Active");
    server.kill();

    let import = |more: &[&str]| {
        let args = [&["import", "--from", "component_keyring_file"], more].concat();
        let output = keyring.ctl_with(&args, [old.as_os_str(), keyring.path.as_os_str()]);
        assert!(output.status.success(), "{}", told(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["count"].clone()
    };
    let (keys, empty) = (read_json(&old), fs::read(&keyring.path).unwrap());
    assert!(keys.len() >= 5, "{:?}", keys.keys());
    assert_eq!(import(&["--dry-run"])["new"], keys.len());
    assert!(fs::read(&keyring.path).unwrap() == empty, "a dry run wrote to the keyring");
    let count = import(&[]);
    assert_eq!([&count["source"], &count["after"], &count["verified"]], [keys.len(); 3]);
    assert!(keys_of(&keyring) == keys, "the keys differ");
    assert_eq!(import(&[])["present"], keys.len());
    // Before any server is started: no file needs a key that is not there.
    let found = states(&keyring, &host.datadir());
    let lacking = found.iter().find(|(_, state)| ["key_missing", "wrong_key"].contains(&&***state));
    assert_eq!(lacking, None, "{found:?}");

    load_component(&host, OURS);
    // Whoever reads what follows reads it with our keyring.
    fs::rename(&old, host.dir().join("away")).unwrap();
    let server = host.start();
    assert_eq!(row(&server, "State"), "ATTACHED");
    reads_all(&server, 300);
    server.sql(ROTATE);
    server.sql("ALTER INSTANCE ROTATE BINLOG MASTER KEY; CREATE TABLE biobank.ours (id INT PRIMARY KEY)");
    rows(&server, 300..310);
    server.stop();
    let server = host.start();
    reads_all(&server, 310);
    server.stop();
    let found = states(&keyring, &host.datadir());
    for file in
        ["mysql.ibd", "shared.ibd", "biobank/own.ibd", "biobank/ours.ibd", "undo_001", "binlog.000001"]
    {
        assert_eq!(found.get(file).map(String::as_str), Some("opened"), "{file} in {found:?}");
    }

    let back = host.dir().join("exported");
    let export = keyring.ctl_with(
        &["export", "--to", "component_keyring_file"],
        [keyring.path.as_os_str(), back.as_os_str()],
    );
    assert!(export.status.success(), "{}", told(&export));
    assert!(
        String::from_utf8_lossy(&export.stderr).contains("holds all keys unencrypted"),
        "{}",
        told(&export)
    );
    assert_eq!(fs::metadata(&back).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(read_json(&back) == keys_of(&keyring), "the keys differ");
    volume.unmount();
    use_oracles(&host, &back);
    let server = host.start();
    assert_eq!(row(&server, "Component_status"), "Active");
    reads_all(&server, 310);
    server.sql(ROTATE);
    server.sql("CREATE TABLE biobank.theirs (id INT PRIMARY KEY)");
    server.stop();
}

/// Has the host's servers use Oracle's component, with its keys in that file.
fn use_oracles(host: &Host, file: &Path) {
    let text = format!(r#"{{"path": "{}", "read_only": false}}"#, file.display());
    configure(&host.dir().join("plugins"), ORACLES, &text);
    load_component(host, ORACLES);
}

fn rows(server: &Server, ids: std::ops::Range<usize>) {
    let values: Vec<_> = ids.map(|id| format!("({id}, 'patient {id}')")).collect();
    for table in ["own", "general"] {
        server.sql(&format!("INSERT INTO biobank.{table} VALUES {}", values.join(",")));
    }
}

/// Everything that was committed is there, in every encrypted file.
fn reads_all(server: &Server, ids: usize) {
    for table in ["own", "general"] {
        let wrong = format!("SELECT COUNT(*) FROM biobank.{table} WHERE name <> CONCAT('patient ', id)");
        assert_eq!(server.value::<usize>(&wrong), 0);
        assert_eq!(server.value::<usize>(&format!("SELECT COUNT(*) FROM biobank.{table}")), ids - 1);
        let check: (String, String, String, String) =
            server.rows(&format!("CHECK TABLE biobank.{table}")).remove(0);
        assert_eq!(check.3, "OK");
    }
    assert_eq!(server.value::<usize>("SELECT COUNT(*) FROM biobank.last"), 1);
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
    let logs: Vec<(String, u64, String)> = server.rows("SHOW BINARY LOGS");
    let mut inserts = 0;
    for (log, _, encrypted) in &logs {
        assert_eq!(encrypted, "Yes", "{log}");
        let events = server.connect().query_map(
            format!("SHOW BINLOG EVENTS IN '{log}'"),
            |(_, _, event, _, _, _): (String, u64, String, u32, u64, String)| event,
        );
        inserts += events.unwrap().iter().filter(|event| *event == "Write_rows").count();
    }
    assert!(logs.len() > 2 && inserts >= 5, "{inserts} inserts in {logs:?}");
}

/// Files of MySQL's own test suite.
fn std_data() -> PathBuf {
    place().test_suite().join("std_data")
}

/// Why files that other servers wrote can't be had here.
pub fn why_no_std_data() -> Option<String> {
    let none = !std_data().join("plugin_keyring_file_data").exists();
    none.then(|| "needs MySQL's test suite beside the server (package mysql-testsuite)".to_owned())
}

/// The files of keyring_file that MySQL's test suite has, which servers of 5.7 and 8.0 wrote.
pub fn real_files_of_keyring_file() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let import = |file: &Path| {
        let output = keyring
            .ctl_with(&["import", "--from", "keyring_file"], [file.as_os_str(), keyring.path.as_os_str()]);
        assert!(output.status.success(), "{}: {}", file.display(), told(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    for (file, count) in [("plugin_keyring_file_data", 3), ("rpl_nogtid_encryption_keyring_master", 2)] {
        let told = import(&std_data().join(file));
        assert_eq!(
            (&told["source_version"], &told["checksum_fits"]),
            (&"2.0".into(), &true.into()),
            "{file}"
        );
        assert_eq!(told["count"]["verified"], count, "{file}");
    }
    let keys = keys_of(&keyring);
    let of_root = |id: &str| keys[&("root@localhost".to_owned(), id.to_owned())].clone();
    assert_eq!(of_root("key1"), ("AES".to_owned(), b"abcdefgh".to_vec()));
    assert_eq!(of_root("key2"), ("AES".to_owned(), b"12345678".to_vec()));
    assert_eq!(of_root("key3"), ("AES".to_owned(), b"abcdefgh12345678".to_vec()));
    let binlog = "MySQLReplicationKey_00508583-b5ce-11e8-a6a5-0010e0734796";
    let lengths: Vec<_> =
        keys.iter().filter(|(name, _)| name.1.starts_with(binlog)).map(|(_, k)| k.1.len()).collect();
    assert_eq!((keys.len(), lengths), (5, vec![16, 32]));
}

/// The data directory of a server of 8.0.21, with its keyring: its encrypted table opens with the imported key,
/// and with nothing before.
pub fn real_data_of_keyring_file() {
    needs(Feature::TestFile("std_data/data_8021.zip"));
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let dir = tempfile::tempdir_in(&place().run).unwrap();
    let unpack = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
    run(Command::new("python3").args(["-c", unpack]).arg(std_data().join("data_8021.zip")).arg(dir.path()));
    let datadir = dir.path().join("data");
    assert_eq!(states(&keyring, &datadir)["test/t1.ibd"], "key_missing");
    let file = datadir.join("keyring");
    let import =
        keyring.ctl_with(&["import", "--from", "keyring_file"], [file.as_os_str(), keyring.path.as_os_str()]);
    assert!(import.status.success(), "{}", told(&import));
    assert_eq!(states(&keyring, &datadir)["test/t1.ibd"], "opened");
}

/// What `keyringctl verify --datadir` says of each file.
fn states(keyring: &Keyring, datadir: &Path) -> BTreeMap<String, String> {
    let output = keyring.ctl_with(&["verify", "--datadir"], [datadir.as_os_str(), keyring.path.as_os_str()]);
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
    let files = report["files"].as_array().unwrap().iter();
    files
        .map(|file| {
            let path = Path::new(file["path"].as_str().unwrap());
            let path = path.strip_prefix(datadir).unwrap().display().to_string();
            (path, file["state"].as_str().unwrap().to_owned())
        })
        .collect()
}
