// SPDX-License-Identifier: GPL-2.0-or-later
//! Messages about a missing copy: it must be created from one of the other copies, never as a new keyring.

use super::copies::of_server::{self, Server};
use super::site;
use super::stat::{is_missing, is_there, metadata};
use super::{hints, secret};
use crate::error::Error;
use crate::host::accounts;
use crate::server::{LoadedAs, ServerKeyring};
use crate::show::Shown;
use keyring_external::error::{Error as KeyringError, Refusal};
use keyring_external::store::file::own_directory::is_for_volumes;
use keyring_external::store::file::real::effective_user;
use keyring_external::store::file::volume::directory_of;
use keyring_external::store::places::is_remote;
use keyring_external::store::witness::WITNESS_NAME;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Explains what is wrong with the copy at `path`, one of `all`. Its commands name the source of the secret.
pub(super) fn explain(e: &KeyringError, path: &Path, all: &[PathBuf], secret: &secret::Args) -> String {
    let mut others = all.iter().filter(|other| *other != path).peekable();
    if let Some(Refusal::Missing { path, found }) = e.refusal()
        && others.peek().is_some()
    {
        return match others.find(|other| is_there(other)) {
            Some(other) => {
                let remedy = remedy(other, path, secret);
                let first = if is_remote(path) { "Check its name" } else { "Mount its volume" };
                format!("the copy is missing: {found}. {first}. If the copy is lost, {remedy}")
            }
            None => {
                let first = if all.iter().all(|copy| is_remote(copy)) {
                    "Check their names"
                } else {
                    "Mount the volume of a copy"
                };
                format!(
                    "the copy is missing: {found}. So are the others. {first}. If all copies are lost, restore a backup of \
                     the keyring to {}",
                    path.shown()
                )
            }
        };
    }
    let hint = if matches!(e.refusal(), Some(Refusal::Missing { .. })) { new_keyring() } else { "" };
    secret.named_in(hints::text(e)) + hint
}

/// Points to the command that creates a keyring, if no copy is known that would decrypt the server's data.
fn new_keyring() -> &'static str {
    let is_unknown = match of_server::find(&site::Args::default()) {
        Ok(Server::Ours(server)) => {
            !server.copies.iter().any(|copy| is_there(copy)) && is_missing(&server.datadir.join(WITNESS_NAME))
        }
        Ok(Server::None { .. }) => true,
        Ok(Server::Unclear(_)) | Err(_) => false,
    };
    if is_unknown {
        ". A new keyring cannot decrypt existing data: create one only if there has never been a keyring here (see \
         keyringctl init --help)"
    } else {
        ""
    }
}

/// The commands that create a copy at `path` from the one at `keyring`.
pub(super) fn remedy(keyring: &Path, path: &Path, secret: &secret::Args) -> String {
    let unlock = secret.option();
    let sync = format!("keyringctl sync {} --mirror {}{unlock} --create", keyring.shown(), path.shown());
    match directory(path, Some(keyring)) {
        Some(install) => format!("create its directory with `{install}`, then create a new copy: {sync}"),
        None => format!("create a new one: {sync}"),
    }
}

/// What to do about the keyring of a running server that is not ATTACHED.
pub(super) fn of_server(keyring: &ServerKeyring) -> Vec<String> {
    match (&keyring.way, keyring.state.as_str()) {
        (LoadedAs::None, _) => {
            return vec!["run keyringctl setup, then restart the server".to_owned()];
        }
        (LoadedAs::Other(_), _) => {
            return vec![
                "import its keys into a keyring of this program: keyringctl import --help".to_owned(),
            ];
        }
        (LoadedAs::Unknown(_), _) => {
            return vec![
                "run this with an account that has SELECT on performance_schema.keyring_component_status, while the server runs with performance_schema = ON"
                    .to_owned(),
            ];
        }
        (_, "DETACHED") => {
            let paths: Vec<_> = keyring.paths.iter().map(|path| path.shown()).collect();
            if let Some(there) = keyring.paths.iter().find(|path| is_there(path)) {
                return vec![
                    format!(
                        "do not stop the server: it has all keys in memory, and perhaps nothing else has the newest. {} can \
                         be reached, but is not used; Keyring_external_last_error and the error log say why",
                        there.shown()
                    ),
                    "if the volume is full or read-only, free space on it or mount it writable. If the copy is older or \
                     another one, bring back the newest copy; if there is none, dump the encrypted tables now"
                        .to_owned(),
                ];
            }
            let what = match keyring.paths.iter().filter(|path| is_remote(path)).count() {
                0 => "mount a volume with a copy",
                n if n == paths.len() => "make a remote with a copy reachable",
                _ => "mount a volume with a copy, or make a remote with one reachable",
            };
            return vec![format!("{what} ({}): no restart is needed", paths.join(", "))];
        }
        (_, "DEGRADED") => {}
        _ => return vec!["find out why: keyringctl doctor".to_owned()],
    }
    let lost = keyring.paths.iter().find(|path| !is_there(path));
    let other = keyring.paths.iter().find(|path| is_there(path));
    match lost.zip(other) {
        Some((lost, other)) => vec![
            if is_remote(lost) {
                format!("make the remote of {} reachable: keyringctl doctor", lost.shown())
            } else {
                format!("mount the volume of {}", lost.shown())
            },
            format!("or, if that copy is lost, {}", remedy(other, lost, &secret::Args::default())),
        ],
        None => vec!["find out which copy is not up to date: keyringctl doctor".to_owned()],
    }
}

/// The command that creates the directory of `path`, if that is missing, for the owner of the directory of `keyring`.
pub(super) fn directory(path: &Path, keyring: Option<&Path>) -> Option<String> {
    if is_remote(path) {
        return None;
    }
    let keyring = keyring.filter(|keyring| !is_remote(keyring));
    let dir = directory_of(path);
    let owner = keyring.and_then(|keyring| metadata(directory_of(keyring)).ok()).map(|dir| dir.uid());
    let passwd = || fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = match owner.or(Some(effective_user()).filter(|uid| *uid != 0)) {
        Some(uid) => accounts::name_of(&passwd(), uid).unwrap_or_else(|| uid.to_string()),
        None => "mysql".to_owned(),
    };
    // A directory such as /mnt/a is where the volume belongs, not the keyring's own.
    (is_missing(dir) && !is_for_volumes(dir)).then(|| format!("install -d -m 0700 -o {user} {}", dir.shown()))
}

/// Explains that a file cannot be created, if `e` says that its directory is missing; returns other errors unchanged.
/// The directory should get the owner of `keyring`; `then` is the command to run afterwards.
pub(super) fn cannot_create(e: KeyringError, keyring: Option<&Path>, then: &str) -> Error {
    let KeyringError::Refusal(Refusal::Missing { path, found }) = e else { return e.into() };
    let create = directory(&path, keyring).map_or_else(String::new, |install| {
        format!(" If the directory is still missing, create it with `{install}`.")
    });
    Error::Usage(format!(
        "cannot create {}: {found}. Nothing was changed. If it belongs on a volume, mount that first.{create} Then run \
         {then}",
        path.shown()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_copy_is_created_from_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a/k"), dir.path().join("b/k"));
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(&a, "").unwrap();
        let missing = || {
            KeyringError::from(Refusal::Missing { path: b.clone(), found: "it is not mounted".to_owned() })
        };
        let secret =
            secret::Args { unlock: Some("file:/etc/my secret".parse().unwrap()), ..secret::Args::default() };
        let unlock = " --unlock 'file:/etc/my secret'";
        let sync = format!("keyringctl sync {} --mirror {}{unlock} --create", a.display(), b.display());
        let uid = fs::metadata(dir.path()).unwrap().uid();
        let user = accounts::name_of(&fs::read_to_string("/etc/passwd").unwrap(), uid);
        let install = format!("install -d -m 0700 -o {} ", user.unwrap_or_else(|| uid.to_string()));
        // The copy to take is one that exists, even if another is named first.
        let all = ["/none/k".into(), a.clone(), b.clone()];
        for _ in 0..2 {
            let explained = explain(&missing(), &b, &all, &secret);
            assert!(explained.ends_with(&sync) && !explained.contains("init"), "{explained}");
            let has_no_directory = !directory_of(&b).exists();
            assert_eq!(explained.contains(&install), has_no_directory, "{explained}");
            let cannot = cannot_create(missing(), Some(&a), "this command again").to_string();
            assert_eq!(cannot.contains(&install), has_no_directory, "{cannot}");
            assert!(!cannot.contains("init"), "{cannot}");
            fs::create_dir_all(directory_of(&b)).unwrap();
        }
    }

    #[test]
    fn no_copy_is_created_from_one_that_is_missing_too() {
        let all: [PathBuf; 2] = ["/none/a/k".into(), "/none/b/k".into()];
        let e = KeyringError::from(Refusal::Missing { path: all[1].clone(), found: "x".to_owned() });
        let explained = explain(&e, &all[1], &all, &secret::Args::default());
        assert!(explained.ends_with("restore a backup of the keyring to /none/b/k"), "{explained}");
        assert!(!explained.contains("sync"), "{explained}");
    }

    #[test]
    fn no_message_offers_a_new_keyring_ready_to_run() {
        let message = Refusal::Missing { path: "/mnt/b/k".into(), found: "x".to_owned() }.to_string();
        assert!(!message.contains("keyringctl init /mnt"), "{message}");
    }
}
