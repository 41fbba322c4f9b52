// SPDX-License-Identifier: GPL-2.0-or-later
//! The host's own configuration, which keyringctl reads: AppArmor profiles, systemd units, mounts, accounts, manifests.

use keyring_external::unlock::UnlockSource;
use keyringctl::host::apparmor::{include_line, local_rules, merged, parse, with_include};
use keyringctl::host::files::{MEMLOCK, Manifest, drop_in_text};
use keyringctl::host::mounts::{fstab, mount_of, mounts};
use keyringctl::host::needs::needs;
use keyringctl::host::unit::{Unit, mount_unit};
use keyringctl::host::{Host, Way, accounts};
use std::cell::Cell;
use std::path::Path;

fn example() -> Host {
    Host {
        way: Way::Component,
        keyring: "/mnt/a/keys/main.keyring".into(),
        mirrors: vec!["/mnt/my stick/keys/main.keyring".into()],
        min_copies: 1,
        wait: 0,
        allow_same_device: false,
        read_only: false,
        auto_create: false,
        audit: keyring_external::config::AuditConfig::default(),
        unlock: UnlockSource::File("/etc/mysql/keyring.secret".into()),
        credential: None,
        mysqld: "/usr/sbin/mysqld".into(),
        plugin_dir: "/usr/lib/mysql/plugin".into(),
        datadir: "/var/lib/mysql".into(),
        unit: "mysql.service".into(),
        option_file: "/etc/mysql/mysql.conf.d/keyring_external.cnf".into(),
        remotes: "/etc/mysql/keyring_external.remotes.json".into(),
        remote_files: Vec::new(),
        local_manifest: false,
    }
}

/// Parses the same text as each of these files.
pub fn host(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let host = example();
    let needs = needs(&host);

    // `self` includes the text itself, a few times; no other include exists.
    let included = Cell::new(0);
    let include = |name: &str| {
        included.set(included.get() + 1);
        (name == "self" && included.get() < 4).then(|| vec![text.clone().into_owned()])
    };
    for profile in parse(&text, &include) {
        let _ = (profile.confines(&host.mysqld), profile.is_enforced());
        assert!(profile.missing(&needs).len() <= needs.len());
        if let Some(end) = profile.end {
            let local = Path::new("/etc/apparmor.d/local/mysqld");
            assert!(with_include(&text, end, local).contains(&include_line(local)), "the end is in the text");
        }
    }
    let rules = local_rules(&needs);
    let once = merged(&text, &rules);
    assert_eq!(merged(&once, &rules), once, "rules that are present are not added again");

    let mut unit = Unit::default();
    unit.add(&text);
    let point = Path::new("/mnt/my stick");
    let _ = (unit.waits_for(point, true), unit.waits_for(point, false), unit.memlock(), unit.user());
    let _ = (
        unit.credential("kx"),
        unit.blocks_writing(point),
        unit.sets_environment("KX"),
        mount_unit(Path::new(&*text)),
    );
    let variables = unit.environment(&[text.clone().into_owned()]);
    if let Some(command) = unit.command("one", &variables) {
        assert!(!command.is_empty());
    }
    let _ = (unit.environment_files(), accounts::home(&text, "mysql"));

    let all = mounts(&text, Path::new("/"));
    let _ = mounts(&text, Path::new("/image"));
    if let Some(mount) = mount_of(&all, &host.keyring) {
        assert!(host.keyring.starts_with(&mount.point));
        let _ = (mount.has("ro"), mount.is_volatile());
    }
    let _ = drop_in_text(&host, &all, MEMLOCK);
    let _ = fstab(&text);
    if let Some(account) = accounts::find(&text, "mysql") {
        assert_eq!(account.name, "mysql");
        let _ = accounts::name_of(&text, account.uid);
    }
    match Manifest::parse(&text) {
        Ok(manifest) => drop((manifest.is_ours(), manifest.other_keyrings())),
        Err(why) => assert!(!why.is_empty()),
    }
}
