// SPDX-License-Identifier: GPL-2.0-or-later
//! Situations of the one copy of a keyring while a server uses it: another one in its place, an older one,
//! one that was changed apart, a volume that is read-only. The server and `keyringctl status` tell the same,
//! nothing is written to what is not ours, and when the right one is back, all goes on. For copies that come
//! and go see `mirrors`, for full volumes `faults_full`, for hung ones `faults_hung`.

use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Server, Snapshot, Volume, agree};

/// A server with an encrypted table and a key of its own, on one volume.
fn one_stick(volume: &Volume) -> (Keyring, Host, Server) {
    let keyring = Keyring::init(volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.put_to_use();
    agree(&server, &keyring, "ATTACHED", "1/1");
    (keyring, host, server)
}

/// Every change is refused, for that reason, and every read answered.
fn only_reads(server: &Server, volume: &Volume, why: &str) {
    let before = Snapshot::of(&volume.mount_point());
    server.sql_error(ROTATE);
    assert_eq!(server.value::<Option<i32>>("SELECT keyring_key_generate('none', 'AES', 32)"), None);
    assert_eq!(server.value::<Option<i32>>("SELECT keyring_key_remove('mine')"), None);
    assert!(server.status()["last_error"].contains(why), "{:?}", server.status());
    server.sql("FLUSH TABLES");
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
    assert_eq!(Snapshot::of(&volume.mount_point()), before, "the volume was changed");
}

/// The right one is there: all goes on.
fn all_goes_on(server: &Server, keyring: &Keyring) {
    server.sql(ROTATE);
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
    agree(server, keyring, "ATTACHED", "1/1");
}

/// Exchanges what is on the volume.
fn exchange(volume: &Volume, put: &str, keep: &str) {
    volume.unmount();
    volume.put_back(put, keep);
    volume.mount();
}

/// A copy of the stick from before the last changes is mounted.
pub fn older() {
    let volume = Volume::ext4();
    let (keyring, _host, server) = one_stick(&volume);
    volume.unmount();
    agree(&server, &keyring, "DETACHED", "0/1");
    volume.keep_as("old");
    volume.mount();
    all_goes_on(&server, &keyring);
    exchange(&volume, "old", "new");
    agree(&server, &keyring, "DETACHED", "0/1");
    only_reads(&server, &volume, "this is an older copy");
    agree(&server, &keyring, "DETACHED", "0/1");
    exchange(&volume, "new", "old");
    all_goes_on(&server, &keyring);
    server.stop();
}

/// A stick with the keyring of another server is mounted.
pub fn foreign() {
    let (volume, other) = (Volume::directory(), Volume::directory());
    let (keyring, _host, server) = one_stick(&volume);
    // One secret opens both: it does not tell them apart.
    let theirs = Keyring::init_with(&other, &keyring.secret);
    volume.unmount();
    volume.keep_as("ours");
    volume.replace_by_new();
    std::fs::copy(&theirs.path, &keyring.path).unwrap();
    agree(&server, &keyring, "DETACHED", "0/1");
    only_reads(&server, &volume, "now holds keyring");
    agree(&server, &keyring, "DETACHED", "0/1");
    exchange(&volume, "ours", "theirs");
    all_goes_on(&server, &keyring);
    server.stop();
}

/// A copy of the stick was changed elsewhere, as often as the stick was changed here.
pub fn fork() {
    let volume = Volume::ext4();
    let (keyring, _host, server) = one_stick(&volume);
    volume.unmount();
    volume.keep_as("fork");
    volume.mount();
    server.sql("DO keyring_key_store('here', 'SECRET', 'value')");
    exchange(&volume, "fork", "ours");
    keyring.store("there");
    agree(&server, &keyring, "DETACHED", "0/1");
    only_reads(&server, &volume, "has diverged");
    agree(&server, &keyring, "DETACHED", "0/1");
    exchange(&volume, "ours", "fork");
    all_goes_on(&server, &keyring);
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('here')"), "value");
    server.stop();
}

/// The volume is mounted read-only, as a filesystem does itself that found an error; then the keyring is
/// read-only by the server's own setting.
pub fn read_only() {
    let volume = Volume::ext4();
    let (keyring, host, server) = one_stick(&volume);
    volume.remount("ro");
    agree(&server, &keyring, "DETACHED", "0/1");
    only_reads(&server, &volume, "Mount the volume writable");
    agree(&server, &keyring, "DETACHED", "0/1");
    server.stop();
    // All that there is can be read: a server starts with it, and says what it cannot do.
    let server = host.start();
    agree(&server, &keyring, "DETACHED", "0/1");
    only_reads(&server, &volume, "Mount the volume writable");
    volume.remount("rw");
    all_goes_on(&server, &keyring);

    // On purpose, and then the volume may be read-only too.
    server.sql("SET GLOBAL keyring_external_read_only = ON");
    agree(&server, &keyring, "READ_ONLY", "1/1");
    volume.remount("ro");
    agree(&server, &keyring, "READ_ONLY", "1/1");
    volume.remount("rw");
    only_reads(&server, &volume, "keyring_external_read_only=OFF");
    server.sql("SET GLOBAL keyring_external_read_only = OFF");
    all_goes_on(&server, &keyring);
    server.stop();
}
