// SPDX-License-Identifier: GPL-2.0-or-later
//! Binary logs from before the switch: what is in clear, or with `--undo` encrypted, stays so, and only purging
//! gets rid of it.

use super::direction::Direction;
use super::job::Job;
use crate::server::{BinaryLog, Inventory};
use keyring_external::error::Result;

/// Purges the logs from before, when told to. Answers what is left to do.
pub(super) fn purge(
    job: &mut Job<'_>,
    inventory: &Inventory,
    direction: Direction,
    purge: bool,
) -> Result<Option<String>> {
    let logs = &inventory.binary_logs;
    let is_old = |log: &&BinaryLog| !direction.is_reached(log.encrypted);
    let old = if direction == Direction::Encrypt { "in clear" } else { "encrypted" };
    let (Some(last), count) = (logs.iter().rfind(is_old), logs.iter().filter(is_old).count()) else {
        return Ok(None);
    };
    if !purge {
        return Ok(Some(format!(
            "{count} binary logs are from before and {old}, up to {}. When all replicas and backups have them: run this with --purge-binary-logs",
            last.name
        )));
    }
    let keep = logs.iter().skip_while(|log| log.name != last.name).nth(1);
    let Some(keep) = keep else {
        return Ok(Some(format!(
            "the binary log in use is still {old}: FLUSH BINARY LOGS, then run this again"
        )));
    };
    // The statement takes a plain literal only.
    let name: String = keep.name.chars().filter(|c| !matches!(c, '\'' | '\\')).collect();
    let what = format!("{count} binary logs purged, which were {old}");
    job.attempt(&what, &format!("PURGE BINARY LOGS TO '{name}'"), true)?;
    Ok(None)
}
