// SPDX-License-Identifier: GPL-2.0-or-later
//! The log as a program uses it: what fails is counted and told once, and holds up nobody for longer than [`WAIT`].

use super::event::Event;
use super::file::{Job, Remembered, WAIT, Writer};
use super::forward;
use crate::config::Forward;
use crate::format::audit_key::AuditKey;
use crate::format::log_note::LogNote;
use crate::store::deadline::{self, Late};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use uuid::Uuid;

/// How long the log is left alone after a line took too long: so that a call which writes two lines waits only once.
const PAUSE: Duration = Duration::from_secs(5);

/// Where reports about the log itself go.
#[derive(Clone, Copy, Debug)]
pub struct Reports {
    /// It cannot be written, from now on.
    pub failing: fn(&str),
    /// It can be written again.
    pub recovered: fn(&str),
}

/// The settings of a log.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// Where lines are passed on to.
    pub forward: Forward,
    /// The UUID of the server.
    pub server: Option<String>,
    /// Who writes: an object with `program`, and with more about a person.
    pub who: Value,
    /// The owner of files that a program of root creates in a directory of root.
    pub owner: Option<(u32, u32)>,
}

/// The keyring that a line is about.
#[derive(Clone, Debug)]
pub struct Of {
    /// Its id.
    pub keyring: Uuid,
    /// Its audit key.
    pub key: Arc<AuditKey>,
    /// The generation that a change makes, or the present one.
    pub generation: u64,
    /// What it notes.
    pub note: Option<LogNote>,
}

/// An audit log.
#[derive(Debug)]
pub struct AuditLog {
    writer: Arc<Writer>,
    forward: Forward,
    reports: Reports,
    remembered: Arc<Mutex<Remembered>>,
    trouble: Mutex<Trouble>,
    failures: AtomicU64,
}

/// What went wrong lately.
#[derive(Debug, Default)]
struct Trouble {
    /// How many lines could not be written since the last one that could, and since when.
    unwritten: Option<(u64, SystemTime)>,
    /// Until when the log is left alone.
    pause: Option<Instant>,
    /// Whether it was told that lines cannot be passed on.
    not_forwarded: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AuditLog {
    /// The log at a path. Touches no file.
    pub fn new(settings: Settings, reports: Reports) -> Self {
        let Settings { path, forward, server, who, owner } = settings;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self {
            writer: Arc::new(Writer { path, host, server, who, owner }),
            forward,
            reports,
            remembered: Arc::default(),
            trouble: Mutex::default(),
            failures: AtomicU64::new(0),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.writer.path
    }

    /// Where lines are passed on to.
    pub fn forward(&self) -> Forward {
        self.forward
    }

    /// How many lines could not be written, or not be passed on.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Remembers that the keyring notes this line.
    pub fn confirm(&self, note: LogNote) {
        // A thread that hangs may hold it; what it forgets is only told less precisely.
        if let Ok(mut remembered) = self.remembered.try_lock() {
            remembered.confirmed = Some(note);
        }
    }

    /// Appends a line durably. Returns what a keyring notes of it; `None` if it could not be written, which is counted and
    /// told.
    pub fn write(&self, of: Option<&Of>, event: &Event) -> Option<LogNote> {
        let mut trouble = locked(&self.trouble);
        let time = SystemTime::now();
        let written = if trouble.pause.is_some_and(|until| Instant::now() < until) {
            Err(None)
        } else {
            self.append(of, event, time, trouble.unwritten).map_err(Some)
        };
        match written {
            Ok((note, lines)) => {
                trouble.pause = None;
                self.pass_on(&lines, &mut trouble);
                if let Some((count, _)) = trouble.unwritten.take() {
                    (self.reports.recovered)(&format!(
                        "the audit log {} can be written again: {count} lines are missing before its line {}, which says so",
                        self.path().display(),
                        note.seq
                    ));
                }
                Some(note)
            }
            Err(why) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                let is_first = trouble.unwritten.is_none();
                let (count, since) = trouble.unwritten.unwrap_or((0, time));
                trouble.unwritten = Some((count + 1, since));
                if let Some(e) = why {
                    if e.kind() == io::ErrorKind::TimedOut {
                        trouble.pause = Some(Instant::now() + PAUSE);
                    }
                    if is_first {
                        (self.reports.failing)(&format!(
                            "cannot write the audit log {}: {e}. The keyring works without it; the next line that can be \
                             written says how many are missing. {}",
                            self.path().display(),
                            remedy(&e)
                        ));
                    }
                }
                None
            }
        }
    }

    /// Passes lines on. What nobody takes at once is counted, and told once.
    fn pass_on(&self, lines: &[u8], trouble: &mut Trouble) {
        let lines = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let sent = lines.map(|line| forward::send(self.forward, &String::from_utf8_lossy(line)));
        match sent.collect::<io::Result<()>>() {
            Ok(()) => trouble.not_forwarded = false,
            Err(e) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                if !std::mem::replace(&mut trouble.not_forwarded, true) {
                    (self.reports.failing)(&format!(
                        "cannot pass a line of the audit log {} on to {}: {e}. It is in the file. Is {} running?",
                        self.path().display(),
                        self.forward.socket().unwrap_or_default(),
                        if self.forward == Forward::Syslog { "a system log" } else { "systemd-journald" }
                    ));
                }
            }
        }
    }

    fn append(
        &self,
        of: Option<&Of>,
        event: &Event,
        time: SystemTime,
        unwritten: Option<(u64, SystemTime)>,
    ) -> io::Result<(LogNote, Vec<u8>)> {
        let job = Job {
            event: event.clone(),
            keyring: of.map(|of| of.keyring),
            key: of.map(|of| Arc::clone(&of.key)),
            generation: of.map(|of| of.generation),
            note: of.and_then(|of| of.note),
            time,
            unwritten,
        };
        let (writer, remembered) = (Arc::clone(&self.writer), Arc::clone(&self.remembered));
        let done = deadline::run(self.path(), WAIT, move || writer.append(&job, &mut locked(&remembered)));
        done.unwrap_or_else(|late| {
            Err(match late {
                Late::Hung(waited) => {
                    let seconds = waited.as_secs_f64().round();
                    io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("it has not answered for {seconds} seconds"),
                    )
                }
                Late::NotStarted(e) => e,
                Late::Panicked => io::Error::other("an internal error"),
            })
        })
    }
}

/// The next step for the errors that administrators meet.
fn remedy(e: &io::Error) -> &'static str {
    match e.kind() {
        io::ErrorKind::NotFound => "Create its directory, writable by the user that mysqld runs as",
        io::ErrorKind::PermissionDenied => {
            "Check the owners and modes of the file and its directory; AppArmor and SELinux must allow mysqld the path: \
             `keyringctl doctor` checks both"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "Free some space on its volume",
        io::ErrorKind::ReadOnlyFilesystem => "Mount its volume writable",
        io::ErrorKind::TimedOut => "Check its volume, and what has locked the file (fuser)",
        _ => "`keyringctl doctor` checks the path",
    }
}
