// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl which`: which of several copies is the right one for a data directory, and what to do next.

mod advice;
mod candidate;
mod none_right;
mod not_known;

use super::apart::is_one_file;
use super::copies::{self, of_server};
use super::output::{Output, counted};
use super::status::copy_status;
use super::verdict::Verdict;
use super::{audit_trail, redo_directory, secret, site};
use crate::commands::store_places::store_places;
use crate::error::{Error, Result};
use crate::show::{Shown, exact_paths};
use crate::tablespace::{self, Shutdown};
use advice::{Advice, Place, advise};
use candidate::Candidate;
use keyring_external::keyring::witness_claims;
use keyring_external::store::witness::WITNESS_NAME;
use keyring_external::unlock::UnlockSource;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Find out which copy is the right one for a data directory, and what to do next
///
/// Opens each copy, compares it with the other ones and with the witness, and reads which master keys the files in the
/// data directory need. Says which copy has all of them, and prints the next commands. Nothing is changed. The server
/// may run or be stopped. While it runs, and after it was not shut down cleanly, the files do not name all keys that they
/// need: then a copy that is older than the witness is not called right.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl which\n  \
    keyringctl which /mnt/a/keys/main.keyring /mnt/safe/keys/2026-11-24.keyring --datadir /var/lib/mysql --unlock file:/etc/mysql/keyring_external.secret\n\n\
    Exit codes: 0 a copy has every key that the files need, 1 none has, 2 usage or I/O error.")]
pub(super) struct Args {
    /// Keyring files: copies, backups, whatever was found [default: all copies of the server on this host, and its
    /// unlock source]
    #[arg(value_name = "COPY")]
    paths: Vec<PathBuf>,
    /// The data directory, in use or a copy of it [default: that of the server on this host]
    #[arg(long, value_name = "DIR")]
    datadir: Option<PathBuf>,
    /// Additional directory with files of the server, such as innodb_undo_directory or a table's DATA DIRECTORY
    /// (repeatable)
    #[arg(long, value_name = "DIR")]
    also: Vec<PathBuf>,
    #[command(flatten)]
    secret: secret::Args,
    /// Source of another secret, for copies that the first one does not unlock (repeatable)
    #[arg(long, value_name = "SOURCE")]
    other_unlock: Vec<UnlockSource>,
    #[command(flatten)]
    server: copies::ServerArgs,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let found = args.server.find_all(&args.paths, args.datadir.as_deref(), &args.secret)?;
    let places = store_places();
    let datadir = match (&args.datadir, found.datadir) {
        (Some(datadir), _) => datadir.clone(),
        (None, Some(datadir)) => datadir,
        (None, None) => copies::datadir(None, &args.server.site)?,
    };
    places.fs().meta(&datadir).map_err(|e| Error::io("look at", &datadir, e))?;
    let others = args
        .other_unlock
        .iter()
        .map(|source| secret::Args { unlock: Some(source.clone()), ..secret::Args::default() });
    let secrets: Vec<_> = std::iter::once(found.secret).chain(others).collect();
    let mut secrets: Vec<_> = secrets.iter().map(secret::Once::new).collect();
    let also = &redo_directory::with_configured(&args.also, &args.server.site, &datadir);
    let mut all: Vec<Candidate> = Vec::new();
    for path in &found.paths {
        let next = Candidate::examine(&places, path, (&datadir, also), &mut secrets, &all)?;
        all.push(next);
    }
    if let Some(opened) = all.iter().find_map(|candidate| candidate.opened.as_ref()) {
        audit_trail::attach(&opened.keyring);
    }
    // A server may have written to the files while they were read for one copy after the other.
    let named: BTreeMap<_, _> =
        all.iter().filter_map(|c| c.opened.as_ref()).flat_map(|opened| opened.needs.keys.clone()).collect();
    all.iter_mut().for_each(|candidate| candidate.also_needs(&named));
    let witness = witness_claims(places.fs(), &datadir)?;
    let configured = configured(args, &datadir);
    let found = tablespace::find(&[std::slice::from_ref(&datadir), also].concat());
    let shutdown = tablespace::shutdown(&datadir, &found);
    let in_use = matches!(shutdown, Shutdown::Running { .. });
    let place = Place { datadir: &datadir, witness: witness.as_ref(), configured: &configured, also, in_use };
    let advice = advise(&all, &place);
    all.iter().for_each(|candidate| print(candidate, &all, out));
    out.line(match (&witness, places.fs().meta(&datadir.join(WITNESS_NAME)).is_ok()) {
        (Some(w), _) => {
            format!("{} was last used with keyring {}, generation {}", datadir.shown(), w.id, w.generation)
        }
        (None, true) => copy_status::damaged_witness(&datadir.join(WITNESS_NAME)),
        (None, false) => {
            format!("there is no witness in {}: the keyring that it last used is not known", datadir.shown())
        }
    });
    out.line("");
    advice.print(out);
    out.document(&json!({
        "datadir": datadir.exact(),
        "witness": witness.map(|w| json!({ "id": w.id, "generation": w.generation })),
        "copies": all.iter().map(|candidate| document(candidate, &all)).collect::<Vec<_>>(),
        "situation": advice.situation,
        "right": advice.right.and_then(|i| all.get(i)).map(|right| right.path.exact()),
        "next": advice.next,
    }));
    Ok(if advice.right.is_some() { Verdict::Fine } else { Verdict::NotFine })
}

/// The copies that the server on this host is configured with, if this is its data directory.
fn configured(args: &Args, datadir: &Path) -> Vec<PathBuf> {
    let site = site::Args { parts: args.server.site.clone(), datadir: args.datadir.clone() };
    // Without a server, all copies are taken as they are named.
    let server = of_server::find(&site).and_then(of_server::Server::needed).ok();
    server
        .filter(|server| is_one_file(&server.datadir, datadir))
        .map(|server| server.copies)
        .unwrap_or_default()
}

fn print(candidate: &Candidate, all: &[Candidate], out: &mut Output) {
    out.line(candidate.path.shown());
    if let Some(why) = &candidate.wrong {
        out.field("FAILED", why);
    }
    if let Some(opened) = &candidate.opened {
        out.field("opened with", opened.secret.name());
    }
    if let Some((id, label)) = candidate.identity() {
        let label = if label.is_empty() { String::new() } else { format!(" ({})", label.escape_debug()) };
        out.field("keyring", format_args!("{id}{label}"));
    }
    if let Some(generation) = candidate.generation() {
        let standing = candidate.standing(all).map_or_else(String::new, |text| format!(", {text}"));
        out.field("generation", format_args!("{generation}{standing}"));
    }
    if let Some(says) = candidate.says {
        out.field("witness", says.text());
    }
    let Some(opened) = &candidate.opened else { return };
    let (needed, missing) = (opened.needs.needed(), opened.needs.missing.len());
    out.field(
        "needed keys",
        match needed {
            0 if opened.needs.may_need_more() => "no file names a master key yet".to_owned(),
            0 => "the files need no master key".to_owned(),
            _ => format!("{} of {needed}", needed.saturating_sub(missing)),
        },
    );
    for ((key, state), files) in &opened.needs.missing {
        let first = files.first().map_or_else(String::new, |file| file.shown());
        out.field(
            "MISSING",
            format_args!(
                "{key} ({}), needed by {}, such as {first}",
                state.name(),
                counted(files.len(), "file")
            ),
        );
    }
    let unknown = &opened.needs.unknown;
    if let Some(first) = unknown.first() {
        out.field(
            "not checked",
            format_args!("{}, such as {}", counted(unknown.len(), "file"), first.path.shown()),
        );
    }
}

fn document(candidate: &Candidate, all: &[Candidate]) -> Value {
    let opened = candidate.opened.as_ref();
    let missing = |((key, state), files): (&(String, _), &Vec<PathBuf>)| json!({ "key": key, "state": state, "files": exact_paths(files) });
    json!({
        "path": candidate.path.exact(),
        "opened": opened.is_some(),
        "unlock": opened.map(|opened| opened.secret.name()),
        "error": candidate.wrong,
        "id": candidate.identity().map(|(id, _)| id),
        "label": candidate.identity().map(|(_, label)| label),
        "generation": candidate.generation(),
        "standing": candidate.standing(all),
        "witness": candidate.says,
        "complete": candidate.is_complete() && candidate.unnamed().is_none(),
        "needed": opened.map(|opened| opened.needs.needed()),
        "missing": opened.map(|opened| opened.needs.missing.iter().map(missing).collect::<Vec<_>>()),
    })
}

impl Advice {
    fn print(&self, out: &mut Output) {
        self.text.iter().for_each(|line| out.line(line));
        for step in &self.next {
            out.line(format_args!("  {step}"));
        }
        if let Some(then) = &self.then {
            out.line(then);
        }
    }
}
