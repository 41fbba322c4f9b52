// SPDX-License-Identifier: GPL-2.0-or-later
//! The component: keys on their way between it, Oracle's and the plugin, and a volume that is not there when
//! the server starts.

use mysql_plugin_tests::rig::component::{
    Keys, ORACLES, OURS, configure, host_with, keys_of, our_configuration, plugins_in, read_json, row,
};
use mysql_plugin_tests::rig::{Feature, Keyring, Volume, needs, place, program, told};
use std::fs;
use std::path::Path;
use std::process::Command;

const KEYS: usize = 200;

/// As many keys of all lengths that there can be, some of users.
fn some_keys() -> Keys {
    let lengths = [1, 16, 24, 32, 100, 1024, 16384];
    let types = ["AES", "SECRET", "RSA"];
    (0..KEYS)
        .map(|i| {
            let user = if i % 3 == 0 { format!("user{i}@host") } else { String::new() };
            let bytes = (0..lengths[i % lengths.len()]).map(|n| (n * 7 + i) as u8).collect();
            ((user, format!("key{i}")), (types[i % types.len()].to_owned(), bytes))
        })
        .collect()
}

/// Writes the file of component_keyring_file.
fn write_json(path: &Path, keys: &Keys) {
    let elements: Vec<_> = keys
        .iter()
        .map(|((user, id), (kind, bytes))| {
            let data: String = bytes.iter().map(|b| format!("{b:02X}")).collect();
            serde_json::json!({"user": user, "data_id": id, "data_type": kind, "data": data, "extension": []})
        })
        .collect();
    let file = serde_json::json!({"version": "1.0", "elements": elements});
    fs::write(path, file.to_string()).unwrap();
}

/// `mysql_migrate_keyring` brings keys from Oracle's component into ours and back: all, and unchanged.
pub fn migrated_by_the_tool() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let dir = tempfile::tempdir_in(&place().run).unwrap();
    let local = r#"{"read_local_config": true}"#.to_owned();
    let plugins = plugins_in(dir.path(), &[(OURS, local.clone()), (ORACLES, local)]);
    let (from, to, ours) = (dir.path().join("from"), dir.path().join("to"), dir.path().join("ours"));
    for dir in [&from, &to, &ours] {
        fs::create_dir(dir).unwrap();
    }
    for dir in [&from, &to] {
        let file = dir.join("keys");
        configure(dir, ORACLES, &format!(r#"{{"path": "{}", "read_only": false}}"#, file.display()));
    }
    configure(&ours, OURS, &our_configuration(&keyring));
    let keys = some_keys();
    write_json(&from.join("keys"), &keys);

    let migrate = |source: &str, source_dir: &Path, destination: &str, destination_dir: &Path| {
        let output = Command::new(program("mysql_migrate_keyring"))
            .arg("--no-defaults")
            .arg(format!("--component-dir={}", plugins.display()))
            .arg(format!("--source-keyring={source}"))
            .arg(format!("--source-keyring-configuration-dir={}", source_dir.display()))
            .arg(format!("--destination-keyring={destination}"))
            .arg(format!("--destination-keyring-configuration-dir={}", destination_dir.display()))
            .output()
            .unwrap();
        let text = told(&output);
        assert!(output.status.success(), "{source} to {destination}: {text}");
        assert!(text.contains(&format!("migrated {KEYS} keys. Skipped 0 keys")), "{text}");
    };
    migrate(ORACLES, &from, OURS, &ours);
    assert!(keys_of(&keyring) == keys, "keys have changed on the way to ours");
    migrate(OURS, &ours, ORACLES, &to);
    assert!(read_json(&to.join("keys")) == keys, "keys have changed on the way back");
    // A directory with a configuration is no data directory.
    assert_eq!(fs::read_dir(&ours).unwrap().count(), 1, "something was left beside the configuration");
}

/// mysqld itself brings keys from our plugin to our component, both in one process.
pub fn migrated_from_the_plugin() {
    needs(Feature::Option("keyring-migration-to-component"));
    migrated_by_the_server(
        |_, plugin| plugin,
        [
            "--keyring-migration-source=keyring_external.so",
            "--keyring-migration-destination=component_keyring_external.so",
            "--keyring-migration-to-component",
        ],
    );
}

/// The way back, which 8.4 brought.
pub fn migrated_to_the_plugin() {
    needs(Feature::Option("keyring-migration-from-component"));
    migrated_by_the_server(
        |component, _| component,
        [
            "--keyring-migration-source=component_keyring_external.so",
            "--keyring-migration-destination=keyring_external.so",
            "--keyring-migration-from-component",
        ],
    );
}

/// Of the component's keyring and the plugin's, the one that `source` chooses has keys, and the other gets them.
fn migrated_by_the_server(
    source: impl for<'a> Fn(&'a Keyring, &'a Keyring) -> &'a Keyring,
    options: [&str; 3],
) {
    let volumes = [Volume::directory(), Volume::directory()];
    let [component, plugin] = volumes.each_ref().map(Keyring::init);
    let keys = some_keys();
    {
        let open = source(&component, &plugin).open();
        for ((user, id), (kind, bytes)) in &keys {
            use keyring_external::key::{KeyType, NameRef};
            let name = NameRef::new(id.as_bytes(), user.as_bytes()).unwrap();
            open.store(name, &KeyType::new(kind.as_bytes()).unwrap(), bytes).unwrap();
        }
    }
    let dir = tempfile::tempdir_in(&place().run).unwrap();
    let plugins = plugins_in(dir.path(), &[(OURS, our_configuration(&component))]);
    let mut mysqld = Command::new(&place().mysqld);
    mysqld.arg("--no-defaults").current_dir(dir.path());
    if rustix::process::geteuid().is_root() {
        mysqld.arg("--user=root");
    }
    let output = mysqld
        .arg(format!("--basedir={}", place().basedir.display()))
        .arg(format!("--lc-messages-dir={}", place().sharedir.display()))
        .arg(format!("--plugin-dir={}", plugins.display()))
        .arg(format!("--datadir={}", dir.path().join("none").display()))
        .args(["--log-error-verbosity=3", "--secure-file-priv=NULL"])
        .arg(format!("--keyring-external-data={}", plugin.path.display()))
        .arg(format!("--keyring-external-unlock=file:{}", plugin.secret.display()))
        .arg("--keyring-external-allow-same-device")
        .args(options)
        .output()
        .unwrap();
    let text = told(&output);
    assert!(output.status.success() && text.contains("Keyring migration successful"), "{text}");
    for keyring in [&component, &plugin] {
        assert!(keys_of(keyring) == keys, "keys have changed at {}", keyring.path.display());
    }
    assert!(!dir.path().join("keyring_external.witness").exists(), "a witness where the server was started");
}

/// The server starts without its volume and says so; nothing is created, and a reload puts all right when the
/// volume is there.
pub fn volume_gone_at_start() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host_with(&keyring);

    let server = host.start();
    assert_eq!(
        (row(&server, "Component_status"), row(&server, "State")),
        ("Active".into(), "ATTACHED".into())
    );
    server.sql(
        "CREATE DATABASE biobank;
         CREATE TABLE biobank.patient (name VARCHAR(99)) ENCRYPTION='Y';
         INSERT INTO biobank.patient VALUES ('Astrid')",
    );
    assert_eq!(row(&server, "Keys"), keyring.ids("INNODBKey-").len().to_string());
    server.stop();

    volume.unmount();
    let server = host.start();
    assert_eq!(row(&server, "Component_status"), "Disabled");
    assert!(row(&server, "Last_error").contains("there is no keyring at"), "{}", row(&server, "Last_error"));
    server.sql_error("SELECT * FROM biobank.patient");
    server.sql_error("CREATE TABLE biobank.other (a INT) ENCRYPTION='Y'");
    server.sql_error("ALTER INSTANCE RELOAD KEYRING");
    assert_eq!(fs::read_dir(volume.mount_point()).unwrap().count(), 0, "something was created");

    volume.mount();
    server.sql("ALTER INSTANCE RELOAD KEYRING");
    assert_eq!(
        (row(&server, "Component_status"), row(&server, "Last_error")),
        ("Active".into(), String::new())
    );
    server.sql("CREATE TABLE biobank.other (a INT) ENCRYPTION='Y'");
    server.stop();

    let server = host.start();
    assert_eq!(server.value::<String>("SELECT name FROM biobank.patient"), "Astrid");
    server.stop();
}
