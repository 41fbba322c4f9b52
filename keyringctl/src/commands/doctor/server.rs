// SPDX-License-Identifier: GPL-2.0-or-later
//! The running server: whether it has the keyring that it is configured for, and in which state.

use super::finding::{Findings, Level};
use super::look::Look;
use crate::commands::server::Args;
use crate::server::{ServerKeyring, Way};

const STATE: &str = "server-state";
const KEYRING: &str = "server-keyring";

pub(super) fn check(args: &Args, look: Option<&Look<'_>>, found: &mut Findings) {
    let asked = args.connect().and_then(|mut session| ServerKeyring::of(&mut session));
    match asked {
        Ok(keyring) => judge(&keyring, look, found),
        Err(e) => found.note("server", format!("the running server was not asked: {e}"), ""),
    }
}

pub(in crate::commands) fn judge(keyring: &ServerKeyring, look: Option<&Look<'_>>, found: &mut Findings) {
    found.checks(&[STATE, KEYRING]);
    match &keyring.way {
        Way::None => {
            if look.is_some() {
                found.add(
                    Level::Wrong,
                    KEYRING,
                    "the running server has no keyring, though it is configured for one",
                    "It started all the same: what is encrypted cannot be read, and nothing new is encrypted.",
                    &["look into its error log, mend what is found above, and restart it".to_owned()],
                );
            }
            return;
        }
        Way::Other(name) => {
            found.add(
                Level::Wrong,
                KEYRING,
                format!("the running server uses another keyring: {name}"),
                "Keys are made there, not in this keyring.",
                &["keyringctl import --help".to_owned()],
            );
            return;
        }
        Way::Component | Way::Plugin => {}
    }
    let last =
        if keyring.last_error.is_empty() { String::new() } else { format!(": {}", keyring.last_error) };
    let (current, all) = keyring.copies;
    match keyring.state.as_str() {
        "ATTACHED" | "READ_ONLY" => {}
        "DEGRADED" => {
            found.add(
                Level::Risk,
                STATE,
                format!("the running server is DEGRADED: {current} of {all} copies are up to date{last}"),
                "Keys that are made now are on fewer volumes than they should be.",
                &["mount the missing volume, or replace it: keyringctl sync --help".to_owned()],
            );
        }
        "DETACHED" => {
            found.add(
                Level::Wrong,
                STATE,
                format!("the running server is DETACHED: it reaches no copy{last}"),
                "It reads on from memory, but no key can be made, and it does not survive a restart.",
                &["mount a volume with a copy: no restart is needed".to_owned()],
            );
        }
        other => {
            found.add(
                Level::Wrong,
                STATE,
                format!("the running server's keyring is {}{last}", if other.is_empty() { "in no known state" } else { other }),
                "What is encrypted cannot be read.",
                &["mend what is found above, then ALTER INSTANCE RELOAD KEYRING (component) or restart the server".to_owned()],
            );
        }
    }
    let Some(look) = look else { return };
    let configured: Vec<_> = look.host.copies().map(|copy| copy.to_owned()).collect();
    if !keyring.paths.is_empty() && keyring.paths != configured {
        let shown = |paths: &[std::path::PathBuf]| {
            paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
        };
        found.add(
            Level::Risk,
            KEYRING,
            format!(
                "the running server uses {}, and its configuration names {}",
                shown(&keyring.paths),
                shown(&configured)
            ),
            "At the next start it opens the other.",
            &["make the configuration name what is in use, or have the server read it again".to_owned()],
        );
    }
}
