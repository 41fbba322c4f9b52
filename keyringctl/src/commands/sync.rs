// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl sync`: brings copies up to date, and creates missing ones.

mod args;
mod loss;
mod merge;
mod server_slot;
mod unusable;

pub(super) use args::Args;

use super::audit_trail;
use super::consent::Decision;
use super::copies::Purpose;
use super::copies::of_server::{self, Server};
use super::output::{Output, stderr_report};
use super::secret::Once;
use super::verdict::Verdict;
use super::{apart, missing, new_at_remote, site, stat};
use crate::commands::store_places::store_places;
use crate::error::{Error, Result};
use crate::show::{self, Shown};
use keyring_external::error::Refusal;
use keyring_external::keyring::{Severity, Standing, load_beside_others};
use keyring_external::store::file::volume;
use keyring_external::unlock::UnlockSource;
use serde::Serialize;
use serde_json::json;
use server_slot::Written;
use std::io;
use std::path::PathBuf;
use unusable::Opener;

/// The result for one copy.
#[derive(Serialize)]
struct SyncedCopy {
    #[serde(serialize_with = "crate::show::path")]
    path: PathBuf,
    fine: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    made: bool,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let copies = args.copies.find(&args.secret, Purpose::Read)?;
    let places = store_places();
    let (all, source) = (&copies.paths, &copies.secret);
    if all.len() < 2 {
        return Err(Error::Usage(
            "name another copy with --mirror: there is nothing to sync one copy with".to_owned(),
        ));
    }
    let configured = configured(args);
    let (absent, present): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|p| stat::is_missing(p));
    let Some(first) = present.first() else {
        let missing = io::ErrorKind::NotFound.into();
        return Err(volume::missing_or(places.fs().as_ref(), copies.first(), "look at", missing).into());
    };
    let again = || {
        let mirrors: Vec<_> = all.iter().filter(|path| *path != first).map(|path| path.shown()).collect();
        let unlock = source.option();
        format!("keyringctl sync {} --mirror {}{unlock} --create", first.shown(), mirrors.join(" --mirror "))
    };
    let is_configured = |path: &&PathBuf| configured.iter().any(|copy| apart::is_one_file(copy, path));
    if let Some(unknown) = absent.iter().find(|path| !args.create && !is_configured(path)) {
        return Err(Error::Usage(format!(
            "{} does not exist, and the server on this host is not configured with it. Nothing was changed. Check the \
             path. To create a copy there, run {}",
            unknown.shown(),
            again()
        )));
    }
    let vacancy = |path: &PathBuf| {
        let vacancy = places.replica(path)?.find_vacant()?;
        super::copies::check_directory(&places, path).map(|()| vacancy)
    };
    let vacancy =
        |path: &PathBuf| vacancy(path).map_err(|e| missing::cannot_create(e, Some(first), &again()));
    let vacancies = absent.iter().map(vacancy).collect::<Result<Vec<_>>>()?;
    let (mut merged, mut once, mut ask) = (None, Once::new(source), true);
    if args.merge {
        match merge::run(args, &mut once, &places, (&copies, &present, &absent), out)? {
            merge::Merged::Done(document) => (merged, ask) = (Some(document), false),
            merge::Merged::NothingToMerge => merged = Some(json!({ "diverged": false })),
            merge::Merged::NothingWritten(verdict) => return Ok(verdict),
        }
    }
    let name = source.name();
    let loaded = once.open(first, |read| {
        // The copies are locked only once the secret has been typed.
        let secret = read()?;
        load_beside_others(&places, &present, 1, &name, || Ok(secret), report_others)
    });
    let secret = once.read(first)?;
    let opener = Opener { places: &places, secret: &secret, source };
    let keyring = match loaded {
        Ok(keyring) => keyring,
        Err(e) => {
            let Some(Refusal::Fork { path, other, .. }) = e.refusal() else { return Err(e.into()) };
            return Ok(refuse(&[opener.diverged(path, other, e.to_string())], out));
        }
    };
    audit_trail::attach(&keyring);
    let source_copy = loss::source(&keyring);
    let changed = keyring.standings().into_iter().filter_map(|(path, standing)| match standing {
        Standing::Changed(why) => {
            let why = match why.strip_prefix("it ") {
                Some(why) => format!("the copy {} {why}", path.shown()),
                None => why,
            };
            Some(opener.diverged(&path, &source_copy, why))
        }
        _ => None,
    });
    let changed: Vec<_> = changed.collect();
    if !changed.is_empty() {
        return Ok(refuse(&changed, out));
    }
    let foreign = unusable::of_other_keyrings(&keyring, &source_copy, &places);
    if !foreign.is_empty() {
        return Ok(refuse(&foreign, out));
    }
    // A merge has said what it merges.
    if !args.merge {
        args.older.check(&places, &keyring, &copies)?;
    }
    if ask {
        let before = loss::Before {
            places: &places,
            keyring: &keyring,
            secret: &secret,
            source,
            absent: &absent,
            configured: &configured,
        };
        let (mut plan, loses_slots) = before.plan();
        if !plan.is_empty() {
            let written = Written { slots_of: &keyring, copies: &copies, loses_slots };
            let advice = |servers: &UnlockSource| Ok(server_slot::to_add(&keyring, source, servers));
            plan = written.check(plan, (args.force, &args.consent), advice, out)?;
        }
        if args.consent.ask(&plan, out)? == Decision::DryRun {
            return Ok(Verdict::Fine);
        }
    }
    new_at_remote::check_conditions(absent.iter().map(PathBuf::as_path), new_at_remote::AGAIN)?;
    keyring.bring_up_to_date()?;
    keyring.create_copies(&vacancies)?;
    let status = keyring.status();
    let mut rows: Vec<_> = keyring
        .standings()
        .into_iter()
        .map(|(path, standing)| {
            let error = match standing {
                Standing::Current | Standing::Read => None,
                Standing::Behind => Some("could not be brought up to date".to_owned()),
                Standing::Out(why) | Standing::Changed(why) => Some(opener.remedy(&path, &source_copy, why)),
            };
            SyncedCopy { fine: error.is_none(), path, error, made: false }
        })
        .collect();
    // Opening the keyring has warned about the copies that existed before.
    apart::warn(&[&present[..], &absent[..]].concat(), present.len(), out);
    rows.extend(absent.into_iter().map(|path| SyncedCopy { path, fine: true, error: None, made: true }));
    let fine = rows.iter().filter(|r| r.fine).count();
    for row in &rows {
        let text = match (&row.error, row.made) {
            (Some(why), _) => format!("FAILED   {}: {why}", row.path.shown()),
            (None, true) => format!("CREATED  {}", row.path.shown()),
            (None, false) => format!("OK       {}", row.path.shown()),
        };
        out.line(text);
    }
    out.line(format_args!(
        "keyring {}, generation {}: {fine}/{} copies are up to date",
        status.id,
        status.generation,
        rows.len()
    ));
    match merged {
        Some(merged) => out.document(&json!({ "merge": merged, "copies": rows })),
        None => out.document(&json!({ "copies": rows })),
    }
    Ok(if fine == rows.len() { Verdict::Fine } else { Verdict::NotFine })
}

/// The copies that the server on this host is configured with, if there is one.
fn configured(args: &Args) -> Vec<PathBuf> {
    let others = &args.copies.others;
    let site = site::Args { parts: others.server.site.clone(), datadir: others.datadir.clone() };
    match of_server::find(&site) {
        Ok(Server::Ours(server)) => server.copies,
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// Says why nothing is written.
fn refuse(why: &[String], out: &mut Output) -> Verdict {
    why.iter().for_each(show::warn);
    out.error_only(&why.join("; "));
    Verdict::NotFine
}

/// Prints the warnings of the keyring, without those about single copies, for each of which there is a line in the output.
fn report_others(severity: Severity, message: &str) {
    let is_of_copy = message.starts_with("the copy ")
        && (message.contains(" is out of use: ") || message.contains(" is behind or damaged;"));
    if !is_of_copy {
        stderr_report(severity, message);
    }
}
