// SPDX-License-Identifier: GPL-2.0-or-later
//! A host whose server is configured with two copies of a keyring.

use super::Host;

pub const CNF: &str = "usr/lib/mysql/plugin/component_keyring_external.cnf";
pub const OPTIONS: &str = "etc/mysql/mysql.conf.d/keyring_external.cnf";
pub const A: &str = "/mnt/a/keys/main.keyring";
pub const B: &str = "/mnt/b/keys/main.keyring";
pub const WAYS: [&str; 2] = ["plugin", "component"];

/// A host that setup configured, with two copies.
pub fn configured(way: &str, more: &[&str]) -> Host {
    let host = Host::new();
    host.write("etc/my.cnf", "[mysqld]\n!includedir /etc/mysql/mysql.conf.d\n");
    host.write("lib/systemd/system/mysql.service", "[Service]\nUser=mysql\nExecStart=/usr/sbin/mysqld\n");
    let args = [A, "--mirror", B, "--allow-same-device", "--as", way, "--yes"];
    host.setup(&[&args[..], more].concat()).says(0, &["Created keyring"]);
    host
}
