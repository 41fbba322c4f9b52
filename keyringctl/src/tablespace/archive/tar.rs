// SPDX-License-Identifier: GPL-2.0-or-later
//! The headers of tar archives.

use std::path::PathBuf;

pub(super) const BLOCK: usize = 512;

/// A path of these bytes.
pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

/// A header of a tar archive.
pub(super) struct TarHeader {
    pub name: PathBuf,
    pub size: u64,
    pub kind: u8,
}

impl TarHeader {
    /// `None` if the checksum is wrong.
    pub(super) fn parse(block: &[u8]) -> Option<TarHeader> {
        const SUM: std::ops::Range<usize> = 148..156;
        let block = block.get(..BLOCK)?;
        let text = |range: std::ops::Range<usize>| {
            let field = block.get(range).unwrap_or_default();
            field.split(|b| *b == 0).next().unwrap_or_default()
        };
        let octal = |range| {
            let digits = std::str::from_utf8(text(range)).ok()?.trim();
            u64::from_str_radix(digits, 8).ok()
        };
        let sum: u64 =
            block.iter().enumerate().map(|(i, b)| if SUM.contains(&i) { 32 } else { u64::from(*b) }).sum();
        if octal(SUM)? != sum {
            return None;
        }
        // A large size is binary.
        let size = match block.get(124..136)? {
            [first, rest @ ..] if first & 0x80 != 0 => {
                rest.iter().rev().take(8).rev().fold(0_u64, |size, b| (size << 8) | u64::from(*b))
            }
            _ => octal(124..136)?,
        };
        let prefix = if block.get(257..262) == Some(b"ustar") { text(345..500) } else { &[] };
        // GNU's own form has times in the place of the prefix.
        let prefix = if block.get(257..265) == Some(b"ustar  \0") { &[][..] } else { prefix };
        let name = path_of(prefix).join(path_of(text(0..100)));
        Some(TarHeader { name, size, kind: *block.get(156)? })
    }
}

/// The records of a pax header: `LENGTH KEY=VALUE\n`.
pub(super) fn pax_records(text: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut records = Vec::new();
    let mut rest = text;
    while let Some(space) = rest.iter().position(|b| *b == b' ') {
        let len =
            rest.get(..space).and_then(|n| std::str::from_utf8(n).ok()).and_then(|n| n.parse::<usize>().ok());
        let Some(record) = len.and_then(|len| rest.get(space + 1..len.saturating_sub(1))) else { break };
        if let Some(equals) = record.iter().position(|b| *b == b'=')
            && let (Some(key), Some(value)) = (record.get(..equals), record.get(equals + 1..))
        {
            records.push((key, value));
        }
        rest = len.and_then(|len| rest.get(len..)).unwrap_or_default();
    }
    records
}
