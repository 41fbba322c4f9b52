// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl drill`: proves that a backup can be restored. It restores a copy into a server of its own, without network,
//! and reads every table. Neither the backup nor the keyring is changed.

mod account;
mod args;
mod audit;
mod backup_kind;
mod compare;
mod copying;
mod dump;
mod dump_text;
mod file_names;
mod files;
pub(in crate::commands) mod history;
mod left;
mod load;
mod outcome;
mod program;
mod progress;
mod read;
mod record;
mod recover;
mod replica;
mod run;
mod scratch_server;
mod server_log;
mod stop;
mod work;

pub(super) use args::Args;

use super::output::Output;
use super::verdict::Verdict;
use crate::error::{Error, Result};
use args::Command;

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    if args.command.is_some() && (args.drill.backup.is_some() || !args.drill.keyrings.is_empty()) {
        return Err(Error::Usage(
            "a backup and keyrings belong to keyringctl drill itself, not to its commands record and history"
                .to_owned(),
        ));
    }
    match &args.command {
        None => run::run(&args.drill, out),
        Some(Command::Record(args)) => record::run(args, out),
        Some(Command::History(args)) => history::run(args, out),
    }
}
