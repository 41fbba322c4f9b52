// SPDX-License-Identifier: GPL-2.0-or-later
//! Backups that are one file, as `keyringctl keys needed` reads them: tar, also with gzip, and xbstream.

use super::innodb::{BINLOG, Keys, REDO, TABLE};
use flate2::Compression;
use flate2::write::GzEncoder;
use keyringctl::tablespace::{MasterKeys, NeededKeys, NoKeys, archive_keys};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

const BLOCK: usize = 512;

/// An archive. The input is a byte of flags, then the archive: 1 repairs the checksums of tar's headers, 2 compresses it, 4
/// leaves the master keys out.
pub fn archive(data: &[u8]) {
    let Some((flags, data)) = data.split_first() else { return };
    let mut file = data.to_vec();
    if flags & 1 > 0 {
        sum_headers(&mut file);
    }
    let keys: &dyn MasterKeys = if flags & 4 > 0 { &NoKeys } else { &Keys };
    let dir = super::settings::scratch();
    let path = dir.path().join("backup");
    let needed = read(&path, &file, keys);
    if flags & 2 > 0 {
        // What is compressed needs the same keys, unless it was compressed before.
        let packed = read(&path, &gzip(&file), keys);
        if !file.starts_with(&[0x1f, 0x8b]) {
            assert_eq!(packed, needed);
        }
    }
}

/// The ids of the keys that an archive needs with the number of files for each, and the number of files that are not
/// known; `None` if it is no archive, or damaged.
type Counts = Option<(Vec<(String, usize)>, usize)>;

fn read(path: &Path, file: &[u8], keys: &dyn MasterKeys) -> Counts {
    fs::write(path, file).expect("the directory takes a file");
    let NeededKeys { keys, unknown } = archive_keys(path, keys).ok()??;
    let paths: Vec<&PathBuf> = keys.values().flatten().chain(unknown.iter().map(|file| &file.path)).collect();
    assert!(paths.iter().all(|file| file.starts_with(path)), "{paths:?}");
    for report in &unknown {
        serde_json::to_string(report).expect("a report is JSON");
        assert!(!report.notes.is_empty(), "why it is not known: {report:?}");
    }
    Some((keys.iter().map(|(id, files)| (id.clone(), files.len())).collect(), unknown.len()))
}

fn gzip(file: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(file).expect("memory");
    packed.finish().expect("memory")
}

fn octal(field: &[u8]) -> Option<usize> {
    let digits = field.split(|b| *b == 0).next()?;
    usize::from_str_radix(std::str::from_utf8(digits).ok()?.trim(), 8).ok()
}

/// Repairs the checksums of all headers that follow one another.
fn sum_headers(file: &mut [u8]) {
    let mut at = 0_usize;
    while let Some(header) = at.checked_add(BLOCK).and_then(|end| file.get_mut(at..end)) {
        if header.iter().all(|b| *b == 0) {
            return;
        }
        sum_header(header);
        let size = if matches!(header[156], b'1' | b'5') { Some(0) } else { octal(&header[124..136]) };
        let Some(next) = size.and_then(|size| size.checked_next_multiple_of(BLOCK)?.checked_add(at + BLOCK))
        else {
            return;
        };
        at = next;
    }
}

fn sum_header(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A header of tar, and what follows it.
fn member(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut member = vec![0; BLOCK];
    member[..name.len()].copy_from_slice(name.as_bytes());
    member[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
    member[156] = kind;
    member[257..265].copy_from_slice(b"ustar\x0000");
    sum_header(&mut member);
    member.extend(bytes);
    member.resize(member.len().next_multiple_of(BLOCK), 0);
    member
}

fn chunk(kind: u8, name: &str, at: u64, bytes: &[u8]) -> Vec<u8> {
    let mut chunk =
        [&b"XBSTCK01\0"[..], &[kind], &(name.len() as u32).to_le_bytes(), name.as_bytes()].concat();
    if kind == b'P' {
        chunk.extend((bytes.len() as u64).to_le_bytes());
        chunk.extend(at.to_le_bytes());
        chunk.extend([0; 4]);
        chunk.extend(bytes);
    }
    chunk
}

/// Archives of each form.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let files = [
        member("data/", b'5', b""),
        member("data/clinic/t.ibd", b'0', TABLE),
        member("data/binlog.000001", 0, BINLOG),
        member("data/auto.cnf", b'0', b"[auto]\n"),
    ]
    .concat();
    let log = member("data/#innodb_redo/#ib_redo1", b'0', REDO);
    let long = [member("././@LongLink", b'L', b"data/clinic/u.ibd\0"), member("cut", b'0', TABLE)].concat();
    let pax = [member("x", b'x', b"26 path=data/clinic/v.ibd\n13 size=8192\n"), member("cut", b'0', TABLE)]
        .concat();
    let others = [
        member("data/clinic/w.ibd", b'2', b""),
        member("data/t.ibd.zst", b'0', b"x"),
        member("data/s.ibd", b'S', b""),
    ]
    .concat();
    let end = vec![0; 2 * BLOCK];
    let mut large = member("data/ibdata1", b'0', TABLE);
    // The same size in binary.
    large[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0]);
    let tars = [
        [&files[..], &log, &end].concat(),
        [&long[..], &end].concat(),
        [&pax[..], &end].concat(),
        [&large[..], &others].concat(),
    ];
    let table = "clinic/t.ibd";
    let stream = [
        chunk(b'P', table, 0, &TABLE[..5000]),
        chunk(b'P', "binlog.000001", 0, BINLOG),
        chunk(b'P', table, 5000, &TABLE[5000..]),
        chunk(b'E', "binlog.000001", 0, b""),
        chunk(b'E', table, 0, b""),
    ]
    .concat();
    let with = |flags: u8, file: &[u8]| [&[flags], file].concat();
    let mut seeds: Vec<_> = tars.iter().map(|tar| with(1, tar)).collect();
    seeds.extend([with(1 | 2, &tars[0]), with(1 | 2 | 4, &tars[3])]);
    seeds.extend([with(0, &stream), with(2, &stream), with(0, &gzip(&tars[2]))]);
    seeds
}
