// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt` on a sample biobank.

mod biobank;
mod connecting;
mod load;
mod names;
mod small;

pub use biobank::under_load;
pub use connecting::as_the_mysql_client;
pub use small::{after_a_crash, and_back, in_use_and_left, refuses_to_start, verify_finds_what_is_in_clear};

use mysql_plugin_tests::rig::{Host, Server, place};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// A host whose server keeps what SET PERSIST says, as servers do: with `--no-defaults` it would not.
fn host() -> Host {
    let host = Host::new();
    let script = host.dir().join("mysqld");
    // The first argument is --no-defaults.
    let text =
        format!("#!/bin/sh\nshift\nexec '{}' --defaults-file=/dev/null \"$@\"\n", place().mysqld.display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    host.mysqld(script)
}

/// `keyringctl encrypt ARGS` on that server.
fn command(host: &Host, args: &[&str]) -> Command {
    let mut command = Command::new(&place().keyringctl);
    command.arg("encrypt").args(args).args(["--no-defaults", "--user=root", "--socket"]).arg(host.socket());
    command
}

/// Runs it to its end.
fn encrypt(host: &Host, args: &[&str]) -> Output {
    command(host, args).output().unwrap()
}

/// Runs it with --json: its exit code and its document.
fn encrypt_json(host: &Host, args: &[&str]) -> (i32, serde_json::Value) {
    let output = command(host, args).arg("--json").output().unwrap();
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|e| panic!("{e}: {}", mysql_plugin_tests::rig::told(&output)));
    (output.status.code().expect("an exit code"), document)
}

/// The steps that apply leaves to the administrator: settings that count from the beginning of a start, a clean shutdown,
/// and no old doublewrite file.
fn last_steps(mut host: Host, server: Server) -> (Host, Server) {
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
    server.stop();
    for entry in std::fs::read_dir(host.datadir()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "dblwr") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let server = host.start();
    (host, server)
}

/// How many tables a server has, with files of their own, in clear.
fn tables_in_clear(server: &Server) -> usize {
    server.value(
        "SELECT COUNT(*) FROM information_schema.innodb_tablespaces WHERE space_type = 'Single' AND encryption = 'N'",
    )
}
