// SPDX-License-Identifier: GPL-2.0-or-later
//! SELinux on this host: whether it is active, and how files get the type that mysqld needs.

use super::site::Site;
use crate::host::mounts::{Mount, mount_of};
use crate::host::selinux::{Labelled, equivalent, has_no_labels, mount_commands};
use std::fs;
use std::path::{Path, PathBuf};

const CONFIG: &str = "/etc/selinux/config";

/// What SELinux does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Enforcing,
    /// It only logs.
    Permissive,
    /// This is an image, whose system will start with it.
    Image,
}

/// Returns the mode of SELinux; `None` if it is disabled. `sys` is where the kernel's filesystem is mounted.
pub(super) fn mode(site: &Site, sys: &Path) -> Option<Mode> {
    if site.is_below() {
        let mode = setting(site, "SELINUX")?;
        return matches!(mode.as_str(), "enforcing" | "permissive").then_some(Mode::Image);
    }
    match fs::read_to_string(sys.join("fs/selinux/enforce")).ok()?.trim() {
        "1" => Some(Mode::Enforcing),
        _ => Some(Mode::Permissive),
    }
}

/// A setting in SELinux's configuration file.
fn setting(site: &Site, name: &str) -> Option<String> {
    let text = site.text(Path::new(CONFIG)).ok()??;
    let value =
        |line: &str| line.trim().strip_prefix(name)?.trim_start().strip_prefix('=').map(str::to_owned);
    text.lines().filter_map(value).next_back().map(|value| value.trim().to_lowercase())
}

/// How files get their type on this host.
pub(super) struct Labelling<'a> {
    site: &'a Site,
    mounts: &'a [Mount],
    /// Which directories the policy knows under another name.
    equivalences: Vec<String>,
}

impl<'a> Labelling<'a> {
    pub(super) fn of(site: &'a Site, mounts: &'a [Mount]) -> Self {
        let policy = setting(site, "SELINUXTYPE").unwrap_or_else(|| "targeted".to_owned());
        let contexts = Path::new("/etc/selinux").join(policy).join("contexts/files");
        let texts =
            ["file_contexts.subs", "file_contexts.subs_dist"].map(|name| site.text(&contexts.join(name)));
        Self {
            site,
            mounts,
            equivalences: texts.into_iter().filter_map(|text| text.ok().flatten()).collect(),
        }
    }

    /// The commands that give these files their type, unless the mount must.
    pub(super) fn commands(&self, of: &Labelled) -> Option<Vec<String>> {
        let real = self.real(&of.path);
        let mounted = self.mount(&real).is_some();
        (!mounted).then(|| of.commands(&real, &equivalent(&real, &self.equivalences)))
    }

    /// What to do if the files are on a filesystem that stores no labels: the mount must give all files their type.
    pub(super) fn by_mount(&self, of: &Labelled) -> Option<Vec<String>> {
        self.mount(&self.real(&of.path)).map(|mount| mount_commands(&mount.point, of.kind))
    }

    /// The mount that a path is on, if it stores no labels.
    fn mount(&self, real: &Path) -> Option<&Mount> {
        let mount = mount_of(self.mounts, real).filter(|mount| mount.point != Path::new("/"))?;
        // The kernel says it where SELinux is active.
        let is_said = self.mounts.iter().any(|mount| mount.has("seclabel"));
        let stores = if is_said { mount.has("seclabel") } else { !has_no_labels(&mount.kind) };
        let given = mount.options.iter().any(|option| option.trim_matches('"').starts_with("context="));
        (given || !stores).then_some(mount)
    }

    /// Resolves the links in a path, as far as it exists: the policy knows only real paths.
    fn real(&self, path: &Path) -> PathBuf {
        if self.site.is_below() {
            return self.site.seen(&self.site.real(path));
        }
        let existing = path.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
        match existing {
            Some((above, real)) if above == path => real,
            Some((above, real)) => real.join(path.strip_prefix(above).unwrap_or(path)),
            None => path.to_owned(),
        }
    }
}
