// SPDX-License-Identifier: GPL-2.0-or-later
//! What a server says and does while something is wrong with its engine: states, messages, status variables. Nothing is
//! lost, reads go on, and it recovers without a restart.

use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{
    Hang, Host, Keyring, Passing, ROTATE, Server, Site, Which, agree, times, wait_until,
};
use std::time::Duration;

fn reads(server: &Server, when: &str) {
    server.sql("FLUSH TABLES");
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7, "{when}");
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value", "{when}");
}

/// New keys are made meanwhile.
fn goes_on(server: &Server, keyring: &Keyring, when: &str) {
    server.sql(ROTATE);
    reads(server, when);
    agree(server, keyring, "ATTACHED", "1/1");
}

/// No new key is made meanwhile, and the message names the copy and what is wrong.
pub fn is_detached(server: &Server, keyring: &Keyring, when: &str, told: &[&str]) {
    let from = server.log().len();
    server.sql_error(ROTATE);
    reads(server, when);
    agree(server, keyring, "DETACHED", "0/1");
    let log = server.log().split_off(from);
    let path = keyring.path.display().to_string();
    for part in told.iter().copied().chain([path.as_str()]) {
        assert!(log.contains(part), "{when}: {part:?} is missing: {log}");
    }
    let error = &server.status()["last_error"];
    assert!(error.contains(&path), "{when}: {error}");
}

/// All is well again.
pub fn recovers(server: &Server, keyring: &Keyring, when: &str) {
    let made = wait_until(Duration::from_secs(60), || server.connect().query_drop(ROTATE).is_ok());
    assert!(made, "{when}: {}", server.log());
    reads(server, when);
    agree(server, keyring, "ATTACHED", "1/1");
}

/// Nodes are killed and stopped, and what goes through is swallowed.
pub fn of_an_engine(which: Which) {
    let mut site = Site::of(which);
    let keyring = site.keyring("db1", &[]);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.put_to_use();
    let nodes = site.engine.nodes();
    if nodes > 1 {
        for (follows, name) in [(1, "a follower is killed"), (0, "the leader is killed")] {
            let node = (site.engine.leader().expect("a leader") + follows) % nodes;
            site.engine.kill(node);
            goes_on(&server, &keyring, name);
            site.engine.start(node);
            site.engine.wait_until_whole();
        }
        let leader = site.engine.leader().expect("a leader");
        let hang = site.engine.pause(leader);
        goes_on(&server, &keyring, "the leader is stopped");
        drop(hang);
        site.engine.wait_until_whole();
    }

    // Without a majority.
    let most: Vec<usize> = (0..nodes).skip(usize::from(nodes > 1)).collect();
    most.iter().for_each(|node| site.engine.kill(*node));
    is_detached(&server, &keyring, "most nodes are killed", &[]);
    most.iter().for_each(|node| site.engine.start(*node));
    site.engine.wait_until_whole();
    recovers(&server, &keyring, "most nodes were killed");

    let hangs: Vec<Hang> = (0..nodes).map(|node| site.engine.pause(node)).collect();
    is_detached(&server, &keyring, "all nodes are stopped", &[]);
    drop(hangs);
    recovers(&server, &keyring, "all nodes were stopped");

    // The seldom ones only in the long run.
    for fault in Passing::FAULTS.into_iter().skip(times(1, 0)).take(times(1, 4)) {
        site.pass(fault);
        is_detached(&server, &keyring, &format!("{fault:?}"), &[]);
        site.pass(Passing::All);
        recovers(&server, &keyring, &format!("{fault:?} is over"));
    }
    server.stop();
    let server = host.start();
    reads(&server, "after a restart");
    server.stop();
    assert_eq!(keyring.report("verify")["fine"], true);
}

/// The engine is full, or sealed: it answers, and refuses.
pub fn full_or_sealed(site: &Site, prefix: &str, which: Which) {
    let keyring = site.keyring(prefix, &[]);
    let server = Host::new().keyring(&keyring).start();
    server.put_to_use();
    site.engine.refuse();
    let error = server.sql_error(ROTATE);
    reads(&server, "while it refuses");
    let log = server.log();
    let told = match which {
        Which::Etcd => "space",
        Which::OpenBao => "sealed",
        Which::SeaweedFs => "@engine/",
    };
    assert!(log.contains(told) && log.contains(&keyring.path.display().to_string()), "{error}: {log}");
    site.engine.accept();
    recovers(&server, &keyring, "it refuses nothing any more");
    server.stop();
    assert_eq!(keyring.report("verify")["fine"], true);
}

/// The plugin is unloaded while a change of it hangs at the engine.
pub fn unloaded_while_it_hangs(which: Which) {
    let site = Site::of(which);
    let keyring = site.keyring("db1", &[]);
    let server = Host::new().keyring_later(&keyring).start();
    server.sql("INSTALL PLUGIN keyring_external SONAME 'keyring_external.so'");
    server.install_udfs();
    assert_eq!(server.value::<i32>("SELECT keyring_key_store('mine', 'SECRET', 'value')"), 1);
    for round in 0..3 {
        site.pass(Passing::NoAnswers);
        let connect = server.connector();
        let hanging = std::thread::spawn(move || {
            connect().unwrap().query_first::<Option<i32>, _>("SELECT keyring_key_generate('hung', 'AES', 32)")
        });
        std::thread::sleep(Duration::from_secs(1));
        assert!(!hanging.is_finished(), "the change did not hang, and so proves nothing");
        server.sql("UNINSTALL PLUGIN keyring_external");
        let _ = hanging.join().unwrap();
        site.pass(Passing::All);
        server.sql("INSTALL PLUGIN keyring_external SONAME 'keyring_external.so'");
        server.comes_to(&[("state", "ATTACHED"), ("copies", "1/1")]);
        assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
        // It may have been generated: nobody was told.
        server.rows::<Option<i32>>("SELECT keyring_key_remove('hung')");
        assert_eq!(server.value::<i32>(&format!("SELECT keyring_key_generate('r{round}', 'AES', 32)")), 1);
    }
    server.stop();
    assert_eq!(keyring.ids("r").len(), 3);
}
