// SPDX-License-Identifier: GPL-2.0-or-later
//! External volumes: an ext4 image mounted through a loop device (root), or a directory on another
//! filesystem than the data directories, which comes and goes by being renamed (anybody).

use super::{place, power, run, wait_until};
use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

/// An external volume.
#[derive(Debug)]
pub struct Volume {
    base: TempDir,
    kind: Kind,
    mounted: Cell<bool>,
}

/// What stands for the volume.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Ext4,
    Directory,
}

impl Volume {
    /// A directory on a filesystem of its own.
    pub fn directory() -> Volume {
        let base = tempfile::Builder::new().prefix("kx").tempdir_in(other_filesystem()).unwrap();
        fs::create_dir(base.path().join("content")).unwrap();
        Volume::prepare(base, Kind::Directory)
    }

    /// An ext4 image on a loop device. Only root can, see [`Volume::why_no_ext4`].
    pub fn ext4() -> Volume {
        let base = tempfile::Builder::new().prefix("v").tempdir_in(&place().run).unwrap();
        make_image(base.path()).unwrap();
        Volume::prepare(base, Kind::Ext4)
    }

    /// Why there can be no ext4 volume here, when there can't.
    pub fn why_no_ext4() -> Option<String> {
        static WHY: OnceLock<Option<String>> = OnceLock::new();
        let try_it = || {
            if !rustix::process::geteuid().is_root() {
                return Err("needs root".to_owned());
            }
            let base = tempfile::tempdir_in(&place().run).map_err(|e| e.to_string())?;
            make_image(base.path())?;
            fs::create_dir(base.path().join("mnt")).map_err(|e| e.to_string())?;
            mount(base.path())?;
            umount(&base.path().join("mnt"))
        };
        WHY.get_or_init(|| try_it().err()).clone()
    }

    fn prepare(base: TempDir, kind: Kind) -> Volume {
        let volume = Volume { base, kind, mounted: Cell::new(false) };
        fs::create_dir(volume.mount_point()).unwrap();
        make_private(&volume.mount_point()).unwrap();
        volume.mount();
        make_private(&volume.keys()).unwrap();
        // Only what a test does itself may be lost in a power cut.
        run(Command::new("sync").arg("-f").arg(volume.keys()));
        volume
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

    /// Plugs it in.
    pub fn mount(&self) {
        match self.kind {
            Kind::Ext4 => mount(self.base.path()).unwrap(),
            Kind::Directory => {
                fs::remove_dir(self.mount_point()).unwrap();
                fs::rename(self.content(), self.mount_point()).unwrap();
            }
        }
        self.mounted.set(true);
    }

    /// Takes it away. An empty directory stays, as on a real host.
    pub fn unmount(&self) {
        match self.kind {
            Kind::Ext4 => umount(&self.mount_point()).unwrap(),
            Kind::Directory => {
                fs::rename(self.mount_point(), self.content()).unwrap();
                fs::create_dir(self.mount_point()).unwrap();
                make_private(&self.mount_point()).unwrap();
            }
        }
        self.mounted.set(false);
    }

    /// Cuts its power: what is not on the device by now is lost. It is still mounted, and dead.
    pub fn cut_power(&self) {
        assert_eq!(self.kind, Kind::Ext4, "only a filesystem of its own loses its power");
        power::cut(&self.mount_point()).unwrap();
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
        if self.kind == Kind::Ext4 && self.mounted.get() {
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

fn make_image(base: &Path) -> Result<(), String> {
    let image = base.join("image");
    let make = || -> std::io::Result<_> {
        fs::File::create(&image)?.set_len(32 << 20)?;
        Command::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0"])
            .arg(&image)
            .env("PATH", path_with_sbin())
            .output()
    };
    ended_well("mkfs.ext4", make())
}

fn mount(base: &Path) -> Result<(), String> {
    let (image, mount_point) = (base.join("image"), base.join("mnt"));
    // Left to itself, ext4 writes its journal out every 5 seconds: a lucky moment for who doesn't sync.
    let mut command = Command::new("mount");
    command.args(["-t", "ext4", "-o", "loop,commit=300"]).args([&image, &mount_point]);
    ended_well("mount", command.env("PATH", path_with_sbin()).output())
}

/// A command that another test starts holds all of this process's open files for an instant, so a busy
/// volume is tried again; what a server holds it holds for longer.
fn umount(mount_point: &Path) -> Result<(), String> {
    let mut answer = Ok(());
    wait_until(Duration::from_secs(2), || {
        answer = ended_well("umount", Command::new("umount").arg(mount_point).output());
        answer.is_ok()
    });
    answer
}

fn ended_well(what: &str, output: std::io::Result<std::process::Output>) -> Result<(), String> {
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{what} failed: {}", super::told(&output))),
        Err(e) => Err(format!("{what}: {e}")),
    }
}

fn path_with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
