// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring's copies: there, mysqld's own, whole, and alike.

use super::finding::{Findings, Level};
use super::look::Look;
use crate::commands::apart::same_before;
use crate::commands::content::{Content, remedy};
use crate::commands::missing;
use keyring_external::error::{Error, Failure, Refusal};
use keyring_external::format::slots::SlotKind;
use keyring_external::keyring::{Claims, Keyring, Kinship, hear_claims, inspect, load_with};
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::store::volume::{self, directory_of, temporary_of};
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
    let places: Vec<_> = copies.iter().map(|copy| look.at_root(copy)).collect();
    if (1..places.len()).all(|i| same_before(&places, i).is_some()) {
        let others = if places.len() > 1 { ": its other paths lead to the same file" } else { "" };
        found.risk(
            "one-copy",
            &look.host.keyring,
            format!("the keyring has one copy{others}"),
            "When its volume dies, all that is encrypted is lost.",
            &[
                format!(
                    "keyringctl sync {} --mirror /OTHER/VOLUME/keys/main.keyring{}",
                    look.host.keyring.display(),
                    look.commands().option()
                ),
                "then name that path in the server's configuration (mirrors)".to_owned(),
            ],
        );
    }
    let opened: Vec<_> = claims
        .into_iter()
        .map(|(path, claims)| (path, Content { claims, keyring: verify(look, &fs, path, found) }))
        .collect();
    alike(look, &opened, found);
    witness(look, &fs, &opened, found);
    if let Some((path, first)) = opened.first() {
        slots(path, &first.claims, found);
    }
}

/// A copy's file: what it claims to be, if it is one.
fn file(look: &Look<'_>, fs: &Arc<dyn Fs>, copy: &Path, found: &mut Findings) -> Option<Claims> {
    let place = look.at_root(copy);
    let checked = volume::check_file(fs.as_ref(), &place);
    if checked.as_ref().is_err_and(|e| e.io_kind() == Some(io::ErrorKind::PermissionDenied)) {
        found.unseen("keyring-file", &place);
        return None;
    }
    if let Err(e) = checked {
        let why = match e.refusal() {
            Some(Refusal::Missing { .. }) => {
                "The server cannot open it: it starts without its keys, or not at all."
            }
            _ => "mysqld refuses it so.",
        };
        let other = look.host.copies().find(|other| *other != copy);
        let fix = match (e.refusal(), other) {
            (Some(Refusal::Missing { .. }), Some(other)) => vec![
                "mount its volume".to_owned(),
                format!(
                    "if the copy is lost, {}",
                    missing::remedy(&look.at_root(other), &place, &look.commands())
                ),
            ],
            (Some(Refusal::Missing { .. }), None) => {
                vec!["mount its volume; if that is lost, put a backup of the keyring there".to_owned()]
            }
            (Some(Refusal::Exposed { path, fix, .. }), _) => vec![format!("chmod {fix} {}", path.display())],
            _ => vec![format!("give the path of the keyring itself, in place of {}", copy.display())],
        };
        let what = match (e.refusal(), other) {
            (Some(Refusal::Missing { found, .. }), Some(_)) => {
                format!("there is no copy at {}: {found}", place.display())
            }
            _ => e.to_string(),
        };
        found.wrong("keyring-file", copy, what, why, &fix);
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

fn alike(look: &Look<'_>, opened: &[(&Path, Content)], found: &mut Findings) {
    let newest = |best: Option<usize>, i: usize| match best.and_then(|b| opened.get(b)).zip(opened.get(i)) {
        Some(((_, best_one), (_, one))) if one.generation() <= best_one.generation() => best,
        _ => Some(i),
    };
    let Some((first, of_first)) = opened.first() else { return };
    let ours =
        |i: &usize| opened.get(*i).is_some_and(|(_, c)| c.claims.header.id == of_first.claims.header.id);
    let newest = (0..opened.len()).filter(ours).fold(None, newest).and_then(|i| opened.get(i));
    let Some((newest_path, newest)) = newest else { return };
    for (i, (path, of_this)) in opened.iter().enumerate() {
        let (shown, generation) = (path.display(), of_this.generation());
        let before = opened.iter().take(i).find(|(_, other)| of_this.kinship(other) == Kinship::Diverged);
        if let Some((other, of_other)) = before {
            found.wrong(
                "copies-alike",
                path,
                format!(
                    "{} (generation {}) and {shown} (generation {generation}) have diverged: they hold different keys",
                    other.display(),
                    of_other.generation()
                ),
                "Each may hold keys that the other does not have. A running server changes only one of them, and its next start may be refused.",
                &remedy(&look.at_root(other), &look.at_root(path), Some(&look.at_root(&look.host.datadir)), &look.commands()),
            );
        }
        match of_this.kinship(newest) {
            Kinship::Foreign => found.wrong(
                "copies-alike",
                path,
                format!(
                    "{shown} is keyring {}, and {} is keyring {}",
                    of_this.claims.header.id,
                    first.display(),
                    of_first.claims.header.id
                ),
                "It is no copy of the keyring that the server uses.",
                &["mount the right volume there, or give the right path in the configuration".to_owned()],
            ),
            Kinship::Earlier => found.risk(
                "copies-alike",
                path,
                format!("{shown} has generation {generation}, and the newest copy has {}", newest.generation()),
                "Keys that were made since are on fewer volumes than they should be.",
                &[
                    "a running server brings it up to date at the next status query; else:".to_owned(),
                    format!("keyringctl sync {} --mirror {shown}{}", newest_path.display(), look.commands().option()),
                ],
            ),
            Kinship::Unclear => found.risk(
                "copies-alike",
                path,
                format!(
                    "{shown} has generation {generation}, and {} has {}: without the unlock secret it cannot be told whether it lags behind or has diverged",
                    newest_path.display(),
                    newest.generation()
                ),
                "Keys that were made since are on fewer volumes than they should be, or each holds keys that the other does not have.",
                &["give the secret: keyringctl doctor --unlock SOURCE".to_owned()],
            ),
            // Two that have diverged are told above.
            Kinship::Alike | Kinship::Later | Kinship::Diverged => {}
        }
        if of_this.claims.damaged {
            found.risk(
                "copies-alike",
                path,
                format!("one of the two copies of the header in {shown} is damaged"),
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

/// The data directory has seen no other state than the copies are in, and none that is newer than all of them.
fn witness(look: &Look<'_>, fs: &Arc<dyn Fs>, opened: &[(&Path, Content)], found: &mut Findings) {
    let datadir = look.at_root(&look.host.datadir);
    let heard = |path: &Path, content: &Content| match &content.keyring {
        Some(keyring) => keyring.hear_witness(fs, &datadir).map(drop),
        None => content.claims.commit.as_ref().map_or(Ok(()), |commit| {
            hear_claims(fs, &datadir, path, &content.claims.header.id, commit).map(drop)
        }),
    };

    let told: Vec<_> =
        opened.iter().map(|(path, content)| (path, heard(&look.at_root(path), content).err())).collect();
    // A mirror that lags behind is told of already, while another copy is as far as the data directory has seen.
    let all_older = told
        .iter()
        .all(|(_, e)| matches!(e.as_ref().and_then(Error::refusal), Some(Refusal::WitnessOlder { .. })));
    for (i, (path, told)) in told.into_iter().enumerate() {
        let fix = match told.as_ref().map(|e| (e, e.refusal())) {
            None => continue,
            Some((_, Some(Refusal::WitnessOlder { .. }))) if !all_older || i > 0 => continue,
            Some((_, Some(Refusal::WitnessForeign { .. }))) if i > 0 => continue,
            Some((_, Some(Refusal::WitnessFork { .. }))) => {
                let path = look.at_root(path);
                let other = opened.iter().map(|(other, _)| look.at_root(other)).find(|other| *other != path);
                remedy(&other.unwrap_or("OTHER_COPY".into()), &path, Some(&datadir), &look.commands())
            }
            Some((_, Some(Refusal::WitnessOlder { .. } | Refusal::WitnessForeign { .. }))) => {
                vec!["mount the newest copy".to_owned()]
            }
            Some((e, _)) => {
                found.note("witness", format!("the witness was not read: {e}"), "");
                return;
            }
        };
        let told = told.map(|e| e.to_string()).unwrap_or_default();
        found.wrong("witness", path, told, "The server refuses it at its next start.", &fix);
    }
}

/// Every byte, with the secret.
fn verify(look: &Look<'_>, fs: &Arc<dyn Fs>, copy: &Path, found: &mut Findings) -> Option<Keyring> {
    let Some(source) = look.secret() else {
        found.note(
            "verify",
            format!(
                "{} was not verified: mysqld's own source of the secret cannot be read here. Give --unlock",
                copy.display()
            ),
            "",
        );
        return None;
    };
    let place = look.at_root(copy);
    match load_with(fs, &place, &source.to_string(), || source.read()) {
        Ok((keyring, notes)) => {
            for note in notes.iter().filter(|n| n.is_damage()) {
                found.risk(
                    "verify",
                    copy,
                    format!("{}: {note}", place.display()),
                    "The volume may be failing.",
                    &["look at dmesg; keyringctl sync mends it from another copy".to_owned()],
                );
            }
            return Some(keyring);
        }
        // What is wrong with the source is told by its own check.
        Err(Error::Failure(Failure::Unlock { .. })) => {
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
    None
}
