// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl keys`: which keys are still needed, and by what; retiring those that are not, and destroying them.

mod args;
pub(super) mod dates;
mod destroy;
mod indexes;
mod judge;
mod kept;
mod kept_remotes;
mod kind;
mod named;
mod needed;
mod of_server;
mod opened;
mod retire;
mod running;
mod show;
mod sources;

pub(super) use of_server::ServerNeeds;

use super::output::Output;
use super::verdict::Verdict;
use crate::error::Result;

/// Show which keys are still needed and by what, and retire and destroy the others
///
/// A key is needed if a file names it: of a data directory, of a backup, or a binary or relay log. A retired key still
/// works, and the server counts its uses. After a waiting time, it can be destroyed. Whether keys are needed is only known
/// for the places that are named here: name every data directory, backup and directory with binary or relay logs that
/// exists.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Needed(needed::Args),
    Retire(retire::RetireArgs),
    Unretire(retire::UnretireArgs),
    Destroy(destroy::Args),
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    match &args.command {
        Command::Needed(args) => needed::run(args, out),
        Command::Retire(args) => retire::retire(args, out),
        Command::Unretire(args) => retire::unretire(args, out),
        Command::Destroy(args) => destroy::run(args, out),
    }
}
