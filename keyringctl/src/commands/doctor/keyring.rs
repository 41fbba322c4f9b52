// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks the keyring's copies: they exist, belong to mysqld's user, are intact and are up to date.

use super::copies;
use super::copy_remedies::{
    chown, close_directory, missing, not_a_file, repair, replace, take_directory, wrong_secret,
};
use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use super::redo_log;
use crate::commands::apart::same_as_earlier;
use crate::commands::content::Content;
use crate::commands::stat::is_missing;
use crate::commands::store_places::store_places;
use crate::show::Shown;
use keyring_external::error::{Error, Failure, Refusal};
use keyring_external::keyring::{Claims, Keyring, inspect, load_with};
use keyring_external::store::file::volume::{self, directory_of, temporary_of};
use keyring_external::store::places::{Places, is_remote};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Returns the newest of the copies that can be read: one that the secret unlocked, if there is any.
pub(super) fn check(view: &HostView<'_>, found: &mut Findings) -> Option<Content> {
    found.run_checks(&[
        "keyring-file",
        "keyring-owner",
        "one-copy",
        "copies-alike",
        "recovery-slot",
        "verify",
        "witness",
        "leftover-write",
    ]);
    let places = store_places();
    let copies: Vec<&Path> = view.host.copies().collect();
    let claims: Vec<_> =
        copies.iter().filter_map(|copy| Some((*copy, file(view, &places, copy, found)?))).collect();
    let local: Vec<_> = copies.iter().map(|copy| view.local_path(copy)).collect();
    if (1..local.len()).all(|i| same_as_earlier(&local, i).is_some()) {
        let others = if local.len() > 1 { ": its other paths lead to the same file" } else { "" };
        found.warning(
            "one-copy",
            &view.host.keyring,
            format!("the keyring has a single copy{others}"),
            "If that copy is lost, all encrypted data is lost.",
            &view.add_copy(),
        );
    }
    let opened: Vec<_> = claims
        .into_iter()
        .map(|(path, claims)| (path, Content { claims, keyring: verify(view, &places, path, found) }))
        .collect();
    copies::compare(view, &opened, found);
    copies::witness(view, &places, &opened, found);
    redo_log::check(view, &places, &opened, found);
    if let Some((path, first)) = opened.first() {
        slots(view, path, &first.claims, found);
    }
    opened
        .into_iter()
        .map(|(_, content)| content)
        .max_by_key(|content| (content.keyring.is_some(), content.generation()))
}

/// Reports the copies that are not there, which needs no permission.
pub(super) fn check_missing(view: &HostView<'_>, found: &mut Findings) {
    let places = store_places();
    for copy in view.host.copies().filter(|copy| is_missing(&view.local_path(copy))) {
        file(view, &places, copy, found);
    }
}

/// Checks a copy's file. Returns what the file claims, if it is a keyring.
fn file(view: &HostView<'_>, places: &Places, copy: &Path, found: &mut Findings) -> Option<Claims> {
    let place = view.local_path(copy);
    if is_remote(copy) {
        return at_remote(view, places, copy, found);
    }
    let checked = volume::check_file(places.fs().as_ref(), &place);
    if checked.as_ref().is_err_and(|e| e.io_kind() == Some(io::ErrorKind::PermissionDenied)) {
        found.no_permission("keyring-file", &place);
        return None;
    }
    if let Err(e) = checked {
        let why = match e.refusal() {
            Some(Refusal::Missing { .. }) => {
                "The server cannot open it: it starts without its keys, or not at all."
            }
            _ => "mysqld refuses to open it.",
        };
        let fix = match e.refusal() {
            Some(Refusal::Missing { .. }) => missing(view, copy),
            Some(Refusal::Exposed { path, .. }) if *path != place => close_directory(view, copy),
            Some(Refusal::Exposed { fix, .. }) => vec![format!("chmod {fix} {}", view.word(copy))],
            Some(Refusal::Owner { path, .. }) if *path == place => vec![chown(view, copy)],
            Some(Refusal::Owner { .. } | Refusal::SharedDirectory { .. }) => take_directory(view, copy),
            _ => not_a_file(view, copy),
        };
        let what = match e.refusal() {
            Some(Refusal::Missing { found, .. }) => format!("no copy at {}: {found}", place.shown()),
            Some(Refusal::Exposed { path, mode, .. }) => {
                format!("{} is open to other users (mode {mode:04o})", path.shown())
            }
            Some(Refusal::SharedDirectory { path, wrong, .. }) => format!("{} {wrong}", path.shown()),
            _ => e.to_string(),
        };
        found.error("keyring-file", copy, what, why, &fix);
        return None;
    }
    owner(view, copy, found);
    if places.fs().meta(&temporary_of(&place)).is_ok() {
        found.add(
            FindingLevel::Note,
            "leftover-write",
            format!("an interrupted write left {}", temporary_of(&place).shown()),
            "If the keyring verifies, the file is not needed. The next change that rewrites the keyring removes it.",
            &[],
        );
    }
    inspect(places, &place)
        .map_err(|e| {
            let fix = match e.refusal() {
                Some(Refusal::NotAKeyring { .. }) => replace(view, copy),
                _ => repair(view, copy, false),
            };
            found.error("keyring-file", copy, e.to_string(), "The server cannot open it.", &fix)
        })
        .ok()
}

/// Checks a copy at a remote. Why a remote cannot be used, its own checks say.
fn at_remote(view: &HostView<'_>, places: &Places, copy: &Path, found: &mut Findings) -> Option<Claims> {
    let e = match inspect(places, copy) {
        Ok(claims) => return Some(claims),
        Err(e) => e,
    };
    let fix = match e.refusal() {
        Some(Refusal::Missing { .. }) => missing(view, copy),
        Some(Refusal::NotAKeyring { .. } | Refusal::Damaged { .. }) => replace(view, copy),
        Some(_) => repair(view, copy, false),
        None => Vec::new(),
    };
    found.error("keyring-file", copy, e.to_string(), "The server cannot open the copy at the remote.", &fix);
    None
}

/// Checks that the file and its directory belong to mysqld's user.
fn owner(view: &HostView<'_>, copy: &Path, found: &mut Findings) {
    let Some(account) = &view.site.account else {
        found.note(
            "keyring-owner",
            format!(
                "cannot check the owner of the keyring: account {} does not exist on this machine",
                view.site.user
            ),
            "",
        );
        return;
    };
    for path in [copy, directory_of(copy)] {
        let place = view.local_path(path);
        let Ok(meta) = fs::metadata(&place) else { continue };
        if meta.uid() != account.uid {
            let fix = if path == copy { vec![chown(view, copy)] } else { take_directory(view, copy) };
            found.error(
                "keyring-owner",
                path,
                format!(
                    "{} belongs to user id {}, but mysqld runs as {} ({})",
                    place.shown(),
                    meta.uid(),
                    account.name,
                    account.uid
                ),
                "mysqld cannot open the keyring, or cannot store a new key.",
                &fix,
            );
        }
    }
}

fn slots(view: &HostView<'_>, path: &Path, claims: &Claims, found: &mut Findings) {
    if !claims.header.slots.iter().any(|(_, s)| s.kind.is_for_recovery()) {
        let unlock = view.secret_args().option();
        found.warning(
            "recovery-slot",
            path,
            format!("{} has no unlock slot for a recovery key or for custodians", path.shown()),
            "If the unlock secret is lost, for example with the server's disk, nothing can unlock the keyring.",
            &[format!("keyringctl slot add {} --new-recovery{unlock}", view.all_copies())],
        );
    }
}

/// Verifies every byte of a copy, if the secret can be read. Returns the opened keyring.
fn verify(view: &HostView<'_>, places: &Places, copy: &Path, found: &mut Findings) -> Option<Keyring> {
    let Some(source) = view.secret() else {
        found.note(
            "verify",
            format!(
                "{} was not verified: doctor cannot read the secret where mysqld reads it. Use --unlock",
                copy.shown()
            ),
            "",
        );
        return None;
    };
    let place = view.local_path(copy);
    match load_with(places, &place, &source.to_string(), || source.read()) {
        Ok((keyring, notes)) => {
            for note in notes.iter().filter(|n| n.is_damage()) {
                found.warning(
                    "verify",
                    copy,
                    format!("{}: {note}", place.shown()),
                    failing(copy),
                    &repair(view, copy, true),
                );
            }
            return Some(keyring);
        }
        // The check unlock-secret says what is wrong with the source.
        Err(Error::Failure(Failure::Unlock { .. })) => {
            found.note("verify", format!("{} was not verified: cannot read {source}", place.shown()), "")
        }
        Err(e) => {
            let fix = match e.refusal() {
                Some(Refusal::WrongSecret { .. }) => wrong_secret(view),
                _ => repair(view, copy, false),
            };
            let why = "The server will not be able to open it at its next start.";
            found.error("verify", copy, e.to_string(), why, &fix);
        }
    }
    None
}

/// What damage of a copy may mean.
pub(super) fn failing(copy: &Path) -> &'static str {
    if is_remote(copy) {
        "The remote may be failing, or somebody changed or deleted its objects."
    } else {
        "The volume may be failing."
    }
}
