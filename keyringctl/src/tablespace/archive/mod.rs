// SPDX-License-Identifier: GPL-2.0-or-later
//! Backups that are one file: tar, also compressed with gzip, and xbstream. Nothing is unpacked onto a disk: of each member,
//! the beginning is kept in memory, of redo logs all, and judged like a file of a data directory.
//!
//! xbstream is a sequence of chunks: `XBSTCK01`, a byte of flags, a type, the length of the path (4) and the path. A chunk of
//! the type P goes on with length (8), offset (8), checksum (4) and data; one of the type E ends a file. Integers are
//! little-endian. Source of the facts: Percona XtraBackup's xbstream_read.cc and xbstream_write.cc.

mod reading;
mod tar;
#[cfg(test)]
mod tests;

use super::check::check;
use super::file_report::{DataFileKind, FileReport, FileState};
use super::keys::{MasterKeys, NoKeys};
use super::names::{Named, named};
use super::needed::{NeededKeys, all_master_keys, of_reports};
use super::shutdown::shutdown;
use super::space::Depth;
use super::walk::DataFiles;
use flate2::read::MultiGzDecoder;
use reading::{nothing_follows, read_array, read_full, read_small, skip, too_early};
use std::collections::BTreeMap;
use std::fs::{File, FileTimes};
use std::io::{self, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tar::{BLOCK, TarHeader, path_of, pax_records};

/// How much of a member is kept: the largest first page, twice.
const FRONT: u64 = 128 * 1024;
/// How much of all redo logs is kept.
const MOST_REDO: u64 = 4 << 30;
/// How many members are judged at once; each is an open file.
const AT_ONCE: usize = 128;
const CHUNK: &[u8; 8] = b"XBSTCK01";

/// A part of a member, in memory.
struct Kept {
    name: PathBuf,
    kind: DataFileKind,
    file: File,
    /// How long the member is, and how much of it is kept.
    len: u64,
    kept: u64,
}

/// What was found in an archive.
struct Members<'a> {
    archive: &'a Path,
    open: Vec<Kept>,
    /// Redo logs, and the system tablespace, which are judged together.
    log: Vec<Kept>,
    redo: u64,
    needed: NeededKeys,
    files: usize,
}

/// The bytes of a file, without the compression of gzip if it has that.
fn unzipped(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut start = [0; 2];
    read_full(&mut File::open(path)?, &mut start)?;
    let source = BufReader::with_capacity(1 << 20, File::open(path)?);
    Ok(if start == [0x1f, 0x8b] { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) })
}

/// The beginning of a file, without the compression of gzip if it has that.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = vec![0; BLOCK];
    let len = read_full(&mut unzipped(path)?, &mut start)?;
    start.truncate(len);
    Ok(start)
}

/// Whether a file begins as an archive of a known form, which may be compressed with gzip.
///
/// # Errors
/// It cannot be read.
pub fn is_archive(path: &Path) -> io::Result<bool> {
    let start = beginning(path)?;
    Ok(start.starts_with(CHUNK) || TarHeader::parse(&start).is_some())
}

/// Finds out which master keys the members of an archive need; `None` if it is no archive of a known form. `keys` decrypt
/// its redo log.
///
/// # Errors
/// The archive cannot be read, or ends too early.
pub fn archive_keys(path: &Path, keys: &dyn MasterKeys) -> io::Result<Option<NeededKeys>> {
    let start = beginning(path)?;
    let mut source = unzipped(path)?;
    let mut members = Members {
        archive: path,
        open: Vec::new(),
        log: Vec::new(),
        redo: 0,
        needed: NeededKeys::default(),
        files: 0,
    };
    if start.starts_with(CHUNK) {
        members.read_xbstream(&mut source)?;
    } else if TarHeader::parse(&start).is_some() {
        members.read_tar(&mut source)?;
    } else {
        return Ok(None);
    }
    members.judge();
    members.judge_log(keys);
    if members.files == 0 {
        members.unknown(PathBuf::new(), "it has no file of a MySQL server");
    }
    Ok(Some(members.needed))
}

impl Members<'_> {
    /// The path of a member for people.
    fn path_of(&self, name: &Path) -> PathBuf {
        let name = name.strip_prefix("/").unwrap_or(name);
        if name.as_os_str().is_empty() { self.archive.to_owned() } else { self.archive.join(name) }
    }

    fn unknown(&mut self, name: PathBuf, why: &str) {
        let path = self.path_of(&name);
        self.needed.unknown.push(FileReport::not_judged(
            path,
            DataFileKind::Other,
            FileState::NotChecked,
            why,
        ));
    }

    /// Begins a member of this name. `None` if nothing of it is kept.
    fn begin(&mut self, name: PathBuf) -> io::Result<Option<Kept>> {
        let last = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kind = match named(&last) {
            Named::Data(kind) => kind,
            Named::Unknown => DataFileKind::Other,
            Named::NoData => return Ok(None),
            Named::PathElsewhere => {
                self.unknown(name, "it names a table's file that is in another directory");
                return Ok(None);
            }
            Named::NotChecked(why) => {
                self.unknown(name, why);
                return Ok(None);
            }
        };
        let fd = rustix::fs::memfd_create("archive", rustix::fs::MemfdFlags::CLOEXEC)?;
        Ok(Some(Kept { name, kind, file: File::from(fd), len: 0, kept: 0 }))
    }

    /// Adds bytes to a member that is read from its beginning to its end.
    fn add(&mut self, member: &mut Kept, bytes: &[u8]) -> io::Result<()> {
        let most = if member.kind == DataFileKind::Redo { u64::MAX } else { FRONT };
        let room = usize::try_from(most.saturating_sub(member.kept)).unwrap_or(usize::MAX);
        let part = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        member.file.write_all(part)?;
        member.kept += part.len() as u64;
        member.len += bytes.len() as u64;
        if member.kind == DataFileKind::Redo {
            self.redo += part.len() as u64;
            if self.redo > MOST_REDO {
                return Err(io::Error::other(
                    "its redo log is too large to be looked through in memory: unpack it",
                ));
            }
        }
        Ok(())
    }

    fn end(&mut self, member: Kept) -> io::Result<()> {
        // An empty file has no data.
        if member.len == 0 {
            return Ok(());
        }
        member.file.set_len(member.len)?;
        // It does not change any more.
        member.file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH))?;
        self.files += usize::from(member.kind != DataFileKind::Other);
        match member.kind {
            DataFileKind::Redo | DataFileKind::System => self.log.push(member),
            _ => self.open.push(member),
        }
        if self.open.len() >= AT_ONCE {
            self.judge();
        }
        Ok(())
    }

    /// Judges the members that were read, and forgets them.
    fn judge(&mut self) {
        let members = std::mem::take(&mut self.open);
        let found = data_files(&members);
        let reports = check(&found, &NoKeys, Depth::OnePage, &mut |_, _| {});
        let unknown =
            |state| matches!(state, FileState::Unreadable | FileState::NotChecked | FileState::Damaged);
        self.take(of_reports(reports, unknown), &members);
    }

    /// Judges the redo logs.
    fn judge_log(&mut self, keys: &dyn MasterKeys) {
        let members = std::mem::take(&mut self.log);
        let found = data_files(&members);
        // No data directory is called so.
        let how = shutdown(Path::new("/archive"), &found);
        let (needed, _) = all_master_keys(&found, keys, &how);
        self.take(needed, &members);
    }

    /// Takes over what was found, under the names of the members.
    fn take(&mut self, needed: NeededKeys, members: &[Kept]) {
        let names: BTreeMap<_, _> =
            members.iter().map(|member| (path_in_memory(member), &member.name)).collect();
        let name = |path: &PathBuf| match names.get(path) {
            Some(name) => self.path_of(name),
            // The directory of the redo log.
            None => self.archive.to_owned(),
        };
        let keys: Vec<_> = needed
            .keys
            .iter()
            .map(|(id, files)| (id.clone(), files.iter().map(name).collect::<Vec<_>>()))
            .collect();
        let unknown: Vec<_> =
            needed.unknown.iter().map(|file| FileReport { path: name(&file.path), ..file.clone() }).collect();
        for (id, files) in keys {
            self.needed.keys.entry(id).or_default().extend(files);
        }
        self.needed.unknown.extend(unknown);
    }

    fn read_tar(&mut self, source: &mut dyn Read) -> io::Result<()> {
        let mut long_name: Option<PathBuf> = None;
        let mut long_size = None;
        loop {
            let mut block = [0; BLOCK];
            match read_full(source, &mut block)? {
                // Some programs leave out the blocks of zeros at the end.
                0 => return Ok(()),
                BLOCK => {}
                _ => return Err(too_early()),
            }
            if block.iter().all(|b| *b == 0) {
                return nothing_follows(source);
            }
            let header =
                TarHeader::parse(&block).ok_or_else(|| io::Error::other("it is a damaged archive"))?;
            let size = match header.kind {
                b'x' | b'g' | b'L' | b'K' => header.size,
                _ => long_size.take().unwrap_or(header.size),
            };
            match header.kind {
                b'L' => {
                    let text = read_small(source, size)?;
                    let name = text.split(|b| *b == 0).next().unwrap_or_default();
                    long_name = Some(path_of(name));
                }
                b'x' => {
                    let text = read_small(source, size)?;
                    for (key, value) in pax_records(&text) {
                        match key {
                            b"path" => long_name = Some(path_of(value)),
                            b"size" => {
                                long_size = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok())
                            }
                            // GNU tar stores sparse files in several ways that this does not read.
                            _ if key.starts_with(b"GNU.sparse") => {
                                return Err(io::Error::other(
                                    "it has sparse files (tar --sparse): unpack it",
                                ));
                            }
                            _ => {}
                        }
                    }
                }
                b'g' | b'K' => drop(read_small(source, size)?),
                b'S' => return Err(io::Error::other("it has sparse files (tar --sparse): unpack it")),
                0 | b'0' | b'7' => {
                    let name = long_name.take().unwrap_or(header.name);
                    let mut member = self.begin(name)?;
                    self.copy(source, size, member.as_mut())?;
                    if let Some(member) = member {
                        self.end(member)?;
                    }
                }
                // A link to a member, or a directory.
                b'1' | b'5' => long_name = None,
                _ => {
                    let name = long_name.take().unwrap_or(header.name);
                    let last = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    if named(&last) != Named::NoData {
                        self.unknown(name, "it is a symbolic link or a special file");
                    }
                    skip(source, size)?;
                }
            }
            let padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
            if !matches!(header.kind, b'1' | b'5') {
                skip(source, padding)?;
            }
        }
    }

    fn read_xbstream(&mut self, source: &mut dyn Read) -> io::Result<()> {
        let mut open: BTreeMap<PathBuf, Option<Kept>> = BTreeMap::new();
        loop {
            let mut magic = [0; 8];
            match read_full(source, &mut magic)? {
                0 => break,
                8 if magic == *CHUNK => {}
                _ => return Err(io::Error::other("it is a damaged archive")),
            }
            let [_, kind] = read_array::<2>(source)?;
            let len = u32::from_le_bytes(read_array(source)?);
            let name = path_of(&read_small(source, u64::from(len))?);
            match kind {
                b'P' => {
                    let len = u64::from_le_bytes(read_array(source)?);
                    let at = u64::from_le_bytes(read_array(source)?);
                    let _checksum = read_array::<4>(source)?;
                    if !open.contains_key(&name) {
                        let begun = self.begin(name.clone())?;
                        open.insert(name.clone(), begun);
                    }
                    let mut member = open.remove(&name).flatten();
                    if member.as_ref().is_some_and(|member| member.len != at) {
                        return Err(io::Error::other("it is an archive with holes: unpack it"));
                    }
                    self.copy(source, len, member.as_mut())?;
                    open.insert(name, member);
                }
                b'E' => {
                    if let Some(member) = open.remove(&name).flatten() {
                        self.end(member)?;
                    }
                }
                _ => {
                    return Err(io::Error::other(
                        "it is an archive in a form that is not known here: unpack it",
                    ));
                }
            }
        }
        match open.values().any(Option::is_some) {
            true => Err(too_early()),
            false => Ok(()),
        }
    }

    /// Reads the data of a member.
    fn copy(&mut self, source: &mut dyn Read, len: u64, mut member: Option<&mut Kept>) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let mut left = len;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let part = buffer.get_mut(..most).unwrap_or_default();
            let got = read_full(source, part)?;
            if got < most {
                return Err(too_early());
            }
            if let Some(member) = &mut member {
                self.add(member, part)?;
            }
            left -= got as u64;
        }
        Ok(())
    }
}

fn path_in_memory(member: &Kept) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", member.file.as_raw_fd()))
}

fn data_files(members: &[Kept]) -> DataFiles {
    let files = members.iter().map(|member| (path_in_memory(member), member.kind)).collect();
    DataFiles { files, ..DataFiles::default() }
}
