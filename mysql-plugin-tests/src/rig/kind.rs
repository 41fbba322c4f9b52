// SPDX-License-Identifier: GPL-2.0-or-later
//! The kinds of volumes: what makes and mounts each, and whether that can be done here.

use super::programs::{ended_well, path_with_sbin, run, wait_until};
use super::{Remote, place};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

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
            let (mount_point, content) = (base.path().join("mnt"), base.path().join("content"));
            fs::create_dir(&mount_point).map_err(|e| e.to_string())?;
            if self == Kind::Sshfs {
                fs::create_dir(&content).map_err(|e| e.to_string())?;
                let remote = Remote::start(base.path())?;
                remote.mount(&content, &mount_point)?;
                return umount(&mount_point);
            }
            make_image(self, base.path())?;
            mount(self, base.path())?;
            umount(&mount_point)
        };
        WHY[self as usize].get_or_init(|| try_it().err()).clone()
    }
}

/// Makes an image with an empty filesystem below `base`.
pub(super) fn make_image(kind: Kind, base: &Path) -> Result<(), String> {
    let image = base.join("image");
    let (program, args) = kind.mkfs();
    let make = || -> std::io::Result<_> {
        fs::File::create(&image)?.set_len(kind.size())?;
        Command::new(program).args(args).arg(&image).env("PATH", path_with_sbin()).output()
    };
    ended_well(program, make())
}

/// Mounts the image below `base` there.
pub(super) fn mount(kind: Kind, base: &Path) -> Result<(), String> {
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
