// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl rekey`: a new data key.

use super::Verdict;
use super::output::Output;
use super::slot::{Target, show};
use super::status::SlotRow;
use crate::error::Result;
use crate::store::fs::Fs;
use crate::store::real::RealFs;
use std::sync::Arc;

/// Renew the data key: every record is sealed anew, all slots go on to open the keyring
///
/// To be done when somebody may have learnt the data key, or has left who knew a removed slot's secret and may
/// have an old copy of the file: with that copy and that secret, the file as it is from now on cannot be opened.
/// A server that uses the keyring goes on. Name all copies with --mirror, also those that are away, which follow when
/// they come back: a renewal that leaves out a copy that the server on this host is configured for is refused.
#[derive(clap::Args)]
#[command(
    after_help = "Example: keyringctl rekey /mnt/keyring/keys/main.keyring --mirror /mnt/b/keys/main.keyring --unlock file:/etc/mysql/keyring.secret"
)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let (keyring, secret) = args.target.open_and_keep(&fs, "rekey", "")?;
    keyring.rekey(&secret)?;
    let status = keyring.status();
    out.line(format_args!(
        "keyring {}: {} keys sealed with a new data key, generation {}",
        status.id, status.keys, status.generation
    ));
    show(out, keyring.slots().iter().map(SlotRow::from), None);
    Ok(Verdict::Fine)
}
