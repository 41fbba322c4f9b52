// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs `keyringctl encrypt`.

use mysql_plugin_tests::rig::{Host, place, told};
use std::process::{Command, Output};

/// `keyringctl encrypt ARGS` on that server.
pub(super) fn command(host: &Host, args: &[&str]) -> Command {
    let mut command = Command::new(&place().keyringctl);
    command.arg("encrypt").args(args).args(["--no-defaults", "--user=root", "--socket"]).arg(host.socket());
    command
}

/// Runs it to its end.
pub(super) fn encrypt(host: &Host, args: &[&str]) -> Output {
    command(host, args).output().unwrap()
}

/// Runs it with --json: its exit code and its document.
pub(super) fn encrypt_json(host: &Host, args: &[&str]) -> (i32, serde_json::Value) {
    let output = command(host, args).arg("--json").output().unwrap();
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
    (output.status.code().expect("an exit code"), document)
}
