// SPDX-License-Identifier: GPL-2.0-or-later
//! The mounted volumes, from `/proc/self/mountinfo`, and the configured ones, from `/etc/fstab`.

use std::path::{Path, PathBuf};

/// Filesystems whose content is lost when the machine stops.
const VOLATILE: [&str; 3] = ["tmpfs", "ramfs", "overlay"];

/// A mounted volume.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Its device, as `major:minor`.
    pub device: String,
    /// The type of its filesystem.
    pub kind: String,
    /// What is mounted, such as `/dev/sdb1`.
    pub source: String,
    /// The options of this mount and of its filesystem.
    pub options: Vec<String>,
}

impl Mount {
    /// Whether it has this option.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }

    /// Whether its content is lost when the machine stops.
    pub fn is_volatile(&self) -> bool {
        VOLATILE.contains(&self.kind.as_str())
    }
}

/// All mounts below `root`, with paths relative to it, in the kernel's order.
pub fn mounts(mountinfo: &str, root: &Path) -> Vec<Mount> {
    mountinfo.lines().filter_map(|line| parse(line, root)).collect()
}

fn parse(line: &str, root: &Path) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(2);
    let (device, _, point, options) = (mount.next()?, mount.next()?, mount.next()?, mount.next()?);
    let mut filesystem = filesystem.split(' ');
    let (kind, source) = (filesystem.next()?, filesystem.next()?);
    let options = options.split(',').chain(filesystem.next().unwrap_or_default().split(','));
    let point = PathBuf::from(unescaped(point));
    let point = match point.strip_prefix(root) {
        Ok(below) => Path::new("/").join(below),
        // The mount that contains the root counts as its `/`.
        Err(_) if root.starts_with(&point) => PathBuf::from("/"),
        Err(_) => return None,
    };
    Some(Mount {
        point,
        device: device.to_owned(),
        kind: kind.to_owned(),
        source: unescaped(source),
        options: options.map(str::to_owned).collect(),
    })
}

/// Decodes octal escapes such as `\040`.
fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code =
            tail.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(code) => {
                out.push(code);
                rest = &tail[3..];
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The mount that a path is on.
pub fn mount_of<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    // Of two mounts on one directory, the later one hides the other.
    mounts.iter().filter(|m| path.starts_with(&m.point)).max_by_key(|m| m.point.components().count())
}

/// A line of `/etc/fstab`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FstabEntry {
    /// Its mount point.
    pub point: PathBuf,
    /// Its options.
    pub options: Vec<String>,
}

/// Parses `/etc/fstab`.
pub fn fstab(text: &str) -> Vec<FstabEntry> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let point = PathBuf::from(unescaped(fields.next()?));
            let options = fields.nth(1).unwrap_or("defaults").split(',').map(str::to_owned).collect();
            Some(FstabEntry { point, options })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n\
        30 22 8:17 / /mnt/my\\040stick rw,nosuid,nodev,noexec shared:2 - ext4 /dev/sdb1 rw\n\
        31 22 0:44 / /mnt/nfs rw - nfs4 server:/keys rw,vers=4.2\n\
        32 22 0:50 / /image/mnt/a rw - tmpfs tmpfs rw\n";

    #[test]
    fn the_mount_of_a_path_is_the_nearest() {
        let all = mounts(INFO, Path::new("/"));
        assert_eq!(all.len(), 4);
        let stick = mount_of(&all, Path::new("/mnt/my stick/keys/k")).unwrap();
        assert_eq!((stick.device.as_str(), stick.source.as_str()), ("8:17", "/dev/sdb1"));
        assert!(stick.has("noexec") && !stick.is_volatile());
        assert_eq!(mount_of(&all, Path::new("/mnt/my stick2")).unwrap().point, Path::new("/"));
    }

    #[test]
    fn below_a_root_its_own_mounts_are_found() {
        let all = mounts(INFO, Path::new("/image"));
        let a = mount_of(&all, Path::new("/mnt/a/k")).unwrap();
        assert!(a.is_volatile() && a.point == Path::new("/mnt/a"));
        assert_eq!(mount_of(&all, Path::new("/var")).unwrap().device, "8:1");
        assert!(mount_of(&all, Path::new("/mnt/my stick")).unwrap().point == Path::new("/"));
    }

    #[test]
    fn fstab_is_read() {
        let text = "# a comment\nUUID=1 / ext4 errors=remount-ro 0 1\nUUID=2\t/mnt/my\\040stick ext4 nofail,nodev 0 2\nx /y z\n\n";
        let all = fstab(text);
        assert_eq!(all.len(), 3);
        assert_eq!(all[1].point, Path::new("/mnt/my stick"));
        assert_eq!(all[1].options, ["nofail", "nodev"]);
        assert_eq!(all[2].options, ["defaults"]);
    }
}
