// SPDX-License-Identifier: GPL-2.0-or-later
//! Binary logs from before encryption was switched on: only purging gets rid of them.

use super::job::Job;
use crate::error::Result;
use crate::server::Inventory;

/// Purges the logs in clear, when told to. Answers what is left to do.
pub(super) fn purge(job: &mut Job<'_>, inventory: &Inventory, purge: bool) -> Result<Option<String>> {
    let clear = inventory.binary_logs.iter().filter(|log| !log.encrypted);
    let (Some(last), count) = (clear.clone().next_back(), clear.count()) else { return Ok(None) };
    if !purge {
        return Ok(Some(format!(
            "{count} binary logs are from before and in clear, up to {}. When all replicas and backups have them: keyringctl encrypt apply --purge-binary-logs",
            last.name
        )));
    }
    let keep = inventory.binary_logs.iter().skip_while(|log| log.name != last.name).nth(1);
    let Some(keep) = keep else {
        return Ok(Some(
            "the binary log in use is in clear: switch binlog_encryption on, then FLUSH BINARY LOGS"
                .to_owned(),
        ));
    };
    // The statement takes a plain literal only.
    let name: String = keep.name.chars().filter(|c| !matches!(c, '\'' | '\\')).collect();
    let statement = format!("PURGE BINARY LOGS TO '{name}'");
    job.attempt(&format!("{count} binary logs in clear purged"), &statement)?;
    Ok(None)
}
