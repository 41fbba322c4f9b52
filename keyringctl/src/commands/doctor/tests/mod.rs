// SPDX-License-Identifier: GPL-2.0-or-later
//! A host in good order, below a directory, and for each finding what provokes it.

mod configuration;
mod confinement;
mod keyrings;
mod remedies;
mod system;

use super::checks::CHECKS;
use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use crate::commands::site::{self, Site};
use crate::commands::{init, secret};
use crate::host::accounts::Account;
use crate::host::mounts;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::{RealFs, effective_user};
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const MOUNTS: &str = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
    2 1 8:17 / /mnt/a rw,nosuid,nodev,noexec - ext4 /dev/sdb1 rw\n\
    3 1 8:33 / /mnt/b rw,nosuid,nodev,noexec - xfs /dev/sdc1 rw\n";
const FSTAB: &str = "UUID=1 /mnt/a ext4 nofail,nodev 0 2\nUUID=2 /mnt/b xfs nofail 0 2\n";
const UNIT: &str = "[Service]\nUser=mysql\nExecStart=/usr/sbin/mysqld\n";
const DROP_IN: &str = "[Unit]\nRequiresMountsFor=/mnt/a/keys /mnt/b/keys\n[Service]\nLimitMEMLOCK=64M\n";
const MANIFEST: &str = "usr/sbin/mysqld.my";
const CNF: &str = "usr/lib/mysql/plugin/component_keyring_external.cnf";
const LIBRARY: &str = "usr/lib/mysql/plugin/component_keyring_external.so";
const OPTIONS: &str = "etc/my.cnf";
const SECRET: &str = "etc/mysql/secret";
const KEYRING: &str = "mnt/a/keys/main.keyring";
const MIRROR: &str = "mnt/b/keys/main.keyring";
const WITH_PLUGIN: &str = "[mysqld]\nearly-plugin-load=keyring_external.so\nkeyring_external=FORCE_PLUS_PERMANENT\n\
    keyring_external_data=/mnt/a/keys/main.keyring\nkeyring_external_mirrors=/mnt/b/keys/main.keyring\n\
    keyring_external_unlock=file:/etc/mysql/secret\n";

/// The directory that stands for the host.
struct Guest(TempDir);

impl Guest {
    /// A host in good order: the component, two copies, systemd.
    fn new() -> Guest {
        let guest = Guest(tempfile::tempdir().unwrap());
        guest.write(
            "etc/passwd",
            &format!("mysql:x:{}:{}::/:/bin/false\n", effective_user(), rustix::process::getegid().as_raw()),
        );
        guest.write("usr/sbin/mysqld", "");
        guest.write(MANIFEST, r#"{"components": "file://component_keyring_external"}"#);
        guest.write(CNF, r#"{"path": "/mnt/a/keys/main.keyring", "mirrors": ["/mnt/b/keys/main.keyring"], "unlock": "file:/etc/mysql/secret"}"#);
        guest.write(LIBRARY, "a library");
        guest.write("usr/lib/mysql/plugin/keyring_external.so", "a library");
        guest.write("usr/lib/systemd/system/mysql.service", UNIT);
        guest.write("etc/systemd/system/mysql.service.d/keyring_external.conf", DROP_IN);
        guest.write("var/lib/mysql/auto.cnf", "");
        guest.write(SECRET, "");
        fs::write(guest.at(SECRET), [0xfe; 32]).unwrap();
        guest.chmod(SECRET, 0o600);
        for dir in ["mnt/a/keys", "mnt/b/keys"] {
            fs::create_dir_all(guest.at(dir)).unwrap();
            guest.chmod(dir, 0o700);
        }
        guest.init(&[KEYRING, MIRROR]);
        guest
    }

    /// The same host, but with the plugin.
    fn with_plugin() -> Guest {
        let guest = Guest::new();
        fs::remove_file(guest.at(MANIFEST)).unwrap();
        fs::remove_file(guest.at(CNF)).unwrap();
        guest.write(OPTIONS, WITH_PLUGIN);
        guest
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn source(&self) -> UnlockSource {
        UnlockSource::File(self.at(SECRET))
    }

    /// Leaves a redo log as a server does that was killed, with a change that names a master key. Returns the key's id.
    fn leave_redo_log(&self) -> String {
        const SERVER: &str = "dd687905-e7cf-11f1-848c-02fc00000001";
        let mut log = vec![0; 8 * 512];
        let mut put = |at: usize, bytes: &[u8]| log[at..at + bytes.len()].copy_from_slice(bytes);
        // The format, the first LSN, the checkpoint, and the block after it.
        put(0, &6_u32.to_be_bytes());
        put(8, &8192_u64.to_be_bytes());
        put(520, &8704_u64.to_be_bytes());
        [0, 1, 3].iter().for_each(|block| put(block * 512 + 508, &0xdead_beef_u32.to_be_bytes()));
        put(5 * 512, &18_u32.to_be_bytes());
        put(5 * 512 + 4, &512_u16.to_be_bytes());
        put(5 * 512 + 12, &[b"lCC", &3_u32.to_be_bytes()[..], SERVER.as_bytes()].concat());
        fs::create_dir_all(self.at("var/lib/mysql/#innodb_redo")).unwrap();
        fs::write(self.at("var/lib/mysql/#innodb_redo/#ib_redo0"), log).unwrap();
        format!("INNODBKey-{SERVER}-3")
    }

    /// Creates a keyring, replacing what exists.
    fn init(&self, paths: &[&str]) {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let paths: Vec<_> = paths.iter().map(|p| self.at(p)).collect();
        paths.iter().for_each(|path| drop(std::fs::remove_file(path)));
        let source = secret::NewSecret { unlock: Some(self.source()) };
        let created = {
            let slots = init::NewSlots { source: &source, name: "test", custodians: None };
            init::create(&Places::from(&fs), &paths, &slots, "", init::SecretFile::Existing)
        }
        .unwrap();
        let init::Recovery::Key(key) = &created.recovery else { panic!("no recovery key") };
        self.write("recovery", key);
        self.chmod("recovery", 0o600);
    }

    fn site(&self) -> Site {
        site::Args {
            parts: site::Parts { root: self.0.path().to_owned(), ..site::Parts::default() },
            datadir: None,
        }
        .look()
        .unwrap()
    }

    /// The same host, but mysqld's account does not own the files.
    fn strangers_site(&self) -> Site {
        let mut site = self.site();
        site.account = Some(Account { name: "mysql".to_owned(), uid: 4242, gid: 4242 });
        site
    }

    fn findings(&self) -> Findings {
        findings(&self.site(), &|_| {})
    }

    /// Returns the findings after `tweak` has changed what the checks examine.
    fn with(&self, tweak: &dyn Fn(&mut HostView<'_>)) -> Findings {
        findings(&self.site(), tweak)
    }
}

fn findings(site: &Site, tweak: &dyn Fn(&mut HostView<'_>)) -> Findings {
    let mut found = Findings::default();
    let mut view = HostView::collect(site, None, &mut found);
    if let Some(view) = &mut view {
        view.mounts = mounts::mounts(MOUNTS, Path::new("/"));
        view.fstab = mounts::fstab(FSTAB);
        view.sys = site.at(Path::new("/sys"));
        tweak(view);
    }
    super::check(site, view.as_ref(), &mut found);
    let names = found.all().into_iter().map(|f| f.check).chain(found.passed());
    for name in names {
        assert!(CHECKS.iter().any(|(check, _)| *check == name), "{name} is not in the list of checks");
    }
    found
}

/// Asserts that a check has a finding of that level with these words, which says why it matters.
#[track_caller]
fn reports(found: &Findings, check: &str, level: FindingLevel, words: &str) {
    let of_check = found.of_check(check);
    let hit = of_check.iter().find(|f| f.level == level && f.what.contains(words));
    let all: Vec<_> = found.all().iter().map(|f| format!("{:?} {}: {}", f.level, f.check, f.what)).collect();
    let hit = hit.unwrap_or_else(|| panic!("{check} did not report {level:?} {words:?}, but {all:#?}"));
    assert!(level == FindingLevel::Note || !hit.why.is_empty(), "{hit:?}");
    assert!(!found.passed().contains(&hit.check), "{} has not passed", hit.check);
}

#[track_caller]
fn error(found: &Findings, check: &str, words: &str) {
    reports(found, check, FindingLevel::Error, words);
}

#[track_caller]
fn warning(found: &Findings, check: &str, words: &str) {
    reports(found, check, FindingLevel::Warning, words);
}

#[track_caller]
fn note(found: &Findings, check: &str, words: &str) {
    reports(found, check, FindingLevel::Note, words);
}

/// Asserts that there are only notes.
#[track_caller]
fn passes(found: &Findings) {
    let all: Vec<_> = found.all().into_iter().filter(|f| f.level != FindingLevel::Note).collect();
    assert!(all.is_empty(), "{all:#?}");
}

#[test]
fn a_host_in_good_order_has_no_findings() {
    let found = Guest::new().findings();
    passes(&found);
    assert!(found.all().is_empty(), "{:#?}", found.all());
    assert!(found.passed().len() > 30, "{:?}", found.passed());
    passes(&Guest::with_plugin().findings());
}

#[test]
fn ignored_checks_have_no_findings() {
    let guest = Guest::new();
    guest.chmod(SECRET, 0o644);
    let mut found = guest.findings();
    error(&found, "unlock-secret", "0644");
    found.ignore(&["unlock-secret".to_owned()]);
    // A secret that others can read is not used to verify, which is a note.
    passes(&found);
    assert!(found.of_check("unlock-secret").is_empty() && !found.passed().contains(&"unlock-secret"));
}

#[test]
fn each_error_and_warning_has_a_fix() {
    let guest = Guest::new();
    guest.write(OPTIONS, &format!("{WITH_PLUGIN}early-plugin-load=keyring_file.so\n"));
    guest.chmod(KEYRING, 0o644);
    guest.chmod(CNF, 0o666);
    for found in [guest.findings(), guest.with(&|view| view.mounts.truncate(1))] {
        for finding in found.all() {
            assert!(!finding.fix.is_empty(), "{finding:?}");
        }
    }
}
