// SPDX-License-Identifier: GPL-2.0-or-later
//! Files of a server's data directory: tablespaces, the doublewrite buffer, the redo log, binary logs.

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, KeyInit};
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use keyringctl::tablespace::{
    DataFileKind, DataFiles, Depth, FileReport, FileState, MasterKeys, NoKeys, check, count_forms,
};
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Pages 0 and 4 of a table of one row, with pages of 4 KiB.
pub const TABLE: &[u8] = include_bytes!("../../keyringctl/src/tablespace/samples/table");
/// Its pages 1 and 2, encrypted, without content.
const FIRST_PAGES: &[u8] = include_bytes!("../../keyringctl/src/tablespace/samples/first_pages");
/// Header, first block and block 106 of a redo file.
pub const REDO: &[u8] = include_bytes!("../../keyringctl/src/tablespace/samples/redo");
/// The front of an encrypted binary log.
pub const BINLOG: &[u8] = include_bytes!("../../keyringctl/src/tablespace/samples/binlog");

const PAGE: usize = 4096;
const BLOCK: usize = 512;
/// How many blocks the header of a redo file and the first block after it take.
const REDO_FRONT: usize = 5;
const REDO_BLOCK: usize = 106;
/// Where in page 0 of the table the key of the tablespace is sealed, and how many bytes that are.
const SEALED: std::ops::Range<usize> = 1601..1665;

/// The master keys that the samples need. They come from a throw-away server and protect nothing.
pub(super) struct Keys;

const MASTER_KEYS: [(&str, [u8; 32]); 2] = [
    (
        "INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-2",
        *b"\x10\x25\x16\x99\x5e\x5f\x51\x31\x35\xd5\x30\x6f\x6e\x41\xaf\x36\xf4\xce\xf1\x77\xbd\x2a\x86\xc5\xaa\x96\x76\x3b\x52\xd8\xb4\x0b",
    ),
    (
        "MySQLReplicationKey_e6e52dec-e7fc-11f1-ada4-02fc00000001_1",
        *b"\x46\x56\xfd\x19\x85\x22\xa0\x69\x5c\x93\x19\x68\x86\x8d\x71\xd4\xe2\x0a\xe3\x4a\xdf\x92\x55\x36\x0b\xc0\xe4\x1b\x7f\x8d\xf5\xde",
    ),
];

impl MasterKeys for Keys {
    fn with_key(&self, id: &str, look: &mut dyn FnMut(&[u8])) -> bool {
        MASTER_KEYS.iter().find(|(name, _)| *name == id).inspect(|(_, key)| look(key)).is_some()
    }

    fn ids(&self) -> Vec<String> {
        MASTER_KEYS.iter().map(|(id, _)| (*id).to_owned()).collect()
    }
}

/// Decrypts a tablespace key: the cipher's key, then the initialisation vector.
fn unsealed(sealed: &[u8]) -> [u8; 64] {
    let master = Aes256::new(&MASTER_KEYS[0].1.into());
    let mut key = [0; 64];
    key.copy_from_slice(sealed);
    key.as_chunks_mut::<16>().0.iter_mut().for_each(|block| master.decrypt_block(block.into()));
    key
}

/// Encrypts a page or a block after its unencrypted front, as the server does.
fn encrypt(data: &mut [u8], key: &[u8; 64]) {
    let cbc = |data: &mut [u8]| {
        let cipher =
            cbc::Encryptor::<Aes256>::new_from_slices(&key[..32], &key[32..48]).expect("lengths fit");
        let len = data.len();
        cipher.encrypt_padded::<NoPadding>(data, len).expect("whole blocks");
    };
    let whole = data.len() / 16 * 16;
    cbc(&mut data[..whole]);
    if whole < data.len() {
        let last = data.len() - 32;
        cbc(&mut data[last..]);
    }
}

/// A data directory. Its files are dated back, because keyringctl reads a file again that was written just now.
struct Dir {
    dir: TempDir,
    found: DataFiles,
}

impl Dir {
    fn new() -> Self {
        Self { dir: super::settings::scratch(), found: DataFiles::default() }
    }

    fn put(&mut self, name: &str, kind: DataFileKind, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).expect("the directory takes a file");
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        File::options().write(true).open(&path).and_then(|f| f.set_modified(long_ago)).expect("its own file");
        self.found.files.push((path.clone(), kind));
        path
    }

    fn check(&self, keys: bool, depth: Depth) -> Vec<FileReport> {
        let keys: &dyn MasterKeys = if keys { &Keys } else { &NoKeys };
        let reports = check(&self.found, keys, depth, &mut |_, _| {});
        for report in &reports {
            assert_ne!(report.state, FileState::Unreadable, "{report:?}");
            serde_json::to_string(report).expect("a report is JSON");
            let _ = (report.kind.name(), report.state.name());
        }
        for (path, kind) in &self.found.files {
            count_forms(path, *kind).expect("the file is readable");
        }
        reports
    }
}

/// A tablespace, and the same pages as a doublewrite file. The input is a byte of flags, then the pages.
pub fn tablespace(data: &[u8]) {
    let Some((flags, data)) = data.split_first() else { return };
    let kinds = [
        DataFileKind::Table,
        DataFileKind::General,
        DataFileKind::Dictionary,
        DataFileKind::Undo,
        DataFileKind::System,
        DataFileKind::Temporary,
        DataFileKind::Table,
        DataFileKind::Undo,
    ];
    let kind = kinds[usize::from(flags & 7)];
    let depth = if flags & 8 > 0 { Depth::EveryPage } else { Depth::OnePage };
    let mut file = data.to_vec();
    if flags & 16 > 0 {
        spread(&mut file);
    }
    if flags & 32 > 0 {
        encrypt_pages(&mut file);
    }
    if flags & 64 > 0 {
        sum_page0(&mut file);
    }
    let keys = flags & 128 == 0;
    let mut dir = Dir::new();
    dir.put("t.ibd", kind, &file);
    if depth == Depth::EveryPage {
        dir.put("#ib_4096_0.dblwr", DataFileKind::Doublewrite, &file);
    }
    let reports = dir.check(keys, depth);
    assert!(reports.iter().any(|report| report.path.ends_with("t.ibd")));
}

/// Moves the pages after the first one to where the sample's second page belongs, so that inputs stay short.
fn spread(file: &mut Vec<u8>) {
    if file.len() > PAGE {
        file.splice(PAGE..PAGE, FIRST_PAGES.iter().copied().chain([0; PAGE]));
        file.resize(file.len().max(7 * PAGE), 0);
    }
}

/// Encrypts plaintext pages with the key of the sample, whose page 0 replaces the first one. Only pages of an encrypted
/// type are encrypted.
fn encrypt_pages(file: &mut [u8]) {
    const TYPE: usize = 24;
    const OLD_TYPE: usize = 28;
    const COMPRESSED_LEN: usize = 32;
    const DATA: usize = 38;
    const RTREE: u16 = 17854;
    let Some((first, pages)) = file.split_at_mut_checked(PAGE) else { return };
    first.copy_from_slice(&TABLE[..PAGE]);
    let key = unsealed(&TABLE[SEALED]);
    // The first two are encrypted already.
    for page in pages.chunks_exact_mut(PAGE).skip(FIRST_PAGES.len() / PAGE) {
        let word = |at| u16::from_be_bytes([page[at], page[at + 1]]);
        match word(TYPE) {
            // Encrypted, and encrypted R-tree: the checksum is that of the plaintext page.
            kind @ (15 | 17) => {
                let old = if kind == 17 { RTREE } else { word(OLD_TYPE) };
                page[TYPE..TYPE + 2].copy_from_slice(&old.to_be_bytes());
                sum_page(page);
                page[TYPE..TYPE + 2].copy_from_slice(&kind.to_be_bytes());
                encrypt(&mut page[DATA..], &key);
            }
            // Compressed, then encrypted, up to the length that the page states.
            16 => {
                let len = (usize::from(word(COMPRESSED_LEN)) + DATA).max(DATA + 32);
                if let Some(data) = page.get_mut(DATA..len) {
                    encrypt(data, &key);
                }
            }
            _ => {}
        }
    }
}

/// Repairs the checksum of page 0.
fn sum_page0(file: &mut [u8]) {
    const FLAGS: usize = 54;
    let Some(code) = file.get(FLAGS + 2..FLAGS + 4) else { return };
    let code = u16::from_be_bytes([code[0], code[1]]) >> 6 & 0xf;
    let size = if code == 0 { 16384 } else { 512 << code };
    file.get_mut(..size).filter(|_| size >= PAGE).map(sum_page);
}

fn sum_page(page: &mut [u8]) {
    let end = page.len() - 8;
    // Both ends have the lower half of the LSN.
    page.copy_within(20..24, end + 4);
    let sum = (crc32c::crc32c(&page[4..26]) ^ crc32c::crc32c(&page[38..end])).to_be_bytes();
    page[..4].copy_from_slice(&sum);
    page[end..end + 4].copy_from_slice(&sum);
}

/// One or two files of the redo log. The input is a byte of flags, then the blocks.
pub fn redo(data: &[u8]) {
    let Some((flags, data)) = data.split_first() else { return };
    let mut file = data.to_vec();
    if flags & 1 > 0 && file.len() > REDO_FRONT * BLOCK {
        let zeros = vec![0; (REDO_BLOCK - REDO_FRONT) * BLOCK];
        file.splice(REDO_FRONT * BLOCK..REDO_FRONT * BLOCK, zeros);
        file.resize(file.len().max(132 * BLOCK), 0);
    }
    if flags & 2 > 0 {
        encrypt_blocks(&mut file);
    }
    if flags & 4 > 0 {
        for n in [0, 1, 3] {
            file.get_mut(n * BLOCK..(n + 1) * BLOCK).map(sum_block);
        }
    }
    let mut dir = Dir::new();
    if flags & 8 > 0 {
        let (first, second) = file.split_at(file.len() / 2 / BLOCK * BLOCK);
        dir.put("#ib_redo1", DataFileKind::Redo, first);
        dir.put("#ib_redo2", DataFileKind::Redo, second);
    } else {
        dir.put("#ib_redo1", DataFileKind::Redo, &file);
    }
    dir.check(flags & 128 == 0, Depth::OnePage);
}

fn sum_block(block: &mut [u8]) {
    let sum = crc32c::crc32c(&block[..BLOCK - 4]).to_be_bytes();
    block[BLOCK - 4..].copy_from_slice(&sum);
}

/// Gives the file the key of the sample, and encrypts the blocks that are marked as encrypted.
fn encrypt_blocks(file: &mut [u8]) {
    const INFO: std::ops::Range<usize> = 2 * BLOCK..3 * BLOCK;
    let Some(info) = file.get_mut(INFO) else { return };
    info.copy_from_slice(&REDO[INFO]);
    // After the version, the number of the master key and the UUID of the server, as in page 0.
    let at = 2 * BLOCK + 48 + 43;
    let key = unsealed(&REDO[at..at + 64]);
    for block in file.chunks_exact_mut(BLOCK).skip(4).filter(|block| block[4] & 0x80 > 0) {
        block[4] &= 0x7f;
        sum_block(block);
        block[4] |= 0x80;
        encrypt(&mut block[12..], &key);
    }
}

/// A file with the name of a binary log.
pub fn binlog(data: &[u8]) {
    let mut dir = Dir::new();
    dir.put("binlog.000001", DataFileKind::BinaryLog, data);
    for report in dir.check(true, Depth::OnePage) {
        let named = matches!(report.state, FileState::Opened | FileState::KeyMissing | FileState::WrongKey);
        assert_eq!(
            report.key.is_some(),
            named || (report.state == FileState::Damaged && report.key.is_some())
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails, the targets run but reach little of the code.
    #[test]
    fn the_seeds_are_opened_and_so_are_pages_that_are_encrypted_here() {
        let judged = |flags: u8, kind, file: &[u8]| {
            let mut dir = Dir::new();
            let mut file = file.to_vec();
            if kind == DataFileKind::Redo {
                file.splice(5 * BLOCK..5 * BLOCK, vec![0; 101 * BLOCK]);
                file.resize(132 * BLOCK, 0);
                if flags > 0 {
                    encrypt_blocks(&mut file);
                }
            } else if kind == DataFileKind::Table {
                spread(&mut file);
                if flags > 0 {
                    encrypt_pages(&mut file);
                }
            }
            dir.put("file", kind, &file);
            dir.check(true, Depth::EveryPage).remove(0)
        };
        for (kind, file) in
            [(DataFileKind::Table, TABLE), (DataFileKind::Redo, REDO), (DataFileKind::BinaryLog, BINLOG)]
        {
            assert_eq!(judged(0, kind, file).state, FileState::Opened, "{kind:?}");
        }
        assert_eq!(judged(1, DataFileKind::Redo, REDO).state, FileState::Opened);
        for seed in super::super::seeds("tablespace").iter().filter(|seed| seed[0] & 32 > 0) {
            let report = judged(1, DataFileKind::Table, &seed[1..]);
            assert_eq!(report.pages.map(|pages| pages.damaged), Some(0), "{report:?}");
        }
    }
}
