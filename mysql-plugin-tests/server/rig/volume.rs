// SPDX-License-Identifier: GPL-2.0-or-later
//! External volumes: a filesystem of its own on an image, as root, or a directory on another filesystem
//! than the data directories, which comes and goes by being renamed (anybody).

use super::{Remote, place, power, run, wait_until};
use std::cell::{Cell, RefCell};
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
    remote: RefCell<Option<Remote>>,
}

/// What stands for the volume.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Directory,
    Ext4,
    Xfs,
    Btrfs,
    /// Through FUSE, and so are those that follow: no modes, the mount says whose all files are.
    Exfat,
    Ntfs,
    /// A directory behind an sshd on this host.
    Sshfs,
}

impl Kind {
    /// Its name, as mount knows it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Directory => "directory",
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
            Kind::Btrfs => "btrfs",
            Kind::Exfat => "exfat",
            Kind::Ntfs => "ntfs",
            Kind::Sshfs => "sshfs",
        }
    }

    /// The program that makes it, and its arguments before the image.
    fn mkfs(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Kind::Ext4 => ("mkfs.ext4", &["-q", "-F", "-m", "0"]),
            Kind::Xfs => ("mkfs.xfs", &["-q", "-f"]),
            Kind::Btrfs => ("mkfs.btrfs", &["-q", "-f", "--mixed"]),
            Kind::Exfat => ("mkfs.exfat", &[]),
            Kind::Ntfs => ("mkntfs", &["-Q", "-q", "-F"]),
            Kind::Directory | Kind::Sshfs => ("true", &[]),
        }
    }

    /// Bytes of its image: xfs is never made smaller than that.
    fn size(self) -> u64 {
        if self == Kind::Xfs { 300 << 20 } else { 32 << 20 }
    }

    fn mount_command(self) -> Command {
        let (program, args): (_, &[&str]) = match self {
            // Left to itself, ext4 writes its journal out every 5 seconds: a lucky moment for who doesn't sync.
            Kind::Ext4 => ("mount", &["-t", "ext4", "-o", "loop,commit=300"]),
            Kind::Xfs => ("mount", &["-t", "xfs", "-o", "loop"]),
            Kind::Btrfs => ("mount", &["-t", "btrfs", "-o", "loop,commit=300"]),
            Kind::Exfat => ("mount.exfat-fuse", &["-o", "umask=077,uid=0,gid=0"]),
            Kind::Ntfs => ("ntfs-3g", &["-o", "umask=077,uid=0,gid=0"]),
            Kind::Directory | Kind::Sshfs => ("true", &[]),
        };
        let mut command = Command::new(program);
        command.args(args);
        command
    }

    /// Why there can be no such volume here, when there can't.
    pub fn why_not(self) -> Option<String> {
        static WHY: [OnceLock<Option<String>>; 7] = [const { OnceLock::new() }; 7];
        let try_it = || {
            if self == Kind::Directory {
                return Ok(());
            }
            if !rustix::process::geteuid().is_root() {
                return Err("needs root".to_owned());
            }
            let base = tempfile::tempdir_in(&place().run).map_err(|e| e.to_string())?;
            if self == Kind::Sshfs {
                return Remote::start(base.path()).map(drop);
            }
            make_image(self, base.path())?;
            fs::create_dir(base.path().join("mnt")).map_err(|e| e.to_string())?;
            mount(self, base.path())?;
            umount(&base.path().join("mnt"))
        };
        WHY[self as usize].get_or_init(|| try_it().err()).clone()
    }
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

    /// Pulls it: gone from its place at once, whoever uses it.
    pub fn pull(&self) {
        run(Command::new("umount").arg("-l").arg(self.mount_point()));
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

    /// Cuts its power: what is not on the device by now is lost. It is still mounted, and dead.
    pub fn cut_power(&self) {
        assert!(matches!(self.kind, Kind::Ext4 | Kind::Xfs), "only these lose their power");
        power::cut(&self.mount_point()).unwrap();
    }

    /// Its device stops answering: every later read and write of it fails.
    pub fn kill_device(&self) {
        power::shrink(&self.device()).unwrap();
    }

    fn device(&self) -> PathBuf {
        let source = run(Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(self.mount_point()));
        PathBuf::from(source.trim())
    }

    /// The server behind it.
    pub fn remote(&self) -> std::cell::RefMut<'_, Remote> {
        std::cell::RefMut::map(self.remote.borrow_mut(), |r| r.as_mut().expect("a remote volume"))
    }

    /// Ends the program that serves it, without warning, and unmounts what is left.
    pub fn kill_fuse(&self) {
        let mount_point = self.mount_point().display().to_string();
        let served_by: Vec<u32> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).split('\0').any(|arg| arg == mount_point)
            })
            .collect();
        let [pid] = served_by[..] else { panic!("{served_by:?} serve {mount_point}") };
        super::signal(pid, rustix::process::Signal::KILL);
        umount(&self.mount_point()).unwrap();
        self.mounted.set(false);
    }

    /// Mounts it for reading only, or for writing again.
    pub fn remount(&self, how: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.mount_point()));
    }

    /// Fills it to the last block. The files that do it are removed by [`Volume::make_room`].
    pub fn fill(&self) {
        let dir = self.mount_point().join("filler");
        fs::create_dir_all(&dir).unwrap();
        // In ever smaller pieces, until not a block is left, and again when the filesystem has found some.
        for round in 0..3 {
            for shift in (12..=23).rev() {
                let piece = vec![b'x'; 1 << shift];
                let put = |i| {
                    let file = dir.join(format!("{round}.{shift}.{i}"));
                    fs::write(&file, &piece).and_then(|()| fs::File::open(&file)?.sync_all())
                };
                // Files of one block each use up the inodes too: a few will do.
                (0..if shift == 12 { 300 } else { 100 }).take_while(|i| put(*i).is_ok()).count();
            }
        }
    }

    /// Frees what [`Volume::fill`] took.
    pub fn make_room(&self) {
        fs::remove_dir_all(self.mount_point().join("filler")).unwrap();
        run(Command::new("sync").arg("-f").arg(self.mount_point()));
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

fn make_image(kind: Kind, base: &Path) -> Result<(), String> {
    let image = base.join("image");
    let (program, args) = kind.mkfs();
    let make = || -> std::io::Result<_> {
        fs::File::create(&image)?.set_len(kind.size())?;
        Command::new(program).args(args).arg(&image).env("PATH", path_with_sbin()).output()
    };
    ended_well(program, make())
}

fn mount(kind: Kind, base: &Path) -> Result<(), String> {
    let (mut command, mut source) = (kind.mount_command(), base.join("image"));
    if kind == Kind::Exfat {
        // It takes a block device only. The device goes with the mount.
        source = run(Command::new("losetup").args(["-f", "--show"]).arg(&source)).trim().into();
    }
    command.arg(&source).arg(base.join("mnt"));
    let mounted = ended_well("mount", command.env("PATH", path_with_sbin()).output());
    if kind == Kind::Exfat {
        run(Command::new("losetup").arg("-d").arg(&source));
    }
    mounted
}

/// A command that another test starts holds all of this process's open files for an instant, so a busy
/// volume is tried again; what a server holds it holds for longer.
pub(super) fn umount(mount_point: &Path) -> Result<(), String> {
    let mut answer = Ok(());
    wait_until(Duration::from_secs(2), || {
        answer = ended_well("umount", Command::new("umount").arg(mount_point).output());
        answer.is_ok()
    });
    answer
}

pub(super) fn ended_well(what: &str, output: std::io::Result<std::process::Output>) -> Result<(), String> {
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{what} failed: {}", super::told(&output))),
        Err(e) => Err(format!("{what}: {e}")),
    }
}

pub(super) fn path_with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
