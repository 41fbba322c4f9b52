// SPDX-License-Identifier: GPL-2.0-or-later
//! The audit log that a command writes to: the one that `--audit-log` names, or that of the server on this host if the
//! command works on its keyring. A line says who ran which command; never a secret, nor the value of an option that may be
//! one.

use crate::host::accounts;
use crate::show;
use keyring_external::audit::{AuditLog, Event, EventKind, Reports, Settings};
use keyring_external::config::{AuditConfig, Forward};
use keyring_external::keyring::Keyring;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Options whose values are shown. Of all others only the names are.
const SHOWN: &[&str] = &[
    "--mirror",
    "--only-named-copies",
    "--name",
    "--label",
    "--from",
    "--to",
    "--take",
    "--datadir",
    "--min-wait",
    "--custodians",
    "--audit-log",
    "--remotes",
    "--option-file",
    "--backup",
];

/// The log that `--audit-log` names.
static GIVEN: OnceLock<PathBuf> = OnceLock::new();
/// The command.
static COMMAND: OnceLock<String> = OnceLock::new();

thread_local! {
    /// The log of the server whose keyring the command works on.
    static OF_SERVER: RefCell<Option<OfServer>> = const { RefCell::new(None) };
}

/// The log that a server is configured with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::commands) struct OfServer {
    path: PathBuf,
    forward: Forward,
    /// The owner of the data directory.
    owner: Option<(u32, u32)>,
}

impl OfServer {
    /// The log of these settings, with paths as this process sees them.
    pub(in crate::commands) fn new(
        settings: &AuditConfig,
        datadir: &Path,
        at: impl Fn(&Path) -> PathBuf,
    ) -> Option<Self> {
        let path = at(settings.path.as_ref()?);
        let owner = std::fs::metadata(datadir).ok().map(|meta| (meta.uid(), meta.gid()));
        Some(Self { path, forward: settings.forward, owner })
    }
}

/// The log of this process, from its command line.
pub(in crate::commands) fn give_log(file: PathBuf) {
    // Called once.
    let _ = GIVEN.set(file);
}

/// The command of this process.
pub(in crate::commands) fn give_command(command: &str) {
    let _ = COMMAND.set(command.to_owned());
}

/// The server whose keyring the command works on is configured with this log, or with none. It is used unless
/// `--audit-log` names one.
pub(in crate::commands) fn use_log_of_server(log: Option<OfServer>) {
    OF_SERVER.replace(log);
}

/// Where the log of this command is.
pub(in crate::commands) fn path() -> Option<PathBuf> {
    GIVEN
        .get()
        .cloned()
        .or_else(|| OF_SERVER.with_borrow(|server| server.as_ref().map(|server| server.path.clone())))
}

/// The log of this command, if there is one.
pub(in crate::commands) fn log() -> Option<Arc<AuditLog>> {
    let of_server = OF_SERVER.with_borrow(Clone::clone);
    let (path, forward, owner) = match (GIVEN.get(), of_server) {
        (Some(given), Some(server)) if *given == server.path => (server.path, server.forward, server.owner),
        (Some(given), server) => (given.clone(), Forward::No, server.and_then(|server| server.owner)),
        (None, Some(server)) => (server.path, server.forward, server.owner),
        (None, None) => return None,
    };
    let reports = Reports { failing: |text| show::warn(text), recovered: |_| {} };
    Some(Arc::new(AuditLog::new(Settings { path, forward, server: None, who: who(), owner }, reports)))
}

/// Has the changes that this command makes in a keyring announced in the log, and writes a line that it was opened. To be
/// called when it is open.
pub(in crate::commands) fn attach(keyring: &Keyring) {
    match log() {
        Some(log) => {
            keyring.audit_to(log);
            keyring.record(&Event::new(EventKind::Opened));
        }
        None if keyring.log_note().is_some() => show::warn(
            "the keyring notes an audit log, but none was named or found on this host: what this command does is not in \
             it. --audit-log PATH names it",
        ),
        None => {}
    }
}

/// Who runs this command: the user, who that is behind sudo, and the command with the options that hold no secret.
fn who() -> Value {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = rustix::process::getuid().as_raw();
    let mut who = json!({
        "program": "keyringctl",
        "uid": uid,
        "terminal": std::io::stdin().is_terminal(),
        "command": COMMAND.get(),
        "options": options(std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned())),
    });
    let mut put = |name: &str, value: Option<String>| {
        if let (Some(value), Some(fields)) = (value, who.as_object_mut()) {
            fields.insert(name.to_owned(), value.into());
        }
    };
    put("user", accounts::name_of(&passwd, uid));
    // Both are what the caller says: sudo sets them, and so can anybody who runs this program without it.
    put("sudo_user", std::env::var("SUDO_USER").ok());
    put("sudo_uid", std::env::var("SUDO_UID").ok());
    who
}

/// The options of a command line: their names, and the values of those that hold no secret.
fn options(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut words = words.take_while(|word| word != "--").peekable();
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        let Some(rest) = word.strip_prefix('-') else { continue };
        if !rest.starts_with('-') {
            // The rest of a short option may be its value.
            options.push(word.chars().take(2).collect());
            continue;
        }
        let (name, value) =
            word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        if !SHOWN.contains(&name) {
            options.push(name.to_owned());
            continue;
        }
        let next = || words.peek().filter(|next| !next.starts_with('-')).cloned();
        match value.map(str::to_owned).or_else(next) {
            Some(value) => options.push(format!("{name}={value}")),
            None => options.push(name.to_owned()),
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_may_be_secret_are_left_out() {
        let line = "slot add /mnt/k --unlock file:/s --name=anna --mirror /mnt/b -pSECRET --password=SECRET --new env:X \
                    --recovery -- --name x";
        let shown = options(line.split_whitespace().map(str::to_owned));
        assert_eq!(
            shown,
            ["--unlock", "--name=anna", "--mirror=/mnt/b", "-p", "--password", "--new", "--recovery"]
        );
    }
}
