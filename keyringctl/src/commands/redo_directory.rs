// SPDX-License-Identifier: GPL-2.0-or-later
//! The directory of the redo log, if the option files of the server name one outside of its data directory.

use super::apart::is_one_file;
use super::site::{self, Site};
use crate::show::Shown;
use std::path::{Path, PathBuf};

impl Site {
    /// The directory of the redo log, if it is configured and is not below the data directory. Both are paths of the server.
    pub(super) fn redo_directory(&self, datadir: &Path) -> Option<PathBuf> {
        let configured = self.option("innodb-log-group-home-dir")?.value.as_deref()?;
        Some(datadir.join(configured)).filter(|directory| !directory.starts_with(datadir))
    }
}

/// Adds the directory of the redo log to those that were named, if the server on this host has this data directory.
pub(super) fn with_configured(also: &[PathBuf], parts: &site::Parts, datadir: &Path) -> Vec<PathBuf> {
    let mut all = also.to_vec();
    // Without a server, only the directories that were named are known.
    let site = site::Args { parts: parts.clone(), datadir: None }.look();
    if let Ok(site) = site
        && is_one_file(&site.at(&site.datadir), datadir)
        && let Some(directory) = site.redo_directory(&site.datadir)
    {
        let directory = site.at(&directory);
        if !all.iter().any(|known| is_one_file(known, &directory)) {
            all.push(directory);
        }
    }
    all
}

/// Directories as options for the commands in messages.
pub(super) fn also_options(also: &[PathBuf]) -> String {
    also.iter().map(|directory| format!(" --also {}", directory.shown())).collect()
}
