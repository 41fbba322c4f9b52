// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt verify`: whether anything lies in clear, by the server's word, by its files, and by a
//! text that is written and looked for.

mod canary;
pub(in crate::commands) mod files;
mod undone;

use super::plan::keyring_line;
use super::{Verdict, server, sizes};
use crate::commands::output::{Output, visible};
use crate::commands::secret;
use crate::server::{
    Here, Inventory, Item, Kind, Remedy, ServerFiles, ServerKeyring, Session, State, coverage,
};
use keyring_external::error::Result;
use serde::Serialize;

/// Show whether anything that a server keeps is in clear: by its word, by its files, and by a text written and looked for
///
/// Exits 1 and lists it when anything is. Run it on the server, as root, so that it can look into the files.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl encrypt verify\n  \
    keyringctl encrypt verify --unlock file:/etc/mysql/keyring.secret --accept slow-log")]
pub(super) struct Args {
    /// Take upon yourself that places of this kind are in clear (repeatable): slow-log, general-log, other-engine,
    /// binary-log, doublewrite, system-tablespace, setting, ...
    #[arg(long, value_name = "KIND")]
    accept: Vec<Kind>,
    /// Write no canary: nothing is written to the server then
    #[arg(long)]
    no_canary: bool,
    /// The reverse, after `apply --undo`: whether anything still needs the keyring
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    secret: secret::Args,
    #[command(flatten)]
    server: server::Args,
}

#[derive(Serialize)]
struct Report {
    fine: bool,
    keyring: ServerKeyring,
    /// Whether the files were looked into; else all this is the server's word only.
    files: Option<files::Seen>,
    canary: Option<canary::Outcome>,
    findings: Vec<Finding>,
    /// The server's own view of every place.
    items: Vec<Item>,
}

/// Something that is not as it should be.
#[derive(Serialize)]
pub(in crate::commands) struct Finding {
    pub kind: Kind,
    pub what: String,
    pub why: String,
    pub remedy: Option<String>,
    /// With `--accept`.
    pub accepted: bool,
}

impl Finding {
    pub fn new(
        kind: Kind,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: Option<String>,
    ) -> Finding {
        Finding { kind, what: what.into(), why: why.into(), remedy, accepted: false }
    }
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let mut session = args.server.connect()?;
    let here = Here::look(&mut session)?;
    let inventory = Inventory::of(&mut session)?;
    let keyring = ServerKeyring::of(&mut session)?;
    if args.undo {
        return undone::run(&mut session, &here, &inventory, out);
    }
    let items = coverage(&inventory);
    let mut findings = keyring_finding(&keyring);
    findings.extend(items.iter().filter_map(by_server));
    let files = match here.readable() {
        Some(_) => {
            let keys = args.secret.unlock.is_some().then(|| open(args, &keyring)).transpose()?;
            let (seen, found) = files::look(&ServerFiles::of(&mut session)?, &inventory, keys.as_ref())?;
            findings.extend(found);
            Some(seen)
        }
        None => None,
    };
    let canary = if args.no_canary { None } else { Some(canary::fly(&session, &here, &mut findings)?) };
    for finding in &mut findings {
        finding.accepted = args.accept.contains(&finding.kind);
    }
    let fine = findings.iter().all(|f| f.accepted);
    let report = Report { fine, keyring, files, canary, findings, items };
    tell(&report, &here, &session, out);
    out.document(&report);
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}

/// The keyring that the server uses, opened beside it.
fn open(args: &Args, keyring: &ServerKeyring) -> Result<keyring_external::keyring::Keyring> {
    let fs: std::sync::Arc<dyn keyring_external::store::fs::Fs> =
        std::sync::Arc::new(keyring_external::store::real::RealFs);
    let path = keyring.paths.first().ok_or(keyring_external::error::Error::Unavailable)?;
    args.secret.load(&fs, path).map(|(keyring, _)| keyring)
}

fn keyring_finding(keyring: &ServerKeyring) -> Vec<Finding> {
    let told = keyring_line(keyring);
    let fine = keyring.is_ours() && matches!(keyring.state.as_str(), "ATTACHED" | "READ_ONLY");
    let finding =
        || Finding::new(Kind::Setting, "keyring", told, Some("see docs/OPERATIONS.md, 'States'".to_owned()));
    if fine { Vec::new() } else { vec![finding()] }
}

/// What the server itself says to be in clear.
fn by_server(item: &Item) -> Option<Finding> {
    let remedy = match &item.remedy {
        Remedy::Apply => Some("keyringctl encrypt apply".to_owned()),
        Remedy::ByHand(how) => Some(how.clone()),
        Remedy::None => None,
    };
    let why = if item.about.is_empty() { "in clear".to_owned() } else { format!("in clear: {}", item.about) };
    (item.state == State::Clear).then(|| Finding::new(item.kind, item.name.clone(), why, remedy))
}

fn tell(report: &Report, here: &Here, session: &Session, out: &mut Output) {
    out.line(keyring_line(&report.keyring));
    let count = |state| report.items.iter().filter(|i| i.state == state).count();
    let tables = report.items.iter().filter(|i| i.kind.is_table() && i.state == State::Encrypted);
    out.line(format_args!(
        "The server's word: {} tables, {} of tables, and {} other places and settings are encrypted or as they should be; {} are not",
        tables.clone().count(),
        sizes::bytes(tables.clone().map(|i| i.bytes).sum()),
        count(State::Encrypted) - tables.count(),
        count(State::Clear)
    ));
    match (&report.files, here) {
        (Some(seen), _) => out.line(seen.line()),
        (None, Here::Closed(datadir)) => out.line(format_args!(
            "The files: NOT LOOKED AT, {} is closed to this user. Run this as root: the above is the server's word only",
            datadir.display()
        )),
        (None, _) => out.line(format_args!(
            "The files: NOT LOOKED AT, the data directory of {} is not on this machine. Run this there: the above is the server's word only",
            session.way()
        )),
    }
    if let Some(canary) = &report.canary {
        out.line(canary.line());
    }
    for finding in &report.findings {
        let head = if finding.accepted { "ACCEPTED" } else { "NOT FINE" };
        let (what, why) = (visible(&finding.what), visible(&finding.why));
        out.line(format_args!("{head} {what} ({}): {why}", finding.kind));
        if let (Some(remedy), false) = (&finding.remedy, finding.accepted) {
            out.line(format_args!("         {}", visible(remedy)));
        }
    }
    for item in report.items.iter().filter(|i| i.state == State::Cannot) {
        out.line(format_args!("NOTE     {}: {}", visible(&item.name), visible(&item.about)));
    }
    out.line(if report.fine { "Fine: nothing was found in clear" } else { "NOT FINE: see above" });
}
