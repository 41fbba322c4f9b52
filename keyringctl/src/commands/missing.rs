// SPDX-License-Identifier: GPL-2.0-or-later
//! A copy that is not there although others are named with it: it is made from one of those, and never as a keyring of
//! its own.

use super::output::shell_word;
use super::secret;
use super::stat::{is_missing, is_there, metadata};
use crate::error::Error;
use crate::host::accounts;
use keyring_external::error::{Error as KeyringError, Refusal};
use keyring_external::store::real::effective_user;
use keyring_external::store::volume::directory_of;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is wrong with the copy at `path`, one of `all`. Commands name the secret's source.
pub(super) fn told(e: &KeyringError, path: &Path, all: &[PathBuf], secret: &secret::Args) -> String {
    let others = || all.iter().filter(|other| *other != path);
    if let Some(Refusal::Missing { path, found }) = e.refusal()
        && let Some(other) = others().find(|other| is_there(other)).or_else(|| others().next())
    {
        let remedy = remedy(other, path, secret);
        return format!("there is no copy: {found}. Mount its volume, or, when that copy is lost, {remedy}");
    }
    secret.named_in(e.to_string())
}

/// How a new copy is put at `path` from the one at `keyring`.
pub(super) fn remedy(keyring: &Path, path: &Path, secret: &secret::Args) -> String {
    let sync =
        format!("keyringctl sync {} --mirror {}{}", shell_word(keyring), shell_word(path), secret.option());
    match directory(path, Some(keyring)) {
        Some(install) => format!("make its directory with `{install}` and put a new one there: {sync}"),
        None => format!("put a new one there: {sync}"),
    }
}

/// The command that makes the directory of `path`, when there is none: for the owner of the directory of `keyring`.
pub(super) fn directory(path: &Path, keyring: Option<&Path>) -> Option<String> {
    let dir = directory_of(path);
    let owner = keyring.and_then(|keyring| metadata(directory_of(keyring)).ok()).map(|dir| dir.uid());
    let passwd = || fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = match owner.or(Some(effective_user()).filter(|uid| *uid != 0)) {
        Some(uid) => accounts::name_of(&passwd(), uid).unwrap_or_else(|| uid.to_string()),
        None => "mysql".to_owned(),
    };
    is_missing(dir).then(|| format!("install -d -m 0700 -o {user} {}", shell_word(dir)))
}

/// The error for a place where a file was to be made, when its directory is missing; any other one as it is. `keyring`
/// is one whose owner is to have it, `then` the command to run after.
pub(super) fn no_place(e: KeyringError, keyring: Option<&Path>, then: &str) -> Error {
    let KeyringError::Refusal(Refusal::Missing { path, found }) = e else { return e.into() };
    let make = directory(&path, keyring).map_or_else(String::new, |install| {
        format!(" If the directory is not on it, make that with `{install}`.")
    });
    Error::Usage(format!(
        "{} cannot be made: {found}. Nothing was changed. Mount its volume.{make} Then run {then}",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_copy_is_made_from_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a/k"), dir.path().join("b/k"));
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(&a, "").unwrap();
        let missing = || {
            KeyringError::from(Refusal::Missing { path: b.clone(), found: "it is not mounted".to_owned() })
        };
        let secret = secret::Args { unlock: Some("file:/etc/my secret".parse().unwrap()), recovery: false };
        let unlock = " --unlock 'file:/etc/my secret'";
        let sync = format!("keyringctl sync {} --mirror {}{unlock}", a.display(), b.display());
        let uid = fs::metadata(dir.path()).unwrap().uid();
        let user = accounts::name_of(&fs::read_to_string("/etc/passwd").unwrap(), uid);
        let install = format!("install -d -m 0700 -o {} ", user.unwrap_or_else(|| uid.to_string()));
        // Whichever is named first, the copy that is there is the one to take.
        let all = ["/none/k".into(), a.clone(), b.clone()];
        for _ in 0..2 {
            let told = told(&missing(), &b, &all, &secret);
            assert!(told.ends_with(&sync) && !told.contains("init"), "{told}");
            let has_no_directory = !directory_of(&b).exists();
            assert_eq!(told.contains(&install), has_no_directory, "{told}");
            let place = no_place(missing(), Some(&a), "this again").to_string();
            assert_eq!(place.contains(&install), has_no_directory, "{place}");
            assert!(!place.contains("init"), "{place}");
            fs::create_dir_all(directory_of(&b)).unwrap();
        }
    }

    #[test]
    fn no_message_offers_a_new_keyring_ready_to_run() {
        let told = Refusal::Missing { path: "/mnt/b/k".into(), found: "x".to_owned() }.to_string();
        assert!(!told.contains("keyringctl init /mnt"), "{told}");
    }
}
