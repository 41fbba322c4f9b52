// SPDX-License-Identifier: GPL-2.0-or-later
//! AppArmor: the rules for mysqld, and the line that a profile lacks if it includes no file for local rules.

use super::change::FileChange;
use crate::commands::apparmor::{FoundProfile, profiles};
use crate::commands::site::Site;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::host::apparmor::{PROFILE_FILE, include_line, local_file, local_rules, merged, with_include};
use crate::host::needs::needs;
use crate::show::Shown;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The file with the rules, and the profile if it does not include that file. If no profile confines mysqld, the rules
/// are for the one that MySQL's packages bring: they do no harm without it.
pub(super) fn changes(site: &Site, host: &Host, group: u32) -> Result<Vec<FileChange>> {
    let profile = profiles(site, &host.mysqld).into_iter().next();
    let local = profile.as_ref().map_or_else(|| local_file(Path::new(PROFILE_FILE)), |p| p.local.clone());
    let existing = site.text(&local)?.unwrap_or_default();
    let text = merged(&existing, &local_rules(&needs(host)));
    let mut all = vec![FileChange::new(site, &local, "AppArmor rules", text, 0o644, group)?];
    // The rules come first: a profile whose included file is missing cannot be loaded.
    if let Some(profile) = profile.filter(|p| !p.includes_local && !p.is_marked(site, "disable")) {
        all.push(include(site, &profile)?);
    }
    Ok(all)
}

/// The profile with the line that includes its local file. It keeps its permissions.
fn include(site: &Site, found: &FoundProfile) -> Result<FileChange> {
    let text = site.text(&found.file)?.unwrap_or_default();
    let Some(end) = found.profile.end else {
        return Err(Error::Usage(format!(
            "cannot find the end of the profile {} in {}: add `{}` before its closing brace, then run setup again, or run \
             setup with --without apparmor. Nothing was changed",
            found.profile.name,
            site.at(&found.file).shown(),
            include_line(&found.local)
        )));
    };
    let place = site.at(&found.file);
    let meta = place.metadata().map_err(|e| Error::io("look at", &place, e))?;
    let text = with_include(&text, end, &found.local);
    FileChange::new(site, &found.file, "AppArmor profile", text, meta.mode() & 0o7777, meta.gid())
}

/// The command that loads the profile again, unless it is disabled.
pub(super) fn reload(site: &Site, host: &Host) -> Option<String> {
    let profile = profiles(site, &host.mysqld).into_iter().next()?;
    (!profile.is_marked(site, "disable")).then(|| profile.reload())
}
