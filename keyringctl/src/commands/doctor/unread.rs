// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds an option file that setup wrote and that mysqld does not read, because the line that includes it is gone.

use crate::commands::site::{OPTION_DIRS, OPTION_FILE, Site};
use std::fs;
use std::path::{Path, PathBuf};

/// The local AppArmor rules, which name the option file.
const APPARMOR_RULES: &str = "/etc/apparmor.d/local/usr.sbin.mysqld";

/// The first of the places that can be known: the directories of packages, those of the main option files, and the paths
/// in previous versions of the main option files (`my.cnf.bak`, `my.cnf.dpkg-old`), in comments and in AppArmor's rules.
pub(in crate::commands) fn find(site: &Site) -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = OPTION_DIRS.map(|dir| Path::new(dir).join(OPTION_FILE)).to_vec();
    let mut texts = vec![site.at(Path::new(APPARMOR_RULES))];
    for main in &site.defaults.files {
        for main in [site.at(main), site.real(main)] {
            let (Some(dir), Some(name)) = (main.parent(), main.file_name()) else { continue };
            places.push(site.seen(&dir.join(OPTION_FILE)));
            let beside = fs::read_dir(dir).into_iter().flatten().flatten();
            let name = name.to_string_lossy();
            texts.extend(
                beside.filter(|e| e.file_name().to_string_lossy().starts_with(&*name)).map(|e| e.path()),
            );
        }
    }
    let texts = texts.iter().filter(|file| file.is_file()).filter_map(|file| fs::read(file).ok());
    places.extend(texts.flat_map(|text| named_in(&String::from_utf8_lossy(&text))));
    let is_read = |file: &PathBuf| site.options.files.iter().any(|read| site.seen(read) == *file);
    places.into_iter().find(|file| site.at(file).is_file() && !is_read(file))
}

/// The paths of option files of ours in the lines of a text.
fn named_in(text: &str) -> Vec<PathBuf> {
    let end = format!("/{OPTION_FILE}");
    let path = |line: &str| {
        let (before, _) = line.split_once(&end)?;
        let start = before.find('/').unwrap_or(before.len());
        Some(PathBuf::from(format!("{}{end}", &before[start..])))
    };
    text.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_in_any_line() {
        let text = "[mysqld]\n# !include /srv/own options/keyring_external.cnf\n  \"/o/keyring_external.cnf\" r,\n\
                    /keyring_external.cnf\nmy_keyring_external.cnf\n/x/component_keyring_external.cnf r,\n";
        let paths =
            ["/srv/own options/keyring_external.cnf", "/o/keyring_external.cnf", "/keyring_external.cnf"];
        assert_eq!(named_in(text), paths.map(PathBuf::from));
    }
}
