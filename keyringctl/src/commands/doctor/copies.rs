// SPDX-License-Identifier: GPL-2.0-or-later
//! Compares the keyring's copies with each other and with the witness in the data directory.

use super::copy_remedies::repair;
use super::finding::Findings;
use super::host_view::HostView;
use super::redo_log;
use crate::commands::content::{Content, remedy};
use crate::show::Shown;
use keyring_external::error::{Error, Refusal};
use keyring_external::keyring::{Relation, check_claims_by_witness};
use keyring_external::store::places::{Places, is_remote};
use std::path::Path;

/// Compares the copies with each other.
pub(super) fn compare(view: &HostView<'_>, opened: &[(&Path, Content)], found: &mut Findings) {
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
        let (shown, generation) = (path.shown(), of_this.generation());
        let unlock = view.secret_args().option();
        let sync = format!("keyringctl sync {} --mirror {}{unlock}", view.word(newest_path), view.word(path));
        let before =
            opened.iter().take(i).find(|(_, other)| of_this.relation_to(other) == Relation::Diverged);
        if let Some((other, of_other)) = before {
            found.error(
                "copies-alike",
                path,
                format!(
                    "{} (generation {}) and {shown} (generation {generation}) have diverged: they hold different keys",
                    other.shown(),
                    of_other.generation()
                ),
                "Each may hold keys that the other does not have. A running server changes only one of them, and may refuse to start with them.",
                &remedy(&view.local_path(other), &view.local_path(path), Some(&view.local_path(&view.host.datadir)), &view.secret_args()),
            );
        }
        match of_this.relation_to(newest) {
            Relation::OtherKeyring => found.error(
                "copies-alike",
                path,
                format!(
                    "{shown} is keyring {}, but {} is keyring {}",
                    of_this.claims.header.id,
                    first.shown(),
                    of_first.claims.header.id
                ),
                "It is not a copy of the keyring that the server uses.",
                &[
                    if is_remote(path) {
                        "find out which server uses this prefix: keyringctl fleet status".to_owned()
                    } else {
                        "mount the right volume there".to_owned()
                    },
                    format!("or correct the path in {}", view.settings_file().shown()),
                ],
            ),
            Relation::Ancestor => found.warning(
                "copies-alike",
                path,
                format!("{shown} is behind: it has generation {generation}, the newest copy has {}", newest.generation()),
                "Newer keys are in fewer copies than they should be.",
                &[
                    "let the running server bring it up to date: it does so when its status is next queried".to_owned(),
                    "or, if no server runs:".to_owned(),
                    sync,
                ],
            ),
            Relation::Unknown => found.warning(
                "copies-alike",
                path,
                format!(
                    "{shown} has generation {generation}, but {} has {}: without the unlock secret, doctor cannot tell whether it is behind or has diverged",
                    newest_path.shown(),
                    newest.generation()
                ),
                "Newer keys are in fewer copies than they should be, or each copy holds keys that the other does not have.",
                &["run doctor with the secret: keyringctl doctor --unlock SOURCE".to_owned()],
            ),
            // Diverged copies are reported above.
            Relation::Same | Relation::Descendant | Relation::Diverged => {}
        }
        if of_this.claims.damaged {
            found.warning(
                "copies-alike",
                path,
                format!("one of the two copies of the header in {shown} is damaged"),
                "The other one is used. The volume may be failing.",
                &repair(view, path, true),
            );
        }
    }
}

/// Checks that the witness in the data directory does not contradict the copies, and is not newer than all of them.
pub(super) fn witness(
    view: &HostView<'_>,
    places: &Places,
    opened: &[(&Path, Content)],
    found: &mut Findings,
) {
    let datadir = view.local_path(&view.host.datadir);
    let checked = |path: &Path, content: &Content| match &content.keyring {
        Some(keyring) => keyring.check_witness(places.fs(), &datadir).map(drop),
        None => content.claims.commit.as_ref().map_or(Ok(()), |commit| {
            check_claims_by_witness(places.fs(), &datadir, path, &content.claims.header.id, commit).map(drop)
        }),
    };

    let errors: Vec<_> =
        opened.iter().map(|(path, content)| (path, checked(&view.local_path(path), content).err())).collect();
    // A mirror that is behind is reported above; only if all copies are older than the witness is that an error.
    let all_older = errors
        .iter()
        .all(|(_, e)| matches!(e.as_ref().and_then(Error::refusal), Some(Refusal::WitnessOlder { .. })));
    for (i, (path, error)) in errors.into_iter().enumerate() {
        let fix = match error.as_ref().map(|e| (e, e.refusal())) {
            None => continue,
            Some((_, Some(Refusal::WitnessOlder { .. }))) if !all_older || i > 0 => continue,
            Some((_, Some(Refusal::WitnessForeign { .. }))) if i > 0 => continue,
            Some((_, Some(Refusal::WitnessFork { .. }))) => {
                let path = view.local_path(path);
                let other =
                    opened.iter().map(|(other, _)| view.local_path(other)).find(|other| *other != path);
                remedy(&other.unwrap_or("OTHER_COPY".into()), &path, Some(&datadir), &view.secret_args())
            }
            Some((_, Some(Refusal::WitnessOlder { .. } | Refusal::WitnessForeign { .. }))) => {
                let accept = format!(
                    "keyringctl witness accept {} --datadir {}{}{}",
                    view.word(path),
                    view.word(&view.host.datadir),
                    redo_log::also(view),
                    view.secret_args().option()
                );
                vec![
                    "mount the volume with the copy that the data was last used with, or make that copy at its remote available again".to_owned(),
                    "or, if that is lost for good, stop mysqld and accept this one:".to_owned(),
                    accept,
                ]
            }
            Some((e, _)) => {
                found.note("witness", format!("could not read the witness: {e}"), "");
                return;
            }
        };
        let what = error.map(|e| e.to_string()).unwrap_or_default();
        found.error("witness", path, what, "The server will refuse this keyring at its next start.", &fix);
    }
}
