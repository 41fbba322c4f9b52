// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks the unlock secret: mysqld can read it, nobody else can, and it is not on the keyring's volume.

use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use super::permission::{may, may_write};
use crate::commands::site::{Site, systemd};
use crate::host::accounts::Account;
use crate::show::Shown;
use keyring_external::store::volume::directory_of;
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const SECRET: &str = "unlock-secret";
const ON_VOLUME: &str = "secret-on-volume";
const CREDENTIALS: &str = "systemd-credentials";

pub(super) fn check(view: &HostView<'_>, found: &mut Findings) {
    found.run_checks(&[SECRET, ON_VOLUME, CREDENTIALS]);
    match &view.host.unlock {
        UnlockSource::File(file) => secret_file(view, file, view.site.account.as_ref(), found),
        UnlockSource::Credential(name) => credential(view, name, found),
        UnlockSource::Env(name) => environment(view, name, found),
        UnlockSource::Command(words) => {
            program(view, words.first().map(String::as_str).unwrap_or_default(), found)
        }
    }
}

fn secret_file(view: &HostView<'_>, file: &Path, reader: Option<&Account>, found: &mut Findings) {
    let place = view.local_path(file);
    let shown = place.shown();
    let user = reader.map_or("root", |a| a.name.as_str());
    let meta = match fs::metadata(&place) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            found.no_permission(SECRET, &place);
            return;
        }
        Err(e) => {
            found.error(
                SECRET,
                file,
                format!("cannot find {shown}: {e}"),
                "The server will not be able to unlock the keyring at its next start.",
                &["restore it from a backup, or write the recovery key to it (mode 0600)".to_owned()],
            );
            return;
        }
    };
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        found.error(
            SECRET,
            file,
            format!("other users can read {shown} (mode {mode:04o})"),
            "Anyone with the secret and a copy of the keyring has all keys. mysqld refuses to use such a file.",
            &[format!("chmod 0600 {shown}")],
        );
    }
    let uid = reader.map_or(0, |a| a.uid);
    if meta.uid() != uid {
        let what = format!("{shown} belongs to user id {}, but {user} ({uid}) must read it", meta.uid());
        if may(&meta, reader, 0o4) {
            found.warning(
                SECRET,
                file,
                what,
                "Its owner can read the secret too.",
                &[format!("chown {user}: {shown}")],
            );
        } else {
            found.error(
                SECRET,
                file,
                what,
                "The server cannot unlock the keyring.",
                &[format!("chown {user}: {shown}")],
            );
        }
    }
    let on = view
        .host
        .copies()
        .filter(|_| view.device(file).is_some())
        .find(|copy| view.device(directory_of(copy)) == view.device(file));
    if let Some(copy) = on {
        found.error(
            ON_VOLUME,
            file,
            format!("{shown} is on the filesystem of the keyring {}", copy.shown()),
            "Anyone who steals that volume has both, and can read everything.",
            &[format!("move the secret to the server's own disk, change its path in the configuration, and wipe {shown}")],
        );
    }
}

fn credential(view: &HostView<'_>, name: &str, found: &mut Findings) {
    let Some(unit) = &view.site.unit else {
        found.add(
            FindingLevel::Error,
            SECRET,
            format!("the secret is the systemd credential {name}, but there is no unit {}", view.host.unit),
            "mysqld gets a credential only from systemd.",
            &["keyringctl setup".to_owned()],
        );
        return;
    };
    if let Some(why) = without_credentials(view.site) {
        found.add(
            FindingLevel::Error,
            CREDENTIALS,
            format!("the secret is the systemd credential {name}, but {why}"),
            "mysqld has no unlock secret and cannot open the keyring.",
            &["keyringctl setup, with --unlock file:PATH".to_owned()],
        );
    }
    match (unit.credential(name), &view.host.credential) {
        (None, _) => {
            found.add(
                FindingLevel::Error,
                SECRET,
                format!("{} does not load the credential {name}", view.host.unit),
                "mysqld has no unlock secret and cannot open the keyring.",
                &[
                    "[Service]".to_owned(),
                    format!("LoadCredential={name}:/etc/mysql/keyring_external.secret"),
                ],
            );
        }
        // systemd reads it as root.
        (Some(_), Some(file)) => secret_file(view, file, None, found),
        (Some(_), None) => found.note(
            SECRET,
            format!("the credential {name} was not checked: it is sealed, or has no file"),
            "",
        ),
    }
}

/// Says that this host's systemd has no credentials, if so.
pub(in crate::commands) fn without_credentials(site: &Site) -> Option<String> {
    let version = site.systemd_version().filter(|version| *version < systemd::CREDENTIALS)?;
    Some(format!("systemd {version} has none: they need systemd {} or later", systemd::CREDENTIALS))
}

fn environment(view: &HostView<'_>, name: &str, found: &mut Findings) {
    if view.site.unit.as_ref().is_some_and(|unit| unit.sets_environment(name)) {
        found.add(
            FindingLevel::Error,
            SECRET,
            format!("the unit {} sets the variable {name}", view.host.unit),
            "Every user of the machine can read the settings of a unit (systemctl show).",
            &["use file: or credential: instead; keyringctl slot change gives the keyring a new secret"
                .to_owned()],
        );
    } else {
        found.add(
            FindingLevel::Warning,
            SECRET,
            format!("the secret is in the environment variable {name}"),
            "Programs that mysqld starts inherit it, and it stays in memory that is neither locked nor wiped.",
            &["use file: or credential: instead".to_owned()],
        );
    }
}

fn program(view: &HostView<'_>, program: &str, found: &mut Findings) {
    let path = Path::new(program);
    let place = view.local_path(path);
    let shown = place.shown();
    let Ok(meta) = fs::metadata(&place) else {
        found.error(
            SECRET,
            path,
            format!("program {shown} does not exist"),
            "mysqld has no unlock secret.",
            &[],
        );
        return;
    };
    if !may(&meta, view.site.account.as_ref(), 0o1) {
        found.error(
            SECRET,
            path,
            format!("{} has no permission to run {shown}", view.site.user),
            "mysqld has no unlock secret.",
            &[format!("chmod 0755 {shown}")],
        );
    }
    let mysqlds = view.site.account.as_ref().is_some_and(|a| a.uid != 0)
        && may_write(&meta, view.site.account.as_ref());
    if meta.mode() & 0o022 != 0 || mysqlds {
        found.warning(
            SECRET,
            path,
            format!("users other than root can change {shown} (mode {:04o})", meta.mode() & 0o7777),
            "Anyone who changes it learns the secret.",
            &[format!("chown root:root {shown} && chmod 0755 {shown}")],
        );
    }
}
