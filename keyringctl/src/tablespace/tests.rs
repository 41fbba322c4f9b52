// SPDX-License-Identifier: GPL-2.0-or-later
//! Tests with files of a real server: intact, changed and truncated, with the right keys, without keys and with wrong keys.

use super::samples::{BINLOG, BINLOG_KEY, INFO, INNODB_KEY, PAGE, SampleKeys, redo, seal, table, unseal};
use super::*;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A directory whose files were written long ago, so that they are read only once.
pub(super) struct Dir(TempDir);

impl Dir {
    fn new() -> Dir {
        Dir(tempfile::tempdir().unwrap())
    }

    pub(super) fn with(name: &str, bytes: &[u8]) -> Dir {
        let dir = Dir::new();
        dir.put(name, bytes);
        dir
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.path().join(name), bytes).unwrap();
        self.age(name);
    }

    fn age(&self, name: &str) {
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        File::options().write(true).open(self.0.path().join(name)).unwrap().set_modified(long_ago).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn check(&self, keys: &SampleKeys, depth: Depth) -> Vec<FileReport> {
        check(&find(&[self.path().to_owned()]), keys, depth, &mut |_, _| {})
    }

    /// The report on its only file.
    fn only(&self, keys: &SampleKeys) -> FileReport {
        let mut reports = self.check(keys, Depth::OnePage);
        assert_eq!(reports.len(), 1, "{reports:?}");
        reports.remove(0)
    }
}

pub(super) fn judge(name: &str, bytes: &[u8], keys: &SampleKeys) -> FileReport {
    Dir::with(name, bytes).only(keys)
}

/// Calls `look` with the report on a file each of whose bytes in `range` is flipped in three ways, one after the other.
fn flip(
    name: &str,
    bytes: &[u8],
    range: std::ops::Range<usize>,
    keys: &SampleKeys,
    mut look: impl FnMut(usize, FileReport),
) {
    let dir = Dir::with(name, bytes);
    let file = File::options().write(true).open(dir.path().join(name)).unwrap();
    for at in range {
        for mask in [0x01, 0x80, 0xff] {
            file.write_all_at(&[bytes[at] ^ mask], at as u64).unwrap();
            dir.age(name);
            look(at, dir.only(keys));
        }
        file.write_all_at(&[bytes[at]], at as u64).unwrap();
    }
}

#[test]
fn a_table_opens_with_its_master_key_alone() {
    let report = judge("t.ibd", &table(), &SampleKeys::all());
    let opened = FileReport {
        path: report.path.clone(),
        kind: DataFileKind::Table,
        state: FileState::Opened,
        key: Some(INNODB_KEY.to_owned()),
        checked_page: Some(4),
        by_transfer_key: false,
        in_clear: false,
        pages: None,
        notes: Vec::new(),
    };
    assert_eq!(report, opened);
    // The server takes the first 32 bytes of a key, whatever it has.
    let key = SampleKeys::all().0[1].1.clone();
    let longer = SampleKeys::all().with(INNODB_KEY, &[&key[..], b"more"].concat());
    assert_eq!(judge("t.ibd", &table(), &longer).state, FileState::Opened);

    let missing = judge("t.ibd", &table(), &SampleKeys::all().without(INNODB_KEY));
    assert_eq!((missing.state, missing.key.as_deref()), (FileState::KeyMissing, Some(INNODB_KEY)));
    for other in [&[7; 32][..], &[7; 16], &[], &key[..31]] {
        let wrong = judge("t.ibd", &table(), &SampleKeys::all().with(INNODB_KEY, other));
        assert_eq!(
            (wrong.state, wrong.key.as_deref()),
            (FileState::WrongKey, Some(INNODB_KEY)),
            "{}",
            other.len()
        );
    }
}

#[test]
fn every_flipped_byte_of_the_first_page_is_noticed() {
    flip("t.ibd", &table(), 0..PAGE, &SampleKeys::all(), |at, report| {
        // Eight bytes are in no checksum, and nothing looks at them.
        let expected = if (26..34).contains(&at) { FileState::Opened } else { FileState::Damaged };
        assert_eq!(report.state, expected, "byte {at}: {report:?}");
    });
}

#[test]
fn without_checksums_no_flipped_byte_of_the_first_page_opens_another_key() {
    let mut file = table();
    unseal(&mut file[..PAGE]);
    assert_eq!(judge("t.ibd", &file, &SampleKeys::all()).state, FileState::Opened);
    flip("t.ibd", &file, 0..PAGE, &SampleKeys::all(), |at, report| match at {
        // As another version it has the same key.
        1560 if report.state == FileState::Opened => assert_eq!(report.checked_page, Some(4)),
        INFO..1565 => assert!(report.state.is_failure(), "byte {at}: {report:?}"),
        1565..1601 => {
            assert!(
                matches!(report.state, FileState::KeyMissing | FileState::Damaged),
                "byte {at}: {report:?}"
            )
        }
        1601..1669 => assert_eq!(report.state, FileState::WrongKey, "byte {at}: {report:?}"),
        // Elsewhere it may open, and then the page that was decrypted is the same.
        _ => assert!(
            report.state != FileState::Opened || matches!(report.checked_page, Some(4) | None),
            "byte {at}: {report:?}"
        ),
    });
}

#[test]
fn every_flipped_byte_of_a_data_page_is_noticed() {
    flip("t.ibd", &table(), 4 * PAGE..5 * PAGE, &SampleKeys::all(), |at, report| {
        let in_page = at - 4 * PAGE;
        match in_page {
            // Nothing is there for pages of this type.
            26 | 27 | 30..34 => assert_eq!(report.state, FileState::Opened, "byte {in_page}: {report:?}"),
            _ => assert_eq!(report.state, FileState::Damaged, "byte {in_page}: {report:?}"),
        }
    });
}

#[test]
fn a_truncated_file_is_damaged() {
    for len in (0..table().len()).step_by(61) {
        let report = judge("t.ibd", &table()[..len], &SampleKeys::all());
        assert_eq!(report.state, FileState::Damaged, "{len} bytes: {report:?}");
    }
    for len in (0..redo().len()).step_by(61) {
        judge("#ib_redo1", &redo()[..len], &SampleKeys::all());
    }
    for len in 4..BINLOG.len() {
        let report = judge("b.000001", &BINLOG[..len], &SampleKeys::all());
        assert_eq!(report.state, FileState::Damaged, "{len} bytes: {report:?}");
    }
}

#[test]
fn a_tablespace_that_is_being_encrypted_is_partly_unencrypted() {
    for (what, word) in
        [(1, "is being encrypted: page 258 is done"), (2, "is being decrypted: page 258 is done")]
    {
        let mut file = table();
        file[INFO + 123..INFO + 128].copy_from_slice(&[what, 0, 0, 1, 2]);
        seal(&mut file[..PAGE]);
        let report = judge("t.ibd", &file, &SampleKeys::all());
        assert_eq!((report.state, report.in_clear), (FileState::Opened, true));
        assert!(report.notes[0].contains(word), "{report:?}");
    }
    // An unencrypted page in a tablespace of which more than the first encrypted page is checked.
    let mut file = table();
    let page2 = &mut file[2 * PAGE..3 * PAGE];
    page2.fill(0);
    page2[7] = 2;
    page2[100] = 1;
    seal(page2);
    let report = judge("undo_001", &file, &SampleKeys::all());
    assert_eq!(
        (report.state, report.checked_page, report.in_clear),
        (FileState::Opened, Some(4), true),
        "{report:?}"
    );
    let every = Dir::with("t.ibd", &file).check(&SampleKeys::all(), Depth::EveryPage).remove(0);
    let counts = PageCounts { encrypted: 2, clear: 1, empty: 3, ..PageCounts::default() };
    assert_eq!((every.pages, every.in_clear), (Some(counts), true));
}

#[test]
fn pages_that_the_server_did_not_write_are_damage() {
    let all = SampleKeys::all();
    let every = |name: &str, file: &[u8]| Dir::with(name, file).check(&all, Depth::EveryPage).remove(0);
    // Bytes of anything else, and a page of the right form from another place.
    let mut elsewhere = vec![0; PAGE];
    elsewhere[7] = 9;
    elsewhere[100] = 1;
    seal(&mut elsewhere);
    let mut unencrypted = table();
    unencrypted[56] &= !0x20;
    unencrypted[INFO..INFO + 115].fill(0);
    seal(&mut unencrypted[..PAGE]);
    for other in [vec![7; PAGE], elsewhere] {
        for name in ["t.ibd", "mysql.ibd", "undo_001"] {
            let mut file = table();
            file[3 * PAGE..4 * PAGE].copy_from_slice(&other);
            let report = every(name, &file);
            assert_eq!((report.state, report.in_clear), (FileState::Damaged, false), "{report:?}");
            assert_eq!(report.pages.unwrap().damaged, 1);
        }
        for name in ["t.ibd", "ibdata1"] {
            let mut file = unencrypted.clone();
            assert_eq!(every(name, &file).state, FileState::NotEncrypted);
            file[3 * PAGE..4 * PAGE].copy_from_slice(&other);
            assert_eq!(every(name, &file).state, FileState::Damaged);
        }
    }
    // Pages 1 and 2 are in every tablespace, unless the redo log still has them.
    let mut lost = table();
    lost[PAGE..].fill(0);
    for depth in [Depth::OnePage, Depth::EveryPage] {
        let dir = Dir::with("t.ibd", &lost);
        assert_eq!(dir.check(&all, depth)[0].state, FileState::Damaged);
        let mut log = redo();
        dir.put("#ib_redo75", &log);
        assert_eq!(dir.check(&all, depth)[1].state, FileState::Damaged);
        for at in [512, 3 * 512] {
            log[at..at + 512].fill(0);
        }
        dir.put("#ib_redo75", &log);
        assert_eq!(dir.check(&all, depth)[1].state, FileState::Opened);
    }
}

#[test]
fn contents_count_more_than_a_name_without_data() {
    for name in ["t.frm", "t.cfg", "ca.pem", "xtrabackup_info"] {
        assert_eq!(judge(name, &table(), &SampleKeys::all()).state, FileState::Opened, "{name}");
        assert_eq!(judge(name, BINLOG, &SampleKeys::default()).state, FileState::KeyMissing, "{name}");
        assert_eq!(Dir::with(name, b"anything else").check(&SampleKeys::all(), Depth::OnePage), []);
    }
}

#[test]
fn states_of_tablespaces_are_distinguished() {
    let changed = |change: &dyn Fn(&mut [u8])| {
        let mut file = table();
        change(&mut file[..PAGE]);
        seal(&mut file[..PAGE]);
        file
    };
    // An undo tablespace does not say that it is encrypted.
    let silent = changed(&|page| page[56] &= !0x20);
    assert_eq!(judge("undo_002", &silent, &SampleKeys::all()).state, FileState::Opened);
    let clear = changed(&|page| {
        page[56] &= !0x20;
        page[INFO..INFO + 115].fill(0);
    });
    for (name, kind, in_clear) in [
        ("t.ibd", DataFileKind::Table, true),
        ("mysql.ibd", DataFileKind::Dictionary, true),
        ("undo_001", DataFileKind::Undo, true),
        ("ibdata1", DataFileKind::System, false),
        ("ibtmp1", DataFileKind::Temporary, false),
    ] {
        let report = judge(name, &clear, &SampleKeys::all());
        assert_eq!(
            (report.kind, report.state, report.in_clear),
            (kind, FileState::NotEncrypted, in_clear),
            "{name}"
        );
    }
    let shared = changed(&|page| page[56] |= 0x08);
    assert_eq!(judge("t.ibd", &shared, &SampleKeys::all()).kind, DataFileKind::General);
    // It says that it is encrypted, and holds no key.
    let keyless = changed(&|page| page[INFO..INFO + 115].fill(0));
    assert_eq!(judge("t.ibd", &keyless, &SampleKeys::all()).state, FileState::Damaged);
    let new = changed(&|page| {
        page[24..26].fill(0);
        page[46..50].fill(0);
        page[INFO..INFO + 115].fill(0);
    });
    assert_eq!(judge("t.ibd", &new, &SampleKeys::all()).state, FileState::Empty);
    let second = changed(&|page| page[6] = 3);
    assert_eq!(judge("ibdata2", &second, &SampleKeys::all()).state, FileState::NotEncrypted);
    assert_eq!(judge("t.ibd", &second, &SampleKeys::all()).state, FileState::Damaged);
    assert_eq!(judge("t.ibd", &vec![0; 7 * PAGE], &SampleKeys::all()).state, FileState::Damaged);
}

#[test]
fn a_redo_file_opens_with_the_key_of_its_log() {
    let report = judge("#ib_redo75", &redo(), &SampleKeys::all());
    assert_eq!((report.state, report.key.as_deref()), (FileState::Opened, Some(INNODB_KEY)), "{report:?}");
    assert_eq!((report.checked_page, report.in_clear), (Some(106), true), "{report:?}");
    let missing = judge("#ib_redo75", &redo(), &SampleKeys::all().without(INNODB_KEY));
    assert_eq!((missing.state, missing.key.as_deref()), (FileState::KeyMissing, Some(INNODB_KEY)));
    assert_eq!(
        judge("#ib_redo75", &redo(), &SampleKeys::all().with(INNODB_KEY, &[1; 32])).state,
        FileState::WrongKey
    );

    // A later file has no information: the key is that of the file with the checkpoint.
    let mut later = redo();
    later[1024..1536].fill(0);
    later[512..1024].fill(0);
    later[1536..2048].fill(0);
    let alone = judge("#ib_redo76", &later, &SampleKeys::all());
    assert_eq!(alone.state, FileState::Damaged, "{alone:?}");
    let dir = Dir::with("#ib_redo75", &redo());
    dir.put("#ib_redo76", &later);
    dir.put("#ib_redo77_tmp", &vec![0; 4096]);
    let states: Vec<_> = dir.check(&SampleKeys::all(), Depth::OnePage).iter().map(|r| r.state).collect();
    assert_eq!(states, [FileState::Opened, FileState::Opened, FileState::Empty]);

    let mut clear = later;
    clear[106 * 512..107 * 512].fill(0);
    let report = judge("#ib_redo76", &clear, &SampleKeys::all());
    assert_eq!((report.state, report.in_clear), (FileState::NotEncrypted, true));
}

#[test]
fn flipped_bytes_of_redo_and_binary_logs_are_noticed() {
    let redo = redo();
    flip("#ib_redo75", &redo, 0..5 * 512, &SampleKeys::all(), |at, report| {
        // The first block and the key of the log. (The first block in clear is not decrypted.)
        if at < 512 || (1072..1183).contains(&at) {
            assert!(report.state.is_failure(), "byte {at}: {report:?}");
        }
    });
    flip("#ib_redo75", &redo, 106 * 512..107 * 512, &SampleKeys::all(), |at, report| {
        assert_ne!(report.checked_page, Some(106), "byte {at}: {report:?}");
    });
    // Fields: version, id with type and length, password with type, initialisation vector with type.
    let fields = 4..5 + 2 + BINLOG_KEY.len() + 33 + 17;
    flip("b.000001", BINLOG, fields.clone(), &SampleKeys::all(), |at, report| {
        assert!(report.state.is_failure(), "byte {at}: {report:?}");
    });
    flip("b.000001", BINLOG, fields.end..BINLOG.len(), &SampleKeys::all(), |_, _| {});
}

#[test]
fn a_binary_log_opens_with_its_master_key_alone() {
    let report = judge("b.000001", BINLOG, &SampleKeys::all());
    assert_eq!((report.kind, report.state), (DataFileKind::BinaryLog, FileState::Opened));
    assert_eq!(report.key.as_deref(), Some(BINLOG_KEY));
    assert_eq!(
        judge("b.000001", BINLOG, &SampleKeys::all().without(BINLOG_KEY)).state,
        FileState::KeyMissing
    );
    for other in [&[7; 32][..], &[7; 16], &[7; 33]] {
        assert_eq!(
            judge("b.000001", BINLOG, &SampleKeys::all().with(BINLOG_KEY, other)).state,
            FileState::WrongKey
        );
    }
    let clear = judge("b.000001", b"\xfebin and so on", &SampleKeys::all());
    assert_eq!((clear.state, clear.in_clear), (FileState::NotEncrypted, true));
    for name in ["something.000001", "something"] {
        assert_eq!(judge(name, b"else", &SampleKeys::all()).state, FileState::NotChecked, "{name}");
        let log = judge(name, BINLOG, &SampleKeys::all());
        assert_eq!((log.kind, log.state), (DataFileKind::BinaryLog, FileState::Opened), "{name}");
    }
    assert_eq!(judge("b.000001", b"", &SampleKeys::all()).state, FileState::Empty);
}

#[test]
fn pages_in_doublewrite_files_open_with_the_keys_of_their_tablespaces() {
    let file = table();
    let page = &file[4 * PAGE..5 * PAGE];
    let mut clear = page.to_vec();
    clear[24..26].copy_from_slice(&17855_u16.to_be_bytes());
    let pages = [page, &clear, &[0; PAGE], &file[..PAGE]].concat();
    let dir = Dir::with("#ib_4096_0.dblwr", &pages);
    let alone = dir.only(&SampleKeys::all());
    assert_eq!((alone.state, alone.in_clear), (FileState::NotEncrypted, true), "{alone:?}");
    dir.put("t.ibd", &table());
    let reports = dir.check(&SampleKeys::all(), Depth::OnePage);
    let (state, page) = (reports[0].state, reports[0].checked_page);
    assert_eq!(
        (reports[0].kind, state, page),
        (DataFileKind::Doublewrite, FileState::Opened, Some(4)),
        "{reports:?}"
    );
    assert!(reports[0].in_clear);
    let missing = dir.check(&SampleKeys::default(), Depth::OnePage);
    assert_eq!((missing[0].state, missing[0].key.as_deref()), (FileState::KeyMissing, Some(INNODB_KEY)));
    // Page 0 is never encrypted, and pages that are gone with their tablespace are no fault.
    let gone =
        judge("#ib_4096_0.dblwr", &[&file[..PAGE], &file[4 * PAGE..5 * PAGE]].concat(), &SampleKeys::all());
    assert_eq!((gone.state, gone.in_clear), (FileState::Empty, false), "{gone:?}");
}

#[test]
fn the_needed_keys_are_listed_without_a_keyring() {
    let dir = Dir::with("t.ibd", &table());
    dir.put("b.000001", BINLOG);
    dir.put("#ib_redo75", &redo());
    dir.put("auto.cnf", b"");
    dir.put("u.ibd.zst", b"x");
    let NeededKeys { keys, unknown } = master_keys(&find(&[dir.path().to_owned()]));
    assert_eq!(unknown.iter().map(|file| file.state).collect::<Vec<_>>(), [FileState::NotChecked]);
    let names = |id: &str| -> Vec<_> {
        keys[id].iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(INNODB_KEY), ["#ib_redo75", "t.ibd"]);
    assert_eq!(names(BINLOG_KEY), ["b.000001"]);
    assert_eq!(keys.len(), 2);
}

#[test]
fn files_of_other_engines_and_exports_are_unencrypted() {
    let dir = Dir::with("t.MYD", b"row");
    dir.put("general_log.CSV", b"");
    dir.put("t.cfp", b"key");
    let found: Vec<_> =
        dir.check(&SampleKeys::all(), Depth::OnePage).iter().map(|r| (r.kind, r.state, r.in_clear)).collect();
    let expected = [
        (DataFileKind::OtherEngine, FileState::Empty, false),
        (DataFileKind::OtherEngine, FileState::NotEncrypted, true),
        (DataFileKind::TransferKey, FileState::NotEncrypted, true),
    ];
    assert_eq!(found, expected);
}

#[test]
fn random_bytes_never_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let whole = table();
    let dir = Dir::new();
    let names = ["t.ibd", "undo_001", "#ib_redo1", "b.000001", "#ib_4096_0.dblwr", "ibdata1", "ibtmp1"];
    for _ in 0..300 {
        for name in names {
            let mut bytes: Vec<u8> = match random() % 3 {
                0 => whole.clone(),
                1 => redo(),
                _ => BINLOG.to_vec(),
            };
            for _ in 0..random() % 40 {
                let at = random() as usize % bytes.len().min(if random() % 2 == 0 { 2048 } else { 64 });
                bytes[at] = random() as u8;
            }
            bytes.truncate(random() as usize % (bytes.len() + 1));
            dir.put(name, &bytes);
        }
        for depth in [Depth::OnePage, Depth::EveryPage] {
            dir.check(&SampleKeys::all(), depth);
        }
    }
}
