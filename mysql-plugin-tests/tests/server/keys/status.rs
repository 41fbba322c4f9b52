// SPDX-License-Identifier: GPL-2.0-or-later
//! The status variables: plugin and component show the same ones, as clients and a monitoring agent read them.

use mysql_plugin_tests::rig::component::{
    OURS, configuration_of, host_with, host_with_components, load_component, row,
};
use mysql_plugin_tests::rig::exporter::Exporter;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume};
use std::collections::BTreeMap;

const TEXTS: [&str; 4] = ["copies", "id", "last_error", "state"];
const NUMBERS: [&str; 10] = [
    "attached",
    "audit_failures",
    "copies_configured",
    "copies_current",
    "failures",
    "fetches",
    "generation",
    "keys",
    "retired_fetches",
    "stores",
];

/// All rows, each of which is there once.
fn all(server: &Server) -> BTreeMap<String, String> {
    const LIKE: &str = "LIKE 'Keyring\\_external\\_%'";
    let rows: Vec<(String, String)> = server.rows(&format!("SHOW GLOBAL STATUS {LIKE}"));
    let status: BTreeMap<_, _> = rows
        .iter()
        .map(|(name, value)| (name.strip_prefix("Keyring_external_").unwrap().to_owned(), value.clone()))
        .collect();
    assert_eq!(status.len(), rows.len(), "{rows:?}");
    let names: Vec<String> = server.rows(&format!(
        "SELECT LOWER(SUBSTR(variable_name, 18)) FROM performance_schema.global_status
         WHERE variable_name {LIKE} ORDER BY variable_name"
    ));
    assert_eq!(names, status.keys().cloned().collect::<Vec<_>>());
    let session: Vec<(String, String)> = server.rows(&format!("SHOW SESSION STATUS {LIKE}"));
    assert_eq!(session.len(), rows.len());
    status
}

/// The names that there must be, and numbers where they are said to be.
fn has_all(server: &Server) {
    let status = all(server);
    let mut names: Vec<_> = TEXTS.iter().chain(&NUMBERS).copied().collect();
    names.sort_unstable();
    assert_eq!(status.keys().map(String::as_str).collect::<Vec<_>>(), names);
    assert!(NUMBERS.iter().all(|name| status[*name].parse::<u64>().is_ok()), "{status:?}");
}

/// A copy goes and comes back.
fn follows_the_copies(server: &Server, mirror: &Volume, keys: usize) {
    has_all(server);
    let keys = keys.to_string();
    let well = [
        ("state", "ATTACHED"),
        ("attached", "1"),
        ("copies", "2/2"),
        ("copies_current", "2"),
        ("copies_configured", "2"),
        ("keys", &keys),
    ];
    server.comes_to(&well);
    mirror.unmount();
    let degraded = [
        ("state", "DEGRADED"),
        ("attached", "0"),
        ("copies", "1/2"),
        ("copies_current", "1"),
        ("copies_configured", "2"),
        ("keys", &keys),
    ];
    server.comes_to(&degraded);
    has_all(server);
    mirror.mount();
    server.comes_to(&well);
}

pub fn of_the_plugin() {
    let (volume, mirror) = (Volume::directory(), Volume::directory());
    let keyring = Keyring::init_on(&[&volume, &mirror]);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.put_to_use();
    follows_the_copies(&server, &mirror, 2);
    assert_ne!(server.status()["fetches"], "0");
    server.stop();
}

pub fn of_the_component() {
    let (volume, mirror) = (Volume::directory(), Volume::directory());
    let keyring = Keyring::init_on(&[&volume, &mirror]);
    let host = host_with(&keyring);
    let server = host.start();
    server.put_to_use();
    follows_the_copies(&server, &mirror, 2);
    for _ in 0..3 {
        server.sql("ALTER INSTANCE RELOAD KEYRING");
        has_all(&server);
    }
    assert_eq!(server.status()["state"], row(&server, "State"));
    assert_eq!(server.status()["id"], row(&server, "Keyring_id"));
    // The counters are those of the keyring that was opened last.
    server.sql("DO keyring_key_generate('another', 'AES', 32), keyring_key_generate('another', 'AES', 32)");
    server.comes_to(&[("stores", "1"), ("failures", "1"), ("keys", "3")]);
    server.stop();

    // The server is a daemon, which is forked after the component was loaded.
    let server = host.daemonize();
    has_all(&server);
    server.comes_to(&[("state", "ATTACHED"), ("attached", "1")]);
    server.stop();
}

/// The component says that there is no keyring, and that there is one once it is reloaded.
pub fn without_a_volume_at_start() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host_with(&keyring);
    volume.unmount();
    let server = host.start();
    has_all(&server);
    let nothing = [
        ("state", "UNAVAILABLE"),
        ("attached", "0"),
        ("copies", "0/0"),
        ("copies_current", "0"),
        ("copies_configured", "0"),
    ];
    server.comes_to(&nothing);
    server.sql_error("ALTER INSTANCE RELOAD KEYRING");
    server.comes_to(&nothing);
    assert!(server.status()["last_error"].contains("there is no keyring at"), "{:?}", server.status());
    volume.mount();
    server.sql("ALTER INSTANCE RELOAD KEYRING");
    server.comes_to(&[("state", "ATTACHED"), ("attached", "1"), ("copies_current", "1")]);
    has_all(&server);
    server.stop();
}

/// The plugin comes and goes in a server that uses the component: what is shown is of the component. The server would
/// remove variables of the same names from its list regardless of whose they are.
pub fn plugin_beside_component() {
    const OF_COMPONENT: &str = "are those of component_keyring_external, which is loaded too";
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host_with(&keyring).keyring_later(&keyring);
    let server = host.start();
    for n in 1..=3 {
        server.sql("INSTALL PLUGIN keyring_external SONAME 'keyring_external.so'");
        has_all(&server);
        assert_eq!(server.log().matches(OF_COMPONENT).count(), n);
        server.sql("ALTER INSTANCE RELOAD KEYRING; UNINSTALL PLUGIN keyring_external");
        has_all(&server);
    }
    volume.unmount();
    server.sql_error("INSTALL PLUGIN keyring_external SONAME 'keyring_external.so'");
    server.comes_to(&[("state", "DETACHED"), ("attached", "0"), ("copies_current", "0")]);
    has_all(&server);
    volume.mount();
    server.comes_to(&[("state", "ATTACHED"), ("attached", "1"), ("copies_current", "1")]);
    server.stop();

    // Loaded early, by a server that is shut down with both.
    let server = host.option("--early-plugin-load=keyring_external.so").start();
    has_all(&server);
    assert!(server.log().contains(OF_COMPONENT));
    server.stop();
}

/// The component is installed in a server that uses the plugin, which does not make it the server's keyring.
pub fn component_installed_beside_plugin() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    // The manifest that would load the component is not there.
    let host = host_with_components(&[(OURS, configuration_of(&keyring))]).keyring(&keyring);
    let server = host.start();
    for _ in 0..3 {
        server.sql("INSTALL COMPONENT 'file://component_keyring_external'");
        has_all(&server);
        server.sql_error("ALTER INSTANCE RELOAD KEYRING");
        has_all(&server);
        server.comes_to(&[("state", "ATTACHED"), ("attached", "1")]);
        server.sql("UNINSTALL COMPONENT 'file://component_keyring_external'");
        has_all(&server);
    }
    server.sql("INSTALL COMPONENT 'file://component_keyring_external'");
    server.stop();
    let server = host.start();
    has_all(&server);
    server.comes_to(&[("state", "ATTACHED"), ("attached", "1")]);
    server.stop();
    // Now the component is in the manifest too.
    load_component(&host, OURS);
    let server = host.start();
    has_all(&server);
    server.comes_to(&[("state", "ATTACHED"), ("attached", "1")]);
    server.stop();
}

/// What the exporter shows of a server with two copies, one of which goes.
fn in_mysqld_exporter(host: &Host, mirror: &Volume) {
    let server = host.start();
    server.comes_to(&[("attached", "1")]);
    let exporter = Exporter::start(&server);
    let values = |names: [&str; 3]| {
        let page = exporter.metrics();
        assert_eq!(Exporter::value(&page, "threads_running").map(|v| v.is_empty()), Some(false), "{page}");
        for name in NUMBERS {
            let value = Exporter::value(&page, &format!("keyring_external_{name}"));
            assert!(value.is_some_and(|v| v.parse::<f64>().is_ok()), "{name}: {page}");
        }
        names.map(|name| Exporter::value(&page, &format!("keyring_external_{name}")).unwrap())
    };
    let names = ["attached", "copies_current", "copies_configured"];
    assert_eq!(values(names), ["1", "2", "2"]);
    mirror.unmount();
    server.comes_to(&[("state", "DEGRADED")]);
    assert_eq!(values(names), ["0", "1", "2"]);
    mirror.mount();
    server.comes_to(&[("state", "ATTACHED")]);
    assert_eq!(values(names), ["1", "2", "2"]);
    drop(exporter);
    server.stop();
}

pub fn plugin_in_mysqld_exporter() {
    let (volume, mirror) = (Volume::directory(), Volume::directory());
    let keyring = Keyring::init_on(&[&volume, &mirror]);
    in_mysqld_exporter(&Host::new().keyring(&keyring), &mirror);
}

pub fn component_in_mysqld_exporter() {
    let (volume, mirror) = (Volume::directory(), Volume::directory());
    let keyring = Keyring::init_on(&[&volume, &mirror]);
    in_mysqld_exporter(&host_with(&keyring), &mirror);
}
