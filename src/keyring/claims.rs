// SPDX-License-Identifier: GPL-2.0-or-later
//! What a file claims to be, read without a secret. Nothing of it is authenticated.

use crate::error::{Error, Refusal, Result};
use crate::format::FormatError;
use crate::format::commit::{self, Commit};
use crate::format::header::{self, ClaimedHeader};
use crate::format::state::StateId;
use crate::store::places::Places;
use crate::store::reading::FrontBytes;
use std::path::Path;

/// What a file claims to be, read without a secret. Nothing of it is authenticated.
#[derive(Debug)]
pub struct Claims {
    /// The header.
    pub header: ClaimedHeader,
    /// The state, or `None` if neither commit slot looks like one.
    pub commit: Option<Commit>,
    /// Whether a copy of the header is damaged.
    pub damaged: bool,
}

/// Reads what a file claims to be.
///
/// # Errors
/// Missing; exposed; not a keyring; of a newer version; damaged.
pub fn inspect(places: &Places, path: &Path) -> Result<Claims> {
    let front = places.replica(path)?.open_to_read()?.front;
    let copies = header::read(&front.0).map_err(|e: FormatError| e.at(path, ""))?;
    let first =
        copies.readable.first().ok_or(Error::Refusal(Refusal::NotAKeyring { path: path.to_owned() }))?;
    Ok(Claims { header: first.claims().clone(), commit: commit::claimed(&front.0), damaged: copies.damaged })
}

/// The state that the front of a file claims, without authentication.
pub(crate) fn claimed(front: &FrontBytes) -> Option<StateId> {
    let copies = header::read(&front.0).ok()?;
    let header = copies.readable.first()?.claims();
    Some(StateId::new(&header.epoch, &commit::claimed(&front.0)?))
}
