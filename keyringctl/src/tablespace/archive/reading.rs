// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads an archive from its beginning to its end.

use std::io::{self, Read};

const MOST_NAME: u64 = 64 * 1024;

pub(super) fn too_early() -> io::Error {
    io::Error::other("the archive ends too early")
}

/// Reads until the buffer is full, or the end.
pub(super) fn read_full(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

pub(super) fn read_array<const N: usize>(source: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut array = [0; N];
    if read_full(source, &mut array)? < N { Err(too_early()) } else { Ok(array) }
}

pub(super) fn read_small(source: &mut dyn Read, len: u64) -> io::Result<Vec<u8>> {
    if len > MOST_NAME {
        return Err(io::Error::other("it is a damaged archive"));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    if read_full(source, &mut bytes)? < bytes.len() { Err(too_early()) } else { Ok(bytes) }
}

pub(super) fn skip(source: &mut dyn Read, len: u64) -> io::Result<()> {
    match io::copy(&mut source.take(len), &mut io::sink())? {
        copied if copied == len => Ok(()),
        _ => Err(too_early()),
    }
}

/// Reads the rest of an archive whose end was read.
///
/// # Errors
/// It is more than the zeros that fill the last block.
pub(super) fn nothing_follows(source: &mut dyn Read) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let len = read_full(source, &mut buffer)?;
        if buffer.iter().take(len).any(|byte| *byte != 0) {
            return Err(io::Error::other(
                "it goes on behind its end, as several archives that were written one after the other: unpack it with tar \
                 --ignore-zeros",
            ));
        }
        if len < buffer.len() {
            return Ok(());
        }
    }
}
