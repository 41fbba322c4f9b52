// SPDX-License-Identifier: GPL-2.0-or-later
//! Encrypts the tablespace `mysql` and general tablespaces. The server encrypts their pages in place.

use super::direction::Direction;
use super::file_state;
use super::job::{Job, NOT_REACHED, Step};
use crate::error::{Error, Result, ServerError};
use crate::server::{
    AtWork, DatadirAccess, Inventory, LOCK_WAIT_TIMEOUT, TablespaceKind, quoted, quoted_text,
};
use crate::show::Shown;
use std::time::Instant;

/// Encrypts or decrypts them one after the other.
pub(super) fn apply(
    job: &mut Job<'_>,
    inventory: &Inventory,
    here: &DatadirAccess,
    direction: Direction,
) -> Result<Step> {
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
                // If the server completed it, the statement does nothing.
                Err(e) => match job.after_loss(&name, e)? {
                    None => {}
                    // KILL came after the server had done it.
                    Some(_) if why_not_reached(job, &space.name, here, direction)?.is_none() => {
                        break Ok(Step::Done);
                    }
                    Some(e) => break Err(e),
                },
                ended => break ended,
            }
        };
        match ended {
            // Cancelled: the server has undone its work.
            Ok(Step::Stopped) => return Ok(Step::Stopped),
            Ok(Step::Done) => {
                let what = format!("{name} {}", direction.done());
                match why_not_reached(job, &space.name, here, direction)? {
                    None => job.record_done(&what, space.bytes, began.elapsed()),
                    Some(why) => job.record_failed(&name, &why),
                }
            }
            Err(Error::Server(ServerError { code: LOCK_WAIT_TIMEOUT, .. })) if AtWork::is_resuming(&mut job.watch) => job.record_failed(
                &name,
                "the server still carries out an earlier ALTER TABLESPACE that a crash interrupted. Wait until it has finished, then run this again",
            ),
            Err(e) => job.note_failure(&name, e)?,
        }
        job.end_step(space.bytes);
    }
    Ok(Step::Done)
}

/// Looks at a tablespace after the statement, as the server reports it and in its files.
fn why_not_reached(
    job: &mut Job<'_>,
    name: &str,
    here: &DatadirAccess,
    direction: Direction,
) -> Result<Option<String>> {
    let name = quoted_text(name);
    let reported: Option<String> = job.watch.first(&format!(
        "SELECT ENCRYPTION FROM information_schema.INNODB_TABLESPACES WHERE NAME = {name}"
    ))?;
    match reported {
        None => return Ok(Some("it has been dropped meanwhile".to_owned())),
        Some(encryption) if !direction.is_reached(encryption == "Y") => {
            return Ok(Some(NOT_REACHED.to_owned()));
        }
        Some(_) => {}
    }
    if direction == Direction::Undo {
        return Ok(None);
    }
    let files: Vec<String> = job
        .watch
        .rows(&format!("SELECT FILE_NAME FROM information_schema.FILES WHERE TABLESPACE_NAME = {name}"))?;
    Ok(files.iter().find_map(|path| file_state::why_not_encrypted(here, path.as_ref())))
}
