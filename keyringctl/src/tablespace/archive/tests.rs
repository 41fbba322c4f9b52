// SPDX-License-Identifier: GPL-2.0-or-later
//! Archives that tar and this file make.

use super::*;
use crate::tablespace::samples::{BINLOG, BINLOG_KEY, INNODB_KEY, SampleKeys, redo, table};
use std::process::Command;

fn site() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("data/{}", "long/".repeat(30));
    for sub in ["data/clinic", "data/#innodb_redo", &long] {
        std::fs::create_dir_all(dir.path().join(sub)).unwrap();
    }
    // With the block of its checkpoint.
    let mut log = redo();
    log.resize(400 * 512, 0);
    for (name, bytes) in [
        ("data/clinic/t.ibd", &table()[..]),
        (&format!("{long}u.ibd"), &table()),
        ("data/binlog.000001", BINLOG),
        ("data/#innodb_redo/#ib_redo1", &log),
        ("data/auto.cnf", b"[auto]\n"),
    ] {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

fn tar(dir: &Path, options: &[&str]) -> PathBuf {
    let status = Command::new("tar").current_dir(dir).args(options).args(["-f", "b.tar", "data"]).status();
    assert!(status.unwrap().success());
    dir.join("b.tar")
}

fn stream(dir: &Path, names: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let chunk = |bytes: &mut Vec<u8>, kind: u8, name: &str| {
        bytes.extend(CHUNK);
        bytes.extend([0, kind]);
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend(name.as_bytes());
    };
    let files: Vec<_> = names.iter().map(|name| std::fs::read(dir.join(name)).unwrap()).collect();
    // The chunks of several files are mixed.
    for n in 0..files.iter().map(|file| file.len().div_ceil(1000)).max().unwrap() {
        for (name, file) in names.iter().zip(&files) {
            let part = &file[(n * 1000).min(file.len())..((n + 1) * 1000).min(file.len())];
            if !part.is_empty() {
                chunk(&mut bytes, b'P', name);
                bytes.extend((part.len() as u64).to_le_bytes());
                bytes.extend((n as u64 * 1000).to_le_bytes());
                bytes.extend([0; 4]);
                bytes.extend(part);
            }
        }
    }
    names.iter().for_each(|name| chunk(&mut bytes, b'E', name));
    bytes
}

#[test]
fn archives_need_what_their_files_need() {
    for options in
        [&["-c", "-H", "gnu"][..], &["-c", "-H", "pax"], &["-cz", "-H", "gnu"], &["-c", "-H", "ustar"]]
    {
        let dir = site();
        let archive = tar(dir.path(), options);
        let needed = archive_keys(&archive, &SampleKeys::all()).unwrap().unwrap();
        assert_eq!(needed.unknown, [], "{options:?}");
        let named: Vec<_> = needed.keys.keys().map(String::as_str).collect();
        assert_eq!(named, [INNODB_KEY, BINLOG_KEY], "{options:?}");
        let files = &needed.keys[INNODB_KEY];
        assert!(files.contains(&archive.join("data/clinic/t.ibd")), "{files:?}");
        assert!(files.iter().any(|file| file.ends_with("long/long/u.ibd")), "{files:?}");
    }
}

#[test]
fn what_follows_the_end_of_an_archive_is_not_left_out() {
    let dir = site();
    for options in [&["-c"][..], &["-cz"]] {
        let one = std::fs::read(tar(dir.path(), options)).unwrap();
        let two = dir.path().join("two.tar");
        std::fs::write(&two, [&one[..], &one].concat()).unwrap();
        let error = archive_keys(&two, &SampleKeys::all()).unwrap_err().to_string();
        assert!(error.contains("--ignore-zeros"), "{options:?}: {error}");
    }
    let one = std::fs::read(tar(dir.path(), &["-c"])).unwrap();
    let padded = dir.path().join("padded.tar");
    std::fs::write(&padded, [&one[..], &[0; 100_000]].concat()).unwrap();
    assert_eq!(archive_keys(&padded, &SampleKeys::all()).unwrap().unwrap().unknown, []);
    assert!(is_archive(&padded).unwrap() && !is_archive(&dir.path().join("data/auto.cnf")).unwrap());
}

#[test]
fn what_is_not_read_of_an_archive_is_named() {
    let dir = site();
    std::fs::write(dir.path().join("data/clinic/v.ibd.zst"), "x").unwrap();
    std::fs::write(dir.path().join("data/notes.docx"), "x").unwrap();
    let archive = tar(dir.path(), &["-c"]);
    let needed = archive_keys(&archive, &NoKeys).unwrap().unwrap();
    let mut unknown: Vec<_> = needed.unknown.iter().map(|file| file.path.clone()).collect();
    unknown.sort();
    assert_eq!(unknown, ["data/clinic/v.ibd.zst", "data/notes.docx"].map(|name| archive.join(name)));
    let bytes = std::fs::read(&archive).unwrap();
    std::fs::write(&archive, &bytes[..bytes.len() / 2 / 512 * 512 + 100]).unwrap();
    archive_keys(&archive, &NoKeys).unwrap_err();
    std::fs::write(&archive, "-- MySQL dump").unwrap();
    assert_eq!(archive_keys(&archive, &NoKeys).unwrap(), None);
}

#[test]
fn an_xbstream_needs_what_its_files_need() {
    let dir = site();
    let bytes = stream(dir.path(), &["data/clinic/t.ibd", "data/binlog.000001", "data/auto.cnf"]);
    let archive = dir.path().join("b.xbstream");
    std::fs::write(&archive, &bytes).unwrap();
    let needed = archive_keys(&archive, &NoKeys).unwrap().unwrap();
    assert_eq!((needed.unknown, needed.keys.len()), (vec![], 2));
    for cut in [bytes.len() - 1, bytes.len() / 2, 100] {
        std::fs::write(&archive, &bytes[..cut]).unwrap();
        archive_keys(&archive, &NoKeys).unwrap_err();
    }
}
