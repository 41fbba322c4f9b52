// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl sync`: brings copies up to date, and creates missing ones.

mod args;
mod merge;

pub(super) use args::Args;

use super::output::{Output, stderr_report};
use super::verdict::Verdict;
use super::{apart, copies, missing, stat};
use crate::error::Result;
use crate::show::Shown;
use keyring_external::keyring::{Standing, load_beside_others};
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::store::replica::FileReplica;
use keyring_external::store::volume;
use serde::Serialize;
use serde_json::json;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

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
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let all = paths(&args.path, &args.mirrors)?;
    let (absent, present): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|p| stat::is_missing(p));
    let Some(first) = present.first() else {
        let missing = io::ErrorKind::NotFound.into();
        return Err(volume::missing_or(fs.as_ref(), &args.path, "look at", missing).into());
    };
    let vacancy = |path: &PathBuf| {
        let vacancy = FileReplica::new(Arc::clone(&fs), path).vacancy()?;
        volume::check_directory(fs.as_ref(), path).map(|()| vacancy)
    };
    let again = || {
        let mirrors: Vec<_> = all.iter().filter(|path| *path != first).map(|path| path.shown()).collect();
        let unlock = args.secret.option();
        format!("keyringctl sync {} --mirror {}{unlock}", first.shown(), mirrors.join(" --mirror "))
    };
    let vacancy =
        |path: &PathBuf| vacancy(path).map_err(|e| missing::cannot_create(e, Some(first), &again()));
    let vacancies = absent.iter().map(vacancy).collect::<Result<Vec<_>>>()?;
    let (mut merged, mut known) = (None, None);
    if args.merge {
        match merge::run(args, &fs, &present, out)? {
            merge::Merged::ThenSync(document, secret) => (merged, known) = (Some(document), secret),
            merge::Merged::NothingWritten(verdict) => return Ok(verdict),
        }
    }
    let name = args.secret.name();
    let read =
        || known.as_ref().map_or_else(|| args.secret.read(first), |secret| args.secret.read_again(secret));
    let keyring = load_beside_others(&fs, &present, 1, &name, read, stderr_report)?;
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
                Standing::Out(why) | Standing::Changed(why) => Some(why),
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

/// All paths, made absolute.
///
/// # Errors
/// Two of them lead to the same file.
pub(super) fn paths(first: &PathBuf, mirrors: &[PathBuf]) -> Result<Vec<PathBuf>> {
    copies::distinct([first].into_iter().chain(mirrors))
}
