// SPDX-License-Identifier: GPL-2.0-or-later
//! Which option files mysqld reads, in which order, and what its command line adds.

use crate::error::Error;
use crate::server::{OptionFiles, OptionLine, from_arguments};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// How mysqld finds its options.
#[derive(Clone, Default, Debug)]
pub(in crate::commands) struct Defaults {
    /// The option files in mysqld's order, whether or not they exist.
    pub files: Vec<PathBuf>,
    /// Those of them without which mysqld does not start.
    required: Vec<PathBuf>,
    /// The suffix of more groups, such as `[mysqld@replica01]`, in lower case.
    suffix: String,
    /// The options on its command line, which override those in files.
    arguments: Vec<OptionLine>,
    /// The arguments that choose the files, to ask mysqld itself; `None` if no arguments can.
    pub chosen: Option<Vec<String>>,
}

/// How mysqld is started.
pub(super) struct Start<'s> {
    /// The arguments, without the program.
    pub arguments: Vec<String>,
    /// The file with the arguments, as this process sees it.
    pub source: PathBuf,
    /// The variables of its environment.
    pub variables: &'s [(String, String)],
    /// Its home directory, unless a variable names another.
    pub home: Option<PathBuf>,
}

impl Start<'_> {
    /// The last value of an argument.
    fn argument(&self, name: &str) -> Option<String> {
        let mut values = self.arguments.iter().filter_map(|a| a.strip_prefix(name)?.strip_prefix('='));
        values.next_back().map(str::to_owned)
    }

    fn variable(&self, name: &str) -> Option<String> {
        let found = self.variables.iter().rev().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }
}

impl Defaults {
    /// Only these files, which must exist.
    pub(super) fn only(files: Vec<PathBuf>) -> Defaults {
        let chosen = match &files[..] {
            [one] => one.to_str().map(|one| vec![format!("--defaults-file={one}")]),
            _ => None,
        };
        Defaults { required: files.clone(), files, chosen, ..Defaults::default() }
    }

    /// What a mysqld reads that is started like this. `global`: the files that every user's programs read.
    pub(super) fn of(start: &Start<'_>, global: impl FnOnce() -> Vec<PathBuf>) -> Defaults {
        let suffix = start.argument("--defaults-group-suffix");
        let suffix = suffix.or_else(|| start.variable("MYSQL_GROUP_SUFFIX")).unwrap_or_default();
        let suffix = suffix.to_ascii_lowercase();
        let mut all = Defaults { suffix, ..Defaults::default() };
        let is_choice = |a: &&String| a.starts_with("--defaults-") || *a == "--no-defaults";
        all.chosen = Some(start.arguments.iter().filter(is_choice).cloned().collect());
        let others = start.arguments.iter().filter(|a| !is_choice(a));
        all.arguments = from_arguments(others.map(String::as_str), &start.source);
        if start.arguments.iter().any(|a| a == "--no-defaults") {
            return all;
        }
        if let Some(only) = start.argument("--defaults-file") {
            all.files = vec![only.into()];
            all.required.clone_from(&all.files);
            return all;
        }
        all.files = global();
        all.files.extend(start.variable("MYSQL_HOME").map(|dir| Path::new(&dir).join("my.cnf")));
        if let Some(extra) = start.argument("--defaults-extra-file") {
            all.files.push(extra.clone().into());
            all.required.push(extra.into());
        }
        let home = start.variable("HOME").map(PathBuf::from).or_else(|| start.home.clone());
        all.files.extend(home.map(|home| home.join(".my.cnf")));
        all
    }

    /// Reads the options. The second value says why one of the files was not read.
    pub(super) fn read(&self, root: &Path, version: Option<(u32, u32)>) -> (OptionFiles, Option<Error>) {
        self.read_with(root, version, &BTreeMap::new())
    }

    /// As [`Defaults::read`], as if these files had been written.
    pub(super) fn read_with(
        &self,
        root: &Path,
        version: Option<(u32, u32)>,
        planned: &BTreeMap<PathBuf, String>,
    ) -> (OptionFiles, Option<Error>) {
        let mut all = OptionFiles::default();
        let mut error = None;
        for file in &self.files {
            let place = root.join(file.strip_prefix("/").unwrap_or(file));
            match OptionFiles::read_with(&place, root, planned) {
                Ok(read) => all.append(read),
                Err(e) if e.io_kind() == Some(io::ErrorKind::NotFound) && !self.required.contains(file) => {}
                Err(e) => error = Some(e),
            }
        }
        all.entries.retain(|e| self.reads(&e.group, version));
        all.entries.extend(self.arguments.iter().cloned());
        (all, error)
    }

    /// Whether mysqld reads this group: `[mysqld]`, `[server]`, the one of its version, and these with the suffix.
    fn reads(&self, group: &str, version: Option<(u32, u32)>) -> bool {
        let is_servers = |group: &str| match (group.strip_prefix("mysqld-"), version) {
            (Some(of), Some((major, minor))) => of == format!("{major}.{minor}"),
            (Some(of), None) => of.starts_with(|c: char| c.is_ascii_digit()),
            (None, _) => group == "mysqld" || group == "server",
        };
        is_servers(group)
            || !self.suffix.is_empty() && group.strip_suffix(&self.suffix).is_some_and(is_servers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_server_are_those_of_its_version_and_its_suffix() {
        let plain = Defaults::default();
        let known = Some((8, 4));
        for (group, version, expected) in [
            ("mysqld", known, true),
            ("server", None, true),
            ("mysqld-8.4", known, true),
            ("mysqld-8.0", known, false),
            ("mysqld-8.0", None, true),
            ("mysqld_safe", known, false),
            ("mysqld@a", known, false),
            ("client", known, false),
        ] {
            assert_eq!(plain.reads(group, version), expected, "{group}");
        }
        let instance = Defaults { suffix: "@a".to_owned(), ..Defaults::default() };
        assert!(instance.reads("mysqld@a", known) && instance.reads("mysqld-8.4@a", known));
        assert!(instance.reads("mysqld", known) && !instance.reads("mysqld@b", known));
    }

    #[test]
    fn the_command_line_chooses_the_files() {
        let global = || vec![PathBuf::from("/etc/my.cnf")];
        let files = |arguments: &[&str], variables: &[(&str, &str)]| {
            let variables: Vec<_> =
                variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let start = Start {
                arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
                source: "/unit".into(),
                variables: &variables,
                home: Some("/home/mysql".into()),
            };
            let all = Defaults::of(&start, global);
            let files: Vec<_> = all.files.iter().map(|f| f.display().to_string()).collect();
            (files.join(" "), all)
        };
        assert_eq!(files(&["--port=1"], &[]).0, "/etc/my.cnf /home/mysql/.my.cnf");
        assert_eq!(files(&["--no-defaults", "--port=1"], &[]).0, "");
        assert_eq!(files(&["--defaults-file=/a", "--port=1"], &[("MYSQL_HOME", "/m")]).0, "/a");
        let (all, extra) = files(&["--defaults-extra-file=/x"], &[("MYSQL_HOME", "/m"), ("HOME", "/h")]);
        assert_eq!(all, "/etc/my.cnf /m/my.cnf /x /h/.my.cnf");
        assert_eq!(extra.required, [PathBuf::from("/x")]);
        let (_, instance) = files(&["--defaults-group-suffix=@a", "--early_plugin_load=x.so"], &[]);
        assert_eq!((&instance.suffix[..], instance.chosen.map_or(0, |c| c.len())), ("@a", 1));
        assert_eq!(instance.arguments[0].name, "early-plugin-load");
        assert_eq!(files(&[], &[("MYSQL_GROUP_SUFFIX", "@B")]).1.suffix, "@b", "groups have no case");
    }
}
