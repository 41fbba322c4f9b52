// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads all tables although the server may end over some: InnoDB ends the server when it reads a page that is damaged. The
//! server is then started again, and goes on with the next table.

use super::files::FileFaults;
use super::outcome::FailedTable;
use super::read::{TableName, TableRead, TableSum, check_and_sum, progress, tables};
use super::scratch_server::{Grants, NotStarted, ScratchHost, ScratchServer};
use crate::error::Result;
use crate::tablespace::MasterKeys;
use std::collections::BTreeMap;

/// After so many ends, every page of all files is read, and the tables that are damaged are left out.
const ENDS_BEFORE_FILES: usize = 2;
/// After so many ends, the rest is given up.
const MOST_ENDS: usize = 30;

/// Why a server cannot read a table whose files are not in the backup, whatever it says itself.
const ELSEWHERE: &str = "the backup has no file of it. If its DATA DIRECTORY or general tablespace is in another directory of the \
    backup, name that with --also";

/// What was read.
#[derive(Default)]
pub(super) struct AllRead {
    pub sums: BTreeMap<TableName, TableSum>,
    pub failed: Vec<FailedTable>,
    /// Why the server does not start any more.
    pub fault: Option<String>,
}

/// Reads all tables of a running server. Leaves no server running.
pub(super) fn read_all(
    host: &mut ScratchHost<'_>,
    mut server: ScratchServer,
    keys: &dyn MasterKeys,
    faults: &FileFaults,
) -> Result<AllRead> {
    let all = tables(&mut server.session)?;
    let progress = progress(&all);
    let (mut done, mut ends) = (AllRead::default(), 0);
    let mut server = Some(server);
    let mut damaged = FileFaults::default();
    let fail = |done: &mut AllRead, table: &TableName, reason: String| {
        done.failed.push(FailedTable { table: table.shown(), reason });
    };
    for table in &all {
        host.stop.check()?;
        progress.add(1);
        let known = damaged.of_table(&table.schema, &table.name);
        if let Some(reason) = known {
            fail(&mut done, table, reason);
            continue;
        }
        let Some(running) = &mut server else {
            let why = done.fault.clone().unwrap_or_default();
            fail(&mut done, table, format!("it was not read: {why}"));
            continue;
        };
        match check_and_sum(&mut running.session, table) {
            TableRead::Sum(sum) => drop(done.sums.insert(table.clone(), sum)),
            TableRead::Failed(reason) => {
                host.work.require_not_full()?;
                let reason = match faults.of_table(&table.schema, &table.name) {
                    Some(known) => known,
                    None if !table.is_system() && faults.lacks_files_of(&table.schema, &table.name) => {
                        format!("{ELSEWHERE}: {reason}")
                    }
                    None => reason,
                };
                fail(&mut done, table, reason);
            }
            TableRead::Lost => {
                host.stop.check()?;
                let has_ended = running.has_ended();
                let why = running.log.why();
                drop(server.take());
                host.work.require_not_full()?;
                let how = if has_ended {
                    "the server ended while it read this table"
                } else {
                    "the server no longer answered"
                };
                fail(&mut done, table, format!("{how}: {why}"));
                ends += 1;
                if ends == ENDS_BEFORE_FILES {
                    damaged = FileFaults::of_pages(&host.work.data(), keys);
                }
                if ends == MOST_ENDS {
                    done.fault = Some(format!("the server has ended {MOST_ENDS} times"));
                    continue;
                }
                match host.start(Grants::Skipped) {
                    Ok(again) => server = Some(again),
                    Err(NotStarted::Ended(why)) => {
                        done.fault = Some(format!("the server does not start again: {why}"))
                    }
                    Err(NotStarted::Error(e)) => return Err(e),
                }
            }
        }
    }
    Ok(done)
}
