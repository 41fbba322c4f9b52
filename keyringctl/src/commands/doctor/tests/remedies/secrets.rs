// SPDX-License-Identifier: GPL-2.0-or-later
//! Fixes of the unlock secret.

use super::*;

/// A host whose secret comes from this source.
fn with_source(source: &str) -> Guest {
    let guest = component();
    replace(&guest, CNF, "file:/etc/mysql/secret", source);
    guest
}

fn with_plugin_and_source(source: &str) -> Guest {
    let guest = plugin();
    replace(&guest, OPTIONS, "file:/etc/mysql/secret", source);
    guest
}

pub(super) fn follow(all: &mut Followed) {
    files(all);
    credentials(all);
    for with in [with_source, with_plugin_and_source] {
        let guest = with("env:KEYRING_SECRET");
        all.fix(&guest, "unlock-secret", "environment variable", 0, &nothing);
        let guest = with("env:KEYRING_SECRET");
        guest.write("etc/systemd/system/mysql.service.d/x.conf", "[Service]\nEnvironment=KEYRING_SECRET=x\n");
        all.fix(&guest, "unlock-secret", "sets the variable", 0, &nothing);
        let guest = with("command:/opt/secret --now");
        all.fix(&guest, "unlock-secret", "does not exist", 1, &nothing);
    }
    let guest = with_source("command:/opt/secret");
    all.fix(&guest, "unlock-secret", "does not exist", 0, &|guest| {
        guest.write("opt/secret", "#!/bin/sh");
        guest.chmod("opt/secret", 0o755);
    });
    let guest = with_account(with_source("command:/opt/secret"));
    guest.write("opt/secret", "#!/bin/sh");
    all.fix(&guest, "unlock-secret", "no permission to run", 0, &nothing);
    guest.chmod("opt/secret", 0o777);
    all.fix(&guest, "unlock-secret", "users other than root can change", 0, &nothing);
}

fn files(all: &mut Followed) {
    let guest = component();
    guest.chmod(SECRET, 0o640);
    all.fix(&guest, "unlock-secret", "mode 0640", 0, &nothing);

    let guest = component();
    fs::remove_file(guest.at(SECRET)).unwrap();
    all.fix(&guest, "unlock-secret", "cannot find", 1, &nothing);
    assert_eq!(fs::metadata(guest.at(SECRET)).unwrap().permissions().mode() & 0o777, 0o600);
    let other = fs::read(guest.at(SECRET)).unwrap();
    assert_ne!(other, [0xfe; 32]);

    let guest = with_account(component());
    std::os::unix::fs::chown(guest.at(SECRET), Some(0), Some(0)).unwrap();
    all.fix(&guest, "unlock-secret", "must read it", 0, &nothing);
    std::os::unix::fs::chown(guest.at(SECRET), Some(0), Some(0)).unwrap();
    guest.chmod(SECRET, 0o604);
    all.fix(&guest, "unlock-secret", "belongs to user id", 0, &nothing);

    for guest in [component(), plugin()] {
        fs::rename(guest.at(SECRET), guest.at("mnt/b/secret")).unwrap();
        let settings = if guest.at(CNF).exists() { CNF } else { OPTIONS };
        replace(&guest, settings, "/etc/mysql/secret", "/mnt/b/secret");
        all.fix(&guest, "secret-on-volume", MIRROR, 0, &nothing);
        assert!(!guest.at("mnt/b/secret").exists());
    }

    // The server's own slot was removed: it starts again with the same secret.
    for guest in [component(), plugin()] {
        fs::write(guest.at(SECRET), [0xfd; 32]).unwrap();
        all.fix(&guest, "verify", "does not unlock", 1, &nothing);
    }
}

fn credentials(all: &mut Followed) {
    let without_unit = |guest: &Guest| {
        let mut site = guest.site();
        site.unit = None;
        findings(&site, &|view| read_files(guest, view))
    };
    let guest = with_source("credential:keyring");
    all.fix_with(&guest, "unlock-secret", "but there is no unit", 0, &without_unit, &|_, _| {});
    let guest = with_source("credential:keyring");
    all.fix(&guest, "unlock-secret", "does not load the credential", 0, &nothing);
    let guest = with_source("credential:keyring");
    guest.write("usr/lib/systemd/libsystemd-shared-239.so", "");
    all.fix(&guest, "systemd-credentials", "systemd 239 has none", 0, &nothing);
    let guest = with_source("credential:keyring");
    fs::rename(guest.at(SECRET), guest.at("mnt/b/secret")).unwrap();
    let drop_in = format!("{DROP_IN}LoadCredential=keyring:/mnt/b/secret\n");
    guest.write("etc/systemd/system/mysql.service.d/keyring_external.conf", &drop_in);
    all.fix(&guest, "secret-on-volume", "mnt/b/secret is on the filesystem", 0, &nothing);
}
