// SPDX-License-Identifier: GPL-2.0-or-later
//! What is left after `encrypt apply`: the one list that `apply` prints and `finish` works on.

use super::means::Means;
use super::situation::Situation;
use super::step::{Action, Step, StepId, StepState};
use super::{backup, doublewrite, logs, option_file, restart};
use crate::commands::site;
use crate::error::Result;
use crate::server::{DataPlace, PlaceKind, PlaceState, Remedy, Session};
use std::path::PathBuf;

/// Returns all steps in their order. The last one, the proof, is left until it was made.
pub(super) fn steps(situation: &Situation, means: &Means<'_>) -> Vec<Step> {
    let option_file = option_file::look(situation);
    let steps = [
        apply(situation, means),
        statements(situation, means),
        option_file::look_at_persisted(situation, option_file.state),
        logs::look_at_undo_and_redo(situation),
        logs::look_at_binary_logs(situation),
        doublewrite::look(situation),
        restart::look(situation),
        backup::look(situation, means),
        by_hand(
            StepId::SystemTablespace,
            "MySQL cannot encrypt ibdata1. If the change buffer was in use (the default up to 8.3, and in 9.7), it keeps old entries of secondary indexes, and rows of tables that were once in it",
            "to get rid of them, load a dump into a new instance that is encrypted from its first start",
        ),
        by_hand(
            StepId::FreeSpace,
            "blocks of deleted and rebuilt files still hold unencrypted data",
            "run fstrim on an SSD, or write a file that fills the disk and delete it",
        ),
        by_hand(
            StepId::OldBackups,
            "dumps and backups from before are unencrypted",
            "back up the database anew, and destroy the old dumps and backups",
        ),
        Step::to_do(StepId::Verify, "made at the end", "runs keyringctl encrypt verify"),
    ];
    let mut steps = Vec::from(steps);
    steps.insert(2, option_file.step);
    steps
}

/// Returns what is left on a server of which nothing but the connection is known.
pub(in crate::commands::encrypt) fn left(session: &mut Session) -> Result<Vec<Step>> {
    let parts = site::Parts { root: PathBuf::from("/"), ..site::Parts::default() };
    let site = site::Args { parts, ..site::Args::default() };
    let means = Means { site: &site, restart_command: None, backup: None, accept: &[], watches: true };
    let situation = Situation::look(session, &means)?;
    Ok(steps(&situation, &means).into_iter().filter(|step| step.state != StepState::Done).collect())
}

fn by_hand(id: StepId, why: &str, how: &str) -> Step {
    Step::new(id, StepState::ByHand, why, Action::Administrator(vec![how.to_owned()]))
}

/// The names of places, only the first of many.
fn listed(places: &[&DataPlace]) -> String {
    const MOST: usize = 5;
    let names: Vec<_> = places.iter().take(MOST).map(|place| place.name.clone()).collect();
    match places.len() {
        n if n > MOST => format!("{} and {} more", names.join(", "), n - MOST),
        _ => names.join(", "),
    }
}

/// Places that `encrypt apply` encrypts.
fn apply(situation: &Situation, means: &Means<'_>) -> Step {
    let is_left = |place: &&DataPlace| {
        matches!(place.state, PlaceState::Clear | PlaceState::HalfDone)
            && place.remedy == Remedy::Apply
            && !means.accept.contains(&place.kind)
    };
    let left: Vec<_> = situation.items.iter().filter(is_left).collect();
    if left.is_empty() {
        return Step::done(StepId::Apply, "nothing is left for apply");
    }
    Step::new(
        StepId::Apply,
        StepState::ToDo,
        format!("still unencrypted, half-done or not set: {}", listed(&left)),
        Action::Administrator(vec!["keyringctl encrypt apply".to_owned()]),
    )
}

/// Places that other steps take care of.
const OF_OTHER_STEPS: [PlaceKind; 4] =
    [PlaceKind::BinaryLog, PlaceKind::LateSetting, PlaceKind::Doublewrite, PlaceKind::Dumps];

/// Places that statements of the administrator encrypt or empty, and those that could not be looked at.
fn statements(situation: &Situation, means: &Means<'_>) -> Step {
    let is_left = |place: &&DataPlace| {
        let is_clear = matches!(place.state, PlaceState::Clear | PlaceState::HalfDone)
            && !means.accept.contains(&place.kind);
        (is_clear && place.remedy != Remedy::Apply || place.state == PlaceState::Unknown)
            && !OF_OTHER_STEPS.contains(&place.kind)
    };
    let left: Vec<_> = situation.items.iter().filter(is_left).collect();
    if left.is_empty() {
        return Step::done(StepId::Statements, "no place needs any");
    }
    let ways = left.iter().map(|place| match &place.remedy {
        Remedy::ByHand(how) => format!("{}: {}. {how}", place.name, place.about),
        Remedy::Apply | Remedy::None => format!("{}: {}", place.name, place.about),
    });
    Step::new(
        StepId::Statements,
        StepState::NotHere,
        format!("unencrypted, half-done, or not checked: {}", listed(&left)),
        Action::Administrator(ways.collect()),
    )
}
