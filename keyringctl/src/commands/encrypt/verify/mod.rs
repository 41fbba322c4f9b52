// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt verify`: checks whether anything is unencrypted, by what the server reports, by its files, and by
//! texts that it writes and searches for.

mod canary;
mod file_remedies;
pub(in crate::commands) mod files;
pub(in crate::commands) mod finding;
mod found;
mod judge;
mod owner;
mod redo_log;
mod search;
mod undone;

use super::places::places;
use super::plan::keyring_line;
use super::{replication, server, sizes};
use crate::commands::copies::of_server::use_remotes_of_running;
use crate::commands::missing;
use crate::commands::output::{Output, counted};
use crate::commands::secret;
use crate::commands::store_places::store_places;
use crate::commands::verdict::Verdict;
use crate::commands::{audit_of_server, audit_trail};
use crate::error::Result;
use crate::server::{
    DataPlace, DatadirAccess, Inventory, LoadedAs, PlaceKind, PlaceState, Remedy, Role, ServerFiles,
    ServerKeyring, Session, Tally,
};
use crate::show::Shown;
use canary::CanaryResult;
use file_remedies::FileRemedies;
use finding::VerifyFinding;
use found::APPLY;
use keyring_external::error::BadRequest;
use serde::Serialize;

/// How many files of a place are listed.
const FILES: usize = 3;

pub(super) use redo_log::lsns;

/// Check whether anything that a server stores is unencrypted: what it reports, its files, and a canary
///
/// Lists what is unencrypted and exits with 1. Run it on the server, as root, so that it can read the files.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl encrypt verify\n  \
    keyringctl encrypt verify --unlock file:/etc/mysql/keyring_external.secret --accept slow-log")]
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
pub(super) struct VerifyReport {
    pub fine: bool,
    keyring: ServerKeyring,
    /// How many places are in each state.
    tally: Tally,
    /// What was read of the files; if `None`, the result is only what the server reports.
    files: Option<files::FileTotals>,
    canary: Option<CanaryResult>,
    findings: Vec<VerifyFinding>,
    /// Every place, as the server reports it, or as it was found in its files.
    items: Vec<DataPlace>,
    /// What to heed with the remedies.
    note: Option<&'static str>,
}

/// What a check includes.
pub(super) struct Wanted<'a> {
    /// Kinds of places that may stay unencrypted.
    pub accept: &'a [PlaceKind],
    /// Whether texts are written and searched for.
    pub canary: bool,
    /// The secret of the keyring, whose keys are tried on the files if a source is given.
    pub secret: &'a secret::Args,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let mut session = args.server.connect()?;
    if args.undo {
        let here = DatadirAccess::check(&mut session)?;
        let inventory = Inventory::query(&mut session)?;
        return undone::run(&mut session, &here, &inventory, out);
    }
    let wanted = Wanted { accept: &args.accept, canary: !args.no_canary, secret: &args.secret };
    let report = look(&mut session, &wanted)?;
    print(&report, out);
    out.document(&report);
    Ok(if report.fine { Verdict::Fine } else { Verdict::NotFine })
}

/// Checks a server.
pub(super) fn look(session: &mut Session, wanted: &Wanted<'_>) -> Result<VerifyReport> {
    let here = DatadirAccess::check(session)?;
    let inventory = Inventory::query(session)?;
    let keyring = ServerKeyring::query(session)?;
    use_remotes_of_running(&keyring);
    let mut places = places(session, &inventory)?;
    let mut others = keyring_finding(&keyring);
    let of_server = ServerFiles::query(session)?;
    let files = match here.readable() {
        Some(_) => {
            let keys = wanted.secret.unlock.is_some().then(|| open(wanted.secret, &keyring)).transpose()?;
            let (seen, found) = files::check(&of_server, &inventory, keys.as_ref(), &mut places)?;
            others.extend(found);
            Some(seen)
        }
        None => {
            others.extend(files::not_readable(&here, session.address()));
            None
        }
    };
    let remedies = FileRemedies::new(&of_server, &inventory);
    let mut canary = wanted.canary.then(|| canary::run(session, &here, &remedies, &mut others));
    if let Some(canary) = &mut canary {
        found::correct(&mut places, std::mem::take(&mut canary.found));
    }
    let mut findings: Vec<_> = places.iter().filter_map(of_place).chain(others).collect();
    // Their remedy must come last: what removes other unencrypted data may write to them.
    findings.sort_by_key(|finding| finding.kind == PlaceKind::Doublewrite);
    for finding in &mut findings {
        finding.accept(wanted.accept);
    }
    let fine = findings.iter().all(|f| f.accepted);
    // Remedies may be statements.
    let note = if fine { None } else { replication::by_hand(&Role::query(session)?) };
    let tally = Tally::of(&places);
    Ok(VerifyReport { fine, keyring, tally, files, canary, findings, items: places, note })
}

/// Opens the keyring that the server uses.
fn open(secret: &secret::Args, keyring: &ServerKeyring) -> Result<keyring_external::keyring::Keyring> {
    let places = store_places();
    let path = keyring.paths.first().ok_or(BadRequest::Unavailable)?;
    let (opened, _) = secret.load(&places, path)?;
    audit_of_server::look_for_server(path);
    audit_trail::attach(&opened);
    Ok(opened)
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

/// What to do about a place.
pub(in crate::commands) fn remedy_of(place: &DataPlace) -> Option<String> {
    match &place.remedy {
        Remedy::Apply if place.kind == PlaceKind::BinaryLog => Some(format!(
            "{APPLY}; when all replicas and backups have the old files: keyringctl encrypt apply --purge-binary-logs"
        )),
        Remedy::Apply if place.kind == PlaceKind::Scratch => Some(format!(
            "{APPLY}, which completes it; or keyringctl encrypt cleanup, which only puts it back"
        )),
        Remedy::Apply => Some(APPLY.to_owned()),
        Remedy::ByHand(how) => Some(how.clone()),
        Remedy::None => None,
    }
}

/// Returns a finding for a place that is unencrypted, or that could not be looked at.
fn of_place(place: &DataPlace) -> Option<VerifyFinding> {
    let remedy = remedy_of(place);
    let state = match place.state {
        PlaceState::HalfDone => "half-done, encrypted",
        _ if place.kind.is_setting() => "not set",
        _ => "unencrypted",
    };
    let why = if place.about.is_empty() { state.to_owned() } else { format!("{state}: {}", place.about) };
    let finding = match place.state {
        PlaceState::Clear | PlaceState::HalfDone => {
            VerifyFinding::new(place.kind, place.name.clone(), why, remedy)
        }
        PlaceState::Unknown => {
            VerifyFinding::not_checked(place.kind, place.name.clone(), &place.about, remedy)
        }
        PlaceState::Encrypted | PlaceState::Cannot | PlaceState::Unused => return None,
    };
    Some(VerifyFinding { files: place.files.clone(), ..finding })
}

/// Prints what was found.
pub(super) fn print(report: &VerifyReport, out: &mut Output) {
    out.line(keyring_line(&report.keyring));
    report.tally.lines().iter().for_each(|line| out.line(line));
    match &report.files {
        Some(seen) => out.line(seen.line()),
        None => out.line("Files: NOT CHECKED, see below; the lines above are only what the server reports"),
    }
    if let Some(canary) = &report.canary {
        canary.lines().into_iter().for_each(|line| out.line(line));
    }
    for finding in &report.findings {
        let head = if finding.accepted { "ACCEPTED" } else { "ERROR   " };
        let (what, why) = (&finding.what, &finding.why);
        out.line(format_args!("{head} {what} ({}): {why}", finding.kind));
        for file in finding.files.iter().take(FILES) {
            out.line(format_args!("         {}", file.shown()));
        }
        if finding.files.len() > FILES {
            let more = counted(finding.files.len() - FILES, "more file");
            out.line(format_args!("         and {more}, see --json"));
        }
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
    out.line(closing(report));
}

/// The last line: what is left.
fn closing(report: &VerifyReport) -> String {
    let accepted = report.findings.iter().filter(|finding| finding.accepted).count();
    let accepted = match accepted {
        0 => String::new(),
        1 => " except what was accepted".to_owned(),
        n => format!(" except {n} that were accepted"),
    };
    if !report.fine {
        let errors = report.findings.iter().filter(|finding| !finding.accepted).count();
        return format!("FAILED; {}, see above", counted(errors, "error"));
    }
    let canary = report.canary.as_ref().is_some_and(CanaryResult::looked);
    let without = if canary { "" } else { "; without the canary" };
    format!("OK: found no unencrypted data{accepted}{without}")
}
