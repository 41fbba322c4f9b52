// SPDX-License-Identifier: GPL-2.0-or-later
//! Encrypts the tablespace `mysql` and general tablespaces. The server encrypts their pages in place.

use super::direction::Direction;
use super::job::{Job, Step};
use crate::error::Result;
use crate::server::{Inventory, TablespaceKind, quoted};
use crate::show::Shown;
use std::time::Instant;

pub(super) fn apply(job: &mut Job<'_>, inventory: &Inventory, direction: Direction) -> Result<Step> {
    for space in &inventory.tablespaces {
        let is_selected = matches!(space.kind, TablespaceKind::Mysql | TablespaceKind::General);
        // The server cannot use one that has a fault, which is reported as not checked.
        if !is_selected || space.fault.is_some() || direction.is_reached(space.encrypted) {
            continue;
        }
        if let Step::Stopped = job.wait_until_allowed()? {
            return Ok(Step::Stopped);
        }
        let name = format!("tablespace {}", space.name.shown());
        let statement =
            format!("ALTER TABLESPACE {} ENCRYPTION = '{}'", quoted(&space.name), direction.letter());
        let began = Instant::now();
        let mut attempt = 1;
        let ended = loop {
            match job.carry_out(&name, &statement, space.bytes) {
                Err(e) if job.should_retry(&e, &mut attempt) => {}
                ended => break ended,
            }
        };
        match ended {
            // Cancelled: the server has undone its work.
            Ok(Step::Stopped) => return Ok(Step::Stopped),
            Ok(Step::Done) => {
                let what = format!("{name} {}", direction.done());
                job.record_done(&what, space.bytes, began.elapsed());
            }
            Err(e) => job.note_failure(&name, e)?,
        }
    }
    Ok(Step::Done)
}
