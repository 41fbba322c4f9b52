// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules for the keyring, its copies and the witness.

use super::outcome::NotMeasured;
use crate::commands::content::remedy;
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::doctor::server;
use crate::commands::report::copies::{CopyFacts, CopyFile, Volume};
use crate::commands::report::facts::Facts;
use crate::commands::report::known::Known;
use crate::commands::secret;
use crate::server::LoadedAs;
use crate::show::Shown;
use keyring_external::store::places::is_remote;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn keyring(facts: &Facts, found: &mut Findings) {
    if facts.keyring.way == LoadedAs::None {
        let fix = ["run keyringctl setup, then restart the server".to_owned()];
        let why = "Without a keyring the server can encrypt nothing and cannot read encrypted data.";
        found.add(FindingLevel::Error, "server-keyring", "the server has no keyring", why, &fix);
    } else if matches!(facts.keyring.way, LoadedAs::Unknown(_)) {
        // It is among what was not checked.
    } else if facts.keyring.state == "DEGRADED" && only_behind(facts) {
        found.run_checks(&["server-keyring"]);
    } else {
        server::judge(&facts.keyring, None, found);
    }
}

/// Whether a copy that is behind is why the server is DEGRADED: then that copy is the finding.
fn only_behind(facts: &Facts) -> bool {
    let newest = newest(facts);
    let mut all = facts.copies.iter();
    all.clone().all(|copy| file_of(copy).is_some())
        && all.any(|copy| file_of(copy).is_some_and(|file| is_behind(facts, file, newest)))
}

/// Whether the finding about the server's keyring says already why something was not measured: there is no keyring of this
/// kind, or a copy is missing.
pub(super) fn says(facts: &Facts, not_measured: &NotMeasured) -> bool {
    let why = Some(not_measured.why.as_str());
    let of_copy = || facts.copies.iter().any(|copy| copy.file.why_not() == why);
    let is_out = || matches!(facts.keyring.state.as_str(), "DEGRADED" | "DETACHED");
    let of_keyring =
        if facts.keyring.is_ours() { is_out() && of_copy() } else { facts.keys.why_not() == why };
    of_keyring && facts.files.why_not() != why
}

pub(super) fn copies(facts: &Facts, found: &mut Findings) {
    if !facts.keyring.is_ours() {
        return;
    }
    found.run_checks(&["one-copy"]);
    if facts.copies.iter().any(|copy| copy.volume.measured().is_some()) {
        found.run_checks(&["same-device", "volatile", "mirrors-apart"]);
    }
    remotes(facts, found);
    if facts.copies.iter().any(|copy| file_of(copy).is_some()) {
        found.run_checks(&["same-file", "copies-alike", "recovery-slot"]);
    }
    if facts.copies.iter().any(|copy| file_of(copy).is_some_and(|file| file.verified.measured().is_some())) {
        found.run_checks(&["verify"]);
    }
    if facts.keyring.copies.1 < 2 {
        found.add(
            FindingLevel::Warning,
            "one-copy",
            "the keyring has a single copy",
            "If that copy is lost, all encrypted data is lost.",
            &["see how to add a copy to this server: keyringctl doctor".to_owned()],
        );
    }
    volumes(facts, found);
    let newest = newest(facts);
    for copy in &facts.copies {
        if let Some(file) = file_of(copy) {
            compare(facts, copy, file, newest, found);
        }
    }
    if let Some(file) = facts.copies.iter().find_map(file_of)
        && !file.has_recovery_slot
    {
        let copies: Vec<_> = facts.copies.iter().map(|copy| copy.path.shown()).collect();
        let (copies, unlock) = (copies.join(" --mirror "), &facts.unlock);
        found.add(
            FindingLevel::Warning,
            "recovery-slot",
            "the keyring has no unlock slot for a recovery key or for custodians",
            "If the unlock secret is lost, nothing can unlock the keyring.",
            &[format!("keyringctl slot add {copies} --new-recovery{unlock}")],
        );
    }
}

/// The newest generation among the copies.
fn newest(facts: &Facts) -> Option<u64> {
    let of_server = |file: &&CopyFile| file.id.to_string() == facts.keyring.id;
    facts.copies.iter().filter_map(file_of).filter(of_server).filter_map(|file| file.generation).max()
}

fn is_behind(facts: &Facts, file: &CopyFile, newest: Option<u64>) -> bool {
    file.id.to_string() == facts.keyring.id && file.generation != newest && file.diverged_from.is_empty()
}

fn file_of(copy: &CopyFacts) -> Option<&CopyFile> {
    copy.file.measured()
}

/// Judges the remotes that the copies are at: several copies at one engine are lost together.
fn remotes(facts: &Facts, found: &mut Findings) {
    let mut engines: BTreeMap<&[String], Vec<&CopyFacts>> = BTreeMap::new();
    for copy in &facts.copies {
        if let Some(remote) = copy.remote.as_ref().and_then(Known::measured) {
            found.run_checks(&["mirrors-apart"]);
            engines.entry(&remote.endpoints).or_default().push(copy);
        }
    }
    let fix = ["see how to move a copy of this server: keyringctl doctor".to_owned()];
    for copies in engines.into_values().filter(|copies| copies.len() > 1) {
        let paths: Vec<_> = copies.iter().map(|copy| copy.path.shown()).collect();
        let what = format!("{} are at the same remote", paths.join(" and "));
        if let Some(first) = copies.first() {
            found.warning("mirrors-apart", &first.path, what, "They are lost together.", &fix);
        }
    }
}

/// Judges the filesystems that the copies are on: one finding for each that should not hold what is on it.
fn volumes(facts: &Facts, found: &mut Findings) {
    let mut devices: BTreeMap<&str, (&Volume, Vec<&CopyFacts>)> = BTreeMap::new();
    for copy in &facts.copies {
        // The other path of one file is a finding of its own.
        let is_second = file_of(copy).is_some_and(|file| file.same_file_as.is_some());
        if let Some(volume) = copy.volume.measured().filter(|_| !is_second) {
            devices.entry(&volume.device).or_insert_with(|| (volume, Vec::new())).1.push(copy);
        }
    }
    let fix = ["see how to move a copy of this server: keyringctl doctor".to_owned()];
    for (volume, copies) in devices.into_values() {
        let Some(first) = copies.first() else { continue };
        let paths: Vec<_> = copies.iter().map(|copy| copy.path.shown()).collect();
        let are = if copies.len() == 1 { "is" } else { "are" };
        let paths = paths.join(" and ");
        if volume.volatile {
            let what = format!("{paths} {are} on {}", volume.filesystem);
            let why = "What is there is lost when the machine stops.";
            found.warning("volatile", &first.path, what, why, &fix);
        }
        if !volume.apart_from_data {
            let what = format!("{paths} {are} on the same filesystem as the data directory");
            let why = "Anyone who steals that disk has both the data and the keyring.";
            found.warning("same-device", &first.path, what, why, &fix);
        } else if copies.len() > 1 && !volume.volatile {
            let what = format!("{paths} are on the same filesystem");
            found.warning("mirrors-apart", &first.path, what, "They are lost together.", &fix);
        }
    }
}

/// How to write a copy again from another one that was read completely.
fn write_again(facts: &Facts, copy: &CopyFacts, newest: Option<u64>) -> Vec<String> {
    let is_intact = |file: &CopyFile| {
        file.generation == newest
            && file.id.to_string() == facts.keyring.id
            && !file.damaged
            && file.verified.measured().is_none_or(Vec::is_empty)
    };
    let mut others = facts.copies.iter().filter(|other| other.path != copy.path);
    let path = copy.path.shown();
    match others.find(|other| file_of(other).is_some_and(is_intact)) {
        Some(other) => {
            let (other, unlock) = (other.path.shown(), &facts.unlock);
            vec![format!("keyringctl sync {other} --mirror {path}{unlock}")]
        }
        None => vec!["see how to add a copy to this server: keyringctl doctor".to_owned()],
    }
}

fn compare(facts: &Facts, copy: &CopyFacts, file: &CopyFile, newest: Option<u64>, found: &mut Findings) {
    let path = copy.path.shown();
    if let Some(other) = &file.same_file_as {
        let what = format!("{} and {path} are the same file under two names", other.shown());
        let why = "The keyring has one copy fewer than configured: if that file is lost, both are.";
        let fix = ["see how to add a copy to this server: keyringctl doctor".to_owned()];
        found.error("same-file", &copy.path, what, why, &fix);
        return;
    }
    if let Some(other) = file.diverged_from.first() {
        let what = format!("{} and {path} have diverged: they hold different keys", other.shown());
        let why =
            "Each may hold keys that the other does not have, and the server may refuse to start with them.";
        let datadir = Path::new(&facts.server.datadir);
        let fix = remedy(other, &copy.path, Some(datadir), &secret::Args::default());
        let fix: Vec<_> = fix.into_iter().map(|line| line.replace(secret::UNNAMED, &facts.unlock)).collect();
        found.error("copies-alike", &copy.path, what, why, &fix);
    }
    if file.id.to_string() != facts.keyring.id {
        let what = format!("{path} is keyring {}, but the server uses {}", file.id, facts.keyring.id);
        let fix = [
            if is_remote(&copy.path) {
                "find out which server uses this prefix: keyringctl fleet status".to_owned()
            } else {
                "mount the volume with the right copy there".to_owned()
            },
            "or see how to correct the path: keyringctl doctor".to_owned(),
        ];
        found.error("copies-alike", &copy.path, what, "It is not a copy of the server's keyring.", &fix);
    } else if is_behind(facts, file, newest) {
        let what = format!(
            "{path} is behind: it has generation {}, the newest copy has {}",
            file.generation.unwrap_or_default(),
            newest.unwrap_or_default()
        );
        let fix = write_again(facts, copy, newest);
        found.warning(
            "copies-alike",
            &copy.path,
            what,
            "Newer keys are in fewer copies than they should be.",
            &fix,
        );
    }
    let notes = file.verified.measured().into_iter().flatten().map(String::as_str);
    let header = "one of the two copies of its header is damaged";
    // With the secret, the damage is among the notes.
    let header = (file.damaged && file.verified.measured().is_none_or(Vec::is_empty)).then_some(header);
    let damage: Vec<_> = header.into_iter().chain(notes).collect();
    if !damage.is_empty() {
        let (why, mut fix) = match is_remote(&copy.path) {
            true => ("The remote may be failing, or somebody changed or deleted its objects.", Vec::new()),
            false => ("The volume may be failing.", vec!["check dmesg for errors of the volume".to_owned()]),
        };
        fix.extend(write_again(facts, copy, newest));
        let what = format!("{path}: {}", damage.join("; "));
        found.warning("verify", &copy.path, what, why, &fix);
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
        "mount the volume with the copy that the data was last used with, or make that copy at its remote available again".to_owned(),
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
