// SPDX-License-Identifier: GPL-2.0-or-later
//! What is checked at a remote before a copy is created there: that its engine does what a keyring needs.

use super::store_places::remotes_file;
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::config::RemoteName;
use keyring_external::store::places::is_remote;
use keyring_external::store::remote::examine::Engine;
use keyring_external::store::remote::objects::{Answer, Trouble};
use keyring_external::store::remote::open::open;
use keyring_external::store::remote::probe::{Verdict, honours_conditions};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The end of the message if nothing was changed before.
pub(super) const AGAIN: &str = "Nothing was changed. Correct it, then run this command again";

/// How long the look at one copy may take.
const LOOK: Duration = Duration::from_secs(20);

/// Checks those of the new copies that are at remotes: of several programs that change an object there at the same time,
/// only one may succeed. Writes an object below each prefix, and deletes it. `then` ends the message of a failure: what was
/// changed so far, and what to do.
///
/// # Errors
/// A remote cannot be written, or does not honour conditional writes. Nothing else was written.
pub(super) fn check_conditions<'c>(copies: impl IntoIterator<Item = &'c Path>, then: &str) -> Result<()> {
    for copy in copies.into_iter().filter(|copy| is_remote(copy)) {
        let name = RemoteName::parse(copy)?;
        let engine = engine(&name).map_err(|e| failed("use", copy, &e, then))?;
        let verdict = honours_conditions(engine.as_ref(), &name.prefix, Instant::now() + LOOK);
        if let Verdict::Broken(what) = verdict.map_err(|e| failed("write below", copy, &e, then))? {
            return Err(Error::Usage(format!(
                "{} cannot hold a keyring: {what}. Use another engine, or a version of it that honours conditional \
                 writes. Nothing was created there",
                copy.shown()
            )));
        }
    }
    Ok(())
}

/// Checks that a remote can be read at the name of a copy.
///
/// # Errors
/// It cannot.
pub(super) fn check_answers(copy: &Path, then: &str) -> Result<()> {
    let name = RemoteName::parse(copy)?;
    let engine = engine(&name).map_err(|e| failed("use", copy, &e, then))?;
    let head = engine.get(&format!("{}/head", name.prefix), Instant::now() + LOOK);
    head.map(drop).map_err(|e| failed("read", copy, &e, then))
}

fn engine(name: &RemoteName) -> Answer<Arc<dyn Engine>> {
    open(&remotes_file(), &name.remote)
}

fn failed(doing: &str, copy: &Path, trouble: &Trouble, then: &str) -> Error {
    Error::Usage(format!(
        "cannot {doing} {}: {trouble}. docs/REMOTES.md describes the remotes file ({}) and the rights that are needed. \
         {then}",
        copy.shown(),
        remotes_file().shown()
    ))
}
