// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl audit verify`.

use super::read;
use crate::commands::copies::{self, Purpose};
use crate::commands::output::{Output, counted};
use crate::commands::store_places::store_places;
use crate::commands::verdict::Verdict;
use crate::commands::{audit_trail, secret};
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::audit::verify::{Finding, Known, Trouble, Verification, verify};
use keyring_external::config::is_remote;
use keyring_external::format::header::MAGIC;
use keyring_external::keyring::inspect;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Verify the audit log: which lines were changed, are missing, were moved, or were cut at the end
///
/// Without arguments, it verifies the log of the server on this host with all files that a rotation has renamed, and
/// compares it with the server's keyring. FILE is a file of a log (also one that gzip has compressed), or the keyring. The
/// files may be given in any order.
///
/// With the secret of the keyring, the MAC of each line is checked, also of those from before a renewal of the data key.
/// Without it, only the hashes that chain the lines are: somebody who could write to the log may have made a chain of
/// their own.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  keyringctl audit verify\n  keyringctl audit verify /var/log/mysql/keyring_external.audit.log.1 /var/log/mysql/keyring_external.audit.log /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring_external.secret\n  keyringctl audit verify audit.log --without-secret\n\nExit codes: 0 nothing is wrong with the log, 1 lines were changed, moved or are missing, or the keyring was refused, 2 a file could not be read, or wrong arguments."
)]
pub(super) struct Args {
    /// File of the log, or the keyring (repeatable) [default: those of the server on this host]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    others: copies::Others,
    #[command(flatten)]
    secret: secret::Args,
    /// Check only the chain of hashes, and what the keyring claims without its secret
    #[arg(long, conflicts_with_all = ["unlock", "recovery"])]
    without_secret: bool,
}

/// What the log is verified with.
struct Opened {
    known: Known,
    keyring: Option<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let (keyrings, mut files): (Vec<_>, Vec<_>) =
        args.files.iter().cloned().partition(|path| is_keyring(path));
    let ([] | [_]) = &keyrings[..] else {
        return Err(Error::Usage("name one keyring; its other copies with --mirror".to_owned()));
    };
    let opened = args.open(keyrings.first(), !files.is_empty())?;
    if files.is_empty() {
        let log = audit_trail::path().ok_or_else(|| {
            Error::Usage(
                "no audit log is configured for the server on this host. Name the files of the log, or --audit-log FILE"
                    .to_owned(),
            )
        })?;
        files = read::with_segments(&log)?;
        if files.is_empty() {
            return Err(Error::Usage(format!("there is no audit log at {}", log.shown())));
        }
    }
    let contents = files.iter().map(|path| read::file(path)).collect::<Result<Vec<_>>>()?;
    let (logs, unreadable) = verify(&contents, &opened.known);
    let mut fine = !logs.is_empty();
    for index in &unreadable {
        fine = false;
        out.line(format_args!("FAILED   {}: no line of an audit log is in it", shown(&files, *index)));
    }
    if logs.is_empty() && unreadable.is_empty() {
        out.line("FAILED   the log is empty");
    }
    for log in &logs {
        fine &= log.is_fine();
        tell(log, &files, &opened, out);
    }
    let document = json!({
        "keyring": opened.keyring.as_ref().map(|path| path.exact()),
        "with_secret": opened.known.key.is_some(),
        "logs": logs.iter().map(|log| document(log, &files)).collect::<Vec<_>>(),
        "unreadable": unreadable.iter().map(|index| files.get(*index).map(|path| path.exact())).collect::<Vec<_>>(),
        "fine": fine,
    });
    out.line(if fine { "OK" } else { "FAILED" });
    out.document(&document);
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}

impl Args {
    /// Opens the keyring, unless there is none to compare with, or only claims are wanted.
    fn open(&self, keyring: Option<&PathBuf>, has_files: bool) -> Result<Opened> {
        let none = Opened { known: Known::default(), keyring: None };
        if keyring.is_none() && has_files && !self.secret.is_given() && self.others.mirrors.is_empty() {
            return Ok(none);
        }
        let purpose = if self.without_secret { Purpose::ReadFront } else { Purpose::Read };
        let copies = self.others.find(keyring, &self.secret, purpose)?;
        let first = Some(copies.first().to_owned());
        if self.without_secret {
            let claims = inspect(&store_places(), copies.first())?;
            let note = claims.commit.and_then(|commit| commit.note);
            return Ok(Opened {
                known: Known { keyring: Some(claims.header.id), key: None, note },
                keyring: first,
            });
        }
        // The log that is verified gets no line of this.
        let (keyring, _) = copies.open()?;
        let key = Some(keyring.audit_key()?);
        let known = Known { keyring: Some(keyring.id()), key, note: keyring.log_note() };
        Ok(Opened { known, keyring: first })
    }
}

/// Whether a file is a keyring and no log. A log is text.
fn is_keyring(path: &Path) -> bool {
    let mut begin = Vec::new();
    let mut read = || File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut begin);
    is_remote(path) || read().is_ok() && begin == MAGIC
}

fn shown(files: &[PathBuf], index: usize) -> String {
    files.get(index).map(|path| path.shown()).unwrap_or_default()
}

fn tell(log: &Verification, files: &[PathBuf], opened: &Opened, out: &mut Output) {
    let of = Uuid::from_bytes(log.log);
    let lines = counted(log.counts.lines, "line");
    match &log.range {
        Some((first, last)) => out.line(format_args!(
            "log {of}: {lines}, {} to {}, {} to {}",
            first.seq, last.seq, first.time, last.time
        )),
        None => out.line(format_args!("log {of}: {lines}, none of which can be relied on")),
    }
    if opened.known.key.is_some() {
        out.line(format_args!(
            "  {} checked by MAC, {} by the hash in the next line",
            log.counts.authentic, log.counts.by_chain
        ));
    } else {
        out.line(
            "  checked only by the hashes in the lines: without the keyring's secret, it is not known who wrote them, and \
             a change of the last line may not show",
        );
    }
    match (&opened.known.note, log.compared_with_note) {
        (_, true) => out.line("  compared with the note in the keyring"),
        (Some(_), false) => out.line("  not compared with a note: the keyring notes another log"),
        (None, false) if opened.keyring.is_some() => {
            out.line("  not compared with a note: the keyring notes no log. Lines that were cut at the end do not show");
        }
        (None, false) => {
            out.line("  not compared with a keyring: lines that were cut at the end do not show. Name the keyring too");
        }
    }
    for finding in &log.findings {
        out.line(format_args!("FAILED   {}", text(finding, files)));
    }
    for remark in &log.remarks {
        out.line(format_args!("note     {}", text(remark, files)));
    }
}

/// A finding in words.
pub(in crate::commands) fn text(finding: &Finding, files: &[PathBuf]) -> String {
    let place = finding.place.map(|place| format!("{} line {}", shown(files, place.file), place.line));
    let place = place.unwrap_or_default();
    let seqs = match finding.seqs {
        Some((first, last)) if first == last => format!("number {first}"),
        Some((first, last)) => format!("numbers {first} to {last}"),
        None => String::new(),
    };
    let times = match &finding.times {
        (Some(from), Some(to)) => format!(", between {from} and {to}"),
        (Some(at), None) => format!(", of {at}"),
        _ => String::new(),
    };
    let detail = finding.detail.as_deref().unwrap_or_default();
    match finding.trouble {
        Trouble::Changed => {
            format!("{place}: the line was changed, or was written by somebody without the key")
        }
        Trouble::ChangedOneOfTwo => format!("{place}: this line or the next one was changed"),
        Trouble::Contradicts => format!("{place}: the line ({seqs}) does not continue the line before it"),
        Trouble::Missing => match finding.count {
            Some(count) => {
                format!("{place}: before it, {count} of the lines with the {seqs} are missing{times}")
            }
            None => format!("{place}: before it, lines are missing: {seqs}{times}"),
        },
        Trouble::Moved => format!("{place}: the line ({seqs}) stands after a later one"),
        Trouble::Repeated => format!("{place}: the line ({seqs}) is there a second time"),
        Trouble::Incomplete => {
            format!(
                "{place}: the line is incomplete: it was cut, or its writing was interrupted and no line followed"
            )
        }
        Trouble::CutAtEnd => format!("lines are missing at the end: {seqs}, which the keyring notes"),
        Trouble::DiffersFromNote => {
            format!("{place}: the line ({seqs}) is not the one that the keyring notes")
        }
        Trouble::NotedLogNotGiven => {
            format!("the keyring notes a line ({seqs}) of another log, which is not among the files")
        }
        Trouble::EarlierLogNotGiven => format!(
            "{place}: this log began when the keyring already noted a line of the log {detail}, which is not among the \
             files. If that was the log of another server, give its files too; otherwise it was removed"
        ),
        Trouble::CutAtBeginning => format!(
            "{place}: before it, lines are missing: {seqs}. A file of the log begins with segment_started, so they were \
             removed from this one"
        ),
        Trouble::EarlierNotGiven => format!("earlier lines ({seqs}) are in files that were not given"),
        Trouble::Interrupted => {
            format!("{place}: an incomplete line of an interrupted write; the next line says so")
        }
        Trouble::Unwritten => format!(
            "{place}: before it, {} could not be written{times}",
            counted(finding.count.unwrap_or_default() as usize, "line")
        ),
        Trouble::Unconfirmed => format!(
            "{place}: the change ({detail}, {seqs}{times}) was announced, and nothing confirms that it was made: the \
             program ended meanwhile. keyringctl list shows what the keyring holds"
        ),
    }
}

/// The result of one log as JSON.
pub(in crate::commands) fn document(log: &Verification, files: &[PathBuf]) -> Value {
    let bound =
        |bound: &keyring_external::audit::verify::Bound| json!({ "number": bound.seq, "time": bound.time });
    let finding = |finding: &Finding| {
        json!({
            "trouble": finding.trouble,
            "file": finding.place.and_then(|place| files.get(place.file)).map(|path| path.exact()),
            "line": finding.place.map(|place| place.line),
            "first": finding.seqs.map(|(first, _)| first),
            "last": finding.seqs.map(|(_, last)| last),
            "count": finding.count,
            "from": finding.times.0,
            "until": finding.times.1,
            "message": text(finding, files),
        })
    };
    json!({
        "log": Uuid::from_bytes(log.log).to_string(),
        "lines": log.counts.lines,
        "by_mac": log.counts.authentic,
        "by_hash": log.counts.by_chain,
        "first": log.range.as_ref().map(|(first, _)| bound(first)),
        "last": log.range.as_ref().map(|(_, last)| bound(last)),
        "compared_with_note": log.compared_with_note,
        "findings": log.findings.iter().map(finding).collect::<Vec<_>>(),
        "remarks": log.remarks.iter().map(finding).collect::<Vec<_>>(),
    })
}
