// SPDX-License-Identifier: GPL-2.0-or-later
//! The AppArmor profiles of a host that confine its mysqld, and the files for local rules that they include.

use super::site::Site;
use crate::host::apparmor::{DIRECTORY, Profile, included_local_files, is_loaded, local_file, parse};
use crate::show::Shown;
use std::fs;
use std::path::{Path, PathBuf};

/// A profile that confines mysqld.
pub(super) struct FoundProfile {
    /// The file that it is in.
    pub file: PathBuf,
    pub profile: Profile,
    /// The file for its local rules.
    pub local: PathBuf,
    /// Whether it includes that file.
    pub includes_local: bool,
}

/// Returns the profiles that confine this mysqld, in the order in which the system loads them. One that is not loaded any
/// more, such as an older version kept by a package manager, does not count.
pub(super) fn profiles(site: &Site, mysqld: &Path) -> Vec<FoundProfile> {
    let entries = fs::read_dir(site.at(Path::new(DIRECTORY))).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name()).filter(|name| is_loaded(&name.to_string_lossy())).collect();
    names.sort();
    let files = names.into_iter().map(|name| Path::new(DIRECTORY).join(name));
    files.filter_map(|file| profile_in(site, file, mysqld)).collect()
}

fn profile_in(site: &Site, file: PathBuf, mysqld: &Path) -> Option<FoundProfile> {
    let text = fs::read_to_string(site.at(&file)).ok()?;
    let include = |name: &str| texts(site, name);
    let profile = parse(&text, &include).into_iter().find(|profile| profile.confines(mysqld))?;
    let mut included = included_local_files(&profile, &file).into_iter();
    let included = included.find(|local| !site.at(local).is_dir());
    let includes_local = included.is_some();
    let local = included.unwrap_or_else(|| local_file(&file));
    Some(FoundProfile { file, profile, local, includes_local })
}

impl FoundProfile {
    /// Whether a link for this profile is in a directory that changes how it is loaded: `disable` or `force-complain`.
    pub(super) fn is_marked(&self, site: &Site, directory: &str) -> bool {
        let name = self.file.file_name().unwrap_or_default();
        site.at(&Path::new(DIRECTORY).join(directory).join(name)).symlink_metadata().is_ok()
    }

    /// The command that loads it again.
    pub(super) fn reload(&self) -> String {
        format!("apparmor_parser -r -T -W {}", self.file.shown())
    }
}

/// Returns the texts that an include names: a file, or all files of a directory.
fn texts(site: &Site, name: &str) -> Option<Vec<String>> {
    let path = site.at(&Path::new(DIRECTORY).join(name));
    if path.is_dir() {
        let mut files: Vec<_> =
            fs::read_dir(&path).ok()?.flatten().map(|e| e.path()).filter(|p| p.is_file()).collect();
        files.sort();
        return Some(files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect());
    }
    Some(vec![fs::read_to_string(&path).ok()?])
}
