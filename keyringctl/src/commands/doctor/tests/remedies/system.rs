// SPDX-License-Identifier: GPL-2.0-or-later
//! Fixes of volumes, systemd and the running server.

use super::super::super::file_privilege::{self, FileAccess};
use super::super::super::server;
use super::super::system::server_keyring;
use super::*;
use crate::server::{LoadedAs, ServerKeyring};

const DROP_IN_FILE: &str = "etc/systemd/system/mysql.service.d/keyring_external.conf";

pub(super) fn follow(all: &mut Followed) {
    for host in [component, plugin] {
        volumes(all, host);
    }
    mounts_of(all);
    units(all);
    running(all);
}

fn volumes(all: &mut Followed, host: fn() -> Guest) {
    let not_mounted = || {
        let guest = host();
        replace(&guest, "mountinfo", "8:17 / /mnt/a ", "8:17 / /mnt/x ");
        guest
    };
    let mount = |guest: &Guest| replace(guest, "mountinfo", "/mnt/x ", "/mnt/a ");
    all.fix(&not_mounted(), "volume", "no volume is mounted there", 0, &mount);
    all.fix(&not_mounted(), "volume", "no volume is mounted there", 1, &nothing);
    let guest = host();
    replace(&guest, "mountinfo", "8:17", "8:1");
    all.fix(&guest, "same-device", "on the same filesystem as the data directory", 0, &nothing);
    let guest = host();
    replace(&guest, "mountinfo", "8:17", "8:1");
    if guest.at(CNF).exists() {
        replace(&guest, CNF, "{", r#"{"allow_same_device": true, "#);
    } else {
        replace(&guest, OPTIONS, "[mysqld]", "[mysqld]\nkeyring_external_allow_same_device");
    }
    all.fix(&guest, "same-device", "allow_same_device is ON", 0, &nothing);
    // One disk with two partitions.
    let guest = host();
    for (name, partition, number) in
        [("sda", "sda1", "8:1"), ("sda", "sda2", "8:17"), ("sdc", "sdc1", "8:33"), ("sdd", "sdd1", "8:49")]
    {
        guest.write(&format!("sys/devices/{name}/{partition}/partition"), "1");
        fs::create_dir_all(guest.at("sys/dev/block")).unwrap();
        let link = guest.at("sys/dev/block").join(number);
        std::os::unix::fs::symlink(format!("../../devices/{name}/{partition}"), link).unwrap();
    }
    all.fix(&guest, "same-disk", "two partitions of the same disk (sda)", 0, &nothing);
    let guest = host();
    replace(&guest, "mountinfo", "8:33", "8:17");
    all.fix(&guest, "mirrors-apart", "are on the same filesystem", 0, &nothing);
    for check in ["same-file", "mirrors-apart"] {
        let guest = host();
        fs::remove_file(guest.at(MIRROR)).unwrap();
        fs::hard_link(guest.at(KEYRING), guest.at(MIRROR)).unwrap();
        all.fix(&guest, check, "are the same file", 0, &nothing);
    }
    let guest = host();
    replace(&guest, "mountinfo", "ext4 /dev/sdb1", "tmpfs tmpfs");
    all.fix(&guest, "volatile", "is on tmpfs", 0, &nothing);
}

fn mounts_of(all: &mut Followed) {
    // What stands for mount: its call changes what is mounted.
    let remounted = |from: &'static str, to: &'static str, call: &'static str| {
        move |guest: &Guest, administrator: &Administrator<'_>| {
            let calls = administrator.calls();
            assert!(calls.contains(&format!("{call} {}", guest.at("mnt/a").display())), "{calls}");
            replace(guest, "mountinfo", from, to);
        }
    };
    let guest = component();
    replace(&guest, "mountinfo", "/mnt/a rw", "/mnt/a ro");
    let by_mount = remounted("/mnt/a ro", "/mnt/a rw", "mount -o remount,rw");
    all.fix_with(&guest, "read-only-volume", "is mounted read-only", 0, &seen, &by_mount);
    let guest = component();
    replace(&guest, "mountinfo", "/mnt/a rw,nosuid,nodev,noexec", "/mnt/a rw,nosuid");
    let by_mount =
        remounted("/mnt/a rw,nosuid", "/mnt/a rw,nosuid,nodev,noexec", "mount -o remount,nodev,noexec");
    all.fix_with(&guest, "mount-options", "without nodev, noexec", 0, &seen, &by_mount);
    assert!(
        fs::read_to_string(guest.at("etc/fstab")).unwrap().contains("/mnt/a ext4 nofail,nodev,nodev,noexec")
    );

    let guest = component();
    replace(&guest, "etc/fstab", "UUID=2 /mnt/b", "UUID=2 /mnt/elsewhere");
    all.fix(&guest, "fstab", "/mnt/b is not in /etc/fstab", 0, &nothing);
    let line = "UUID=0123-4567  /mnt/b  xfs  nofail,x-systemd.device-timeout=30s,nodev,nosuid,noexec  0 2";
    let fstab = fs::read_to_string(guest.at("etc/fstab")).unwrap();
    // Below a directory, the volume has another path for findmnt, but not in fstab.
    assert!(fstab.ends_with(&format!("{line}\n")), "{fstab}");
    let guest = component();
    replace(&guest, "etc/fstab", "ext4 nofail,nodev", "ext4 defaults");
    all.fix(&guest, "fstab", "without nofail", 0, &nothing);
}

fn units(all: &mut Followed) {
    let guest = component();
    replace(&guest, DROP_IN_FILE, "/mnt/a/keys ", "");
    all.fix(&guest, "mounts-for", "does not wait for /mnt/a", 0, &nothing);
    let guest = component();
    replace(&guest, CNF, "/mnt/b/keys/main.keyring", "@bucket/db1");
    all.fix(&guest, "after-network", "does not wait for the network", 0, &nothing);
    for unit in ["ProtectSystem=strict\nReadWritePaths=/var/lib/mysql /mnt/a\n", "ReadOnlyPaths=/mnt/b\n"] {
        let guest = component();
        guest.write("etc/systemd/system/mysql.service.d/hard.conf", &format!("[Service]\n{unit}"));
        all.fix(&guest, "unit-closes-volume", "/mnt/b/keys", 0, &nothing);
    }
    for unit in ["ReadOnlyPaths=/mnt/b/keys\n", "InaccessiblePaths=/mnt/b\n"] {
        let guest = component();
        guest.write("etc/systemd/system/mysql.service.d/hard.conf", &format!("[Service]\n{unit}"));
        all.fix(&guest, "unit-closes-volume", "/mnt/b/keys", 0, &|guest| {
            replace(guest, "etc/systemd/system/mysql.service.d/hard.conf", unit, "");
        });
    }
    let guest = component();
    replace(&guest, DROP_IN_FILE, "64M", "64K");
    all.fix(&guest, "memlock", "64 KiB", 0, &nothing);
    let guest = component();
    replace(&guest, DROP_IN_FILE, "LimitMEMLOCK=64M", "");
    all.fix(&guest, "memlock", "does not set", 0, &nothing);
}

/// What a running server says. A test with a server follows the fix of a copy that is lost; the others are done by hand.
fn running(all: &mut Followed) {
    let guest = component();
    let says = |way: LoadedAs, state: &str, paths: &[&str]| ServerKeyring {
        paths: paths.iter().map(PathBuf::from).collect(),
        ..server_keyring(way, state)
    };
    let paths = ["/mnt/a/keys/main.keyring", "/mnt/b/keys/main.keyring"];
    let answer = std::cell::RefCell::new(says(LoadedAs::Component, "ATTACHED", &paths));
    let look = |guest: &Guest| {
        let site = guest.site();
        let view = HostView::collect(&site, None, &mut Findings::default());
        let mut found = Findings::default();
        server::judge(&answer.borrow(), view.as_ref(), &mut found);
        found
    };
    let mended = |_: &Guest, administrator: &Administrator<'_>| {
        assert!(!administrator.by_hand.is_empty());
        answer.replace(says(LoadedAs::Component, "ATTACHED", &paths));
    };
    for (bad, check, words) in [
        (says(LoadedAs::None, "", &[]), "server-keyring", "has no keyring, although"),
        (
            ServerKeyring {
                started: Some(std::time::SystemTime::UNIX_EPOCH),
                ..says(LoadedAs::None, "", &[])
            },
            "server-keyring",
            "has no keyring yet",
        ),
        (
            says(LoadedAs::Other("component_keyring_file".to_owned()), "", &[]),
            "server-keyring",
            "another keyring",
        ),
        (
            says(LoadedAs::Unknown("no privilege".to_owned()), "", &[]),
            "server-keyring",
            "cannot find out which keyring",
        ),
        (says(LoadedAs::Component, "DEGRADED", &paths), "server-state", "DEGRADED"),
        (says(LoadedAs::Component, "DETACHED", &paths), "server-state", "DETACHED"),
        (says(LoadedAs::Component, "UNAVAILABLE", &paths), "server-state", "UNAVAILABLE"),
        (says(LoadedAs::Component, "ATTACHED", &paths[..1]), "server-keyring", "its configuration names"),
    ] {
        answer.replace(bad);
        all.fix_with(&guest, check, words, 0, &look, &mended);
    }
    files_for_accounts(all);
    let unknown = |guest: &Guest| {
        let mut found = Findings::default();
        found.add(FindingLevel::Error, "configured", "no configuration", "why", &[]);
        let site = guest.site();
        let view = HostView::collect(&site, None, &mut Findings::default());
        // With --option-file, doctor finds the configuration.
        let view = view.filter(|_| guest.at("named").exists());
        if view.is_some() {
            found = Findings::default();
        }
        server::judge(&says(LoadedAs::Component, "ATTACHED", &paths), view.as_ref(), &mut found);
        found
    };
    all.fix_with(
        &guest,
        "server-keyring",
        "did not find the configuration",
        0,
        &unknown,
        &|guest, administrator| {
            assert!(administrator.by_hand[0].contains("doctor --option-file FILE"));
            guest.write("named", "");
        },
    );
}

/// The running server lets accounts with FILE read the keyring, until it is restarted with the option file as it is then.
fn files_for_accounts(all: &mut Followed) {
    let look = |guest: &Guest| {
        let site = guest.site();
        let view = HostView::collect(&site, None, &mut Findings::default());
        let value = site.option("secure-file-priv").and_then(|line| line.value.clone());
        let directory = value.unwrap_or_default().trim_matches('"').to_owned();
        let accounts = vec!["root@localhost".to_owned(), "loader@%".to_owned()];
        let accounts = if directory == "NULL" { Vec::new() } else { accounts };
        let mut found = Findings::default();
        let access = FileAccess { accounts, directory };
        file_privilege::judge(Some(&access), &[], view.as_ref(), &mut found);
        found
    };
    let restarted = |_: &Guest, administrator: &Administrator<'_>| {
        assert_eq!(administrator.by_hand, ["then restart mysqld"]);
    };
    let words = "lets root@localhost, loader@% read";
    for guest in [component(), plugin()] {
        all.fix_with(&guest, "file-privilege", words, 0, &look, &restarted);
    }
    for (guest, set) in [(component(), "\"\""), (plugin(), "/mnt/a"), (plugin(), "/etc/mysql")] {
        let options = fs::read_to_string(guest.at(OPTIONS)).unwrap_or_else(|_| "[mysqld]\n".to_owned());
        guest.write(OPTIONS, &format!("{options}secure-file-priv = {set}\n"));
        all.fix_with(&guest, "file-privilege", words, 0, &look, &restarted);
    }
    // A directory for nothing else.
    let guest = plugin();
    let options = fs::read_to_string(guest.at(OPTIONS)).unwrap();
    guest.write(OPTIONS, &format!("{options}secure-file-priv = /var/lib/mysql-files\n"));
    assert!(look(&guest).all().is_empty());
}
