// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the statements about a scratch tablespace are written to the binary log.

use crate::commands::encrypt::job::Job;
use crate::error::Result;
use crate::server::ScratchName;

/// Whether the statements of this run are written to the binary log.
pub(super) fn is_logged(job: &mut Job<'_>) -> Result<bool> {
    Ok(job.work.first::<i64>("SELECT @@GLOBAL.log_bin AND @@SESSION.sql_log_bin")? == Some(1))
}

/// Does something with statements that are written to the binary log exactly if those before them were. Otherwise, a replica
/// would lack one of them, and stop.
pub(in crate::commands::encrypt) fn in_binary_log<T>(
    job: &mut Job<'_>,
    name: &ScratchName,
    work: impl FnOnce(&mut Job<'_>) -> Result<T>,
) -> Result<T> {
    let own = job.work.first::<(i64, i64)>("SELECT @@GLOBAL.log_bin, @@SESSION.sql_log_bin")?;
    let (log, session) = own.unwrap_or_default();
    if log == 0 || name.is_logged() == (session == 1) {
        return work(job);
    }
    job.work.run(&format!("SET SESSION sql_log_bin = {}", u8::from(name.is_logged())))?;
    let ended = work(job);
    job.work.run(&format!("SET SESSION sql_log_bin = {session}"))?;
    ended
}
