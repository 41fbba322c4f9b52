// SPDX-License-Identifier: GPL-2.0-or-later
//! What the server is configured with already: setup keeps all of it that no option and no answer changes.

use super::args::Args;
use crate::commands::doctor::configured;
use crate::commands::doctor::finding::{Finding, FindingLevel, Findings};
use crate::commands::doctor::unread;
use crate::commands::site::Site;
use crate::error::Result;
use crate::host::Host;
use crate::server::OptionFiles;
use crate::show::Shown;
use std::path::PathBuf;

/// The checks whose errors say that settings exist but could not be read.
const OF_SETTINGS: [&str; 3] = ["component-configuration", "plugin-options", "manifest"];

/// The settings that exist.
#[derive(Default)]
pub(super) struct Existing {
    /// The keyring that the server is configured for.
    pub host: Option<Host>,
    /// The file with the settings, as the server sees it.
    pub file: PathBuf,
    /// What is configured, but cannot be read and so is not kept.
    pub lost: Vec<Finding>,
}

impl Existing {
    /// The copies that are configured.
    pub(super) fn copies(&self) -> Vec<PathBuf> {
        self.host.iter().flat_map(|host| host.copies().map(|copy| copy.to_owned())).collect()
    }
}

/// Reads the settings from where mysqld reads them or, if it reads none, from an option file that setup wrote.
pub(super) fn find(args: &Args, site: &Site) -> Result<Existing> {
    let mut found = Findings::default();
    let mut configured = configured::find(site, &mut found);
    if configured.is_none()
        && let Some(file) = unread::find(site)
        && let Ok(read) = OptionFiles::read(&site.at(&file), &site.root)
    {
        let mut site = args.site.look()?;
        site.options.append(read);
        configured = configured::find(&site, &mut Findings::default());
    }
    if let Some(configured) = configured {
        let file = site.seen(&site.settings_file(&configured.host));
        return Ok(Existing { host: Some(configured.host), file, lost: Vec::new() });
    }
    let mut lost = found.into_all();
    lost.retain(|f| f.level == FindingLevel::Error && OF_SETTINGS.contains(&f.check));
    for finding in &mut lost {
        finding.level = FindingLevel::Warning;
        finding.why = "setup cannot read the settings that are there, so it keeps none of them.".to_owned();
        let file = finding.path.as_ref().map(|path| site.at(path).shown()).unwrap_or_default();
        finding.fix = vec![
            format!("correct {file} and run setup again"),
            "or give every setting to setup: the path of the keyring, each copy with --mirror, and --unlock"
                .to_owned(),
        ];
    }
    Ok(Existing { lost, ..Existing::default() })
}
