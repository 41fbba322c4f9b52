// SPDX-License-Identifier: GPL-2.0-or-later
//! External volumes: a filesystem of its own on an image, as root, or a directory on another filesystem
//! than the data directories, which comes and goes by being renamed (anybody).

use super::kind::{Kind, make_image, mount, umount};
use super::programs::{run, wait_until};
use super::{Remote, place};
use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// An external volume.
#[derive(Debug)]
pub struct Volume {
    pub(super) base: TempDir,
    pub(super) kind: Kind,
    pub(super) mounted: Cell<bool>,
    pub(super) remote: RefCell<Option<Remote>>,
}

impl Volume {
    /// A directory on a filesystem of its own.
    pub fn directory() -> Volume {
        Volume::of(Kind::Directory)
    }

    /// An ext4 image on a loop device.
    pub fn ext4() -> Volume {
        Volume::of(Kind::Ext4)
    }

    /// A volume of that kind. [`Kind::why_not`] says whether there can be one here.
    pub fn of(kind: Kind) -> Volume {
        let base = match kind {
            Kind::Directory => tempfile::Builder::new().prefix("kx").tempdir_in(other_filesystem()),
            _ => tempfile::Builder::new().prefix("v").tempdir_in(&place().run),
        };
        let base = base.unwrap();
        if matches!(kind, Kind::Directory | Kind::Sshfs) {
            fs::create_dir(base.path().join("content")).unwrap();
        } else {
            make_image(kind, base.path()).unwrap();
        }
        let remote = (kind == Kind::Sshfs).then(|| Remote::start(base.path()).unwrap());
        let volume = Volume { base, kind, mounted: Cell::new(false), remote: RefCell::new(remote) };
        fs::create_dir(volume.mount_point()).unwrap();
        make_private(&volume.mount_point()).unwrap();
        volume.mount();
        volume.make_keys();
        volume
    }

    /// Makes its root a directory for keyrings.
    fn make_keys(&self) {
        let private = make_private(&self.keys());
        if !matches!(self.kind, Kind::Exfat | Kind::Ntfs) {
            private.unwrap();
        }
        // Only what a test does itself may be lost in a power cut.
        run(Command::new("sync").arg("-f").arg(self.keys()));
    }

    /// Where it is mounted.
    pub fn mount_point(&self) -> PathBuf {
        self.base.path().join("mnt")
    }

    /// The directory on it for keyrings: its root. Without the volume the bare mount point is as good a
    /// place for a new file, and only the plugin's care keeps it empty.
    pub fn keys(&self) -> PathBuf {
        self.mount_point()
    }

    fn content(&self) -> PathBuf {
        self.base.path().join("content")
    }

    /// The file or directory that holds what is on it.
    fn holds(&self) -> PathBuf {
        let name = if matches!(self.kind, Kind::Directory | Kind::Sshfs) { "content" } else { "image" };
        self.base.path().join(name)
    }

    /// Plugs it in.
    pub fn mount(&self) {
        match self.kind {
            Kind::Directory => {
                fs::remove_dir(self.mount_point()).unwrap();
                fs::rename(self.content(), self.mount_point()).unwrap();
            }
            Kind::Sshfs => self.remote().mount(&self.content(), &self.mount_point()).unwrap(),
            kind => mount(kind, self.base.path()).unwrap(),
        }
        self.mounted.set(true);
    }

    /// Plugs it in again after [`Volume::pull`], when the kernel is done with it.
    pub fn mount_when_free(&self) {
        let image = self.holds();
        let free = wait_until(Duration::from_secs(10), || {
            run(Command::new("losetup").arg("-j").arg(&image)).trim().is_empty()
        });
        assert!(free, "{} is still in use", image.display());
        self.mount();
    }

    /// Takes it away. An empty directory stays, as on a real host.
    pub fn unmount(&self) {
        match self.kind {
            Kind::Directory => {
                fs::rename(self.mount_point(), self.content()).unwrap();
                fs::create_dir(self.mount_point()).unwrap();
                make_private(&self.mount_point()).unwrap();
            }
            _ => umount(&self.mount_point()).unwrap(),
        }
        self.mounted.set(false);
    }

    /// Keeps what is on it, while it is away, for [`Volume::put_back`].
    pub fn keep_as(&self, name: &str) {
        assert!(!self.mounted.get(), "only a volume at rest can be copied");
        run(Command::new("cp")
            .args(["-a", "--sparse=always"])
            .args([self.holds(), self.base.path().join(name)]));
    }

    /// Has what was kept take the place of what is on it; that is kept as `other`.
    pub fn put_back(&self, name: &str, other: &str) {
        assert!(!self.mounted.get(), "only a volume at rest can be exchanged");
        fs::rename(self.holds(), self.base.path().join(other)).unwrap();
        fs::rename(self.base.path().join(name), self.holds()).unwrap();
    }

    /// A new, empty volume in its place, mounted.
    pub fn replace_by_new(&self) {
        assert!(!self.mounted.get(), "only a volume at rest can be exchanged");
        if self.kind == Kind::Directory {
            fs::remove_dir_all(self.content()).unwrap();
            fs::create_dir(self.content()).unwrap();
        } else {
            fs::remove_file(self.holds()).unwrap();
            make_image(self.kind, self.base.path()).unwrap();
        }
        self.mount();
        self.make_keys();
    }

    /// What of it a process holds on to: open files, mapped ones, its working directory.
    pub fn held_by(&self, pid: u32) -> Vec<String> {
        let mount_point = self.mount_point().display().to_string();
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let maps = fs::read_to_string(proc.join("maps")).unwrap();
        let open: Vec<_> =
            fs::read_dir(proc.join("fd")).unwrap().filter_map(|entry| Some(entry.ok()?.path())).collect();
        open.into_iter()
            .chain([proc.join("cwd"), proc.join("root")])
            .filter_map(|link| Some(fs::read_link(link).ok()?.display().to_string()))
            .chain(maps.lines().map(str::to_owned))
            .filter(|held| held.contains(&mount_point))
            .collect()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if std::thread::panicking() && self.kind == Kind::Directory && place().keeps_data() {
            // Without its keyring, nobody reads the data.
            run(Command::new("cp").arg("-a").arg(self.base.path()).arg(&place().run));
        }
        if self.kind != Kind::Directory && self.mounted.get() {
            // Lazily: a server that a failed test leaves behind is stopped soon.
            let _ = Command::new("umount").arg("-l").arg(self.mount_point()).output();
        }
    }
}

/// A directory on a filesystem that no data directory is on.
fn other_filesystem() -> PathBuf {
    let ours = fs::metadata(&place().run).unwrap().dev();
    let user = rustix::process::geteuid().as_raw();
    ["/dev/shm".to_owned(), format!("/run/user/{user}"), "/var/tmp".to_owned(), "/tmp".to_owned()]
        .into_iter()
        .map(PathBuf::from)
        .find(|dir| fs::metadata(dir).is_ok_and(|m| m.dev() != ours) && tempfile::tempfile_in(dir).is_ok())
        .expect("a second filesystem to write to stands for the external volume: /dev/shm, /var/tmp or /tmp")
}

fn make_private(dir: &Path) -> std::io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}
