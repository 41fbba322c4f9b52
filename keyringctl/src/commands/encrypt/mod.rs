// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt`: encrypts everything that a server stores, and proves it.

mod application;
mod apply;
mod apply_report;
mod binary_logs;
mod cleanup;
mod closing;
mod direction;
mod effects;
mod errant;
mod estimate;
mod file_state;
mod finish;
mod gauge;
mod half_done;
mod held_up;
mod in_time;
mod job;
mod lag;
mod lanes;
mod latency;
mod left_over;
mod lock_wait;
mod locks;
mod losses;
mod next_steps;
mod online;
mod pace;
pub(super) mod places;
mod plan;
mod preflight;
mod progress;
mod queue;
mod redo;
mod renamed;
mod replica_address;
mod replication;
mod required;
mod rewrite;
mod room;
mod rotate;
mod rotate_backup;
mod scope;
mod scratch;
mod selection;
mod settings;
mod shared;
pub(super) mod sizes;
mod small_settings;
mod spaces;
mod stage;
mod statement;
mod stop;
mod table_plan;
mod tables;
mod throttle;
mod undo_logs;
mod unfinished;
pub(super) mod verify;
mod waits;

use super::output::Output;
use super::server;
use super::verdict::Verdict;
use crate::error::Result;
use clap::Subcommand;

/// Encrypt everything that a MySQL server stores on disk, and prove it
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Plan(plan::Args),
    Apply(apply::Args),
    Finish(Box<finish::Args>),
    Verify(verify::Args),
    Cleanup(cleanup::Args),
    Rotate(rotate::Args),
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    match &args.command {
        Command::Plan(args) => plan::run(args, out),
        Command::Apply(args) => apply::run(args, out),
        Command::Finish(args) => finish::run(args, out),
        Command::Verify(args) => verify::run(args, out),
        Command::Cleanup(args) => cleanup::run(args, out),
        Command::Rotate(args) => rotate::run(args, out),
    }
}
