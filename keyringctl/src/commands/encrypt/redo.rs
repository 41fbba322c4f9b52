// SPDX-License-Identifier: GPL-2.0-or-later
//! The redo log. Changes from before encryption was switched on stay in its files, also in spare ones, until the server
//! recreates the files. It does so when the log's capacity grows.

use super::job::{Job, Step};
use super::scratch::{NAME, PATIENCE, Scratch};
use super::sizes;
use crate::error::{Error, Result, ServerError};
use crate::server::Session;
use std::time::{Duration, Instant};

/// How many steps of a run this is.
pub(super) const STEPS: u32 = 1;
const WHAT: &str = "redo log files recreated";
/// The number of files of a redo log.
const FILES: u64 = 32;
/// The largest file that the tool fills itself to make the server go on to the next one. A larger one fills up while the
/// server is used.
const MOST: u64 = 256 << 20;
/// Bytes per row, if the server accepts strings of that length.
const ROW: u64 = 16 << 10;
/// How long the server may take to leave the current file.
const LIMIT: Duration = Duration::from_secs(300);
/// How long it takes at most if the tool does not write.
const BRIEF_LIMIT: Duration = Duration::from_secs(10);
/// How long the server takes to create spare files.
const SPARES: Duration = Duration::from_secs(3);

/// Makes the server recreate all files that it has written to so far. Returns what is left to do if that was not
/// possible.
pub(super) fn recreate(job: &mut Job<'_>) -> Result<(Step, Option<String>)> {
    let Some(capacity) = capacity(&mut job.watch)? else {
        // Before 8.0.30.
        return Ok((Step::Done, Some("This server recreates its redo log files only after it has filled them: let it run for a while, then restart it".to_owned())));
    };
    let newest = match newest_file(&mut job.watch) {
        Ok(newest) => newest,
        Err(e) => {
            job.note_failure(WHAT, e)?;
            return Ok((Step::Done, None));
        }
    };
    if status(&mut job.watch, "Innodb_redo_log_enabled")?.is_some_and(|on| on == "OFF") {
        job.record_failed(
            WHAT,
            "redo logging is switched off. Run ALTER INSTANCE ENABLE INNODB REDO_LOG, then run apply again",
        );
        return Ok((Step::Done, None));
    }
    let began = Instant::now();
    job.begin_step(WHAT);
    let larger = grown(capacity);
    if let Err(e) = job.work.run(&set_capacity(larger)) {
        job.note_failure(WHAT, e)?;
        return Ok((Step::Done, None));
    }
    let set = job.watch.variable("innodb_redo_log_capacity").ok().flatten();
    let has_grown = set.and_then(|set| set.parse::<u64>().ok()).is_some_and(|set| set > capacity);
    let passed = if has_grown {
        leave_current_file(job, newest, larger / FILES)
    } else {
        // It is at its maximum.
        Ok(false)
    };
    job.pause(SPARES);
    restore(job, capacity);
    job.shared().progress.end_wait(began.elapsed());
    if passed? {
        job.record_done(WHAT, 0, began.elapsed());
        return Ok((Step::Done, None));
    }
    if job.is_stopping() {
        return Ok((Step::Stopped, None));
    }
    Ok((
        Step::Done,
        Some(format!(
            "One redo log file ({}) still holds unencrypted changes: the server removes it after it has written that much, and after backups that read the log have ended; or run apply again",
            sizes::bytes(larger / FILES)
        )),
    ))
}

/// Returns a capacity at which the server recreates its files. It counts whole megabytes, and refuses others in strict mode.
fn grown(capacity: u64) -> u64 {
    const MEGABYTE: u64 = 1 << 20;
    let whole = capacity.next_multiple_of(MEGABYTE);
    whole + (whole / 16).max(1).next_multiple_of(MEGABYTE)
}

/// Returns the capacity that the log really has. The variable is not used if `innodb_log_file_size` is set.
fn capacity(session: &mut Session) -> Result<Option<u64>> {
    let used = status(session, "Innodb_redo_log_capacity_resized")?;
    let set = session.variable("innodb_redo_log_capacity")?;
    Ok(used.and_then(|c| c.parse().ok()).filter(|c| *c > 0).or_else(|| set?.parse().ok()))
}

fn status(session: &mut Session, name: &str) -> Result<Option<String>> {
    Ok(session
        .first::<(String, String)>(&format!("SHOW GLOBAL STATUS LIKE '{name}'"))?
        .map(|(_, value)| value))
}

/// Returns the number of the file that the server writes.
fn newest_file(session: &mut Session) -> Result<i64> {
    let query = "SELECT CAST(MAX(FILE_ID) AS SIGNED) FROM performance_schema.innodb_redo_log_files";
    Ok(session.first::<Option<i64>>(query)?.flatten().unwrap_or(0))
}

/// The value that was persisted stays as it is.
fn set_capacity(bytes: u64) -> String {
    format!("SET GLOBAL innodb_redo_log_capacity = {bytes}")
}

/// Restores the capacity, even if one of the connections is lost.
fn restore(job: &mut Job<'_>, capacity: u64) {
    let statement = set_capacity(capacity);
    let restored = job.work.run(&statement).or_else(|_| job.watch.run(&statement)).or_else(|_| {
        let mut again = job.watch.connect_again()?;
        again.run(&statement)
    });
    if let Err(e) = restored {
        job.record_failed("capacity of the redo log restored", &format!("{e}. Run {statement}"));
    }
}

/// Makes the server leave the current file, by writing if necessary.
fn leave_current_file(job: &mut Job<'_>, newest: i64, file: u64) -> Result<bool> {
    let passed = format!("SELECT MIN(FILE_ID) > {newest} FROM performance_schema.innodb_redo_log_files");
    if file > MOST {
        return job.wait_until(&passed, BRIEF_LIMIT);
    }
    let filled = Scratch::create(&job.watch, PATIENCE).and_then(|mut scratch| {
        let filled = fill(job, &mut scratch, newest, file);
        if let Err(e) = scratch.remove() {
            job.record_failed(&format!("schema {NAME} dropped"), &format!("{e}. The next run drops it"));
        }
        filled
    });
    match filled {
        Ok(true) => {
            if job.wait_until(&passed, BRIEF_LIMIT)? {
                return Ok(true);
            }
            job.print_wait(format_args!(
                "Waiting until the server no longer needs the old redo log files, at most {}",
                sizes::time(LIMIT)
            ));
            job.wait_until(&passed, LIMIT)
        }
        Ok(false) => Ok(false),
        Err(e @ Error::Server(ServerError { code: 0, .. })) => Err(e),
        Err(e) => {
            job.record_failed(WHAT, &e.to_string());
            Ok(false)
        }
    }
}

/// Writes until the server writes to a newer file than `newest`, for which `file` bytes are normally enough. Returns whether
/// it does.
fn fill(job: &mut Job<'_>, scratch: &mut Scratch, newest: i64, file: u64) -> Result<bool> {
    const EIGHT: &str = "(SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7)";
    let left = format!("SELECT MAX(FILE_ID) > {newest} FROM performance_schema.innodb_redo_log_files");
    let packet: Option<u64> = scratch.session.first("SELECT @@SESSION.max_allowed_packet")?;
    // A longer string would be NULL.
    let row = packet.map_or(ROW, |packet| packet.min(ROW));
    scratch.create_table("filler", "id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, a MEDIUMTEXT NOT NULL")?;
    job.begin_step(&format!("filling a redo log file of {}", sizes::bytes(file)));
    // The log holds more than the rows; a file that this does not fill belongs to a log that is being resized.
    let (mut written, most) = (0, file.saturating_mul(2) + (8 << 20));
    let mut left_it = false;
    while !left_it && written < most && !job.is_stopping() {
        scratch.session.run(&format!(
            "INSERT INTO filler (a) SELECT REPEAT('x', {row}) FROM {EIGHT} AS eight, {EIGHT} AS more"
        ))?;
        written += row * 64;
        left_it = job.watch.first::<Option<i64>>(&left)?.flatten() == Some(1);
    }
    job.begin_step(WHAT);
    if !left_it && written >= most {
        job.record_failed(
            WHAT,
            &format!("the server wrote {} and did not go on to another file", sizes::bytes(written)),
        );
    }
    Ok(left_it)
}

#[cfg(test)]
mod tests {
    use super::grown;

    #[test]
    fn a_log_grows_by_whole_megabytes() {
        const MEGABYTE: u64 = 1 << 20;
        // The default is 100 MB, a sixteenth of which is 6.25 MB.
        assert_eq!(grown(100 * MEGABYTE), 107 * MEGABYTE);
        assert_eq!(grown(8 * MEGABYTE), 9 * MEGABYTE);
        assert_eq!(grown(8 * MEGABYTE + 1) % MEGABYTE, 0);
    }
}
