// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads MySQL's option files as mysqld and its clients read them: lines under groups, with includes, quotes and escapes.

mod line;
mod links;
mod open;

pub use links::{below_root, directories_to};

use super::modifiers::resolve;
use crate::error::{Error, Result};
use crate::show::Shown;
use line::{Line, parse};
use open::Found;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The deepest nesting of `!include` that MySQL follows.
const DEPTH: usize = 10;
/// How many files are read. Files that include each other are read again and again.
const MAX_FILES: usize = 1000;

/// The options in option files, in the order in which MySQL reads them.
#[derive(Clone, Default, Debug)]
pub struct OptionFiles {
    /// The options of all groups.
    pub entries: Vec<OptionLine>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// Files that MySQL ignores because every user can write to them.
    pub ignored: Vec<PathBuf>,
    /// The directories that were read by `!includedir`, as the server sees them.
    pub directories: Vec<PathBuf>,
    /// The included files and directories, each with the file that includes it, as this process sees them.
    pub includes: Vec<(PathBuf, PathBuf)>,
    /// What has no effect: includes of what does not exist or is nested too deeply, and the rest of an included file that
    /// MySQL refuses.
    pub idle: Vec<String>,
    /// Lines that include a file that does not exist. They are in `idle` too.
    pub absent: Vec<AbsentFile>,
    /// Files that are about to be written, by their paths without links. They are read as if they were there.
    planned: BTreeMap<PathBuf, String>,
}

/// A line that includes a file that does not exist.
#[derive(Clone, Debug)]
pub struct AbsentFile {
    /// The file that does not exist, as the server sees it.
    pub path: PathBuf,
    /// The file with the line.
    pub by: PathBuf,
    /// The number of the line, from 1.
    pub line: usize,
}

impl AbsentFile {
    /// The line and what it includes, for messages.
    pub fn what(&self) -> String {
        format!("{} line {} includes {}, which does not exist", self.by.shown(), self.line, self.path.shown())
    }
}

/// Why the reading of a file stopped.
enum Stop {
    /// MySQL refuses the rest of the file. If another file includes it, that one is read on.
    Refused(Error),
    /// This process cannot read it.
    Failed(Error),
}

/// A line with an option.
#[derive(Clone, Debug)]
pub struct OptionLine {
    /// The group that it is in, in lower case.
    pub group: String,
    /// The option's name, as mysqld and its clients compare it: with hyphens, without `loose-`. One of the keyring's own is
    /// without `skip-` and the other modifiers too, which its value shows.
    pub name: String,
    /// Its value; `None` if the line has only a name.
    pub value: Option<String>,
    /// The file. For an argument on mysqld's command line: the systemd unit.
    pub file: PathBuf,
    /// The number of the line, from 1; 0 for an argument on mysqld's command line.
    pub line: usize,
}

impl OptionLine {
    /// Returns an error about this line.
    pub fn wrong(&self, why: &str) -> Error {
        wrong(&self.file, self.line, why)
    }

    /// Where the line is, for messages.
    pub fn place(&self) -> String {
        match self.line {
            0 => self.source(),
            line => format!("{} line {line}", self.file.shown()),
        }
    }

    /// What the line is in, for messages.
    pub fn source(&self) -> String {
        match self.line {
            0 if self.file.starts_with("/proc") => "the command line of the running mysqld".to_owned(),
            0 => format!("the command line of mysqld in {}", self.file.shown()),
            _ => self.file.shown(),
        }
    }
}

fn wrong(file: &Path, line: usize, why: &str) -> Error {
    Error::Usage(format!("{}, line {line}: {why}", file.shown()))
}

impl OptionFiles {
    /// Reads a file and what it includes. Paths in it are taken to be below `root`.
    ///
    /// # Errors
    /// A file cannot be read, contains what MySQL refuses, or leads to more than can be read.
    pub fn read(file: &Path, root: &Path) -> Result<OptionFiles> {
        OptionFiles::read_with(file, root, &BTreeMap::new())
    }

    /// As [`OptionFiles::read`], as if these files had been written, whose paths are without links.
    ///
    /// # Errors
    /// Those of [`OptionFiles::read`].
    pub fn read_with(file: &Path, root: &Path, planned: &BTreeMap<PathBuf, String>) -> Result<OptionFiles> {
        let mut all = OptionFiles { planned: planned.clone(), ..OptionFiles::default() };
        match all.add(file, root, 0) {
            Ok(()) => Ok(all),
            Err(Stop::Refused(e) | Stop::Failed(e)) => Err(e),
        }
    }

    /// Adds what another file contains, which is read after this one.
    pub fn append(&mut self, other: OptionFiles) {
        self.entries.extend(other.entries);
        self.files.extend(other.files);
        self.ignored.extend(other.ignored);
        self.directories.extend(other.directories);
        self.includes.extend(other.includes);
        self.idle.extend(other.idle);
        self.absent.extend(other.absent);
    }

    fn add(&mut self, file: &Path, root: &Path, depth: usize) -> std::result::Result<(), Stop> {
        if self.files.len() + self.ignored.len() >= MAX_FILES {
            return Err(Stop::Failed(Error::Usage(format!(
                "{} is one file too many: these option files lead to more than {MAX_FILES} others. Do they include each other?",
                file.shown()
            ))));
        }
        let found = match self.planned.get(&without_links(root, file)) {
            Some(text) => Found::Text(text.clone().into_bytes()),
            None => open::text(file, root, depth == 0).map_err(Stop::Failed)?,
        };
        let text = match found {
            Found::Text(text) => text,
            Found::Ignored => {
                // Anyone who can write to it could make a client connect to another server.
                self.ignored.push(file.to_owned());
                return Ok(());
            }
            Found::Directory => {
                self.idle.push(format!("{} is a directory: MySQL passes over it", file.shown()));
                return Ok(());
            }
        };
        self.files.push(file.to_owned());
        let mut group = None::<String>;
        for (number, line) in (1..).zip(String::from_utf8_lossy(&text).lines()) {
            let refused = |why: &str| Stop::Refused(wrong(file, number, why));
            match parse(line).map_err(|why| refused(&why))? {
                Line::Nothing => {}
                Line::Group(name) => group = Some(name),
                Line::Option(name, value) => {
                    let Some(group) = group.clone() else {
                        return Err(refused("there is an option before the first [group]"));
                    };
                    let (name, value) = resolve(&name.replace('_', "-"), value);
                    self.entries.push(OptionLine { group, name, value, file: file.to_owned(), line: number });
                }
                Line::Include(_) | Line::IncludeDir(_) if depth == DEPTH => {
                    self.idle.push(format!(
                        "{} line {number} is nested too deeply: MySQL ignores what it includes",
                        file.shown()
                    ));
                }
                Line::Include(path) => {
                    self.include(file, number, at(root, Path::new(&path)), root, depth + 1)?;
                }
                Line::IncludeDir(path) => {
                    for included in self.directory(file, number, Path::new(&path), root)? {
                        self.include(file, number, included, root, depth + 1)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds a file that line `number` of another one includes.
    fn include(
        &mut self,
        by: &Path,
        number: usize,
        file: PathBuf,
        root: &Path,
        depth: usize,
    ) -> std::result::Result<(), Stop> {
        let real = without_links(root, &file);
        match fs::metadata(&real) {
            Err(e) if e.kind() != io::ErrorKind::PermissionDenied && !self.planned.contains_key(&real) => {
                let path = Path::new("/").join(file.strip_prefix(root).unwrap_or(&file));
                let absent = AbsentFile { path, by: by.to_owned(), line: number };
                self.idle.push(absent.what());
                self.absent.push(absent);
                return Ok(());
            }
            _ => {}
        }
        let added = self.add(&file, root, depth);
        self.includes.push((file, by.to_owned()));
        match added {
            Err(Stop::Refused(why)) => {
                self.idle.push(format!("{why}. MySQL passes over the rest of that file"));
                Ok(())
            }
            done => done,
        }
    }

    /// Returns the option files in a directory, in MySQL's order.
    fn directory(
        &mut self,
        file: &Path,
        number: usize,
        path: &Path,
        root: &Path,
    ) -> std::result::Result<Vec<PathBuf>, Stop> {
        let dir = at(root, path);
        let entries = fs::read_dir(below_root(root, &dir)).map_err(|e| match e.kind() {
            // MySQL may be able to read it.
            io::ErrorKind::PermissionDenied => Stop::Failed(Error::io("read", &dir, e)),
            _ => Stop::Refused(wrong(
                file,
                number,
                &format!("cannot read the directory {}: {e}. mysqld does not start", path.shown()),
            )),
        })?;
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|e| Stop::Failed(Error::io("read", &dir, e)))?.file_name();
            if is_option_file(&name.to_string_lossy()) {
                names.push(name);
            }
        }
        let real = without_links(root, &dir);
        let planned = self.planned.keys().filter(|file| file.parent() == Some(&real));
        names.extend(planned.filter_map(|file| file.file_name()).map(OsStr::to_owned));
        names.retain(|name| is_option_file(&name.to_string_lossy()));
        names.sort();
        names.dedup();
        self.directories.push(path.components().collect());
        let files = names.into_iter().map(|name| dir.join(name)).collect();
        self.includes.push((dir, file.to_owned()));
        Ok(files)
    }
}

/// The option file that a line of an option file includes.
pub fn included_by(line: &str) -> Option<PathBuf> {
    match parse(line) {
        Ok(Line::Include(path)) => Some(path.into()),
        _ => None,
    }
}

/// Whether MySQL reads a file of this name in a directory.
fn is_option_file(name: &str) -> bool {
    name.ends_with(".cnf")
}

/// A path of this process without links.
fn without_links(root: &Path, path: &Path) -> PathBuf {
    if root == Path::new("/") {
        return fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    }
    below_root(root, path)
}

/// A path in an option file, as this process sees it.
fn at(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests;
