// SPDX-License-Identifier: GPL-2.0-or-later
//! Encrypts a whole biobank while clients write to it.

use super::command::{command, did_all, encrypt, encrypt_json};
use super::host::{host, last_steps, tables_in_clear};
use super::load::Load;
use super::names::{files_with_names, names_in};
use mysql_plugin_tests::biobank::{Biobank, PLANTED};
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, signal, times, told};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

const SCHEMA: &str = "biobank";
/// Tables that are encrypted before a run is interrupted.
const TABLES: usize = 25;

/// Encrypts a biobank of 151 tables with 1,000 planted names, in files of every kind, under write load. The run is
/// interrupted twice and killed once, and continues each time until it is complete. No row is lost or changed, neither
/// existing ones nor those written meanwhile. `encrypt verify` finds no unencrypted data, and no file contains a planted
/// name.
///
/// It does not cover blocks that the filesystem has freed and not yet overwritten. The server runs without a change buffer,
/// whose entries would stay in ibdata1, which MySQL cannot encrypt: [`super::small`] shows that verify finds those.
pub fn under_load() {
    let long = times(0, 1) == 1;
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let mut host =
        host().keyring(&keyring).option("--innodb-doublewrite=ON").option("--innodb-change-buffering=none");
    if long {
        // As on a small server in use.
        host = host.option("--innodb-buffer-pool-size=256M").option("--loose-innodb-redo-log-capacity=128M");
    }
    let server = host.start();
    let biobank = Biobank { schema: SCHEMA.to_owned(), scale: if long { 1.0 } else { 0.003 }, seed: 1 };
    let began = Instant::now();
    biobank.make(server.connector(), 2).unwrap();
    eprintln!("made the biobank in {:?}", began.elapsed());

    let load = Load::start(SCHEMA, server.connector(), 4);
    let window = Duration::from_secs(30);
    let before = long.then(|| load.count_during(window));
    let sums = checksums(&server);
    assert!(sums.len() >= 149, "{} tables", sums.len());
    assert_eq!(names_in(&host.datadir()).len() as u64, PLANTED, "planted names found before");
    let all = tables_in_clear(&server);

    let began = Instant::now();
    for stop in [Signal::INT, Signal::INT, Signal::KILL] {
        let left = tables_in_clear(&server);
        let (status, text) = interrupted(&host, stop);
        let now_left = tables_in_clear(&server);
        assert!(
            now_left < left && now_left > 0,
            "{stop:?}: {left} unencrypted tables before, {now_left} after:\n{text}"
        );
        if stop == Signal::INT {
            assert_eq!(status.code(), Some(1), "{text}");
            assert!(
                text.contains("Stopped.") && text.contains("To continue, run: keyringctl encrypt apply"),
                "{text}"
            );
        }
    }
    let output = encrypt(&host, &["apply", "--purge-binary-logs", "--yes"]);
    assert!(did_all(&output), "{}", told(&output));
    eprintln!("encrypted {all} tablespaces of tables in {:?}", began.elapsed());
    let after = long.then(|| load.count_during(window));
    let acknowledged = load.stop();
    if let (Some(before), Some(after)) = (before, after) {
        eprintln!("statements in {window:?}: {before} unencrypted, {after} encrypted");
    }
    eprintln!("statements that the server took back meanwhile, by its error: {:?}", acknowledged.refused);
    assert_eq!(tables_in_clear(&server), 0);
    let new = checksums(&server);
    let differing: Vec<_> = sums.iter().filter(|(table, sum)| new.get(*table) != Some(sum)).collect();
    assert!(differing.is_empty() && new.len() == sums.len(), "other checksums than before: {differing:?}");
    acknowledged.compare(&mut server.connect(), SCHEMA);

    let (host, server) = last_steps(host, server);
    let unlock = format!("--unlock=file:{}", keyring.secret.display());
    let (code, report) = encrypt_json(&host, &["verify", &unlock]);
    assert_eq!((code, report["fine"].as_bool()), (0, Some(true)), "{:#}", report["findings"]);
    assert_eq!(report["canary"]["control_found"], true, "{:#}", report["canary"]);
    assert_eq!(files_with_names(host.dir()), Vec::<PathBuf>::new(), "planted names while the server runs");
    acknowledged.compare(&mut server.connect(), SCHEMA);
    server.stop();
    assert_eq!(files_with_names(host.dir()), Vec::<PathBuf>::new(), "planted names after it was stopped");
}

/// Runs apply until it has encrypted some tables, then sends it a signal and waits until it ends.
fn interrupted(host: &Host, stop: Signal) -> (ExitStatus, String) {
    let mut child = command(host, &["apply"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    let mut tables = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        tables += usize::from(line.starts_with("OK") && line.contains(" encrypted ["));
        if tables == TABLES {
            signal(child.id(), stop);
            // Send it only once.
            tables += 1000;
        }
        text.push_str(&line);
        text.push('\n');
    }
    assert!(tables > 1000, "it ended before it could be interrupted:\n{text}");
    (child.wait().unwrap(), text)
}

/// Returns the checksums of all tables that the load does not change.
fn checksums(server: &Server) -> BTreeMap<String, u64> {
    let tables: Vec<String> = server.rows(&format!(
        "SELECT CONCAT('`', table_schema, '`.`', table_name, '`') FROM information_schema.tables
         WHERE table_schema = '{SCHEMA}' AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'load\\_%'"
    ));
    let sum = |table: String| {
        // One by one, because a connection of these tests waits only a minute for an answer.
        let (name, sum): (String, Option<u64>) = server.rows(&format!("CHECKSUM TABLE {table}")).remove(0);
        (name, sum.expect("a checksum"))
    };
    tables.into_iter().map(sum).collect()
}
