// SPDX-License-Identifier: GPL-2.0-or-later
//! A log that did not learn of a renewal of the data key: its lines are accused of nothing, and whoever changes one is found,
//! or at least not taken for right.

use super::*;

/// A log with lines after the noted one, and the keyring after a renewal without the log. Returns the number of the noted
/// line.
fn renewed(after: usize) -> (Made, usize) {
    let mut made = Made::some(3);
    let noted = made.lines.len();
    for _ in 0..after {
        made.put(Event::new(EventKind::Opened));
    }
    made.key = Made::new().key;
    (made, noted)
}

fn troubles(found: &Verification) -> Vec<Trouble> {
    found.findings.iter().map(|finding| finding.trouble).collect()
}

/// Lines of somebody who does not have the key, which continue these.
fn forged(lines: &[Vec<u8>], count: usize) -> Vec<Vec<u8>> {
    let mut forger = Made { lines: lines.to_vec(), ..Made::new() };
    for _ in 0..count {
        forger.put(Event::new(EventKind::KeyStored));
    }
    forger.lines
}

#[test]
fn the_note_vouches_for_the_lines_up_to_it() {
    let (made, noted) = renewed(0);
    let found = check(text(&made.lines), &made.known());
    assert!(found.is_fine(), "{found:?}");
    assert_eq!((found.counts.authentic, found.counts.by_chain), (0, noted));
    let [remark] = &found.remarks[..] else { panic!("{found:?}") };
    assert_eq!((remark.trouble, remark.seqs), (Trouble::KeyNotKept, Some((noted as u64, noted as u64))));
}

#[test]
fn the_lines_after_it_cannot_be_checked_and_are_not_accused() {
    let (made, noted) = renewed(2);
    let found = check(text(&made.lines), &made.known());
    assert!(found.is_only_not_checkable(), "{found:?}");
    let [one] = &found.findings[..] else { panic!("{found:?}") };
    let (first, last) = (noted as u64 + 1, noted as u64 + 2);
    assert_eq!(
        (one.seqs, one.count, one.place.map(|p| p.line)),
        (Some((first, last)), Some(2), Some(noted + 1))
    );
    assert_eq!(one.times, (Some(time(first)), Some(time(last))));
    assert_eq!(one.detail, Some(noted.to_string()));
    // The next line covers them.
    let (mut made, _) = renewed(2);
    made.put(Event::new(EventKind::Opened));
    let found = check(text(&made.lines), &made.known());
    assert!(found.is_fine(), "{found:?}");
    assert_eq!((found.counts.authentic, found.counts.by_chain), (1, noted + 2));
}

#[test]
fn every_changed_byte_is_found_after_such_a_renewal() {
    for covered in [false, true] {
        let (mut made, noted) = renewed(2);
        if covered {
            made.put(Event::new(EventKind::Opened));
        }
        let known = made.known();
        for (index, line) in made.lines.iter().enumerate() {
            for at in 0..line.len() {
                let mut lines = made.lines.clone();
                lines[index][at] ^= 1;
                let found = check(text(&lines), &known);
                let number = index + 1;
                // Nothing covers the last line, and without it, no line has a known key.
                if number < made.lines.len() {
                    let changed = [Trouble::Changed, Trouble::ChangedOneOfTwo];
                    let named = found.findings.iter().filter(|f| changed.contains(&f.trouble));
                    let named: Vec<_> = named.filter_map(|f| f.place.map(|place| place.line)).collect();
                    assert_eq!(named, [number], "line {number} byte {at}, noted {noted}: {found:?}");
                } else {
                    assert!(!found.is_fine(), "line {number} byte {at}: {found:?}");
                }
            }
        }
    }
}

/// A forger who makes a chain of their own gets no further than to lines of which it is said that they cannot be checked,
/// which is an error; and to that only behind the noted line, and only if the data key was renewed without the log.
#[test]
fn a_forger_cannot_have_changed_lines_taken_for_right() {
    let (made, noted) = renewed(2);
    let known = made.known();
    let all = made.lines.len();
    for from in 0..all {
        let found = check(text(&forged(&made.lines[..from], all - from)), &known);
        assert!(!found.is_fine(), "{from}: {found:?}");
        assert_eq!(found.is_only_not_checkable(), from >= noted, "{from}: {found:?}");
    }
    // Without a renewal, such lines are called changed.
    let mut made = Made::some(3);
    made.put(Event::new(EventKind::Opened));
    made.put(Event::new(EventKind::Opened));
    let (known, all) = (made.known(), made.lines.len());
    for from in 0..all {
        for to in from + 1..=all {
            let lines = forged(&made.lines[..from], to - from);
            let found = check(text(&lines), &known);
            assert!(!found.is_fine() && !found.is_only_not_checkable(), "{from} {to}: {found:?}");
            // With lines of the server behind them, and a line of the forger behind all.
            let lines = [&lines[..], &made.lines[to..]].concat();
            for lines in [lines.clone(), forged(&lines, 1)] {
                let found = check(text(&lines), &known);
                assert!(troubles(&found).contains(&Trouble::Changed), "{from} {to}: {found:?}");
            }
        }
    }
    // Also if the keyring notes no line, unless nothing of the log is left.
    let known = Known { note: None, ..made.known() };
    for from in 0..all {
        let found = check(text(&forged(&made.lines[..from], all - from)), &known);
        assert_eq!(found.is_only_not_checkable(), from == 0, "{from}: {found:?}");
        assert_eq!(troubles(&found).contains(&Trouble::Changed), from > 0, "{from}: {found:?}");
    }
}

#[test]
fn a_lost_line_of_a_renewal_is_missing_and_the_lines_before_it_are_not_accused() {
    let mut made = Made::some(2);
    let new = Made::new().key;
    let wrapped = new.wrap(&made.key, &id()).unwrap();
    made.put(Event::new(EventKind::Rekey).with("earlier_key", hex(&wrapped)));
    made.key = new;
    let known = made.known();
    assert!(check(text(&made.lines), &known).is_fine());
    let lost = made.lines.pop();
    let found = check(text(&made.lines), &known);
    assert_eq!(troubles(&found), [Trouble::CutAtEnd, Trouble::NotCheckable], "{found:?}");
    assert_eq!(found.findings[1].detail, None);
    // A change of them shows as far as their hashes tell.
    let mut lines = made.lines.clone();
    lines[1][60] ^= 1;
    assert!(troubles(&check(text(&lines), &known)).contains(&Trouble::Changed));
    drop(lost);
}

/// Two servers with one keyring: the line about the renewal is in the log of one of them.
#[test]
fn a_renewal_in_the_log_of_another_server_is_followed() {
    let (mut a, mut b) = (Made::some(2), Made::new());
    b.key = a.known().key.unwrap();
    let new = Made::new().key;
    let wrapped = new.wrap(&a.key, &id()).unwrap();
    b.put_as(Event::new(EventKind::Rekey).with("earlier_key", hex(&wrapped)), Some(id()), [9; 16]);
    b.key = new;
    let known = b.known();
    let (all, _) = verify(&[text(&a.lines), text(&b.lines)], &known);
    assert!(all.iter().all(Verification::is_fine), "{all:?}");
    assert_eq!(all[0].counts.authentic, a.lines.len());
    let mut lines = a.lines.clone();
    lines[1][60] ^= 1;
    let (all, _) = verify(&[text(&lines), text(&b.lines)], &known);
    assert_eq!(places(&all[0], Trouble::Changed), [2]);
    // The first log alone.
    let found = check(text(&a.lines), &known);
    assert_eq!(troubles(&found), [Trouble::NotCheckable, Trouble::NotedLogNotGiven]);
    // The old key vouches for nothing behind the first line with the new one.
    let before = a.lines.len();
    let old = std::mem::replace(&mut a.key, b.known().key.unwrap());
    a.put(Event::new(EventKind::Opened));
    a.key = old;
    a.put(Event::new(EventKind::Opened));
    let (all, _) = verify(&[text(&a.lines), text(&b.lines)], &known);
    assert_eq!(places(&all[0], Trouble::Changed), [before + 2], "{all:?}");
}

/// The keyring was changed by a program without the log.
#[test]
fn a_change_that_no_line_announces_is_told() {
    let mut made = Made::some(3);
    let noted = made.noted.unwrap();
    let at = |made: &Made, generation| {
        let known = Known { generation: Some(generation), ..made.known() };
        let found = check(text(&made.lines), &known);
        assert!(found.is_fine(), "{found:?}");
        let remarks = found.remarks.into_iter();
        remarks.filter(|remark| remark.trouble == Trouble::NotAnnounced).collect::<Vec<_>>()
    };
    // Here, a line has the generation of its number.
    assert!(at(&made, noted.seq).is_empty());
    // An older copy of the keyring notes an older line.
    assert!(at(&made, noted.seq - 1).is_empty());
    let [one] = &at(&made, noted.seq + 2)[..] else { panic!("no remark") };
    assert_eq!((one.seqs, one.count), (Some((noted.seq, noted.seq)), Some(2)));
    assert_eq!(one.detail, Some((noted.seq + 2).to_string()));
    // That the keyring was opened is no announcement. The line of a change is, although the keyring does not note it yet.
    made.put(Event::new(EventKind::Opened));
    assert_eq!(at(&made, noted.seq + 1).len(), 1);
    let line = made.put(Event::new(EventKind::KeyStored));
    made.noted = Some(noted);
    assert!(at(&made, line.seq).is_empty());
    // The next change that has a line notes it.
    made.noted = Some(line);
    assert!(at(&made, line.seq).is_empty());
}

/// Only that line is lost: the lines before it are not accused, and a copy of the keyring from before checks them.
#[test]
fn a_line_of_a_renewal_that_was_removed_is_the_only_missing_one() {
    let mut made = Made::some(4);
    let new = Made::new().key;
    let wrapped = new.wrap(&made.key, &id()).unwrap();
    let lost = made.put(Event::new(EventKind::Rekey).with("earlier_key", hex(&wrapped)));
    let old = std::mem::replace(&mut made.key, new);
    for more in 0..3 {
        let mut lines = made.lines.clone();
        lines.remove(lost.seq as usize - 1);
        let known = Known { note: made.noted.filter(|note| note.seq > lost.seq), ..made.known() };
        if more > 0 {
            let found = check(text(&lines), &known);
            assert_eq!(troubles(&found), [Trouble::Missing, Trouble::NotCheckable], "{found:?}");
            let [missing, rest] = &found.findings[..] else { panic!("{found:?}") };
            assert_eq!((missing.seqs, missing.count), (Some((lost.seq, lost.seq)), None));
            assert_eq!((rest.seqs, rest.count), (Some((1, lost.seq - 1)), Some(lost.seq - 1)));
            let wrapped = made.key.wrap(&old, &id()).unwrap();
            let earlier = vec![made.key.unwrap_earlier(&wrapped, &id()).unwrap()];
            let found = check(text(&lines), &Known { earlier, ..known });
            assert_eq!(troubles(&found), [Trouble::Missing], "{found:?}");
            assert_eq!(found.findings[0].seqs, Some((lost.seq, lost.seq)));
        }
        made.put(Event::new(EventKind::KeyStored));
    }
}

/// The numbers of the lines that cannot be checked are told from the first to the last.
#[test]
fn lines_that_cannot_be_checked_and_changed_places_are_told_by_their_numbers() {
    let (made, noted) = renewed(3);
    let mut lines = made.lines.clone();
    lines.swap(noted, noted + 2);
    let found = check(text(&lines), &made.known());
    let one = found.findings.iter().find(|finding| finding.trouble == Trouble::NotCheckable).unwrap();
    let seq = noted as u64;
    let (first, last) = one.seqs.unwrap();
    assert!(first > seq && first < last && last <= seq + 3, "{found:?}");
}
