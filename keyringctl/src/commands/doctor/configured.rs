// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds out how the server is configured to load the keyring: the component by a manifest, or the plugin by an option.

use super::finding::Findings;
use super::option_files;
use crate::commands::site::Site;
use crate::host::files::Manifest;
use crate::host::{Host, Way, manifest_of};
use crate::server::OptionLine;
use keyring_external::config::file::{self, COMPONENT};
use keyring_external::unlock::UnlockSource;
use std::path::{Path, PathBuf};

const PREFIX: &str = "keyring-external-";

/// The keyring that the server is configured for.
pub(in crate::commands) struct Configured {
    pub host: Host,
    pub read_only: bool,
    pub auto_create: bool,
}

/// Reads the configuration. `None` if it does not load keyring_external, which is then among the findings.
pub(in crate::commands) fn find(site: &Site, found: &mut Findings) -> Option<Configured> {
    found.run_checks(&[
        "configured",
        "option-files",
        "manifest",
        "component-configuration",
        "plugin-options",
        "two-keyrings",
        "deprecated",
    ]);
    option_files::check(site, found);
    let manifest = manifest(site, found);
    let component = manifest.as_ref().filter(|m| m.manifest.is_ours());
    let plugin = option_files::loads_plugin(site);
    if let (Some(_), Some(entry)) = (component, plugin) {
        found.error(
            "two-keyrings",
            &entry.file,
            format!(
                "the server loads both the component, by its manifest, and the plugin, by {}",
                entry.place()
            ),
            "It then has two keyrings and asks only the component: keys in the other are not found.",
            &[format!("remove early-plugin-load and keyring_external from {}", entry.source())],
        );
    }
    match (component, plugin) {
        (Some(manifest), _) => from_component(site, manifest, found),
        (None, Some(entry)) => from_plugin(site, entry, found),
        (None, None) => {
            option_files::not_loaded(site, found);
            None
        }
    }
}

/// A manifest that the server reads.
struct FoundManifest {
    manifest: Manifest,
    /// Whether it is the one in the data directory.
    local: bool,
}

/// Returns the manifest that takes effect.
fn manifest(site: &Site, found: &mut Findings) -> Option<FoundManifest> {
    let global = manifest_of(&site.mysqld);
    let first = read_manifest(site, &global, found)?;
    if !first.local {
        return Some(FoundManifest { manifest: first, local: false });
    }
    let local = site.datadir.join(global.file_name()?);
    Some(FoundManifest { manifest: read_manifest(site, &local, found)?, local: true })
}

fn read_manifest(site: &Site, path: &Path, found: &mut Findings) -> Option<Manifest> {
    let read = match site.text(path) {
        Ok(text) => Manifest::parse(&text?),
        Err(e) => Err(e.to_string()),
    };
    read.map_err(|why| {
        found.error(
            "manifest",
            path,
            format!("cannot read the manifest {}: {why}", site.at(path).display()),
            "mysqld then starts without a keyring.",
            &[format!(r#"{{ "components": "file://{COMPONENT}" }}"#)],
        );
    })
    .ok()
}

fn host(site: &Site, way: Way, keyring: PathBuf, unlock: UnlockSource) -> Host {
    let credential = match &unlock {
        UnlockSource::Credential(name) => site.unit.as_ref().and_then(|unit| unit.credential(name)).flatten(),
        _ => None,
    };
    Host { credential, ..site.host(way, keyring, unlock) }
}

fn from_component(site: &Site, manifest: &FoundManifest, found: &mut Findings) -> Option<Configured> {
    let user = site.account.as_ref().map_or(0, |a| a.uid);
    let read = file::read(Some(&site.at(&site.plugin_dir)), Some(&site.at(&site.datadir)), user);
    let config = read
        .map_err(|e| {
            let what = e.to_string();
            found.error(
                "component-configuration",
                &file::file_in(&site.plugin_dir),
                what,
                "The component cannot open the keyring: the server starts without its keys.",
                &["keyringctl setup".to_owned()],
            );
        })
        .ok()?;
    let mut host = host(site, Way::Component, config.path, config.unlock);
    host.mirrors = config.mirrors;
    host.min_copies = config.min_copies;
    host.wait = config.wait;
    host.allow_same_device = config.allow_same_device;
    host.local_manifest = manifest.local;
    Some(Configured { host, read_only: config.read_only, auto_create: config.auto_create })
}

fn from_plugin(site: &Site, loaded: &OptionLine, found: &mut Findings) -> Option<Configured> {
    let value = |name: &str| site.option(&format!("{PREFIX}{name}")).and_then(|e| e.value.clone());
    let is_on = |name: &str| {
        let entry = site.option(&format!("{PREFIX}{name}"));
        entry.is_some_and(|e| {
            e.value
                .as_deref()
                .is_none_or(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "on" | "true" | "yes"))
        })
    };
    if site.version.is_some_and(|v| v >= (8, 4)) {
        found.warning(
            "deprecated",
            &loaded.file,
            format!("{} loads the keyring as a plugin", loaded.place()),
            "MySQL has deprecated keyring plugins, and a later version may not load them. The component opens the same keyring.",
            &[format!("remove the plugin's options from {}, then run: keyringctl setup --as component", loaded.source())],
        );
    }
    let force = site.option("keyring-external").and_then(|e| e.value.clone()).unwrap_or_default();
    if !matches!(force.to_ascii_uppercase().replace('-', "_").as_str(), "FORCE" | "FORCE_PLUS_PERMANENT") {
        found.error(
            "plugin-options",
            &loaded.file,
            "keyring_external = FORCE_PLUS_PERMANENT is not set",
            "If the server cannot open the keyring, it starts anyway, without its keys.",
            &["keyring_external = FORCE_PLUS_PERMANENT".to_owned()],
        );
    }
    let mut missing = |name: &str, example: &str| {
        found.error(
            "plugin-options",
            &loaded.file,
            format!("keyring_external_{name} is not set"),
            "The plugin refuses to load.",
            &[format!("keyring_external_{name} = {example}")],
        );
        None
    };
    let keyring = value("data")
        .filter(|v| !v.is_empty())
        .or_else(|| missing("data", "/mnt/keyring/keys/main.keyring"))?;
    let unlock = value("unlock")
        .filter(|v| !v.is_empty())
        .or_else(|| missing("unlock", "file:/etc/mysql/keyring_external.secret"))?;
    let unlock = unlock
        .parse::<UnlockSource>()
        .map_err(|e| {
            found.error(
                "plugin-options",
                &loaded.file,
                format!("keyring_external_unlock: {e}"),
                "The plugin refuses to load.",
                &[],
            );
        })
        .ok()?;
    let mut host = host(site, Way::Plugin, keyring.into(), unlock);
    let mirrors = value("mirrors").unwrap_or_default();
    host.mirrors = mirrors.split(':').filter(|m| !m.is_empty()).map(PathBuf::from).collect();
    let number = |name: &str| value(name).and_then(|v| v.parse().ok());
    host.min_copies = number("min-copies").unwrap_or(1);
    host.wait = number("wait").unwrap_or(0);
    host.allow_same_device = is_on("allow-same-device");
    if loaded.line > 0 {
        host.option_file = site.seen(&loaded.file);
    }
    Some(Configured { host, read_only: is_on("read-only"), auto_create: is_on("auto-create") })
}
