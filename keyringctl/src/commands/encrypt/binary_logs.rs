// SPDX-License-Identifier: GPL-2.0-or-later
//! Binary logs from before `binlog_encryption` was changed. They stay unencrypted (with `--undo`, encrypted) until they are
//! purged.

use super::direction::Direction;
use super::job::Job;
use crate::error::Result;
use crate::server::{BinaryLog, Inventory};

/// Purges these logs if `purge` is set. Returns what is left to do.
pub(super) fn purge(
    job: &mut Job<'_>,
    inventory: &Inventory,
    direction: Direction,
    purge: bool,
) -> Result<Option<String>> {
    let logs = &inventory.binary_logs;
    let is_old = |log: &&BinaryLog| !direction.is_reached(log.encrypted);
    let old = if direction == Direction::Encrypt { "unencrypted" } else { "encrypted" };
    let (Some(last), count) = (logs.iter().rfind(is_old), logs.iter().filter(is_old).count()) else {
        return Ok(None);
    };
    if !purge {
        return Ok(Some(format!(
            "{count} old binary logs, up to {}, are {old}. When all replicas and backups have them, run this again with --purge-binary-logs",
            last.name
        )));
    }
    let keep = logs.iter().skip_while(|log| log.name != last.name).nth(1);
    let Some(keep) = keep else {
        return Ok(Some(format!(
            "The current binary log is still {old}: run FLUSH BINARY LOGS in the server, then run this again"
        )));
    };
    // The statement accepts only a plain literal.
    let name: String = keep.name.chars().filter(|c| !matches!(c, '\'' | '\\')).collect();
    let what = format!("{count} {old} binary logs purged");
    job.attempt(&what, &format!("PURGE BINARY LOGS TO '{name}'"), true)?;
    Ok(None)
}
