// SPDX-License-Identifier: GPL-2.0-or-later
//! The files of a server on this machine, every page and block of them, beside what the server says.

use super::{Finding, sizes};
use crate::server::{Inventory, Kind, ServerFiles};
use crate::tablespace::{self, Depth, FileReport, Forms, MasterKeys, State};
use keyring_external::error::{Error, Result};
use keyring_external::keyring::Keyring;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// What was looked at.
#[derive(Default, Serialize)]
pub(in crate::commands) struct Seen {
    files: usize,
    bytes: u64,
    /// Pages of tablespaces and blocks of the redo log.
    encrypted: u64,
    clear: u64,
    /// Whether the keyring's keys were tried on them.
    with_keys: bool,
}

impl Seen {
    pub fn line(&self) -> String {
        let keys = if self.with_keys {
            "; the keyring opens all that is encrypted, but for what is listed"
        } else {
            ""
        };
        format!(
            "The files: {} were read, {}: {} pages and blocks are encrypted, {} are in clear{keys}",
            self.files,
            sizes::bytes(self.bytes),
            self.encrypted,
            self.clear
        )
    }
}

struct NoKeys;

impl MasterKeys for NoKeys {
    fn look(&self, _: &str, _: &mut dyn FnMut(&[u8])) -> bool {
        false
    }

    fn ids(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Looks at every file. With `keyring`, whether it opens what is encrypted, too.
pub(in crate::commands) fn look(
    files: &ServerFiles,
    inventory: &Inventory,
    keyring: Option<&Keyring>,
) -> Result<(Seen, Vec<Finding>)> {
    let found = tablespace::find(&files.directories)?;
    let keys: &dyn MasterKeys = match keyring {
        Some(keyring) => keyring,
        None => &NoKeys,
    };
    let reports = tablespace::check(&found, keys, Depth::OnePage, &mut |_, _| {});
    let mut seen = Seen { with_keys: keyring.is_some(), ..Seen::default() };
    let mut findings = Vec::new();
    let by_server = encrypted_by_server(inventory);
    for report in &reports {
        let forms = match tablespace::forms(&report.path, report.kind) {
            Ok(forms) => forms.unwrap_or_default(),
            // A table that was dropped, a log that was purged.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("read", &report.path, e)),
        };
        seen.files += 1;
        seen.bytes += std::fs::metadata(&report.path).map_or(0, |m| m.len());
        seen.encrypted += forms.encrypted;
        seen.clear += forms.clear;
        let said = files.tablespaces.get(&report.path).and_then(|name| by_server.get(name)).copied();
        findings.extend(judge(report, forms, said, keyring.is_some()));
    }
    findings.extend(found.links.iter().map(|link| unseen(link, "a symbolic link, which is not followed")));
    Ok((seen, findings))
}

/// Tablespaces by name, and whether the server says that they are encrypted.
fn encrypted_by_server(inventory: &Inventory) -> BTreeMap<String, bool> {
    let tables = inventory.tables.iter().filter(|t| t.files > 0);
    let tables = tables.map(|t| (format!("{}/{}", t.schema, t.name), t.is_encrypted()));
    tables.chain(inventory.tablespaces.iter().map(|s| (s.name.clone(), s.encrypted))).collect()
}

fn judge(report: &FileReport, forms: Forms, said: Option<bool>, with_keys: bool) -> Option<Finding> {
    let what = report.path.display().to_string();
    let kind = kind(report.kind);
    let is_undo = report.kind == tablespace::Kind::Undo;
    if report.state == State::Unreadable || with_keys && report.state.is_failure() {
        let why = format!("{}{}", report.state.name(), notes(report));
        let remedy = "keyringctl verify KEYRING --datadir DIR".to_owned();
        return Some(Finding::new(kind, what, why, Some(remedy)));
    }
    if report.kind == tablespace::Kind::System {
        return (forms.clear > 0).then(|| {
            Finding::new(
                kind,
                what,
                format!(
                    "{} of its pages hold old entries of indexes or rows in clear, from the change buffer or from tables that once lay in it",
                    forms.clear
                ),
                Some("load a dump into a new instance that was encrypted from its first start; or --accept system-tablespace".to_owned()),
            )
        });
    }
    let is_clear = match report.kind {
        tablespace::Kind::Temporary => false,
        _ => report.in_clear || report.state == State::NotEncrypted || forms.clear > 0,
    };
    if !is_clear {
        return None;
    }
    let why = match (forms.clear, said) {
        (0, Some(true)) => "in clear, and the server says that it is encrypted".to_owned(),
        (0, _) => format!("in clear{}", notes(report)),
        (clear, Some(true)) if forms.encrypted > 0 || is_undo => {
            format!("{clear} pages or blocks in it are in clear, {} are encrypted", forms.encrypted)
        }
        (_, Some(true)) => "its pages are in clear, and the server says that it is encrypted".to_owned(),
        (_, Some(false)) => "in clear, as the server says".to_owned(),
        (clear, None) => {
            format!("{clear} pages or blocks in it are in clear, {} are encrypted", forms.encrypted)
        }
    };
    Some(Finding::new(kind, what, why, remedy(report.kind)))
}

fn notes(report: &FileReport) -> String {
    if report.notes.is_empty() { String::new() } else { format!(": {}", report.notes.join("; ")) }
}

fn remedy(kind: tablespace::Kind) -> Option<String> {
    use tablespace::Kind as File;
    Some(
        match kind {
            File::Doublewrite => {
                "stop the server cleanly (SET GLOBAL innodb_fast_shutdown = 0; then stop it), delete the file, start it: it makes it anew"
            }
            File::BinaryLog => "keyringctl encrypt apply --purge-binary-logs, when replicas and backups have it",
            File::Undo | File::Redo => "keyringctl encrypt apply",
            File::TransferKey => "delete it: it holds the key of an exported table",
            File::OtherEngine => "ALTER TABLE ... ENGINE = InnoDB, ENCRYPTION = 'Y'",
            File::Table | File::General | File::Dictionary => {
                "keyringctl encrypt apply; a file of no table is a leftover: delete it when no ALTER TABLE runs"
            }
            _ => return None,
        }
        .to_owned(),
    )
}

fn kind(kind: tablespace::Kind) -> Kind {
    use tablespace::Kind as File;
    match kind {
        File::Table | File::TransferKey | File::Directory => Kind::Table,
        File::General => Kind::Tablespace,
        File::Dictionary => Kind::MysqlTablespace,
        File::Undo => Kind::Undo,
        File::System => Kind::SystemTablespace,
        File::Temporary => Kind::Temporary,
        File::Redo => Kind::Redo,
        File::Doublewrite => Kind::Doublewrite,
        File::BinaryLog => Kind::BinaryLog,
        File::OtherEngine => Kind::OtherEngine,
    }
}

fn unseen(path: &Path, why: &str) -> Finding {
    Finding::new(Kind::Table, path.display().to_string(), format!("not looked at: {why}"), None)
}
