// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl verify`: checks every byte of keyring files and compares them, and with `--datadir` whether a keyring decrypts a server's files.

mod args;
mod datadir;
mod left;
mod opened;
mod redo_log;
mod show;

use super::audit_trail;
use super::copies;
use super::output::{Output, counted};
use super::secret;
use super::status::copy_status::CopyStatus;
use super::status::{self, Looked};
use super::verdict::Verdict;
use crate::commands::store_places::store_places;
use crate::error::Result;
use crate::show::{Shown, counted_of};
use opened::OpenedKeyring;
use serde_json::json;
use std::path::PathBuf;

/// Check every byte of keyring files, and compare them; with --datadir, check that a keyring decrypts every encrypted
/// file of a server
///
/// All files should be copies of one keyring in the same state. The output says which copy is behind, and which ones have
/// diverged.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
        keyringctl verify\n  \
        keyringctl verify /mnt/keyring/hospital.keyring --unlock file:/etc/mysql/keyring_external.secret\n  \
        keyringctl verify /mnt/keyring/hospital.keyring --unlock file:/etc/mysql/keyring_external.secret --datadir /backup/mysql\n\n\
        Exit codes: 0 all copies are intact and in the same state, 1 they are not, 2 usage or I/O error.")]
pub(super) struct Args {
    /// Keyring files, the copies of one keyring [default: all copies of the server on this host, and its unlock source].
    /// With --datadir, no other copies are added to those that are named
    #[arg(value_name = "KEYRING")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    secret: secret::Args,
    #[command(flatten)]
    files: args::Args,
    #[command(flatten)]
    server: copies::ServerArgs,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    // The question is what the named copies decrypt.
    let as_named = !args.paths.is_empty() && !args.files.datadir.is_empty();
    let found = match as_named {
        true => copies::named(&args.server.site, &args.paths, &args.secret),
        false => args.server.find_all(&args.paths, None, &args.secret)?,
    };
    let places = store_places();
    let mut secret = secret::Once::new(&found.secret);
    let Looked { copies, unreadable, .. } = status::look(&places, &found.paths, None, &mut secret, true)?;
    let unlocked = copies.iter().filter_map(|copy| copy.content.as_ref()?.keyring.as_ref());
    if let Some(newest) = unlocked.max_by_key(|keyring| keyring.status().generation) {
        audit_trail::attach(newest);
    }
    copies.iter().for_each(|copy| print(copy, out));
    if copies.len() > 1 {
        out.line(together(&copies));
    }
    let fine = copies.iter().all(|copy| copy.fine);
    let verdict = if fine { Verdict::Fine } else { Verdict::NotFine };
    if let Some(e) = unreadable {
        out.document(&json!({ "keyrings": copies }));
        return Err(e.into());
    }
    if args.files.datadir.is_empty() {
        out.document(&json!({ "keyrings": copies }));
        return Ok(verdict);
    }
    let document = json!(copies);
    let newest = newest(copies, &mut secret)?;
    datadir::run(&args.files, &places, newest, &document, out).map(|of_files| verdict.and(of_files))
}

fn print(copy: &CopyStatus, out: &mut Output) {
    let path = copy.path.shown();
    let about = copy.about.as_ref();
    match (&copy.error, about.and_then(|about| Some((about, about.generation?, about.keys?)))) {
        (None, Some((about, generation, keys))) => out.line(format_args!(
            "OK       {path}: keyring {}, generation {generation}, {}, every byte authenticated",
            about.id,
            counted(keys, "key")
        )),
        (error, _) => out.line(format_args!("FAILED   {path}: {}", error.as_deref().unwrap_or_default())),
    }
    // What is damaged is in the error.
    let is_new = |note: &&String| copy.error.as_ref().is_none_or(|error| !error.contains(note.as_str()));
    for note in about.iter().flat_map(|about| &about.notes).filter(is_new) {
        out.line(format_args!("         note: {note}"));
    }
}

/// How the copies compare.
fn together(copies: &[CopyStatus]) -> String {
    let all = copies.len();
    let fine = copies.iter().filter(|copy| copy.fine).count();
    match copies.iter().find_map(|copy| copy.about.as_ref().filter(|_| copy.fine)) {
        Some(about) if fine == all => format!(
            "OK       {} in the same state: generation {}, {}, {}",
            counted(all, "copy"),
            about.generation.unwrap_or_default(),
            counted(about.keys.unwrap_or_default(), "key"),
            counted(about.slots.len(), "unlock slot")
        ),
        _ => format!("FAILED   {} intact and in the newest state: see above", counted_of(fine, all, "copy")),
    }
}

/// The newest of the copies that were opened.
fn newest(copies: Vec<CopyStatus>, secret: &mut secret::Once<'_>) -> Result<Option<OpenedKeyring>> {
    let mut newest = None;
    for copy in copies {
        let Some(keyring) = copy.content.and_then(|content| content.keyring) else { continue };
        let (path, source_name) = (copy.path, secret.args().name());
        let secret = secret.read(&path)?;
        newest = OpenedKeyring::newest(newest, Some(OpenedKeyring { path, keyring, secret, source_name }))?;
    }
    Ok(newest)
}
