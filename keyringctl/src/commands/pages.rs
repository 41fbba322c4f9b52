// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl completions` and `keyringctl man`: shell completions and manual pages, generated from the definition of the
//! command line.

mod manual;

use super::output::Output;
use super::verdict::Verdict;
use crate::error::{Error, Result};
use crate::show::Shown;
use clap::Command;
use clap_complete::Shell;
use serde_json::json;
use std::path::PathBuf;

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(
    after_help = "Example: keyringctl completions bash > /usr/share/bash-completion/completions/keyringctl"
)]
pub(super) struct CompletionsArgs {
    /// Shell to complete in
    shell: Shell,
}

/// Write the manual pages of all commands into a directory
#[derive(clap::Args)]
#[command(after_help = "Example: keyringctl man /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// Directory to write to
    directory: PathBuf,
}

pub(super) fn completions(
    args: &CompletionsArgs,
    mut commands: Command,
    out: &mut Output,
) -> Result<Verdict> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut commands, "keyringctl", &mut script);
    let script = String::from_utf8_lossy(&script);
    out.document(&json!({ "shell": args.shell.to_string(), "script": script }));
    for line in script.lines() {
        out.script_line(line);
    }
    Ok(Verdict::Fine)
}

pub(super) fn man(args: &ManArgs, commands: Command, out: &mut Output) -> Result<Verdict> {
    for (name, text) in manual::pages(commands) {
        let path = args.directory.join(name);
        std::fs::write(&path, text).map_err(|e| Error::io("write to", &path, e))?;
    }
    out.document(&json!({ "directory": args.directory.exact() }));
    out.line(format_args!("Wrote the manual pages to {}", args.directory.shown()));
    Ok(Verdict::Fine)
}
