// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds out how mysqld is started, and from that which option files it reads.

use super::defaults::{Defaults, Start};
use super::parts::Site;
use crate::error::{Error, Result};
use crate::host::accounts;
use crate::show::Shown;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Option files of every MySQL server, in its order. On Debian, the second one is a link.
const OPTION_FILES: [&str; 2] = ["/etc/my.cnf", "/etc/mysql/my.cnf"];
/// Bitnami's mysqld, and the only option file that its scripts let it read.
const BITNAMI: [&str; 2] = ["/opt/bitnami/mysql", "/opt/bitnami/mysql/conf/my.cnf"];

/// How the mysqld of this site finds its options. `named`: the option files of the command line of this program.
pub(super) fn defaults(site: &Site, named: Vec<PathBuf>) -> Result<Defaults> {
    if let Some(missing) = named.iter().find(|file| !site.real(file).exists()) {
        return Err(Error::Usage(format!(
            "the option file {} does not exist (--option-file). Nothing was changed",
            site.at(missing).shown()
        )));
    }
    if !named.is_empty() {
        return Ok(Defaults::only(named));
    }
    let (source, mut arguments) = arguments(site);
    let bitnami = BITNAMI.map(Path::new);
    if arguments.is_empty() && site.mysqld.starts_with(bitnami[0]) && site.at(bitnami[1]).exists() {
        arguments.push(format!("--defaults-file={}", BITNAMI[1]));
    }
    // systemd sets HOME for a service that has an account.
    let passwd = site.text(Path::new("/etc/passwd")).ok().flatten().unwrap_or_default();
    let home = site.unit.as_ref().and_then(|unit| accounts::home(&passwd, unit.user()?));
    let start = Start { arguments, source: site.at(&source), variables: &site.environment, home };
    Ok(Defaults::of(&start, || global(site)))
}

/// The files that mysqld reads whatever its command line and its account are.
fn global(site: &Site) -> Vec<PathBuf> {
    let printed = if site.is_below() { None } else { printed(&site.mysqld) };
    printed.unwrap_or_else(|| {
        let mut all: Vec<_> = OPTION_FILES.iter().map(PathBuf::from).collect();
        // Where a MySQL looks that was built for the directory above that of its program.
        all.extend(site.prefix().map(|prefix| prefix.join("etc/my.cnf")));
        all
    })
}

/// The arguments of mysqld and where they are: in its unit or, without one, those of the only mysqld that runs.
fn arguments(site: &Site) -> (PathBuf, Vec<String>) {
    let is_mysqld = |word: &String| {
        Path::new(word).file_name().is_some_and(|name| name.to_string_lossy().starts_with("mysqld"))
    };
    if site.unit.is_some() {
        let mut words = site.command.clone();
        // Another program may start it, such as env.
        let program = words.iter().position(is_mysqld);
        return (site.unit_file.clone(), program.map_or_else(Vec::new, |at| words.split_off(at + 1)));
    }
    running(site).unwrap_or_default()
}

/// The command line of the only running process of this mysqld.
fn running(site: &Site) -> Option<(PathBuf, Vec<String>)> {
    if site.is_below() {
        return None;
    }
    let program = fs::canonicalize(&site.mysqld).ok()?;
    let processes = fs::read_dir("/proc").ok()?.flatten().map(|e| e.path());
    let mut found = processes.filter(|p| fs::read_link(p.join("exe")).is_ok_and(|exe| exe == program));
    let (process, others) = (found.next()?, found.next());
    if others.is_some() {
        return None;
    }
    let file = process.join("cmdline");
    let arguments = words(&file).ok()?.into_iter().skip(1).collect();
    Some((file, arguments))
}

/// How a running mysqld found its options.
pub(super) fn of_process(site: &Site, pid: u32) -> Result<Defaults> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let read = |name: &str| {
        let file = process.join(name);
        words(&file).map_err(|e| Error::io("read", &file, e))
    };
    let variables = read("environ")?.into_iter();
    let variables: Vec<_> =
        variables.filter_map(|v| v.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()))).collect();
    let arguments = read("cmdline")?.into_iter().skip(1).collect();
    let start = Start { arguments, source: process.join("cmdline"), variables: &variables, home: None };
    Ok(Defaults::of(&start, || global(site)))
}

/// The words of a file in /proc that has them one after the other.
fn words(file: &Path) -> io::Result<Vec<String>> {
    let text = fs::read(file)?;
    let words = text.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    Ok(words.filter(|word| !word.is_empty()).collect())
}

/// The option files that the programs of this MySQL read, as its `my_print_defaults` says. mysqld itself would open its
/// keyring before it tells them.
fn printed(mysqld: &Path) -> Option<Vec<PathBuf>> {
    let dir = mysqld.parent()?;
    let program = [dir.to_owned(), dir.with_file_name("bin")].map(|dir| dir.join("my_print_defaults"));
    let program = program.iter().find(|program| program.exists())?;
    let mut command = Command::new(program);
    command.arg("--help").env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    files_in(&String::from_utf8_lossy(&command.output().ok()?.stdout))
}

/// The option files in the help text of a program, without that of the user.
fn files_in(help: &str) -> Option<Vec<PathBuf>> {
    let mut lines = help.lines().skip_while(|line| !line.contains("in the given order"));
    let files = lines.nth(1)?.split_whitespace().map(PathBuf::from);
    let files: Vec<_> = files.filter(|file| file.is_absolute()).collect();
    (!files.is_empty()).then_some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_taken_from_the_help_text() {
        let help = "Usage: x\n\nDefault options are read from the following files in the given order:\n\
                    /etc/my.cnf /etc/mysql/my.cnf /usr/etc/my.cnf ~/.my.cnf \n\nVariables\n";
        let files = ["/etc/my.cnf", "/etc/mysql/my.cnf", "/usr/etc/my.cnf"].map(PathBuf::from);
        assert_eq!(files_in(help).as_deref(), Some(&files[..]));
        assert_eq!(files_in("Usage: x\n"), None);
    }
}
