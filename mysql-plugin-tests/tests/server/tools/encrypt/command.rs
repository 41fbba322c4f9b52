// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs `keyringctl encrypt`.

use mysql_plugin_tests::common::json_form;
use mysql_plugin_tests::rig::{Host, place, told};
use std::process::{Child, Command, Output, Stdio};

/// Returns the command `keyringctl encrypt ARGS` for that server.
pub(super) fn command(host: &Host, args: &[&str]) -> Command {
    let mut command = Command::new(&place().keyringctl);
    command.arg("encrypt").args(args).args(["--no-defaults", "--user=root", "--socket"]).arg(host.socket());
    command
}

/// Runs it until it ends.
pub(super) fn encrypt(host: &Host, args: &[&str]) -> Output {
    command(host, args).output().unwrap()
}

/// Whether a run of apply did all that it can do itself. Old pages may be left in the doublewrite files, which only the last
/// steps remove.
pub(super) fn did_all(output: &Output) -> bool {
    let left = "INCOMPLETE. Still unencrypted: doublewrite files (*.dblwr). See below";
    output.status.success() || output.status.code() == Some(1) && told(output).contains(left)
}

/// Whether a finding of verify is about something whose name or file contains `what`.
pub(super) fn is_about(finding: &serde_json::Value, what: &str) -> bool {
    let files = finding["files"].as_array().into_iter().flatten();
    files.chain([&finding["what"]]).any(|name| name.as_str().is_some_and(|name| name.contains(what)))
}

/// Starts it, so that a test can do something meanwhile.
pub(super) fn start(host: &Host, args: &[&str]) -> Child {
    command(host, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for its end. Returns the exit code and what it printed.
pub(super) fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), told(&output))
}

/// Runs it with --json. Returns its exit code and document.
pub(super) fn encrypt_json(host: &Host, args: &[&str]) -> (i32, serde_json::Value) {
    let output = command(host, args).arg("--json").output().unwrap();
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
    json_form::check(&document);
    (output.status.code().expect("an exit code"), document)
}
