// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt`: encrypts all that a server holds, and proves it.

mod plan;
mod sizes;

use super::output::Output;
use super::{Verdict, server};
use crate::error::Result;
use clap::Subcommand;

/// Encrypt everything that a MySQL server keeps on disk, and prove it
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Plan(plan::Args),
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    match &args.command {
        Command::Plan(args) => plan::run(args, out),
    }
}
