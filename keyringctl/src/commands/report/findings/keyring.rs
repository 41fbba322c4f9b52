// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules for the keyring, its copies, the witness and the age of its master keys.

use crate::commands::content::remedy;
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::doctor::server;
use crate::commands::output::time;
use crate::commands::report::copies::{CopyFacts, CopyFile};
use crate::commands::report::facts::Facts;
use crate::commands::report::keys::Purpose;
use crate::commands::report::known::Known;
use crate::commands::secret;
use crate::server::LoadedAs;
use crate::show::Shown;
use std::path::Path;

/// Seconds; a master key that has been in use for longer is a warning.
const LONGEST_USE: u64 = 366 * 86_400;

pub(super) fn keyring(facts: &Facts, found: &mut Findings) {
    if facts.keyring.way == LoadedAs::None {
        let fix = ["run keyringctl setup, then restart the server".to_owned()];
        let why = "Without a keyring the server can encrypt nothing and cannot read encrypted data.";
        found.add(FindingLevel::Error, "server-keyring", "the server has no keyring", why, &fix);
    } else {
        server::judge(&facts.keyring, None, found);
    }
}

pub(super) fn copies(facts: &Facts, found: &mut Findings) {
    if !facts.keyring.is_ours() {
        return;
    }
    found.run_checks(&[
        "one-copy",
        "same-device",
        "volatile",
        "mirrors-apart",
        "same-file",
        "copies-alike",
        "recovery-slot",
        "verify",
    ]);
    if facts.keyring.copies.1 < 2 {
        found.add(
            FindingLevel::Warning,
            "one-copy",
            "the keyring has a single copy",
            "If that copy is lost, all encrypted data is lost.",
            &["keyringctl doctor".to_owned()],
        );
    }
    let newest = facts.copies.iter().filter_map(file_of).filter_map(|f| f.generation).max();
    for (i, copy) in facts.copies.iter().enumerate() {
        volumes(copy, &facts.copies[..i], found);
        if let Some(file) = file_of(copy) {
            compare(facts, copy, file, newest, found);
        }
    }
    if let Some(file) = facts.copies.iter().find_map(file_of)
        && !file.has_recovery_slot
    {
        let copies: Vec<_> = facts.copies.iter().map(|copy| copy.path.shown()).collect();
        let copies = copies.join(" --mirror ");
        found.add(
            FindingLevel::Warning,
            "recovery-slot",
            "the keyring has no unlock slot for a recovery key",
            "If the unlock secret is lost, nothing can unlock the keyring.",
            &[format!("keyringctl slot add {copies} --new-recovery --unlock SOURCE")],
        );
    }
}

fn file_of(copy: &CopyFacts) -> Option<&CopyFile> {
    copy.file.measured()
}

fn volumes(copy: &CopyFacts, before: &[CopyFacts], found: &mut Findings) {
    let Some(volume) = copy.volume.measured() else { return };
    let fix = ["keyringctl doctor".to_owned()];
    let path = copy.path.shown();
    if !volume.apart_from_data {
        let why = "Anyone who steals that disk has both the data and the keyring.";
        found.warning(
            "same-device",
            &copy.path,
            format!("{path} is on the same filesystem as the data directory"),
            why,
            &fix,
        );
    }
    if volume.volatile {
        let what = format!("{path} is on {}", volume.filesystem);
        found.warning("volatile", &copy.path, what, "The copy is lost when the machine stops.", &fix);
    }
    let shared = before.iter().find(|c| c.volume.measured().is_some_and(|v| v.device == volume.device));
    if let Some(other) = shared {
        let what = format!("{path} and {} are on the same filesystem", other.path.shown());
        found.warning("mirrors-apart", &copy.path, what, "Both are lost together.", &fix);
    }
}

fn compare(facts: &Facts, copy: &CopyFacts, file: &CopyFile, newest: Option<u64>, found: &mut Findings) {
    let path = copy.path.shown();
    let fix = ["keyringctl doctor".to_owned()];
    if let Some(other) = &file.same_file_as {
        let what = format!("{} and {path} are the same file under two names", other.shown());
        let why = "The keyring has one copy fewer than configured: if that file is lost, both are.";
        found.error("same-file", &copy.path, what, why, &fix);
    }
    if let Some(other) = file.diverged_from.first() {
        let what = format!("{} and {path} have diverged: they hold different keys", other.shown());
        let why =
            "Each may hold keys that the other does not have, and the server may refuse to start with them.";
        let fix = remedy(other, &copy.path, Some(Path::new(&facts.server.datadir)), &secret::Args::default());
        found.error("copies-alike", &copy.path, what, why, &fix);
    }
    if file.id.to_string() != facts.keyring.id {
        let what = format!("{path} is keyring {}, but the server uses {}", file.id, facts.keyring.id);
        found.error("copies-alike", &copy.path, what, "It is not a copy of the server's keyring.", &fix);
    } else if file.generation != newest && file.diverged_from.is_empty() {
        let what = format!(
            "{path} is behind: it has generation {}, the newest copy has {}",
            file.generation.unwrap_or_default(),
            newest.unwrap_or_default()
        );
        found.warning(
            "copies-alike",
            &copy.path,
            what,
            "Newer keys are on fewer volumes than they should be.",
            &fix,
        );
    }
    if file.damaged {
        let what = format!("one of the two copies of the header in {path} is damaged");
        found.warning("copies-alike", &copy.path, what, "The volume may be failing.", &fix);
    }
    for note in file.verified.measured().into_iter().flatten() {
        found.warning("verify", &copy.path, format!("{path}: {note}"), "The volume may be failing.", &fix);
    }
}

pub(super) fn witness(facts: &Facts, found: &mut Findings) {
    let Known::Measured(seen) = &facts.witness else { return };
    if !facts.keyring.is_ours() {
        return;
    }
    found.run_checks(&["witness"]);
    let datadir = Path::new(&facts.server.datadir).shown();
    let fix = [
        "mount the volume with the copy that the data was last used with".to_owned(),
        format!("see which that is: keyringctl witness show --datadir {datadir}"),
    ];
    match seen {
        None => {
            let why = "At its next start, the server would not notice an older or different keyring.";
            let fix = ["the server creates it at its next start".to_owned()];
            found.add(FindingLevel::Warning, "witness", "the data directory has no witness", why, &fix);
        }
        Some(w) if w.id.to_string() != facts.keyring.id || w.generation > facts.keyring.generation => {
            let what = format!(
                "the data directory was last used with keyring {}, generation {}, but the server uses {}, generation {}",
                w.id, w.generation, facts.keyring.id, facts.keyring.generation
            );
            found.add(
                FindingLevel::Error,
                "witness",
                what,
                "The server will refuse this keyring at its next start.",
                &fix,
            );
        }
        Some(_) => {}
    }
}

pub(super) fn rotation(facts: &Facts, found: &mut Findings) {
    let Some(keys) = facts.keys.measured() else { return };
    found.run_checks(&["rotation"]);
    let newest = keys.iter().rfind(|k| k.purpose == Purpose::Innodb);
    if let Some(newest) = newest
        && facts.measured.saturating_sub(newest.stored) > LONGEST_USE
    {
        found.add(
            FindingLevel::Warning,
            "rotation",
            format!("the InnoDB master key was last rotated on {}", time(newest.stored)),
            "Auditors expect a rotation at least once a year.",
            &["keyringctl encrypt rotate".to_owned()],
        );
    }
}
