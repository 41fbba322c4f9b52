// SPDX-License-Identifier: GPL-2.0-or-later
//! Verifies whole logs.

use super::finding::{Finding, Place, Trouble};
use super::input::{Known, Physical};
use super::order;
use super::status::{self, Status};
use super::unproven::{self, of_lines, without_mac};
use crate::audit::event::EventKind;
use crate::audit::line::{Line, hash};
use crate::format::log_note::{LOG_ID_LEN, LogNote};
use uuid::Uuid;

/// How the MAC of the lines was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Lines.
    pub lines: usize,
    /// Lines whose MAC was verified.
    pub authentic: usize,
    /// Lines that have a MAC of another keyring or of a data key that is not known. The chain of hashes or the note covers
    /// them.
    pub by_chain: usize,
    /// Lines without a MAC, of events that a program writes while no keyring is open. Anybody can have written them.
    pub without_mac: usize,
}

/// What was found out about one log.
#[derive(Debug)]
pub struct Verification {
    /// The id of the log.
    pub log: [u8; LOG_ID_LEN],
    /// How many lines were checked, and how.
    pub counts: Counts,
    /// The first and the last line that can be read, with their times.
    pub range: Option<(Bound, Bound)>,
    /// Whether the note of the keyring belongs to this log and was compared.
    pub compared_with_note: bool,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What is remarkable, but not wrong.
    pub remarks: Vec<Finding>,
}

/// One end of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    /// The number of the line.
    pub seq: u64,
    /// Its time.
    pub time: String,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_fine(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether all that is wrong is that lines cannot be checked.
    pub fn is_only_not_checkable(&self) -> bool {
        !self.is_fine() && self.findings.iter().all(|finding| finding.trouble == Trouble::NotCheckable)
    }
}

/// The files of one log: the number of their first line, and which file it is.
type Segments = Vec<(u64, usize)>;

/// Verifies the logs in these files, which may be segments of one log, in any order. Returns one result for each log, and
/// the files without any readable line.
pub fn verify(files: &[Vec<u8>], known: &Known) -> (Vec<Verification>, Vec<usize>) {
    let mut logs: Vec<([u8; LOG_ID_LEN], Segments)> = Vec::new();
    let mut unreadable = Vec::new();
    for (index, bytes) in files.iter().enumerate() {
        let Some((log, first)) = log_of(bytes) else {
            unreadable.extend((!bytes.is_empty()).then_some(index));
            continue;
        };
        match logs.iter_mut().find(|(known, _)| *known == log) {
            Some((_, segments)) => segments.push((first, index)),
            None => logs.push((log, vec![(first, index)])),
        }
    }
    let known_logs: Vec<_> = logs.iter().map(|(log, _)| *log).collect();
    let logs: Vec<_> = logs
        .into_iter()
        .map(|(log, mut segments)| {
            segments.sort_unstable();
            let order: Vec<usize> = segments.into_iter().map(|(_, index)| index).collect();
            (log, lines(files, &order))
        })
        .collect();
    let all_lines = logs.iter().flat_map(|(_, lines)| lines).filter_map(|physical| physical.line.as_ref());
    let earlier = status::earlier_keys(all_lines, known);
    let verify = |(log, lines): &([u8; LOG_ID_LEN], Vec<Physical<'_>>)| {
        verify_log(*log, lines, &status::statuses(log, lines, known, &earlier), known, &known_logs)
    };
    let mut all: Vec<_> = logs.iter().map(verify).collect();
    // A keyring that notes another log has no lines in these.
    if let (Some(note), false) =
        (known.note, known_logs.iter().any(|log| known.note.is_some_and(|n| n.log == *log)))
        && let Some(first) = all.first_mut()
    {
        first.findings.push(Finding::of_note(Trouble::NotedLogNotGiven, note));
    }
    (all, unreadable)
}

/// The log that most lines of a file belong to, and the number of the first of them. `None` if it has no lines.
fn log_of(bytes: &[u8]) -> Option<([u8; LOG_ID_LEN], u64)> {
    let mut logs: Vec<([u8; LOG_ID_LEN], u64, usize)> = Vec::new();
    for line in bytes.split(|b| *b == b'\n').filter_map(Line::parse) {
        match logs.iter_mut().find(|(log, ..)| *log == line.log) {
            Some((.., count)) => *count += 1,
            None => logs.push((line.log, line.seq, 1)),
        }
    }
    logs.into_iter().max_by_key(|(.., count)| *count).map(|(log, first, _)| (log, first))
}

/// The physical lines of files, in this order.
fn lines<'a>(files: &'a [Vec<u8>], order: &[usize]) -> Vec<Physical<'a>> {
    let mut all = Vec::new();
    for file in order {
        let bytes = files.get(*file).map_or(&[][..], Vec::as_slice);
        for (index, piece) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            let ended = piece.ends_with(b"\n");
            let bytes = piece.strip_suffix(b"\n").unwrap_or(piece);
            all.push(Physical {
                place: Place { file: *file, line: index + 1 },
                bytes,
                ended,
                line: Line::parse(bytes),
            });
        }
    }
    all
}

fn verify_log(
    log: [u8; LOG_ID_LEN],
    lines: &[Physical<'_>],
    statuses: &[Status],
    known: &Known,
    given: &[[u8; LOG_ID_LEN]],
) -> Verification {
    let count = |wanted: Status| statuses.iter().filter(|status| **status == wanted).count();
    let counts = Counts {
        lines: lines.len(),
        authentic: count(Status::Authentic),
        by_chain: lines
            .iter()
            .zip(statuses)
            .filter(|(line, status)| {
                matches!(status, Status::ByChain | Status::ByNote)
                    && line.line.as_ref().is_some_and(|line| line.mac.is_some())
            })
            .count(),
        without_mac: without_mac(lines, statuses).count(),
    };
    let (mut findings, mut remarks) = order::findings(lines, statuses);
    let trusted = || unproven::trusted(lines, statuses).map(|(line, _)| line);
    let bound = |line: &Line| Bound { seq: line.seq, time: line.text("time").unwrap_or_default().to_owned() };
    let parsed = || trusted().filter_map(|line| line.line.as_ref());
    let range = parsed().min_by_key(|line| line.seq).zip(parsed().max_by_key(|line| line.seq));
    let last = range.map(|(_, last)| last.seq);
    let note = known.note.filter(|note| note.log == log);
    if let Some(note) = note {
        let noted = unproven::trusted(lines, statuses)
            .find(|(line, _)| line.line.as_ref().is_some_and(|l| l.seq == note.seq));
        match noted {
            Some((line, status)) if hash(line.bytes) != note.hash => {
                let is_authentic = *status == Status::Authentic;
                let trouble = if is_authentic { Trouble::DiffersFromNote } else { Trouble::Changed };
                if !findings.iter().any(|f| f.place == Some(line.place)) {
                    findings.push(Finding { place: Some(line.place), ..Finding::of_note(trouble, note) });
                }
            }
            Some(_) => {}
            None => {
                if last.is_none_or(|last| last < note.seq) {
                    let from = last.map_or(1, |last| last + 1);
                    findings.push(Finding {
                        seqs: Some((from, note.seq)),
                        ..Finding::of_note(Trouble::CutAtEnd, note)
                    });
                }
            }
        }
    }
    let is_renewed = count(Status::ByNote) > 0;
    findings.extend(not_checkable(lines, statuses, note.filter(|_| is_renewed)));
    remarks.extend(note.filter(|_| is_renewed).map(|note| Finding::of_note(Trouble::KeyNotKept, note)));
    remarks.extend(not_announced(lines, statuses, known, note));
    remarks.extend(unproven::remarks(lines, statuses, known, &mut findings));
    if let Some((first, _)) = range {
        let place = trusted()
            .find(|line| line.line.as_ref().is_some_and(|l| l.seq == first.seq))
            .map(|line| line.place);
        if first.seq > 1 {
            let seqs = Some((1, first.seq - 1));
            // A bad line before it is a finding itself.
            let begins = place.filter(|place| place.line == 1);
            match begins.filter(|_| first.text("event") != Some(EventKind::SegmentStarted.name())) {
                Some(place) => {
                    findings.push(Finding { seqs, ..Finding::at(Trouble::CutAtBeginning, place) });
                }
                None => remarks.push(Finding { seqs, ..Finding::new(Trouble::EarlierNotGiven) }),
            }
        }
        let before = first.fields.get("keyring_notes").and_then(|noted| noted.get("log")?.as_str());
        if let Some(before) = before.and_then(|id| Uuid::parse_str(id).ok())
            && !given.contains(before.as_bytes())
        {
            findings.push(Finding {
                place,
                detail: Some(before.to_string()),
                ..Finding::new(Trouble::EarlierLogNotGiven)
            });
        }
    }
    remarks.extend(order::unconfirmed(lines, statuses, note));
    Verification {
        log,
        counts,
        range: range.map(|(first, last)| (bound(first), bound(last))),
        compared_with_note: note.is_some(),
        findings,
        remarks,
    }
}

/// The lines that cannot be checked, as one finding. `noted` is the line after which the data key was renewed, if the
/// keyring proves it.
fn not_checkable(lines: &[Physical<'_>], statuses: &[Status], noted: Option<LogNote>) -> Option<Finding> {
    let of_status = lines.iter().zip(statuses).filter(|(_, status)| **status == Status::NotCheckable);
    let found = of_lines(Trouble::NotCheckable, of_status.map(|(line, _)| line))?;
    Some(Finding { detail: noted.map(|note| note.seq.to_string()), ..found })
}

/// Changes of the keyring after the line that it notes. Every change is announced with the generation that it makes.
fn not_announced(
    lines: &[Physical<'_>],
    statuses: &[Status],
    known: &Known,
    note: Option<LogNote>,
) -> Option<Finding> {
    let (note, present) = (note?, known.generation?);
    let trusted = || {
        let trusted = unproven::trusted(lines, statuses);
        trusted.filter_map(|(physical, _)| Some((physical, physical.line.as_ref()?)))
    };
    let is_noted = |physical: &Physical<'_>, line: &Line| line.note(physical.bytes) == note;
    let noted = trusted().find_map(|(physical, line)| is_noted(physical, line).then_some(line))?;
    let since = present.checked_sub(noted.number("generation")?).filter(|changes| *changes > 0)?;
    // The program that announced it may have ended before the keyring noted it.
    let announces = |line: &Line| {
        line.seq > note.seq
            && line.keyring() == known.keyring
            && line.number("generation") == Some(present)
            && EventKind::all().any(|kind| kind.is_change() && Some(kind.name()) == line.text("event"))
    };
    if trusted().any(|(_, line)| announces(line)) {
        return None;
    }
    let detail = Some(present.to_string());
    Some(Finding { count: Some(since), detail, ..Finding::of_note(Trouble::NotAnnounced, note) })
}
