// SPDX-License-Identifier: GPL-2.0-or-later
//! Servers whose data is encrypted, and the steps that `encrypt apply` leaves to the administrator.

use super::{Host, Server, place};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Returns a host whose server applies SET PERSIST values. With `--no-defaults` it would not.
pub fn host_that_persists() -> Host {
    let host = Host::new();
    let script = host.dir().join("mysqld");
    // The first argument is --no-defaults.
    let text =
        format!("#!/bin/sh\nshift\nexec '{}' --defaults-file=/dev/null \"$@\"\n", place().mysqld.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    host.mysqld(script)
}

/// Does the steps that apply leaves to the administrator: settings that apply from the beginning of a start, a clean
/// shutdown, and no old doublewrite file.
pub fn last_steps(mut host: Host, server: Server) -> (Host, Server) {
    for (name, value) in [
        ("innodb_redo_log_encrypt", "ON"),
        ("innodb_undo_log_encrypt", "ON"),
        ("innodb_change_buffering", "none"),
    ] {
        // As in an option file.
        host = host.option(format!("--{name}={value}"));
        server.sql(&format!("RESET PERSIST IF EXISTS {name}"));
    }
    server.sql("SET GLOBAL innodb_fast_shutdown = 0");
    let elsewhere: Option<String> = server.value("SELECT @@GLOBAL.innodb_doublewrite_dir");
    server.stop();
    let doublewrite = elsewhere.filter(|dir| !dir.is_empty()).map_or_else(|| host.datadir(), Into::into);
    for entry in fs::read_dir(doublewrite).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "dblwr") {
            fs::remove_file(path).unwrap();
        }
    }
    let server = host.start();
    (host, server)
}
