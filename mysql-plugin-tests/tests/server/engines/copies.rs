// SPDX-License-Identifier: GPL-2.0-or-later
//! A server whose keyring is at an engine, with and without a mirror on a volume: by plugin and by component, over
//! restarts, with the engine away at any time, and with an engine that was restored from an older backup.

use mysql_plugin_tests::rig::component::host_with;
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Server, Site, Volume, Which, agree, told};
use std::time::Duration;

/// Every node is killed.
fn away(site: &mut Site) {
    (0..site.engine.nodes()).for_each(|node| site.engine.kill(node));
}

/// And started again.
fn back(site: &mut Site) {
    (0..site.engine.nodes()).for_each(|node| site.engine.start(node));
    site.engine.wait_until_whole();
}

fn reads(server: &Server) {
    server.sql("FLUSH TABLES");
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
}

fn generates(server: &Server, id: &str) -> bool {
    server.value::<Option<i32>>(&format!("SELECT keyring_key_generate('{id}', 'AES', 32)")) == Some(1)
}

/// All copies hold the same, and all of it.
fn same(keyring: &Keyring) {
    let report = keyring.report("verify");
    assert_eq!(report["fine"], true, "{report:#}");
    let mut all: Vec<_> = keyring.paths().iter().map(|path| keyring.copy(path).open().names()).collect();
    all.iter_mut().for_each(|names| names.sort_by_key(|name| format!("{name:?}")));
    assert!(all.windows(2).all(|two| two[0] == two[1]), "the copies differ");
}

/// The one copy is at the engine.
pub fn one_copy(site: &mut Site, prefix: &str) {
    let keyring = site.keyring(prefix, &[]);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.put_to_use();
    agree(&server, &keyring, "ATTACHED", "1/1");
    server.sql(ROTATE);
    assert!(generates(&server, "removed"));
    assert_eq!(server.value::<i32>("SELECT keyring_key_remove('removed')"), 1);
    server.stop();
    let server = host.start();
    reads(&server);
    agree(&server, &keyring, "ATTACHED", "1/1");
    // Another program changes it beside the server, which goes on from there.
    keyring.store("beside");
    server.sql(ROTATE);
    // The same keyring once more: every byte is read again.
    server.sql(&format!("SET GLOBAL keyring_external_data = '{}'", keyring.path.display()));
    reads(&server);
    agree(&server, &keyring, "ATTACHED", "1/1");
    same(&keyring);

    // A description that cannot be used is refused, and the keyring in use stays.
    let described = site.described();
    let mistakes = site.engine.mistakes();
    for mistake in &mistakes {
        site.describe(&mistake.remote);
        let set = format!("SET GLOBAL keyring_external_data = '{}'", keyring.path.display());
        server.sql_error(&set);
        let log = server.log();
        // Keys with the least rights are not told whether a bucket exists.
        let told = mistake.told.iter().all(|part| log.contains(part.as_str()));
        assert!(told || log.contains("not allowed to"), "{}: {:?} in {log}", mistake.what, mistake.told);
        reads(&server);
    }
    site.describe(&described);
    server.sql(ROTATE);
    agree(&server, &keyring, "ATTACHED", "1/1");
    server.stop();

    // Without the engine it does not start, or waits for it.
    away(site);
    let failure = host.try_start().expect_err("the engine is away");
    assert!(failure.log.contains(&keyring.path.display().to_string()), "{failure}");
    let waiting = host.clone().option("--keyring-external-wait=60").launch();
    std::thread::sleep(Duration::from_secs(1));
    back(site);
    let server = waiting.ready().unwrap_or_else(|e| panic!("{e}"));
    reads(&server);
    server.stop();

    // The component uses the same keyring.
    let host = host_with(&keyring);
    let server = host.start();
    server.install_udfs();
    assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value");
    server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'; INSERT INTO mysql.t VALUES (7)");
    server.sql(ROTATE);
    away(site);
    server.sql_error("ALTER INSTANCE RELOAD KEYRING");
    reads(&server);
    back(site);
    server.sql("ALTER INSTANCE RELOAD KEYRING");
    agree(&server, &keyring, "ATTACHED", "1/1");
    server.stop();
    let server = host.start();
    reads(&server);
    server.stop();
    same(&keyring);
}

/// One copy is at the engine, and one on a volume: either is away and comes back, also over restarts.
pub fn with_a_mirror(which: Which) {
    let mut site = Site::of(which);
    let stick = Volume::directory();
    let mut keyring = site.keyring("db1", &[stick.keys().join("keyring")]);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.put_to_use();
    agree(&server, &keyring, "ATTACHED", "2/2");

    stick.unmount();
    agree(&server, &keyring, "DEGRADED", "1/2");
    server.sql(ROTATE);
    stick.mount();
    agree(&server, &keyring, "ATTACHED", "2/2");
    same(&keyring);

    away(&mut site);
    agree(&server, &keyring, "DEGRADED", "1/2");
    server.sql(ROTATE);
    assert!(generates(&server, "without the engine"));
    server.stop();
    let server = host.start();
    reads(&server);
    assert!(generates(&server, "still without it"));
    agree(&server, &keyring, "DEGRADED", "1/2");
    back(&mut site);
    agree(&server, &keyring, "ATTACHED", "2/2");
    same(&keyring);
    server.stop();

    // With both needed, nothing is acknowledged without the engine.
    keyring.min_copies = 2;
    let host = host.without_mirrors().keyring(&keyring);
    let server = host.start();
    assert!(generates(&server, "on both"));
    away(&mut site);
    assert!(!generates(&server, "on one"));
    reads(&server);
    back(&mut site);
    assert!(generates(&server, "on both again"));
    agree(&server, &keyring, "ATTACHED", "2/2");
    server.stop();
    same(&keyring);
    assert!(keyring.key_of_root("on one").is_none());
}

/// The engine is restored from an older backup.
pub fn restored_from_a_backup(which: Which) {
    let mut site = Site::of(which);
    let stick = Volume::directory();
    let keyring = site.keyring("db1", &[stick.keys().join("keyring")]);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.put_to_use();
    let backup = site.dir.path().join("backup");
    let restore = |site: &mut Site| {
        site.engine.restore(&backup);
        site.engine.wait_until_whole();
    };
    site.engine.snapshot(&backup);
    server.sql(ROTATE);
    assert!(generates(&server, "newer"));

    // A running server brings it up to date.
    restore(&mut site);
    assert_eq!(keyring.ctl("status").status.code(), Some(1));
    server.comes_to(&[("state", "ATTACHED"), ("copies", "2/2")]);
    assert!(generates(&server, "newest"));
    agree(&server, &keyring, "ATTACHED", "2/2");
    same(&keyring);
    server.stop();

    // A server that starts has the newest state on its volume.
    restore(&mut site);
    let server = host.start();
    reads(&server);
    agree(&server, &keyring, "ATTACHED", "2/2");
    server.sql(ROTATE);
    server.stop();
    same(&keyring);

    // The restored copy alone is refused, and nothing is changed.
    restore(&mut site);
    let alone = keyring.copy(&keyring.path);
    let host = host.without_mirrors();
    let failure = host.try_start().expect_err("an older copy alone");
    let path = keyring.path.display().to_string();
    assert!(failure.log.contains("older") && failure.log.contains(&path), "{failure}");
    let status = alone
        .ctl_with(&["status", "--datadir", &host.datadir().display().to_string()], [alone.path.as_os_str()]);
    assert_eq!(status.status.code(), Some(1), "{}", told(&status));
    assert!(String::from_utf8_lossy(&status.stdout).contains("older"), "{}", told(&status));
    // The newest copy is brought to the engine.
    let sync =
        keyring.ctl_with(&["sync", "--yes", "--create", "--mirror", &path], [keyring.mirrors[0].as_os_str()]);
    assert!(sync.status.success(), "{}", told(&sync));
    let server = host.start();
    reads(&server);
    assert_eq!(server.value::<i32>("SELECT keyring_key_length_fetch('newest')"), 32);
    agree(&server, &alone, "ATTACHED", "1/1");

    // A running server with this copy alone makes no key on it.
    server.sql(ROTATE);
    restore(&mut site);
    server.sql_error(ROTATE);
    reads(&server);
    server.comes_to(&[("state", "DETACHED"), ("copies", "0/1")]);
    assert!(server.log().contains("older"), "{}", server.log());
    server.stop();
}
