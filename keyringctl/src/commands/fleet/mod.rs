// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl fleet`: all keyrings at a remote, seen by someone who may list and read there and has no secret.

mod check;
mod compare;
mod entry;
mod look;
mod place;
mod progress;
mod show;
mod survey;

use super::output::Output;
use super::verdict::Verdict;
use crate::error::{Error, Result};
use clap::Subcommand;
use look::{Common, Looked};

/// Look at all keyrings at a remote, without their secrets
///
/// For whoever looks after many servers. It only lists and reads objects, so credentials that may do no more are enough.
/// Heads are read without secrets: nothing that they say is authenticated.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: FleetCommand,
}

#[derive(Subcommand)]
enum FleetCommand {
    Status(StatusArgs),
    Check(check::Args),
}

/// Show every keyring there: label, id, generation, last change, size, slots, copies and what is wrong
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  keyringctl fleet status @bucket\n  \
    keyringctl fleet status @bucket/hospital @cluster/hospital --stale 400\n  \
    keyringctl fleet status @bucket --prometheus > /var/lib/prometheus/node-exporter/keyrings.prom\n\n\
    Exit codes: 0 all keyrings are as they should be, 1 one is not or a place has none, 2 a remote cannot be listed \
    (the others are shown).")]
struct StatusArgs {
    #[command(flatten)]
    common: Common,
    /// Print metrics for Prometheus instead (for node_exporter's textfile collector)
    #[arg(long, conflicts_with = "json")]
    prometheus: bool,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    match &args.command {
        FleetCommand::Status(args) => status(args, out),
        FleetCommand::Check(_) => unreachable!("it has exit codes of its own"),
    }
}

/// Runs `fleet check`, if that is the command, and returns its exit code.
pub(super) fn check(args: &Args, json: bool) -> Option<u8> {
    match &args.command {
        FleetCommand::Check(args) => Some(check::run(args, json)),
        FleetCommand::Status(_) => None,
    }
}

fn status(args: &StatusArgs, out: &mut Output) -> Result<Verdict> {
    let Looked { entries, empty, failed } = args.common.look()?;
    let fine = empty.is_empty() && failed.is_empty() && entries.iter().all(|entry| entry.problems.is_empty());
    show::table(&entries, out);
    for place in &empty {
        out.line(format_args!("no keyring is at {place}: check the name, and what the credentials may list"));
    }
    let told: Vec<_> = failed.iter().map(ToString::to_string).collect();
    out.document(&serde_json::json!({ "fine": fine, "keyrings": entries, "empty": empty, "failed": told }));
    if args.prometheus {
        show::metrics(&entries, failed.len()).print(out);
    }
    let mut failed = failed.into_iter();
    match (failed.next(), failed.next()) {
        (Some(e), None) => Err(e),
        (Some(_), Some(_)) => Err(Error::Lines(told)),
        (None, _) => Ok(if fine { Verdict::Fine } else { Verdict::NotFine }),
    }
}

#[cfg(test)]
mod tests;
