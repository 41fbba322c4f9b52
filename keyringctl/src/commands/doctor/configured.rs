// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds out how the server is configured to load the keyring: the component by a manifest, or the plugin by an option.

use super::early_plugins;
use super::finding::Findings;
use super::option_access::{self, Effect};
use super::option_files;
use super::steps::{lines_in, setup};
use super::values::{self, LoadOption};
use crate::commands::remote_files::remote_files;
use crate::commands::site::Site;
use crate::commands::store_places::use_remotes_of_server;
use crate::host::files::Manifest;
use crate::host::{Host, Way, manifest_of};
use crate::server::{OptionLine, PLUGIN_OPTIONS, is_unknown_to_plugin};
use crate::show::Shown;
use keyring_external::config::file::{self, COMPONENT};
use keyring_external::config::{AuditConfig, DEFAULT_REMOTES, MAX_COPIES, MAX_WAIT, check_path};
use keyring_external::keyring::check_copies;
use keyring_external::unlock::UnlockSource;
use std::path::{Path, PathBuf};

const PREFIX: &str = "keyring-external-";

/// The keyring that the server is configured for.
pub(in crate::commands) struct Configured {
    pub host: Host,
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
    option_access::report(site, &[Effect::Start, Effect::Keyring, Effect::Others], found);
    unknown_options(site, found);
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
            &[early_plugins::how_to_remove(site, entry)],
        );
    }
    option_files::left(site, found);
    let configured = match (component, plugin) {
        (Some(manifest), _) => from_component(site, manifest, found),
        (None, Some(entry)) => from_plugin(site, entry, found),
        (None, None) => {
            option_files::not_loaded(site, found);
            None
        }
    };
    if let Some(Configured { host, .. }) = &configured {
        refused_copies(site, host, found);
    }
    configured
}

/// Finds copies that the keyring does not open, whatever is at their paths.
fn refused_copies(site: &Site, host: &Host, found: &mut Findings) {
    let (check, file) = match host.way {
        Way::Plugin => ("plugin-options", host.option_file.clone()),
        Way::Component => ("component-configuration", file::file_in(&host.plugin_dir)),
    };
    let place = match host.way {
        Way::Plugin => check_path(&host.keyring, "keyring_external_data"),
        Way::Component => Ok(()),
    };
    let refused = place.and_then(|()| check_copies(&host.keyring, &host.mirrors, host.min_copies));
    let refused = refused.err().map(|e| e.to_string());
    if let Some(why) = refused {
        let what = format!("mysqld refuses the copies that are configured: {why}");
        let names = match host.way {
            Way::Plugin => "keyring_external_data, keyring_external_mirrors and keyring_external_min_copies",
            Way::Component => "\"path\", \"mirrors\" and \"min_copies\"",
        };
        let fixes = [
            format!("correct {names} in {}", site.at(&file).shown()),
            "or run keyringctl setup with the path of the keyring and a --mirror for each other copy"
                .to_owned(),
        ];
        found.error(check, &file, what, "mysqld starts without its keys, or not at all.", &fixes);
    }
}

/// Finds options that mysqld takes for nobody's, such as a misspelt one of the plugin.
fn unknown_options(site: &Site, found: &mut Findings) {
    for line in site.options.entries.iter().filter(|line| is_unknown_to_plugin(&line.name)) {
        let written = line.name.to_ascii_lowercase();
        let nearest = similar::get_close_matches(written.as_str(), &PLUGIN_OPTIONS, 1, 0.6);
        let mut fixes: Vec<_> =
            nearest.iter().map(|name| format!("write {}", name.replace('-', "_"))).collect();
        fixes.push(format!("remove the option from {}", line.source()));
        found.error(
            "plugin-options",
            &line.file,
            format!("{}: keyring_external has no option {}", line.place(), line.name.replace('-', "_")),
            "mysqld ends with \"unknown variable\" or \"unknown option\". It distinguishes capital letters in names.",
            &[fixes.join(", or ")],
        );
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
            format!("cannot read the manifest {}: {why}", site.at(path).shown()),
            "mysqld then starts without a keyring.",
            &[
                format!("write to {}:", site.at(path).shown()),
                format!(r#"    {{ "components": "file://{COMPONENT}" }}"#),
            ],
        );
    })
    .ok()
}

/// Lines for the option file that sets something now. One of the unit's command line takes its place.
fn set_option(site: &Site, file: &Path, lines: &[&str]) -> Vec<String> {
    let is_option_file = site.options.files.iter().any(|read| read == file);
    let file = if is_option_file { file.to_owned() } else { site.at(&site.main_option_file()) };
    let lines: Vec<_> = std::iter::once("[mysqld]").chain(lines.iter().copied()).collect();
    lines_in(&file, &lines)
}

/// Where an option of the plugin is set.
fn source_of(site: &Site, name: &str) -> String {
    site.option(&format!("{PREFIX}{name}")).map(OptionLine::place).unwrap_or_default()
}

/// How to write the component's configuration again.
fn configuration_again(site: &Site) -> Vec<String> {
    let root = if site.is_below() { format!(" --root {}", site.root.shown()) } else { String::new() };
    vec![
        "correct that file".to_owned(),
        "or write it again, with the path of the keyring and a --mirror for each other copy:".to_owned(),
        format!("keyringctl setup --as component /VOLUME/keys/main.keyring{root}"),
    ]
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
                &configuration_again(site),
            );
        })
        .ok()?;
    use_remotes_of_server(&site.at(&config.remotes));
    let mut host = host(site, Way::Component, config.path, config.unlock);
    host.mirrors = config.mirrors;
    host.remotes = config.remotes;
    host.remote_files = remote_files(&host);
    host.min_copies = config.min_copies;
    host.wait = config.wait;
    host.allow_same_device = config.allow_same_device;
    host.read_only = config.read_only;
    host.auto_create = config.auto_create;
    host.audit = config.audit;
    host.local_manifest = manifest.local;
    Some(Configured { host })
}

fn from_plugin(site: &Site, loaded: &OptionLine, found: &mut Findings) -> Option<Configured> {
    let value = |name: &str| site.option(&format!("{PREFIX}{name}")).and_then(|e| e.value.clone());
    early_plugins::check(site, loaded, found);
    check_load_option(site, loaded, found);
    let mut missing = |name: &str, example: &str| {
        found.error(
            "plugin-options",
            &loaded.file,
            format!("keyring_external_{name} is not set"),
            "The plugin refuses to load.",
            &set_option(site, &loaded.file, &[&format!("keyring_external_{name} = {example}")]),
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
                &[format!("correct keyring_external_unlock in {}", source_of(site, "unlock"))],
            );
        })
        .ok()?;
    let remotes = value("remotes").filter(|v| !v.is_empty()).unwrap_or_else(|| DEFAULT_REMOTES.to_owned());
    use_remotes_of_server(&site.at(Path::new(&remotes)));
    let mut host = host(site, Way::Plugin, keyring.into(), unlock);
    let mirrors = value("mirrors").unwrap_or_default();
    host.mirrors = mirrors.split(':').filter(|m| !m.is_empty()).map(PathBuf::from).collect();
    host.remotes = remotes.into();
    host.remote_files = remote_files(&host);
    host.min_copies = number(site, "min_copies", 1, MAX_COPIES, found);
    host.wait = number(site, "wait", 0, MAX_WAIT, found);
    host.allow_same_device = is_on(site, "allow_same_device", found);
    host.read_only = is_on(site, "read_only", found);
    host.auto_create = is_on(site, "auto_create", found);
    host.audit = audit(site, found);
    if loaded.line > 0 {
        host.option_file = site.seen(&loaded.file);
    }
    if site.version.is_some_and(|v| v >= (8, 4)) {
        found.warning(
            "deprecated",
            &loaded.file,
            format!("{} loads the keyring as a plugin", loaded.place()),
            "MySQL has deprecated keyring plugins, and a later version may not load them. The component opens the same keyring.",
            &[
                early_plugins::how_to_remove(site, loaded),
                setup(site, &host, Way::Component),
            ],
        );
    }
    Some(Configured { host })
}

/// The settings of the audit log.
fn audit(site: &Site, found: &mut Findings) -> AuditConfig {
    let value = |name: &str| {
        site.option(&format!("{PREFIX}{name}")).and_then(|e| e.value.clone()).unwrap_or_default()
    };
    let names = ["keyring_external_audit_log", "keyring_external_audit_log_forward"];
    AuditConfig::parse(value("audit-log").into(), &value("audit-log-forward"), names).unwrap_or_else(|e| {
        let line = ["audit-log-forward", "audit-log"]
            .iter()
            .find_map(|name| site.option(&format!("{PREFIX}{name}")));
        let file = line.map(|line| line.file.clone()).unwrap_or_default();
        let fix = format!("correct that option in {}", line.map(OptionLine::place).unwrap_or_default());
        found.error("plugin-options", &file, e.to_string(), "The plugin refuses to load.", &[fix]);
        AuditConfig::default()
    })
}

/// Whether the server ends if it cannot open the keyring.
fn check_load_option(site: &Site, loaded: &OptionLine, found: &mut Findings) {
    let entry = site.option("keyring-external");
    let (what, why) = match entry.map(|e| LoadOption::parse(e.value.as_deref())) {
        Some(Some(LoadOption::Force | LoadOption::ForcePlusPermanent)) => return,
        Some(Some(LoadOption::Off)) => {
            ("keyring_external is OFF", "The server does not load the plugin, and has no keyring.")
        }
        Some(None) => (
            "the value of keyring_external is none that mysqld knows",
            "mysqld does not load the plugin: it has no keyring, or does not start.",
        ),
        Some(Some(LoadOption::On)) | None => (
            "keyring_external = FORCE_PLUS_PERMANENT is not set",
            "If the server cannot open the keyring, it starts anyway, without its keys.",
        ),
    };
    let file = entry.map_or(&loaded.file, |e| &e.file);
    let fix = set_option(site, file, &["keyring_external = FORCE_PLUS_PERMANENT"]);
    found.error("plugin-options", file, what, why, &fix);
}

fn is_on(site: &Site, name: &str, found: &mut Findings) -> bool {
    read_value(site, name, false, found, values::switch)
}

fn number(site: &Site, name: &str, min: u32, max: u32, found: &mut Findings) -> u32 {
    read_value(site, name, min, found, |value| values::number(value, min, max))
}

/// The value of an option of the plugin, as mysqld takes it. A value that it does not take is among the findings.
fn read_value<T>(
    site: &Site,
    name: &str,
    default: T,
    found: &mut Findings,
    parse: impl Fn(Option<&str>) -> Result<T, String>,
) -> T {
    let Some(entry) = site.option(&format!("{PREFIX}{}", name.replace('_', "-"))) else { return default };
    parse(entry.value.as_deref()).unwrap_or_else(|why| {
        found.error(
            "plugin-options",
            &entry.file,
            format!("{}: keyring_external_{name} {why}", entry.place()),
            "The setting has no effect, or mysqld does not load the plugin.",
            &[format!("correct keyring_external_{name} in {}", entry.place())],
        );
        default
    })
}
