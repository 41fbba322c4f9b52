// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt verify`: checks whether anything is unencrypted, by what the server reports, by its files, and by
//! texts that it writes and searches for.

mod canary;
mod file_remedies;
pub(in crate::commands) mod files;
pub(in crate::commands) mod finding;
mod redo_log;
mod search;
mod undone;

use super::plan::keyring_line;
use super::{replication, server, sizes};
use crate::commands::missing;
use crate::commands::output::{Output, counted};
use crate::commands::secret;
use crate::commands::verdict::Verdict;
use crate::error::Result;
use crate::server::{
    DataPlace, DatadirAccess, Inventory, LoadedAs, PlaceKind, PlaceState, Remedy, Role, ServerFiles,
    ServerKeyring, coverage,
};
use canary::CanaryResult;
use finding::VerifyFinding;
use keyring_external::error::BadRequest;
use serde::Serialize;

/// Check whether anything that a server stores is unencrypted: what it reports, its files, and a canary
///
/// Lists what is unencrypted and exits with 1. Run it on the server, as root, so that it can read the files.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl encrypt verify\n  \
    keyringctl encrypt verify --unlock file:/etc/mysql/keyring.secret --accept slow-log")]
pub(super) struct Args {
    /// Accept unencrypted data of this kind, but not what could not be checked: slow-log, general-log, other-engine, binary-log, doublewrite,
    /// system-tablespace, setting, ... (repeatable)
    #[arg(long, value_name = "KIND")]
    accept: Vec<PlaceKind>,
    /// Skip the canary, so that nothing is written to the server
    #[arg(long)]
    no_canary: bool,
    /// After `apply --undo`: check whether anything still needs the keyring
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    secret: secret::Args,
    #[command(flatten)]
    server: server::Args,
}

#[derive(Serialize)]
struct VerifyReport {
    fine: bool,
    keyring: ServerKeyring,
    /// What was read of the files; if `None`, the result is only what the server reports.
    files: Option<files::FileTotals>,
    canary: Option<CanaryResult>,
    findings: Vec<VerifyFinding>,
    /// Every place, as the server reports it.
    items: Vec<DataPlace>,
    /// What to heed with the remedies.
    note: Option<&'static str>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let mut session = args.server.connect()?;
    let here = DatadirAccess::check(&mut session)?;
    let inventory = Inventory::query(&mut session)?;
    let keyring = ServerKeyring::query(&mut session)?;
    if args.undo {
        return undone::run(&mut session, &here, &inventory, out);
    }
    let items = coverage(&inventory);
    let mut findings = keyring_finding(&keyring);
    findings.extend(items.iter().filter_map(reported));
    let of_server = ServerFiles::query(&mut session)?;
    let files = match here.readable() {
        Some(_) => {
            let keys = args.secret.unlock.is_some().then(|| open(args, &keyring)).transpose()?;
            let (seen, found) = files::check(&of_server, &inventory, keys.as_ref())?;
            findings.extend(found);
            Some(seen)
        }
        None => {
            findings.extend(files::not_readable(&here, session.address()));
            None
        }
    };
    let canary = (!args.no_canary).then(|| canary::run(&mut session, &here, &of_server, &mut findings));
    for finding in &mut findings {
        finding.accept(&args.accept);
    }
    let fine = findings.iter().all(|f| f.accepted);
    // Remedies may be statements.
    let note = if fine { None } else { replication::by_hand(&Role::query(&mut session)?) };
    let report = VerifyReport { fine, keyring, files, canary, findings, items, note };
    print(&report, out);
    out.document(&report);
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}

/// Opens the keyring that the server uses.
fn open(args: &Args, keyring: &ServerKeyring) -> Result<keyring_external::keyring::Keyring> {
    let fs: std::sync::Arc<dyn keyring_external::store::fs::Fs> =
        std::sync::Arc::new(keyring_external::store::real::RealFs);
    let path = keyring.paths.first().ok_or(BadRequest::Unavailable)?;
    Ok(args.secret.load(&fs, path)?.0)
}

fn keyring_finding(keyring: &ServerKeyring) -> Vec<VerifyFinding> {
    let line = keyring_line(keyring);
    let fine = keyring.is_ours() && matches!(keyring.state.as_str(), "ATTACHED" | "READ_ONLY");
    let remedy = || Some(missing::of_server(keyring).join(" "));
    match &keyring.way {
        _ if fine => Vec::new(),
        LoadedAs::Unknown(why) => {
            vec![VerifyFinding::not_checked(PlaceKind::Setting, "keyring", why, remedy())]
        }
        _ => vec![VerifyFinding::new(PlaceKind::Setting, "keyring", line, remedy())],
    }
}

/// Returns a finding for a place that the server reports as unencrypted, or that could not be looked at.
fn reported(item: &DataPlace) -> Option<VerifyFinding> {
    let remedy = match &item.remedy {
        Remedy::Apply if item.kind == PlaceKind::BinaryLog => Some(
            "keyringctl encrypt apply; when all replicas and backups have the old files: keyringctl encrypt apply --purge-binary-logs"
                .to_owned(),
        ),
        Remedy::Apply => Some("keyringctl encrypt apply".to_owned()),
        Remedy::ByHand(how) => Some(how.clone()),
        Remedy::None => None,
    };
    let why =
        if item.about.is_empty() { "unencrypted".to_owned() } else { format!("unencrypted: {}", item.about) };
    match item.state {
        PlaceState::Clear => Some(VerifyFinding::new(item.kind, item.name.clone(), why, remedy)),
        PlaceState::Unknown => {
            Some(VerifyFinding::not_checked(item.kind, item.name.clone(), &item.about, remedy))
        }
        PlaceState::Encrypted | PlaceState::Cannot | PlaceState::Unused => None,
    }
}

fn print(report: &VerifyReport, out: &mut Output) {
    out.line(keyring_line(&report.keyring));
    let count = |state| report.items.iter().filter(|i| i.state == state).count();
    let tables = report.items.iter().filter(|i| i.kind.is_table() && i.state == PlaceState::Encrypted);
    out.line(format_args!(
        "The server reports: {} tables ({}) and {} other places and settings are encrypted or set correctly; {} are not{}",
        tables.clone().count(),
        sizes::bytes(tables.clone().map(|i| i.bytes).fold(0, u64::saturating_add)),
        count(PlaceState::Encrypted) - tables.count(),
        count(PlaceState::Clear),
        match count(PlaceState::Unknown) {
            0 => String::new(),
            n => format!("; {n} were NOT CHECKED"),
        }
    ));
    match &report.files {
        Some(seen) => out.line(seen.line()),
        None => out.line("Files: NOT CHECKED, see below; the line above is only what the server reports"),
    }
    if let Some(canary) = &report.canary {
        canary.lines().into_iter().for_each(|line| out.line(line));
    }
    for finding in &report.findings {
        let head = if finding.accepted { "ACCEPTED" } else { "ERROR   " };
        let (what, why) = (&finding.what, &finding.why);
        out.line(format_args!("{head} {what} ({}): {why}", finding.kind));
        if let (Some(remedy), false) = (&finding.remedy, finding.accepted) {
            out.line(format_args!("         {remedy}"));
        }
    }
    for item in report.items.iter().filter(|i| i.state == PlaceState::Cannot) {
        out.line(format_args!("NOTE     {}: {}", item.name, item.about));
    }
    if let Some(note) = report.note {
        out.line(format_args!("NOTE     {note}"));
    }
    let errors = report.findings.iter().filter(|f| !f.accepted).count();
    if report.fine {
        let canary = report.canary.as_ref().is_some_and(CanaryResult::looked);
        out.line(if canary {
            "OK: found no unencrypted data"
        } else {
            "OK: found no unencrypted data; without the canary"
        });
    } else {
        out.line(format_args!("FAILED; {}, see above", counted(errors, "error")));
    }
}
