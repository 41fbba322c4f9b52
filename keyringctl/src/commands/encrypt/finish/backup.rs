// SPDX-License-Identifier: GPL-2.0-or-later
//! A backup of the keyring with its new keys.

use super::context::Run;
use super::means::Means;
use super::situation::Situation;
use super::step::{Action, Step, StepId, StepState};
use crate::commands::apart::{is_beside, is_one_file};
use crate::commands::doctor::configured;
use crate::commands::doctor::finding::Findings;
use crate::commands::store_places::store_places;
use crate::commands::{backup, missing, secret};
use crate::error::{Error, Result};
use crate::server::ServerKeyring;
use crate::show::Shown;
use keyring_external::keyring::inspect;
use keyring_external::unlock::UnlockSource;
use std::path::{Path, PathBuf};

const NO_BACKUP: &str = "a copy of the keyring that the server uses";

/// Looks at the backup that `--backup` names.
pub(super) fn look(situation: &Situation, means: &Means<'_>) -> Step {
    let id = StepId::KeyringBackup;
    let keyring = &situation.keyring;
    let Some(file) = means.backup else {
        let path = keyring.paths.first().map_or_else(|| "KEYRING".to_owned(), |path| path.shown());
        return Step::new(
            id,
            StepState::ByHand,
            "whether a backup has its new keys is not known",
            Action::Administrator(vec![format!(
                "back it up with keyringctl encrypt finish --backup FILE, or keyringctl backup {path} FILE"
            )]),
        );
    };
    let by_hand = |why: String, how: &str| {
        Step::new(id, StepState::NotHere, why, Action::Administrator(vec![how.to_owned()]))
    };
    let copies = copies(situation);
    if let Some(copy) = copies.iter().find(|copy| is_one_file(copy, file)) {
        let why = format!("{} is {NO_BACKUP} ({}), not a backup", file.shown(), copy.shown());
        return by_hand(why, "name another file, on a volume of its own");
    }
    let beside = if is_beside(file, &copies) {
        ". WARNING: it is on the same filesystem as a copy of the keyring: if that fails, both are lost"
    } else {
        ""
    };
    if !file.exists() {
        let how = format!("writes it to {}", file.shown());
        return Step::to_do(id, format!("the backup does not exist yet{beside}"), how);
    }
    if has_state(file, keyring) {
        return Step::done(id, format!("{} has generation {}{beside}", file.shown(), keyring.generation));
    }
    let why = format!(
        "{} exists, and is not a backup of generation {} of this keyring",
        file.shown(),
        keyring.generation
    );
    by_hand(why, "name another file: a backup is never written over")
}

/// All copies that the server uses or is configured with.
fn copies(situation: &Situation) -> Vec<PathBuf> {
    let mut all = situation.keyring.paths.clone();
    let site = situation.site.as_ref().ok().or(situation.started.as_ref());
    if let Some(found) = site.and_then(|site| configured::find(site, &mut Findings::default())) {
        all.extend(found.host.mirrors.into_iter().chain([found.host.keyring]));
    }
    all
}

/// Refuses before anything is changed if the backup cannot be written, or would be a copy that the server uses.
pub(super) fn require_place(file: &Path, step: Option<&Step>) -> Result<()> {
    match step {
        Some(step) if step.is_for_finish() => {
            let places = store_places();
            let cannot = |e| missing::cannot_create(e, None, "this command again");
            places.replica(file).and_then(|copy| copy.find_vacant()).map_err(cannot)?;
            crate::commands::copies::check_directory(&places, file).map_err(cannot)
        }
        Some(step) if step.state == StepState::NotHere && step.why.contains(NO_BACKUP) => Err(Error::Usage(
            format!("{}: name another file, on a volume of its own. Nothing was changed", step.why),
        )),
        _ => Ok(()),
    }
}

/// Whether a file claims to hold the present state of the server's keyring.
fn has_state(file: &Path, keyring: &ServerKeyring) -> bool {
    let places = store_places();
    inspect(&places, file).is_ok_and(|claims| {
        claims.header.id.to_string() == keyring.id
            && claims.commit.as_ref().is_some_and(|commit| commit.generation == keyring.generation)
    })
}

/// Writes the backup. Returns what kept it from being written.
pub(super) fn write(run: &mut Run<'_>, situation: &Situation) -> Result<Option<String>> {
    let (Some(file), Some((path, mirrors))) = (&run.args.backup, situation.keyring.paths.split_first())
    else {
        return Ok(Some("the server does not say where its keyring is".to_owned()));
    };
    let secret = match run.args.secret.is_given() {
        false => secret::Args { unlock: unlock_source(run, situation), ..secret::Args::default() },
        true => run.args.secret.clone(),
    };
    let args = backup::Args::new(path, mirrors, file, secret);
    match backup::run(&args, run.out) {
        Ok(_) => Ok(None),
        Err(e) => Ok(Some(e.to_string())),
    }
}

/// The unlock source that the server is configured with.
fn unlock_source(run: &mut Run<'_>, situation: &Situation) -> Option<UnlockSource> {
    let of_plugin = run.session.variable("keyring_external_unlock").ok().flatten();
    of_plugin.filter(|source| !source.is_empty()).and_then(|source| source.parse().ok()).or_else(|| {
        let site = situation.site.as_ref().ok()?;
        configured::find(site, &mut Findings::default()).map(|found| found.host.unlock)
    })
}
