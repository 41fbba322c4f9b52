// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring and its unlock secret, as setup makes them or finds them.

use super::change::{is_root, make_directory};
use crate::commands::apart;
use crate::commands::doctor::files::closed_directory_above;
use crate::commands::init::{self, Made, SecretFile};
use crate::commands::missing;
use crate::commands::secret;
use crate::commands::site::Site;
use crate::commands::sync;
use crate::error::{Error, Result};
use crate::host::Host;
use keyring_external::error::{BadRequest, Refusal};
use keyring_external::keyring::load_with;
use keyring_external::store::fs::{Fs, Meta};
use keyring_external::store::real::RealFs;
use keyring_external::store::volume::{self, directory_of};
use keyring_external::unlock::UnlockSource;
use serde::Serialize;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is to be done about the keyring.
#[derive(Serialize)]
pub(super) struct Plan {
    /// Directories to be made, with mode 0700, for mysqld's user.
    directories: Vec<PathBuf>,
    /// Copies to be made; none when the keyring is there.
    make: Vec<PathBuf>,
    /// Copies that are there.
    there: Vec<PathBuf>,
    /// The file for 32 random bytes.
    make_secret: Option<PathBuf>,
    /// Who the secret's file belongs to.
    secret_owner: String,
    /// Copies that are not apart from each other.
    warnings: Vec<String>,
}

impl Plan {
    /// As people read it.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .directories
            .iter()
            .map(|d| format!("DIRECTORY  {} (mode 0700, for mysqld's user)", d.display()))
            .collect();
        if let Some(secret) = &self.make_secret {
            lines.push(format!(
                "SECRET     {} (32 random bytes, mode 0600, for {})",
                secret.display(),
                self.secret_owner
            ));
        }
        lines.extend(self.make.iter().map(|path| format!("KEYRING    {} (new)", path.display())));
        lines.extend(
            self.there.iter().map(|path| format!("KEYRING    {} (there already, and used)", path.display())),
        );
        lines.extend(self.warnings.iter().cloned());
        lines
    }
}

/// Looks what there is, and refuses what cannot be.
pub(super) fn plan(site: &Site, host: &Host) -> Result<Plan> {
    let (there, make): (Vec<_>, Vec<_>) =
        host.copies().map(Path::to_owned).partition(|copy| site.at(copy).symlink_metadata().is_ok());
    if let (Some(found), Some(missing)) = (there.first(), make.first()) {
        let secret = secret::Args { unlock: Some(source(site, host)), recovery: false };
        return Err(Error::Usage(format!(
            "the keyring {} is there, but not its copy {}. Mount its volume, or, when there is none yet, {}; then run setup again",
            found.display(),
            missing.display(),
            missing::remedy(&site.at(found), &site.at(missing), &secret)
        )));
    }
    if site.account.is_none() && is_root() {
        return Err(Error::Usage(format!(
            "there is no account {} on this host: install MySQL first, or say with --mysqld-user which account mysqld runs as",
            site.user
        )));
    }
    let mut directories = Vec::new();
    for copy in host.copies() {
        let dir = directory_of(copy);
        check_volume(site, host, dir)?;
        if let Some((closed, mode)) = closed_directory_above(site, dir) {
            return Err(Error::Usage(format!(
                "{} lets {} not through to {} (mode {mode:04o}): run chmod o+x {}, and setup again; nothing was changed",
                closed.display(),
                site.user,
                dir.display(),
                closed.display()
            )));
        }
        if !site.at(dir).exists() && !directories.iter().any(|d| d == dir) {
            directories.push(dir.to_owned());
        }
    }
    let file = secret_file(host);
    let make_secret = file.filter(|_| there.is_empty()).filter(|file| !site.at(file).exists()).cloned();
    if !there.is_empty() {
        opens(site, host, &there)?;
    }
    let secret_owner = if host.credential.is_some() { "root".to_owned() } else { site.user.clone() };
    let places =
        sync::paths(&site.at(&host.keyring), &host.mirrors.iter().map(|m| site.at(m)).collect::<Vec<_>>())?;
    let warnings = apart::warnings(&places, 0, |path| site.seen(path));
    Ok(Plan { directories, make, there, make_secret, secret_owner, warnings })
}

/// The file with the unlock secret.
fn secret_file(host: &Host) -> Option<&PathBuf> {
    match (&host.unlock, &host.credential) {
        (UnlockSource::File(file), _) | (UnlockSource::Credential(_), Some(file)) => Some(file),
        _ => None,
    }
}

/// The source as this process reads it.
fn source(site: &Site, host: &Host) -> UnlockSource {
    secret_file(host).map_or_else(|| host.unlock.clone(), |file| UnlockSource::File(site.at(file)))
}

/// The directory's volume is mounted, and another one than the data directory's.
fn check_volume(site: &Site, host: &Host, dir: &Path) -> Result<()> {
    let place = site.at(dir);
    let parent = place.parent().unwrap_or(&place);
    if !parent.is_dir() {
        return Err(Error::Usage(format!(
            "there is no directory {}: mount the keyring's volume there, or give another path; nothing was changed",
            parent.display()
        )));
    }
    let near = if place.exists() { &place } else { parent };
    let meta = |path: &Path| fs::metadata(path).map_err(|e| Error::io("look at", path, e));
    let datadir = site.at(&host.datadir);
    if !host.allow_same_device && datadir.exists() && meta(near)?.dev() == meta(&datadir)?.dev() {
        return Err(BadRequest::SameDevice { path: dir.to_owned(), datadir: host.datadir.clone() }.into());
    }
    Ok(())
}

/// Whether the secret opens what is there.
fn opens(site: &Site, host: &Host, there: &[PathBuf]) -> Result<()> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let source = source(site, host);
    let name = host.unlock.to_string();
    for copy in there {
        load_with(&fs, &site.at(copy), &name, || source.read())?;
    }
    Ok(())
}

/// Makes directories, secret and keyring.
pub(super) fn carry_out(site: &Site, host: &Host, plan: &Plan, label: &str) -> Result<Option<Made>> {
    let owner = site.account.as_ref().filter(|_| is_root()).map(|a| (a.uid, a.gid));
    if !plan.make.is_empty() && plan.make_secret.is_none() {
        // A source that does not answer is told before anything is made.
        source(site, host).read()?;
    }
    for dir in &plan.directories {
        make_directory(&site.at(dir), owner)?;
    }
    if plan.make.is_empty() {
        return Ok(None);
    }
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let paths: Vec<_> = plan.make.iter().map(|path| site.at(path)).collect();
    for path in &paths {
        is_mysqlds(site, &volume::owner_of_directory(fs.as_ref(), path)?, directory_of(path))?;
    }
    let source = secret::Source { unlock: Some(source(site, host)) };
    let file = match plan.make_secret {
        // Only systemd is to read it.
        Some(_) if host.credential.is_some() && is_root() => SecretFile::For(0, 0),
        Some(_) => SecretFile::ForTheKeyringsOwner,
        None => SecretFile::IsThere,
    };
    let made = init::make(&fs, &paths, &source, &host.unlock.to_string(), label, file)?;
    Ok(Some(made))
}

/// The keyring goes to the owner of its directory.
fn is_mysqlds(site: &Site, meta: &Meta, dir: &Path) -> Result<()> {
    match &site.account {
        Some(account) if meta.uid != account.uid && is_root() => {
            Err(Refusal::Owner { path: dir.to_owned(), owner: meta.uid, user: account.uid }.into())
        }
        _ => Ok(()),
    }
}
