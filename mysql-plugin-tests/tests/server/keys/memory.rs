// SPDX-License-Identifier: GPL-2.0-or-later
//! Key bytes do not get into a core dump (invariant 6).

use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Volume, found_in, hex_forms, run};
use std::path::Path;
use std::process::Command;

/// Why no core of a running process can be made here, when none can.
pub fn why_no_gcore() -> Option<String> {
    // Without arguments gcore only says how it is called.
    if Command::new("gcore").output().is_err() || Command::new("gdb").arg("--version").output().is_err() {
        return Some("needs gcore, from the package gdb".to_owned());
    }
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let root = rustix::process::geteuid().is_root();
    match scope.trim() {
        "" | "0" => None,
        "1" | "2" if root => None,
        scope => Some(format!("needs leave to trace processes, kernel.yama.ptrace_scope is {scope}")),
    }
}

/// A key that the keyring made and nobody fetched is not in a core of the server, nor is the unlock
/// secret; a key that was fetched is, which shows that the search finds what is there.
pub fn no_key_in_a_core() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring).option("--performance-schema=OFF");
    let server = host.start();
    server.install_udfs();
    let mut conn = server.connect();
    // 48 keys: not the first nor the last that was touched, either.
    for i in 0..48 {
        conn.query_drop(format!("DO keyring_key_generate('secret{i}', 'AES', 32)")).unwrap();
    }
    conn.query_drop("DO keyring_key_generate('fetched', 'AES', 32)").unwrap();
    conn.query_drop("SET @fetched = keyring_key_fetch('fetched')").unwrap();
    conn.query_drop("SET @marker = CONCAT('a marker in ', 'the memory of the server')").unwrap();

    let prefix = host.dir().join("core");
    run(Command::new("gcore").arg("-o").arg(&prefix).arg(server.pid().to_string()));
    let core = host.dir().join(format!("core.{}", server.pid()));
    let size = std::fs::metadata(&core).unwrap().len();

    // Only now is anything known that could be found.
    let key = |id: &str| keyring.key_of_root(id).unwrap_or_else(|| panic!("no key {id}"));
    let in_core = |bytes: &[u8]| found_in(&core, &hex_forms(bytes)).contains(&true);
    assert!(in_core(b"a marker in the memory of the server"), "the core lacks the server's memory");
    assert!(in_core(&key("fetched")), "the search finds no key that is there");
    for i in 0..48 {
        let id = format!("secret{i}");
        assert!(!in_core(&key(&id)), "the key {id} is in the core");
    }
    assert!(!in_core(&std::fs::read(&keyring.secret).unwrap()), "the unlock secret is in the core");
    eprintln!("a core of {} MB holds none of 48 keys nor the unlock secret", size >> 20);
    drop(conn);
    server.stop();
    remove(&core);
}

fn remove(core: &Path) {
    std::fs::remove_file(core).unwrap();
}
