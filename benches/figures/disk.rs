// SPDX-License-Identifier: GPL-2.0-or-later
//! The filesystem that keyrings are measured on: ext4 on a loop device of its own, whose writes can be counted,
//! when this is root; else the directory given, or the target directory.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Bytes of the image.
const SIZE: u64 = 512 << 20;

/// Where keyrings are measured.
pub struct Disk {
    base: TempDir,
    dir: PathBuf,
    /// The loop device's name, `loop0`.
    device: Option<String>,
    /// For the report.
    pub is: String,
}

impl Disk {
    /// A new one below `base`; with `given`, a directory there.
    pub fn new(base: &Path, given: Option<&Path>) -> Result<Disk, String> {
        let base = tempfile::Builder::new().prefix("disk").tempdir_in(given.unwrap_or(base));
        let base = base.map_err(|e| e.to_string())?;
        let dir = base.path().join("mnt");
        std::fs::create_dir(&dir).map_err(|e| e.to_string())?;
        let mut disk = Disk { base, dir, device: None, is: String::new() };
        if given.is_none() && rustix::process::geteuid().is_root() {
            match disk.mount() {
                Ok(device) => disk.device = Some(device),
                Err(why) => eprintln!("figures: no ext4 on a loop device: {why}"),
            }
        }
        let below = filesystem_of(disk.base.path());
        disk.is = match &disk.device {
            Some(_) => format!("ext4 on a loop device, its image on {below}"),
            None => below,
        };
        make_private(&disk.dir)?;
        Ok(disk)
    }

    fn mount(&self) -> Result<String, String> {
        let image = self.base.path().join("image");
        // Written, and none of it given back or left to be prepared later: else the first syncs that are measured would
        // also wait for the filesystem below to find room.
        let make = || {
            let mut file = std::fs::File::create(&image)?;
            std::io::copy(&mut std::io::repeat(0).take(SIZE), &mut file)?;
            file.sync_all()
        };
        make().map_err(|e| e.to_string())?;
        let prepared = "nodiscard,lazy_itable_init=0,lazy_journal_init=0";
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-E", prepared]).arg(&image))?;
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(&image).arg(&self.dir))?;
        let source = run(Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(&self.dir));
        source.map(|s| s.trim().trim_start_matches("/dev/").to_owned()).inspect_err(|_| self.umount())
    }

    /// A directory on it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the kernel counts what the device wrote.
    pub fn counter(&self) -> Option<PathBuf> {
        self.device.as_ref().map(|name| PathBuf::from(format!("/sys/block/{name}/stat")))
    }

    fn umount(&self) {
        if let Err(why) = run(Command::new("umount").arg(&self.dir)) {
            eprintln!("figures: {why}");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.device.is_some() {
            self.umount();
        }
    }
}

/// Writes what is yet to be written to the filesystem of `path`, so that nothing of it is left while something else is
/// measured.
pub fn settle(path: &Path) -> Result<(), String> {
    let sync = || -> std::io::Result<()> { Ok(rustix::fs::syncfs(std::fs::File::open(path)?)?) };
    sync().map_err(|e| format!("syncfs {}: {e}", path.display()))
}

/// Only its owner opens it.
pub fn make_private(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(|e| e.to_string())
}

/// The type of the filesystem at a path.
pub fn filesystem_of(path: &Path) -> String {
    let found = run(Command::new("findmnt").args(["-n", "-o", "FSTYPE", "-T"]).arg(path));
    found.map_or("an unknown filesystem".to_owned(), |t| t.trim().to_owned())
}

/// Runs a program that must succeed.
pub fn run(command: &mut Command) -> Result<String, String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = command.env("PATH", path).output();
    let program = command.get_program().display();
    let output = output.map_err(|e| format!("{program}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("{program}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)))
    }
}
