// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds what other keyrings left behind: settings that still load them, and files with unencrypted keys.

use super::finding::{Finding, Findings};
use super::steps::setup;
use crate::commands::site::Site;
use crate::host::early_plugins::{self, is_other_keyring, library};
use crate::host::files::Manifest;
use crate::host::{Host, manifest_of};
use crate::show::Shown;
use keyring_external::config::file::COMPONENT;
use std::fs;
use std::path::{Path, PathBuf};

/// The check for a manifest that names another keyring.
pub(in crate::commands) const OTHER_MANIFEST: &str = "other-manifest";
const OTHER_PLUGIN: &str = "other-keyring-plugin";
const CLEAR_KEYS: &str = "keys-in-clear";
const OTHER_CONFIGURATION: &str = "other-keyring-configuration";

/// Where MySQL's packages make keyring_file store its keys.
const STOCK_DIR: &str = "/var/lib/mysql-keyring";
/// Options that name the file of a keyring with weakly protected or unencrypted keys.
const FILE_OPTIONS: [&str; 2] = ["keyring-file-data", "keyring-encrypted-file-data"];

/// Returns all findings about leftovers.
pub(in crate::commands) fn findings(site: &Site, host: Option<&Host>) -> Vec<Finding> {
    let mut found = Findings::default();
    check(site, host, &mut found);
    found.into_all()
}

pub(super) fn check(site: &Site, host: Option<&Host>, found: &mut Findings) {
    found.run_checks(&[OTHER_MANIFEST, OTHER_PLUGIN, CLEAR_KEYS, OTHER_CONFIGURATION]);
    plugins(site, found);
    manifests(site, host, found);
    let configurations = configurations(site);
    for (file, _) in &configurations {
        let shown = site.at(file).shown();
        found.warning(
            OTHER_CONFIGURATION,
            file,
            format!("{shown} configures another keyring component"),
            "If somebody adds it to the manifest, the server starts with other keys.",
            &["after its keys have been imported:".to_owned(), format!("rm {}", site.at(file).shown())],
        );
    }
    unencrypted_keys(site, host, configurations.into_iter().filter_map(|(_, keys)| keys), found);
}

fn plugins(site: &Site, found: &mut Findings) {
    for option in ["early-plugin-load", "plugin-load", "plugin-load-add"] {
        for entry in site.all_options(option) {
            let value = entry.value.as_deref().unwrap_or_default();
            let others =
                early_plugins::entries(value).map(library).filter(|library| is_other_keyring(library));
            for other in others {
                found.error(
                    OTHER_PLUGIN,
                    &entry.file,
                    format!("{} loads {other}", entry.place()),
                    "The server uses only the first keyring plugin, so the order decides which keys it has. \
                     MySQL 8.4 and later have no keyring_file, and do not start with this setting.",
                    &[
                        "import its keys: keyringctl import --help".to_owned(),
                        format!("then remove that option from {}", entry.source()),
                    ],
                );
            }
        }
    }
}

fn manifests(site: &Site, host: Option<&Host>, found: &mut Findings) {
    let read = |path: &Path| Manifest::parse(&site.text(path).ok()??).ok();
    let mut path = manifest_of(&site.mysqld);
    let Some(mut manifest) = read(&path) else { return };
    if let Some(name) = path.file_name().filter(|_| manifest.local) {
        path = site.datadir.join(name);
        manifest = read(&path).unwrap_or_default();
    }
    let again = match host {
        Some(host) => format!("{} --replace-keyring", setup(site, host, host.way)),
        None => "keyringctl setup --replace-keyring".to_owned(),
    };
    for other in manifest.other_keyrings() {
        found.error(
            OTHER_MANIFEST,
            &path,
            format!("the manifest {} loads {other}", site.at(&path).shown()),
            "A server asks only one keyring: keys in the other are not found.",
            &["import its keys: keyringctl import --help".to_owned(), again.clone()],
        );
    }
}

/// Returns the configuration files of other keyring components, each with the key file that it names.
fn configurations(site: &Site) -> Vec<(PathBuf, Option<PathBuf>)> {
    let mut all = Vec::new();
    for dir in [&site.plugin_dir, &site.datadir] {
        for entry in fs::read_dir(site.at(dir)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_ours = name.starts_with(COMPONENT);
            if !name.starts_with("component_keyring_") || !name.ends_with(".cnf") || is_ours {
                continue;
            }
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let keys =
                value.get("path").and_then(|p| p.as_str()).filter(|p| !p.is_empty()).map(PathBuf::from);
            // Debian ships some that only refer to the data directory.
            if keys.is_some() || value.get("read_local_config").is_none() {
                all.push((dir.join(name), keys));
            }
        }
    }
    all
}

fn unencrypted_keys(
    site: &Site,
    host: Option<&Host>,
    named: impl Iterator<Item = PathBuf>,
    found: &mut Findings,
) {
    let mut candidates: Vec<PathBuf> = named.collect();
    candidates
        .extend(FILE_OPTIONS.iter().filter_map(|o| site.option(o)?.value.as_deref().map(PathBuf::from)));
    candidates.extend(entries(site, Path::new(STOCK_DIR)));
    let with_backups: Vec<_> = candidates
        .iter()
        .flat_map(|path| {
            let mut backup = path.as_os_str().to_owned();
            backup.push(".backup");
            [path.clone(), backup.into()]
        })
        .collect();
    let mut seen = Vec::new();
    for path in with_backups {
        let ours = host.is_some_and(|h| h.copies().any(|copy| copy == path));
        if ours || seen.contains(&path) || !holds_keys(&site.at(&path)) {
            continue;
        }
        let shown = site.at(&path).shown();
        found.error(
            CLEAR_KEYS,
            &path,
            format!("{shown} holds unencrypted keys of another keyring"),
            "Anyone who has this disk, or a backup of it, can decrypt the data.",
            &[
                "after you have imported them (keyringctl import), rotate the master keys, which were in this file:".to_owned(),
                "keyringctl encrypt rotate".to_owned(),
                format!("shred -u {}", site.at(&path).shown()),
                "destroy its backups too".to_owned(),
            ],
        );
        seen.push(path);
    }
}

fn entries(site: &Site, dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(site.at(dir)).into_iter().flatten().flatten();
    entries.map(|e| dir.join(e.file_name())).collect()
}

/// Returns whether a file looks like a non-empty one of keyring_file or component_keyring_file.
fn holds_keys(place: &Path) -> bool {
    let Ok(bytes) = fs::read(place) else { return false };
    // An empty one has a version, an end mark and a digest.
    let plugin = bytes.starts_with(b"Keyring file version:") && bytes.len() > 59;
    let component = bytes.first() == Some(&b'{')
        && serde_json::from_slice::<serde_json::Value>(&bytes)
            .is_ok_and(|v| v.get("elements").and_then(|e| e.as_array()).is_some_and(|e| !e.is_empty()));
    plugin || component
}
