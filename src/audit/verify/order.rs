// SPDX-License-Identifier: GPL-2.0-or-later
//! Compares the order of the lines with their numbers and hashes.

use super::finding::{Finding, Place, Trouble};
use super::input::Physical;
use super::status::Status;
use crate::audit::event::EventKind;
use crate::audit::line::{Line, hash};
use crate::format::log_note::LogNote;
use std::collections::{BTreeMap, HashSet};

/// A line that can be relied on.
#[derive(Clone, Copy)]
struct Trusted<'a> {
    index: usize,
    place: Place,
    bytes: &'a [u8],
    line: &'a Line,
    status: Status,
}

fn time(line: &Line) -> Option<String> {
    line.text("time").map(str::to_owned)
}

/// What is wrong, and what is remarkable.
pub(super) fn findings(lines: &[Physical<'_>], statuses: &[Status]) -> (Vec<Finding>, Vec<Finding>) {
    let (mut wrong, mut remarks) = (Vec::new(), Vec::new());
    let unclear = changed_by_chain(lines, statuses, &mut wrong);
    let is_unclear = |index: usize| unclear.contains(&index);
    for (index, (physical, status)) in lines.iter().zip(statuses).enumerate() {
        match status {
            Status::Bad if !physical.ended && physical.line.is_none() => {
                wrong.push(Finding::at(Trouble::Incomplete, physical.place));
            }
            Status::Bad => wrong.push(Finding::at(Trouble::Changed, physical.place)),
            Status::Interrupted => remarks.push(Finding::at(Trouble::Interrupted, physical.place)),
            _ if !physical.ended && !is_unclear(index) => {
                wrong.push(Finding::at(Trouble::Incomplete, physical.place));
            }
            _ => {}
        }
    }
    let trusted: Vec<Trusted<'_>> = lines
        .iter()
        .zip(statuses)
        .enumerate()
        .filter(|(index, (_, status))| status.is_trusted() && !is_unclear(*index))
        .filter_map(|(index, (physical, status))| {
            let line = physical.line.as_ref()?;
            Some(Trusted { index, place: physical.place, bytes: physical.bytes, line, status: *status })
        })
        .collect();
    in_order(&trusted, lines.len(), &mut wrong);
    for trusted in &trusted {
        if let Some(count) = trusted.line.number("unwritten_lines") {
            let since = trusted.line.text("unwritten_since").map(str::to_owned);
            let times = (since, time(trusted.line));
            remarks.push(Finding {
                count: Some(count),
                times,
                ..Finding::at(Trouble::Unwritten, trusted.place)
            });
        }
    }
    wrong.sort_by_key(|finding| finding.place.map_or((usize::MAX, 0), |place| (place.file, place.line)));
    (wrong, remarks)
}

/// Finds changed lines for which no MAC could be checked, by the hashes in the lines after them. Returns their indices.
fn changed_by_chain(lines: &[Physical<'_>], statuses: &[Status], wrong: &mut Vec<Finding>) -> Vec<usize> {
    let line = |index: usize| {
        let physical = lines.get(index)?;
        let status = statuses.get(index).filter(|status| status.is_trusted())?;
        Some((physical, physical.line.as_ref()?, *status))
    };
    let continues = |index: usize| {
        let ((before, ..), (_, after, _)) = (line(index)?, line(index + 1)?);
        Some(after.prev == hash(before.bytes))
    };
    let follows = |index: usize| Some(line(index + 1)?.1.seq == line(index)?.1.seq.checked_add(1)?);
    let mut changed = Vec::new();
    for index in 0..lines.len() {
        let Some((physical, read, status)) = line(index) else { continue };
        if status.is_certain() {
            continue;
        }
        let before = index.checked_sub(1);
        // The line before says that this is the next one, but its number is another.
        let number =
            before.is_some_and(|before| continues(before) == Some(true) && follows(before) == Some(false));
        // The next one continues another line.
        let content = continues(index) == Some(false) && follows(index) == Some(true);
        // What this one continues is not the line before it, and it is not the one that the next continues.
        let next_is_it = continues(index + 1) == Some(false)
            && before.is_none_or(|before| continues(before) != Some(false))
            && line(index + 1).is_some_and(|(.., status)| !status.is_certain());
        let is_last_pair = index + 2 == lines.len();
        let next_is_certain = line(index + 1).is_some_and(|(.., status)| status.is_certain());
        if number || content && (!next_is_it || next_is_certain) {
            let one_of_two = content
                && !number
                && is_last_pair
                && !next_is_certain
                && before.is_none_or(|b| continues(b) == Some(true));
            let trouble = if one_of_two { Trouble::ChangedOneOfTwo } else { Trouble::Changed };
            wrong.push(Finding { seqs: Some((read.seq, read.seq)), ..Finding::at(trouble, physical.place) });
            changed.push(index);
        }
    }
    changed
}

/// Compares the numbers of lines that can be relied on.
fn in_order(trusted: &[Trusted<'_>], all: usize, wrong: &mut Vec<Finding>) {
    let mut seen: BTreeMap<u64, Trusted<'_>> = BTreeMap::new();
    let mut gaps: Vec<(Trusted<'_>, Trusted<'_>)> = Vec::new();
    let mut highest: Option<Trusted<'_>> = None;
    for &line in trusted {
        let seq = line.line.seq;
        if let Some(before) = seen.get(&seq) {
            let trouble = if before.bytes == line.bytes { Trouble::Repeated } else { Trouble::Contradicts };
            wrong.push(Finding { seqs: Some((seq, seq)), ..Finding::at(trouble, line.place) });
            continue;
        }
        match highest {
            Some(high) if high.line.seq > seq => {
                wrong.push(Finding { seqs: Some((seq, seq)), ..Finding::at(Trouble::Moved, line.place) });
            }
            Some(high) if high.line.seq + 1 == seq => {
                let is_next = high.index + 1 == line.index;
                let checked = high.status.is_certain() || line.status.is_certain();
                if is_next && checked && line.line.prev != hash(high.bytes) {
                    wrong.push(Finding {
                        seqs: Some((seq, seq)),
                        ..Finding::at(Trouble::Contradicts, line.place)
                    });
                }
            }
            Some(high) => gaps.push((high, line)),
            None => {}
        }
        if highest.is_none_or(|high| high.line.seq < seq) {
            highest = Some(line);
        }
        seen.insert(seq, line);
    }
    debug_assert!(trusted.len() <= all);
    for (before, after) in gaps {
        let (first, last) = (before.line.seq + 1, after.line.seq - 1);
        // A changed line between them is one of those that are missing.
        let changed = (after.index - before.index).saturating_sub(1);
        let present = seen.range(first..=last).count();
        let between = trusted.iter().filter(|t| t.index > before.index && t.index < after.index).count();
        let missing = (last - first + 1).saturating_sub((present + changed - between) as u64);
        if missing > 0 {
            let count = (missing < last - first + 1).then_some(missing);
            let times = (time(before.line), time(after.line));
            let seqs = Some((first, last));
            wrong.push(Finding { seqs, count, times, ..Finding::at(Trouble::Missing, after.place) });
        }
    }
}

/// The lines that announced a change which nothing confirms: no later line says that it failed, none that the keyring
/// noted it, nor does the keyring.
pub(super) fn unconfirmed(
    lines: &[Physical<'_>],
    statuses: &[Status],
    note: Option<LogNote>,
) -> Vec<Finding> {
    let trusted: Vec<_> = lines
        .iter()
        .zip(statuses)
        .filter(|(_, status)| status.is_trusted())
        .filter_map(|(physical, _)| Some((physical, physical.line.as_ref()?)))
        .collect();
    let is_change = |line: &Line| {
        let name = line.text("event");
        EventKind::all().any(|kind| kind.is_change() && Some(kind.name()) == name)
    };
    let present: HashSet<u64> = trusted.iter().map(|(_, line)| line.seq).collect();
    // Anybody can write a line without a MAC.
    let with_mac = trusted.iter().filter(|(_, line)| line.mac.is_some());
    let noted: HashSet<u64> =
        with_mac.filter_map(|(_, line)| line.number("noted")).chain(note.map(|n| n.seq)).collect();
    let failed: HashSet<u64> = trusted
        .iter()
        .filter(|(_, line)| line.text("event") == Some(EventKind::ChangeFailed.name()))
        .filter_map(|(_, line)| line.number("line"))
        .collect();
    // What was noted after a line tells that it was not; without that, it is not known.
    let highest = noted.iter().copied().max();
    let last = trusted.iter().map(|(_, line)| line.seq).max();
    trusted
        .iter()
        .filter(|(_, line)| is_change(line) && !noted.contains(&line.seq) && !failed.contains(&line.seq))
        // The line after it would tell.
        .filter(|(_, line)| {
            note.is_none_or(|note| note.seq <= line.seq) || present.contains(&(line.seq.saturating_add(1)))
        })
        .filter(|(_, line)| {
            note.is_some() || highest.is_some_and(|high| high > line.seq) && Some(line.seq) != last
        })
        .map(|(physical, line)| Finding {
            seqs: Some((line.seq, line.seq)),
            times: (time(line), None),
            detail: line.text("event").map(str::to_owned),
            ..Finding::at(Trouble::Unconfirmed, physical.place)
        })
        .collect()
}
