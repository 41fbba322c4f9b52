// SPDX-License-Identifier: GPL-2.0-or-later
//! A log with every byte changed, every line removed, repeated, moved, and cut at every place.

use super::*;
use crate::audit::event::{Event, EventKind};
use crate::audit::line::{Head, encode, hash, hex};
use crate::format::audit_key::AuditKey;
use crate::format::crypto::DataKeys;
use crate::format::log_note::LogNote;
use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};
use uuid::Uuid;

mod renewed;
mod unproven;

const LOG: [u8; 16] = [7; 16];

fn id() -> Uuid {
    Uuid::from_u128(5)
}

/// A log in the making.
struct Made {
    key: AuditKey,
    lines: Vec<Vec<u8>>,
    /// The last change.
    noted: Option<LogNote>,
    /// What the writer of the next line finds.
    found: Vec<(&'static str, serde_json::Value)>,
}

impl Made {
    fn new() -> Self {
        Self {
            key: AuditKey::of(&DataKeys::generate(&id()).unwrap()).unwrap(),
            lines: Vec::new(),
            noted: None,
            found: Vec::new(),
        }
    }

    fn put(&mut self, event: Event) -> LogNote {
        self.put_as(event, Some(id()), LOG)
    }

    fn put_as(&mut self, event: Event, keyring: Option<Uuid>, log: [u8; 16]) -> LogNote {
        let prev = self.lines.last().map_or([0; 32], |line| hash(line));
        let seq = self.lines.len() as u64 + 1;
        let time = UNIX_EPOCH + Duration::from_secs(1_000_000 + seq);
        let head = Head {
            log,
            seq,
            prev,
            time,
            host: "h",
            server: None,
            who: &serde_json::json!({ "program": "mysqld" }),
            keyring,
            generation: keyring.map(|_| seq),
            noted: self.noted.filter(|_| keyring.is_some()).map(|note| note.seq),
            found: &std::mem::take(&mut self.found),
        };
        let key = keyring.map(|_| &self.key);
        self.lines.push(encode(&head, &event, key));
        let line = self.lines.last().unwrap();
        let note = LogNote { log, seq, hash: hash(line) };
        if event.kind().is_change() {
            self.noted = Some(note);
        }
        note
    }

    /// Some lines, the last of which is a change.
    fn some(changes: u64) -> Self {
        let mut made = Self::new();
        made.put(Event::new(EventKind::SegmentStarted));
        made.put(Event::new(EventKind::Opened));
        for n in 0..changes {
            made.put(Event::new(EventKind::KeyStored).with("key", n));
        }
        made
    }

    /// What a person with the secret knows.
    fn known(&self) -> Known {
        let key = AuditKey::of(&DataKeys::generate(&id()).unwrap()).unwrap();
        let wrapped = key.wrap(&self.key, &id()).unwrap();
        Known {
            keyring: Some(id()),
            key: key.unwrap_earlier(&wrapped, &id()),
            earlier: Vec::new(),
            note: self.noted,
            generation: None,
        }
    }
}

fn text(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect()
}

fn check(bytes: Vec<u8>, known: &Known) -> Verification {
    let (mut all, unreadable) = verify(&[bytes], known);
    assert!(unreadable.is_empty());
    all.remove(0)
}

fn places(found: &Verification, trouble: Trouble) -> Vec<usize> {
    let of = found.findings.iter().filter(|f| f.trouble == trouble);
    of.map(|f| f.place.map_or(0, |place| place.line)).collect()
}

#[test]
fn an_untouched_log_is_fine_with_the_secret_and_without() {
    let made = Made::some(5);
    for known in [made.known(), Known { note: made.noted, ..Known::default() }, Known::default()] {
        let found = check(text(&made.lines), &known);
        assert!(found.is_fine() && found.remarks.is_empty(), "{found:?}");
        assert_eq!(found.counts.lines, 7);
        assert_eq!(found.counts.authentic, if known.key.is_some() { 7 } else { 0 });
        assert_eq!(found.range.map(|(a, b)| (a.seq, b.seq)), Some((1, 7)));
    }
}

#[test]
fn every_changed_byte_is_found_with_its_line() {
    let made = Made::some(4);
    let known = made.known();
    for (index, line) in made.lines.iter().enumerate() {
        for at in 0..line.len() {
            for bit in [0x01, 0x80] {
                let mut lines = made.lines.clone();
                lines[index][at] ^= bit;
                if lines[index][at] == b'\n' {
                    continue;
                }
                let found = check(text(&lines), &known);
                assert_eq!(
                    places(&found, Trouble::Changed),
                    [index + 1],
                    "line {} byte {at}: {found:?}",
                    index + 1
                );
                let others = found.findings.iter().filter(|f| f.trouble != Trouble::Changed);
                // The last one is missing too, as far as its number can be told.
                assert!(
                    others.clone().all(|f| index + 1 == lines.len() && f.trouble == Trouble::CutAtEnd),
                    "{found:?}"
                );
            }
        }
    }
}

/// The line feed too.
#[test]
fn a_changed_line_feed_is_found() {
    let made = Made::some(4);
    let bytes = text(&made.lines);
    for at in (0..bytes.len()).filter(|at| bytes[*at] == b'\n') {
        let mut changed = bytes.clone();
        changed[at] = b' ';
        assert!(!check(changed, &made.known()).is_fine(), "byte {at}");
    }
}

#[test]
fn without_the_secret_the_chain_finds_every_changed_byte_but_in_the_last_line() {
    let made = Made::some(4);
    for note in [None, made.noted] {
        let known = Known { note, ..Known::default() };
        for (index, line) in made.lines.iter().enumerate() {
            for at in 0..line.len() {
                let mut lines = made.lines.clone();
                lines[index][at] ^= 1;
                let found = check(text(&lines), &known);
                let is_last = index + 1 == lines.len();
                if is_last && note.is_none() && found.is_fine() {
                    continue;
                }
                assert!(!found.is_fine(), "line {} byte {at}", index + 1);
                let named: Vec<_> = found.findings.iter().filter_map(|f| f.place.map(|p| p.line)).collect();
                // It may be the one before the last, if the last has another hash for it.
                let one_of = if is_last { vec![index, index + 1] } else { vec![index + 1] };
                assert!(
                    named.iter().any(|n| one_of.contains(n)) || is_last && named.is_empty(),
                    "line {} byte {at}: {found:?}",
                    index + 1
                );
            }
        }
    }
}

#[test]
fn every_removed_run_of_lines_is_found() {
    let made = Made::some(6);
    let count = made.lines.len();
    for known in [made.known(), Known { note: made.noted, ..Known::default() }] {
        for from in 0..count {
            for to in from + 1..=count {
                if to - from == count {
                    continue;
                }
                let lines = [&made.lines[..from], &made.lines[to..]].concat();
                let found = check(text(&lines), &known);
                let seqs = (from as u64 + 1, to as u64);
                let [one] = &found.findings[..] else { panic!("{from}..{to}: {found:?}") };
                assert_eq!(one.seqs, Some(seqs), "{found:?}");
                if from == 0 {
                    let place = Place { file: 0, line: 1 };
                    assert_eq!((one.trouble, one.place), (Trouble::CutAtBeginning, Some(place)));
                } else if to == count {
                    assert_eq!(one.trouble, Trouble::CutAtEnd);
                } else {
                    let place = Place { file: 0, line: from + 1 };
                    assert_eq!((one.trouble, one.place), (Trouble::Missing, Some(place)));
                    assert_eq!(one.times, (Some(time(seqs.0 - 1)), Some(time(seqs.1 + 1))));
                }
            }
        }
    }
}

fn time(seq: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_secs(1_000_000 + seq)).to_string()
}

#[test]
fn every_two_lines_that_changed_places_are_found() {
    let made = Made::some(5);
    let known = made.known();
    for a in 0..made.lines.len() {
        for b in a + 1..made.lines.len() {
            let mut lines = made.lines.clone();
            lines.swap(a, b);
            let found = check(text(&lines), &known);
            assert!(!found.is_fine());
            assert!(found.findings.iter().all(|f| f.trouble == Trouble::Moved), "{a} {b}: {found:?}");
            let moved: BTreeSet<_> = places(&found, Trouble::Moved).into_iter().collect();
            // All that stand behind the later one, up to where the earlier one is.
            assert_eq!(moved, (a + 2..=b + 1).collect(), "{a} {b}");
            assert!(!check(text(&lines), &Known { note: made.noted, ..Known::default() }).is_fine());
        }
    }
}

#[test]
fn every_repeated_line_is_found() {
    let made = Made::some(5);
    for index in 0..made.lines.len() {
        for at in index + 1..=made.lines.len() {
            let mut lines = made.lines.clone();
            lines.insert(at, made.lines[index].clone());
            let found = check(text(&lines), &made.known());
            assert_eq!(places(&found, Trouble::Repeated), [at + 1], "{index} {at}: {found:?}");
        }
    }
}

#[test]
fn a_line_of_somebody_without_the_key_is_found() {
    let made = Made::some(4);
    for at in 1..made.lines.len() {
        let mut other = Made { lines: made.lines[..at].to_vec(), noted: None, ..Made::new() };
        other.put(Event::new(EventKind::KeyRemoved));
        let forged = other.lines.pop().unwrap();
        let mut lines = made.lines.clone();
        lines.insert(at, forged);
        let found = check(text(&lines), &made.known());
        assert_eq!(places(&found, Trouble::Changed), [at + 1], "{at}: {found:?}");
        assert_eq!(found.findings.len(), 1);
    }
}

#[test]
fn a_log_cut_at_every_place_is_found() {
    let made = Made::some(4);
    let bytes = text(&made.lines);
    let known = made.known();
    let first = made.lines[0].len() + 1;
    for len in first..bytes.len() {
        let found = check(bytes[..len].to_vec(), &known);
        assert!(!found.is_fine(), "cut at {len}");
        // What the missing lines would confirm is not told apart.
        assert!(found.remarks.iter().all(|r| r.trouble != Trouble::Unconfirmed), "cut at {len}: {found:?}");
        let whole = bytes[..len].iter().filter(|b| **b == b'\n').count();
        if !bytes[..len].ends_with(b"\n") {
            let place = Some(Place { file: 0, line: whole + 1 });
            assert!(found.findings.iter().any(|f| f.place == place), "cut at {len}: {found:?}");
        }
    }
    // From the beginning: the first line is incomplete.
    for len in 1..made.lines[0].len() {
        let found = check(bytes[len..].to_vec(), &known);
        assert_eq!(places(&found, Trouble::Changed), [1], "{found:?}");
    }
}

#[test]
fn segments_are_one_log_in_any_order_and_a_missing_one_is_found() {
    let made = Made::some(7);
    let (a, b, c) = (text(&made.lines[..3]), text(&made.lines[3..6]), text(&made.lines[6..]));
    let known = made.known();
    let (all, _) = verify(&[c.clone(), a.clone(), b.clone()], &known);
    assert!(all.len() == 1 && all[0].is_fine(), "{all:?}");
    let (all, _) = verify(&[a.clone(), c], &known);
    let [missing] = &all[0].findings[..] else { panic!("{all:?}") };
    assert_eq!((missing.trouble, missing.seqs), (Trouble::Missing, Some((4, 6))));
    assert_eq!(missing.place, Some(Place { file: 1, line: 1 }));
    let (all, _) = verify(&[a, b], &known);
    assert_eq!(all[0].findings[0].trouble, Trouble::CutAtEnd);
}

#[test]
fn lines_before_a_renewal_are_verified_with_the_key_that_it_keeps() {
    let mut made = Made::some(2);
    for _ in 0..2 {
        let new = AuditKey::of(&DataKeys::generate(&id()).unwrap()).unwrap();
        let wrapped = new.wrap(&made.key, &id()).unwrap();
        made.put(Event::new(EventKind::Rekey).with("earlier_key", hex(&wrapped)));
        made.key = new;
        made.put(Event::new(EventKind::KeyStored));
    }
    let known = made.known();
    let found = check(text(&made.lines), &known);
    assert!(found.is_fine(), "{found:?}");
    assert_eq!(found.counts.authentic, made.lines.len());
    for index in 0..made.lines.len() {
        for at in (0..made.lines[index].len()).step_by(7) {
            let mut lines = made.lines.clone();
            lines[index][at] ^= 1;
            let found = check(text(&lines), &known);
            assert!(places(&found, Trouble::Changed).contains(&(index + 1)), "{index} {at}: {found:?}");
        }
    }
}

/// A renewal that the program could not complete leaves a key that nobody has; its line is still verified.
#[test]
fn a_renewal_that_was_not_made_changes_nothing() {
    let mut made = Made::some(2);
    let noted = made.noted;
    let wrapped = AuditKey::of(&DataKeys::generate(&id()).unwrap()).unwrap().wrap(&made.key, &id()).unwrap();
    let line = made.put(Event::new(EventKind::Rekey).with("earlier_key", hex(&wrapped)));
    made.noted = noted;
    let found = check(text(&made.lines), &made.known());
    assert!(found.is_fine(), "{found:?}");
    let [remark] = &found.remarks[..] else { panic!("{found:?}") };
    assert_eq!((remark.trouble, remark.seqs), (Trouble::Unconfirmed, Some((line.seq, line.seq))));
    made.put(Event::new(EventKind::ChangeFailed).with("line", line.seq));
    let found = check(text(&made.lines), &made.known());
    assert!(found.is_fine() && found.remarks.is_empty(), "{found:?}");
}

#[test]
fn a_change_that_was_announced_and_not_made_is_told_and_is_no_error() {
    let mut made = Made::some(2);
    let noted = made.noted;
    let lost = made.put(Event::new(EventKind::KeyStored));
    made.noted = noted;
    made.put(Event::new(EventKind::Opened));
    made.put(Event::new(EventKind::KeyStored));
    let found = check(text(&made.lines), &made.known());
    assert!(found.is_fine(), "{found:?}");
    let [remark] = &found.remarks[..] else { panic!("{found:?}") };
    assert_eq!((remark.trouble, remark.seqs), (Trouble::Unconfirmed, Some((lost.seq, lost.seq))));
}

#[test]
fn lines_without_a_key_are_covered_by_the_next_one() {
    let mut made = Made::some(1);
    made.put_as(Event::new(EventKind::OpenFailed), None, LOG);
    made.put(Event::new(EventKind::KeyStored));
    let known = made.known();
    let found = check(text(&made.lines), &known);
    assert!(found.is_fine());
    let counts = found.counts;
    assert_eq!((counts.authentic, counts.by_chain, counts.without_mac), (4, 0, 1));
    let [remark] = &found.remarks[..] else { panic!("{found:?}") };
    assert_eq!(
        (remark.trouble, remark.seqs, remark.count, remark.detail.as_deref()),
        (Trouble::WithoutMac, Some((4, 4)), Some(1), Some("0"))
    );
    for at in 0..made.lines[3].len() {
        let mut lines = made.lines.clone();
        lines[3][at] ^= 1;
        let found = check(text(&lines), &known);
        assert_eq!(places(&found, Trouble::Changed), [4], "byte {at}: {found:?}");
    }
}

#[test]
fn another_log_than_the_one_that_the_keyring_notes_is_told() {
    let made = Made::some(2);
    let note = LogNote { log: [8; 16], seq: 40, hash: [0; 32] };
    let found = check(text(&made.lines), &Known { note: Some(note), ..made.known() });
    assert_eq!(found.findings[0].trouble, Trouble::NotedLogNotGiven);
    // As is the log before a log.
    let mut later = Made::new();
    let before = serde_json::json!({ "log": Uuid::from_bytes([8; 16]).to_string(), "seq": 40, "hash": "" });
    later.put(Event::new(EventKind::SegmentStarted).with("keyring_notes", before));
    later.put(Event::new(EventKind::KeyStored));
    let known = later.known();
    assert_eq!(check(text(&later.lines), &known).findings[0].trouble, Trouble::EarlierLogNotGiven);
    let mut old = Made { noted: None, ..Made::new() };
    old.put_as(Event::new(EventKind::OpenFailed), None, [8; 16]);
    let (all, _) = verify(&[text(&later.lines), text(&old.lines)], &known);
    assert!(all.iter().all(Verification::is_fine), "{all:?}");
}
