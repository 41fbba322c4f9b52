// SPDX-License-Identifier: GPL-2.0-or-later
//! The parts of fixes: commands, and lines for files.
//!
//! A line of a fix is a complete shell command, or says in words what to do. `in FILE:` and `in FILE, set:` are followed by
//! the lines, indented. A line that begins with `or ` starts another way to fix the same.

use crate::commands::site::Site;
use crate::host::{Host, Way};
use crate::show::Shown;
use keyring_external::unlock::UnlockSource;
use std::path::Path;

/// Where `setup` keeps the secret, unless told otherwise.
pub(in crate::commands) const SECRET_FILE: &str = "/etc/mysql/keyring_external.secret";

/// Lines for a file.
pub(super) fn lines_in(file: &Path, lines: &[&str]) -> Vec<String> {
    let lines = lines.iter().map(|line| format!("    {line}"));
    std::iter::once(format!("in {}:", file.shown())).chain(lines).collect()
}

/// The command that sets up a keyring and its copies again.
pub(in crate::commands) fn setup(site: &Site, host: &Host, way: Way) -> String {
    let mut command = "keyringctl setup".to_owned();
    if site.is_below() {
        command.push_str(&format!(" --root {}", site.root.shown()));
    }
    let copies: Vec<_> = host.copies().map(Shown::shown).collect();
    command.push_str(&format!(" {}", copies.join(" --mirror ")));
    match &host.unlock {
        // Messages do not show the arguments of a program.
        UnlockSource::Command(words) if words.len() > 1 => command.push_str(" --unlock SOURCE"),
        source => command.push_str(&format!(" --unlock {}", source.to_string().shown())),
    }
    if let Some(file) = &host.credential
        && matches!(host.unlock, UnlockSource::Credential(_))
    {
        command.push_str(&format!(" --credential-file {}", file.shown()));
    }
    command.push_str(if way == Way::Plugin { " --as plugin" } else { " --as component" });
    if host.min_copies > 1 {
        command.push_str(&format!(" --min-copies {}", host.min_copies));
    }
    if host.wait > 0 {
        command.push_str(&format!(" --wait {}", host.wait));
    }
    if host.allow_same_device {
        command.push_str(" --allow-same-device");
    }
    command
}
