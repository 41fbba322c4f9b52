// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl doctor`: checks everything that a server's keyring depends on, and says how to fix what is wrong.

mod apparmor;
mod audit_log;
mod checks;
pub(super) mod configured;
mod copies;
mod copy_remedies;
pub(super) mod early_plugins;
mod file_privilege;
pub(super) mod files;
pub(super) mod finding;
pub(super) mod host_view;
mod keyring;
pub(super) mod leftovers;
pub(super) mod option_access;
pub(super) mod option_files;
pub(super) mod ordinary;
pub(super) mod permission;
mod redo_log;
mod remedies;
mod remotes;
pub(super) mod selinux;
pub(super) mod server;
pub(super) mod steps;
mod systemd;
pub(super) mod unlock;
pub(super) mod unread;
pub(super) mod values;
mod volumes;

use super::output::Output;
use super::server as connection;
use super::site::{self, Site};
use super::verdict::Verdict;
use crate::error::Result;
use crate::show::Shown;
use finding::{FindingLevel, Findings};
use host_view::HostView;
use keyring_external::keyring::Keyring;
use keyring_external::unlock::UnlockSource;
use serde_json::json;

/// Check everything that a server's keyring depends on, and the running server
///
/// Each finding says what is wrong, why it matters and how to fix it. ERROR: the server cannot use its keys, or they are not
/// safe. WARNING: that may happen. NOTE: something could not be checked, or is worth knowing; it does not affect the exit
/// code.
#[derive(clap::Args)]
#[group(id = "doctor")]
#[command(after_help = "Examples:\n  keyringctl doctor\n  keyringctl doctor --ignore one-copy --json\n  \
    keyringctl doctor --list-checks\n\n\
    Exit codes: 0 no errors or warnings, 1 errors or warnings, 2 the checks could not run.")]
pub(super) struct Args {
    /// Ignore the findings of this check (repeatable)
    #[arg(long, value_name = "CHECK")]
    ignore: Vec<String>,
    /// List the names of all checks, and check nothing
    #[arg(long)]
    list_checks: bool,
    /// Where to read the unlock secret, to verify every byte [default: where mysqld reads it]
    #[arg(long, value_name = "SOURCE")]
    unlock: Option<UnlockSource>,
    /// Do not connect to the running server
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    site: site::Args,
    #[command(flatten)]
    server: connection::Args,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    checks::known(&args.ignore)?;
    if args.list_checks {
        checks::list(out);
        return Ok(Verdict::Fine);
    }
    let site = args.site.look()?;
    let mut found = Findings::default();
    let view = HostView::collect(&site, args.unlock.clone(), &mut found);
    if ordinary::is_ordinary(&site) {
        ordinary::report(&site, view.as_ref().map(|view| &view.host), &mut found);
        check_as_ordinary(view.as_ref(), &mut found);
    } else if let Some(keyring) = check(&site, view.as_ref(), &mut found) {
        audit_log::record(view.as_ref(), &keyring);
    }
    if args.offline {
        server::not_asked(&mut found);
    } else {
        server::check(&args.server, view.as_ref(), &mut found);
    }
    found.connect_with(&args.server.words());
    found.ignore(&args.ignore);
    let verdict = if found.count(FindingLevel::Error) + found.count(FindingLevel::Warning) == 0 {
        Verdict::Fine
    } else {
        Verdict::NotFine
    };
    found.print(if verdict == Verdict::Fine { "OK" } else { "FAILED" }, out);
    out.document(&json!({
        "fine": verdict == Verdict::Fine,
        "findings": found.all(),
        "passed": found.passed(),
        "way": view.as_ref().map(|l| l.host.way),
        "copies": view.as_ref().map(|l| l.host.copies().map(Shown::exact).collect::<Vec<_>>()),
    }));
    Ok(verdict)
}

/// Runs all checks except those of the running server. Returns the keyring, if a secret unlocked it.
fn check(site: &Site, view: Option<&HostView<'_>>, found: &mut Findings) -> Option<Keyring> {
    let mut newest = None;
    if let Some(view) = view {
        files::check(view, found);
        newest = keyring::check(view, found);
        volumes::check(view, found);
        remotes::check(view, found);
        unlock::check(view, found);
        apparmor::check(view, found);
        selinux::check(view, found);
        systemd::check(view, found);
        audit_log::check(view, newest.as_ref(), found);
    }
    leftovers::check(site, view.map(|l| &l.host), found);
    newest?.keyring
}

/// Runs the checks that need no permission.
fn check_as_ordinary(view: Option<&HostView<'_>>, found: &mut Findings) {
    if let Some(view) = view {
        keyring::check_missing(view, found);
        volumes::check(view, found);
        systemd::check(view, found);
    }
}

#[cfg(test)]
mod tests;
