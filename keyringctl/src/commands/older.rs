// SPDX-License-Identifier: GPL-2.0-or-later
//! No command changes copies that are older than the keyring that the server last used, unless it is told to: a copy that
//! was only behind would diverge from the newest one.

use super::copies::Copies;
use super::status::{self, copy_status::WitnessSays};
use crate::error::{Error, Result};
use crate::show::{self, Shown};
use keyring_external::keyring::{Keyring, check_claims_by_witness, inspect};
use keyring_external::store::places::Places;
use std::path::Path;

/// The option of a command that changes copies.
#[derive(clap::Args, Clone, Copy, Default)]
pub(super) struct Older {
    /// Go on although the data directory was last used with a newer state of the keyring, or with another keyring. The
    /// copies then diverge from the newest one
    #[arg(long)]
    accept_older: bool,
}

impl Older {
    /// Refuses a keyring that the server of the copies would refuse because of its witness.
    ///
    /// # Errors
    /// It is older than the witness, has diverged from it or is another one, and `--accept-older` is not given.
    pub(super) fn check(self, places: &Places, keyring: &Keyring, copies: &Copies) -> Result<()> {
        let Some(datadir) = &copies.datadir else { return Ok(()) };
        // A witness that this user cannot read says nothing.
        let Ok((says, Some((_, why)))) = status::heard(keyring.check_witness(places.fs(), datadir)) else {
            return Ok(());
        };
        // A server may have changed the copies since they were opened.
        if says == Some(WitnessSays::Older)
            && copies.paths.iter().any(|path| is_newer_now(places, path, datadir))
        {
            return Ok(());
        }
        let what = match says {
            Some(WitnessSays::Older) => "no copy here is as new as the keyring that the server last used",
            Some(WitnessSays::Fork) => "the copies have diverged from the keyring that the server last used",
            _ => "the copies are not those of the keyring that the server last used",
        };
        let why = copies.secret.named_in(why.to_string());
        if self.accept_older {
            show::warn(format_args!("{what}, and are changed even so (--accept-older): {why}"));
            return Ok(());
        }
        Err(Error::Usage(format!(
            "nothing was changed: {what}, and a change makes them diverge from it: {why}. keyringctl which says what to \
             do. To go on even so, add --accept-older (data directory: {})",
            datadir.shown()
        )))
    }
}

fn is_newer_now(places: &Places, path: &Path, datadir: &Path) -> bool {
    let Ok(claims) = inspect(places, path) else { return false };
    claims.commit.is_some_and(|commit| {
        let says =
            status::heard(check_claims_by_witness(places.fs(), datadir, path, &claims.header.id, &commit));
        says.is_ok_and(|(says, _)| matches!(says, Some(WitnessSays::Same | WitnessSays::Newer)))
    })
}
