// SPDX-License-Identifier: GPL-2.0-or-later
//! Lines that prove nothing of who wrote them: without a MAC, or of another keyring.

use super::*;

/// The log with a line of each of these kinds without a MAC at its end, and a line of the server behind it.
fn with_line_without_mac(kind: EventKind, last: bool) -> Verification {
    let mut made = Made::some(3);
    let noted = made.noted;
    made.put_as(Event::new(kind), None, LOG);
    made.noted = noted;
    if !last {
        made.put(Event::new(EventKind::Opened));
    }
    check(text(&made.lines), &made.known())
}

#[test]
fn a_line_without_a_mac_is_right_only_for_what_is_written_without_a_keyring() {
    let may_lack: Vec<_> = EventKind::all().filter(|kind| kind.may_lack_mac()).collect();
    assert_eq!(may_lack, [EventKind::SegmentStarted, EventKind::OpenFailed, EventKind::Drill]);
    for kind in EventKind::all() {
        for last in [true, false] {
            let found = with_line_without_mac(kind, last);
            if !kind.may_lack_mac() {
                assert_eq!(places(&found, Trouble::Changed), [6], "{kind:?}: {found:?}");
                continue;
            }
            assert!(found.is_fine(), "{kind:?}: {found:?}");
            let counts = found.counts;
            assert_eq!((counts.without_mac, counts.by_chain), (1, 0), "{kind:?}");
            assert_eq!(counts.authentic + counts.without_mac, counts.lines);
            let [remark] = &found.remarks[..] else { panic!("{found:?}") };
            let uncovered = if last { "1" } else { "0" };
            assert_eq!((remark.trouble, remark.count), (Trouble::WithoutMac, Some(1)));
            assert_eq!(remark.detail.as_deref(), Some(uncovered));
        }
    }
}

/// Also without a note and without the secret.
#[test]
fn a_forged_line_without_a_mac_is_found_with_little_knowledge() {
    let mut made = Made::some(3);
    made.put_as(Event::new(EventKind::KeyDestroyed), None, LOG);
    for known in [Known { note: None, ..made.known() }, Known::default()] {
        let found = check(text(&made.lines), &known);
        assert_eq!(places(&found, Trouble::Changed), [6], "{found:?}");
    }
}

#[test]
fn a_line_without_a_mac_about_a_keyring_is_found() {
    for (name, value) in [("keyring", serde_json::json!(id().to_string())), ("generation", 3.into())] {
        let mut made = Made::some(2);
        made.put_as(Event::new(EventKind::OpenFailed).with(name, value), None, LOG);
        let found = check(text(&made.lines), &made.known());
        assert_eq!(places(&found, Trouble::Changed), [5], "{name}: {found:?}");
    }
}

/// What such a line claims that a keyring noted is not believed.
#[test]
fn a_line_without_a_mac_confirms_no_change() {
    let mut made = Made::some(2);
    let noted = made.noted;
    let lost = made.put(Event::new(EventKind::KeyStored));
    made.put_as(Event::new(EventKind::OpenFailed).with("noted", lost.seq), None, LOG);
    made.noted = noted;
    let found = check(text(&made.lines), &made.known());
    assert!(found.remarks.iter().any(|remark| remark.trouble == Trouble::Unconfirmed), "{found:?}");
}

#[test]
fn lines_of_another_keyring_are_told_and_those_of_none_with_a_mac_are_wrong() {
    let mut made = Made::some(2);
    made.put_as(Event::new(EventKind::KeyDestroyed), Some(Uuid::from_u128(6)), LOG);
    let found = check(text(&made.lines), &made.known());
    let [remark] = &found.remarks[..] else { panic!("{found:?}") };
    assert_eq!((remark.trouble, remark.count), (Trouble::OfOtherKeyring, Some(1)));
    let line = String::from_utf8(made.lines.pop().unwrap()).unwrap();
    made.lines.push(line.replace("\"keyring\"", "\"other\"").into_bytes());
    let found = check(text(&made.lines), &made.known());
    assert_eq!(places(&found, Trouble::Changed), [5], "{found:?}");
}

/// A log with two lines after the noted one (number 5), of which the last is forged, and the keyring after a renewal without
/// the log. Returns the old key, too.
fn renewed_with_forged_line() -> (Made, AuditKey) {
    let mut made = Made::some(3);
    made.put(Event::new(EventKind::Opened));
    let old = std::mem::replace(&mut made.key, Made::new().key);
    // Somebody without any key.
    made.put(Event::new(EventKind::Export));
    made.key = Made::new().key;
    (made, old)
}

/// The next line, whose writer could not check the last one.
fn put_after_unchecked(made: &mut Made, kind: EventKind) -> LogNote {
    let noted = made.noted.unwrap();
    let known = serde_json::json!({ "seq": noted.seq, "hash": hex(&noted.hash) });
    made.found = vec![("after_unchecked", true.into()), ("last_line_known", known)];
    made.put(Event::new(kind))
}

#[test]
fn lines_that_nobody_could_check_when_the_next_was_written_are_told_for_ever() {
    let (mut made, old) = renewed_with_forged_line();
    assert!(check(text(&made.lines), &made.known()).is_only_not_checkable());
    let next = put_after_unchecked(&mut made, EventKind::Opened);
    for _ in 0..3 {
        let found = check(text(&made.lines), &made.known());
        assert!(found.is_fine(), "{found:?}");
        let remarks = found.remarks.iter().filter(|remark| remark.trouble == Trouble::NeverChecked);
        let [remark] = &remarks.collect::<Vec<_>>()[..] else { panic!("{found:?}") };
        assert_eq!((remark.seqs, remark.count), (Some((6, 7)), Some(2)));
        assert_eq!(remark.detail, Some(next.seq.to_string()));
        // Also after the keyring notes another line.
        made.put(Event::new(EventKind::KeyStored));
    }
    // A copy from before the renewal tells them apart.
    let earlier = Known { earlier: vec![old], ..made.known() };
    let found = check(text(&made.lines), &earlier);
    assert_eq!(places(&found, Trouble::Changed), [7], "{found:?}");
    assert!(found.remarks.is_empty(), "{found:?}");
    // Before other lines were written, too.
    let found = check(text(&made.lines[..7]), &Known { note: None, ..earlier });
    assert_eq!(places(&found, Trouble::Changed), [7], "{found:?}");
}

/// There is nothing to say if the key is known.
#[test]
fn lines_whose_key_an_older_copy_has_are_authentic_and_it_vouches_for_no_later_line() {
    let mut made = Made::some(3);
    made.put(Event::new(EventKind::Opened));
    let old = std::mem::replace(&mut made.key, Made::new().key);
    put_after_unchecked(&mut made, EventKind::KeyStored);
    let earlier = Known { earlier: vec![old], ..made.known() };
    let found = check(text(&made.lines), &earlier);
    assert!(found.is_fine() && found.remarks.is_empty(), "{found:?}");
    assert_eq!(found.counts.authentic, 7);
    let [old] = <[AuditKey; 1]>::try_from(earlier.earlier).unwrap();
    let new = std::mem::replace(&mut made.key, old);
    made.put(Event::new(EventKind::Opened));
    let old = std::mem::replace(&mut made.key, new);
    let found = check(text(&made.lines), &Known { earlier: vec![old], ..made.known() });
    assert_eq!(places(&found, Trouble::Changed), [8], "{found:?}");
}

/// A line that was noted when the next one was written and that is another now was changed before that.
#[test]
fn a_noted_line_that_was_rewritten_before_the_next_is_found() {
    let (mut made, _) = renewed_with_forged_line();
    let noted = made.noted;
    made.lines.truncate(4);
    let new = std::mem::replace(&mut made.key, Made::new().key);
    for kind in [EventKind::KeyStored, EventKind::Opened, EventKind::Export] {
        made.put(Event::new(kind));
    }
    (made.key, made.noted) = (new, noted);
    put_after_unchecked(&mut made, EventKind::KeyStored);
    let found = check(text(&made.lines), &made.known());
    assert_eq!(places(&found, Trouble::Changed), [5], "{found:?}");
}

/// The data key was renewed twice without the log. Each time, lines were left that nobody could check.
#[test]
fn lines_of_several_renewals_are_told_apart() {
    let (mut made, _) = renewed_with_forged_line();
    made.noted = Some(put_after_unchecked(&mut made, EventKind::KeyStored));
    made.put(Event::new(EventKind::Opened));
    made.key = Made::new().key;
    put_after_unchecked(&mut made, EventKind::KeyStored);
    let found = check(text(&made.lines), &made.known());
    assert!(found.is_fine(), "{found:?}");
    let never = found.remarks.iter().filter(|remark| remark.trouble == Trouble::NeverChecked);
    let never: Vec<_> = never.map(|remark| (remark.seqs, remark.detail.as_deref())).collect();
    assert_eq!(never, [(Some((6, 7)), Some("8")), (Some((9, 9)), Some("10"))]);
}
