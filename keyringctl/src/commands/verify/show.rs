// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl verify --datadir` prints of the files.

use super::args::Args;
use super::left::Left;
use crate::commands::output::{Output, counted};
use crate::server::{KEPT_INDEXES, ScratchName};
use crate::show::Shown;
use crate::tablespace::{DataFileKind, DataFiles, FileReport, FileState, MissingPart};
use std::collections::BTreeMap;

/// Most files of one state that the text names.
const MOST_LINES: usize = 50;

pub(super) fn print(
    args: &Args,
    files: &[FileReport],
    found: &DataFiles,
    (missing, unnamed): (&[MissingPart], &[Left<'_>]),
    out: &mut Output,
) {
    let mut kinds: BTreeMap<DataFileKind, BTreeMap<FileState, usize>> = BTreeMap::new();
    for file in files {
        *kinds.entry(file.kind).or_default().entry(file.state).or_default() += 1;
    }
    for (kind, states) in kinds {
        let counts: Vec<_> = states.iter().map(|(state, n)| format!("{n} {}", state.name())).collect();
        let why = match kind {
            DataFileKind::System | DataFileKind::Temporary | DataFileKind::TextLog => {
                " (encryption not supported by MySQL)"
            }
            _ => "",
        };
        out.line(format_args!("  {:<24} {}{why}", kind.name(), counts.join(", ")));
    }
    if found.no_data > 0 {
        let names = "certificates, settings, descriptions of tables and the like";
        out.line(format_args!("  {:<24} {} by their names: {names}", "without data", found.no_data));
    }
    for (state, advice) in FAILURES {
        let lines = files.iter().filter(|file| file.state == *state).map(|file| {
            let needs = file
                .key
                .iter()
                .filter(|_| *state != FileState::Damaged)
                .map(|key| format!("needs key {key}"));
            let why: Vec<_> = needs.chain(file.notes.iter().cloned()).collect();
            format!("{:<13} {}: {}", state.name().to_uppercase(), file.path.shown(), why.join("; "))
        });
        if print_some(lines, out) {
            out.line(format_args!("  -> {advice}"));
        }
    }
    for part in missing {
        out.line(format_args!("MISSING       {}: {}", part.datadir.shown(), part.what));
    }
    if !missing.is_empty() {
        out.line("  -> if these are in other directories, name those with --also; otherwise this copy is not whole: take it again");
    }
    let half_done = files.iter().filter(|file| is_half_done(file)).map(|file| {
        let keeps = file.path.parent().is_some_and(|directory| directory.ends_with(KEPT_INDEXES));
        let what = if keeps {
            "it keeps full-text indexes that encrypt apply has dropped"
        } else {
            "a scratch tablespace of encrypt apply; the table in it belongs into a file of its own"
        };
        format!("{:<13} {}: {}; {what}", "HALF-DONE", file.path.shown(), file.state.name())
    });
    if print_some(half_done, out) {
        out.line(format_args!("  -> {HALF_DONE}"));
    }
    let unencrypted = || files.iter().filter(|file| file.in_clear);
    if args.all_encrypted {
        let lines = unencrypted().map(|file| {
            let state = if file.state == FileState::Opened { "PARTLY UNENCRYPTED" } else { "UNENCRYPTED" };
            let why: String = file.notes.iter().map(|note| format!(": {note}")).collect();
            format!("{state:<13} {}{}", file.path.shown(), why)
        });
        print_some(lines, out);
    } else if unencrypted().next().is_some() {
        out.line(format_args!(
            "note: {} unencrypted data that MySQL could encrypt: --all-encrypted names the files",
            files_hold(unencrypted().count())
        ));
    }
    for log in files.iter().filter(|file| file.path.ends_with("xtrabackup_logfile")) {
        let dir = log.path.parent().unwrap_or(&log.path).shown();
        out.line(format_args!(
            "note: the backup {dir} is not prepared: what xtrabackup_logfile holds is not in its tablespaces yet"
        ));
    }
    let opened = files.iter().filter(|file| file.state == FileState::Opened && !file.by_transfer_key).count();
    // A keyring that is not older has the keys; that files name none yet is worth a note.
    for left in unnamed.iter().filter(|left| !left.is_sure || opened == 0) {
        left.text().lines().for_each(|line| out.line(line));
    }
    let lacks_unnamed = unnamed.iter().any(|left| left.is_failure);
    let by_transfer: Vec<_> = files.iter().filter(|file| file.by_transfer_key).collect();
    if let Some(first) = by_transfer.first() {
        out.line(format_args!(
            "note: {} decrypted with the transfer key in the .cfp file beside it, because the keyring lacks the master key, such as {}: a server reads it only after ALTER TABLE ... IMPORT TABLESPACE",
            counted(by_transfer.len(), "exported table"),
            first.path.shown()
        ));
    }
    // Only the data dictionary, which is a tablespace, knows of files elsewhere.
    if files.iter().any(|file| file.kind == DataFileKind::Dictionary) {
        let read: Vec<_> = args.directories().iter().map(|dir| dir.shown()).collect();
        out.line(format_args!(
            "note: only files below {} were looked at. Name other directories of the server (tables with DATA DIRECTORY, \
             tablespaces elsewhere) with --also. Whether a backup lacks such a file, keyringctl drill finds out",
            read.join(", ")
        ));
    }
    let failed = files.iter().filter(|file| file.state.is_failure()).count();
    let proved = files
        .iter()
        .filter(|f| f.state == FileState::Opened && !f.by_transfer_key && f.checked_page.is_some())
        .count();
    out.line(match (failed + missing.len(), opened) {
        (0, _) if lacks_unnamed => format!(
            "FAILED   {} decrypted, but the redo log may need a key that this keyring lacks: see above",
            counted(opened, "file")
        ),
        (0, 0) if !unnamed.is_empty() => "no file is encrypted with a key that it names: see the note".to_owned(),
        (0, 0) if !by_transfer.is_empty() => {
            format!("OK       {} decrypted with transfer keys: see above", counted(by_transfer.len(), "table"))
        }
        (0, 0) => "none of these files is encrypted".to_owned(),
        (0, _) => format!(
            "OK       the keyring decrypts every encrypted file: {opened} (checksum of a decrypted page or block verified: {proved})"
        ),
        _ => {
            let lacking = if missing.is_empty() { String::new() } else { format!(", {} missing", missing.len()) };
            format!("FAILED   {} decrypted, {failed} failed{lacking}: see above", counted(opened, "file"))
        }
    });
    let half_done = files.iter().filter(|file| is_half_done(file)).count();
    if half_done > 0 {
        out.line(format_args!("FAILED   {} left half-done: see above", counted(half_done, "file")));
    }
    if args.all_encrypted && unencrypted().next().is_some() {
        out.line(format_args!(
            "FAILED   {} unencrypted data that MySQL could encrypt",
            files_hold(unencrypted().count())
        ));
    }
}

/// Whether it is a file in which an interrupted `encrypt apply` has left something. Whether keys decrypt it is another matter.
pub(super) fn is_half_done(file: &FileReport) -> bool {
    ScratchName::of_file(&file.path).is_some()
}

fn files_hold(files: usize) -> String {
    counted(files, "file") + if files == 1 { " holds" } else { " hold" }
}

/// The states that are failures, and what to do about each.
const FAILURES: &[(FileState, &str)] = &[
    (
        FileState::KeyMissing,
        "this keyring cannot decrypt these files: find the keyring, or the backup of it, from the time of these files",
    ),
    (
        FileState::WrongKey,
        "the keyring has a key of this name, but these files were encrypted with another key of the same name, or are damaged: find the keyring from the time of these files",
    ),
    (FileState::Damaged, "restore these files from a backup, and check their disk (dmesg)"),
    (
        FileState::NotChecked,
        "what they hold is not known: unpack and prepare a backup (such as xtrabackup --decompress, --prepare), and verify that; name with --also the directories that links and .isl files lead to; move elsewhere what is not the server's",
    ),
    (FileState::Unreadable, "these files could not be checked"),
];

/// What to do about what an interrupted `encrypt apply` has left.
const HALF_DONE: &str = "unless that still runs: on the server of these files, or on one that is started with this copy, run keyringctl encrypt apply, which completes it, or keyringctl encrypt cleanup, which only puts it back. A file that the server does not use then: keyringctl encrypt verify names it";

/// Prints at most [`MOST_LINES`] lines. Returns whether there were any.
fn print_some(lines: impl Iterator<Item = String>, out: &mut Output) -> bool {
    let mut count = 0;
    for line in lines {
        count += 1;
        if count <= MOST_LINES {
            out.line(line);
        }
    }
    if count > MOST_LINES {
        out.line(format_args!("... and {} more: --json lists all of them", count - MOST_LINES));
    }
    count > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_for_every_failure_is_followed_in_a_test() {
        let test = include_str!("../../../tests/cli/data_directory.rs");
        for (state, advice) in FAILURES {
            let kind = format!("\"{} \"", state.name().to_uppercase());
            assert!(
                test.contains(&kind),
                "no test follows {advice:?}: add {kind} to the_advice_for_each_failure_works"
            );
        }
    }
}
