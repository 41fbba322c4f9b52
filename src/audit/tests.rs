// SPDX-License-Identifier: GPL-2.0-or-later
//! Lines written and read again.

use super::*;
use crate::config::Forward;
use crate::format::audit_key::AuditKey;
use crate::format::crypto::DataKeys;
use std::path::Path;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn log(path: &Path) -> AuditLog {
    let settings = Settings {
        path: path.to_owned(),
        forward: Forward::No,
        server: Some("u".to_owned()),
        who: serde_json::json!({ "program": "test" }),
        owner: None,
    };
    let told = |text: &str| TOLD.lock().unwrap().push(text.to_owned());
    AuditLog::new(settings, Reports { failing: told, recovered: told })
}

fn of() -> Of {
    let id = Uuid::from_u128(1);
    let key = Arc::new(AuditKey::of(&DataKeys::generate(&id).unwrap()).unwrap());
    Of { keyring: id, key, generation: 3, note: None }
}

fn lines(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes.last(), Some(&b'\n'));
    bytes[..bytes.len() - 1].split(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
}

/// Checks that lines continue one another, and returns them.
fn chained(lines: &[Vec<u8>], of: &Of) -> Vec<Line> {
    let read: Vec<_> = lines.iter().map(|line| Line::parse(line).unwrap()).collect();
    for (n, line) in lines.iter().enumerate() {
        assert!(Line::is_authentic(line, &of.key));
        if n > 0 {
            assert_eq!((read[n].seq, read[n].prev), (read[n - 1].seq + 1, hash(&lines[n - 1])));
            assert_eq!(read[n].log, read[0].log);
        }
    }
    read
}

#[test]
fn lines_are_chained_and_authenticated_whoever_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let (a, b, of) = (log(&path), log(&path), of());
    for log in [&a, &b, &a, &a, &b] {
        let note =
            log.write(Some(&of), &Event::new(EventKind::KeyStored).with("key", "a\"\n\u{1b}")).unwrap();
        assert_eq!(
            note,
            Line::parse(lines(&path).last().unwrap()).unwrap().note(lines(&path).last().unwrap())
        );
    }
    let read = chained(&lines(&path), &of);
    assert_eq!((read.len(), read[0].seq, read[0].text("event")), (6, 1, Some("segment_started")));
    assert_eq!((read[1].text("event"), read[1].text("key")), (Some("key_stored"), Some("a\"\n\u{1b}")));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
}

#[test]
fn every_flipped_byte_breaks_the_mac_or_the_hash() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let of = of();
    log(&path).write(Some(&of), &Event::new(EventKind::Opened)).unwrap();
    for line in lines(&path) {
        for at in 0..line.len() {
            let mut flipped = line.clone();
            flipped[at] ^= 1;
            assert!(!Line::is_authentic(&flipped, &of.key), "byte {at}");
            assert_ne!(hash(&flipped), hash(&line));
        }
    }
}

#[test]
fn a_renamed_file_is_continued_in_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let (one, of) = (log(&path), of());
    let opened = Event::new(EventKind::Opened);
    one.write(Some(&of), &opened).unwrap();
    let rotated = |name: &str| std::fs::rename(&path, dir.path().join(name)).unwrap();
    rotated("audit.log.1");
    one.write(Some(&of), &opened).unwrap();
    rotated("audit.log-2");
    // A program that has not seen the log before. An empty file is what logrotate's `create` leaves.
    std::fs::write(&path, "").unwrap();
    log(&path).write(Some(&of), &opened).unwrap();
    let all: Vec<_> =
        ["audit.log.1", "audit.log-2", "audit.log"].iter().flat_map(|n| lines(&dir.path().join(n))).collect();
    let read = chained(&all, &of);
    assert_eq!(read.len(), 6);
    assert_eq!(read[4].number("continues"), Some(4));
}

#[test]
fn a_log_that_was_cut_is_continued_with_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let (one, mut of) = (log(&path), of());
    let opened = Event::new(EventKind::Opened);
    for _ in 0..3 {
        one.write(Some(&of), &opened).unwrap();
    }
    let whole = std::fs::read(&path).unwrap();
    let note = one.write(Some(&of), &opened).unwrap();
    std::fs::write(&path, &whole).unwrap();
    // Whether the program has written it, or the keyring notes it.
    of.note = Some(note);
    let other = log(&path);
    other.write(Some(&of), &opened).unwrap();
    let last = Line::parse(lines(&path).last().unwrap()).unwrap();
    assert_eq!((last.seq, last.number("lines_lost_after")), (6, Some(4)));
    std::fs::write(&path, &whole).unwrap();
    other.write(Some(&of), &opened).unwrap();
    let last = Line::parse(lines(&path).last().unwrap()).unwrap();
    assert_eq!((last.seq, last.number("lines_lost_after")), (7, Some(4)));
}

#[test]
fn an_incomplete_line_is_ended_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let of = of();
    log(&path).write(Some(&of), &Event::new(EventKind::Opened)).unwrap();
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend(b"{\"seq\":3,\"ti");
    std::fs::write(&path, &torn).unwrap();
    log(&path).write(Some(&of), &Event::new(EventKind::Opened)).unwrap();
    let all = lines(&path);
    let last = Line::parse(&all[3]).unwrap();
    assert_eq!((last.seq, last.prev), (3, hash(&all[2])));
    assert_eq!(last.fields["after_incomplete_line"], true);
}

#[test]
fn a_log_that_cannot_be_written_is_counted_told_once_and_says_later_how_much_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("later");
    let path = folder.join("audit.log");
    let (one, of) = (log(&path), of());
    let opened = Event::new(EventKind::Opened);
    for n in 1..4 {
        assert_eq!(one.write(Some(&of), &opened), None);
        assert_eq!(one.failures(), n);
    }
    let told = || {
        TOLD.lock()
            .unwrap()
            .iter()
            .filter(|t| t.contains(&*path.to_string_lossy()))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(told().len(), 1);
    assert!(told()[0].contains("Create its directory"), "{:?}", told());
    std::fs::create_dir(&folder).unwrap();
    one.write(Some(&of), &opened).unwrap();
    let last = Line::parse(lines(&path).last().unwrap()).unwrap();
    assert_eq!(last.number("unwritten_lines"), Some(3));
    assert!(told()[1].contains("3 lines are missing"), "{:?}", told());
    one.write(Some(&of), &opened).unwrap();
    assert_eq!((one.failures(), told().len()), (3, 2));
}

#[test]
fn what_is_no_file_or_no_log_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let of = of();
    let opened = Event::new(EventKind::Opened);
    let other = dir.path().join("other");
    std::fs::write(&other, "something else\n").unwrap();
    std::os::unix::fs::symlink(&other, dir.path().join("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    for name in ["other", "link", "pipe", "folder"] {
        assert_eq!(log(&dir.path().join(name)).write(Some(&of), &opened), None, "{name}");
    }
    assert_eq!(std::fs::read(&other).unwrap(), b"something else\n");
}

/// Two lines of one change wait once.
#[test]
fn a_log_that_another_program_has_locked_holds_up_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let (one, of) = (log(&path), of());
    let opened = Event::new(EventKind::Opened);
    one.write(Some(&of), &opened).unwrap();
    let held = std::fs::File::open(&path).unwrap();
    held.lock().unwrap();
    assert_eq!(one.write(Some(&of), &opened), None);
    drop(held);
    // It is not even tried.
    assert_eq!(one.write(Some(&of), &opened), None);
    assert_eq!((one.failures(), lines(&path).len()), (2, 2));
}

/// A line says that it follows one whose MAC its writer could not check, unless the keyring notes that one.
#[test]
fn a_line_says_that_it_follows_an_unchecked_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let (old, new) = (of(), of());
    let opened = Event::new(EventKind::Opened);
    let last = |path: &Path| Line::parse(lines(path).last().unwrap()).unwrap();
    let noted = log(&path).write(Some(&old), &opened).unwrap();
    log(&path).write(Some(&old), &opened).unwrap();
    assert!(!last(&path).fields.contains_key("after_unchecked"));
    // After a renewal that no line tells of.
    let with_note = Of { note: Some(noted), ..new.clone() };
    let one = log(&path);
    one.write(Some(&with_note), &opened).unwrap();
    let line = last(&path);
    assert_eq!(line.fields["after_unchecked"], true);
    let known = serde_json::json!({ "seq": noted.seq, "hash": hex(&noted.hash) });
    assert_eq!(line.fields["last_line_known"], known);
    one.write(Some(&with_note), &opened).unwrap();
    log(&path).write(Some(&with_note), &opened).unwrap();
    assert!(!last(&path).fields.contains_key("after_unchecked"));
    // A line without a MAC, and a line in the file before this one.
    log(&path).write(None, &Event::new(EventKind::OpenFailed)).unwrap();
    log(&path).write(Some(&new), &opened).unwrap();
    assert_eq!(last(&path).fields["after_unchecked"], true);
    let renamed = || std::fs::rename(&path, dir.path().join("audit.log.1")).unwrap();
    renamed();
    log(&path).write(Some(&old), &opened).unwrap();
    let first = Line::parse(&lines(&path)[0]).unwrap();
    assert_eq!(
        (first.text("event"), &first.fields["after_unchecked"]),
        (Some("segment_started"), &true.into())
    );
    assert!(!last(&path).fields.contains_key("after_unchecked"));
    // The keyring notes it: a line rekey has the old MAC.
    let noted = log(&path).write(Some(&old), &Event::new(EventKind::Rekey)).unwrap();
    let with_note = Of { note: Some(noted), ..new };
    log(&path).write(Some(&with_note), &opened).unwrap();
    assert!(!last(&path).fields.contains_key("after_unchecked"));
}

/// A line about a keyring is never without its MAC.
#[test]
fn no_line_about_a_keyring_is_written_without_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    assert_eq!(log(&path).write(None, &Event::new(EventKind::Export)), None);
    assert!(!path.exists());
    let one = log(&path);
    one.confirm(one.write(Some(&of()), &Event::new(EventKind::KeyStored)).unwrap());
    one.write(None, &Event::new(EventKind::OpenFailed)).unwrap();
    let last = Line::parse(lines(&path).last().unwrap()).unwrap();
    assert!(last.mac.is_none() && !last.fields.contains_key("noted"));
}
