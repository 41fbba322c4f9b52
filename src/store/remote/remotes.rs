// SPDX-License-Identifier: GPL-2.0-or-later
//! The remotes file: which engines there are, and how to reach them (docs/REMOTES.md).

mod fields;
mod json;
mod parse;
mod settings;
mod source;

pub use settings::{EtcdSettings, Kind, Remote, S3Settings, VaultLogin, VaultSettings};
pub use source::{Secret, Source};

use crate::store::remote::objects::{Answer, Cause, Trouble};
use crate::unlock::UnlockSource;
use parse::Mistake;
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Maximum length of the file in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// Permissions that the file must not give: to others, and to write for the group.
const REFUSED: u32 = 0o027;

/// What a remotes file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remotes {
    file: PathBuf,
    all: Vec<Remote>,
}

impl Remotes {
    /// Reads a remotes file.
    ///
    /// # Errors
    /// [`Cause::Settings`], with the file, the remote and the field.
    pub fn read(file: &Path) -> Answer<Self> {
        Self::read_as(file, rustix::process::geteuid().as_raw())
    }

    /// As [`Remotes::read`], for a program that runs as `user`.
    fn read_as(file: &Path, user: u32) -> Answer<Self> {
        let cannot = |why: String| {
            Trouble::not_done(
                Cause::Settings,
                format!("cannot use the remotes file {}: {why}", file.display()),
            )
        };
        let (text, meta) = text_of(file, user).map_err(cannot)?;
        let all = parse::parse(&text).map_err(|mistake| cannot(told(mistake)))?;
        // A program that root runs must not be named by another user.
        if user == 0 && meta.uid() != 0 {
            let command = |remote: &&Remote| {
                remote.sources().iter().any(|source| matches!(source.source(), UnlockSource::Command(_)))
            };
            if let Some(remote) = all.iter().find(command) {
                return Err(cannot(format!(
                    "remote \"{}\" names a program with command:, but the file belongs to user id {} and root would \
                     run the program: run chown root {}",
                    remote.name,
                    meta.uid(),
                    file.display()
                )));
            }
        }
        Ok(Self { file: file.to_owned(), all })
    }

    /// Checks the text of a remotes file that is to be written.
    ///
    /// # Errors
    /// What is wrong, with the remote and the field.
    pub fn check(text: &[u8]) -> Result<(), String> {
        parse::parse(text).map(drop).map_err(told)
    }

    /// A remote by its name, without the `@`.
    ///
    /// # Errors
    /// [`Cause::Settings`] if the file has none of this name.
    pub fn get(&self, name: &str) -> Answer<&Remote> {
        self.all.iter().find(|remote| remote.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.all.iter().map(|remote| remote.name.as_str()).collect();
            let has = if names.is_empty() {
                "it is empty".to_owned()
            } else {
                format!("it has {}", names.join(", "))
            };
            let told = format!("the remotes file {} has no remote \"{name}\": {has}", self.file.display());
            Trouble::not_done(Cause::Settings, told)
        })
    }

    /// All remotes, in the order of the file.
    pub fn all(&self) -> &[Remote] {
        &self.all
    }
}

fn told(Mistake { remote, why }: Mistake) -> String {
    match remote {
        Some(remote) => format!("remote \"{remote}\": {why}"),
        None => why,
    }
}

/// The text of the file, once its owner and mode were checked.
fn text_of(path: &Path, user: u32) -> Result<(Zeroizing<Vec<u8>>, Metadata), String> {
    let shown = path.display();
    let file = open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            "it does not exist. Create it with mode 0640, owner root and the group of mysqld, \
                                    or name another one with keyring_external_remotes or --remotes"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            format!("{e}: the user that reads it must be in its group, or own it")
        }
        _ => e.to_string(),
    })?;
    let meta = file.metadata().map_err(|e| e.to_string())?;
    if !meta.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if meta.mode() & REFUSED != 0 {
        let mode = meta.mode() & 0o7777;
        let who = if mode & 0o007 != 0 { "is open to other users" } else { "can be written by its group" };
        return Err(format!("it {who} (mode {mode:04o}): run chmod 0640 {shown}"));
    }
    if user != 0 && meta.uid() != 0 && meta.uid() != user {
        return Err(format!(
            "it belongs to user id {}, who is neither root nor the user that reads it ({user}): run chown root {shown}",
            meta.uid()
        ));
    }
    let mut text = Zeroizing::new(Vec::new());
    file.take(MAX_FILE + 1).read_to_end(&mut text).map_err(|e| e.to_string())?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!("it is longer than {MAX_FILE} bytes"));
    }
    Ok((text, meta))
}

fn open(path: &Path) -> io::Result<File> {
    // A pipe in the file's place must not block.
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

#[cfg(test)]
mod tests;
