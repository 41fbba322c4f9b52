// SPDX-License-Identifier: GPL-2.0-or-later
//! What other keyrings left: settings that still load them, and files with keys in clear.

use super::finding::{Finding, Findings};
use crate::commands::site::Site;
use crate::host::files::Manifest;
use crate::host::{Host, manifest_of};
use keyring_external::config::file::COMPONENT;
use std::fs;
use std::path::{Path, PathBuf};

/// The check for a manifest that names another keyring.
pub(in crate::commands) const OTHER_MANIFEST: &str = "other-manifest";
const OTHER_PLUGIN: &str = "other-keyring-plugin";
const CLEAR_KEYS: &str = "keys-in-clear";
const OTHER_CONFIGURATION: &str = "other-keyring-configuration";

/// Where the packages of MySQL have keyring_file put its keys.
const STOCK_DIR: &str = "/var/lib/mysql-keyring";
/// Options that name the file of a keyring that keeps its keys in clear.
const FILE_OPTIONS: [&str; 2] = ["keyring-file-data", "keyring-encrypted-file-data"];

/// What was left.
pub(in crate::commands) fn findings(site: &Site, host: Option<&Host>) -> Vec<Finding> {
    let mut found = Findings::default();
    check(site, host, &mut found);
    found.into_all()
}

pub(super) fn check(site: &Site, host: Option<&Host>, found: &mut Findings) {
    found.checks(&[OTHER_MANIFEST, OTHER_PLUGIN, CLEAR_KEYS, OTHER_CONFIGURATION]);
    plugins(site, found);
    manifests(site, found);
    let configurations = configurations(site);
    for (file, _) in &configurations {
        let shown = site.at(file).display().to_string();
        found.risk(
            OTHER_CONFIGURATION,
            file,
            format!("{shown} configures another keyring component"),
            "Whoever puts it into the manifest has the server start with other keys.",
            &[format!("when its keys were imported: rm {shown}")],
        );
    }
    clear_keys(site, host, configurations.into_iter().filter_map(|(_, keys)| keys), found);
}

fn plugins(site: &Site, found: &mut Findings) {
    for option in ["early-plugin-load", "plugin-load", "plugin-load-add"] {
        for entry in site.all_options(option) {
            let value = entry.value.as_deref().unwrap_or_default();
            let others: Vec<_> = value
                .split([';', ','])
                .map(|p| p.rsplit('=').next().unwrap_or(p).trim())
                .filter(|p| is_other(p))
                .collect();
            for other in others {
                found.wrong(
                    OTHER_PLUGIN,
                    &entry.file,
                    format!("{} line {} loads {other}", entry.file.display(), entry.line),
                    "The server uses the first keyring plugin only: which one has the keys is then a matter of order. \
                     keyring_file is no longer there from 8.4 on, and the server does not start.",
                    &[
                        "bring its keys over: keyringctl import --help".to_owned(),
                        format!("then take the line out of {}", entry.file.display()),
                    ],
                );
            }
        }
    }
}

/// A keyring's library that is not ours. keyring_udf is none.
fn is_other(library: &str) -> bool {
    library.contains("keyring") && !library.contains("keyring_external") && !library.contains("keyring_udf")
}

fn manifests(site: &Site, found: &mut Findings) {
    let global = manifest_of(&site.mysqld);
    let mut all = vec![global.clone()];
    all.extend(global.file_name().map(|name| site.datadir.join(name)));
    for path in all {
        let Some(manifest) = site.text(&path).ok().flatten().and_then(|text| Manifest::parse(&text).ok())
        else {
            continue;
        };
        for other in manifest.other_keyrings() {
            found.wrong(
                OTHER_MANIFEST,
                &path,
                format!("the manifest {} loads {other}", site.at(&path).display()),
                "A server has one keyring: it asks one of them, and keys in the other are not found.",
                &[
                    "bring its keys over: keyringctl import --help".to_owned(),
                    "then: keyringctl setup --replace-keyring".to_owned(),
                ],
            );
        }
    }
}

/// Configuration files of other keyring components, and the files for keys that they name.
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
            // Debian ships some that only point to the data directory.
            if keys.is_some() || value.get("read_local_config").is_none() {
                all.push((dir.join(name), keys));
            }
        }
    }
    all
}

fn clear_keys(site: &Site, host: Option<&Host>, named: impl Iterator<Item = PathBuf>, found: &mut Findings) {
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
        let shown = site.at(&path).display().to_string();
        found.wrong(
            CLEAR_KEYS,
            &path,
            format!("{shown} holds keys of another keyring in clear"),
            "Whoever takes this disk, or a backup of it, reads what is encrypted with them.",
            &[
                "when they were imported (keyringctl import): ALTER INSTANCE ROTATE INNODB MASTER KEY"
                    .to_owned(),
                format!("then: shred -u {shown}, and mind its backups"),
            ],
        );
        seen.push(path);
    }
}

fn entries(site: &Site, dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(site.at(dir)).into_iter().flatten().flatten();
    entries.map(|e| dir.join(e.file_name())).collect()
}

/// Whether a file looks like one of keyring_file or component_keyring_file, with something in it.
fn holds_keys(place: &Path) -> bool {
    let Ok(bytes) = fs::read(place) else { return false };
    // A version, the end mark and a digest are no keys.
    let plugin = bytes.starts_with(b"Keyring file version:") && bytes.len() > 59;
    let component = bytes.first() == Some(&b'{')
        && serde_json::from_slice::<serde_json::Value>(&bytes)
            .is_ok_and(|v| v.get("elements").and_then(|e| e.as_array()).is_some_and(|e| !e.is_empty()));
    plugin || component
}
