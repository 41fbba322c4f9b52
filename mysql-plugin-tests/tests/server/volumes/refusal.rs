// SPDX-License-Identifier: GPL-2.0-or-later
//! What is not right is refused with its own message, and left byte for byte as it was (invariants 4, 5).

use mysql_plugin_tests::rig::{Host, Keyring, Snapshot, Volume, place};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Every refusal at start, one after the other on the same data directory.
pub fn at_start() {
    let host = Host::new();
    let refused = |what: &str, message: &str, spoil: &dyn Fn(&Keyring)| {
        let volume = Volume::directory();
        let keyring = Keyring::init(&volume);
        spoil(&keyring);
        let before = Snapshot::of(&volume.mount_point());
        let Err(failure) = host.clone().keyring(&keyring).try_start() else {
            panic!("{what}: the server started");
        };
        assert!(failure.status.is_some_and(|s| !s.success()), "{what}: {failure}");
        assert!(failure.log.contains(message), "{what}: {message:?} is missing: {failure}");
        assert_eq!(Snapshot::of(&volume.mount_point()), before, "{what}: the volume was changed");
    };

    refused("a file open to others", "run chmod 0600", &|k| chmod(&k.path, 0o640));
    refused("a directory open to others", "run chmod 0700", &|k| chmod(k.path.parent().unwrap(), 0o755));
    refused("a link", "is a symbolic link", &|k| {
        let target = k.path.with_extension("target");
        fs::rename(&k.path, &target).unwrap();
        symlink(target, &k.path).unwrap();
    });
    refused("a directory in the file's place", "is a directory", &|k| {
        fs::remove_file(&k.path).unwrap();
        fs::create_dir(&k.path).unwrap();
    });
    refused("no file", "there is no keyring at", &|k| fs::remove_file(&k.path).unwrap());
    refused("another file", "is not a keyring", &|k| fs::write(&k.path, vec![b'x'; 20000]).unwrap());
    refused("an empty file", "is not a keyring", &|k| fs::write(&k.path, "").unwrap());
    refused("a damaged file", "is damaged at byte", &|k| {
        let mut bytes = fs::read(&k.path).unwrap();
        // Behind the two copies of the header, one byte of each block.
        bytes[8192..].iter_mut().step_by(512).for_each(|b| *b ^= 0x40);
        fs::write(&k.path, bytes).unwrap();
    });
    refused("another secret", "does not unlock", &|k| fs::write(&k.secret, [0xfe; 32]).unwrap());
    refused("a secret open to others", "it is open to other users", &|k| chmod(&k.secret, 0o644));
    refused("no secret", "the unlock secret could not be read", &|k| fs::remove_file(&k.secret).unwrap());

    // None of that has touched the data directory either: with a good keyring it starts.
    let volume = Volume::directory();
    host.keyring(&Keyring::init(&volume)).start().stop();
}

/// A keyring beside the data it protects is refused, unless that is asked for.
pub fn beside_the_data() {
    let host = Host::new();
    let volume = Volume::directory();
    let mut keyring = Keyring::init(&volume);
    let beside = place().run.join("beside");
    fs::create_dir(&beside).unwrap();
    chmod(&beside, 0o700);
    fs::copy(&keyring.path, beside.join("keyring")).unwrap();
    keyring.path = beside.join("keyring");
    let host = host.keyring(&keyring);

    let before = Snapshot::of(&beside);
    let failure = host.try_start().expect_err("it lies beside the data");
    assert!(failure.log.contains("is on the same filesystem as the data directory"), "{failure}");
    assert_eq!(Snapshot::of(&beside), before);
    host.option("--keyring-external-allow-same-device=ON").start().stop();
}

/// Without FORCE a refusal leaves the server running without a keyring, and encryption fails.
pub fn without_force() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring).option("--keyring-external=ON");
    volume.unmount();
    let server = host.start();
    assert!(server.log().contains("there is no keyring at"), "{}", server.log());
    server.sql_error("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'");
    assert_eq!(fs::read_dir(volume.mount_point()).unwrap().count(), 0, "something was created");
    server.stop();
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
