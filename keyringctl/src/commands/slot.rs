// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl slot`: the secrets that unlock a keyring.

mod add;
mod change;
mod remove;

use super::copies::{self, Copies, Purpose};
use super::output::Output;
use super::secret;
use super::slot_row;
use super::verdict::Verdict;
use crate::commands::store_places::store_places;
use crate::error::{Error, Result};
use keyring_external::format::header::ClaimedHeader;
use keyring_external::keyring::inspect;
use serde_json::json;

/// Show, add, change and remove the secrets that unlock a keyring
///
/// The server can keep running. Without KEYRING, a command works on all copies that the server on this host is
/// configured with, and reads the secret where the server does. If KEYRING is one of these copies, the others are changed
/// too. A copy that cannot be reached now is brought up to date when it comes back.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show the unlock slots (needs no secret)
    #[command(
        after_help = "Examples:\n  keyringctl slot list\n  keyringctl slot list /mnt/keyring/keys/main.keyring"
    )]
    List {
        #[command(flatten)]
        copies: copies::Args,
    },
    Add(add::Args),
    Change(change::Args),
    Remove(remove::Args),
}

pub(super) use add::in_full;

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    match &args.command {
        Command::List { copies } => {
            let copies = copies.find(&secret::Args::default(), Purpose::ReadFront)?;
            let rows = slot_row::rows(&newest_front(&copies)?.slots);
            slot_row::print(&rows, out);
            out.document(&json!({ "slots": rows }));
        }
        Command::Add(args) => add::run(args, out)?,
        Command::Change(args) => change::run(args, out)?,
        Command::Remove(args) => remove::run(args, out)?,
    }
    Ok(Verdict::Fine)
}

/// What the newest of the copies says of itself.
fn newest_front(copies: &Copies) -> Result<ClaimedHeader> {
    let places = store_places();
    let mut newest = None;
    let mut wrong = None;
    for path in &copies.paths {
        match inspect(&places, path) {
            Ok(claims) => {
                let generation = claims.commit.map_or(0, |commit| commit.generation);
                if newest.as_ref().is_none_or(|(best, _)| *best < generation) {
                    newest = Some((generation, claims.header));
                }
            }
            Err(e) => {
                wrong.get_or_insert(e);
            }
        }
    }
    match (newest, wrong) {
        (Some((_, header)), _) => Ok(header),
        (None, Some(e)) => Err(e.into()),
        (None, None) => Err(Error::Usage("no keyring file was named".to_owned())),
    }
}
