// SPDX-License-Identifier: GPL-2.0-or-later
//! What was found out about a log, in words and as JSON.

use crate::commands::output::counted;
use crate::show::Shown;
use keyring_external::audit::verify::{Bound, Finding, Trouble, Verification};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use uuid::Uuid;

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
        Trouble::NotCheckable => {
            let lines = match finding.count {
                Some(1) => "this line".to_owned(),
                count => format!("{} from this one on", counted(count.unwrap_or_default() as usize, "line")),
            };
            let why = match &finding.detail {
                Some(noted) => format!(
                    "the data key was renewed after line {noted} without this log, and nothing keeps the key from before. \
                     Whoever can write to the log may have changed them"
                ),
                None => "their MACs are not of a key that is known, and no later line that can be checked leads to them. Either \
                         the data key was renewed without this log, or the line about that was lost, or somebody else wrote them"
                    .to_owned(),
            };
            format!("{place}: {lines} ({seqs}{times}) cannot be checked: {why}")
        }
        Trouble::KeyNotKept => format!(
            "the data key was renewed after the line that the keyring notes ({seqs}) without this log: that line and those \
             before it are checked by their hashes, from the noted one on"
        ),
        Trouble::NotAnnounced => format!(
            "the keyring is at generation {detail}, {} after the line that it notes ({seqs}): no line of this log announces \
             what was changed since. The log could not be written then, or a program was not given it (--audit-log)",
            finding.count.unwrap_or_default()
        ),
        Trouble::EarlierNotGiven => format!("earlier lines ({seqs}) are in files that were not given"),
        Trouble::Interrupted => {
            format!("{place}: an incomplete line of an interrupted write; the next line says so")
        }
        Trouble::Unwritten => format!(
            "{place}: before it, {} could not be written{times}",
            counted(finding.count.unwrap_or_default() as usize, "line")
        ),
        Trouble::NeverChecked => {
            let comma = if times.is_empty() { "" } else { "," };
            let (lines, they) = match finding.seqs {
                Some((first, last)) if first != last => (format!("lines {first} to {last}"), "they are"),
                Some((first, _)) => (format!("line {first}"), "it is"),
                None => (String::new(), "they are"),
            };
            format!(
                "{place}: nobody could check {lines}{times}{comma} when line {detail} was written; {they} only known not to have \
                 changed since"
            )
        }
        Trouble::WithoutMac => {
            let count = finding.count.unwrap_or_default() as usize;
            let (what, have) = (counted(count, "line"), if count == 1 { "has" } else { "have" });
            let uncovered = match detail {
                "" | "0" => String::new(),
                all => format!(
                    ". No line after them covers {all} of them yet: these can still be changed or removed"
                ),
            };
            format!(
                "{what} ({seqs}) {have} no MAC, because no keyring was open when they were written (segment_started, \
                 open_failed, drill): anybody who can write to the log can have written them{uncovered}"
            )
        }
        Trouble::OfOtherKeyring => format!(
            "{} ({seqs}) of another keyring: nothing here checks who wrote them, only that they have not changed since the \
             line after them. Verify the log with that keyring too",
            counted(finding.count.unwrap_or_default() as usize, "line")
        ),
        Trouble::Unconfirmed => format!(
            "{place}: the change ({detail}, {seqs}{times}) was announced, and nothing confirms that it was made: the \
             program ended meanwhile. keyringctl list shows what the keyring holds"
        ),
    }
}

/// How many lines nothing checks: those that were changed or cannot be checked, and the last one if only hashes are checked.
pub(super) fn not_checked(log: &Verification) -> usize {
    let counts = log.counts;
    counts.lines.saturating_sub(counts.authentic + counts.by_chain + counts.without_mac)
}

/// The result of one log as JSON.
pub(in crate::commands) fn document(log: &Verification, files: &[PathBuf]) -> Value {
    let bound = |bound: &Bound| json!({ "number": bound.seq, "time": bound.time });
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
        "without_mac": log.counts.without_mac,
        "not_checked": not_checked(log),
        "first": log.range.as_ref().map(|(first, _)| bound(first)),
        "last": log.range.as_ref().map(|(_, last)| bound(last)),
        "compared_with_note": log.compared_with_note,
        "findings": log.findings.iter().map(finding).collect::<Vec<_>>(),
        "remarks": log.remarks.iter().map(finding).collect::<Vec<_>>(),
    })
}

/// The arguments with which `audit verify` verifies this log of the server on this host.
pub(in crate::commands) fn of_this_log(log: &Path) -> String {
    format!("--audit-log {}", log.shown())
}

/// What shows whether lines that cannot be checked were changed. `args` are the arguments with which they are verified.
pub(in crate::commands) fn next_steps(args: &str) -> [String; 2] {
    [
        format!(
            "check these lines with a backup of the keyring from before the renewal: keyringctl audit verify {args} --earlier-copy BACKUP"
        ),
        "then have the server, or a command such as keyringctl list, write the next line: it covers these, so that a later \
         change shows"
            .to_owned(),
    ]
}

/// A file by its index.
pub(super) fn shown(files: &[PathBuf], index: usize) -> String {
    files.get(index).map(|path| path.shown()).unwrap_or_default()
}
