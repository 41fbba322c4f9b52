// SPDX-License-Identifier: GPL-2.0-or-later
//! A keyring on a filesystem whose locks keep others from reading too, as SMB's: a server and `keyringctl` change it in
//! turn, and a lock that somebody has for a moment is waited for.

use mysql_plugin_tests::rig::fuse::Fuse;
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, agree, place, told};
use std::fs::File;
use std::io::ErrorKind::{PermissionDenied, WouldBlock};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::Command;
use std::time::Duration;

/// Somebody's lock on the keyring.
fn lock(keyring: &Keyring) -> File {
    let file = File::options().read(true).write(true).open(&keyring.path).unwrap();
    file.try_lock().unwrap();
    file
}

/// Runs `work` while somebody has the lock, who gives it back soon.
fn while_locked<R>(keyring: &Keyring, work: impl FnOnce() -> R) -> R {
    let held = lock(keyring);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_secs(1));
            drop(held);
        });
        work()
    })
}

/// What the other test stands on.
pub fn refuse_others() {
    let volume = Fuse::with_mandatory_locks();
    let keyring = volume.init();
    let other = File::options().read(true).write(true).open(&keyring.path).unwrap();
    let mut byte = [0];
    other.read_exact_at(&mut byte, 0).unwrap();
    let holder = lock(&keyring);
    assert_eq!(std::io::Error::from(other.try_lock().unwrap_err()).kind(), WouldBlock);
    holder.read_exact_at(&mut byte, 0).unwrap();
    holder.write_all_at(&byte, 0).unwrap();
    let len = holder.metadata().unwrap().len();
    holder.set_len(len).unwrap();
    for refused in [other.read_exact_at(&mut byte, 0), other.write_all_at(&byte, 0), other.set_len(len)] {
        assert_eq!(refused.unwrap_err().kind(), PermissionDenied);
    }
    drop(holder);
    other.read_exact_at(&mut byte, 0).unwrap();
    other.try_lock().unwrap();
}

pub fn shared_by_server_and_tools() {
    let (volume, second) = (Fuse::with_mandatory_locks(), Fuse::with_mandatory_locks());
    let keyring = volume.init();
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.put_to_use();
    agree(&server, &keyring, "ATTACHED", "1/1");

    let passphrase = place().run.join("mandatory.passphrase");
    std::fs::write(&passphrase, "correct horse battery").unwrap();
    std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (new, path) = (format!("file:{}", passphrase.display()), keyring.path.to_str().unwrap());
    let mirror = second.keys().join("keyring").display().to_string();
    let sync: &[&str] = &["sync", path, "--mirror", &mirror, "--create", "--yes"];
    let add: &[&str] = &["slot", "add", path, "--new", &new, "--name", "administrator"];
    // The first sync makes the mirror, the second brings it up to date.
    let commands = [add, &["rekey", path, "--yes"], sync, sync];
    let ctl = |command: &[&str]| {
        let output = Command::new(&place().keyringctl)
            .args(command)
            .args(["--unlock", &format!("file:{}", keyring.secret.display())])
            .output()
            .unwrap();
        assert!(output.status.success(), "{command:?}: {}", told(&output));
    };
    for command in commands {
        ctl(command);
        server.sql(ROTATE);
        agree(&server, &keyring, "ATTACHED", "1/1");
    }

    // Somebody has the lock.
    while_locked(&keyring, || server.sql(ROTATE));
    while_locked(&keyring, || ctl(&["rekey", path, "--yes"]));
    server.sql(ROTATE);
    let held = lock(&keyring);
    let status = server.status();
    assert_eq!((&*status["state"], &*status["copies"], &*status["last_error"]), ("ATTACHED", "1/1", ""));
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
    drop(held);
    agree(&server, &keyring, "ATTACHED", "1/1");
    assert_eq!(server.status()["failures"], "0");
    server.stop();
    assert_eq!(while_locked(&keyring, || keyring.report("verify"))["fine"], true);

    let server = while_locked(&keyring, || host.start());
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    server.sql(ROTATE);
    agree(&server, &keyring, "ATTACHED", "1/1");
    server.stop();
}
