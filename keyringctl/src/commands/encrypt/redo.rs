// SPDX-License-Identifier: GPL-2.0-or-later
//! The redo log: what was written before encryption was switched on stays in its files, the spare ones
//! too, until they are made anew. The server does that when the log's capacity grows.

use super::job::{Job, Step};
use super::scratch::Scratch;
use super::sizes;
use keyring_external::error::{Error, Result};
use std::time::{Duration, Instant};

const WHAT: &str = "redo log files made anew";
/// A log has so many files.
const FILES: u64 = 32;
/// Most bytes that are written to have the log pass the file that it is in. In a larger one it does so as
/// the server is used.
const MOST: u64 = 256 << 20;
/// Bytes written at a time.
const PIECE: u64 = 1 << 20;
/// How long the server may take for it all.
const LIMIT: Duration = Duration::from_secs(300);
/// How long it takes to make spare files.
const SPARES: Duration = Duration::from_secs(3);

/// Has the server make all files anew that hold what was written up to now. Answers what is left to do
/// when that was not possible.
pub(super) fn renew(job: &mut Job<'_>) -> Result<(Step, Option<String>)> {
    // Both since 8.0.30.
    let newest = "SELECT CAST(MAX(FILE_ID) AS SIGNED) FROM performance_schema.innodb_redo_log_files";
    let newest = job.watch.first::<Option<i64>>(newest).ok().flatten().flatten();
    let capacity = job.watch.variable("innodb_redo_log_capacity")?.and_then(|c| c.parse::<u64>().ok());
    let (Some(newest), Some(capacity)) = (newest, capacity) else {
        return Ok((Step::Done, Some("this server makes redo log files anew only when its log has been written over: use it for a while, then restart it".to_owned())));
    };
    let began = Instant::now();
    // Grows by whole megabytes.
    let larger = capacity + (capacity / 16).max(1 << 20);
    if let Err(e) = set_capacity(job, larger) {
        job.note_failure(WHAT, e)?;
        return Ok((Step::Done, None));
    }
    let passed = pass(job, newest, larger / FILES);
    job.pause(SPARES);
    set_capacity(job, capacity)?;
    if passed? {
        job.done(WHAT, 0, began.elapsed());
        return Ok((Step::Done, None));
    }
    if job.stop.is_wished() {
        return Ok((Step::Stopped, None));
    }
    Ok((
        Step::Done,
        Some(format!(
            "one file of the redo log ({}) still holds changes in clear: it goes when so much has been written, or run apply again",
            sizes::bytes(larger / FILES)
        )),
    ))
}

fn set_capacity(job: &mut Job<'_>, bytes: u64) -> Result<()> {
    job.work.run(&format!("SET GLOBAL innodb_redo_log_capacity = {bytes}"))
}

/// Has the log leave the file that it is in, if need be by writing.
fn pass(job: &mut Job<'_>, newest: i64, file: u64) -> Result<bool> {
    let passed = format!("SELECT MIN(FILE_ID) > {newest} FROM performance_schema.innodb_redo_log_files");
    if file > MOST {
        return job.wait_until(&passed, Duration::from_secs(10));
    }
    let mut scratch = Scratch::make(&job.watch)?;
    match write(job, &mut scratch, file) {
        Ok(()) => job.wait_until(&passed, LIMIT),
        Err(Error::Server { code, why, .. }) if code != 0 => {
            job.failed(WHAT, &why);
            Ok(false)
        }
        Err(e) => Err(e),
    }
}

/// Writes so many bytes into the log, and a little more.
fn write(job: &mut Job<'_>, scratch: &mut Scratch, bytes: u64) -> Result<()> {
    scratch.session.run("CREATE TABLE filler (a LONGBLOB) ENCRYPTION = 'Y'")?;
    for _ in 0..bytes.div_ceil(PIECE) + 1 {
        if job.stop.is_wished() {
            break;
        }
        scratch.session.run(&format!("INSERT INTO filler VALUES (REPEAT('x', {PIECE}))"))?;
    }
    Ok(())
}
