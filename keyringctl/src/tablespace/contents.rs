// SPDX-License-Identifier: GPL-2.0-or-later
//! What a file contains whose name does not tell: a system tablespace may have any name, and administrators rename copies.

use super::binlog::LogStart;
use super::bytes::{be32, is_zero};
use super::file_report::DataFileKind;
use super::geometry::MAX_PAGE;
use super::page::{self, Checksum, NUMBER, PageForm, SPACE};
use super::page0::Page0;
use super::read::DataFile;
use std::io;
use std::path::Path;

/// Bytes at the beginning of a file that are needed.
pub(super) const FRONT: usize = MAX_PAGE;
/// Numbers of temporary tablespaces: those of the sessions, and that of the server.
const TEMPORARY: [std::ops::RangeInclusive<u32>; 2] = [0xf000_0000..=0xffff_fdff, 0xffff_fffd..=0xffff_fffd];
/// Numbers of undo tablespaces.
const UNDO: std::ops::RangeInclusive<u32> = 0xffff_fe00..=0xffff_fff0;
/// How the files of keyrings begin. They hold keys, and no data.
const KEYRINGS: &[&[u8]] =
    &[b"KEYRING_EXTERNAL", b"KEYRING_WITNESS", b"Keyring file version:", b"Keyring aws version:"];

/// What the beginning of a file shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Contents {
    Data(DataFileKind),
    /// Keys, no data.
    Keyring,
    Unknown,
}

impl Contents {
    /// Finds out what a file contains from its beginning.
    pub(super) fn of(front: &[u8]) -> Contents {
        if KEYRINGS.iter().any(|start| front.starts_with(start)) {
            Contents::Keyring
        } else if matches!(LogStart::parse(front), Ok(LogStart::Clear | LogStart::Encrypted(_))) {
            Contents::Data(DataFileKind::BinaryLog)
        } else {
            tablespace(front).map_or(Contents::Unknown, Contents::Data)
        }
    }
}

/// Returns the kind of the tablespace that begins with a page whose checksum is right.
fn tablespace(front: &[u8]) -> Option<DataFileKind> {
    // Without a checksum, bytes of other programs could look like a page.
    let space = be32(front, SPACE).filter(|_| be32(front, 0) != Some(0))?;
    if let Ok(page0) = Page0::parse(front, true)
        && page0.sum != Checksum::None
    {
        return Some(match space {
            0 => DataFileKind::System,
            _ if UNDO.contains(&space) => DataFileKind::Undo,
            _ if TEMPORARY.iter().any(|numbers| numbers.contains(&space)) => DataFileKind::Temporary,
            _ if page0.shared => DataFileKind::General,
            _ => DataFileKind::Table,
        });
    }
    is_further_system_page(front).then_some(DataFileKind::System)
}

/// Whether bytes begin with a page of the system tablespace that is not its first one. Its second file begins with such a
/// page, and has no header of its own.
pub(super) fn is_further_system_page(front: &[u8]) -> bool {
    let is_numbered = be32(front, SPACE) == Some(0) && be32(front, NUMBER).is_some_and(|number| number > 0);
    let is_page = |size: usize| {
        let page = front.get(..size);
        page.is_some_and(|page| !matches!(page::sum(page, false), Checksum::Bad | Checksum::None))
    };
    let sizes = [16, 4, 8, 32, 64].map(|kib| kib * 1024);
    is_numbered && page::form(front) == PageForm::Clear && sizes.into_iter().any(is_page)
}

/// Returns where the first part of a file is that is not zero, at a multiple of the largest page; `None` if there is none.
///
/// # Errors
/// The file cannot be read.
pub(super) fn start(source: &DataFile) -> io::Result<Option<u64>> {
    for at in (0..source.len()).step_by(FRONT) {
        let part = source.read(at, FRONT)?;
        if part.is_empty() {
            break;
        }
        if !is_zero(&part) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Whether a file begins like one with data. One that cannot be read is taken for what its name says.
pub(super) fn holds_data(path: &Path) -> bool {
    let front = DataFile::open(path).and_then(|file| file.read(0, FRONT));
    front.is_ok_and(|front| matches!(Contents::of(&front), Contents::Data(_)))
}

/// Whether a file that is named like a text log is one.
pub(super) fn is_text(front: &[u8]) -> bool {
    !front.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tablespace::bytes::put;
    use crate::tablespace::samples::{BINLOG, PAGE, seal, table};

    #[test]
    fn contents_show_what_names_do_not() {
        let numbered = |space: u32, number: u32| {
            let mut page = table()[..PAGE].to_vec();
            put(&mut page, NUMBER, &number.to_be_bytes());
            put(&mut page, SPACE, &space.to_be_bytes());
            put(&mut page, SPACE + 4, &space.to_be_bytes());
            seal(&mut page);
            [page, vec![1; PAGE]].concat()
        };
        for (space, number, kind) in [
            (0, 0, Some(DataFileKind::System)),
            (0, 768, Some(DataFileKind::System)),
            (7, 0, Some(DataFileKind::Table)),
            (7, 3, None),
            (0xffff_feff, 0, Some(DataFileKind::Undo)),
            (0xffff_fffd, 0, Some(DataFileKind::Temporary)),
            (0xf000_0001, 0, Some(DataFileKind::Temporary)),
            (0xffff_fffe, 0, Some(DataFileKind::Table)),
        ] {
            let wanted = kind.map_or(Contents::Unknown, Contents::Data);
            assert_eq!(Contents::of(&numbered(space, number)), wanted, "{space} {number}");
        }
        let mut damaged = numbered(7, 0);
        damaged[100] ^= 1;
        assert_eq!(Contents::of(&damaged), Contents::Unknown);
        assert_eq!(Contents::of(BINLOG), Contents::Data(DataFileKind::BinaryLog));
        assert_eq!(Contents::of(b"Keyring file version:2.0\0"), Contents::Keyring);
        for unknown in [&b""[..], b"-- MySQL dump", &[0; FRONT]] {
            assert_eq!(Contents::of(unknown), Contents::Unknown);
        }
    }
}
