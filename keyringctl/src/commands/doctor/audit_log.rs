// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks the audit log: mysqld can write it, other users cannot, and its lines are those that the keyring notes.

use super::finding::Findings;
use super::host_view::HostView;
use super::permission::may_write;
use crate::commands::audit::words::{next_steps, of_this_log};
use crate::commands::audit::{self, of_log};
use crate::commands::audit_trail;
use crate::commands::content::Content;
use crate::commands::output::counted;
use crate::show::Shown;
use keyring_external::audit::verify::{Known, Trouble};
use keyring_external::keyring::Keyring;
use keyring_external::store::file::volume::directory_of;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use uuid::Uuid;

const CHECK: &str = "audit-log";
const MEANING: &str =
    "The server works without the log and counts lost lines: Keyring_external_audit_failures.";

/// Checks the log. `newest` is the newest copy of the keyring that can be read.
pub(super) fn check(view: &HostView<'_>, newest: Option<&Content>, found: &mut Findings) {
    let known = newest.map(known).unwrap_or_default();
    let Some(log) = &view.host.audit.path else {
        if known.note.is_some() {
            found.note(
                CHECK,
                "the keyring notes an audit log, but the server is configured with none",
                "What the server does with the keyring is in no log. keyringctl setup --audit-log PATH configures one.",
            );
        }
        return;
    };
    found.run_checks(&[CHECK]);
    check_place(view, log, found);
    check_lines(view, log, &known, found);
}

/// What the log is compared with.
fn known(newest: &Content) -> Known {
    let claimed = || Known {
        keyring: Some(newest.claims.header.id),
        key: None,
        earlier: Vec::new(),
        note: newest.claims.commit.and_then(|commit| commit.note),
        generation: newest.claims.commit.map(|commit| commit.generation),
    };
    // Without memory for the key, only the hashes are checked.
    newest.keyring.as_ref().and_then(|keyring| audit::known(keyring).ok()).unwrap_or_else(claimed)
}

/// Writes to the log that this command unlocked the keyring.
pub(super) fn record(view: Option<&HostView<'_>>, keyring: &Keyring) {
    let Some(view) = view else { return };
    let at = |path: &Path| view.local_path(path);
    let log = audit_trail::OfServer::new(&view.host.audit, &at(&view.site.datadir), at);
    audit_trail::use_log_of_server(log);
    // That the keyring notes a log which is not configured is among the findings.
    if audit_trail::path().is_some() {
        audit_trail::attach(keyring);
    }
}

/// Compares the lines with what the keyring notes.
fn check_lines(view: &HostView<'_>, log: &Path, known: &Known, found: &mut Findings) {
    let place = view.local_path(log);
    let shown = place.shown();
    if !directory_of(&place).is_dir() {
        // Which is a finding of its own.
        return;
    }
    let verified = match of_log(&place, known) {
        Ok(verified) => verified,
        Err(e) => return found.note(CHECK, format!("the audit log {shown} was not verified: {e}"), ""),
    };
    if let (true, Some(note)) = (verified.logs.is_empty(), known.note) {
        let id = Uuid::from_bytes(note.log);
        found.warning(
            CHECK,
            log,
            format!(
                "the keyring notes line {} of the audit log {id}, but there is no log at {shown}",
                note.seq
            ),
            OTHER_LOG,
            &elsewhere(&shown),
        );
        return;
    }
    for index in &verified.unreadable {
        let Some(file) = verified.files.get(*index) else { continue };
        let file = file.shown();
        let dir = directory_of(&place).shown();
        found.warning(
            CHECK,
            log,
            format!("{file}, which has a name like the files of the log: {}", verified.fault_of(*index)),
            "If it was one of them, its lines were overwritten.",
            &[format!(
                "find out what it is, then put it back from a backup, or move it to another directory than {dir}: mv {file} OTHER/DIRECTORY"
            )],
        );
    }
    let is_other =
        |trouble: &Trouble| matches!(trouble, Trouble::NotedLogNotGiven | Trouble::EarlierLogNotGiven);
    let (other, touched): (Vec<_>, Vec<_>) = verified.findings().partition(|(trouble, _)| is_other(trouble));
    let (unknown, touched): (Vec<_>, Vec<_>) =
        touched.into_iter().partition(|(trouble, _)| *trouble == Trouble::NotCheckable);
    if let Some((_, first)) = touched.first() {
        let more = match touched.len() {
            1 => String::new(),
            all => format!(" ({} in all)", counted(all, "finding")),
        };
        found.error(
            CHECK,
            log,
            format!("the audit log {shown} was changed, or lines of it are missing: {first}{more}"),
            "Somebody may have removed what they did with the keyring from it, or the volume of the log is failing.",
            &[
                "see all that is wrong with it: keyringctl audit verify".to_owned(),
                format!("keep its files as they are, and find out who can write to {}", directory_of(&place).shown()),
                format!("then put the files of the log back from a backup: {shown}, and those that begin with its name"),
                "or, if there is none and this is known: keyringctl doctor --ignore audit-log".to_owned(),
            ],
        );
    }
    if let Some(what) = verified.not_announced() {
        let why = "If you know of this change, there is nothing to do. Otherwise find out who can unlock the keyring.";
        found.note(CHECK, format!("the audit log {shown}: {what}"), why);
    }
    if let (Some((_, first)), true) = (unknown.first(), touched.is_empty()) {
        let why = "Nothing proves that these lines are those that were written.";
        found.warning(
            CHECK,
            log,
            format!("the audit log {shown}: {first}"),
            why,
            &next_steps(&of_this_log(&place)),
        );
    }
    if let Some(what) = verified.never_checked() {
        let [check, _] = next_steps(&of_this_log(&place));
        let why = format!("Somebody who can write to the log may have written them. To find out, {check}");
        found.note(CHECK, format!("the audit log {shown}: {what}"), &why);
    }
    if let Some((_, first)) = other.first() {
        found.warning(CHECK, log, format!("the audit log {shown}: {first}"), OTHER_LOG, &elsewhere(&shown));
    }
}

const OTHER_LOG: &str = "The log was removed, or it is at another path: that of another server that uses this keyring, or that \
                         of an earlier configuration.";

/// The fix for a log that is not where it is looked for.
fn elsewhere(shown: &str) -> Vec<String> {
    vec![
        format!(
            "move the files of that log beside {shown}, with names that begin with it and a dot, or copy them there"
        ),
        "if they are lost, put them back from a backup, and find out who could remove them".to_owned(),
        "or, if there is none and this is known: keyringctl doctor --ignore audit-log".to_owned(),
    ]
}

/// Checks that mysqld can write the log, and that other users cannot.
fn check_place(view: &HostView<'_>, log: &Path, found: &mut Findings) {
    let (dir, user) = (directory_of(log), &view.site.user);
    let (place, folder) = (view.local_path(log), view.local_path(dir));
    let Ok(meta) = fs::metadata(&folder) else {
        let fix = format!("install -d -o {user} -m 0750 {}", view.word(dir));
        found.warning(
            CHECK,
            log,
            format!("the directory of the audit log {} does not exist", place.shown()),
            MEANING,
            &[fix],
        );
        return;
    };
    let account = view.site.account.as_ref();
    match fs::symlink_metadata(&place) {
        Ok(file) if !file.is_file() => {
            let fix = format!("mv {0} {0}.other", view.word(log));
            found.warning(
                CHECK,
                log,
                format!("the audit log {} is not a regular file", place.shown()),
                MEANING,
                &[fix],
            );
        }
        Ok(file) if !may_write(&file, account) => {
            let fix = format!("chown {user}: {0} && chmod 0640 {0}", view.word(log));
            let what = format!("{user} has no permission to write the audit log {}", place.shown());
            found.warning(CHECK, log, what, MEANING, &[fix]);
        }
        Ok(file) if file.mode() & 0o022 != 0 => {
            let fix = format!("chmod go-w {}", view.word(log));
            let what = format!("other users can change the audit log {}", place.shown());
            found.warning(
                CHECK,
                log,
                what,
                "They can remove lines that no change of the keyring has noted yet.",
                &[fix],
            );
        }
        Ok(_) => {}
        // The next line, or the first one after a rotation, creates it.
        Err(_) if !may_write(&meta, account) => {
            let fix = format!("chown {user}: {}", view.word(dir));
            let what = format!("{user} has no permission to create the audit log {}", place.shown());
            found.warning(CHECK, log, what, MEANING, &[fix]);
        }
        Err(_) => {}
    }
}
