// SPDX-License-Identifier: GPL-2.0-or-later
//! Appends lines to the file of a log. The file is open only meanwhile, so that it can be rotated by renaming it and its
//! volume can be unmounted. Several programs write to one log: whoever holds the lock reads the last line and continues
//! from it.

use super::event::{Event, EventKind};
use super::line::{self, Head, Line, hex};
use super::segments;
use super::tail::{Last, last_line};
use crate::format::audit_key::AuditKey;
use crate::format::log_note::{LINE_HASH_LEN, LOG_ID_LEN, LogNote};
use crate::secret::random_array;
use rustix::fs::{FileType, FlockOperation, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use uuid::Uuid;

/// Limit for writing one line, with all waiting: for another program's lock, and for a disk that hangs.
pub const WAIT: Duration = Duration::from_secs(2);
/// Part of [`WAIT`] after which another program's lock is not waited for any more.
const LOCK_WAIT: Duration = Duration::from_millis(1500);
/// Interval between attempts to take the lock.
const LOCK_STEP: Duration = Duration::from_millis(5);
/// How many times the file may be rotated while it is being opened.
const MOST_ROTATIONS: usize = 20;

/// The field of a line that follows one which its writer could not check.
pub(super) const AFTER_UNCHECKED: &str = "after_unchecked";
/// The field with the last line that a writer knew of, if it found an earlier one or could not check what it found.
pub(super) const LAST_KNOWN: &str = "last_line_known";

/// Where a log is, and who writes to it.
#[derive(Debug)]
pub(super) struct Writer {
    pub path: PathBuf,
    pub host: String,
    pub server: Option<String>,
    pub who: Value,
    /// The owner of files that a program of root creates.
    pub owner: Option<(u32, u32)>,
}

/// What a program remembers of the log between its lines.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// The last line that this program read or wrote, and the file that ended with it.
    last: Option<(FileId, LogNote)>,
    /// The last line of this log that the keyring is known to note.
    pub confirmed: Option<LogNote>,
}

/// A file that ends with a certain line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct FileId {
    dev: u64,
    ino: u64,
    len: u64,
}

/// What a line is written for.
#[derive(Debug)]
pub(super) struct Job {
    pub event: Event,
    pub keyring: Option<Uuid>,
    pub key: Option<Arc<AuditKey>>,
    pub generation: Option<u64>,
    /// What the keyring notes.
    pub note: Option<LogNote>,
    pub time: SystemTime,
    /// How many lines could not be written before this one, and since when.
    pub unwritten: Option<(u64, SystemTime)>,
}

/// The end of a log.
#[derive(Clone, Copy, Debug)]
struct End {
    log: [u8; LOG_ID_LEN],
    /// The last number that was used.
    seq: u64,
    /// The hash of what the file ends with.
    prev: [u8; LINE_HASH_LEN],
    /// Whether that is an incomplete line.
    torn: bool,
}

impl Writer {
    /// Appends a line durably. Returns what a keyring notes of it, and the bytes that were appended.
    pub(super) fn append(&self, job: &Job, remembered: &mut Remembered) -> io::Result<(LogNote, Vec<u8>)> {
        if job.key.is_none() && !job.event.kind().may_lack_mac() {
            return Err(io::Error::other("an internal error: a line about a keyring without its key"));
        }
        let (file, is_new) = self.open_locked()?;
        let meta = file.metadata()?;
        let id = |len| FileId { dev: meta.dev(), ino: meta.ino(), len };
        let mut bytes = Vec::new();
        let mut found = Vec::new();
        let known = [remembered.last.map(|(_, note)| note), job.note];
        let mut end = if meta.len() == 0 {
            self.begin(job, known, &mut bytes)?
        } else {
            match remembered.last {
                Some((file, note)) if file == id(meta.len()) => {
                    End { log: note.log, seq: note.seq, prev: note.hash, torn: false }
                }
                _ => {
                    let last = read_last(&file, meta.len())?;
                    found = unchecked(job, known, &last);
                    end_of(&last)
                }
            }
        };
        if end.torn {
            bytes.push(b'\n');
            found.push(("after_incomplete_line", json!(true)));
        }
        let of_log = known.into_iter().flatten().filter(|note| note.log == end.log);
        if let Some(lost) = of_log.max_by_key(|note| note.seq).filter(|note| note.seq > end.seq) {
            found.push(("lines_lost_after", end.seq.into()));
            found.retain(|(name, _)| *name != LAST_KNOWN);
            found.push((LAST_KNOWN, seq_and_hash(lost)));
            end.seq = lost.seq;
        }
        if let Some((count, since)) = job.unwritten {
            found.push(("unwritten_lines", count.into()));
            found.push(("unwritten_since", humantime::format_rfc3339_millis(since).to_string().into()));
        }
        // Without a MAC, it would prove nothing.
        let confirmed = [job.note, remembered.confirmed].into_iter().flatten();
        let confirmed = confirmed.filter(|_| job.key.is_some()).find(|note| note.log == end.log);
        let seq = end
            .seq
            .checked_add(1)
            .ok_or_else(|| io::Error::other("the last line has the highest number there is"))?;
        let head = self.head(job, &end, seq, confirmed.map(|note| note.seq), &found);
        let line = line::encode(&head, &job.event, job.key.as_deref());
        let note = LogNote { log: end.log, seq, hash: line::hash(&line) };
        bytes.extend(line);
        bytes.push(b'\n');
        if let Err(e) = (&file).write_all(&bytes).and_then(|()| file.sync_data()) {
            // A part of it must not stay. If this fails, the next line says that it follows an incomplete one.
            drop(file.set_len(meta.len()));
            remembered.last = None;
            return Err(e);
        }
        if is_new && let Some(dir) = self.path.parent() {
            File::open(dir)?.sync_all()?;
        }
        remembered.last = Some((id(meta.len() + bytes.len() as u64), note));
        Ok((note, bytes))
    }

    /// Writes the first line of a file to `bytes`: it continues the log of the file before it, which was renamed, or
    /// begins another log.
    fn begin(&self, job: &Job, known: [Option<LogNote>; 2], bytes: &mut Vec<u8>) -> io::Result<End> {
        let [own, noted] = known;
        let beside = segments::last_line_beside(&self.path);
        let before = own.into_iter().chain(beside.as_ref().map(|last| last.note)).collect::<Vec<_>>();
        let log = before.first().map(|note| note.log);
        let same_log = before.into_iter().chain(noted).filter(|note| Some(note.log) == log);
        let event = Event::new(EventKind::SegmentStarted);
        let mut found = Vec::new();
        let (end, event) = match same_log.max_by_key(|note| note.seq) {
            Some(last) => {
                let end = End { log: last.log, seq: last.seq, prev: last.hash, torn: false };
                if let Some(beside) = beside.filter(|beside| beside.note == last) {
                    found = unchecked(job, known, &beside);
                }
                (end, event.with("continues", last.seq))
            }
            None => {
                let end = End { log: random_array()?, seq: 0, prev: [0; LINE_HASH_LEN], torn: false };
                let after = |note: LogNote| json!({ "log": Uuid::from_bytes(note.log).to_string(), "seq": note.seq, "hash": hex(&note.hash) });
                (end, noted.into_iter().fold(event, |event, note| event.with("keyring_notes", after(note))))
            }
        };
        let seq = end.seq.saturating_add(1);
        let line = line::encode(&self.head(job, &end, seq, None, &found), &event, job.key.as_deref());
        let prev = line::hash(&line);
        bytes.extend(line);
        bytes.push(b'\n');
        Ok(End { seq, prev, ..end })
    }

    fn head<'a>(
        &'a self,
        job: &Job,
        end: &End,
        seq: u64,
        noted: Option<u64>,
        found: &'a [(&'static str, Value)],
    ) -> Head<'a> {
        Head {
            log: end.log,
            seq,
            prev: end.prev,
            time: job.time,
            host: &self.host,
            server: self.server.as_deref(),
            who: &self.who,
            keyring: job.keyring,
            generation: job.generation,
            noted,
            found,
        }
    }

    /// Opens and locks the file that is at the path. Returns whether this created it.
    fn open_locked(&self) -> io::Result<(File, bool)> {
        let until = Instant::now() + LOCK_WAIT;
        for _ in 0..MOST_ROTATIONS {
            let (file, is_new) = match self.open(OFlags::empty()) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    match self.open(OFlags::CREATE | OFlags::EXCL) {
                        // Another program was faster.
                        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                        created => (created?, true),
                    }
                }
                opened => (opened?, false),
            };
            if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
                return Err(io::Error::other("it is not a regular file"));
            }
            if is_new && let Some((uid, gid)) = self.owner() {
                rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
            }
            lock(&file, until)?;
            // It may have been renamed before it was locked.
            let (here, locked) = (rustix::fs::lstat(&self.path), rustix::fs::fstat(&file)?);
            if here.is_ok_and(|here| (here.st_dev, here.st_ino) == (locked.st_dev, locked.st_ino)) {
                return Ok((file, is_new));
            }
        }
        Err(io::Error::other("it is renamed again and again"))
    }

    fn open(&self, create: OFlags) -> io::Result<File> {
        // NONBLOCK: a pipe in the file's place must not block the server.
        let flags = OFlags::RDWR
            | OFlags::APPEND
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC
            | OFlags::NONBLOCK
            | OFlags::NOCTTY;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
        match rustix::fs::open(&self.path, flags | create, mode) {
            Err(Errno::LOOP) => Err(io::Error::other("it is a symbolic link")),
            opened => Ok(opened?.into()),
        }
    }

    /// The owner of a new file, if this program may choose it.
    fn owner(&self) -> Option<(u32, u32)> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let of_directory = || self.path.parent().and_then(|dir| std::fs::metadata(dir).ok());
        of_directory().filter(|meta| meta.uid() != 0).map(|meta| (meta.uid(), meta.gid())).or(self.owner)
    }
}

/// Locks a file, which other programs lock only for one line at a time.
fn lock(file: &File, until: Instant) -> io::Result<()> {
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            // A volume without locks.
            Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => return Ok(()),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(LOCK_STEP),
            Err(Errno::WOULDBLOCK) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another program has locked it"));
            }
            Err(e) => return Err(e.into()),
        }
    }
}

/// Reads the last line of a file.
fn read_last(file: &File, len: u64) -> io::Result<Last> {
    last_line(file, len)?.ok_or_else(|| {
        io::Error::other("it does not end like an audit log: move it away, or name another path")
    })
}

/// The end of a file with this last line.
fn end_of(last: &Last) -> End {
    let LogNote { log, seq, hash } = last.note;
    match &last.incomplete {
        None => End { log, seq, prev: hash, torn: false },
        Some(incomplete) => End { log, seq, prev: line::hash(incomplete), torn: true },
    }
}

/// What a line says after one that nothing vouches for: neither its MAC under the key of this line, nor the keyring's note,
/// nor that this program wrote it. Whoever verifies the log later must not take this line for a proof of that one.
fn unchecked(job: &Job, known: [Option<LogNote>; 2], last: &Last) -> Vec<(&'static str, Value)> {
    let is_known = known.contains(&Some(last.note));
    match &job.key {
        Some(key) if !is_known && !Line::is_authentic(&last.bytes, key) => {
            let noted = job.note.filter(|note| note.log == last.note.log);
            let noted = noted.map(|note| (LAST_KNOWN, seq_and_hash(note)));
            [(AFTER_UNCHECKED, json!(true))].into_iter().chain(noted).collect()
        }
        _ => Vec::new(),
    }
}

fn seq_and_hash(note: LogNote) -> Value {
    json!({ "seq": note.seq, "hash": hex(&note.hash) })
}
