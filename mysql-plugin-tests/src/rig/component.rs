// SPDX-License-Identifier: GPL-2.0-or-later
//! Hosts whose servers load keyring components, and what keyrings of components hold.

use super::{Feature, Host, Keyring, Server, needs, place};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// (user, id) to (type, bytes).
pub type Keys = BTreeMap<(String, String), (String, Vec<u8>)>;
pub const OURS: &str = "component_keyring_external";
pub const ORACLES: &str = "component_keyring_file";

pub fn read_json(path: &Path) -> Keys {
    let file: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let elements = file["elements"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    elements
        .iter()
        .map(|e| {
            let hex = text(&e["data"]);
            let bytes =
                (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
            ((text(&e["user"]), text(&e["data_id"])), (text(&e["data_type"]), bytes))
        })
        .collect()
}

/// What a keyring of ours holds.
pub fn keys_of(keyring: &Keyring) -> Keys {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut keys = Keys::new();
    keyring.open().for_each(|key| {
        let name = (text(key.name.user()), text(key.name.id()));
        keys.insert(name, (text(key.key_type.bytes()), key.data.to_vec()));
    });
    keys
}

/// The rig's plugins in a directory of their own, with configurations.
pub fn plugins_in(dir: &Path, configurations: &[(&str, String)]) -> PathBuf {
    needs(Feature::Manifest);
    if configurations.iter().any(|(component, _)| *component == ORACLES) {
        needs(Feature::Library("component_keyring_file.so"));
    }
    let plugins = dir.join("plugins");
    fs::create_dir(&plugins).unwrap();
    for entry in fs::read_dir(&place().plugins).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().ends_with(".cnf") {
            symlink(entry.path(), plugins.join(entry.file_name())).unwrap();
        }
    }
    for (component, text) in configurations {
        configure(&plugins, component, text);
    }
    plugins
}

pub fn configure(dir: &Path, component: &str, text: &str) {
    let file = dir.join(format!("{component}.cnf"));
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A configuration of our component that allows the keyring beside the data.
pub fn our_configuration(keyring: &Keyring) -> String {
    let mirrors = serde_json::to_string(&keyring.mirrors).unwrap();
    let remotes = keyring.remotes.as_ref().map(|file| format!(r#", "remotes": "{}""#, file.display()));
    format!(
        r#"{{"path": "{}", "mirrors": {mirrors}{}, "unlock": "file:{}", "allow_same_device": true}}"#,
        keyring.path.display(),
        remotes.unwrap_or_default(),
        keyring.secret.display()
    )
}

/// A host whose server loads the component.
pub fn host_with(keyring: &Keyring) -> Host {
    let host = host_with_components(&[(OURS, configuration_of(keyring))]);
    load_component(&host, OURS);
    host
}

/// The component's configuration for a keyring on a volume of its own.
pub fn configuration_of(keyring: &Keyring) -> String {
    our_configuration(keyring).replace(r#", "allow_same_device": true"#, "")
}

/// A host with configured components, of which [`load_component`] says which its server loads.
pub fn host_with_components(configurations: &[(&str, String)]) -> Host {
    let host = Host::new();
    // A manifest is looked for beside the program: this server has one of its own.
    let bin = host.dir().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::copy(&place().mysqld, bin.join("mysqld")).unwrap();
    let plugins = plugins_in(host.dir(), configurations);
    host.mysqld(bin.join("mysqld")).option(format!("--plugin-dir={}", plugins.display()))
}

/// Has the host's servers load this component from now on.
pub fn load_component(host: &Host, component: &str) {
    let manifest = format!(r#"{{"components": "file://{component}"}}"#);
    fs::write(host.dir().join("bin/mysqld.my"), manifest).unwrap();
}

pub fn row(server: &Server, key: &str) -> String {
    let table = "performance_schema.keyring_component_status";
    server.value(&format!("SELECT status_value FROM {table} WHERE status_key = '{key}'"))
}
