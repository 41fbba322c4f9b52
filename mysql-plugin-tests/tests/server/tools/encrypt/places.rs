// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt verify` on a server whose files are in many places.

use super::command::{encrypt_json, is_about};
use super::host::host;
use mysql_plugin_tests::rig::{Host, Keyring, Volume, told, wait_until};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The directories beside the data directory.
const PLACES: [&str; 9] = ["redo", "undo", "dblwr", "temp", "binlog", "relay", "logs", "tables", "archive"];

/// Returns a host whose server keeps nothing in the data directory that it can keep elsewhere.
fn scattered(keyring: &Keyring) -> Host {
    let host = host().keyring(keyring);
    let at = |name: &str| host.dir().join(name);
    for place in PLACES {
        fs::create_dir(at(place)).unwrap();
    }
    let data = host.datadir();
    fs::rename(data.join("#innodb_redo"), at("redo/#innodb_redo")).unwrap();
    for undo in ["undo_001", "undo_002"] {
        fs::rename(data.join(undo), at("undo").join(undo)).unwrap();
    }
    fs::rename(data.join("ibdata1"), data.join("shared")).unwrap();
    let options = [
        "--innodb-data-file-path=shared:12M:autoextend".to_owned(),
        "--innodb-temp-data-file-path=short-lived:12M:autoextend".to_owned(),
        format!("--innodb-log-group-home-dir={}", at("redo").display()),
        format!("--innodb-undo-directory={}", at("undo").display()),
        format!("--innodb-doublewrite-dir={}", at("dblwr").display()),
        "--innodb-doublewrite=ON".to_owned(),
        format!("--innodb-temp-tablespaces-dir={}", at("temp").display()),
        format!("--log-bin={}", at("binlog/bin").display()),
        format!("--relay-log={}", at("relay/relay").display()),
        format!("--general-log-file={}", at("logs/general.log").display()),
        format!("--slow-query-log-file={}", at("logs/slow.log").display()),
        format!("--innodb-directories={};{}", at("tables").display(), at("unmounted").display()),
        format!("--innodb-redo-log-archive-dirs=a:{}", at("archive").display()),
        "--innodb-change-buffering=none".to_owned(),
    ];
    options.into_iter().fold(host.clone(), Host::option)
}

/// What verify says about the canary: the findings about it as pairs of kind and path, sorted.
fn found(report: &Value) -> Vec<(String, PathBuf)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap();
    let of_file = |path: &Value| {
        let is_its = |f: &&Value| f["what"] == *path || f["files"].as_array().unwrap().contains(path);
        let finding = findings.iter().find(is_its).unwrap_or_else(|| panic!("{path}: {findings:#?}"));
        (text(&finding["kind"]), PathBuf::from(text(path)))
    };
    let mut found: Vec<_> = report["canary"]["found_in"].as_array().unwrap().iter().map(of_file).collect();
    found.sort();
    found
}

fn is_found(report: &Value, kind: &str, below: &Path) -> bool {
    found(report).iter().any(|(k, path)| k == kind && path.starts_with(below))
}

/// The canary is searched for wherever the server writes, and found there if it is unencrypted. What was not searched is
/// named. A directory that is missing and a file that cannot be searched are findings, and the rest is checked.
pub fn every_place_is_searched_or_named() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = scattered(&keyring);
    let at = |name: &str| host.dir().join(name);
    let server = host.start();
    let verify = |args: &[&str]| encrypt_json(&host, &[&["verify"], args].concat()).1;

    // Nothing is encrypted yet: the redo log in a directory of its own is searched.
    let report = verify(&[]);
    assert!(is_found(&report, "redo", &at("redo/#innodb_redo")), "{:#}", report["canary"]);
    for (kind, place) in [("undo", "undo"), ("doublewrite", "dblwr")] {
        // They hold the canary once the server has written all changed pages.
        let there = || is_found(&verify(&[]), kind, &at(place));
        assert!(wait_until(Duration::from_secs(120), there), "{kind}");
    }

    server.sql(
        "SET GLOBAL innodb_redo_log_encrypt = ON; SET GLOBAL innodb_undo_log_encrypt = ON;
         SET GLOBAL general_log = ON; SET GLOBAL log_output = 'FILE,TABLE'; SET GLOBAL slow_query_log = ON;
         SET GLOBAL long_query_time = 0",
    );
    let output =
        super::command::encrypt(&host, &["apply", "--without-second-copy", "--purge-binary-logs", "--yes"]);
    // The logs are on.
    let left = "INCOMPLETE. Still unencrypted: ";
    assert!(output.status.code() == Some(1) && told(&output).contains(left), "{}", told(&output));
    let report = verify(&[]);
    let wanted = [
        ("general-log", at("logs/general.log")),
        ("other-engine", host.datadir().join("mysql/general_log.CSV")),
        ("other-engine", host.datadir().join("mysql/slow_log.CSV")),
        ("slow-log", at("logs/slow.log")),
    ];
    assert_eq!(found(&report), wanted.map(|(kind, path)| (kind.to_owned(), path)), "{:#}", report["canary"]);
    server.sql("SET GLOBAL general_log = OFF; SET GLOBAL slow_query_log = OFF");

    let report = verify(&[]);
    let canary = &report["canary"];
    assert_eq!((found(&report), &canary["looked"]), (Vec::new(), &Value::Bool(true)), "{canary:#}");
    let list = |value: &Value| -> Vec<PathBuf> {
        value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().into()).collect()
    };
    let searched = list(&canary["directories"]);
    for place in ["redo/#innodb_redo", "undo", "dblwr", "temp", "data", "data/keyring_external_canary"] {
        assert!(searched.contains(&at(place)), "{place}: {canary:#}");
    }
    let named: Vec<_> =
        canary["not_searched"].as_array().unwrap().iter().map(|n| n["what"].clone()).collect();
    for place in ["binlog/bin.*", "relay/relay.*", "tmp"] {
        assert!(named.iter().any(|what| what.as_str() == at(place).to_str()), "{place}: {canary:#}");
    }

    // A directory that the server names does not exist; a pipe is where a data file could be.
    let pipe = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, at("undo/undo_pipe"), pipe, rustix::fs::Mode::RUSR, 0).unwrap();
    let (code, report) = encrypt_json(&host, &["verify", "--accept=table", "--accept=undo"]);
    let findings = report["findings"].as_array().unwrap();
    for path in [at("unmounted"), at("undo/undo_pipe")] {
        let finding = findings.iter().find(|f| f["what"].as_str() == path.to_str());
        let finding = finding.unwrap_or_else(|| panic!("{}: {findings:#?}", path.display()));
        assert!(finding["checked"] == false && finding["accepted"] == false, "{finding:#}");
    }
    assert!(code == 1 && report["files"]["encrypted"].as_u64() > Some(0), "{code}: {:#}", report["files"]);
    assert!(report["files"]["not_read"].as_u64() > Some(0), "{:#}", report["files"]);
    let misnamed = ["shared", "short-lived"].map(|name| host.datadir().join(name));
    let unknown = findings.iter().find(|f| misnamed.iter().any(|path| f["what"].as_str() == path.to_str()));
    assert!(unknown.is_none(), "the server names this file: {unknown:#?}");

    // The index of the binary logs names some in a directory that no setting names any more.
    server.sql("SET GLOBAL binlog_encryption = OFF; FLUSH BINARY LOGS");
    let current = server.rows::<(String, u64, String)>("SHOW BINARY LOGS").pop().unwrap().0;
    server.stop();
    fs::create_dir(at("before")).unwrap();
    let moved = at("before").join(&current);
    fs::rename(at("binlog").join(&current), &moved).unwrap();
    let index = at("binlog/bin.index");
    let lines = fs::read_to_string(&index).unwrap();
    let lines =
        lines.lines().map(|line| if line.ends_with(&current) { moved.to_str().unwrap() } else { line });
    fs::write(&index, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let server = host.start();
    let (_, report) = encrypt_json(&host, &["verify", "--no-canary"]);
    let findings = report["findings"].as_array().unwrap();
    let log = findings.iter().find(|f| f["kind"] == "binary-log");
    assert!(log.is_some_and(|f| is_about(f, moved.to_str().unwrap())), "{findings:#?}");
    server.stop();
}
