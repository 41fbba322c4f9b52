// SPDX-License-Identifier: GPL-2.0-or-later
//! Which files setup writes, and their contents, merged with what exists.

use super::apparmor;
use super::args::{Args, SkippedPart};
use super::change::{FileChange, is_root};
use super::choices::manifest;
use super::placement;
use crate::commands::doctor::early_plugins::{EARLY, how_to_remove};
use crate::commands::doctor::steps::setup;
use crate::commands::doctor::values::LoadOption;
use crate::commands::site::{Site, mounts_below};
use crate::error::{Error, Result};
use crate::host::early_plugins::{merged, names_ours};
use crate::host::files::{
    FORCE, MEMLOCK, MEMLOCK_BYTES, Manifest, component_text, drop_in, drop_in_text, manifest_text,
    option_text,
};
use crate::host::unit::Unit;
use crate::host::{Host, Way, kept_lines};
use crate::server::{OptionFiles, OptionLine};
use crate::show::Shown;
use keyring_external::config::file::COMPONENT;
use std::path::Path;

/// All files, including those that need no change.
pub(super) fn changes(args: &Args, site: &Site, host: &Host) -> Result<Vec<FileChange>> {
    let group = own_group();
    let mut all = Vec::new();
    match host.way {
        Way::Plugin => {
            refuse_both(args, site, host)?;
            let existing = site.text(&host.option_file)?.unwrap_or_default();
            let text = option_text(host, &early_plugins(site, host), load_option(site));
            let text = kept_lines::in_option_file(&text, &existing);
            all.push(FileChange::new(site, &host.option_file, "options for mysqld", text, 0o644, group)?);
            all.extend(placement::include(site, host, group)?);
            // mysqld asks the component that a manifest names, not the plugin.
            let path = host.manifest();
            if let Some(text) = manifest_without_others(args, site, &path)? {
                all.push(FileChange::new(site, &path, "manifest", text, 0o644, group)?);
            }
        }
        Way::Component => {
            refuse_both(args, site, host)?;
            let path = host.manifest();
            all.push(FileChange::new(
                site,
                &path,
                "manifest",
                manifest_for(args, site, &path)?,
                0o644,
                group,
            )?);
            let cnf = site.seen(&site.settings_file(host));
            let readers = site.account.as_ref().filter(|_| is_root()).map_or(group, |a| a.gid);
            all.push(FileChange::new(
                site,
                &cnf,
                "configuration of the component",
                component_text(host),
                0o640,
                readers,
            )?);
        }
    }
    if has_systemd(args, site) {
        let path = drop_in(&host.unit);
        let text = drop_in_text(host, &mounts_below(&site.root), memlock(site));
        let text = kept_lines::in_drop_in(&text, &site.text(&path)?.unwrap_or_default());
        all.push(FileChange::new(site, &path, "drop-in for the systemd unit", text, 0o644, group)?);
    }
    if has_apparmor(args, site) {
        all.extend(apparmor::changes(site, host, group)?);
    }
    Ok(all)
}

/// How much memory mysqld may lock: what its unit says now, if that is enough.
fn memlock(site: &Site) -> &str {
    let unit = site.unit.as_ref();
    let is_enough =
        unit.and_then(Unit::memlock).is_some_and(|bytes| bytes.is_none_or(|n| n >= MEMLOCK_BYTES));
    unit.and_then(Unit::memlock_setting).filter(|_| is_enough).unwrap_or(MEMLOCK)
}

/// The value of `keyring_external`: what it is now, if mysqld then does not start without its keyring.
fn load_option(site: &Site) -> &'static str {
    let configured =
        site.option("keyring-external").and_then(|line| LoadOption::parse(line.value.as_deref()));
    if configured == Some(LoadOption::Force) { "FORCE" } else { FORCE }
}

fn own_group() -> u32 {
    if is_root() { 0 } else { rustix::process::getegid().as_raw() }
}

/// Whether the host starts mysqld with systemd.
pub(super) fn has_systemd(args: &Args, site: &Site) -> bool {
    let is_there = site.unit.is_some() || site.at(Path::new("/etc/systemd/system")).is_dir();
    is_there && !args.without.contains(&SkippedPart::Systemd)
}

/// Whether the host has AppArmor. Rules for a profile that does not exist do no harm.
pub(super) fn has_apparmor(args: &Args, site: &Site) -> bool {
    site.at(Path::new("/etc/apparmor.d")).is_dir() && !args.without.contains(&SkippedPart::Apparmor)
}

/// Refuses to set up the plugin beside the component: the server would have two keyrings and use only the component's.
fn refuse_both(args: &Args, site: &Site, host: &Host) -> Result<()> {
    let found = match host.way {
        Way::Component => {
            let line = site.option(EARLY).filter(|e| e.value.as_deref().is_some_and(names_ours));
            line.map(|e| {
                let what = format!("{} loads the plugin keyring_external", e.place());
                (what, how_to_remove(site, e), "plugin")
            })
        }
        Way::Plugin => {
            let path = host.manifest();
            let ours = manifest(site, &path)?.filter(Manifest::is_ours);
            ours.map(|found| {
                let shown = site.at(&path).shown();
                let remove = if found.components.len() > 1 {
                    format!("remove file://{COMPONENT} from {shown}")
                } else {
                    format!("delete {shown}")
                };
                let cnf = site.settings_file(&Host { way: Way::Component, ..host.clone() });
                let remove = format!("{remove} and delete {}", cnf.shown());
                (format!("{shown} loads {COMPONENT}"), remove, "component")
            })
        }
    };
    let Some((what, remove, other)) = found else { return Ok(()) };
    let keep = match args.load_as {
        Some(_) => String::new(),
        None => format!(", or keep the {other}: --as {other}"),
    };
    Err(Error::Usage(format!(
        "{what}: a server can use only one of the plugin and the component. To replace the {other}, {remove}. Then run \
         `{}`{keep}. Nothing was changed",
        setup(site, host, host.way)
    )))
}

/// The early plugins for our option file: ours, and those of the line that ours replaces.
fn early_plugins(site: &Site, host: &Host) -> String {
    // mysqld may not read it yet.
    let own = OptionFiles::read(&site.real(&host.option_file), &site.root).unwrap_or_default();
    let own = own.entries.iter().rfind(|line| line.name == EARLY).and_then(|line| line.value.clone());
    let is_others = |line: &&OptionLine| line.line > 0 && site.seen(&line.file) != host.option_file;
    let others = site.all_options(EARLY).filter(is_others).last().and_then(|line| line.value.clone());
    merged(&own.unwrap_or_default(), &others.unwrap_or_default())
}

/// The manifest with our component. Other components in it are kept, except for other keyrings.
fn manifest_for(args: &Args, site: &Site, path: &Path) -> Result<String> {
    let found = manifest(site, path)?.unwrap_or_default();
    let others = replaced_keyrings(args, site, path, &found)?;
    if found.is_ours() && others.is_empty() {
        // Unchanged, even if setup would format it differently.
        return site.text(path).map(Option::unwrap_or_default);
    }
    let mut components = found.components;
    components.retain(|c| !others.contains(c) && c != COMPONENT);
    components.push(COMPONENT.to_owned());
    Ok(manifest_text(&components))
}

/// The manifest without other keyrings; `None` if it names none.
fn manifest_without_others(args: &Args, site: &Site, path: &Path) -> Result<Option<String>> {
    let found = manifest(site, path)?.unwrap_or_default();
    let others = replaced_keyrings(args, site, path, &found)?;
    let mut components = found.components;
    components.retain(|c| !others.contains(c));
    Ok((!others.is_empty()).then(|| manifest_text(&components)))
}

/// The other keyrings in a manifest.
///
/// # Errors
/// There are some, and the administrator did not ask to replace them.
fn replaced_keyrings(args: &Args, site: &Site, path: &Path, found: &Manifest) -> Result<Vec<String>> {
    let others = found.other_keyrings();
    match others.first().filter(|_| !args.replace_keyring) {
        None => Ok(others),
        Some(other) => Err(Error::Usage(format!(
            "the manifest {} loads {other}, another keyring, but a server can have only one. Data that is encrypted with \
             its keys cannot be read without them: import the keys first (keyringctl import --help), then run setup \
             again with --replace-keyring. Nothing was changed",
            site.at(path).shown()
        ))),
    }
}
