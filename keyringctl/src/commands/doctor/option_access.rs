// SPDX-License-Identifier: GPL-2.0-or-later
//! Which option files and directories mysqld's user cannot read, and what mysqld does then.

use super::early_plugins::EARLY;
use super::finding::{FindingLevel, Findings};
use super::option_files::{FILES, names_plugin};
use super::permission::{PASS, READ, may};
use crate::commands::site::Site;
use crate::host::accounts::Account;
use crate::server::{OptionLine, directories_to};
use crate::show::Shown;
use std::fs;
use std::path::{Path, PathBuf};

/// The deepest nesting of option files.
const DEPTH: usize = 10;

/// What follows if mysqld cannot read something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::commands) enum Effect {
    /// It passes over options that are not the keyring's.
    Others,
    /// It does not read the keyring's options.
    Keyring,
    /// It does not start.
    Start,
}

/// A file or directory that mysqld's user cannot read.
pub(in crate::commands) struct Closed {
    /// Its path, as this process sees it.
    pub path: PathBuf,
    /// What follows.
    pub effect: Effect,
    /// The command that opens it.
    pub fix: String,
}

impl Closed {
    fn new(path: PathBuf, missing: u32, effect: Effect) -> Closed {
        let bits = match missing {
            PASS => "a+x",
            READ => "0644",
            _ => "a+rx",
        };
        Closed { effect, fix: format!("chmod {bits} {}", path.shown()), path }
    }
}

/// Returns the option files and their directories that mysqld's user cannot read, if mysqld is started as that user. A
/// mysqld that is started as root reads them first.
pub(in crate::commands) fn closed(site: &Site) -> Vec<Closed> {
    let user = site.unit.as_ref().and_then(|unit| unit.user());
    let Some(account) = site.account.as_ref().filter(|account| user == Some(&account.name)) else {
        return Vec::new();
    };
    let access = Access { site, account };
    let ours = access.ours();
    let files = site.options.files.iter().filter_map(|file| {
        let effect = if ours.contains(&file.as_path()) { Effect::Keyring } else { Effect::Others };
        access.to_file(file).map(|(path, missing)| Closed::new(path, missing, effect))
    });
    let included = site.options.includes.iter().filter(|(_, by)| access.reads(by));
    let dirs = included.filter_map(|(dir, _)| {
        access.to_directory(dir).map(|(path, missing)| Closed::new(path, missing, Effect::Start))
    });
    let mut all: Vec<Closed> = Vec::new();
    // What is worse comes first; one path is named once.
    let mut found: Vec<_> = dirs.chain(files).collect();
    found.sort_by_key(|closed| std::cmp::Reverse(closed.effect));
    for closed in found {
        if all.iter().all(|known| known.path != closed.path) {
            all.push(closed);
        }
    }
    all
}

/// Reports what mysqld's user cannot read, if what follows is one of these.
pub(in crate::commands) fn report(site: &Site, effects: &[Effect], found: &mut Findings) {
    for Closed { path, effect, fix } in closed(site).into_iter().filter(|c| effects.contains(&c.effect)) {
        let (level, so, why) = match effect {
            Effect::Start => (
                FindingLevel::Error,
                "mysqld does not start",
                "An option file includes a directory that mysqld's user cannot read.",
            ),
            Effect::Keyring => (
                FindingLevel::Error,
                "mysqld passes over the keyring's options",
                "The server has no keyring, and mysqld does not say so.",
            ),
            Effect::Others => (
                FindingLevel::Warning,
                "mysqld passes over options there",
                "They have no effect, and mysqld does not always say so.",
            ),
        };
        let what = format!("{} has no permission to read {}, so {so}", site.user, path.shown());
        found.add(level, FILES, what, why, &[fix]).path = Some(path);
    }
}

/// What an account may read.
struct Access<'s> {
    site: &'s Site,
    account: &'s Account,
}

impl Access<'_> {
    fn lacks(&self, path: &Path, access: u32) -> bool {
        fs::metadata(path).is_ok_and(|meta| !may(&meta, Some(self.account), access))
    }

    /// What keeps the account from a file, and the permission that is missing there.
    fn to_file(&self, file: &Path) -> Option<(PathBuf, u32)> {
        let closed = |dir: &PathBuf| self.lacks(dir, PASS);
        let above = directories_to(&self.site.root, file).into_iter().find(closed);
        above.map(|dir| (dir, PASS)).or_else(|| self.lacks(file, READ).then(|| (file.to_owned(), READ)))
    }

    /// What keeps the account from the list of files in a directory; `None` if this is something else.
    fn to_directory(&self, dir: &Path) -> Option<(PathBuf, u32)> {
        fs::metadata(dir).ok().filter(fs::Metadata::is_dir)?;
        let (path, missing) = self.to_file(dir)?;
        Some((path, if missing == READ { READ | PASS } else { missing }))
    }

    /// Whether mysqld comes to read a file: it may read those that include it too.
    fn reads(&self, file: &Path) -> bool {
        self.way(file).iter().all(|file| self.to_file(file).is_none())
    }

    /// A file, the one that includes it, and so on.
    fn way<'f>(&'f self, file: &'f Path) -> Vec<&'f Path> {
        let by = |file: &&'f Path| {
            let mut includes = self.site.options.includes.iter();
            includes.find(|(included, _)| included == file).map(|(_, by)| by.as_path())
        };
        // Files may include each other.
        std::iter::successors(Some(file), by).take(DEPTH).collect()
    }

    /// The files with the keyring's options, and those that lead to them.
    fn ours(&self) -> Vec<&Path> {
        let is_ours = |line: &&OptionLine| {
            line.name.starts_with("keyring-external") || line.name == EARLY && names_plugin(line)
        };
        let lines = self.site.options.entries.iter().filter(is_ours);
        lines.flat_map(|line| self.way(&line.file)).collect()
    }
}
