// SPDX-License-Identifier: GPL-2.0-or-later
//! Tests with files as older servers, other servers and exports leave them.

use super::info::{EncryptionInfo, KEY, TRANSFER_FILE};
use super::samples::{INFO, INNODB_KEY, PAGE, SampleKeys, redo, seal, table};
use super::tests::{Dir, judge};
use super::*;
use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

/// The table, of which the first page has been changed.
fn changed(change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut file = table();
    change(&mut file[..PAGE]);
    file
}

#[test]
fn checksums_of_the_first_servers_are_right() {
    let with_sums = |first: [u8; 4], last: [u8; 4]| {
        changed(|page| {
            // The upper half of the LSN, which these servers stored at the end of the page.
            page[16..20].copy_from_slice(&[0, 0, 0, 7]);
            page[..4].copy_from_slice(&first);
            page[PAGE - 8..PAGE - 4].copy_from_slice(&last);
        })
    };
    let state = |file: &[u8]| judge("t.ibd", file, &SampleKeys::all()).state;
    assert_eq!(state(&with_sums([0; 4], [0, 0, 0, 7])), FileState::Opened);
    for (first, last) in [([0; 4], [0, 0, 0, 8]), ([0; 4], [0; 4]), ([1; 4], [0, 0, 0, 7]), ([9; 4], [9; 4])]
    {
        assert_eq!(state(&with_sums(first, last)), FileState::Damaged, "{first:?} {last:?}");
    }
}

#[test]
fn the_type_of_a_first_page_may_be_anything_but_encrypted() {
    for (kind, state) in [(0_u16, FileState::Opened), (17, FileState::Damaged), (0xabcd, FileState::Opened)] {
        let file = changed(|page| {
            page[24..26].copy_from_slice(&kind.to_be_bytes());
            seal(page);
        });
        assert_eq!(judge("ibdata1", &file, &SampleKeys::all()).state, state, "{kind}");
    }
}

#[test]
fn encryption_information_of_another_kind_is_not_checked() {
    let with_info = |flag: bool, info: &[u8]| {
        changed(|page| {
            if !flag {
                page[56] &= !0x20;
            }
            page[INFO..INFO + 115].fill(0);
            page[INFO..INFO + info.len()].copy_from_slice(info);
            seal(page);
        })
    };
    for (flag, info, state, word) in [
        (false, &b"PSC\x01"[..], FileState::NotChecked, "Percona"),
        (false, b"PSC\0\0\0\0\x01", FileState::NotEncrypted, ""),
        (false, b"lCD", FileState::NotChecked, "version"),
        (true, b"lCD", FileState::NotChecked, "version"),
        (true, b"xyz", FileState::NotChecked, "kind"),
        // Nobody reads what is there if the tablespace is not encrypted.
        (false, b"xyz", FileState::NotEncrypted, ""),
        (true, b"", FileState::Damaged, "no encryption information"),
    ] {
        let report = judge("t.ibd", &with_info(flag, info), &SampleKeys::all());
        assert_eq!(report.state, state, "{flag} {info:?}: {report:?}");
        assert!(word.is_empty() || report.notes[0].contains(word), "{report:?}");
    }
    let mut log = redo();
    log[1072..1075].copy_from_slice(b"lRK");
    assert_eq!(judge("ib_logfile0", &log, &SampleKeys::all()).state, FileState::NotChecked);
}

#[test]
fn files_of_mariadb_are_not_checked() {
    let mut file = changed(|page| page[54..58].copy_from_slice(&0x13_u32.to_be_bytes()));
    let sum = crc32c::crc32c(&file[..PAGE - 4]).to_be_bytes();
    file[PAGE - 4..PAGE].copy_from_slice(&sum);
    let report = judge("t.ibd", &file, &SampleKeys::all());
    assert_eq!(report.state, FileState::NotChecked, "{report:?}");
    file[2000] ^= 1;
    assert_eq!(judge("t.ibd", &file, &SampleKeys::all()).state, FileState::Damaged);
    for mark in [b"Phys", &[b'P' | 0x80, b'h', b'y', b's']] {
        let mut log = redo();
        log[..4].copy_from_slice(mark);
        assert_eq!(judge("ib_logfile0", &log, &SampleKeys::all()).state, FileState::NotChecked);
    }
}

const BLOCK: usize = 512;

/// A file of an older redo log: a ring, with one block somewhere.
fn ring(at: usize, block: &[u8]) -> Vec<u8> {
    let mut log = redo();
    log[..4].copy_from_slice(&4_u32.to_be_bytes());
    let sum = crc32c::crc32c(&log[..BLOCK - 4]).to_be_bytes();
    log[BLOCK - 4..BLOCK].copy_from_slice(&sum);
    log.truncate(4 * BLOCK);
    log.resize(300 * BLOCK, 0);
    log[at * BLOCK..(at + 1) * BLOCK].copy_from_slice(block);
    log
}

#[test]
fn a_ring_of_redo_is_read_wherever_its_blocks_are() {
    let encrypted = redo()[106 * BLOCK..107 * BLOCK].to_vec();
    let clear = [&[0, 0, 0, 1, 0, 40, 0, 0, 0, 0, 0, 0][..], &[b'x'; 500]].concat();
    for at in [4, 5, 6, 150, 299] {
        let report = judge("ib_logfile0", &ring(at, &encrypted), &SampleKeys::all());
        assert_eq!((report.state, report.checked_page), (FileState::Opened, Some(at as u64)), "{report:?}");
        let mut log = ring(at, &clear);
        log[1072..1187].fill(0);
        let report = judge("ib_logfile0", &log, &SampleKeys::all());
        assert_eq!((report.state, report.in_clear), (FileState::NotEncrypted, true), "{at}: {report:?}");
    }
    // Before 5.7.9: the log's number, the first LSN, the file's number, and no checksum.
    let mut log = ring(77, &clear);
    log[..2048].fill(0);
    log[4..12].copy_from_slice(&0x2000_u64.to_be_bytes());
    log[16..24].copy_from_slice(b"ibbackup");
    let report = judge("ib_logfile0", &log, &SampleKeys::all());
    assert_eq!((report.state, report.in_clear), (FileState::NotEncrypted, true), "{report:?}");
}

/// What FLUSH TABLES ... FOR EXPORT writes beside the table.
fn transfer_file() -> Vec<u8> {
    let info = EncryptionInfo::parse(&table()[INFO..]).unwrap().unwrap();
    let mut sealed = info.open(&SampleKeys::all().0[1].1).unwrap().unwrap().bytes().to_vec();
    let transfer = [5; KEY];
    let cipher = Aes256::new((&transfer).into());
    sealed.as_chunks_mut::<16>().0.iter_mut().for_each(|block| cipher.encrypt_block(block.into()));
    [&32_u32.to_be_bytes()[..], &transfer, &sealed].concat()
}

#[test]
fn an_exported_table_opens_with_the_transfer_key_beside_it() {
    let none = SampleKeys::all().without(INNODB_KEY);
    let wrong = SampleKeys::all().with(INNODB_KEY, &[3; 32]);
    let dir = Dir::with("t.ibd", &table());
    let file = transfer_file();
    assert_eq!(file.len(), TRANSFER_FILE);
    for (keys, without) in [(&none, FileState::KeyMissing), (&wrong, FileState::WrongKey)] {
        let report = |dir: &Dir| {
            let reports = dir.check(keys, Depth::OnePage);
            reports.into_iter().find(|report| report.kind == DataFileKind::Table).unwrap()
        };
        dir.put("t.cfp", &file);
        let by_transfer = report(&dir);
        assert_eq!(
            (by_transfer.state, by_transfer.checked_page, by_transfer.by_transfer_key),
            (FileState::Opened, Some(4), true)
        );
        assert_eq!(by_transfer.key.as_deref(), Some(INNODB_KEY));
        for (other, noted) in [(&file[..99], 0), (&[&file[..40], &[0; 60]].concat(), 1), (b"", 0)] {
            dir.put("t.cfp", other);
            let report = report(&dir);
            assert_eq!((report.state, report.by_transfer_key), (without, false), "{report:?}");
            assert_eq!(report.notes.len(), noted, "{report:?}");
        }
    }
    // The keyring is tried first.
    dir.put("t.cfp", &file);
    let own = dir.check(&SampleKeys::all(), Depth::EveryPage);
    assert!(own.iter().all(|report| !report.by_transfer_key), "{own:?}");
}
