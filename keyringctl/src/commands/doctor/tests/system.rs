// SPDX-License-Identifier: GPL-2.0-or-later
//! Findings about volumes, systemd and the running server.

use super::super::server;
use super::*;
use crate::server::{LoadedAs, ServerKeyring};
use std::time::{Duration, SystemTime};

fn mounted(from: &str, to: &str) -> impl Fn(&mut HostView<'_>) {
    let text = MOUNTS.replace(from, to);
    assert_ne!(text, MOUNTS, "{from} is in none");
    move |view| view.mounts = mounts::mounts(&text, Path::new("/"))
}

#[test]
fn a_volume_that_is_not_mounted_is_reported() {
    let guest = Guest::new();
    let found = guest.with(&mounted("/mnt/a", "/mnt/x"));
    error(&found, "volume", "no volume is mounted there");
    error(&found, "same-device", "/var/lib/mysql");
}

#[test]
fn a_keyring_beside_the_data_is_reported() {
    let guest = Guest::new();
    error(
        &guest.with(&mounted("8:17", "8:1")),
        "same-device",
        "on the same filesystem as the data directory",
    );
    let text = fs::read_to_string(guest.at(CNF)).unwrap();
    guest.write(CNF, &text.replacen('{', r#"{"allow_same_device": true, "#, 1));
    warning(&guest.with(&mounted("8:17", "8:1")), "same-device", "allow_same_device is ON");
    passes(&guest.findings());
}

#[test]
fn partitions_of_one_disk_are_reported() {
    let guest = Guest::new();
    let disk = |name: &str, partition: &str, number: &str| {
        guest.write(&format!("sys/devices/{name}/{partition}/partition"), "1");
        fs::create_dir_all(guest.at("sys/dev/block")).unwrap();
        let link = guest.at("sys/dev/block").join(number);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(format!("../../devices/{name}/{partition}"), link).unwrap();
    };
    disk("sda", "sda1", "8:1");
    disk("sdb", "sdb1", "8:17");
    disk("sdc", "sdc1", "8:33");
    passes(&guest.findings());
    disk("sda", "sda2", "8:17");
    warning(&guest.findings(), "same-disk", "the same disk (sda)");
    disk("sdb", "sdb1", "8:17");
    disk("sdb", "sdb2", "8:33");
    warning(&guest.findings(), "mirrors-apart", "the same filesystem or disk");
}

#[test]
fn mirrors_on_one_volume_are_reported() {
    warning(&Guest::new().with(&mounted("8:33", "8:17")), "mirrors-apart", "the same filesystem");
}

#[test]
fn a_mirror_behind_a_link_to_the_same_volume_is_reported() {
    let guest = Guest::new();
    fs::create_dir_all(guest.at("mnt/a/more")).unwrap();
    guest.chmod("mnt/a/more", 0o700);
    fs::rename(guest.at(MIRROR), guest.at("mnt/a/more/main.keyring")).unwrap();
    fs::remove_dir(guest.at("mnt/b/keys")).unwrap();
    std::os::unix::fs::symlink(guest.at("mnt/a/more"), guest.at("mnt/b/keys")).unwrap();
    warning(&guest.findings(), "mirrors-apart", "the same filesystem");
}

#[test]
fn one_file_under_two_names_is_reported() {
    let guest = Guest::new();
    fs::remove_file(guest.at(MIRROR)).unwrap();
    fs::hard_link(guest.at(KEYRING), guest.at(MIRROR)).unwrap();
    let found = guest.findings();
    error(&found, "same-file", "are the same file under two names");
    warning(&found, "one-copy", "its other paths lead to the same file");
    warning(&found, "mirrors-apart", "are the same file");
}

#[test]
fn a_volume_that_forgets_or_cannot_be_written_is_reported() {
    let guest = Guest::new();
    error(&guest.with(&mounted("ext4 /dev/sdb1", "tmpfs tmpfs")), "volatile", "tmpfs");
    error(&guest.with(&mounted("/mnt/a rw", "/mnt/a ro")), "read-only-volume", "/mnt/a is mounted read-only");
    warning(&guest.with(&mounted("nodev,noexec - xfs", "rw - xfs")), "mount-options", "nodev, noexec");
}

#[test]
fn a_volume_that_is_not_mounted_at_boot_is_reported() {
    let guest = Guest::new();
    warning(&guest.with(&|view| view.fstab.truncate(1)), "fstab", "/mnt/b is not in /etc/fstab");
    guest.write("etc/systemd/system/mnt-b.mount", "");
    passes(&guest.with(&|view| view.fstab.truncate(1)));
    warning(&guest.with(&|view| view.fstab[0].options.clear()), "fstab", "without nofail");
}

#[test]
fn a_unit_that_does_not_wait_is_reported() {
    let guest = Guest::new();
    let drop_in = "etc/systemd/system/mysql.service.d/keyring_external.conf";
    guest.write(drop_in, &DROP_IN.replace("/mnt/a/keys ", ""));
    warning(&guest.findings(), "mounts-for", "does not wait for /mnt/a");
    guest.write(drop_in, &DROP_IN.replace(" /mnt/b/keys", "\nAfter=mnt-b.mount"));
    passes(&guest.findings());
}

#[test]
fn a_unit_that_closes_the_volume_is_reported() {
    let guest = Guest::new();
    guest.write(
        "etc/systemd/system/mysql.service.d/hard.conf",
        "[Service]\nProtectSystem=strict\nReadWritePaths=/var/lib/mysql /mnt/a\n",
    );
    let found = guest.findings();
    error(&found, "unit-closes-volume", "/mnt/b/keys");
    assert_eq!(found.of_check("unit-closes-volume").len(), 1);
}

#[test]
fn too_little_memory_that_may_be_locked_is_reported() {
    let guest = Guest::new();
    let drop_in = "etc/systemd/system/mysql.service.d/keyring_external.conf";
    guest.write(drop_in, &DROP_IN.replace("64M", "64K"));
    warning(&guest.findings(), "memlock", "64 KiB");
    guest.write(drop_in, &DROP_IN.replace("LimitMEMLOCK=64M", ""));
    warning(&guest.findings(), "memlock", "does not set");
    guest.write(drop_in, &DROP_IN.replace("64M", "infinity"));
    passes(&guest.findings());
}

#[test]
fn a_host_without_systemd_is_a_note() {
    let guest = Guest::new();
    let mut site = guest.site();
    site.unit = None;
    let found = findings(&site, &|_| {});
    note(&found, "systemd", "systemd unit mysql.service does not exist");
    passes(&found);
}

pub(super) fn server_keyring(way: LoadedAs, state: &str) -> ServerKeyring {
    ServerKeyring {
        way,
        state: state.to_owned(),
        id: String::new(),
        generation: 1,
        keys: 0,
        copies: (1, 2),
        paths: vec!["/mnt/a/keys/main.keyring".into(), "/mnt/b/keys/main.keyring".into()],
        remotes: None,
        last_error: "the reason".to_owned(),
        started: None,
    }
}

#[test]
fn the_state_of_the_running_server_is_reported() {
    let guest = Guest::new();
    let site = guest.site();
    let view = HostView::collect(&site, None, &mut Findings::default()).unwrap();
    let judge = |keyring: &ServerKeyring| {
        let mut found = Findings::default();
        server::judge(keyring, Some(&view), &mut found);
        found
    };
    for state in ["ATTACHED", "READ_ONLY"] {
        assert!(judge(&server_keyring(LoadedAs::Component, state)).all().is_empty());
    }
    warning(
        &judge(&server_keyring(LoadedAs::Plugin, "DEGRADED")),
        "server-state",
        "1 of 2 copies is up to date: the reason",
    );
    error(&judge(&server_keyring(LoadedAs::Component, "DETACHED")), "server-state", "DETACHED");
    error(
        &judge(&server_keyring(LoadedAs::Component, "UNAVAILABLE")),
        "server-state",
        "UNAVAILABLE: the reason",
    );
    error(&judge(&server_keyring(LoadedAs::Component, "")), "server-state", "an unknown state");
    error(&judge(&server_keyring(LoadedAs::None, "")), "server-keyring", "has no keyring, although");
    let started = |started| ServerKeyring { started: Some(started), ..server_keyring(LoadedAs::None, "") };
    error(&judge(&started(SystemTime::UNIX_EPOCH)), "server-keyring", "has no keyring yet");
    let after = SystemTime::now() + Duration::from_secs(60);
    error(&judge(&started(after)), "server-keyring", "has no keyring, although");
    // Errors in the configuration are fixed first.
    let mut found = Findings::default();
    found.add(FindingLevel::Error, "keyring-file", "no copy", "why", &[]);
    server::judge(&started(SystemTime::UNIX_EPOCH), Some(&view), &mut found);
    let of_server = found.of_check("server-keyring");
    assert!(of_server[0].fix[0].contains("fix the errors above"), "{:?}", of_server[0].fix);
    error(
        &judge(&server_keyring(LoadedAs::Other("component_keyring_file".to_owned()), "")),
        "server-keyring",
        "component_keyring_file",
    );
    let mut found = Findings::default();
    found.add(FindingLevel::Error, "configured", "mysqld does not load keyring_external", "why", &[]);
    crate::commands::doctor::server::judge(&server_keyring(LoadedAs::Plugin, "ATTACHED"), None, &mut found);
    warning(&found, "server-keyring", "did not find the configuration");
    assert!(found.of_check("configured").is_empty());
    let mut elsewhere = server_keyring(LoadedAs::Component, "ATTACHED");
    elsewhere.paths.pop();
    warning(&judge(&elsewhere), "server-keyring", "its configuration names");
}

#[test]
fn a_copy_that_is_not_mounted_is_one_finding() {
    let guest = Guest::new();
    fs::remove_dir_all(guest.at("mnt/b/keys")).unwrap();
    let found = guest.with(&mounted("/mnt/b", "/mnt/x"));
    let checks: Vec<_> = found.all().into_iter().map(|f| f.check).collect();
    assert_eq!(checks, ["keyring-file"]);
}
