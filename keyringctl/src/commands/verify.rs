// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl verify`: checks every byte of keyring files, and with `--datadir` whether a keyring decrypts a server's files.

mod datadir;
mod opened;

use super::missing::explain;
use super::output::{Output, counted};
use super::verdict::Verdict;
use super::{apart, secret};
use crate::error::Result;
use crate::show::Shown;
use keyring_external::format::image::Note;
use keyring_external::keyring::load_with;
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use opened::OpenedKeyring;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Check every byte of keyring files; with --datadir, check that a keyring decrypts every encrypted file of a server
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
        keyringctl verify /mnt/keyring/hospital.keyring --unlock file:/etc/mysql/keyring.secret\n  \
        keyringctl verify /mnt/keyring/hospital.keyring --unlock file:/etc/mysql/keyring.secret --datadir /backup/mysql")]
pub(super) struct Args {
    /// Keyring files
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    secret: secret::Args,
    #[command(flatten)]
    server: datadir::Args,
}

/// The result for one file.
#[derive(Serialize)]
struct Checked {
    #[serde(serialize_with = "crate::show::path")]
    path: PathBuf,
    fine: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<usize>,
    notes: Vec<String>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let mut verdict = Verdict::Fine;
    let mut all = Vec::new();
    let mut newest: Option<OpenedKeyring> = None;
    let mut secret = secret::Once::new(&args.secret);
    for (i, path) in args.paths.iter().enumerate() {
        let (mut checked, opened) = check(&fs, path, args, &mut secret)?;
        if let (true, Some(e)) = (checked.fine, apart::same_as_earlier(&args.paths, i)) {
            (checked.fine, checked.error) = (false, Some(e.to_string()));
        }
        if !args.server.datadir.is_empty() {
            newest = OpenedKeyring::newest(newest, opened)?;
        }
        let head = if checked.fine { "OK      " } else { "FAILED  " };
        match (&checked.error, checked.id, checked.generation, checked.keys) {
            (None, Some(id), Some(generation), Some(keys)) => out.line(format_args!(
                "{head} {}: keyring {id}, generation {generation}, {}, {}",
                path.shown(),
                counted(keys, "key"),
                if checked.fine { "every byte authenticated" } else { "all of them intact, but" }
            )),
            (error, ..) => {
                out.line(format_args!("{head} {}: {}", path.shown(), error.as_deref().unwrap_or_default()))
            }
        }
        for note in &checked.notes {
            out.line(format_args!("         note: {note}"));
        }
        verdict = verdict.and(if checked.fine { Verdict::Fine } else { Verdict::NotFine });
        all.push(checked);
    }
    if args.server.datadir.is_empty() {
        out.document(&json!({ "keyrings": all }));
        return Ok(verdict);
    }
    datadir::run(&args.server, &fs, newest, &json!(all), out).map(|of_files| verdict.and(of_files))
}

fn check(
    fs: &Arc<dyn Fs>,
    path: &Path,
    args: &Args,
    secret: &mut secret::Once<'_>,
) -> Result<(Checked, Option<OpenedKeyring>)> {
    let mut checked = Checked {
        path: path.to_owned(),
        fine: false,
        error: None,
        id: None,
        generation: None,
        keys: None,
        notes: Vec::new(),
    };
    let mut kept = None;
    let source_name = args.secret.name();
    let loaded = load_with(fs, path, &source_name, || {
        let read = secret.read(path)?;
        kept = Some(args.secret.read_again(&read)?);
        Ok(read)
    });
    match loaded {
        Ok((keyring, notes)) => {
            let status = keyring.status();
            // Bytes left by an interrupted write are normal after a power failure.
            checked.fine = !notes.iter().any(Note::is_damage);
            checked.id = Some(status.id);
            checked.generation = Some(status.generation);
            checked.keys = Some(status.keys);
            checked.notes = notes.iter().map(ToString::to_string).collect();
            let path = path.to_owned();
            return Ok((checked, kept.map(|secret| OpenedKeyring { path, keyring, secret, source_name })));
        }
        Err(e) if e.refusal().is_some() => checked.error = Some(explain(&e, path, &args.paths, &args.secret)),
        Err(e) => return Err(e.into()),
    }
    Ok((checked, None))
}
