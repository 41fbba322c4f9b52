// SPDX-License-Identifier: GPL-2.0-or-later
//! The history of drills: a file with one line of JSON for each, which `keyringctl report` and monitoring read.

use super::outcome::{FailedTable, Outcome};
use crate::commands::output::{Output, counted, time};
use crate::commands::prometheus::Metrics;
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::keyring::now;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Where the results are kept unless another file is named.
pub(in crate::commands) const DEFAULT: &str = "/var/lib/keyring-external/drills.jsonl";
/// How a result begins.
const BEGIN: &[u8] = b"{\"time\":";
/// The most tables of one drill that are kept.
const MOST_TABLES: usize = 100;

/// Show the results of earlier drills
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl drill history\n  \
    keyringctl drill history --prometheus\n\n\
    Exit codes: 0 the last drill of each backup kind passed, 1 one failed or there was none, 2 usage or I/O error.")]
pub(super) struct Args {
    /// File with the results
    #[arg(long, value_name = "FILE", default_value = DEFAULT)]
    history: PathBuf,
    /// Print metrics for Prometheus instead
    #[arg(long)]
    prometheus: bool,
}

/// The result of a drill, as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::commands) struct DrillEntry {
    /// When it ended, in seconds since 1970.
    pub time: u64,
    pub host: String,
    pub passed: bool,
    pub backup: String,
    /// `datadir` or `dump`.
    pub kind: String,
    pub keyring: Option<Uuid>,
    pub generation: Option<u64>,
    pub mysqld: String,
    pub tables: usize,
    pub rows: u64,
    /// How many tables failed; the first of them follow.
    pub tables_failed: usize,
    pub failed: Vec<FailedTable>,
    pub faults: Vec<String>,
    /// When the record was made that the backup was compared with.
    pub recorded: Option<u64>,
    pub seconds: u64,
    pub program: String,
}

impl DrillEntry {
    pub(super) fn of(outcome: &Outcome) -> DrillEntry {
        DrillEntry {
            time: now(),
            host: hostname(),
            passed: outcome.passed,
            backup: outcome.backup.exact(),
            kind: outcome.kind.to_owned(),
            keyring: outcome.keyring.as_ref().map(|used| used.id),
            generation: outcome.keyring.as_ref().map(|used| used.generation),
            mysqld: outcome.mysqld.clone(),
            tables: outcome.tables,
            rows: outcome.rows,
            tables_failed: outcome.failed.len(),
            failed: outcome.failed.iter().take(MOST_TABLES).cloned().collect(),
            faults: outcome.faults.clone(),
            recorded: outcome.comparison.as_ref().map(|comparison| comparison.recorded),
            seconds: outcome.seconds,
            program: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The result in a few words.
    pub(in crate::commands) fn result(&self) -> String {
        match (self.passed, self.tables_failed) {
            (true, _) => format!("{} read", counted(self.tables, "table")),
            (false, 0) => self.faults.first().cloned().unwrap_or_else(|| "failed".to_owned()),
            (false, n) => format!("{n} of {} failed", counted(self.tables + n, "table")),
        }
    }
}

fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// A history that can be added to.
pub(super) struct History {
    path: PathBuf,
    file: File,
}

impl History {
    /// Opens the file, before the drill begins. Creates its directory if it is the default.
    pub(super) fn open(path: &Path) -> Result<History> {
        // No result is added to another file. One that may only be added to is taken as it is.
        let is_only_added_to = |meta: &fs::Metadata| meta.is_file() && File::open(path).is_err();
        if fs::metadata(path).is_ok_and(|meta| !is_only_added_to(&meta)) {
            read(path)?;
        }
        let open = || OpenOptions::new().create(true).append(true).mode(0o640).open(path);
        let file = match open() {
            Err(e) if e.kind() == io::ErrorKind::NotFound && path == Path::new(DEFAULT) => {
                let directory = path.parent().unwrap_or(path);
                let made = DirBuilder::new().recursive(true).mode(0o755).create(directory);
                made.and_then(|()| open())
            }
            file => file,
        };
        let file = file.map_err(|e| {
            Error::Usage(format!(
                "the result cannot be added to {} ({e}): run this as root, or name a file with --history, or add --no-history",
                path.shown()
            ))
        })?;
        Ok(History { path: path.to_owned(), file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a result.
    pub(super) fn add(&self, entry: &DrillEntry) -> Result<()> {
        let mut line = serde_json::to_string(entry)
            .map_err(|e| Error::Usage(format!("cannot write the result as JSON: {e}")))?;
        line.push('\n');
        let written =
            flock(&self.file, FlockOperation::LockExclusive).map_err(io::Error::from).and_then(|()| {
                (&self.file).write_all(line.as_bytes())?;
                self.file.sync_data()
            });
        written.map_err(|e| Error::io("write to", &self.path, e))
    }
}

/// Reads a history, the oldest result first. A line that is none is left out, and counted.
///
/// # Errors
/// It cannot be read, or is no history.
pub(in crate::commands) fn read(path: &Path) -> Result<(Vec<DrillEntry>, usize)> {
    let advice = format!(
        "Name the file that keyringctl drill adds its results to, which is {DEFAULT} unless it was told another one"
    );
    let is = |what: &str| Error::Usage(format!("{} is {what}. {advice}", path.shown()));
    let bytes = match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(is("a directory, not the history of drills")),
        Ok(meta) if !meta.is_file() => return Err(is("not a regular file")),
        Ok(_) => fs::read(path).map_err(|e| not_read(path, &e))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(not_read(path, &e)),
    };
    let lines: Vec<_> = bytes.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
    let entries: Vec<DrillEntry> =
        lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let others = lines.len() - entries.len();
    // The first result may have been cut off.
    if entries.is_empty() && lines.first().is_some_and(|line| !line.starts_with(BEGIN)) {
        return Err(is("not the history of drills, or damaged: no line of it is the result of one"));
    }
    Ok((entries, others))
}

fn not_read(path: &Path, e: &io::Error) -> Error {
    Error::Usage(format!("the history of drills {} cannot be read: {e}", path.shown()))
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let (entries, others) = read(&args.history)?;
    let lasts = last_of_kinds(&entries);
    let verdict = match !lasts.is_empty() && lasts.iter().all(|entry| entry.passed) {
        true => Verdict::Fine,
        false => Verdict::NotFine,
    };
    if args.prometheus {
        metrics(&lasts).print(out);
        return Ok(verdict);
    }
    for entry in &entries {
        let word = if entry.passed { "OK" } else { "FAILED" };
        out.line(format_args!(
            "{word:<8} {}  {} ({}): {}",
            time(entry.time),
            entry.backup.shown(),
            entry.kind,
            entry.result()
        ));
    }
    if entries.is_empty() {
        out.line(format_args!("No drill is recorded in {}", args.history.shown()));
    }
    if others > 0 {
        out.line(format_args!(
            "note: {} of {} cannot be read",
            counted(others, "line"),
            args.history.shown()
        ));
    }
    out.document(&json!({ "history": args.history.exact(), "drills": entries, "unreadable": others }));
    Ok(verdict)
}

/// The last drill of each kind of backup.
pub(in crate::commands) fn last_of_kinds(entries: &[DrillEntry]) -> Vec<&DrillEntry> {
    ["datadir", "dump"].iter().filter_map(|kind| entries.iter().rfind(|entry| entry.kind == *kind)).collect()
}

fn metrics(lasts: &[&DrillEntry]) -> Metrics {
    type Value = fn(&DrillEntry) -> u64;
    let families: [(&str, &str, Value); 4] = [
        (
            "keyring_external_drill_time_seconds",
            "When the last restore drill ended, in seconds since 1970.",
            |entry| entry.time,
        ),
        ("keyring_external_drill_passed", "Whether the last restore drill read every table.", |entry| {
            u64::from(entry.passed)
        }),
        ("keyring_external_drill_tables", "How many tables the last restore drill read.", |entry| {
            entry.tables as u64
        }),
        (
            "keyring_external_drill_failed_tables",
            "How many tables failed in the last restore drill.",
            |entry| entry.tables_failed as u64,
        ),
    ];
    let mut metrics = Metrics::default();
    for (name, help, value) in families {
        metrics.family(name, help);
        for entry in lasts {
            metrics.sample(name, &[("kind", &entry.kind)], value(entry));
        }
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &str, time: u64, passed: bool) -> DrillEntry {
        DrillEntry {
            time,
            host: "db1".to_owned(),
            passed,
            backup: "/backup".to_owned(),
            kind: kind.to_owned(),
            keyring: None,
            generation: None,
            mysqld: "9.7.4".to_owned(),
            tables: 4,
            rows: 9,
            tables_failed: usize::from(!passed),
            failed: Vec::new(),
            faults: Vec::new(),
            recorded: None,
            seconds: 3,
            program: "0".to_owned(),
        }
    }

    #[test]
    fn results_are_added_and_the_last_of_each_kind_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("drills.jsonl");
        assert!(read(&path).unwrap().0.is_empty());
        for added in [entry("dump", 1, false), entry("datadir", 2, true), entry("dump", 3, true)] {
            History::open(&path).unwrap().add(&added).unwrap();
        }
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"cut o").unwrap();
        let (entries, others) = read(&path).unwrap();
        assert_eq!((entries.len(), others), (3, 1));
        let lasts = last_of_kinds(&entries);
        assert_eq!(lasts.iter().map(|entry| entry.time).collect::<Vec<_>>(), [2, 3]);
        // The first result was cut off.
        fs::write(&path, BEGIN).unwrap();
        History::open(&path).unwrap();
        assert_eq!(read(&path).unwrap().1, 1);
        let text = metrics(&lasts).text();
        assert!(text.contains("keyring_external_drill_passed{kind=\"dump\"} 1\n"), "{text}");
        assert!(text.contains("keyring_external_drill_time_seconds{kind=\"datadir\"} 2\n"), "{text}");
    }

    #[test]
    fn what_is_no_history_is_named_and_nothing_is_added_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let of = |path: &Path| {
            let error = |e: Option<Error>| e.expect("it is no history").to_string();
            let (read, opened) = (error(read(path).err()), error(History::open(path).err()));
            assert_eq!(read, opened);
            assert!(read.contains("Name the file that keyringctl drill adds its results to"), "{read}");
            read
        };
        assert!(of(dir.path()).contains("is a directory"));
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(of(&fifo).contains("is not a regular file"));
        for text in [&b"hello\n"[..], b"\xff\xfe\0", b"{}\n"] {
            let path = dir.path().join("other");
            fs::write(&path, text).unwrap();
            assert!(of(&path).contains("no line of it is the result of one"));
            assert_eq!(fs::read(&path).unwrap(), text);
        }
    }
}
