// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks the running server: it uses the configured keyring, and the keyring is in a good state.

use super::file_privilege::{self, FileAccess};
use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use crate::commands::copies::of_server::use_remotes_of_running;
use crate::commands::missing;
use crate::commands::server::Args;
use crate::host::Way;
use crate::server::{LoadedAs, ServerKeyring, retired_fetches};
use crate::show::{Shown, counted_of};
use std::fs;
use std::path::Path;
use std::time::SystemTime;

const STATE: &str = "server-state";
const KEYRING: &str = "server-keyring";
const RETIRED: &str = "retired-keys";
const CONFIGURED: &str = "configured";

pub(super) fn check(args: &Args, view: Option<&HostView<'_>>, found: &mut Findings) {
    let asked = args.connect().and_then(|mut session| {
        let keyring = ServerKeyring::query(&mut session)?;
        // Which keyring it is matters more.
        let retired = retired_fetches(&mut session).unwrap_or_default();
        Ok((keyring, retired, FileAccess::query(&mut session).unwrap_or_default()))
    });
    match asked {
        Ok((keyring, retired, files)) => {
            use_remotes_of_running(&keyring);
            judge_fetches(retired, found);
            file_privilege::judge(files.as_ref(), &keyring.paths, view, found);
            judge(&keyring, view, found);
        }
        Err(e) => {
            found.note("server", format!("the running server was not checked: {e}"), "");
            not_asked(found);
        }
    }
}

/// Warns of retired keys that the server still uses.
pub(in crate::commands) fn judge_fetches(retired: Option<u64>, found: &mut Findings) {
    let Some(fetches) = retired else { return };
    found.run_checks(&[RETIRED]);
    if fetches > 0 {
        found.add(
            FindingLevel::Warning,
            RETIRED,
            format!("the running server has fetched retired keys ({fetches} times since the keyring was opened)"),
            "Something still needs one of them: data that is wrapped with it is lost if the key is destroyed.",
            &[
                "find out what needs them: keyringctl keys needed".to_owned(),
                "take back that they are retired: keyringctl keys unretire ID".to_owned(),
            ],
        );
    }
}

/// Says that files alone do not tell whether a running server has a keyring.
pub(super) fn not_asked(found: &mut Findings) {
    found.amend(
        CONFIGURED,
        "A running server may still have a keyring, from its command line or from another option file: it was not asked.",
        "or, if the server runs with a keyring, let doctor ask it (--socket, --user), or name its option file: keyringctl \
         doctor --option-file FILE",
    );
}

/// The server uses our keyring, so that what doctor did not find exists.
fn unknown_configuration(keyring: &ServerKeyring, found: &mut Findings) {
    if !found.all().iter().any(|f| f.check == CONFIGURED) {
        return;
    }
    found.ignore(&[CONFIGURED.to_owned()]);
    let paths: Vec<_> = keyring.paths.iter().map(|path| path.shown()).collect();
    found.add(
        FindingLevel::Warning,
        KEYRING,
        format!(
            "the running server uses keyring_external ({}, {}), but doctor did not find the configuration that loads it",
            keyring.state,
            paths.join(", ")
        ),
        "Another option file or the server's command line does. Started without that, it has no keyring. doctor did not \
         check its copies.",
        &[
            "name the option file that mysqld reads: keyringctl doctor --option-file FILE".to_owned(),
            "or move the options from the command line into an option file:".to_owned(),
            format!("keyringctl setup {} --unlock SOURCE", paths.join(" --mirror ")),
        ],
    );
}

/// The server is configured for a keyring, but has none.
fn no_keyring(keyring: &ServerKeyring, view: &HostView<'_>, found: &mut Findings) {
    let has_errors = found.count(FindingLevel::Error) > 0;
    let is_older = keyring.started.zip(written(view)).is_some_and(|(started, written)| started < written);
    if is_older && !has_errors {
        found.add(
            FindingLevel::Error,
            KEYRING,
            "the running server has no keyring yet: it started before its configuration was written",
            "Until it is restarted, it encrypts nothing new.",
            &[format!("restart it: systemctl restart {}", view.host.unit.trim_end_matches(".service"))],
        );
        return;
    }
    let errors = if has_errors { "fix the errors above, " } else { "" };
    found.add(
        FindingLevel::Error,
        KEYRING,
        "the running server has no keyring, although it is configured for one",
        "It started anyway: it cannot read encrypted data, and encrypts nothing new.",
        &[format!("read its error log, {errors}and restart it")],
    );
}

/// When the configuration was written last.
fn written(view: &HostView<'_>) -> Option<SystemTime> {
    let manifest = (view.host.way == Way::Component).then(|| view.local_path(&view.host.manifest()));
    let files = [Some(view.settings_file()), manifest];
    files.into_iter().flatten().filter_map(|file| fs::metadata(file).ok()?.modified().ok()).max()
}

/// Judges the keyring of a running server.
pub(in crate::commands) fn judge(keyring: &ServerKeyring, view: Option<&HostView<'_>>, found: &mut Findings) {
    found.run_checks(&[STATE, KEYRING]);
    match &keyring.way {
        LoadedAs::None => {
            if let Some(view) = view {
                no_keyring(keyring, view, found);
            }
            return;
        }
        LoadedAs::Other(name) => {
            found.add(
                FindingLevel::Error,
                KEYRING,
                format!("the running server uses another keyring: {name}"),
                "The server stores its keys there, not in this keyring.",
                &["import its keys into this keyring: keyringctl import --help".to_owned()],
            );
            return;
        }
        LoadedAs::Unknown(why) => {
            found.add(
                FindingLevel::Warning,
                KEYRING,
                format!("cannot find out which keyring the running server uses: {why}"),
                "It may use another keyring, or none.",
                &missing::of_server(keyring),
            );
            return;
        }
        LoadedAs::Component | LoadedAs::Plugin => {}
    }
    let last =
        if keyring.last_error.is_empty() { String::new() } else { format!(": {}", keyring.last_error) };
    let (current, all) = keyring.copies;
    match keyring.state.as_str() {
        "ATTACHED" | "READ_ONLY" => {}
        "DEGRADED" => {
            found.add(
                FindingLevel::Warning,
                STATE,
                format!(
                    "the running server is DEGRADED: {} up to date{last}",
                    counted_of(current as usize, all as usize, "copy")
                ),
                "New keys are in fewer copies than they should be.",
                &missing::of_server(keyring),
            );
        }
        "DETACHED" => {
            found.add(
                FindingLevel::Error,
                STATE,
                format!("the running server is DETACHED: it cannot reach or change any copy{last}"),
                "It still reads keys from memory, but can store no new key. After a restart it would have no keys.",
                &missing::of_server(keyring),
            );
        }
        other => {
            found.add(
                FindingLevel::Error,
                STATE,
                format!(
                    "the running server's keyring is {}{last}",
                    if other.is_empty() { "in an unknown state" } else { other }
                ),
                "The server cannot read encrypted data.",
                &[format!(
                    "{}, then run ALTER INSTANCE RELOAD KEYRING (component) or restart the server",
                    if view.is_some() {
                        "fix the errors above"
                    } else {
                        "find out why with keyringctl doctor"
                    }
                )],
            );
        }
    }
    let Some(view) = view else { return unknown_configuration(keyring, found) };
    let configured: Vec<_> = view.host.copies().map(|copy| copy.to_owned()).collect();
    if !keyring.paths.is_empty() && keyring.paths != configured {
        let shown =
            |paths: &[std::path::PathBuf]| paths.iter().map(|p| p.shown()).collect::<Vec<_>>().join(", ");
        found.add(
            FindingLevel::Warning,
            KEYRING,
            format!(
                "the running server uses {}, but its configuration names {}",
                shown(&keyring.paths),
                shown(&configured)
            ),
            "At its next start it will open the configured one.",
            &["correct the configuration, or restart the server to apply it".to_owned()],
        );
    }
    let other = keyring
        .remotes
        .as_ref()
        .map(Path::new)
        .filter(|file| view.host.uses_remotes() && *file != view.host.remotes);
    if let Some(file) = other {
        found.add(
            FindingLevel::Warning,
            KEYRING,
            format!(
                "the running server reads its remotes from {}, but its configuration names {}",
                file.shown(),
                view.host.remotes.shown()
            ),
            "doctor examined the remotes of the configured file, which the server reads from its next start on.",
            &["correct the configuration, or restart the server to apply it".to_owned()],
        );
    }
}
