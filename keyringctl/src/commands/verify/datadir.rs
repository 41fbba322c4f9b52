// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl verify --datadir`: whether the keyring opens every encrypted file of a server, without the server.

use super::opened::Opened;
use crate::commands::output::{Output, counted, visible};
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::tablespace::{Depth, FileReport, Found, Kind, State, check, find};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use keyring_external::store::fs::Fs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After this time, a terminal is shown how far it is.
const LONG: Duration = Duration::from_millis(500);
/// How often the keyring is read again because a server stored new keys while files were looked at.
const READINGS: usize = 3;
/// Files of one kind that text names.
const MOST_LINES: usize = 50;

#[derive(clap::Args)]
#[group(id = "server")]
pub(in crate::commands) struct Args {
    /// The data directory of a server, in use, copied or from a backup: look whether the keyring opens every
    /// encrypted file in it. Can be given more than once
    #[arg(long, value_name = "DIR")]
    pub datadir: Vec<PathBuf>,
    /// A further directory with files of the server, such as innodb_undo_directory or a table's DATA
    /// DIRECTORY. Can be given more than once
    #[arg(long, value_name = "DIR", requires = "datadir")]
    also: Vec<PathBuf>,
    /// Fail, too, when something is in clear that MySQL could encrypt, and name it
    #[arg(long, requires = "datadir")]
    all_encrypted: bool,
    /// Decrypt every page of every tablespace instead of one
    #[arg(long, requires = "datadir")]
    every_page: bool,
}

pub(super) fn run(
    args: &Args,
    fs: &Arc<dyn Fs>,
    keyring: Option<Opened>,
    keyrings: &Value,
    out: &mut Output,
) -> Result<Verdict> {
    let Some(mut keyring) = keyring else {
        out.line("the files were not looked at: there is no keyring to open them with");
        out.document(&json!({ "keyrings": keyrings, "files": null }));
        return Ok(Verdict::NotFine);
    };
    let directories: Vec<_> = args.datadir.iter().chain(&args.also).cloned().collect();
    let found = find(&directories)?;
    for datadir in &args.datadir {
        if !found.files.iter().any(|(path, _)| path.starts_with(datadir)) {
            return Err(Error::Usage(format!(
                "there is no file of a MySQL server below {}: check the path",
                datadir.display()
            )));
        }
    }
    let depth = if args.every_page { Depth::EveryPage } else { Depth::OnePage };
    let mut files = look(&found, &keyring, depth);
    for _ in 0..READINGS {
        let missing = |file: &FileReport| file.state == State::KeyMissing;
        let before = keyring.keyring.status().generation;
        if !files.iter().any(missing)
            || keyring.again(fs).is_err()
            || keyring.keyring.status().generation == before
        {
            break;
        }
        files = look(&found, &keyring, depth);
    }
    let failed: Vec<_> = files.iter().filter(|file| file.state.is_failure()).collect();
    let in_clear: Vec<_> = files.iter().filter(|file| file.in_clear).collect();
    let fine = failed.is_empty() && (in_clear.is_empty() || !args.all_encrypted);
    tell(args, &files, &found, out);
    out.document(&json!({
        "keyrings": keyrings,
        "keyring": { "id": keyring.keyring.id(), "generation": keyring.keyring.status().generation },
        "fine": fine,
        "in_clear": in_clear.len(),
        "links_not_followed": found.links,
        "files": files,
    }));
    let unreadable = files.iter().filter(|file| file.state == State::Unreadable).count();
    if unreadable > 0 {
        return Err(Error::Usage(format!("{unreadable} files or directories could not be read")));
    }
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}

fn hold(files: usize) -> String {
    counted(files, "file") + if files == 1 { " holds" } else { " hold" }
}

/// Looks at all files; a terminal sees how far it is when that takes long.
fn look(found: &Found, keyring: &Opened, depth: Depth) -> Vec<FileReport> {
    let start = Instant::now();
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files, {eta} left");
    // It counts from the beginning, so that what it says is left is right when it is shown.
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

fn tell(args: &Args, files: &[FileReport], found: &Found, out: &mut Output) {
    let mut kinds: BTreeMap<Kind, BTreeMap<State, usize>> = BTreeMap::new();
    for file in files {
        *kinds.entry(file.kind).or_default().entry(file.state).or_default() += 1;
    }
    for (kind, states) in kinds {
        let counts: Vec<_> = states.iter().map(|(state, n)| format!("{n} {}", state.name())).collect();
        let why = match kind {
            Kind::System | Kind::Temporary => " (MySQL cannot encrypt it)",
            _ => "",
        };
        out.line(format_args!("  {:<24} {}{why}", kind.name(), counts.join(", ")));
    }
    for (state, advice) in FAILURES {
        let lines = files.iter().filter(|file| file.state == *state).map(|file| {
            let needs =
                file.key.iter().filter(|_| *state != State::Damaged).map(|key| format!("needs {key}"));
            let why: Vec<_> = needs.chain(file.notes.iter().cloned()).collect();
            format!(
                "{:<13} {}: {}",
                state.name().to_uppercase(),
                visible(file.path.display()),
                visible(why.join("; "))
            )
        });
        if some_lines(lines, out) {
            out.line(format_args!("  -> {advice}"));
        }
    }
    let in_clear = || files.iter().filter(|file| file.in_clear);
    if args.all_encrypted {
        let lines = in_clear().map(|file| {
            let state = if file.state == State::Opened { "PARTLY CLEAR" } else { "IN CLEAR" };
            let why: String = file.notes.iter().map(|note| format!(": {note}")).collect();
            format!("{state:<13} {}{}", visible(file.path.display()), visible(why))
        });
        some_lines(lines, out);
    } else if in_clear().next().is_some() {
        out.line(format_args!(
            "note: {} in clear, all or in part, what MySQL could encrypt: --all-encrypted names them",
            hold(in_clear().count())
        ));
    }
    if let Some(link) = found.links.first() {
        out.line(format_args!(
            "note: symbolic links were not followed ({}), such as {}: name the directories with --also",
            found.links.len(),
            visible(link.display())
        ));
    }
    let failed = files.iter().filter(|file| file.state.is_failure()).count();
    let opened = files.iter().filter(|file| file.state == State::Opened).count();
    let proved = files.iter().filter(|f| f.state == State::Opened && f.checked_page.is_some()).count();
    out.line(match (failed, opened) {
        (0, 0) => "NOTHING is encrypted in these files".to_owned(),
        (0, _) => format!(
            "OK       this keyring opens every encrypted file: {opened}. Of {proved} a page or block was decrypted and has the right checksum"
        ),
        _ => format!("NOT FINE this keyring opens {}, and {failed} not", counted(opened, "file")),
    });
    if args.all_encrypted && in_clear().next().is_some() {
        out.line(format_args!("NOT FINE {} in clear what MySQL could encrypt", hold(in_clear().count())));
    }
}

/// What is not fine, and what to do about it.
const FAILURES: &[(State, &str)] = &[
    (
        State::KeyMissing,
        "these files cannot be read with this keyring: find the keyring, or the backup of it, from the time of these files",
    ),
    (
        State::WrongKey,
        "the keyring has a key of that name, but these files were encrypted with another one of the same name (or are damaged): find the keyring from the time of these files",
    ),
    (State::Damaged, "put these files back from a backup, and check the disk that they are on (dmesg)"),
    (State::Unreadable, "nothing is known about these"),
];

/// Prints lines, but not thousands; `false` when there is none.
fn some_lines(lines: impl Iterator<Item = String>, out: &mut Output) -> bool {
    let mut count = 0;
    for line in lines {
        count += 1;
        if count <= MOST_LINES {
            out.line(line);
        }
    }
    if count > MOST_LINES {
        out.line(format_args!("... and {} more, see --json", count - MOST_LINES));
    }
    count > 0
}
