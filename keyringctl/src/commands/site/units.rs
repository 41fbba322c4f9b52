// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds the systemd unit of mysqld, with its drop-ins and the command line that it starts.

use super::parts::Site;
use crate::error::{Error, Result};
use crate::host::unit::Unit;
use std::fs;
use std::path::{Path, PathBuf};

const UNIT_DIRS: [&str; 4] =
    ["/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system"];
const UNITS: [&str; 2] = ["mysql.service", "mysqld.service"];

/// Finds the unit: the one of this name, or the first one that the packages of MySQL install.
pub(super) fn find(site: &mut Site, named: Option<&str>) -> Result<()> {
    let names = named.map_or(UNITS.to_vec(), |name| vec![name]);
    let names: Vec<String> = names
        .iter()
        .map(|n| if n.contains('.') { (*n).to_owned() } else { format!("{n}.service") })
        .collect();
    site.unit_name = names.first().cloned().unwrap_or_default();
    for name in names {
        let Some((file, unit)) = read(site, &name)? else { continue };
        let files = unit.environment_files().into_iter().filter_map(|file| site.text(&file).ok().flatten());
        site.environment = unit.environment(&files.collect::<Vec<_>>());
        let instance = name.split_once('@').map_or("", |(_, rest)| rest.split('.').next().unwrap_or(""));
        site.command = unit.command(instance, &site.environment).unwrap_or_default();
        (site.unit_name, site.unit_file, site.unit) = (name, file, Some(unit));
        break;
    }
    Ok(())
}

/// Reads a unit with its drop-ins. The path is that of the unit's own file, as the server sees it.
fn read(site: &Site, name: &str) -> Result<Option<(PathBuf, Unit)>> {
    // The instances of a template share its file and its drop-ins.
    let template = name.split_once('@').and_then(|(before, after)| {
        Some(format!("{before}@.{}", after.rsplit_once('.').map(|(_, kind)| kind)?))
    });
    let names: Vec<&str> = template.as_deref().into_iter().chain([name]).collect();
    let mut unit = None::<Unit>;
    // A unit in /etc replaces the package's.
    let mut files =
        names.iter().rev().flat_map(|name| UNIT_DIRS.iter().rev().map(move |dir| Path::new(dir).join(name)));
    let file = files.find(|file| site.real(file).exists());
    if let Some(file) = &file {
        unit.get_or_insert_default().add(&site.text(file)?.unwrap_or_default());
    }
    let mut drop_ins = Vec::new();
    for dir in UNIT_DIRS
        .iter()
        .flat_map(|dir| names.iter().map(move |name| Path::new(dir).join(format!("{name}.d"))))
    {
        let entries = fs::read_dir(site.at(&dir)).into_iter().flatten();
        drop_ins.extend(
            entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "conf")),
        );
    }
    drop_ins.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    // The same directory under two names is read once.
    drop_ins.dedup_by_key(|path| fs::canonicalize(path).ok());
    let first = drop_ins.first().map(|file| site.seen(file));
    for file in drop_ins {
        let text = fs::read_to_string(&file).map_err(|e| Error::io("read", &file, e))?;
        unit.get_or_insert_default().add(&text);
    }
    Ok(unit.and_then(|unit| Some((file.or(first)?, unit))))
}
