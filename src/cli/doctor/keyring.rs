// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring's copies: there, mysqld's own, whole, and alike.

use super::finding::{Findings, Level};
use super::look::Look;
use crate::error::Error;
use crate::format::slots::SlotKind;
use crate::keyring::{Claims, inspect, load_with, witness_claims};
use crate::store::fs::Fs;
use crate::store::real::RealFs;
use crate::store::volume::{self, directory_of, temporary_of};
use crate::store::witness::WITNESS_NAME;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

pub(super) fn check(look: &Look<'_>, found: &mut Findings) {
    found.checks(&[
        "keyring-file",
        "keyring-owner",
        "one-copy",
        "copies-alike",
        "recovery-slot",
        "verify",
        "witness",
        "leftover-write",
    ]);
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let copies: Vec<&Path> = look.host.copies().collect();
    let claims: Vec<_> =
        copies.iter().filter_map(|copy| Some((*copy, file(look, &fs, copy, found)?))).collect();
    if copies.len() == 1 {
        found.risk(
            "one-copy",
            &look.host.keyring,
            "the keyring has one copy",
            "When its volume dies, all that is encrypted is lost.",
            &[
                format!(
                    "keyringctl sync {} --mirror /OTHER/VOLUME/keys/main.keyring",
                    look.host.keyring.display()
                ),
                "then name that path in the server's configuration (mirrors)".to_owned(),
            ],
        );
    }
    alike(&claims, found);
    if let Some((path, claims)) = claims.first() {
        slots(path, claims, found);
        witness(look, &fs, path, claims, found);
    }
    for (path, _) in &claims {
        verify(look, &fs, path, found);
    }
}

/// A copy's file: what it claims to be, if it is one.
fn file(look: &Look<'_>, fs: &Arc<dyn Fs>, copy: &Path, found: &mut Findings) -> Option<Claims> {
    let place = look.at_root(copy);
    let checked = volume::check_file(fs.as_ref(), &place);
    if let Err(Error::Io { cause, .. }) = &checked
        && cause.kind() == io::ErrorKind::PermissionDenied
    {
        found.unseen("keyring-file", &place);
        return None;
    }
    if let Err(e) = checked {
        let why = match &e {
            Error::Missing { .. } => "The server cannot open it: it starts without its keys, or not at all.",
            _ => "mysqld refuses it so.",
        };
        let fix = match &e {
            Error::Missing { .. } => vec![
                "mount its volume".to_owned(),
                format!(
                    "if the copy is lost: keyringctl sync COPY_THAT_IS_THERE --mirror {}",
                    copy.display()
                ),
            ],
            Error::Exposed { path, fix, .. } => vec![format!("chmod {fix} {}", path.display())],
            _ => vec![format!("give the path of the keyring itself, in place of {}", copy.display())],
        };
        found.wrong("keyring-file", copy, e.to_string(), why, &fix);
        return None;
    }
    owner(look, copy, found);
    if fs.meta(&temporary_of(&place)).is_ok() {
        found.add(
            Level::Note,
            "leftover-write",
            format!("{} is what an interrupted write left", temporary_of(&place).display()),
            "It is no longer needed when the keyring verifies; the next change that writes the keyring whole removes it.",
            &[],
        );
    }
    inspect(fs, &place)
        .map_err(|e| {
            found.wrong(
                "keyring-file",
                copy,
                e.to_string(),
                "The server does not open it.",
                &["put a copy that is whole in its place: keyringctl sync --help".to_owned()],
            )
        })
        .ok()
}

/// The file and its directory belong to mysqld's user.
fn owner(look: &Look<'_>, copy: &Path, found: &mut Findings) {
    let Some(account) = &look.site.account else {
        found.note(
            "keyring-owner",
            format!("there is no account {} here to compare owners with", look.site.user),
            "",
        );
        return;
    };
    for path in [copy, directory_of(copy)] {
        let place = look.at_root(path);
        let Ok(meta) = fs::metadata(&place) else { continue };
        if meta.uid() != account.uid {
            found.wrong(
                "keyring-owner",
                path,
                format!(
                    "{} belongs to user id {}, and mysqld runs as {} ({})",
                    place.display(),
                    meta.uid(),
                    account.name,
                    account.uid
                ),
                "mysqld cannot open it, or cannot make a key.",
                &[format!("chown {}: {}", account.name, place.display())],
            );
        }
    }
}

fn alike(claims: &[(&Path, Claims)], found: &mut Findings) {
    let Some((first, of_first)) = claims.first() else { return };
    let generation = |c: &Claims| c.commit.map_or(0, |commit| commit.generation);
    let newest = claims.iter().map(|(_, c)| generation(c)).max().unwrap_or(0);
    for (path, of_this) in claims {
        if of_this.header.id != of_first.header.id {
            found.wrong(
                "copies-alike",
                path,
                format!(
                    "{} is keyring {}, and {} is keyring {}",
                    path.display(),
                    of_this.header.id,
                    first.display(),
                    of_first.header.id
                ),
                "It is no copy of the keyring that the server uses.",
                &["mount the right volume there, or take the path out of the configuration".to_owned()],
            );
        } else if generation(of_this) < newest {
            found.risk(
                "copies-alike",
                path,
                format!("{} has generation {}, and the newest copy has {newest}", path.display(), generation(of_this)),
                "Keys that were made since are on fewer volumes than they should be.",
                &["a running server brings it up to date at the next status query; else: keyringctl sync --help".to_owned()],
            );
        }
        if of_this.damaged {
            found.risk(
                "copies-alike",
                path,
                format!("one of the two copies of the header in {} is damaged", path.display()),
                "The other one is used. The volume may be failing.",
                &["look at dmesg; the next change of the keyring mends it".to_owned()],
            );
        }
    }
}

fn slots(path: &Path, claims: &Claims, found: &mut Findings) {
    if !claims.header.slots.iter().any(|s| s.kind == SlotKind::Recovery) {
        found.risk(
            "recovery-slot",
            path,
            format!("{} has no unlock slot for a recovery key", path.display()),
            "When the unlock secret is lost, and with it the server's disk perhaps, nothing opens the keyring.",
            &[format!("keyringctl slot add {} --recovery --unlock SOURCE", path.display())],
        );
    }
}

/// The data directory has seen the newest state of this keyring.
fn witness(look: &Look<'_>, fs: &Arc<dyn Fs>, path: &Path, claims: &Claims, found: &mut Findings) {
    let datadir = look.at_root(&look.host.datadir);
    let seen = match witness_claims(fs, &datadir) {
        Ok(Some(seen)) => seen,
        Ok(None) => return,
        Err(e) => {
            found.note("witness", format!("the witness was not read: {e}"), "");
            return;
        }
    };
    let witness = datadir.join(WITNESS_NAME);
    let told = if claims.header.id != seen.id {
        Error::WitnessForeign { path: path.to_owned(), found: claims.header.id, expected: seen.id, witness }
    } else {
        match claims.commit {
            Some(commit) if commit.generation < seen.generation => Error::WitnessOlder {
                path: path.to_owned(),
                id: seen.id,
                found: commit.generation,
                expected: seen.generation,
                witness,
            },
            _ => return,
        }
    };
    found.wrong(
        "witness",
        path,
        told.to_string(),
        "The server refuses it at its next start.",
        &["mount the newest copy".to_owned()],
    );
}

/// Every byte, with the secret.
fn verify(look: &Look<'_>, fs: &Arc<dyn Fs>, copy: &Path, found: &mut Findings) {
    let Some(source) = look.secret() else {
        found.note(
            "verify",
            format!(
                "{} was not verified: mysqld's own source of the secret cannot be read here. Give --unlock",
                copy.display()
            ),
            "",
        );
        return;
    };
    let place = look.at_root(copy);
    match load_with(fs, &place, &source.to_string(), || source.read()) {
        Ok((_, notes)) => {
            for note in notes.iter().filter(|n| n.is_damage()) {
                found.risk(
                    "verify",
                    copy,
                    format!("{}: {note}", place.display()),
                    "The volume may be failing.",
                    &["look at dmesg; keyringctl sync mends it from another copy".to_owned()],
                );
            }
        }
        // What is wrong with the source is told by its own check.
        Err(Error::Unlock { .. }) => {
            found.note("verify", format!("{} was not verified: {source} cannot be read", place.display()), "")
        }
        Err(e) => found.wrong(
            "verify",
            copy,
            e.to_string(),
            "The server cannot open it at its next start.",
            &[format!("keyringctl status {}", place.display())],
        ),
    }
}
