// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl verify`: checks every byte of keyring files.

use super::output::Output;
use super::{Verdict, is_about_the_keyring, secret};
use crate::error::Result;
use crate::format::image::Note;
use crate::store::fs::Fs;
use crate::store::real::RealFs;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Check every byte of keyring files
#[derive(clap::Args)]
#[command(
    after_help = "Example: keyringctl verify /mnt/keyring/hospital.keyring --unlock file:/etc/mysql/keyring.secret"
)]
pub(super) struct Args {
    /// Keyring files
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    secret: secret::Args,
}

#[derive(Serialize)]
struct Checked {
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
    for path in &args.paths {
        let checked = check(&fs, path, &args.secret)?;
        let head = if checked.fine { "OK      " } else { "NOT FINE" };
        match (&checked.error, checked.id, checked.generation, checked.keys) {
            (None, Some(id), Some(generation), Some(keys)) => out.line(format_args!(
                "{head} {}: keyring {id}, generation {generation}, {keys} keys, {}",
                path.display(),
                if checked.fine { "every byte authenticated" } else { "all of them whole, but" }
            )),
            (error, ..) => {
                out.line(format_args!("{head} {}: {}", path.display(), error.as_deref().unwrap_or_default()))
            }
        }
        for note in &checked.notes {
            out.line(format_args!("         note: {note}"));
        }
        verdict = verdict.and(if checked.fine { Verdict::Fine } else { Verdict::NotFine });
        all.push(checked);
    }
    out.document(&all);
    Ok(verdict)
}

fn check(fs: &Arc<dyn Fs>, path: &Path, secret: &secret::Args) -> Result<Checked> {
    let mut checked = Checked {
        path: path.to_owned(),
        fine: false,
        error: None,
        id: None,
        generation: None,
        keys: None,
        notes: Vec::new(),
    };
    match secret.load(fs, path) {
        Ok((keyring, notes)) => {
            let status = keyring.status();
            // Bytes left over from an interrupted write are normal after a power cut.
            checked.fine = !notes.iter().any(Note::is_damage);
            checked.id = Some(status.id);
            checked.generation = Some(status.generation);
            checked.keys = Some(status.keys);
            checked.notes = notes.iter().map(ToString::to_string).collect();
        }
        Err(e) if is_about_the_keyring(&e) => checked.error = Some(e.to_string()),
        Err(e) => return Err(e),
    }
    Ok(checked)
}
