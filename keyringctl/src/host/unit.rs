// SPDX-License-Identifier: GPL-2.0-or-later
//! A systemd unit with its drop-ins: the settings that matter for a keyring (systemd.unit(5), systemd.exec(5)).

mod command;

use std::path::{Path, PathBuf};

/// The unit that systemd reaches when the network is up.
pub const NETWORK_ONLINE: &str = "network-online.target";

/// The settings of a unit. Later files override earlier ones.
#[derive(Clone, Default, Debug)]
pub struct Unit {
    settings: Vec<(String, String)>,
}

impl Unit {
    /// Adds a file: first that of the unit, then its drop-ins in the order of their names.
    pub fn add(&mut self, text: &str) {
        let mut pending = String::new();
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(part) = line.strip_suffix('\\') {
                pending.push_str(part);
                pending.push(' ');
                continue;
            }
            pending.push_str(line);
            let line = std::mem::take(&mut pending);
            let Some((name, value)) = line.split_once('=') else { continue };
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            // An empty value resets the earlier ones.
            if value.is_empty() {
                self.settings.retain(|(n, _)| *n != name);
            } else {
                self.settings.push((name, value));
            }
        }
    }

    fn all<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s str> {
        self.settings.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// Whether the unit starts after this mount. If `required`, also whether it fails without the mount.
    pub fn waits_for(&self, mount_point: &Path, required: bool) -> bool {
        let paths =
            |name| self.all(name).flat_map(str::split_whitespace).map(|p| PathBuf::from(unescaped(p)));
        let by_path = |name| paths(name).any(|path| path.starts_with(mount_point));
        let unit = mount_unit(mount_point);
        let by_unit = |name| self.all(name).flat_map(str::split_whitespace).any(|u| u == unit);
        let after = by_unit("After");
        by_path("RequiresMountsFor")
            || (by_unit("Requires") || by_unit("BindsTo") || by_unit("Requisite")) && after
            || !required && (by_path("WantsMountsFor") || after)
    }

    /// Whether the unit starts after the network is up.
    pub fn waits_for_network(&self) -> bool {
        self.all("After").flat_map(str::split_whitespace).any(|unit| unit == NETWORK_ONLINE)
    }

    /// How many bytes the service may lock: `None` if the unit does not set it, `Some(None)` if there is no limit.
    pub fn memlock(&self) -> Option<Option<u64>> {
        let value = self.last("LimitMEMLOCK")?;
        let soft = value.split(':').next().unwrap_or(value);
        if soft == "infinity" {
            return Some(None);
        }
        let digits = soft.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match soft[digits.len()..].chars().next().map(|c| c.to_ascii_uppercase()) {
            Some('K') => 1 << 10,
            Some('M') => 1 << 20,
            Some('G') => 1 << 30,
            Some('T') => 1 << 40,
            _ => 1,
        };
        Some(Some(digits.trim().parse::<u64>().ok()?.saturating_mul(unit)))
    }

    /// The value of `LimitMEMLOCK`, as it is written.
    pub fn memlock_setting(&self) -> Option<&str> {
        self.last("LimitMEMLOCK")
    }

    /// The file behind a credential; `Some(None)` if the credential is encrypted or does not come from a file.
    pub fn credential(&self, name: &str) -> Option<Option<PathBuf>> {
        let files = |setting| {
            self.all(setting).filter_map(|value| {
                let (n, file) = value.split_once(':').unwrap_or((value, ""));
                (n == name).then(|| file.to_owned())
            })
        };
        let plain = files("LoadCredential").last();
        let encrypted =
            files("LoadCredentialEncrypted").chain(files("SetCredentialEncrypted")).next().is_some();
        match plain {
            Some(file) if file.starts_with('/') => Some(Some(PathBuf::from(file.replace("%%", "%")))),
            Some(_) => Some(None),
            None => encrypted.then_some(None),
        }
    }

    /// The account that the service runs as.
    pub fn user(&self) -> Option<&str> {
        self.last("User")
    }

    /// Whether the unit prevents the service from writing to this directory. `ReadWritePaths` below `ReadOnlyPaths` opens a
    /// directory again.
    pub fn blocks_writing(&self, directory: &Path) -> bool {
        let strict = (self.last("ProtectSystem") == Some("strict")).then_some(0);
        let closed = self.nearest("ReadOnlyPaths", directory).or(strict);
        let opened = self.nearest("ReadWritePaths", directory);
        self.closes(directory).is_some()
            || closed.is_some_and(|closed| opened.is_none_or(|opened| closed >= opened))
    }

    /// The setting that closes a directory, if `ReadWritePaths` for the directory does not open it again.
    pub fn closes(&self, directory: &Path) -> Option<&'static str> {
        let length = directory.as_os_str().len();
        let hidden = self.nearest("InaccessiblePaths", directory).map(|_| "InaccessiblePaths");
        let named = self.nearest("ReadOnlyPaths", directory).filter(|nearest| *nearest >= length);
        hidden.or(named.map(|_| "ReadOnlyPaths"))
    }

    /// How long the longest path of a setting is that this directory is below.
    fn nearest(&self, setting: &str, directory: &Path) -> Option<usize> {
        let paths =
            self.all(setting).flat_map(str::split_whitespace).map(|p| p.trim_start_matches(['-', '+']));
        paths.map(unescaped).filter(|path| directory.starts_with(path)).map(|path| path.len()).max()
    }

    /// Whether the unit sets this environment variable.
    pub fn sets_environment(&self, name: &str) -> bool {
        self.all("Environment")
            .flat_map(str::split_whitespace)
            .any(|word| word.trim_start_matches(['"', '\'']).split('=').next() == Some(name))
    }
}

/// Decodes `\x20` and `%%`.
fn unescaped(path: &str) -> String {
    path.replace("\\x20", " ").replace("%%", "%")
}

/// The name of the systemd unit for this mount point.
pub fn mount_unit(point: &Path) -> String {
    let path = point.to_string_lossy();
    let path = path.trim_matches('/');
    if path.is_empty() {
        return "-.mount".to_owned();
    }
    let mut name = String::new();
    for (i, byte) in path.bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if i > 0 => name.push('.'),
            b if b.is_ascii_alphanumeric() || b == b':' || b == b'_' => name.push(b as char),
            b => name.push_str(&format!("\\x{b:02x}")),
        }
    }
    name.push_str(".mount");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(texts: &[&str]) -> Unit {
        let mut unit = Unit::default();
        texts.iter().for_each(|text| unit.add(text));
        unit
    }

    #[test]
    fn a_unit_waits_for_a_mount_that_its_paths_are_on() {
        let one = unit(&["[Unit]\nRequiresMountsFor=/mnt/a/keys \\\n  /mnt/my\\x20stick/keys\n"]);
        assert!(one.waits_for(Path::new("/mnt/a"), true) && one.waits_for(Path::new("/mnt/my stick"), true));
        assert!(!one.waits_for(Path::new("/mnt/b"), false));
        let wants = unit(&["WantsMountsFor=/mnt/a/keys"]);
        assert!(wants.waits_for(Path::new("/mnt/a"), false) && !wants.waits_for(Path::new("/mnt/a"), true));
        let by_unit = unit(&["Requires=mnt-a.mount\nAfter=network.target mnt-a.mount\n"]);
        assert!(by_unit.waits_for(Path::new("/mnt/a"), true));
        assert!(
            !unit(&["RequiresMountsFor=/mnt/a", "RequiresMountsFor="]).waits_for(Path::new("/mnt/a"), true)
        );
        assert_eq!(mount_unit(Path::new("/mnt/key-ring")), "mnt-key\\x2dring.mount");
    }

    #[test]
    fn limits_are_read() {
        for (text, expected) in [
            ("", None),
            ("LimitMEMLOCK=64M", Some(Some(64 << 20))),
            ("LimitMEMLOCK=65536:infinity", Some(Some(65536))),
            ("LimitMEMLOCK=8K\n", Some(Some(8192))),
            ("LimitMEMLOCK=infinity", Some(None)),
        ] {
            assert_eq!(unit(&["LimitMEMLOCK=1", "LimitMEMLOCK=", text]).memlock(), expected, "{text}");
        }
    }

    #[test]
    fn credentials_are_found() {
        let one = unit(&["LoadCredential=a:/etc/a\nLoadCredential=b\n", "LoadCredentialEncrypted=c:/etc/c"]);
        assert_eq!(one.credential("a"), Some(Some("/etc/a".into())));
        assert_eq!(one.credential("b"), Some(None));
        assert_eq!(one.credential("c"), Some(None));
        assert_eq!(one.credential("d"), None);
    }

    #[test]
    fn directories_that_a_unit_makes_read_only_are_found() {
        let strict = unit(&["ProtectSystem=strict\nReadWritePaths=/var/lib/mysql -/mnt/a\n"]);
        assert!(strict.blocks_writing(Path::new("/mnt/b/keys")));
        assert!(!strict.blocks_writing(Path::new("/mnt/a/keys")));
        assert!(unit(&["ReadOnlyPaths=/mnt"]).blocks_writing(Path::new("/mnt/b/keys")));
        let opened = unit(&["ReadOnlyPaths=/mnt\nReadWritePaths=/mnt/b/keys\n"]);
        assert!(
            !opened.blocks_writing(Path::new("/mnt/b/keys"))
                && opened.blocks_writing(Path::new("/mnt/a/keys"))
        );
        let hidden = unit(&["InaccessiblePaths=/mnt\nReadWritePaths=/mnt/b/keys\n"]);
        assert!(hidden.blocks_writing(Path::new("/mnt/b/keys")), "ReadWritePaths does not open it");
        assert!(!unit(&["ProtectSystem=full"]).blocks_writing(Path::new("/mnt/b/keys")));
        assert!(unit(&["Environment=\"A=1\" KEY=2"]).sets_environment("KEY"));
    }
}
