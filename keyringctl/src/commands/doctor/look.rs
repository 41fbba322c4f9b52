// SPDX-License-Identifier: GPL-2.0-or-later
//! What the checks look at: the server's installation, how it loads the keyring, and what is mounted.

use super::configured;
use super::finding::Findings;
use crate::commands::secret;
use crate::commands::site::{Site, mounts_below};
use crate::host::Host;
use crate::host::mounts::{self, Entry, Mount, mount_of};
use keyring_external::store::deadline;
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a volume may take to answer the first question.
const ANSWER: Duration = Duration::from_secs(10);

/// What the checks look at.
pub(in crate::commands) struct Look<'a> {
    pub site: &'a Site,
    /// The keyring as the server is configured for it.
    pub host: Host,
    pub read_only: bool,
    pub auto_create: bool,
    /// Where to read the secret, when it was said.
    pub secret: Option<UnlockSource>,
    pub mounts: Vec<Mount>,
    pub fstab: Vec<Entry>,
    /// Where the kernel tells of itself; elsewhere in tests.
    pub sys: PathBuf,
    pub proc: PathBuf,
}

impl<'a> Look<'a> {
    /// Looks. `None`: the server is not configured for a keyring of ours, and that was found.
    pub fn at(site: &'a Site, secret: Option<UnlockSource>, found: &mut Findings) -> Option<Look<'a>> {
        let configured = configured::find(site, found)?;
        if let Some(copy) =
            configured.host.copies().find(|copy| !answers(&site.at(copy), ANSWER, |p| drop(fs::metadata(p))))
        {
            found.wrong(
                "volume",
                copy,
                format!("the volume of {} does not answer within {} seconds", copy.display(), ANSWER.as_secs()),
                "The running server reads on from memory; no key can be made there, and nothing else was checked here.",
                &["look at the mount: a network server that is gone, a failing disk (dmesg)".to_owned(), "umount -f breaks a hung one off".to_owned()],
            );
            return None;
        }
        let fstab = site.text(Path::new("/etc/fstab")).ok().flatten().unwrap_or_default();
        Some(Look {
            site,
            host: configured.host,
            read_only: configured.read_only,
            auto_create: configured.auto_create,
            secret,
            mounts: mounts_below(&site.root),
            fstab: mounts::fstab(&fstab),
            sys: "/sys".into(),
            proc: "/proc".into(),
        })
    }

    /// A path of the server's, as this process names it.
    pub fn at_root(&self, path: &Path) -> PathBuf {
        self.site.at(path)
    }

    /// The mount that a path of the server's lies on.
    pub fn mount(&self, path: &Path) -> Option<&Mount> {
        mount_of(&self.mounts, &self.real(path))
    }

    /// A path of the server's without links, as far as it is there.
    fn real(&self, path: &Path) -> PathBuf {
        match fs::canonicalize(self.at_root(path)) {
            Ok(real) if real.starts_with(&self.site.root) => self.site.seen(&real),
            _ => path.to_owned(),
        }
    }

    /// The filesystem that a path lies on, by its device's number, `major:minor`.
    pub fn device(&self, path: &Path) -> Option<&str> {
        self.mount(path).map(|mount| mount.device.as_str())
    }

    /// The disk that a filesystem is on, by its name in the kernel; `None` when it is on none of its own.
    pub fn disk(&self, device: &str) -> Option<String> {
        let device = fs::canonicalize(self.sys.join("dev/block").join(device)).ok()?;
        // A partition lies in its disk's directory.
        let disk = if device.join("partition").exists() { device.parent()? } else { &device };
        Some(disk.file_name()?.to_string_lossy().into_owned())
    }

    /// The same, as commands in messages name it.
    pub fn commands(&self) -> secret::Args {
        secret::Args { unlock: self.secret(), recovery: false }
    }

    /// The source that the keyring is verified with: where root finds what mysqld gets.
    pub fn secret(&self) -> Option<UnlockSource> {
        if let Some(secret) = &self.secret {
            return Some(secret.clone());
        }
        match &self.host.unlock {
            UnlockSource::File(file) => Some(UnlockSource::File(self.at_root(file))),
            UnlockSource::Credential(_) => {
                self.host.credential.as_ref().map(|file| UnlockSource::File(self.at_root(file)))
            }
            // Those are mysqld's own.
            UnlockSource::Env(_) | UnlockSource::Command(_) => None,
        }
    }
}

/// Whether looking at a path comes to an end in that time.
fn answers(path: &Path, limit: Duration, look: impl FnOnce(&Path) + Send + 'static) -> bool {
    let place = path.to_owned();
    deadline::run(path, limit, move || look(&place)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_volume_that_does_not_answer_is_left_behind() {
        let (release, held) = mpsc::channel::<()>();
        assert!(answers(Path::new("/"), ANSWER, |_| {}));
        assert!(!answers(Path::new("/"), Duration::from_millis(1), move |_| held.recv().unwrap_or(())));
        drop(release);
    }
}
