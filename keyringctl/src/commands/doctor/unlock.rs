// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks the unlock secret: mysqld can read it, nobody else can, and it is not on the keyring's volume.

use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use super::permission::{may, may_write};
use super::steps::{SECRET_FILE, lines_in};
use crate::commands::site::{Site, systemd};
use crate::commands::stat::is_missing;
use crate::host::accounts::Account;
use crate::host::files::drop_in;
use crate::show::Shown;
use keyring_external::store::file::volume::directory_of;
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
    let (shown, word) = (place.shown(), view.word(file));
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
                &missing_secret(view, file, user),
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
            &[format!("chmod 0600 {word}")],
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
                &[format!("chown {user}: {word}")],
            );
        } else {
            found.error(
                SECRET,
                file,
                what,
                "The server cannot unlock the keyring.",
                &[format!("chown {user}: {word}")],
            );
        }
    }
    let on = view
        .host
        .files()
        .map(|(_, copy)| copy)
        .filter(|copy| view.device(file).is_some() && !is_missing(&view.local_path(copy)))
        .find(|copy| view.device(directory_of(copy)) == view.device(file));
    if let Some(copy) = on {
        found.error(
            ON_VOLUME,
            file,
            format!("{shown} is on the filesystem of the keyring {}", copy.shown()),
            "Anyone who steals that volume has both, and can read everything.",
            &away_from_volume(view, file, user),
        );
    }
}

/// Another way to fix the same.
fn or(mut fix: Vec<String>, other: Vec<String>) -> Vec<String> {
    fix.push("or use a secret in a file:".to_owned());
    fix.extend(other);
    fix
}

/// How to restore the file that mysqld or systemd reads.
fn missing_secret(view: &HostView<'_>, file: &Path, user: &str) -> Vec<String> {
    let word = view.word(file);
    let mut fix = vec![
        format!("restore {} from a backup", view.local_path(file).shown()),
        format!("chown {user}: {word} && chmod 0600 {word}"),
        "or, if there is no backup, give the keyring a new secret, with the recovery key (or --custodians in place of --recovery):".to_owned(),
    ];
    fix.extend(view.new_secret(file));
    fix.push(format!("chown {user}: {word}"));
    fix
}

fn away_from_volume(view: &HostView<'_>, file: &Path, user: &str) -> Vec<String> {
    let new = Path::new(SECRET_FILE);
    let mut fix = vec![format!("install -m 0600 -o {user} {} {}", view.word(file), view.word(new))];
    if view.host.credential.is_some() {
        fix.extend(lines_in(
            &view.local_path(&drop_in(&view.host.unit)),
            &["[Service]", &format!("LoadCredential={}:{}", credential_name(view), new.to_string_lossy())],
        ));
        fix.push("then run: systemctl daemon-reload".to_owned());
    } else {
        fix.extend(view.set_secret(new));
    }
    fix.push("then restart mysqld, and wipe the old file:".to_owned());
    fix.push(format!("shred -u {}", view.word(file)));
    fix
}

fn credential_name<'v>(view: &'v HostView<'_>) -> &'v str {
    match &view.host.unlock {
        UnlockSource::Credential(name) => name,
        _ => "",
    }
}

/// How to make systemd pass a file with the secret.
fn load_credential(view: &HostView<'_>, name: &str) -> Vec<String> {
    let file = Path::new(SECRET_FILE);
    let mut fix = if view.local_path(file).exists() { Vec::new() } else { view.new_secret(file) };
    fix.push(format!("chown root: {0} && chmod 0600 {0}", view.word(file)));
    fix.extend(lines_in(
        &view.local_path(&drop_in(&view.host.unit)),
        &["[Service]", &format!("LoadCredential={name}:{}", file.to_string_lossy())],
    ));
    fix.push("then run: systemctl daemon-reload".to_owned());
    fix
}

fn credential(view: &HostView<'_>, name: &str, found: &mut Findings) {
    let Some(unit) = &view.site.unit else {
        found.add(
            FindingLevel::Error,
            SECRET,
            format!("the secret is the systemd credential {name}, but there is no unit {}", view.host.unit),
            "mysqld gets a credential only from systemd.",
            &view.secret_from_file(),
        );
        return;
    };
    if let Some(why) = without_credentials(view.site) {
        found.add(
            FindingLevel::Error,
            CREDENTIALS,
            format!("the secret is the systemd credential {name}, but {why}"),
            "mysqld has no unlock secret and cannot open the keyring.",
            &view.secret_from_file(),
        );
    }
    match (unit.credential(name), &view.host.credential) {
        (None, _) => {
            found.add(
                FindingLevel::Error,
                SECRET,
                format!("{} does not load the credential {name}", view.host.unit),
                "mysqld has no unlock secret and cannot open the keyring.",
                &load_credential(view, name),
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
            &view.secret_from_file(),
        );
    } else {
        found.add(
            FindingLevel::Warning,
            SECRET,
            format!("the secret is in the environment variable {name}"),
            "Programs that mysqld starts inherit it, and it stays in memory that is neither locked nor wiped.",
            &view.secret_from_file(),
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
            &or(vec![format!("install the program {shown}")], view.secret_from_file()),
        );
        return;
    };
    if !may(&meta, view.site.account.as_ref(), 0o1) {
        found.error(
            SECRET,
            path,
            format!("{} has no permission to run {shown}", view.site.user),
            "mysqld has no unlock secret.",
            &[format!("chmod 0755 {}", view.word(path))],
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
            &[format!("chown root:root {0} && chmod 0755 {0}", view.word(path))],
        );
    }
}
