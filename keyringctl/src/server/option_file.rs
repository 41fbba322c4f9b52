// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads MySQL's option files: lines under groups, with includes, quotes and escapes.

use crate::error::{Error, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The deepest nesting of `!include`.
const DEPTH: usize = 8;

/// The options in option files, in the order in which MySQL reads them.
#[derive(Clone, Default, Debug)]
pub struct OptionFiles {
    /// The options of all groups.
    pub entries: Vec<OptionLine>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// Files that MySQL ignores because every user can write to them.
    pub ignored: Vec<PathBuf>,
}

/// A line with an option.
#[derive(Clone, Debug)]
pub struct OptionLine {
    /// The group that it is in.
    pub group: String,
    /// The option's name, as mysqld and its clients compare it: with hyphens, without `loose-`.
    pub name: String,
    /// Its value; `None` if the line has only a name.
    pub value: Option<String>,
    /// The file.
    pub file: PathBuf,
    /// The number of the line, from 1.
    pub line: usize,
}

impl OptionLine {
    /// Returns an error about this line.
    pub fn wrong(&self, why: &str) -> Error {
        wrong(&self.file, self.line, why)
    }
}

fn wrong(file: &Path, line: usize, why: &str) -> Error {
    Error::Usage(format!("{}, line {line}: {why}", file.display()))
}

impl OptionFiles {
    /// Reads a file and what it includes. Paths in it are taken to be below `root`.
    ///
    /// # Errors
    /// A file cannot be read, or there is an unknown directive.
    pub fn read(file: &Path, root: &Path) -> Result<OptionFiles> {
        let mut all = OptionFiles::default();
        all.add(file, root, 0)?;
        Ok(all)
    }

    fn add(&mut self, file: &Path, root: &Path, depth: usize) -> Result<()> {
        let failed = |e| Error::io("read", file, e);
        let mode = fs::metadata(file).map_err(failed)?.permissions().mode();
        if mode & 0o002 != 0 {
            // Anyone who can write to it could make a client connect to another server.
            self.ignored.push(file.to_owned());
            return Ok(());
        }
        let text = fs::read(file).map_err(failed)?;
        self.files.push(file.to_owned());
        let mut group = String::new();
        for (number, line) in (1..).zip(String::from_utf8_lossy(&text).lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(directive) = line.strip_prefix('!') {
                if depth == DEPTH {
                    return Err(wrong(file, number, "!include is nested too deeply"));
                }
                for included in included(directive, file, root)? {
                    self.add(&included, root, depth + 1)?;
                }
            } else if let Some(header) = line.strip_prefix('[') {
                header.split(']').next().unwrap_or_default().trim().clone_into(&mut group);
            } else {
                let (name, value) = assignment(line);
                let name = name.replace('_', "-");
                let name = name.strip_prefix("loose-").unwrap_or(&name).to_owned();
                let group = group.clone();
                self.entries.push(OptionLine { group, name, value, file: file.to_owned(), line: number });
            }
        }
        Ok(())
    }
}

/// Returns the files of `!include FILE` or `!includedir DIRECTORY`.
fn included(directive: &str, from: &Path, root: &Path) -> Result<Vec<PathBuf>> {
    let (word, path) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
    let path = Path::new(path.trim());
    let path = path.strip_prefix("/").map_or_else(|_| path.to_owned(), |below| root.join(below));
    match word {
        "include" => Ok(vec![path]),
        "includedir" => {
            let failed = |e| Error::io("read", &path, e);
            let mut files = Vec::new();
            for entry in fs::read_dir(&path).map_err(failed)? {
                let file = entry.map_err(failed)?.path();
                if file.extension().is_some_and(|e| e == "cnf") {
                    files.push(file);
                }
            }
            files.sort();
            Ok(files)
        }
        _ => Err(Error::Usage(format!("{}: unknown directive !{word}", from.display()))),
    }
}

/// Parses `name = value`, with MySQL's quotes, escapes and comments at the end of a line.
fn assignment(line: &str) -> (String, Option<String>) {
    let Some((name, value)) = line.split_once('=') else {
        return (line.split('#').next().unwrap_or_default().trim().to_owned(), None);
    };
    let value = value.trim();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let body = match quote {
        Some(quote) => value.get(1..).and_then(|rest| Some(&rest[..rest.rfind(quote)?])).unwrap_or(value),
        None => value.split(" #").next().unwrap_or_default().trim_end(),
    };
    (name.trim().to_owned(), Some(unescaped(body)))
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('s') => out.push(' '),
            Some('\\') => out.push('\\'),
            // An unknown escape stays as it is.
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}
