// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl import`: imports the keys from the file of another keyring.

mod args;
mod plan;
mod report;

pub(super) use args::Args;

use super::audit_trail;
use super::copies::Purpose;
use super::foreign::{self, LegacyFile};
use super::output::{Output, stderr_report};
use super::secret::Once;
use super::verdict::Verdict;
use crate::commands::store_places::store_places;
use crate::error::Result;
use keyring_external::format::records::KeyRecord;
use keyring_external::keyring::{Keyring, load_beside_others, now};
use keyring_external::secret::UnlockSecret;
use keyring_external::store::file::real::RealFs;
use plan::{Fate, ImportPlan};
use report::{ImportReport, Wanted};

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let password = args.password()?;
    let password = password.as_ref().map_or(&[][..], UnlockSecret::raw);
    let source = args.read_source(&RealFs, password)?;
    let wanted = digests(&source);
    let copies = args.target.find(Purpose::Read)?;
    let places = store_places();
    let paths = &copies.paths;
    let (name, mut secret) = (copies.secret.name(), Once::new(&copies.secret));
    let keyring = secret.open(copies.first(), |read| {
        load_beside_others(&places, paths, paths.len(), &name, read, stderr_report)
    })?;
    audit_trail::attach(&keyring);

    let mut report = ImportReport::new(args, paths, &source, &keyring);
    let plan = ImportPlan::new(&source.keys, &keyring);
    report.plan(args, &plan, out);
    report.near_duplicates(&plan, &keyring, out);
    let blocked_by_backup = report.backup(args, places.fs().as_ref(), password, &source, out);
    if plan.refused().next().is_some() || blocked_by_backup {
        out.line("nothing was imported and nothing was changed");
        return report.end(out, Verdict::NotFine);
    }
    if args.dry_run {
        out.line("nothing was changed: this was a dry run");
        return report.end(out, Verdict::Fine);
    }
    store(&plan, &keyring)?;
    report.done(&keyring);
    let mut fine = true;
    for path in paths {
        let (reread, _) = secret.load(&places, path)?;
        fine &= report.check(path, &reread, &wanted, out);
    }
    if fine {
        report.success(args, &plan, paths, &keyring, out);
    }
    let unchanged = foreign::digest_of(places.fs().as_ref(), args.from, &args.src)? == source.digest;
    fine &= report.check_source(args, unchanged, out);
    report.end(out, if fine { Verdict::Fine } else { Verdict::NotFine })
}

fn digests(source: &LegacyFile) -> Vec<Wanted> {
    let checked = source.keys.iter().filter_map(|key| {
        let (name, key_type) = key.check().ok()?;
        Some((name.to_owned(), key_type, key.digest()))
    });
    checked.collect()
}

/// Stores all new keys at once. If there are none, brings copies that are behind up to date.
fn store(plan: &ImportPlan<'_>, keyring: &Keyring) -> Result<()> {
    let created = now();
    let new: Vec<_> = plan
        .rows
        .iter()
        .filter_map(|row| match &row.fate {
            Fate::New(name, key_type) => {
                Some(KeyRecord { name: *name, key_type, created, retired: None, data: row.key.data })
            }
            _ => None,
        })
        .collect();
    if new.is_empty() {
        keyring.bring_up_to_date()?
    } else {
        keyring.store_all(&new)?
    }
    Ok(())
}
