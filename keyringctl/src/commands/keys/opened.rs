// SPDX-License-Identifier: GPL-2.0-or-later
//! What the commands that change keys share: the keyring, the keys that are named, and what needs them.

use super::judge::{JudgedKey, Judgement, Need, judge};
use super::named::{Named, exact};
use super::show::print_unread;
use super::sources;
use crate::commands::copies::Copies;
use crate::commands::output::Output;
use crate::error::{Error, Result};
use crate::show::{self, Shown};
use keyring_external::key::NameRef;
use keyring_external::keyring::Keyring;
use serde_json::json;
use std::path::PathBuf;

/// Most files of a needed key that a refusal names.
const MOST_FILES: usize = 5;

/// The data directories: those that were named, and that of the server on this host if it uses the keyring.
///
/// # Errors
/// There is none.
pub(super) fn datadirs(args: &sources::Args, copies: &Copies) -> Result<Vec<PathBuf>> {
    let mut all = args.datadir.clone();
    if let Some(own) = &copies.datadir
        && !all.iter().any(|datadir| exact(datadir) == exact(own))
    {
        show::warn(format_args!(
            "also reading the data directory of the server on this host: {}",
            own.shown()
        ));
        all.push(own.clone());
    }
    match all.is_empty() {
        true => Err(Error::Usage(
            "name the data directory of every server that uses the keyring: --datadir DIR".to_owned(),
        )),
        false => Ok(all),
    }
}

/// Names of the server's own keys.
///
/// # Errors
/// A name that no key can have.
pub(super) fn names(ids: &[String]) -> Result<Vec<NameRef<'_>>> {
    ids.iter().map(name).collect()
}

fn name(id: &String) -> Result<NameRef<'_>> {
    let why = || Error::Usage(format!("{} is not the id of a key: see keyringctl list", id.shown()));
    NameRef::new(id.as_bytes(), b"").map_err(|_| why())
}

/// The keys of these ids, as they were judged.
///
/// # Errors
/// The keyring has no such key.
pub(super) fn of_ids<'a>(judgement: &'a Judgement, ids: &[String]) -> Result<Vec<&'a JudgedKey>> {
    let find = |id: &String| {
        let found = judgement.keys.iter().find(|key| key.id == *id && key.user.is_empty());
        found.ok_or_else(|| {
            Error::Usage(format!(
                "the keyring has no key {} of the server's own. Nothing was changed: keyringctl list shows its keys",
                id.shown()
            ))
        })
    };
    ids.iter().map(find).collect()
}

/// Reads all places and refuses keys that are, or may be, needed. Says why.
///
/// Returns `None` if it refused.
///
/// # Errors
/// A key does not exist.
pub(super) fn prove(
    keyring: &Keyring,
    args: &sources::Args,
    datadirs: &[PathBuf],
    ids: &[String],
    out: &mut Output,
) -> Result<Option<(Named, Vec<JudgedKey>)>> {
    let named = args.read(datadirs, keyring)?;
    let judgement = judge(keyring, &named, &args.gone_server);
    let keys = of_ids(&judgement, ids)?;
    let needed: Vec<_> = keys.iter().filter(|key| key.need != Need::Nothing).collect();
    if needed.is_empty() {
        let keys = keys.into_iter().cloned().collect();
        return Ok(Some((named, keys)));
    }
    for key in &needed {
        out.line(format_args!("REFUSED  {}: {}", key.id.shown(), key.refusal()));
        for file in key.files.iter().take(MOST_FILES) {
            out.line(format_args!("           {}", file.shown()));
        }
        let more = key.files.len().saturating_sub(MOST_FILES);
        if more > 0 {
            out.line(format_args!("           and {more} more: --json lists them"));
        }
    }
    print_unread(&named, out);
    out.line("Nothing was changed.");
    out.document(&json!({ "done": false, "refused": needed, "unread": named.unread }));
    Ok(None)
}

impl JudgedKey {
    fn refusal(&self) -> String {
        match self.need {
            Need::Files => format!("{} it", match self.files.len() {
                1 => "1 file needs".to_owned(),
                n => format!("{n} files need"),
            }),
            Need::Current => "it is the newest master key of its server, which wraps everything new. Rotate the master key first: keyringctl encrypt rotate".to_owned(),
            Need::UnknownKind => {
                "it is not a master key of InnoDB or of the binary logs, so nothing can show that it is not needed".to_owned()
            }
            Need::UnknownServer => format!(
                "the data directory of the server {} was not read. Name it with --datadir, or, if it no longer exists, the server with --gone-server",
                self.server()
            ),
            Need::NoLogs => "no binary or relay log was read, so it is not known whether one needs it. Name their directory with --binlogs".to_owned(),
            Need::NotRead => "not everything could be read, so it is not known whether it is needed".to_owned(),
            Need::Nothing => "it is not needed".to_owned(),
        }
    }

    fn server(&self) -> String {
        let kind = super::kind::KeyKind::of(&self.id, self.user.as_bytes());
        kind.of_server().map_or_else(String::new, |(uuid, _)| uuid.to_owned())
    }
}
