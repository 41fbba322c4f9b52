// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl keys destroy`: destroys retired keys after a waiting time.

use super::args::{Unneeded, UnneededArgs};
use super::dates::DAY;
use super::judge::JudgedKey;
use super::kept::{self, Kept};
use super::{opened, running};
use crate::commands::consent::{Consent, Decision, Effect, Plan};
use crate::commands::output::{Output, counted, time};
use crate::commands::store_places::store_places;
use crate::commands::target::OpenedTarget;
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::keyring::{Renewed, Standing, Verifier, now};
use serde_json::json;

/// How long a key must have been retired, in days.
const WAIT: u64 = 30;

/// Destroy retired keys in all copies, and renew the data key
///
/// A key must have been retired for 30 days, and the same proof as for retiring it is needed again. All copies must be
/// reachable. The keys are left out, and everything else is encrypted again with a new data key, in one step: an interruption
/// leaves each copy as it was before or as it is afterwards. Unlock slots stay and are renewed as by rekey. A server that runs
/// reads the change at its next look at the copies, and wipes the keys from its memory.
///
/// Backups of the keyring keep the keys. Those beside the copies, at the remotes of the copies, and below the directories
/// given with --backup are named, each with the command that removes it. A backup of the data that needs a destroyed key can
/// only be read together with such a backup of the keyring.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  keyringctl keys destroy INNODBKey-dd687905-e7cf-11f1-848c-02fc00000001-1 --backup /backup/monday\n  keyringctl keys destroy /mnt/keyring/hospital.keyring INNODBKey-dd687905-e7cf-11f1-848c-02fc00000001-1 --unlock file:/etc/mysql/keyring_external.secret --datadir /var/lib/mysql --min-wait 7\n\nExit codes: 0 the keys are destroyed, or this was a dry run; 1 a key is or may be needed, is not retired long enough, a copy or a running server is not ready, or the keyring was refused; 2 it could not be done. In the last two, each copy is in the state before or after."
)]
pub(super) struct Args {
    #[command(flatten)]
    unneeded: UnneededArgs,
    /// Days for which the keys must have been retired. The audit log names the number
    #[arg(long, value_name = "DAYS", default_value_t = WAIT)]
    min_wait: u64,
    /// Renew the data key even if the audit log that the keyring notes cannot be written: its earlier lines can then be
    /// checked only by the lines after them
    #[arg(long)]
    without_audit_log: bool,
    #[command(flatten)]
    consent: Consent,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let Unneeded { target, datadirs, ids } = args.unneeded.open()?;
    let places = &args.unneeded.places;
    let names = opened::names(&ids)?;
    let Some((named, keys)) = opened::prove(&target.keyring, places, &datadirs, &ids, out)? else {
        return Ok(Verdict::NotFine);
    };
    let by = now().saturating_sub(args.min_wait.saturating_mul(DAY));
    let mut reasons = too_early(&keys, args.min_wait, by);
    reasons.extend(not_reached(&target));
    reasons.extend(running::not_adopted(&store_places(), &target.keyring, &named.running));
    if !reasons.is_empty() {
        for reason in &reasons {
            out.line(format_args!("REFUSED  {reason}"));
        }
        out.line("Nothing was changed.");
        out.document(&json!({ "done": false, "reasons": reasons }));
        return Ok(Verdict::NotFine);
    }
    let verifiers = [Verifier {
        source_name: target.copies.secret.name(),
        secret: target.copies.secret.read_again(&target.secret)?,
    }];
    let renewals = target.keyring.plan_rekey(&verifiers, false)?;
    let kept = kept::find(&target, &places.backup, &names);
    if args.consent.ask(&plan(&target, &keys, &kept, &renewals), out)? == Decision::DryRun {
        return Ok(Verdict::Fine);
    }
    target.bring_up_to_date()?;
    if let [reason, ..] = &not_reached(&target)[..] {
        return Err(Error::Usage(format!("nothing was changed: {reason}")));
    }
    if args.without_audit_log {
        target.keyring.allow_rekey_without_audit_log();
    }
    target.keyring.destroy(&names, by, args.min_wait, &verifiers)?;
    let generation = target.keyring.status().generation;
    for id in &ids {
        out.line(format_args!("destroyed: {}", id.shown()));
    }
    out.line(format_args!(
        "in {}, generation {generation}, with a new data key",
        counted(target.copies.paths.len(), "copy")
    ));
    for file in &kept.files {
        out.line(format_args!("WARNING: {}", kept::advice(file)));
    }
    for place in &kept.not_searched {
        out.line(format_args!(
            "WARNING: {} was not searched for files that keep the key: {}",
            place.path.shown(),
            place.why
        ));
    }
    out.document(&json!({
        "done": true,
        "destroyed": ids,
        "min_wait_days": args.min_wait,
        "generation": generation,
        "kept": kept.files,
        "not_searched": kept.not_searched,
    }));
    Ok(Verdict::Fine)
}

fn plan(target: &OpenedTarget, keys: &[JudgedKey], kept: &Kept, renewals: &[(usize, Renewed)]) -> Plan {
    let mut plan = Plan::new(format!("Destroy {}?", counted(keys.len(), "key"))).typed("destroy");
    for key in keys {
        let since = key.retired.map(time).unwrap_or_default();
        plan.effect(Effect::new(
            format!("key {}", key.id),
            format!("retired since {since}, needed by nothing that was read"),
            "destroyed; what it wraps cannot be read any more",
        ));
    }
    target.plan_copies(&mut plan, "without the keys, with a new data key");
    for (number, how) in renewals {
        let afterwards = match how {
            Renewed::BySecret => "same secret, renewed with it",
            Renewed::ByPublicKey => "same secret, renewed with its public key, NOT VERIFIED",
        };
        plan.effect(Effect::new(format!("slot {number}"), "unlocks the keyring", afterwards));
    }
    for file in &kept.files {
        plan.effect(Effect::new(format!("file {}", file.path.shown()), file.text(), "unchanged"));
    }
    for place in &kept.not_searched {
        plan.effect(Effect::new(format!("place {}", place.path.shown()), "not searched", place.why.clone()));
    }
    plan.note(
        "Backups of the data that were not named here may need the keys: they can then only be read with a backup of the \
         keyring that holds them.",
    );
    plan.note(
        "Backups of the keyring were looked for beside its copies, at their remotes, and below --backup only. Others keep the \
         keys.",
    );
    if target.copies.paths.iter().any(|path| keyring_external::store::places::is_remote(path)) {
        plan.note("An engine that keeps versions or snapshots of objects keeps the old copies: see its own settings.");
    }
    plan.detail("keys", json!(keys));
    plan.detail("kept", json!(kept.files));
    plan.detail("not_searched", json!(kept.not_searched));
    plan
}

/// Why keys may not be destroyed yet.
fn too_early(keys: &[JudgedKey], min_wait: u64, by: u64) -> Vec<String> {
    let reason = |key: &JudgedKey| match key.retired {
        None => Some(format!("{} is not retired: keyringctl keys retire", key.id.shown())),
        Some(at) if at > by => Some(format!(
            "{} was retired on {}. It can be destroyed on {}, {min_wait} days later",
            key.id.shown(),
            time(at),
            time(at.saturating_add(min_wait.saturating_mul(DAY)))
        )),
        Some(_) => None,
    };
    keys.iter().filter_map(reason).collect()
}

/// The copies that cannot be changed.
fn not_reached(target: &OpenedTarget) -> Vec<String> {
    let reason = |(path, standing)| match standing {
        Standing::Current | Standing::Read | Standing::Behind => None,
        Standing::Out(why) | Standing::Changed(why) => {
            let path: std::path::PathBuf = path;
            Some(format!(
                "the copy {} cannot be changed, and would keep the keys: {why}. Bring it back, or remove it from the \
                 configuration and destroy it",
                path.shown()
            ))
        }
    };
    target.keyring.standings().into_iter().filter_map(reason).collect()
}
