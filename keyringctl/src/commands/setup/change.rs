// SPDX-License-Identifier: GPL-2.0-or-later
//! The files that setup writes: shows what would change, and keeps the previous version of a file when it writes one.

use super::writable;
use crate::commands::site::Site;
use crate::error::{Error, Result};
use crate::host::apparmor::DIRECTORY;
use crate::show::Shown;
use keyring_external::store::file::real::effective_user;
use serde::Serialize;
use similar::TextDiff;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// A file that setup writes.
#[derive(Serialize)]
pub(in crate::commands) struct FileChange {
    /// Its path, as the server sees it.
    #[serde(serialize_with = "crate::show::path")]
    pub path: PathBuf,
    /// What it is for.
    pub what: &'static str,
    /// Its new contents.
    pub contents: String,
    /// Its permission bits.
    #[serde(serialize_with = "octal")]
    pub mode: u32,
    /// Its owner.
    pub owner: u32,
    /// Its group.
    pub group: u32,
    /// What is at the path now.
    pub found: ExistingFile,
}

/// What is at a path before it is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands) enum ExistingFile {
    /// No file.
    Nothing,
    /// A file with the same text, permissions and owner.
    Same,
    /// A file with the same text, but other permissions or another owner.
    OtherModes,
    /// A file with this other text.
    Other(String),
}

fn octal<S: serde::Serializer>(mode: &u32, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_str(&format!("{mode:04o}"))
}

impl FileChange {
    /// A file of root's. Compares its new contents with the existing file.
    pub(in crate::commands) fn new(
        site: &Site,
        path: &Path,
        what: &'static str,
        contents: String,
        mode: u32,
        group: u32,
    ) -> Result<Self> {
        FileChange::of(
            site,
            FileChange {
                path: path.to_owned(),
                what,
                contents,
                mode,
                owner: 0,
                group,
                found: ExistingFile::Nothing,
            },
        )
    }

    /// A change of a file that belongs to others, or a new one: adds lines at its end. Its owner and permissions stay.
    pub(in crate::commands) fn appended(
        site: &Site,
        path: &Path,
        what: &'static str,
        lines: &str,
        group: u32,
    ) -> Result<Self> {
        let place = site.at(path);
        let (bytes, mode, owner, group) = match fs::metadata(&place) {
            Ok(meta) => {
                let bytes = fs::read(&place).map_err(|e| Error::io("read", &place, e))?;
                (bytes, meta.mode() & 0o7777, meta.uid(), meta.gid())
            }
            Err(_) => (Vec::new(), 0o644, 0, group),
        };
        // Other bytes would not survive.
        let mut contents = String::from_utf8(bytes).map_err(|_| {
            let what = format!(
                "{} is not text in UTF-8 and was not changed: add these lines at its end, then run setup again:",
                place.shown()
            );
            Error::Lines(std::iter::once(what).chain(lines.lines().map(str::to_owned)).collect())
        })?;
        if !contents.is_empty() && !contents.ends_with('\n') {
            contents.push('\n');
        }
        contents.push_str(lines);
        FileChange::of(
            site,
            FileChange {
                path: path.to_owned(),
                what,
                contents,
                mode,
                owner,
                group,
                found: ExistingFile::Nothing,
            },
        )
    }

    /// Finds what is at the path.
    fn of(site: &Site, planned: FileChange) -> Result<Self> {
        let FileChange { path, contents, mode, owner, group, .. } = &planned;
        let place = site.at(path);
        let found = match fs::symlink_metadata(&place) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                writable::existing_directory(&place)?;
                ExistingFile::Nothing
            }
            Err(e) => return Err(Error::io("look at", &place, e)),
            Ok(meta) if !meta.is_file() => {
                return Err(Error::Usage(format!(
                    "{} is not a regular file and was not changed: move it away, or write the file yourself \
                     (keyringctl setup --dry-run shows its contents)",
                    place.shown()
                )));
            }
            Ok(meta) => {
                let text = fs::read(&place).map_err(|e| Error::io("read", &place, e))?;
                let text = String::from_utf8_lossy(&text).into_owned();
                // Only root can set an owner; other users keep the files that they create.
                let (uid, gid) = if is_root() { (*owner, *group) } else { (meta.uid(), meta.gid()) };
                if text != *contents {
                    ExistingFile::Other(text)
                } else if (meta.mode() & 0o7777, meta.uid(), meta.gid()) != (*mode, uid, gid) {
                    ExistingFile::OtherModes
                } else {
                    ExistingFile::Same
                }
            }
        };
        Ok(FileChange { found, ..planned })
    }

    /// Describes the change as text.
    pub(in crate::commands) fn text(&self) -> String {
        let path = self.path.shown();
        let about = format!("{path} ({}, mode {:04o})", self.what, self.mode);
        match &self.found {
            ExistingFile::Nothing => format!("NEW        {about}\n{}", indented(&self.contents)),
            ExistingFile::Same => format!("UNCHANGED  {about}\n"),
            ExistingFile::OtherModes => {
                format!("MODES      {about}: only its owner or permissions change\n")
            }
            ExistingFile::Other(old) => {
                let diff = TextDiff::from_lines(old.as_str(), self.contents.as_str());
                let diff = diff.unified_diff().header("current file", "new file").to_string();
                format!("CHANGED    {about}\n{}", indented(&diff))
            }
        }
    }

    /// The ending of the file's previous version, after its `.bak` and number: AppArmor loads every file in its directory
    /// as a profile, except for those with certain endings. The old profile would override the new one.
    fn ending(&self) -> &'static str {
        if self.path.parent() == Some(Path::new(DIRECTORY)) { "~" } else { "" }
    }

    /// Checks that the file can be written, before anything is.
    pub(in crate::commands) fn check_writable(&self, site: &Site) -> Result<()> {
        if self.found == ExistingFile::Same { Ok(()) } else { writable::check(&site.at(&self.path)) }
    }

    /// Writes the file durably. If a file with other contents exists, keeps it and returns its new path.
    pub(in crate::commands) fn write(&self, site: &Site) -> Result<Option<PathBuf>> {
        if self.found == ExistingFile::Same {
            return Ok(None);
        }
        let place = site.at(&self.path);
        let dir = place.parent().unwrap_or(Path::new("/"));
        let created = fs::DirBuilder::new().recursive(true).mode(0o755).create(dir);
        created.map_err(|e| Error::io("create", dir, e))?;
        let kept = if matches!(self.found, ExistingFile::Other(_)) {
            Some(keep(&place, self.ending())?)
        } else {
            None
        };
        let failed = |e| Error::io("write", &place, e);
        let mut temporary = OsString::from(&place);
        temporary.push(".keyringctl");
        let temporary = PathBuf::from(temporary);
        // Left by an interrupted write.
        let _ = fs::remove_file(&temporary);
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(self.contents.as_bytes())?;
            if is_root() {
                fchown(&file, Some(self.owner), Some(self.group))?;
            }
            file.set_permissions(fs::Permissions::from_mode(self.mode))?;
            file.sync_all()?;
            fs::rename(&temporary, &place)?;
            File::open(dir)?.sync_all()
        };
        write().inspect_err(|_| drop(fs::remove_file(&temporary))).map_err(failed)?;
        Ok(kept)
    }
}

/// Keeps a file as `.bak`, `.bak1` and so on, with this ending: the first name that is free.
fn keep(place: &Path, ending: &str) -> Result<PathBuf> {
    for n in 0..100 {
        let mut name = OsString::from(place);
        name.push(if n == 0 { format!(".bak{ending}") } else { format!(".bak{n}{ending}") });
        let backup = PathBuf::from(name);
        // A second name for the same file, which remains when the new file is renamed over the first.
        match fs::hard_link(place, &backup) {
            Ok(()) => return Ok(backup),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io("keep", &backup, e)),
        }
    }
    Err(Error::Usage(format!(
        "{0}.bak{ending} to .bak99{ending} exist already: move some of them away",
        place.shown()
    )))
}

pub(in crate::commands) fn is_root() -> bool {
    effective_user() == 0
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    | {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(dir: &Path) -> Site {
        Site { root: dir.to_owned(), ..Site::default() }
    }

    fn change(site: &Site, contents: &str) -> FileChange {
        let group = if is_root() { 0 } else { rustix::process::getegid().as_raw() };
        FileChange::new(site, Path::new("/etc/x/a.cnf"), "a test", contents.to_owned(), 0o644, group).unwrap()
    }

    #[test]
    fn a_new_file_is_written_and_then_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let new = change(&site, "one\n");
        assert_eq!(new.found, ExistingFile::Nothing);
        assert!(new.text().contains("NEW") && new.text().contains("| one"));
        assert_eq!(new.write(&site).unwrap(), None);
        let again = change(&site, "one\n");
        assert_eq!(again.found, ExistingFile::Same);
        assert!(again.text().starts_with("UNCHANGED"));
        fs::set_permissions(dir.path().join("etc/x/a.cnf"), fs::Permissions::from_mode(0o600)).unwrap();
        let modes = change(&site, "one\n");
        assert_eq!(modes.found, ExistingFile::OtherModes);
        modes.write(&site).unwrap();
        assert_eq!(change(&site, "one\n").found, ExistingFile::Same);
        assert_eq!(fs::read_dir(dir.path().join("etc/x")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_others_keeps_its_owner_and_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let (path, place) = (Path::new("/my.cnf"), dir.path().join("my.cnf"));
        let append = || FileChange::appended(&site, path, "a test", "two\n", 0);
        fs::write(&place, "one").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o640)).unwrap();
        if is_root() {
            std::os::unix::fs::chown(&place, Some(7), Some(8)).unwrap();
        }
        let before = fs::metadata(&place).map(|m| (m.mode(), m.uid(), m.gid())).unwrap();
        append().unwrap().write(&site).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "one\ntwo\n");
        assert_eq!(fs::metadata(&place).map(|m| (m.mode(), m.uid(), m.gid())).unwrap(), before);
        fs::write(&place, b"# caf\xe9\n").unwrap();
        let refused = append().err().unwrap().to_string();
        assert!(refused.contains("is not text in UTF-8") && refused.ends_with("\ntwo"), "{refused}");
        fs::remove_file(&place).unwrap();
        assert_eq!(append().unwrap().contents, "two\n");
    }

    #[test]
    fn the_previous_file_is_kept_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        change(&site, "one\n").write(&site).unwrap();
        let second = change(&site, "two\n");
        assert!(second.text().contains("-one") && second.text().contains("+two"), "{}", second.text());
        let kept = second.write(&site).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&kept).unwrap(), "one\n");
        let kept_too = change(&site, "three\n").write(&site).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&kept_too).unwrap(), "two\n");
        assert_eq!(fs::read_to_string(&kept).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(dir.path().join("etc/x/a.cnf")).unwrap(), "three\n");
    }

    #[test]
    fn a_link_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        fs::create_dir_all(dir.path().join("etc/x")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("etc/x/a.cnf")).unwrap();
        let refused = FileChange::new(&site, Path::new("/etc/x/a.cnf"), "a", String::new(), 0o644, 0);
        assert!(refused.err().unwrap().to_string().contains("not a regular file"));
    }
}
