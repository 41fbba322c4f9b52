// SPDX-License-Identifier: GPL-2.0-or-later
//! The version of systemd: from the name of its library, which can be read below `--root` too, or as it prints it.

use super::Site;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The first version with credentials (`LoadCredential=`).
pub(in crate::commands) const CREDENTIALS: u32 = 247;

/// Where systemd's programs have their library, `libsystemd-shared-VERSION.so`.
const DIRS: [&str; 2] = ["/usr/lib/systemd", "/lib/systemd"];
/// Directories with one directory for each architecture, which has it on recent Debian systems.
const ABOVE: &str = "/usr/lib";

impl Site {
    /// The version of this host's systemd; `None` if it is not known.
    pub(in crate::commands) fn systemd_version(&self) -> Option<u32> {
        let below = fs::read_dir(self.at(Path::new(ABOVE))).into_iter().flatten().flatten();
        let multiarch =
            below.map(|entry| entry.path()).filter(|dir| is_multiarch(dir)).map(|dir| dir.join("systemd"));
        let dirs = DIRS.iter().map(|dir| self.at(Path::new(dir))).chain(multiarch);
        dirs.filter_map(|dir| of_library(&dir)).max().or_else(|| (!self.is_below()).then(printed).flatten())
    }
}

fn is_multiarch(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name.to_string_lossy().contains("-linux-"))
}

fn of_library(dir: &PathBuf) -> Option<u32> {
    let names = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.file_name());
    names.filter_map(|name| number(name.to_str()?.strip_prefix("libsystemd-shared-")?)).max()
}

fn printed() -> Option<u32> {
    let mut systemctl = Command::new(OsStr::new("systemctl"));
    let printed = systemctl.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    number(String::from_utf8_lossy(&printed.stdout).strip_prefix("systemd ")?)
}

/// The number that a text begins with.
fn number(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_name_of_the_library() {
        for (path, expected) in [
            ("usr/lib/systemd/libsystemd-shared-239.so", Some(239)),
            ("usr/lib/systemd/libsystemd-shared-252-32.el9_4.so", Some(252)),
            ("lib/systemd/libsystemd-shared-245.so", Some(245)),
            ("usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.so", Some(257)),
            ("usr/lib/systemd/systemd", None),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
            let site = Site { root: fs::canonicalize(dir.path()).unwrap(), ..Site::default() };
            assert_eq!(site.systemd_version(), expected, "{path}");
        }
        assert_eq!(number("252 (252.39-1~deb12u1)"), Some(252));
    }
}
