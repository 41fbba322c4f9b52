// SPDX-License-Identifier: GPL-2.0-or-later
//! What the checks examine: the server's installation, how it loads the keyring, and what is mounted.

use super::configured;
use super::finding::Findings;
use crate::commands::secret;
use crate::commands::site::{Site, mounts_below};
use crate::host::Host;
use crate::host::mounts::{self, FstabEntry, Mount, mount_of};
use crate::show::Shown;
use keyring_external::store::deadline;
use keyring_external::store::places::is_remote;
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a volume may take to answer the first request.
const ANSWER: Duration = Duration::from_secs(10);

/// What the checks examine.
pub(in crate::commands) struct HostView<'a> {
    pub site: &'a Site,
    /// The keyring as the server is configured for it.
    pub host: Host,
    /// Where to read the secret, from `--unlock`.
    pub secret: Option<UnlockSource>,
    pub mounts: Vec<Mount>,
    pub fstab: Vec<FstabEntry>,
    /// The kernel's filesystems; tests use other directories.
    pub sys: PathBuf,
    pub proc: PathBuf,
}

impl<'a> HostView<'a> {
    /// Collects it all. `None` if the server is not configured for keyring_external, which is then among the findings.
    pub(crate) fn collect(
        site: &'a Site,
        secret: Option<UnlockSource>,
        found: &mut Findings,
    ) -> Option<HostView<'a>> {
        let configured = configured::find(site, found)?;
        if let Some(copy) = configured
            .host
            .files()
            .map(|(_, copy)| copy)
            .find(|copy| !answers(&site.at(copy), ANSWER, |p| drop(fs::metadata(p))))
        {
            found.error(
                "volume",
                copy,
                format!("the volume of {} did not answer within {} seconds", copy.shown(), ANSWER.as_secs()),
                "A running server still reads keys from memory, but can store no new key there. doctor checked nothing else.",
                &["check the mount: is the network server down, or the disk failing (dmesg)?".to_owned(), "to detach a hung mount: umount -f".to_owned()],
            );
            return None;
        }
        let fstab = site.text(Path::new("/etc/fstab")).ok().flatten().unwrap_or_default();
        Some(HostView {
            site,
            host: configured.host,
            secret,
            mounts: mounts_below(&site.root),
            fstab: mounts::fstab(&fstab),
            sys: "/sys".into(),
            proc: "/proc".into(),
        })
    }

    /// Returns a path of the server's as this process must use it, below `--root`.
    pub(crate) fn local_path(&self, path: &Path) -> PathBuf {
        self.site.at(path)
    }

    /// Returns the mount that a path of the server's is on.
    pub(crate) fn mount(&self, path: &Path) -> Option<&Mount> {
        if is_remote(path) {
            return None;
        }
        mount_of(&self.mounts, &self.real(path))
    }

    /// Resolves the links in a path of the server's, if it exists.
    fn real(&self, path: &Path) -> PathBuf {
        match fs::canonicalize(self.local_path(path)) {
            Ok(real) if real.starts_with(&self.site.root) => self.site.seen(&real),
            _ => path.to_owned(),
        }
    }

    /// Returns the device number, `major:minor`, of the filesystem that a path is on.
    pub(crate) fn device(&self, path: &Path) -> Option<&str> {
        self.mount(path).map(|mount| mount.device.as_str())
    }

    /// Returns the kernel's name of the disk that a filesystem is on; `None` if it is not on a disk.
    pub(crate) fn disk(&self, device: &str) -> Option<String> {
        let device = fs::canonicalize(self.sys.join("dev/block").join(device)).ok()?;
        // A partition's directory is below that of its disk.
        let disk = if device.join("partition").exists() { device.parent()? } else { &device };
        Some(disk.file_name()?.to_string_lossy().into_owned())
    }

    /// The secret's source as an option for the commands in messages.
    pub(crate) fn secret_args(&self) -> secret::Args {
        secret::Args { unlock: self.secret(), ..secret::Args::default() }
    }

    /// Returns where root can read the secret that mysqld gets, to verify the keyring.
    pub(crate) fn secret(&self) -> Option<UnlockSource> {
        if let Some(secret) = &self.secret {
            return Some(secret.clone());
        }
        match &self.host.unlock {
            UnlockSource::File(file) => Some(UnlockSource::File(self.local_path(file))),
            UnlockSource::Credential(_) => {
                self.host.credential.as_ref().map(|file| UnlockSource::File(self.local_path(file)))
            }
            // Only mysqld has these.
            UnlockSource::Env(_) | UnlockSource::Command(_) => None,
        }
    }
}

/// Returns whether `request` ends within `limit`.
fn answers(path: &Path, limit: Duration, request: impl FnOnce(&Path) + Send + 'static) -> bool {
    let place = path.to_owned();
    deadline::run(path, limit, move || request(&place)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_volume_that_does_not_answer_is_given_up() {
        let (release, held) = mpsc::channel::<()>();
        assert!(answers(Path::new("/"), ANSWER, |_| {}));
        assert!(!answers(Path::new("/"), Duration::from_millis(1), move |_| held.recv().unwrap_or(())));
        drop(release);
    }
}
