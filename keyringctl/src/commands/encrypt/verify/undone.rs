// SPDX-License-Identifier: GPL-2.0-or-later
//! `encrypt verify --undo`: whether anything still needs the keyring, before it is put away.

use super::{Finding, Verdict};
use crate::commands::output::{Output, visible};
use crate::server::{Here, Inventory, Item, Kind, ServerFiles, Session, State, coverage};
use crate::tablespace;
use keyring_external::error::Result;
use serde::Serialize;

#[derive(Serialize)]
struct Report {
    fine: bool,
    /// Whether the files were looked into.
    files: Option<usize>,
    findings: Vec<Finding>,
}

pub(super) fn run(
    session: &mut Session,
    here: &Here,
    inventory: &Inventory,
    out: &mut Output,
) -> Result<Verdict> {
    let mut findings: Vec<_> = coverage(inventory).iter().filter_map(by_server).collect();
    let encrypted_logs = inventory.binary_logs.iter().filter(|log| log.encrypted).count();
    if encrypted_logs > 0 {
        let why = format!("{encrypted_logs} files are encrypted and need the keyring until they are purged");
        findings.push(Finding::new(Kind::BinaryLog, "binary logs", why, None));
    }
    let files = match here.readable() {
        Some(_) => {
            let directories = ServerFiles::of(session)?.directories;
            let mut count = 0;
            for directory in &directories {
                for (key, needing) in tablespace::master_keys(directory)? {
                    count += needing.len();
                    let first = needing.first().map(|p| p.display().to_string()).unwrap_or_default();
                    let more = if needing.len() > 1 {
                        format!(" and {} more files", needing.len() - 1)
                    } else {
                        String::new()
                    };
                    findings.push(Finding::new(
                        Kind::Table,
                        format!("{first}{more}"),
                        format!("needs {key}"),
                        None,
                    ));
                }
            }
            Some(count)
        }
        None => None,
    };
    let fine = findings.is_empty();
    for finding in &findings {
        let (what, why) = (visible(&finding.what), visible(&finding.why));
        out.line(format_args!("NOT FINE {what} ({}): {why}", finding.kind));
    }
    if files.is_none() {
        out.line("The files: NOT LOOKED AT, they cannot be read from here. Run this as root on the server: the above is the server's word only");
    }
    out.line(if fine { "Fine: nothing needs the keyring" } else { "NOT FINE: keep the keyring" });
    out.document(&Report { fine, files, findings });
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}

/// What the server says to be encrypted, or to become so.
fn by_server(item: &Item) -> Option<Finding> {
    let matters = matches!(
        item.kind,
        Kind::Table
            | Kind::Tablespace
            | Kind::MysqlTablespace
            | Kind::FullText
            | Kind::Undo
            | Kind::Redo
            | Kind::RelayLog
    ) || item.name == "default_table_encryption"
        || item.kind == Kind::Schema;
    let why = if item.kind == Kind::Schema || item.kind == Kind::Setting {
        "new tables are encrypted"
    } else {
        "the server says that it is encrypted"
    };
    (matters && item.state == State::Encrypted).then(|| Finding::new(item.kind, item.name.clone(), why, None))
}
