// SPDX-License-Identifier: GPL-2.0-or-later
//! What one file shows of the place that it belongs to.

use super::file_remedies::FileRemedies;
use super::finding::VerifyFinding;
use super::found::{FileFinding, FileShows, Owner};
use crate::server::PlaceKind;
use crate::show::Shown;
use crate::tablespace::{DataFileKind, FileReport, FileState, FormCounts};

/// What one file shows.
pub(super) enum Judged {
    Fine,
    /// Of the place that it belongs to.
    Place(FileFinding),
    /// Something else than that it is unencrypted.
    Wrong(VerifyFinding),
}

/// Judges a file. `reported`: whether the server reports it as encrypted.
pub(super) fn judge(
    report: &FileReport,
    forms: FormCounts,
    reported: Option<bool>,
    with_keys: bool,
    remedies: &FileRemedies<'_>,
) -> Judged {
    let kind = kind(report.kind);
    let wrong = |why, remedy: &str| {
        Judged::Wrong(VerifyFinding::new(kind, report.path.shown(), why, Some(remedy.to_owned())))
    };
    let owner = remedies.owner(report.kind, &report.path);
    if report.state == FileState::NotChecked {
        let remedy = (report.kind == DataFileKind::Other)
            .then(|| "if it is not the server's, move it out of the data directory; if it is a link, put what it leads to in its place".to_owned());
        return Judged::Place(FileFinding { remedy, ..not_read(report, owner, report.notes.join("; ")) });
    }
    if report.state == FileState::Unreadable {
        let remedy = Some("keyringctl verify KEYRING --datadir DIR".to_owned());
        let why = format!("{}{}", report.state.name(), notes(report));
        return Judged::Place(FileFinding { remedy, ..not_read(report, owner, why) });
    }
    if with_keys && report.state.is_failure() {
        let why = format!("{}{}", report.state.name(), notes(report));
        return wrong(why, "keyringctl verify KEYRING --datadir DIR");
    }
    let unencrypted = |why, remedy| {
        let (path, shows) = (report.path.clone(), FileShows::Unencrypted);
        Judged::Place(FileFinding { path, kind, shows, why, remedy, owner })
    };
    if report.kind == DataFileKind::System {
        if forms.clear == 0 {
            return Judged::Fine;
        }
        return unencrypted(
            format!(
                "{} of its pages hold old unencrypted index entries or rows, from the change buffer or from tables that were once in it",
                forms.clear
            ),
            Some("load a dump into a new instance that is encrypted from its first start, or accept it with --accept system-tablespace".to_owned()),
        );
    }
    if forms.damaged > 0 {
        let why = format!(
            "damaged: {} of its pages are neither encrypted nor have a right checksum and number",
            forms.damaged
        );
        return wrong(why, "restore it from a backup, and check its disk (dmesg)");
    }
    let is_unencrypted = match report.kind {
        // The server reports its text logs as places of their own.
        DataFileKind::Temporary | DataFileKind::TextLog => false,
        _ => report.in_clear || report.state == FileState::NotEncrypted || forms.clear > 0,
    };
    if !is_unencrypted {
        return Judged::Fine;
    }
    let is_undo = report.kind == DataFileKind::Undo;
    let why = match (forms.clear, reported) {
        (0, Some(true)) => "unencrypted, but the server reports it as encrypted".to_owned(),
        (0, _) => format!("unencrypted{}", notes(report)),
        (clear, Some(true)) if forms.encrypted > 0 || is_undo => {
            format!("{clear} of its pages or blocks are unencrypted, {} are encrypted", forms.encrypted)
        }
        (_, Some(true)) => "its pages are unencrypted, but the server reports it as encrypted".to_owned(),
        (_, Some(false)) => "unencrypted, as the server reports".to_owned(),
        (clear, None) => {
            format!("{clear} of its pages or blocks are unencrypted, {} are encrypted", forms.encrypted)
        }
    };
    unencrypted(why, remedies.of(report.kind, &report.path, reported))
}

/// A file that could not be read, or of which it is not known what it contains.
pub(super) fn not_read(
    report: &FileReport,
    owner: Option<Owner>,
    why: impl std::fmt::Display,
) -> FileFinding {
    FileFinding {
        path: report.path.clone(),
        kind: kind(report.kind),
        shows: FileShows::NotChecked,
        why: why.to_string(),
        remedy: None,
        owner,
    }
}

fn notes(report: &FileReport) -> String {
    if report.notes.is_empty() { String::new() } else { format!(": {}", report.notes.join("; ")) }
}

fn kind(kind: DataFileKind) -> PlaceKind {
    use DataFileKind as File;
    match kind {
        File::Table | File::TransferKey | File::Directory | File::Other => PlaceKind::Table,
        File::General => PlaceKind::Tablespace,
        File::Dictionary => PlaceKind::MysqlTablespace,
        File::Undo => PlaceKind::Undo,
        File::System => PlaceKind::SystemTablespace,
        File::Temporary => PlaceKind::Temporary,
        File::Redo => PlaceKind::Redo,
        File::Doublewrite => PlaceKind::Doublewrite,
        File::BinaryLog => PlaceKind::BinaryLog,
        File::OtherEngine => PlaceKind::OtherEngine,
        File::TextLog => PlaceKind::GeneralLog,
    }
}
