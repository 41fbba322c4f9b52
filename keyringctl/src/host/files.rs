// SPDX-License-Identifier: GPL-2.0-or-later
//! The files that make mysqld load the keyring and systemd start mysqld after the keyring's volumes.

use super::mounts::{Mount, mount_of};
use super::unit::{NETWORK_ONLINE, mount_unit};
use super::{Host, Way};
use keyring_external::config::file::COMPONENT;
use keyring_external::config::{DEFAULT_REMOTES, Forward};
use keyring_external::store::file::volume::directory_of;
use keyring_external::unlock::UnlockSource;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// How much memory mysqld may lock: some chunks for keys, and room to grow. Many systems allow only 64 KiB.
pub const MEMLOCK: &str = "64M";
/// [`MEMLOCK`] in bytes.
pub const MEMLOCK_BYTES: u64 = 64 << 20;
/// The value of `keyring_external` with which a server does not start without its keyring.
pub const FORCE: &str = "FORCE_PLUS_PERMANENT";

/// The comments in the files that setup writes.
pub(super) const COMMENTS: [&str; 7] = [
    "# Written by keyringctl setup.",
    "# The server must not start without its keyring.",
    "# mysqld waits for the keyring's volume, and does not start without it.",
    "# mysqld waits for the mirrors' volumes, but also starts without them.",
    "# Keys are kept in locked memory, which is never written to swap.",
    "# systemd reads the unlock secret as root and passes it to mysqld.",
    "# mysqld starts when the network is up, for the copies at remotes.",
];

/// The path of the drop-in for mysqld's unit.
pub fn drop_in(unit: &str) -> PathBuf {
    Path::new("/etc/systemd/system").join(format!("{unit}.d")).join("keyring_external.conf")
}

/// The plugin's options for `[mysqld]`. `early` is the list of early plugins, ours among them; `load` is the value of
/// `keyring_external`, such as [`FORCE`].
pub fn option_text(host: &Host, early: &str, load: &str) -> String {
    let early = quoted(early);
    let [written, must, ..] = COMMENTS;
    let mut text =
        format!("{written}\n[mysqld]\nearly-plugin-load = {early}\n{must}\nkeyring_external = {load}\n");
    let mut set = |name: &str, value: &str| text.push_str(&format!("keyring_external_{name} = {value}\n"));
    set("data", &quoted(&host.keyring.to_string_lossy()));
    if !host.mirrors.is_empty() {
        let mirrors: Vec<_> = host.mirrors.iter().map(|m| m.to_string_lossy()).collect();
        set("mirrors", &quoted(&mirrors.join(":")));
    }
    set("unlock", &quoted(&source(&host.unlock)));
    if host.min_copies > 1 {
        set("min_copies", &host.min_copies.to_string());
    }
    if host.wait > 0 {
        set("wait", &host.wait.to_string());
    }
    if host.allow_same_device {
        set("allow_same_device", "ON");
    }
    if host.remotes != Path::new(DEFAULT_REMOTES) {
        set("remotes", &quoted(&host.remotes.to_string_lossy()));
    }
    if host.read_only {
        set("read_only", "ON");
    }
    if let Some(log) = &host.audit.path {
        set("audit_log", &quoted(&log.to_string_lossy()));
    }
    if host.audit.forward != Forward::No {
        set("audit_log_forward", host.audit.forward.name());
    }
    if host.auto_create {
        set("auto_create", "ON");
    }
    text
}

/// Quotes a value for an option file if it contains blanks, comment signs, quotes or escapes.
fn quoted(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\");
    if value.contains([' ', '#', '\'', '"', '\t', '\\']) {
        format!("\"{escaped}\"")
    } else {
        value.to_owned()
    }
}

/// The complete source, for a configuration. Its `Display` omits the arguments.
pub fn source(unlock: &UnlockSource) -> String {
    match unlock {
        UnlockSource::Command(words) => format!("command:{}", words.join(" ")),
        other => other.to_string(),
    }
}

/// The component's configuration file.
pub fn component_text(host: &Host) -> String {
    let mut keys = Map::new();
    keys.insert("path".to_owned(), json!(host.keyring));
    if !host.mirrors.is_empty() {
        keys.insert("mirrors".to_owned(), json!(host.mirrors));
    }
    keys.insert("unlock".to_owned(), json!(source(&host.unlock)));
    if host.min_copies > 1 {
        keys.insert("min_copies".to_owned(), json!(host.min_copies));
    }
    if host.wait > 0 {
        keys.insert("wait".to_owned(), json!(host.wait));
    }
    if host.allow_same_device {
        keys.insert("allow_same_device".to_owned(), json!(true));
    }
    if host.remotes != Path::new(DEFAULT_REMOTES) {
        keys.insert("remotes".to_owned(), json!(host.remotes));
    }
    if host.read_only {
        keys.insert("read_only".to_owned(), json!(true));
    }
    if let Some(log) = &host.audit.path {
        keys.insert("audit_log".to_owned(), json!(log));
    }
    if host.audit.forward != Forward::No {
        keys.insert("audit_log_forward".to_owned(), json!(host.audit.forward.name()));
    }
    if host.auto_create {
        keys.insert("auto_create".to_owned(), json!(true));
    }
    pretty(&Value::Object(keys))
}

/// A manifest that names these components.
pub fn manifest_text(components: &[String]) -> String {
    let urls: Vec<_> = components.iter().map(|c| format!("file://{c}")).collect();
    pretty(&json!({ "components": urls.join(",") }))
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// The content of a manifest.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    /// The names of the components, without `file://`.
    pub components: Vec<String>,
    /// Whether the server reads the manifest in the data directory instead.
    pub local: bool,
}

impl Manifest {
    /// Parses a manifest.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Manifest, String> {
        let value: Value = serde_json::from_str(text).map_err(|e| format!("it is not JSON: {e}"))?;
        let list = match value.get("components") {
            None => "",
            Some(Value::String(list)) => list,
            Some(_) => return Err("\"components\" must be a string".to_owned()),
        };
        let names = list.split(',').map(|url| url.trim().trim_start_matches("file://"));
        Ok(Manifest {
            components: names.filter(|n| !n.is_empty()).map(str::to_owned).collect(),
            local: value.get("read_local_manifest").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    /// Whether it names our component.
    pub fn is_ours(&self) -> bool {
        self.components.iter().any(|c| c == COMPONENT)
    }

    /// The other keyrings that it names.
    pub fn other_keyrings(&self) -> Vec<String> {
        let mut all = self.components.clone();
        all.retain(|c| c.contains("keyring") && c != COMPONENT);
        all
    }
}

/// A path as a word in a unit.
pub fn unit_path(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%%").replace(' ', "\\x20")
}

/// The drop-in for mysqld's unit, which may lock as much memory as `memlock` says.
pub fn drop_in_text(host: &Host, mounts: &[Mount], memlock: &str) -> String {
    let (mut required, mut wanted, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (i, copy) in host.files() {
        let directory = unit_path(directory_of(copy));
        let mount = mount_of(mounts, copy).filter(|m| m.point != Path::new("/"));
        // A server that may start with one copy must not wait for the volume of another.
        if i == 0 || host.min_copies as usize > i {
            required.push(directory);
        } else if let Some(mount) = mount {
            wanted.push(mount_unit(&mount.point).replace('%', "%%"));
        } else {
            unknown.push(directory);
        }
    }
    let [written, _, waits, mirrors, locked, reads, network] = COMMENTS;
    let mut text = format!("{written}\n[Unit]\n");
    if !required.is_empty() {
        text.push_str(&format!("{waits}\nRequiresMountsFor={}\n", required.join(" ")));
    }
    if host.uses_remotes() {
        text.push_str(&format!("{network}\nWants={NETWORK_ONLINE}\nAfter={NETWORK_ONLINE}\n"));
    }
    if !(wanted.is_empty() && unknown.is_empty()) {
        text.push_str(&format!("{mirrors}\n"));
    }
    if !wanted.is_empty() {
        let wanted = wanted.join(" ");
        text.push_str(&format!("Wants={wanted}\nAfter={wanted}\n"));
    }
    if !unknown.is_empty() {
        // These volumes are not mounted now, so the names of their units are not known. Needs systemd 256 or later.
        text.push_str(&format!("WantsMountsFor={}\n", unknown.join(" ")));
    }
    text.push_str(&format!("[Service]\n{locked}\nLimitMEMLOCK={memlock}\n"));
    if let (UnlockSource::Credential(name), Some(file)) = (&host.unlock, &host.credential) {
        let file = file.to_string_lossy().replace('%', "%%");
        text.push_str(&format!("{reads}\nLoadCredential={name}:{file}\n"));
    }
    text
}

/// The paths and contents of the files that make mysqld load this keyring.
pub fn server_files(host: &Host) -> Vec<(PathBuf, String)> {
    match host.way {
        Way::Plugin => vec![(host.option_file.clone(), option_text(host, Way::Plugin.library(), FORCE))],
        Way::Component => vec![
            (host.manifest(), manifest_text(&[COMPONENT.to_owned()])),
            (keyring_external::config::file::file_in(&host.plugin_dir), component_text(host)),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::server::OptionFiles;

    #[test]
    fn the_option_file_is_read_back_unchanged() {
        let mut host = example(Way::Plugin);
        host.keyring = "/mnt/my stick/a#b\\c".into();
        host.unlock = "command:/bin/get key".parse().unwrap();
        host.min_copies = 2;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.cnf");
        std::fs::write(&file, option_text(&host, "keyring_external.so;a=audit.so", FORCE)).unwrap();
        let read = OptionFiles::read(&file, Path::new("/")).unwrap();
        let value = |name: &str| {
            let entry = read.entries.iter().find(|e| e.name == name && e.group == "mysqld");
            entry.and_then(|e| e.value.clone()).unwrap_or_else(|| panic!("no {name}"))
        };
        assert_eq!(value("keyring-external-data"), "/mnt/my stick/a#b\\c");
        assert_eq!(value("keyring-external-unlock"), "command:/bin/get key");
        assert_eq!(value("keyring-external-mirrors"), "/mnt/b/keys/main.keyring");
        assert_eq!(value("keyring-external-min-copies"), "2");
        assert_eq!(value("keyring-external"), "FORCE_PLUS_PERMANENT");
        assert_eq!(value("early-plugin-load"), "keyring_external.so;a=audit.so");
    }

    #[test]
    fn the_configuration_of_the_component_is_read_back_unchanged() {
        let mut host = example(Way::Component);
        host.wait = 60;
        let dir = tempfile::tempdir().unwrap();
        let file = keyring_external::config::file::file_in(dir.path());
        std::fs::write(&file, component_text(&host)).unwrap();
        let user = keyring_external::store::file::real::effective_user();
        let config = keyring_external::config::file::read(Some(dir.path()), None, user).unwrap();
        assert_eq!((config.path, config.mirrors), (host.keyring, host.mirrors));
        assert_eq!((config.unlock, config.wait, config.min_copies), (host.unlock, 60, 1));
    }

    #[test]
    fn manifests_are_read() {
        let ours = Manifest::parse(&manifest_text(&[COMPONENT.to_owned()])).unwrap();
        assert!(ours.is_ours() && !ours.local && ours.other_keyrings().is_empty());
        let two = r#"{"components": "file://component_log, file://component_keyring_file"}"#;
        let two = Manifest::parse(two).unwrap();
        assert!(!two.is_ours());
        assert_eq!(two.other_keyrings(), ["component_keyring_file"]);
        assert!(Manifest::parse(r#"{"read_local_manifest": true}"#).unwrap().local);
        assert!(Manifest::parse("components").is_err());
    }

    #[test]
    fn the_documented_files_are_those_that_setup_writes() {
        let page = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
            std::fs::read_to_string(path).unwrap()
        };
        let indented =
            |text: &str, by: &str| -> String { text.lines().map(|line| format!("{by}{line}\n")).collect() };
        for name in ["SETUP.md", "OPERATIONS.md", "BACKUP.md", "OPENSPECIMEN.md"] {
            // The default of setup is the path in every example.
            assert!(!page(name).contains("/etc/mysql/keyring.secret"), "{name}");
        }
        let mounts = "1 0 8:1 / /mnt/a rw - ext4 /dev/sdb1 rw\n2 0 8:2 / /mnt/b rw - ext4 /dev/sdc1 rw";
        let mounts = super::super::mounts::mounts(mounts, Path::new("/"));
        let drop_in = drop_in_text(&example(Way::Component), &mounts, MEMLOCK);
        assert!(
            page("OPERATIONS.md").contains(&indented(&drop_in, "    ")),
            "OPERATIONS.md lacks\n{drop_in}"
        );
        let mut host = example(Way::Plugin);
        host.mirrors.clear();
        let options = option_text(&host, Way::Plugin.library(), FORCE);
        let options: String =
            options.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect();
        assert!(page("SETUP.md").contains(&indented(&options, "       ")), "SETUP.md lacks\n{options}");
        host.way = Way::Component;
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let setup = page("SETUP.md");
        let documented: Vec<_> =
            setup.lines().map(str::trim).filter(|l| l.starts_with("{ \"")).map(json).collect();
        assert!(documented.contains(&json(&component_text(&host))), "{documented:?}");
        assert!(documented.contains(&json(&manifest_text(&[COMPONENT.to_owned()]))), "{documented:?}");
    }

    #[test]
    fn the_drop_in_requires_as_many_volumes_as_the_server_needs() {
        let mounts = super::super::mounts::mounts("1 0 8:1 / /mnt/b rw - ext4 /dev/sdb1 rw", Path::new("/"));
        let mut host = example(Way::Component);
        let text = drop_in_text(&host, &mounts, MEMLOCK);
        assert!(text.contains("\nRequiresMountsFor=/mnt/a/keys\n"), "{text}");
        assert!(text.contains("\nWants=mnt-b.mount\nAfter=mnt-b.mount\n"), "{text}");
        assert!(!text.contains("LoadCredential"), "{text}");
        assert!(drop_in_text(&host, &[], MEMLOCK).contains("\nWantsMountsFor=/mnt/b/keys\n"));
        host.min_copies = 2;
        host.unlock = UnlockSource::Credential("keyring".to_owned());
        host.credential = Some("/etc/keyring.secret".into());
        let text = drop_in_text(&host, &mounts, MEMLOCK);
        assert!(
            text.contains("\nRequiresMountsFor=/mnt/a/keys /mnt/b/keys\n") && !text.contains("Wants"),
            "{text}"
        );
        assert!(text.contains("\nLoadCredential=keyring:/etc/keyring.secret\n"), "{text}");
        let mut unit = super::super::unit::Unit::default();
        unit.add(&text);
        assert!(unit.waits_for(Path::new("/mnt/a"), true) && unit.credential("keyring").is_some());
    }
}
