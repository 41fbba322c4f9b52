// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring and its unlock secret: finds them, or creates them.

use super::change::is_root;
use super::directory::create_directory;
use super::present::Present;
use super::secret_file;
use crate::commands::apart::{self, Places};
use crate::commands::doctor::files::closed_directory_above;
use crate::commands::init::{self, CreatedKeyring, NewSlots, SecretFile};
use crate::commands::missing;
use crate::commands::new_at_remote;
use crate::commands::secret;
use crate::commands::site::Site;
use crate::commands::stat;
use crate::commands::store_places::store_places;
use crate::commands::traces::Traces;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::show::Shown;
use keyring_external::custodians::Custodians;
use keyring_external::error::{BadRequest, Error as KeyringError, Refusal};
use keyring_external::keyring::Keyring;
use keyring_external::store::file::own_directory::{below, is_for_volumes, is_home, is_own};
use keyring_external::store::file::real::RealFs;
use keyring_external::store::file::volume::{self, directory_of};
use keyring_external::store::places::is_remote;

use serde::Serialize;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What setup does about the keyring.
#[derive(Serialize)]
pub(super) struct KeyringPlan {
    /// Directories to create, with mode 0700, for mysqld's user.
    #[serde(serialize_with = "crate::show::paths")]
    directories: Vec<PathBuf>,
    /// Copies to create; none if the keyring exists.
    #[serde(serialize_with = "crate::show::paths")]
    make: Vec<PathBuf>,
    /// Copies that the server uses now and will no longer use.
    #[serde(serialize_with = "crate::show::paths")]
    removed: Vec<PathBuf>,
    /// Copies that exist.
    #[serde(serialize_with = "crate::show::paths")]
    there: Vec<PathBuf>,
    /// The secret file to create, with 32 random bytes.
    #[serde(serialize_with = "crate::show::optional_path")]
    make_secret: Option<PathBuf>,
    /// The owner of the secret file.
    secret_owner: String,
    /// Warnings about copies on the same filesystem.
    warnings: Vec<String>,
    /// The command without which the server refuses the new keyring.
    #[serde(skip)]
    pub(super) accept: Option<String>,
    /// The keyring that exists, if this unlocked it.
    #[serde(skip)]
    pub(super) unlocked: Option<Keyring>,
}

impl KeyringPlan {
    /// Whether a keyring is created.
    pub(super) fn creates(&self) -> bool {
        !self.make.is_empty()
    }

    /// Whether there is nothing to create.
    pub(super) fn is_done(&self) -> bool {
        self.directories.is_empty() && self.make.is_empty() && self.make_secret.is_none()
    }

    /// The plan as lines of text.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .directories
            .iter()
            .map(|d| format!("DIRECTORY  {} (mode 0700, for mysqld's user)", d.shown()))
            .collect();
        if let Some(secret) = &self.make_secret {
            lines.push(format!(
                "SECRET     {} (32 random bytes, mode 0600, for {})",
                secret.shown(),
                self.secret_owner
            ));
        }
        lines.extend(self.make.iter().map(|path| format!("KEYRING    {} (new)", path.shown())));
        lines.extend(
            self.there.iter().map(|path| format!("KEYRING    {} (exists, will be used)", path.shown())),
        );
        lines.extend(self.removed.iter().map(|path| {
            format!("REMOVED    {} (the server no longer uses it; the file stays)", path.shown())
        }));
        lines.extend(self.warnings.iter().cloned());
        lines
    }
}

/// Plans the keyring from what exists. `configured`: the copies that the server uses now. `new_keyring`: a new one is
/// wanted, whatever the server had.
///
/// # Errors
/// The keyring cannot be created or used as requested.
pub(super) fn plan(
    site: &Site,
    host: &Host,
    configured: &[PathBuf],
    new_keyring: bool,
) -> Result<KeyringPlan> {
    let (there, make): (Vec<_>, Vec<_>) =
        host.copies().map(Path::to_owned).partition(|copy| match is_remote(copy) {
            true => stat::is_there(copy),
            false => site.at(copy).symlink_metadata().is_ok(),
        });
    if let (Some(found), Some(missing)) = (there.first(), make.first()) {
        let secret =
            secret::Args { unlock: Some(secret_file::source(site, host)), ..secret::Args::default() };
        let or_remove = if configured.contains(missing) {
            format!(". If the server should no longer use that copy: --remove-mirror {}", missing.shown())
        } else {
            String::new()
        };
        return Err(Error::Usage(format!(
            "the keyring {} exists, but its copy {} does not. {}. If there is no copy yet, {}; \
             then run setup again{or_remove}. Nothing was changed",
            found.shown(),
            missing.shown(),
            if is_remote(missing) { "Check its name" } else { "Mount the volume of the copy" },
            missing::remedy(&site.at(found), &site.at(missing), &secret)
        )));
    }
    host.at_remotes().try_for_each(|(_, copy)| new_at_remote::check_answers(copy, new_at_remote::AGAIN))?;
    let datadir = site.at(&host.datadir);
    let traces = traces(&datadir, configured, &there, &make, new_keyring)?;
    if site.account.is_none() && is_root() {
        return Err(Error::Usage(format!(
            "the account {} does not exist on this host: install MySQL first, or name the account of mysqld with --mysqld-user",
            site.user
        )));
    }
    let mut directories = Vec::new();
    for (_, copy) in host.files() {
        let dir = directory_of(copy);
        check_volume(site, host, dir)?;
        if let Some((closed, mode)) = closed_directory_above(site, dir) {
            let fix = if is_home(&site.seen(&closed)) {
                "it is a home directory, so leave it as it is and choose a path outside it".to_owned()
            } else {
                format!("run chmod o+x {}, then run setup again", closed.shown())
            };
            return Err(Error::Usage(format!(
                "{} (mode {mode:04o}) does not let user {} reach {}: {fix}. Nothing was changed",
                closed.shown(),
                site.user,
                dir.shown(),
            )));
        }
        if !site.at(dir).exists() && !directories.iter().any(|d| d == dir) {
            directories.push(dir.to_owned());
        }
    }
    make.iter().try_for_each(|copy| check_directory(site, copy))?;
    let make_secret = if there.is_empty() { secret_file::to_create(site, host, &directories)? } else { None };
    let (mut warnings, mut unlocked) = (Vec::new(), None);
    if !there.is_empty() {
        let present = Present::open(site, host, &there)?;
        warnings = present.compare(configured)?;
        unlocked = present.into_newest();
    }
    let secret_owner = if host.credential.is_some() { "root".to_owned() } else { site.user.clone() };
    let copies: Vec<_> = host.copies().map(|copy| site.at(copy)).collect();
    let secret = secret_file::of(host).map(|file| site.at(file));
    let places = Places { copies: &copies, secret: secret.as_deref(), datadir: Some(&datadir) };
    warnings.extend(apart::doubts(places, |path| site.seen(path)));
    let removed: Vec<_> =
        configured.iter().filter(|copy| host.copies().all(|kept| kept != copy.as_path())).cloned().collect();
    let mut accept = None;
    if let Some(traces) = traces {
        warnings.push(traces.warning());
        accept = traces.accept();
    }
    Ok(KeyringPlan {
        directories,
        make,
        removed,
        there,
        make_secret,
        secret_owner,
        warnings,
        accept,
        unlocked,
    })
}

/// What says that a new keyring takes the place of another one. An error, unless that is wanted.
fn traces(
    datadir: &Path,
    configured: &[PathBuf],
    there: &[PathBuf],
    make: &[PathBuf],
    new_keyring: bool,
) -> Result<Option<Traces>> {
    if let (Some(found), true) = (there.first(), new_keyring) {
        return Err(Error::Usage(format!(
            "--new-keyring creates a keyring at a path without a file, but {} exists: give another path, or move the file \
             away. Nothing was changed",
            found.shown()
        )));
    }
    let Some(new) = make.first() else { return Ok(None) };
    let traces = Traces::find(datadir, configured)?;
    match (traces.is_empty(), new_keyring) {
        (true, _) => Ok(None),
        (false, true) => Ok(Some(traces)),
        (false, false) => Err(traces.refusal(new)),
    }
}

/// Checks that the volume of the directory is mounted, and is not that of the data directory.
fn check_volume(site: &Site, host: &Host, dir: &Path) -> Result<()> {
    let place = site.at(dir);
    let parent = place.parent().unwrap_or(&place);
    if !parent.is_dir() {
        return Err(Error::Usage(format!(
            "directory {} does not exist: mount the keyring's volume there, or give another path. Nothing was changed",
            parent.shown()
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

/// Creates the directories, the secret file and the keyring.
pub(super) fn carry_out(
    site: &Site,
    host: &Host,
    plan: &KeyringPlan,
    label: &str,
    custodians: Option<Custodians>,
) -> Result<Option<CreatedKeyring>> {
    let owner = site.account.as_ref().filter(|_| is_root()).map(|a| (a.uid, a.gid));
    if !plan.make.is_empty() && plan.make_secret.is_none() {
        // Fail before anything is created if the source cannot be read.
        secret_file::source(site, host).read()?;
    }
    new_at_remote::check_conditions(host.at_remotes().map(|(_, copy)| copy), new_at_remote::AGAIN)?;
    let places = store_places();
    let paths: Vec<_> = plan.make.iter().map(|path| site.at(path)).collect();
    plan.make.iter().try_for_each(|copy| check_directory(site, copy))?;
    for dir in &plan.directories {
        create_directory(&site.at(dir), owner)?;
    }
    if plan.make.is_empty() {
        return Ok(None);
    }
    plan.make.iter().try_for_each(|copy| check_directory(site, copy))?;
    let source = secret::NewSecret { unlock: Some(secret_file::source(site, host)) };
    let file = match plan.make_secret {
        // Only systemd reads it, as root.
        Some(_) if host.credential.is_some() && is_root() => SecretFile::CreateFor(0, 0),
        Some(_) => SecretFile::CreateForKeyringOwner,
        None => SecretFile::Existing,
    };
    let slots = NewSlots { source: &source, name: &host.unlock.to_string(), custodians };
    init::create(&places, &paths, &slots, label, file).map(Some)
}

/// Checks the directory of a new copy, if it exists: it is closed to others, and belongs to mysqld's user, because the
/// keyring gets the owner of its directory.
fn check_directory(site: &Site, copy: &Path) -> Result<()> {
    let place = site.at(copy);
    let dir = directory_of(&place);
    if is_remote(copy) || !dir.exists() {
        return Ok(());
    }
    let refused = |wrong: &str, fix: &str| {
        let name = copy.file_name().unwrap_or_default();
        let then = if is_own(dir, name) && !is_for_volumes(directory_of(copy)) {
            format!("run {fix} {}, then run setup again", dir.shown())
        } else {
            format!(
                "it is not for the keyring alone, so leave it as it is and give setup another path, such as {}: setup \
                 creates its directory",
                below(directory_of(copy)).join(name).shown()
            )
        };
        Error::Usage(format!("{} {wrong}: {then}. Nothing was changed", dir.shown()))
    };
    match volume::check_directory(&RealFs, &place) {
        Ok(()) => {}
        Err(KeyringError::Refusal(Refusal::Exposed { mode, .. })) => {
            return Err(refused(&format!("is open to other users (mode {mode:04o})"), "chmod 0700"));
        }
        Err(KeyringError::Refusal(Refusal::SharedDirectory { wrong, .. })) => {
            return Err(refused(&wrong, ""));
        }
        Err(e) => return Err(e.into()),
    }
    let owner = volume::directory_meta(&RealFs, &place)?.uid;
    match &site.account {
        Some(account) if owner != account.uid && is_root() => Err(refused(
            &format!("belongs to user id {owner}, but mysqld runs as {} ({})", account.name, account.uid),
            &format!("chown {}:", account.name),
        )),
        _ => Ok(()),
    }
}
