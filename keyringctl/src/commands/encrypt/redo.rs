// SPDX-License-Identifier: GPL-2.0-or-later
//! The redo log. Changes from before encryption was switched on stay in its files, also in spare ones, until the server
//! recreates the files. It does so when the log's capacity grows.

use super::job::{Job, Step};
use super::scratch::Scratch;
use super::sizes;
use crate::error::{Error, Result, ServerError};
use std::time::{Duration, Instant};

const WHAT: &str = "redo log files recreated";
/// The number of files of a redo log.
const FILES: u64 = 32;
/// The largest file that the tool fills itself to make the server go on to the next one. A larger one fills up while the
/// server is used.
const MOST: u64 = 256 << 20;
/// Bytes per INSERT.
const PIECE: u64 = 1 << 20;
/// How long the server may take to leave the current file.
const LIMIT: Duration = Duration::from_secs(300);
/// How long the server takes to create spare files.
const SPARES: Duration = Duration::from_secs(3);

/// Makes the server recreate all files that it has written to so far. Returns what is left to do if that was not
/// possible.
pub(super) fn recreate(job: &mut Job<'_>) -> Result<(Step, Option<String>)> {
    // Both exist since 8.0.30.
    let newest = "SELECT CAST(MAX(FILE_ID) AS SIGNED) FROM performance_schema.innodb_redo_log_files";
    let newest = job.watch.first::<Option<i64>>(newest).ok().flatten().flatten();
    let capacity = job.watch.variable("innodb_redo_log_capacity")?.and_then(|c| c.parse::<u64>().ok());
    let (Some(newest), Some(capacity)) = (newest, capacity) else {
        return Ok((Step::Done, Some("This server recreates its redo log files only after it has filled them: let it run for a while, then restart it".to_owned())));
    };
    let began = Instant::now();
    // The capacity grows by whole megabytes.
    let larger = capacity + (capacity / 16).max(1 << 20);
    if let Err(e) = set_capacity(job, larger) {
        job.note_failure(WHAT, e)?;
        return Ok((Step::Done, None));
    }
    let passed = leave_current_file(job, newest, larger / FILES);
    job.pause(SPARES);
    set_capacity(job, capacity)?;
    if passed? {
        job.record_done(WHAT, 0, began.elapsed());
        return Ok((Step::Done, None));
    }
    if job.stop.is_requested() {
        return Ok((Step::Stopped, None));
    }
    Ok((
        Step::Done,
        Some(format!(
            "One redo log file ({}) still holds unencrypted changes: the server removes it after it has written that much, or run apply again",
            sizes::bytes(larger / FILES)
        )),
    ))
}

fn set_capacity(job: &mut Job<'_>, bytes: u64) -> Result<()> {
    job.work.run(&format!("SET GLOBAL innodb_redo_log_capacity = {bytes}"))
}

/// Makes the server leave the current file, by writing if necessary.
fn leave_current_file(job: &mut Job<'_>, newest: i64, file: u64) -> Result<bool> {
    let passed = format!("SELECT MIN(FILE_ID) > {newest} FROM performance_schema.innodb_redo_log_files");
    if file > MOST {
        return job.wait_until(&passed, Duration::from_secs(10));
    }
    let mut scratch = Scratch::create(&job.watch)?;
    match fill(job, &mut scratch, file) {
        Ok(()) => job.wait_until(&passed, LIMIT),
        Err(Error::Server(ServerError { code, why, .. })) if code != 0 => {
            job.record_failed(WHAT, &why);
            Ok(false)
        }
        Err(e) => Err(e),
    }
}

/// Writes slightly more than `bytes` bytes into the log.
fn fill(job: &mut Job<'_>, scratch: &mut Scratch, bytes: u64) -> Result<()> {
    scratch.create_table("filler", "id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, a LONGBLOB")?;
    for _ in 0..bytes.div_ceil(PIECE) + 1 {
        if job.stop.is_requested() {
            break;
        }
        scratch.session.run(&format!("INSERT INTO filler (a) VALUES (REPEAT('x', {PIECE}))"))?;
    }
    Ok(())
}
