// SPDX-License-Identifier: GPL-2.0-or-later
//! The version of mysqld: as it prints it, or as the package database of an image says.

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs mysqld to get its version. Not for a program in an image, which may come from anyone.
pub(super) fn printed(mysqld: &Path) -> Option<(u32, u32)> {
    // mysqld refuses to run as root without --user, and option files may name plugins. Do not ask mysqld for its
    // settings: it would load the keyring for that.
    let mut command = Command::new(mysqld);
    command.args(["--no-defaults", "--user=root", "--version"]).stdin(Stdio::null()).stderr(Stdio::null());
    let printed = command.output().map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    parse(printed.unwrap_or_default().split(" Ver ").nth(1)?)
}

/// The version of the Debian package that contains mysqld. `text` reads a file of the image.
pub(super) fn packaged(mysqld: &Path, text: impl Fn(&Path) -> Option<String>) -> Option<(u32, u32)> {
    let status = text(Path::new("/var/lib/dpkg/status"))?;
    let has_mysqld = |name: &str, arch: &str| {
        let list = |name: String| text(&Path::new("/var/lib/dpkg/info").join(format!("{name}.list")));
        let lists = [list(name.to_owned()), list(format!("{name}:{arch}"))];
        lists.into_iter().flatten().any(|l| l.lines().any(|file| Path::new(file) == mysqld))
    };
    status.split("\n\n").find_map(|paragraph| {
        let field = |name: &str| {
            let mut values = paragraph.lines().filter_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
            values.next()
        };
        let (name, arch) = (field("Package")?, field("Architecture")?);
        // The name becomes part of a path.
        let is_name = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if !name.contains("server")
            || !format!("{name}{arch}").chars().all(is_name)
            || !has_mysqld(name, arch)
        {
            return None;
        }
        let text = field("Version")?;
        parse(text.split_once(':').map_or(text, |(_epoch, text)| text))
    })
}

/// Parses the version in `9.7.4-2 for Linux ...`.
fn parse(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed() {
        assert_eq!(parse("9.7.4-2 for Linux on x86_64 ((Debian))"), Some((9, 7)));
        assert_eq!(parse("8.0.45"), Some((8, 0)));
        assert_eq!(parse(""), None);
    }
}
