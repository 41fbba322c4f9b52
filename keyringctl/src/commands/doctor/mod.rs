// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl doctor`: whether all around a keyring is as it should be, and the fix for what is not.

mod apparmor;
pub(super) mod configured;
pub(super) mod files;
pub(super) mod finding;
mod keyring;
pub(super) mod leftovers;
pub(super) mod look;
mod selinux;
pub(super) mod server;
mod systemd;
mod unlock;
mod volumes;

use super::output::Output;
use super::server as connection;
use super::site::{self, Site};
use super::verdict::Verdict;
use crate::error::Result;
use finding::{Findings, Level};
use keyring_external::unlock::UnlockSource;
use look::Look;
use serde_json::json;

/// Check all that a server's keyring depends on, and the running server
///
/// Each finding says what is wrong, why that matters and how to mend it. WRONG keeps the server from its keys or the keys
/// from being safe, RISK may do so one day; NOTE is what could not be checked, and does not count.
#[derive(clap::Args)]
#[group(id = "doctor")]
#[command(after_help = "Examples:\n  keyringctl doctor\n  keyringctl doctor --ignore one-copy --json\n\n\
    Exit codes: 0 nothing is wrong, 1 something is, 2 it could not be looked at.")]
pub(super) struct Args {
    /// Leave out what this check finds, when it is meant to be so (repeatable)
    #[arg(long, value_name = "CHECK")]
    ignore: Vec<String>,
    /// Where to read the unlock secret, to verify every byte [default: where mysqld reads it]
    #[arg(long, value_name = "SOURCE")]
    unlock: Option<UnlockSource>,
    /// Do not ask the running server
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    site: site::Args,
    #[command(flatten)]
    server: connection::Args,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let site = args.site.look()?;
    let mut found = Findings::default();
    let look = Look::at(&site, args.unlock.clone(), &mut found);
    check(&site, look.as_ref(), &mut found);
    if !args.offline {
        server::check(&args.server, look.as_ref(), &mut found);
    }
    found.ignore(&args.ignore);
    let verdict = if found.count(Level::Wrong) + found.count(Level::Risk) == 0 {
        Verdict::Fine
    } else {
        Verdict::NotFine
    };
    found.print(out);
    out.document(&json!({
        "fine": verdict == Verdict::Fine,
        "findings": found.all(),
        "passed": found.passed(),
        "way": look.as_ref().map(|l| l.host.way),
        "copies": look.as_ref().map(|l| l.host.copies().map(std::path::Path::to_owned).collect::<Vec<_>>()),
    }));
    Ok(verdict)
}

/// All checks but those that ask the server.
fn check(site: &Site, look: Option<&Look<'_>>, found: &mut Findings) {
    if let Some(look) = look {
        files::check(look, found);
        keyring::check(look, found);
        volumes::check(look, found);
        unlock::check(look, found);
        apparmor::check(look, found);
        selinux::check(look, found);
        systemd::check(look, found);
    }
    leftovers::check(site, look.map(|l| &l.host), found);
}

#[cfg(test)]
mod tests;
