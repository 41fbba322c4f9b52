// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl verify --datadir`: checks that the keyring decrypts every encrypted file of a server, without the server.

use super::left::Left;
use super::opened::OpenedKeyring;
use crate::commands::output::{Output, counted};
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::server::{KEPT_INDEXES, ScratchName};
use crate::show::Shown;
use crate::tablespace::{
    DataFileKind, DataFiles, Depth, FileReport, FileState, MissingPart, check, find, missing_parts,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use keyring_external::store::places::Places;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time after which a terminal shows a progress bar.
const LONG: Duration = Duration::from_millis(500);
/// Most times that the keyring is read again because a server stored new keys during the check.
const READINGS: usize = 3;
/// Pause before a directory that seems to lack a file is read again.
const PAUSE: Duration = Duration::from_millis(500);
/// Most files of one state that the text names.
const MOST_LINES: usize = 50;

#[derive(clap::Args)]
#[group(id = "server")]
pub(in crate::commands) struct Args {
    /// Check that the keyring decrypts every encrypted file in this data directory, which can be in use, a copy or
    /// a backup (repeatable)
    #[arg(long, value_name = "DIR")]
    pub datadir: Vec<PathBuf>,
    /// Additional directory with files of the server, such as innodb_undo_directory or a table's DATA DIRECTORY
    /// (repeatable)
    #[arg(long, value_name = "DIR", requires = "datadir")]
    also: Vec<PathBuf>,
    /// Also fail if a file holds unencrypted data that MySQL could encrypt, and name these files
    #[arg(long, requires = "datadir")]
    all_encrypted: bool,
    /// Decrypt every page of each tablespace instead of a single one
    #[arg(long, requires = "datadir")]
    every_page: bool,
}

pub(super) fn run(
    args: &Args,
    places: &Places,
    keyring: Option<OpenedKeyring>,
    keyrings: &Value,
    out: &mut Output,
) -> Result<Verdict> {
    let Some(mut keyring) = keyring else {
        out.line("The files were not checked: no keyring could be opened.");
        out.document(&json!({ "keyrings": keyrings, "files": null }));
        return Ok(Verdict::NotFine);
    };
    let directories: Vec<_> = args.datadir.iter().chain(&args.also).cloned().collect();
    let found = find(&directories);
    for datadir in &args.datadir {
        let below = |path: &Path| path.starts_with(datadir);
        let is_known = |(path, kind): &(PathBuf, DataFileKind)| below(path) && *kind != DataFileKind::Other;
        if let Some((_, e)) = found.unreadable.iter().find(|(path, _)| path == datadir) {
            return Err(Error::Usage(format!(
                "cannot read the directory {}: {e}. Check the path, and run this as root or as the user that mysqld runs as",
                datadir.shown()
            )));
        }
        if !found.files.iter().any(is_known) && !found.not_checked.iter().any(|(path, _)| below(path)) {
            return Err(Error::Usage(format!(
                "no file of a MySQL server was found below {}: check the path",
                datadir.shown()
            )));
        }
    }
    let depth = if args.every_page { Depth::EveryPage } else { Depth::OnePage };
    let mut files = check_files(&found, &keyring, depth);
    for _ in 0..READINGS {
        let missing = |file: &FileReport| file.state == FileState::KeyMissing;
        let before = keyring.keyring.status().generation;
        if !files.iter().any(missing)
            || keyring.reload(places).is_err()
            || keyring.keyring.status().generation == before
        {
            break;
        }
        files = check_files(&found, &keyring, depth);
    }
    let missing = missing(args, &directories, &found, &files);
    let failed: Vec<_> = files.iter().filter(|file| file.state.is_failure()).collect();
    let unencrypted: Vec<_> = files.iter().filter(|file| file.in_clear).collect();
    let unnamed: Vec<_> =
        args.datadir.iter().filter_map(|datadir| Left::by(places, datadir, &found, &keyring)).collect();
    let lacks_unnamed = unnamed.iter().any(|left| left.is_failure);
    let half_done: Vec<_> = files.iter().filter(|file| is_half_done(file)).collect();
    let fine = failed.is_empty()
        && half_done.is_empty()
        && missing.is_empty()
        && !lacks_unnamed
        && (unencrypted.is_empty() || !args.all_encrypted);
    print(args, &files, &found, (&missing, &unnamed), out);
    out.document(&json!({
        "keyrings": keyrings,
        "keyring": { "id": keyring.keyring.id(), "generation": keyring.keyring.status().generation },
        "fine": fine,
        "in_clear": unencrypted.len(),
        "half_done": half_done.iter().map(|file| file.path.exact()).collect::<Vec<_>>(),
        "no_data": found.no_data,
        "missing": missing,
        "not_shut_down": unnamed.iter().map(|left| left.datadir.exact()).collect::<Vec<_>>(),
        "files": files,
    }));
    let unreadable = files.iter().filter(|file| file.state == FileState::Unreadable).count();
    if unreadable > 0 {
        return Err(Error::Usage(match unreadable {
            1 => "1 file or directory could not be read".to_owned(),
            n => format!("{n} files or directories could not be read"),
        }));
    }
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}

/// Whether it is a file in which an interrupted `encrypt apply` has left something. Whether keys decrypt it is another matter.
fn is_half_done(file: &FileReport) -> bool {
    ScratchName::of_file(&file.path).is_some()
}

fn files_hold(files: usize) -> String {
    counted(files, "file") + if files == 1 { " holds" } else { " hold" }
}

/// Checks all files. A terminal shows a progress bar if that takes long.
fn check_files(found: &DataFiles, keyring: &OpenedKeyring, depth: Depth) -> Vec<FileReport> {
    let start = Instant::now();
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files, {eta} left");
    // It counts from the start, so that the remaining time is right when the bar appears.
    let bar = ProgressBar::with_draw_target(Some(found.files.len() as u64), ProgressDrawTarget::hidden())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut shown = false;
    let files = check(found, &keyring.keyring, depth, &mut |done, _| {
        bar.set_position(done as u64);
        if !shown && start.elapsed() >= LONG {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            shown = true;
        }
    });
    bar.finish_and_clear();
    files
}

/// Returns what the data directories lack. A server may be replacing a file at the moment, so they are read twice.
fn missing(
    args: &Args,
    directories: &[PathBuf],
    found: &DataFiles,
    files: &[FileReport],
) -> Vec<MissingPart> {
    let all = |found: &DataFiles| -> Vec<MissingPart> {
        args.datadir.iter().flat_map(|dir| missing_parts(dir, &args.datadir, found, files)).collect()
    };
    let mut missing = all(found);
    if !missing.is_empty() {
        std::thread::sleep(PAUSE);
        let again = all(&find(directories));
        missing.retain(|part| again.contains(part));
    }
    missing
}

fn print(
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
