// SPDX-License-Identifier: GPL-2.0-or-later
//! Packets between a server and an engine, and between the engine's nodes, are dropped one way and both ways. And a
//! resolver that does not answer.

use super::endurance::Rotating;
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::engines::etcd::{Etcd, Settings};
use mysql_plugin_tests::rig::{
    Dropping, Host, Network, Running, Server, Site, Volume, agree, place, site_directory, times,
};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The host that the server runs on. The nodes of the engine are on the next ones.
const CLIENT: usize = 0;
const NODES: [usize; 3] = [1, 2, 3];

/// An etcd whose nodes are hosts of a network.
fn site_in(network: &Network) -> Site {
    let dir = site_directory();
    let settings = Settings {
        addresses: NODES.map(|host| network.address(host).parse().unwrap()),
        within: NODES.map(|host| network.within(host)),
        ..Settings::default()
    };
    let engine = Etcd::start(dir.path(), settings);
    Site::direct(Running::Etcd(Box::new(engine)), dir)
}

/// Of etcd. While a majority can be reached, new keys are made; reads always go on; no restart is needed.
pub fn packets_dropped() {
    let network = Network::new(4);
    network.on(CLIENT, || {
        let mut site = site_in(&network);
        let keyring = site.keyring("db1", &[]);
        let host = Host::new().keyring(&keyring);
        let server = host.start();
        server.put_to_use();
        let rotating = Rotating::start(&server, Duration::from_millis(20));
        rotating.goes_on(1, &server);
        type Cut<'a> = Box<dyn Fn(usize) -> Vec<Dropping<'a>> + 'a>;
        let between = |from: &[usize], to: &[usize]| -> Vec<Dropping<'_>> {
            let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
            pairs.filter(|(from, to)| from != to).map(|(from, to)| network.drop_one_way(Some(from), Some(to))).collect()
        };
        let cuts: [(&str, Cut<'_>); 7] = [
            ("from the server to the leader", Box::new(|leader| between(&[CLIENT], &[leader]))),
            ("from the leader to the server", Box::new(|leader| between(&[leader], &[CLIENT]))),
            ("between the leader and everybody", Box::new(|leader| vec![network.isolate(leader)])),
            ("from the leader to the other nodes", Box::new(|leader| between(&[leader], &NODES))),
            ("from the other nodes to the leader", Box::new(|leader| between(&NODES, &[leader]))),
            ("from the server to all nodes", Box::new(|_| between(&[CLIENT], &NODES))),
            ("from all nodes to the server", Box::new(|_| between(&NODES, &[CLIENT]))),
        ];
        for (name, cut) in &cuts {
            let leader = NODES[site.engine.leader().expect("a leader")];
            let dropping = cut(leader);
            let is_alone = name.contains("all nodes");
            if is_alone {
                server.comes_to(&[("state", "DETACHED"), ("copies", "0/1")]);
            } else {
                rotating.goes_on(2, &server);
            }
            reads(&server, name);
            drop(dropping);
            rotating.goes_on(1, &server);
            agree(&server, &keyring, "ATTACHED", "1/1");
            site.engine.wait_until_whole();
        }
        let counts = rotating.end();
        server.stop();
        let (made, failed) = (counts.made.load(Ordering::Relaxed), counts.failed.load(Ordering::Relaxed));
        let keys = keyring.ids("INNODBKey-").len();
        assert!((made + 1..=made + 1 + failed).contains(&keys), "{keys} master keys of {made} and {failed}");
        eprintln!(
            "packets dropped, etcd: {} faults, {made} rotations acknowledged and {failed} failed; 0 lost, 0 wrong \
             answers; longest wait {:.1} s",
            cuts.len(),
            counts.longest.load(Ordering::Relaxed) as f64 / 1e3
        );
        let server = host.start();
        reads(&server, "after a restart");
        server.stop();
    });
}

fn reads(server: &Server, when: &str) {
    server.sql("FLUSH TABLES");
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7, "{when}");
}

/// The names of the endpoints are asked of a resolver that does not answer: the start and every query of the status end,
/// and the copy is used as soon as its name is known.
pub fn resolver_hangs() {
    let network = Network::new(4);
    network.on(CLIENT, || {
        let site = site_in(&network);
        let stick = Volume::directory();
        let mut keyring = site.keyring("db1", &[stick.keys().join("keyring")]);
        // The copy that can be reached is named first: what is asked of it goes on.
        let remote = std::mem::replace(&mut keyring.path, keyring.mirrors[0].clone());
        keyring.mirrors = vec![remote];

        let mut of_another = site.keyring("db2", &[stick.keys().join("another")]);
        let remote = std::mem::replace(&mut of_another.path, of_another.mirrors[0].clone());
        of_another.mirrors = vec![remote];

        // A server with files of its own in place of two that the whole machine has.
        let of_its_own = |name: &str| site.dir.path().join(name);
        let (hosts, resolver, mysqld) =
            (of_its_own("hosts"), of_its_own("resolv.conf"), of_its_own("mysqld"));
        fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
        fs::write(&resolver, format!("nameserver {}\noptions timeout:30\n", network.address(NODES[0])))
            .unwrap();
        let bind = |file: &std::path::Path, over: &str| format!("mount --bind {} {over}", file.display());
        let script = format!(
            "#!/bin/sh\nexec unshare --mount --propagation slave sh -c '{} && {} && exec {} \"$@\"' sh \"$@\"\n",
            bind(&hosts, "/etc/hosts"),
            bind(&resolver, "/etc/resolv.conf"),
            place().mysqld.display()
        );
        fs::write(&mysqld, script).unwrap();
        fs::set_permissions(&mysqld, fs::Permissions::from_mode(0o755)).unwrap();
        let mut remote = site.described();
        remote["endpoints"] = json!(["https://node.engine.test:7000"]);
        remote["server_name"] = json!("localhost");
        site.describe(&remote);
        // Port 53 answers nothing: its packets are dropped.
        let dropping = network.isolate(NODES[0]);
        let later = Host::new().keyring_later(&of_another).mysqld(mysqld.clone()).start();
        let server = Host::new().keyring(&keyring).mysqld(mysqld).start();
        server.put_to_use();
        server.comes_to(&[("state", "DEGRADED"), ("copies", "1/2")]);
        reads(&server, "while the resolver hangs");
        unloaded_while_it_looks_up(&later);
        drop(dropping);
        std::thread::sleep(Duration::from_millis(100));
        // Written into the file that is mounted, which would stay if another one took its place.
        fs::write(&hosts, format!("127.0.0.1 localhost\n{} node.engine.test\n", network.address(NODES[1])))
            .unwrap();
        server.comes_to(&[("state", "ATTACHED"), ("copies", "2/2")]);
        server.stop();
    });
}

/// The plugin is unloaded while a change waits for a name.
fn unloaded_while_it_looks_up(server: &Server) {
    const INSTALL: &str = "INSTALL PLUGIN keyring_external SONAME 'keyring_external.so'";
    server.sql(INSTALL);
    server.install_udfs();
    for round in 0..times(1, 5) {
        let connect = server.connector();
        let (begun, begins) = std::sync::mpsc::channel();
        let looking = std::thread::spawn(move || {
            let mut conn = connect().unwrap();
            begun.send(()).unwrap();
            let query = format!("SELECT keyring_key_generate('k{round}', 'AES', 32)");
            conn.query_first::<Option<i32>, _>(query)
        });
        begins.recv().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        assert!(!looking.is_finished(), "the change did not wait for the name, and so proves nothing");
        server.sql("UNINSTALL PLUGIN keyring_external");
        let _ = looking.join().unwrap();
        server.sql(INSTALL);
        server.comes_to(&[("state", "DEGRADED"), ("copies", "1/2")]);
    }
}
