// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl keys retire` and `unretire`.

use super::args::{KeyringArgs, Unneeded, UnneededArgs, keyring_and_ids};
use super::opened;
use crate::commands::consent::{Consent, Decision, Effect, Plan};
use crate::commands::older::Older;
use crate::commands::output::{Output, counted, time};
use crate::commands::verdict::Verdict;
use crate::error::Result;
use crate::show::Shown;
use keyring_external::keyring::now;
use serde_json::json;
use std::ffi::OsString;
use std::num::NonZeroU64;

/// Mark keys as retired that nothing needs
///
/// A retired key still works. The server counts how often it is used (Keyring_external_retired_fetches), and after a waiting
/// time, keyringctl keys destroy can destroy it. A key is refused if a file needs it, if it is the newest of its server, or
/// if it is not known whether something needs it. The server can keep running.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  keyringctl keys retire INNODBKey-dd687905-e7cf-11f1-848c-02fc00000001-1 --backup /backup/monday\n  keyringctl keys retire /mnt/keyring/hospital.keyring INNODBKey-dd687905-e7cf-11f1-848c-02fc00000001-1 --unlock file:/etc/mysql/keyring_external.secret --datadir /var/lib/mysql\n\nExit codes: 0 the keys are retired, or this was a dry run; 1 a key is or may be needed, or the keyring was refused; 2 it could not be done. In the last two, nothing was changed."
)]
pub(super) struct RetireArgs {
    #[command(flatten)]
    unneeded: UnneededArgs,
    #[command(flatten)]
    consent: Consent,
}

/// Take back that keys are retired
///
/// Do this if the server uses a retired key, or if a backup turned up that needs it.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  keyringctl keys unretire INNODBKey-dd687905-e7cf-11f1-848c-02fc00000001-1"
)]
pub(super) struct UnretireArgs {
    /// Keyring file, which must have a slash in its name [default: all copies of the server on this host], then the ids of
    /// the keys
    #[arg(value_name = "[KEYRING] ID", required = true)]
    words: Vec<OsString>,
    #[command(flatten)]
    keyring: KeyringArgs,
    #[command(flatten)]
    older: Older,
    #[command(flatten)]
    consent: Consent,
}

pub(super) fn retire(args: &RetireArgs, out: &mut Output) -> Result<Verdict> {
    let Unneeded { target, datadirs, ids } = args.unneeded.open()?;
    let places = &args.unneeded.places;
    let Some((_, keys)) = opened::prove(&target.keyring, places, &datadirs, &ids, out)? else {
        return Ok(Verdict::NotFine);
    };
    let mut plan = Plan::new(format!("Retire {}?", counted(ids.len(), "key")));
    for key in &keys {
        let (now, afterwards) = match key.retired {
            Some(at) => (format!("retired since {}", time(at)), "unchanged"),
            None => ("in the keyring, needed by nothing that was read".to_owned(), "retired; it still works"),
        };
        plan.effect(Effect::new(format!("key {}", key.id), now, afterwards));
    }
    target.plan_copies(&mut plan, "with the mark");
    plan.note("Backups and logs that were not named here may need the keys. keyringctl keys unretire takes this back.");
    plan.detail("keys", json!(keys));
    if args.consent.ask(&plan, out)? == Decision::DryRun {
        return Ok(Verdict::Fine);
    }
    target.bring_up_to_date()?;
    let at = NonZeroU64::new(now()).unwrap_or(NonZeroU64::MIN);
    target.keyring.retire(&opened::names(&ids)?, at)?;
    for id in &ids {
        out.line(format_args!("retired: {}", id.shown()));
    }
    out.line("The keys still work. If the server uses one, Keyring_external_retired_fetches grows.");
    out.document(&json!({ "done": true, "retired": ids, "generation": target.keyring.status().generation }));
    Ok(Verdict::Fine)
}

pub(super) fn unretire(args: &UnretireArgs, out: &mut Output) -> Result<Verdict> {
    let (path, ids) = keyring_and_ids(&args.words)?;
    let target = args.keyring.target(path, &[], args.older).open()?;
    let mut plan = Plan::new(format!(
        "Take back that {} retired?",
        match ids.len() {
            1 => "1 key is".to_owned(),
            n => format!("{n} keys are"),
        }
    ));
    for (id, name) in ids.iter().zip(opened::names(&ids)?) {
        let retired = target.keyring.fetch(&name, |key| key.retired);
        let (now, afterwards) = match retired {
            Some(Some(at)) => (format!("retired since {}", time(at.get())), "in use"),
            Some(None) => ("not retired".to_owned(), "unchanged"),
            None => ("the keyring does not have it".to_owned(), "refused"),
        };
        plan.effect(Effect::new(format!("key {id}"), now, afterwards));
    }
    target.plan_copies(&mut plan, "without the mark");
    if args.consent.ask(&plan, out)? == Decision::DryRun {
        return Ok(Verdict::Fine);
    }
    target.bring_up_to_date()?;
    target.keyring.unretire(&opened::names(&ids)?)?;
    for id in &ids {
        out.line(format_args!("no longer retired: {}", id.shown()));
    }
    out.document(
        &json!({ "done": true, "unretired": ids, "generation": target.keyring.status().generation }),
    );
    Ok(Verdict::Fine)
}
