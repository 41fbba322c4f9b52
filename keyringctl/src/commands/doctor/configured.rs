// SPDX-License-Identifier: GPL-2.0-or-later
//! How the server is configured to load a keyring: by manifest and component, or by an option and the plugin.

use super::finding::{Findings, Level};
use crate::commands::site::Site;
use crate::host::files::{Manifest, option_file};
use crate::host::{Host, Way, manifest_of};
use crate::server::Entry;
use keyring_external::config::file::{self, COMPONENT};
use keyring_external::unlock::UnlockSource;
use std::path::{Path, PathBuf};

const PREFIX: &str = "keyring-external-";

/// A keyring of ours, as the server is configured for it.
pub(in crate::commands) struct Configured {
    pub host: Host,
    pub read_only: bool,
    pub auto_create: bool,
}

/// Finds it.
pub(in crate::commands) fn find(site: &Site, found: &mut Findings) -> Option<Configured> {
    found.checks(&[
        "configured",
        "option-files",
        "manifest",
        "component-configuration",
        "plugin-options",
        "two-keyrings",
        "deprecated",
    ]);
    option_files(site, found);
    let manifest = manifest(site, found);
    let component = manifest.as_ref().filter(|m| m.named.is_ours());
    let plugin = loads_plugin(site, "early-plugin-load");
    if let (Some(_), Some(entry)) = (component, plugin) {
        found.wrong(
            "two-keyrings",
            &entry.file,
            format!(
                "the server loads the component, by its manifest, and the plugin, by {} line {}",
                entry.file.display(),
                entry.line
            ),
            "It has two keyrings then and asks the component only: keys in the other are not found.",
            &[format!("take early-plugin-load and keyring_external out of {}", entry.file.display())],
        );
    }
    match (component, plugin) {
        (Some(manifest), _) => from_component(site, manifest, found),
        (None, Some(entry)) => from_plugin(site, entry, found),
        (None, None) => {
            if let Some(late) =
                loads_plugin(site, "plugin-load").or_else(|| loads_plugin(site, "plugin-load-add"))
            {
                found.wrong(
                    "plugin-options",
                    &late.file,
                    format!("{} line {} loads the plugin with {}", late.file.display(), late.line, late.name),
                    "That is after InnoDB has started, which needs the keyring for what is encrypted.",
                    &["early-plugin-load = keyring_external.so".to_owned()],
                );
            } else {
                found.add(
                    Level::Wrong,
                    "configured",
                    format!(
                        "nothing has mysqld load keyring_external: neither a manifest ({}) nor early-plugin-load in an option file",
                        site.at(&manifest_of(&site.mysqld)).display()
                    ),
                    "The server has no keyring, and encrypts nothing.",
                    &["keyringctl setup".to_owned()],
                );
            }
            None
        }
    }
}

fn option_files(site: &Site, found: &mut Findings) {
    for file in &site.options.ignored {
        found.wrong(
            "option-files",
            file,
            format!("{} can be written by everybody, and MySQL ignores such a file", file.display()),
            "What it says about the keyring does not count.",
            &[format!("chmod o-w {}", file.display())],
        );
    }
    if let Some(why) = &site.option_error {
        found.note("option-files", format!("an option file was not read: {why}"), "");
    }
}

struct Named {
    named: Manifest,
    local: bool,
}

/// The manifest that counts.
fn manifest(site: &Site, found: &mut Findings) -> Option<Named> {
    let global = manifest_of(&site.mysqld);
    let first = read_manifest(site, &global, found)?;
    if !first.local {
        return Some(Named { named: first, local: false });
    }
    let local = site.datadir.join(global.file_name()?);
    Some(Named { named: read_manifest(site, &local, found)?, local: true })
}

fn read_manifest(site: &Site, path: &Path, found: &mut Findings) -> Option<Manifest> {
    let read = match site.text(path) {
        Ok(text) => Manifest::parse(&text?),
        Err(e) => Err(e.to_string()),
    };
    read.map_err(|why| {
        found.wrong(
            "manifest",
            path,
            format!("the manifest {} cannot be read: {why}", site.at(path).display()),
            "mysqld then starts without a keyring.",
            &[format!(r#"{{ "components": "file://{COMPONENT}" }}"#)],
        );
    })
    .ok()
}

/// The option that loads our plugin.
fn loads_plugin<'a>(site: &'a Site, option: &'a str) -> Option<&'a Entry> {
    site.all_options(option).find(|e| {
        let value = e.value.as_deref().unwrap_or_default();
        value.contains("keyring_external.so") && !value.contains(COMPONENT)
    })
}

fn host(site: &Site, way: Way, keyring: PathBuf, unlock: UnlockSource) -> Host {
    let credential = match &unlock {
        UnlockSource::Credential(name) => site.unit.as_ref().and_then(|unit| unit.credential(name)).flatten(),
        _ => None,
    };
    Host { credential, ..site.host(way, keyring, unlock) }
}

fn from_component(site: &Site, manifest: &Named, found: &mut Findings) -> Option<Configured> {
    let user = site.account.as_ref().map_or(0, |a| a.uid);
    let read = file::read(Some(&site.at(&site.plugin_dir)), Some(&site.at(&site.datadir)), user);
    let config = read
        .map_err(|e| {
            let told = e.to_string();
            found.wrong(
                "component-configuration",
                &file::file_in(&site.plugin_dir),
                told,
                "The component does not open the keyring: the server starts without its keys.",
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

fn from_plugin(site: &Site, loaded: &Entry, found: &mut Findings) -> Option<Configured> {
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
        found.risk(
            "deprecated",
            &loaded.file,
            format!("{} line {} loads the keyring as a plugin", loaded.file.display(), loaded.line),
            "MySQL calls keyring plugins deprecated, and a later version may not load them. The component reads the same keyring.",
            &[format!("take the plugin's lines out of {}, then: keyringctl setup --as component", loaded.file.display())],
        );
    }
    let force = site.option("keyring-external").and_then(|e| e.value.clone()).unwrap_or_default();
    if !matches!(force.to_ascii_uppercase().replace('-', "_").as_str(), "FORCE" | "FORCE_PLUS_PERMANENT") {
        found.wrong(
            "plugin-options",
            &loaded.file,
            "keyring_external = FORCE_PLUS_PERMANENT is not set",
            "A server whose keyring cannot be opened starts all the same, without its keys.",
            &["keyring_external = FORCE_PLUS_PERMANENT".to_owned()],
        );
    }
    let mut missing = |name: &str, example: &str| {
        found.wrong(
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
            found.wrong(
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
    // The file that it was really in.
    if site.seen(&loaded.file) != option_file(&host)
        && let Some(dir) = site.seen(&loaded.file).parent()
    {
        host.option_dir = dir.to_owned();
    }
    Some(Configured { host, read_only: is_on("read-only"), auto_create: is_on("auto-create") })
}
