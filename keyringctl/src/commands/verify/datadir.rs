// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl verify --datadir`: checks that the keyring decrypts every encrypted file of a server, without the server.

use super::args::Args;
use super::left::Left;
use super::opened::OpenedKeyring;
use super::redo_log::RedoLogs;
use super::show::{self, is_half_done};
use crate::commands::output::Output;
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::show::{Shown, exact_paths};
use crate::tablespace::{
    DataFileKind, DataFiles, Depth, FileReport, FileState, MissingPart, check, find, missing_parts,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use keyring_external::store::places::Places;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time after which a terminal shows a progress bar.
const LONG: Duration = Duration::from_millis(500);
/// Most times that the keyring is read again because a server stored new keys during the check.
const READINGS: usize = 3;
/// Pause before a directory that seems to lack a file is read again.
const PAUSE: Duration = Duration::from_millis(500);

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
    let directories = args.directories();
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
    let mut logs = RedoLogs::of(&args.datadir, &found, &keyring);
    // A server stores a key before its log names it.
    if logs.lacks_keys() && keyring.reload(places).is_ok() {
        logs.compare_again(&keyring);
    }
    logs.add_to(&mut files);
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
    show::print(args, &files, &found, (&missing, &unnamed), out);
    logs.print_unread(out);
    out.document(&json!({
        "keyrings": keyrings,
        "keyring": { "id": keyring.keyring.id(), "generation": keyring.keyring.status().generation },
        "fine": fine,
        "directories": exact_paths(&directories),
        "in_clear": unencrypted.len(),
        "half_done": half_done.iter().map(|file| file.path.exact()).collect::<Vec<_>>(),
        "no_data": found.no_data,
        "missing": missing,
        "not_shut_down": unnamed.iter().map(|left| left.datadir.exact()).collect::<Vec<_>>(),
        "log_not_read": exact_paths(&logs.unread()),
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
