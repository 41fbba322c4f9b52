// SPDX-License-Identifier: GPL-2.0-or-later
//! Where packages put mysqld and its plugins.

use super::parts::{Site, first};
use crate::host::Way;
use std::fs;
use std::path::{Path, PathBuf};

/// mysqld: of packages, of Red Hat, of the generic archive, of Bitnami, and in a snap.
const PROGRAMS: [&str; 8] = [
    "/usr/sbin/mysqld",
    "/usr/libexec/mysqld",
    "/usr/local/mysql/bin/mysqld",
    "/usr/local/sbin/mysqld",
    "/usr/bin/mysqld",
    "/opt/bitnami/mysql/bin/mysqld",
    "/snap/mysql/current/usr/sbin/mysqld",
    "/snap/charmed-mysql/current/usr/sbin/mysqld",
];
const PLUGIN_DIRS: [&str; 3] =
    ["/usr/lib/mysql/plugin", "/usr/lib64/mysql/plugin", "/usr/local/mysql/lib/plugin"];
/// Plugin directories below a base directory.
const BELOW_BASEDIR: [&str; 3] = ["lib/plugin", "lib/mysql/plugin", "lib64/mysql/plugin"];

/// The program: the one that the unit starts, or one where packages install it.
pub(super) fn mysqld(site: &Site) -> PathBuf {
    let of_unit = site.command.iter().find(|word| {
        word.starts_with('/') && Path::new(word).file_name().is_some_and(|name| name == "mysqld")
    });
    of_unit.map_or_else(|| first(site, &PROGRAMS), PathBuf::from)
}

/// The plugin directory below the base directory that the options name, or where packages install it. A host can have
/// more than one of these directories: the server's own is where the server's libraries are.
pub(super) fn plugin_dir(site: &Site) -> PathBuf {
    let base = site.option("basedir").and_then(|e| e.value.as_deref()).map(PathBuf::from);
    let below = |base: &PathBuf| BELOW_BASEDIR.map(|dir| base.join(dir));
    let mut all: Vec<PathBuf> = base.iter().flat_map(below).collect();
    if !all.iter().any(|dir| site.at(dir).is_dir()) {
        all = site.prefix().iter().flat_map(below).collect();
        all.extend(PLUGIN_DIRS.iter().map(PathBuf::from));
    }
    let mut best = None::<(usize, PathBuf)>;
    for dir in all.into_iter().filter(|dir| site.at(dir).is_dir()) {
        let count = libraries(site, &dir);
        if best.as_ref().is_none_or(|(most, _)| count > *most) {
            best = Some((count, dir));
        }
    }
    best.map_or_else(|| first(site, &PLUGIN_DIRS), |(_, dir)| dir)
}

/// How many libraries of others are in a plugin directory.
fn libraries(site: &Site, dir: &Path) -> usize {
    let ours = [Way::Plugin.library(), Way::Component.library()];
    let names = fs::read_dir(site.at(dir)).into_iter().flatten().flatten().map(|e| e.file_name());
    names.filter(|n| n.to_string_lossy().ends_with(".so") && !ours.iter().any(|own| n == own)).count()
}
