// SPDX-License-Identifier: GPL-2.0-or-later
//! The file with the unlock secret: where it is, and whether mysqld can read it there.

use super::change::is_root;
use crate::commands::doctor::files::closed_directory_above;
use crate::commands::doctor::permission::{READ, may};
use crate::commands::site::Site;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::show::Shown;
use keyring_external::store::file::own_directory::is_home;
use keyring_external::store::file::volume::directory_of;
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The file with the unlock secret.
pub(super) fn of(host: &Host) -> Option<&PathBuf> {
    match (&host.unlock, &host.credential) {
        (UnlockSource::File(file), _) | (UnlockSource::Credential(_), Some(file)) => Some(file),
        _ => None,
    }
}

/// The source as this process reads it.
pub(super) fn source(site: &Site, host: &Host) -> UnlockSource {
    of(host).map_or_else(|| host.unlock.clone(), |file| UnlockSource::File(site.at(file)))
}

/// Checks that a source means the same for mysqld, whose working directory is the data directory.
pub(super) fn check_source(source: &UnlockSource) -> Result<()> {
    match source {
        UnlockSource::File(file) if !file.is_absolute() => Err(Error::Usage(format!(
            "the unlock secret is file:{}: give an absolute path, as mysqld will open it, such as \
             file:/etc/mysql/keyring_external.secret. Nothing was changed",
            file.shown()
        ))),
        _ => Ok(()),
    }
}

/// Checks that mysqld's account can read the secret file, or will be able to read the one that is created there.
pub(super) fn check_access(site: &Site, host: &Host) -> Result<()> {
    // systemd reads the file of a credential, as root.
    let UnlockSource::File(file) = &host.unlock else { return Ok(()) };
    let refused = |what: &str, fix: &str| {
        Err(Error::Usage(format!(
            "{what}, so {} cannot unlock the keyring: {fix}. Nothing was changed",
            site.user
        )))
    };
    if let Some((closed, mode)) = closed_directory_above(site, file) {
        let what = format!(
            "{} (mode {mode:04o}) does not let user {} reach the unlock secret {}",
            closed.shown(),
            site.user,
            file.shown()
        );
        let fix = if is_home(&site.seen(&closed)) {
            "keep the secret elsewhere on the server, such as in /etc/mysql (--unlock)".to_owned()
        } else {
            format!("run chmod o+x {}, then run setup again", closed.shown())
        };
        return refused(&what, &fix);
    }
    let place = site.at(file);
    let Ok(meta) = fs::metadata(&place) else { return Ok(()) };
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        let what = format!("other users can read the unlock secret {} (mode {mode:04o})", place.shown());
        return refused(&what, &format!("run chmod 0600 {}, then run setup again", place.shown()));
    }
    match &site.account {
        Some(account) if is_root() && !may(&meta, Some(account), READ) => refused(
            &format!(
                "the unlock secret {} belongs to user id {}, and {} ({}) has no permission to read it",
                place.shown(),
                meta.uid(),
                account.name,
                account.uid
            ),
            &format!("run chown {}: {}, then run setup again", account.name, place.shown()),
        ),
        _ => Ok(()),
    }
}

/// The secret file to create with a new keyring. `directories`: those that are created before it.
pub(super) fn to_create(site: &Site, host: &Host, directories: &[PathBuf]) -> Result<Option<PathBuf>> {
    let Some(file) = of(host).filter(|file| !site.at(file).exists()) else { return Ok(None) };
    let dir = directory_of(file);
    if !site.at(dir).is_dir() && !directories.iter().any(|created| created == dir) {
        return Err(Error::Usage(format!(
            "directory {} does not exist: create it, or name another file for the unlock secret. Nothing was changed",
            site.at(dir).shown()
        )));
    }
    Ok(Some(file.clone()))
}
