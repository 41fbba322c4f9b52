// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules for the audit log.

use super::data::names;
use crate::commands::audit::words::{next_steps, of_this_log};
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::report::facts::Facts;
use crate::server::LoadedAs;
use crate::show::Shown;

const CHECK: &str = "audit-log";
/// The file that the documentation proposes.
const PROPOSED: &str = "/var/log/mysql/keyring_external.audit.log";

pub(super) fn audit(facts: &Facts, found: &mut Findings) {
    let Some(audit) = facts.audit.measured() else { return };
    found.run_checks(&[CHECK]);
    let Some(file) = &audit.file else {
        none(facts, found);
        return;
    };
    let faults = audit.faults();
    let told = names(faults.iter().map(String::as_str));
    if audit.lacks_only_another_log() {
        let what = format!("the keyring notes another audit log than that of this server: {told}");
        let why = "Another server with this keyring writes it, or it was removed.";
        let fix = [
            "verify the files of all logs of this keyring together: keyringctl audit verify FILE..."
                .to_owned(),
            "if no other server uses this keyring, find out who removed the log".to_owned(),
        ];
        found.add(FindingLevel::Warning, CHECK, what, why, &fix);
    } else if audit.has_only_not_checkable() {
        let what = format!("lines of the audit log cannot be checked: {told}");
        let why = "Nothing proves that these lines are those that were written.";
        found.add(FindingLevel::Warning, CHECK, what, why, &next_steps(&of_this_log(file)));
    } else if !faults.is_empty() {
        let what = format!("the audit log is not as it was written: {told}");
        let why = "Somebody, or a fault of the disk, changed or removed what was recorded.";
        let fix = [
            format!("see every fault of it: keyringctl audit verify --audit-log {}", file.shown()),
            "keep its files as evidence, and find out what happened at these times".to_owned(),
        ];
        found.add(FindingLevel::Error, CHECK, what, why, &fix);
    }
    let never = audit.never_checked();
    if !never.is_empty() {
        let what = format!("lines of the audit log were never checked: {}", names(never.into_iter()));
        let why = "Somebody who can write to the log may have written them.";
        let [check, _] = next_steps(&of_this_log(file));
        found.add(FindingLevel::Warning, CHECK, what, why, &[check]);
    }
    if faults.is_empty() && audit.lines() == 0 {
        let what = format!("the audit log {} has no line", file.shown());
        let why = "The server writes one whenever it opens the keyring: it has not read this setting yet, or cannot write the file.";
        let fix = ["see whether mysqld can write the file: keyringctl doctor".to_owned(), take_effect(facts)];
        found.add(FindingLevel::Warning, CHECK, what, why, &fix);
    }
    if let Some(lost) = audit.failures.filter(|lost| *lost > 0) {
        let what = format!("the server could not write {lost} lines of the audit log {}", file.shown());
        let why = "What they would have told is not recorded.";
        let fix = ["see why it cannot be written: keyringctl doctor".to_owned()];
        found.add(FindingLevel::Warning, CHECK, what, why, &fix);
    }
}

/// The server keeps no log.
fn none(facts: &Facts, found: &mut Findings) {
    let was = facts.audit.measured().and_then(|audit| audit.note);
    let was =
        was.map(|note| format!(", although the keyring notes line {} of the log {}", note.number, note.log));
    let what = format!("the server keeps no audit log{}", was.unwrap_or_default());
    let why = "Who opened the keyring, and who made, removed or destroyed keys, is not recorded.";
    let setup = format!("keyringctl setup --audit-log {PROPOSED}");
    found.add(FindingLevel::Warning, CHECK, what, why, &[setup, take_effect(facts)]);
}

/// How the server reads the setting.
fn take_effect(facts: &Facts) -> String {
    match facts.keyring.way {
        LoadedAs::Component => "then run in the server: ALTER INSTANCE RELOAD KEYRING;".to_owned(),
        _ => "then restart the server".to_owned(),
    }
}
