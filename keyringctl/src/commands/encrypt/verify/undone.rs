// SPDX-License-Identifier: GPL-2.0-or-later
//! `encrypt verify --undo`: checks whether anything still needs the keyring, before it is removed.

use super::files::{find, may_be_the_servers, not_readable, readable};
use super::finding::VerifyFinding;
use crate::commands::encrypt::places::places;
use crate::commands::output::{Output, counted};
use crate::commands::verdict::Verdict;
use crate::error::Result;
use crate::server::{
    DataPlace, DatadirAccess, Inventory, PlaceKind, PlaceState, Remedy, ServerFiles, Session,
};
use crate::show::Shown;
use crate::tablespace;
use serde::Serialize;

#[derive(Serialize)]
struct UndoReport {
    fine: bool,
    /// How many files need a master key; `None` if the files were not checked.
    files: Option<usize>,
    findings: Vec<VerifyFinding>,
}

pub(super) fn run(
    session: &mut Session,
    here: &DatadirAccess,
    inventory: &Inventory,
    out: &mut Output,
) -> Result<Verdict> {
    let mut findings: Vec<_> = places(session, inventory)?.iter().filter_map(reported).collect();
    let encrypted_logs = inventory.binary_logs.iter().filter(|log| log.encrypted).count();
    if encrypted_logs > 0 {
        let why = format!(
            "{} encrypted and need the keyring until they are purged",
            if encrypted_logs == 1 { "1 file is".to_owned() } else { format!("{encrypted_logs} files are") }
        );
        findings.push(VerifyFinding::new(PlaceKind::BinaryLog, "binary logs", why, None));
    }
    let files = match here.readable() {
        Some(_) => {
            let of_server = ServerFiles::query(session)?;
            let (directories, unread) = readable(&of_server);
            findings.extend(unread);
            let needed = tablespace::master_keys(&find(&directories, &of_server));
            let unknown = needed.unknown.iter().filter(|file| may_be_the_servers(file, &of_server));
            findings.extend(unknown.map(|file| {
                VerifyFinding::not_checked(PlaceKind::Table, file.path.shown(), file.notes.join("; "), None)
            }));
            let mut count = 0;
            for (key, needing) in needed.keys {
                count += needing.len();
                let first = needing.first().map(|p| p.shown()).unwrap_or_default();
                let more = if needing.len() > 1 {
                    format!(" and {}", counted(needing.len() - 1, "more file"))
                } else {
                    String::new()
                };
                findings.push(VerifyFinding::new(
                    PlaceKind::Table,
                    format!("{first}{more}"),
                    format!("needs the master key {key}"),
                    None,
                ));
            }
            Some(count)
        }
        None => {
            findings.extend(not_readable(here, session.address()));
            None
        }
    };
    let fine = findings.is_empty();
    for finding in &findings {
        let (what, why) = (&finding.what, &finding.why);
        out.line(format_args!("ERROR    {what} ({}): {why}", finding.kind));
        if let Some(remedy) = &finding.remedy {
            out.line(format_args!("         {remedy}"));
        }
    }
    if fine {
        out.line("OK: nothing needs the keyring");
    } else {
        out.line(format_args!("FAILED; {}: keep the keyring", counted(findings.len(), "error")));
    }
    out.document(&UndoReport { fine, files, findings });
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}

/// Returns a finding for what the server reports as encrypted, or as a default for new tables, and for what could not be
/// looked at.
fn reported(item: &DataPlace) -> Option<VerifyFinding> {
    let matters = matches!(
        item.kind,
        PlaceKind::Table
            | PlaceKind::Tablespace
            | PlaceKind::MysqlTablespace
            | PlaceKind::FullText
            | PlaceKind::Undo
            | PlaceKind::Redo
            | PlaceKind::RelayLog
    ) || item.name == "default_table_encryption"
        || item.kind == PlaceKind::Schema;
    let why = if item.kind == PlaceKind::Schema || item.kind == PlaceKind::Setting {
        "new tables are encrypted"
    } else {
        "the server reports it as encrypted"
    };
    match item.state {
        PlaceState::Unknown => {
            let remedy = if let Remedy::ByHand(how) = &item.remedy { Some(how.clone()) } else { None };
            Some(VerifyFinding::not_checked(item.kind, item.name.clone(), &item.about, remedy))
        }
        PlaceState::Clear | PlaceState::HalfDone if item.kind == PlaceKind::Scratch => {
            let remedy = match &item.remedy {
                Remedy::ByHand(how) => how.clone(),
                _ => "keyringctl encrypt apply --undo --all".to_owned(),
            };
            Some(VerifyFinding::new(item.kind, item.name.clone(), &item.about, Some(remedy)))
        }
        PlaceState::Encrypted if matters => Some(VerifyFinding::new(item.kind, item.name.clone(), why, None)),
        _ => None,
    }
}
