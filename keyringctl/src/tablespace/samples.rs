// SPDX-License-Identifier: GPL-2.0-or-later
//! Files for tests, written by a throw-away server (MySQL 9.7.4, pages of 4 KiB). They contain only the parts that matter;
//! other pages are empty. The keys are here because they protect nothing.

use super::keys::MasterKeys;

/// Pages 0 and 4 of the 7 pages of a table with one row.
const TABLE: &[u8] = include_bytes!("samples/table");
/// Pages 1 and 2, which every tablespace has: of that table and encrypted with its key, but without content.
const FIRST_PAGES: &[u8] = include_bytes!("samples/first_pages");
/// Parts of the redo file with the checkpoint: its header, its first block, which is unencrypted, and block 106.
const REDO: &[u8] = include_bytes!("samples/redo");
/// The beginning of a binary log: its encryption header and the beginning of the log.
pub const BINLOG: &[u8] = include_bytes!("samples/binlog");

/// Bytes of a page of the table.
pub const PAGE: usize = 4096;
/// Where in page 0 the encryption information is.
pub const INFO: usize = 1558;

/// The master key that all of InnoDB's files here need.
pub const INNODB_KEY: &str = "INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-2";
/// The master key of the binary log.
pub const BINLOG_KEY: &str = "MySQLReplicationKey_e6e52dec-e7fc-11f1-ada4-02fc00000001_1";

/// Keys by their ids.
#[derive(Clone, Default)]
pub struct SampleKeys(pub Vec<(String, Vec<u8>)>);

impl SampleKeys {
    /// All keys of the server, including the one from before its rotation.
    pub fn all() -> SampleKeys {
        SampleKeys(vec![
            (
                INNODB_KEY.replace("1-2", "1-1"),
                hex("cc23269d5ddf02eb46a7d64e761947eae3e1a816d82e1f0488f6c067cc116fa0"),
            ),
            (INNODB_KEY.to_owned(), hex("102516995e5f513135d5306f6e41af36f4cef177bd2a86c5aa96763b52d8b40b")),
            (BINLOG_KEY.to_owned(), hex("4656fd198522a0695c931968868d71d4e20ae34adf9255360bc0e41b7f8df5de")),
        ])
    }

    /// The keys without one.
    pub fn without(mut self, id: &str) -> SampleKeys {
        self.0.retain(|(name, _)| name != id);
        self
    }

    /// The keys with different bytes for one id.
    pub fn with(self, id: &str, bytes: &[u8]) -> SampleKeys {
        let mut keys = self.without(id);
        keys.0.push((id.to_owned(), bytes.to_vec()));
        keys
    }
}

impl MasterKeys for SampleKeys {
    fn with_key(&self, id: &str, look: &mut dyn FnMut(&[u8])) -> bool {
        let key = self.0.iter().find(|(name, _)| name == id);
        key.inspect(|(_, bytes)| look(bytes)).is_some()
    }

    fn ids(&self) -> Vec<String> {
        self.0.iter().map(|(id, _)| id.clone()).collect()
    }
}

pub fn hex(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The table's file.
pub fn table() -> Vec<u8> {
    let mut file = vec![0; 7 * PAGE];
    file[..PAGE].copy_from_slice(&TABLE[..PAGE]);
    file[PAGE..3 * PAGE].copy_from_slice(FIRST_PAGES);
    file[4 * PAGE..5 * PAGE].copy_from_slice(&TABLE[PAGE..]);
    file
}

/// The redo file, with a length at which every second block is checked.
pub fn redo() -> Vec<u8> {
    let mut file = vec![0; 132 * 512];
    file[..5 * 512].copy_from_slice(&REDO[..5 * 512]);
    file[106 * 512..107 * 512].copy_from_slice(&REDO[5 * 512..]);
    file
}

/// Sets the checksum of a changed page.
pub fn seal(page: &mut [u8]) {
    let end = page.len() - 8;
    let crc = (crc32c::crc32c(&page[4..26]) ^ crc32c::crc32c(&page[38..end])).to_be_bytes();
    page[..4].copy_from_slice(&crc);
    page[end..end + 4].copy_from_slice(&crc);
}

/// Sets the constant that stands for no checksum.
pub fn unseal(page: &mut [u8]) {
    let end = page.len() - 8;
    for at in [0, end] {
        page[at..at + 4].copy_from_slice(&0xdead_beef_u32.to_be_bytes());
    }
}
