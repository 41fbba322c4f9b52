// SPDX-License-Identifier: GPL-2.0-or-later
//! Many connections at once.

use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Four connections fetch keys while a fifth stores, generates and removes others: every fetch gets the
/// right bytes.
pub fn fetches_while_storing() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.install_udfs();
    let mut conn = server.connect();
    for i in 0..20 {
        let stored: Option<i32> =
            conn.query_first(format!("SELECT keyring_key_store('key{i}', 'SECRET', 'value {i}')")).unwrap();
        assert_eq!(stored, Some(1));
    }

    let done = Arc::new(AtomicBool::new(false));
    let fetchers: Vec<_> = (0..4)
        .map(|t| {
            let (connect, done) = (server.connector(), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut conn = connect().unwrap();
                let mut fetched = 0;
                while !done.load(Ordering::Relaxed) {
                    let i = (fetched * 7 + t) % 20;
                    let value: Option<Option<String>> =
                        conn.query_first(format!("SELECT keyring_key_fetch('key{i}')")).unwrap();
                    assert_eq!(value, Some(Some(format!("value {i}"))));
                    fetched += 1;
                }
                fetched
            })
        })
        .collect();
    for i in 0..300 {
        for call in [
            format!("store('other{i}', 'SECRET', 'other')"),
            format!("generate('made{i}', 'AES', 32)"),
            format!("remove('other{i}')"),
        ] {
            let answer: Option<Option<i32>> = conn.query_first(format!("SELECT keyring_key_{call}")).unwrap();
            assert_eq!(answer, Some(Some(1)), "{call}");
        }
    }
    done.store(true, Ordering::Relaxed);
    let fetched: Vec<usize> =
        fetchers.into_iter().map(|f| f.join().expect("every fetch was right")).collect();
    eprintln!("fetches of 4 connections during 900 changes: {fetched:?}");
    assert!(fetched.iter().all(|&n| n > 20), "{fetched:?}");
    let status = server.status();
    assert_eq!((status["keys"].as_str(), status["failures"].as_str()), ("320", "0"), "{status:?}");
    server.stop();
    assert_eq!(keyring.report("verify")["keys"], 320);
}

/// The plugin comes and goes twice in one process while two connections fetch without a pause.
pub fn installing_while_fetching() {
    const INSTALL: &str = "INSTALL PLUGIN keyring_external SONAME 'keyring_external.so'";
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring_later(&keyring);
    let mut server = host.start();
    server.install_udfs();

    let done = Arc::new(AtomicBool::new(false));
    let counts = Arc::new(Counts::default());
    let fetchers: Vec<_> = (0..2).map(|_| fetch_without_pause(&server, &done, &counts)).collect();
    for round in 1..=2 {
        let without = counts.without.load(Ordering::Relaxed);
        counts.wait_for(|| counts.without.load(Ordering::Relaxed) > without + 20);
        server.sql(INSTALL);
        if round == 1 {
            assert_eq!(server.value::<i32>("SELECT keyring_key_store('mine', 'SECRET', 'value')"), 1);
        }
        assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
        let right = counts.right.load(Ordering::Relaxed);
        counts.wait_for(|| counts.right.load(Ordering::Relaxed) > right + 200);
        server.sql("UNINSTALL PLUGIN keyring_external");
    }
    server.sql(INSTALL);
    done.store(true, Ordering::Relaxed);
    fetchers.into_iter().for_each(|f| f.join().expect("a fetch was wrong, or the server went"));
    assert!(server.is_running());
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
    eprintln!("fetches while the plugin came and went: {counts:?}");

    // With a key of the server itself in the keyring it can't be taken away any more.
    server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'");
    server.sql_error("UNINSTALL PLUGIN keyring_external");
    assert!(server.log().contains("the plugin cannot be uninstalled"), "{}", server.log());
    server.stop();
}

#[derive(Debug, Default)]
struct Counts {
    right: AtomicUsize,
    without: AtomicUsize,
}

impl Counts {
    fn wait_for(&self, done: impl FnMut() -> bool) {
        assert!(mysql_plugin_tests::rig::wait_until(std::time::Duration::from_secs(20), done), "{self:?}");
    }
}

/// Fetches the key until `done`: without a keyring there is an error or NULL, with one the right value,
/// except before it was stored.
fn fetch_without_pause(server: &Server, done: &Arc<AtomicBool>, counts: &Arc<Counts>) -> JoinHandle<()> {
    let (connect, done, counts) = (server.connector(), Arc::clone(done), Arc::clone(counts));
    std::thread::spawn(move || {
        let mut conn = connect().unwrap();
        while !done.load(Ordering::Relaxed) {
            match conn.query_first::<Option<String>, _>("SELECT keyring_key_fetch('mine')") {
                Ok(Some(Some(value))) => {
                    assert_eq!(value, "value");
                    counts.right.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Some(None)) | Err(mysql::Error::MySqlError(_)) => {
                    counts.without.fetch_add(1, Ordering::Relaxed);
                }
                other => panic!("{other:?}"),
            }
        }
    })
}
