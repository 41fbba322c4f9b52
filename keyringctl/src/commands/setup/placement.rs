// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the plugin's option file goes, so that mysqld reads it: into a directory that mysqld's option files include or,
//! if there is none, beside a line in the main option file that includes just this file.

use super::args::Args;
use super::change::FileChange;
use crate::commands::site::{OPTION_DIRS, OPTION_FILE, Site};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::server::included_by;
use crate::show::Shown;
use std::path::{Path, PathBuf};

/// The comment above the line that setup adds to the main option file.
const COMMENT: &str = "# Written by keyringctl setup: the keyring's options.";

/// The path of the option file that setup writes.
pub(super) fn option_file(args: &Args, site: &Site) -> Result<PathBuf> {
    if let Some(dir) = &args.option_dir {
        if !dir.is_absolute() {
            return Err(Error::Usage(format!("--option-dir is {}: give an absolute path", dir.shown())));
        }
        return Ok(dir.join(OPTION_FILE));
    }
    let read = site.options.files.iter().map(|file| site.seen(file));
    // What an earlier setup wrote.
    let own = read.into_iter().rfind(|file| file.file_name().is_some_and(|name| name == OPTION_FILE));
    if let Some(own) = own {
        return Ok(own);
    }
    let included = &site.options.directories;
    let preferred = OPTION_DIRS.map(PathBuf::from).into_iter().find(|dir| included.contains(dir));
    let dir = preferred
        .or_else(|| included.last().cloned())
        .unwrap_or_else(|| beside(site, &site.main_option_file()));
    Ok(dir.join(OPTION_FILE))
}

/// The directory for an option file that the main one includes.
fn beside(site: &Site, main: &Path) -> PathBuf {
    let parent = main.parent().unwrap_or(Path::new("/etc"));
    if !["/etc", "/etc/mysql"].map(Path::new).contains(&parent) {
        return parent.to_owned();
    }
    let usual = OPTION_DIRS.map(PathBuf::from);
    let existing = usual.iter().find(|dir| site.at(dir).is_dir());
    existing.or(usual.last()).cloned().unwrap_or_else(|| parent.to_owned())
}

/// The change of the main option file, if without it mysqld would not read the option file of this host.
pub(super) fn include(site: &Site, host: &Host, group: u32) -> Result<Option<FileChange>> {
    let file = &host.option_file;
    let is_read = site.options.files.iter().any(|read| site.seen(read) == *file)
        || file.parent().is_some_and(|dir| site.options.directories.iter().any(|read| read == dir));
    if is_read {
        return Ok(None);
    }
    if site.defaults.files.is_empty() {
        return Err(Error::Usage(format!(
            "{} starts mysqld with --no-defaults, so it reads no option file. Remove --no-defaults there. Nothing was changed",
            site.at(&site.unit_file).shown()
        )));
    }
    let main = site.main_option_file();
    // On Debian it is a link.
    let main = site.seen(&site.real(&main));
    if site.options.ignored.iter().any(|ignored| site.real(&site.seen(ignored)) == site.at(&main)) {
        return Err(Error::Usage(format!(
            "every user can write to {0}, so mysqld ignores it and would ignore an include there: chmod o-w {0}, then run \
             setup again. Nothing was changed",
            site.at(&main).shown()
        )));
    }
    let line = format!("!include {}", file.to_string_lossy());
    if included_by(&line).as_ref() != Some(file) {
        return Err(Error::Usage(format!(
            "no option file can include {}: a # there begins a comment, and blanks at the end of a path are lost. Name \
             another directory: --option-dir DIR. Nothing was changed",
            file.shown()
        )));
    }
    let text = site.text(&main)?.unwrap_or_default();
    if text.lines().any(|line| included_by(line).as_ref() == Some(file)) {
        return Ok(None);
    }
    let lines = format!("{COMMENT}\n{line}\n");
    FileChange::appended(site, &main, "includes the options for mysqld", &lines, group).map(Some)
}
