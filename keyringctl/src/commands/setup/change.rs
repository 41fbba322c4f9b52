// SPDX-License-Identifier: GPL-2.0-or-later
//! The files that setup writes: what each would change, and writing it so that nothing of others is lost.

use crate::commands::site::Site;
use crate::error::{Error, Result};
use keyring_external::store::real::effective_user;
use keyring_external::store::volume::directory_of;
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use serde::Serialize;
use similar::TextDiff;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// A file to be written.
#[derive(Serialize)]
pub(super) struct Change {
    /// Its path, as the server sees it.
    pub path: PathBuf,
    /// What it is for.
    pub what: &'static str,
    /// What is to be in it.
    pub contents: String,
    /// Its permission bits.
    #[serde(serialize_with = "octal")]
    pub mode: u32,
    /// The group that may read it; root otherwise.
    pub group: u32,
    /// What there is now.
    pub found: Found,
}

/// What is at a file's place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// The same already.
    Same,
    /// The same text, but other permissions or another owner.
    OtherModes,
    /// Something else.
    Other(String),
}

fn octal<S: serde::Serializer>(mode: &u32, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_str(&format!("{mode:04o}"))
}

impl Change {
    /// Compares with what is there.
    pub fn new(
        site: &Site,
        path: &Path,
        what: &'static str,
        contents: String,
        mode: u32,
        group: u32,
    ) -> Result<Self> {
        let place = site.at(path);
        let found = match fs::symlink_metadata(&place) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Found::Nothing
            }
            Err(e) => return Err(Error::io("look at", &place, e)),
            Ok(meta) if !meta.is_file() => {
                return Err(Error::Usage(format!(
                    "{} is no regular file, and was left as it is: move it away, or write the file yourself \
                     (keyringctl setup --dry-run shows it)",
                    place.display()
                )));
            }
            Ok(meta) => {
                let text = fs::read(&place).map_err(|e| Error::io("read", &place, e))?;
                let text = String::from_utf8_lossy(&text).into_owned();
                // Who is not root keeps what he makes.
                let (uid, gid) = if is_root() { (0, group) } else { (meta.uid(), meta.gid()) };
                if text != contents {
                    Found::Other(text)
                } else if (meta.mode() & 0o7777, meta.uid(), meta.gid()) != (mode, uid, gid) {
                    Found::OtherModes
                } else {
                    Found::Same
                }
            }
        };
        Ok(Change { path: path.to_owned(), what, contents, mode, group, found })
    }

    /// What writing it would change, as people read it.
    pub fn shown(&self) -> String {
        let path = self.path.display();
        let about = format!("{path} ({}, mode {:04o})", self.what, self.mode);
        match &self.found {
            Found::Nothing => format!("NEW        {about}\n{}", indented(&self.contents)),
            Found::Same => format!("UNCHANGED  {about}\n"),
            Found::OtherModes => format!("MODES      {about}: only its owner or permissions change\n"),
            Found::Other(old) => {
                let diff = TextDiff::from_lines(old.as_str(), self.contents.as_str());
                let diff = diff.unified_diff().header("as it is", "as it would be").to_string();
                format!("CHANGED    {about}\n{}", indented(&diff))
            }
        }
    }

    /// Writes it, durably. What was there with other contents is kept beside it; answers under which name.
    pub fn write(&self, site: &Site) -> Result<Option<PathBuf>> {
        if self.found == Found::Same {
            return Ok(None);
        }
        let place = site.at(&self.path);
        let dir = place.parent().unwrap_or(Path::new("/"));
        let make = fs::DirBuilder::new().recursive(true).mode(0o755).create(dir);
        make.map_err(|e| Error::io("create", dir, e))?;
        let kept = if matches!(self.found, Found::Other(_)) { Some(keep(&place)?) } else { None };
        let told = |e| Error::io("write", &place, e);
        let mut temporary = OsString::from(&place);
        temporary.push(".keyringctl");
        let temporary = PathBuf::from(temporary);
        // One that an interruption left.
        let _ = fs::remove_file(&temporary);
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(self.contents.as_bytes())?;
            if is_root() {
                fchown(&file, Some(0), Some(self.group))?;
            }
            file.set_permissions(fs::Permissions::from_mode(self.mode))?;
            file.sync_all()?;
            fs::rename(&temporary, &place)?;
            File::open(dir)?.sync_all()
        };
        write().inspect_err(|_| drop(fs::remove_file(&temporary))).map_err(told)?;
        Ok(kept)
    }
}

/// Keeps a file under the first free one of `.bak`, `.bak1` and so on.
fn keep(place: &Path) -> Result<PathBuf> {
    for n in 0..100 {
        let mut name = OsString::from(place);
        name.push(if n == 0 { ".bak".to_owned() } else { format!(".bak{n}") });
        let backup = PathBuf::from(name);
        // A second name for the same file: it takes the old one over when the new one gets its place.
        match fs::hard_link(place, &backup) {
            Ok(()) => return Ok(backup),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io("keep", &backup, e)),
        }
    }
    Err(Error::Usage(format!("{}.bak to .bak99 are there already: move some away", place.display())))
}

/// Makes a directory for a keyring, its parent there already, with mode 0700.
///
/// The parent may be somebody else's, as below /media: what root gives to mysqld is the directory that it has open, not
/// what its path leads to by then.
pub(super) fn make_directory(path: &Path, owner: Option<(u32, u32)>) -> Result<()> {
    make_directory_and(path, owner, || {})
}

/// As [`make_directory`]; calls `made` in between.
fn make_directory_and(path: &Path, owner: Option<(u32, u32)>, made: impl FnOnce()) -> Result<()> {
    let told = |e: Errno| Error::io("create", path, e.into());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(directory_of(path), flags, Mode::empty()).map_err(told)?;
    let name = path.file_name().ok_or(Errno::INVAL).map_err(told)?;
    rustix::fs::mkdirat(&parent, name, Mode::RWXU).map_err(told)?;
    made();
    let dir = match rustix::fs::openat(&parent, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(dir) if rustix::fs::fstat(&dir).map_err(told)?.st_uid == effective_user() => dir,
        Ok(_) | Err(Errno::LOOP | Errno::NOTDIR | Errno::NOENT) => {
            return Err(Error::Usage(format!(
                "something else was put in the place of {} while it was made: somebody else can change {}. Nothing was \
                 given away; see who that is (ls -la), or make the directory by hand, and run setup again",
                path.display(),
                directory_of(path).display()
            )));
        }
        Err(e) => return Err(told(e)),
    };
    let finish = || {
        // The umask may have taken bits away.
        rustix::fs::fchmod(&dir, Mode::RWXU)?;
        if let Some((uid, gid)) = owner {
            rustix::fs::fchown(&dir, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        rustix::fs::fsync(&dir)?;
        rustix::fs::fsync(&parent)
    };
    finish().map_err(told)
}

pub(super) fn is_root() -> bool {
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

    fn change(site: &Site, contents: &str) -> Change {
        let group = if is_root() { 0 } else { rustix::process::getegid().as_raw() };
        Change::new(site, Path::new("/etc/x/a.cnf"), "a test", contents.to_owned(), 0o644, group).unwrap()
    }

    #[test]
    fn a_new_file_is_written_and_then_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let new = change(&site, "one\n");
        assert_eq!(new.found, Found::Nothing);
        assert!(new.shown().contains("NEW") && new.shown().contains("| one"));
        assert_eq!(new.write(&site).unwrap(), None);
        let again = change(&site, "one\n");
        assert_eq!(again.found, Found::Same);
        assert!(again.shown().starts_with("UNCHANGED"));
        fs::set_permissions(dir.path().join("etc/x/a.cnf"), fs::Permissions::from_mode(0o600)).unwrap();
        let modes = change(&site, "one\n");
        assert_eq!(modes.found, Found::OtherModes);
        modes.write(&site).unwrap();
        assert_eq!(change(&site, "one\n").found, Found::Same);
        assert_eq!(fs::read_dir(dir.path().join("etc/x")).unwrap().count(), 1);
    }

    #[test]
    fn what_was_there_is_kept_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        change(&site, "one\n").write(&site).unwrap();
        let second = change(&site, "two\n");
        assert!(second.shown().contains("-one") && second.shown().contains("+two"), "{}", second.shown());
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
        let refused = Change::new(&site, Path::new("/etc/x/a.cnf"), "a", String::new(), 0o644, 0);
        assert!(refused.err().unwrap().to_string().contains("no regular file"));
    }
    #[test]
    fn a_directory_is_made_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        make_directory(&keys, None).unwrap();
        assert_eq!(fs::symlink_metadata(&keys).unwrap().mode() & 0o7777, 0o700);
        assert!(make_directory(&keys, None).is_err(), "one that is there is left alone");
    }

    #[test]
    fn a_directory_that_is_swapped_while_it_is_made_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (keys, target) = (dir.path().join("keys"), dir.path().join("target"));
        fs::create_dir(&target).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
        // Only root can give it away; 1 is nobody's here.
        let owner = is_root().then_some((1, 1));
        let before = fs::metadata(&target).map(|m| (m.mode(), m.uid(), m.gid())).unwrap();
        let swapped = make_directory_and(&keys, owner, || {
            fs::rename(&keys, dir.path().join("aside")).unwrap();
            std::os::unix::fs::symlink(&target, &keys).unwrap();
        });
        let told = swapped.unwrap_err().to_string();
        assert!(told.contains("was put in the place of") && told.contains("keys"), "{told}");
        assert_eq!(fs::metadata(&target).map(|m| (m.mode(), m.uid(), m.gid())).unwrap(), before);
        let aside = fs::metadata(dir.path().join("aside")).unwrap();
        assert_eq!(aside.uid(), effective_user(), "what was made is not given away either");
    }

    #[test]
    fn a_directory_of_somebody_else_is_not_taken_for_the_one_made() {
        if !is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (keys, other) = (dir.path().join("keys"), dir.path().join("other"));
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::chown(&other, Some(7), Some(7)).unwrap();
        let swapped = make_directory_and(&keys, Some((1, 1)), || {
            fs::remove_dir(&keys).unwrap();
            fs::rename(&other, &keys).unwrap();
        });
        assert!(swapped.is_err());
        assert_eq!(fs::metadata(&keys).unwrap().uid(), 7);
    }
}
