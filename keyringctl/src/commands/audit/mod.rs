// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl audit`: reads and verifies the audit log.

mod of_log;
mod read;
mod show;
mod verify;
pub(super) mod words;

pub(super) use of_log::{known, of_log};

use super::output::Output;
use super::verdict::Verdict;
use crate::error::Result;
use clap::Subcommand;

/// Verify or show the audit log
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Verify(verify::Args),
    Show(show::Args),
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    match &args.command {
        Command::Verify(args) => verify::run(args, out),
        Command::Show(args) => show::run(args, out),
    }
}
