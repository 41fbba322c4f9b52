// SPDX-License-Identifier: GPL-2.0-or-later
//! The unlock secret: mysqld reads it, nobody else does, and it is not where the keyring is.

use super::files::{may, may_write};
use super::finding::{Findings, Level};
use super::look::Look;
use crate::host::accounts::Account;
use keyring_external::store::volume::directory_of;
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const SECRET: &str = "unlock-secret";
const ON_VOLUME: &str = "secret-on-volume";

pub(super) fn check(look: &Look<'_>, found: &mut Findings) {
    found.checks(&[SECRET, ON_VOLUME]);
    match &look.host.unlock {
        UnlockSource::File(file) => secret_file(look, file, look.site.account.as_ref(), found),
        UnlockSource::Credential(name) => credential(look, name, found),
        UnlockSource::Env(name) => environment(look, name, found),
        UnlockSource::Command(words) => {
            program(look, words.first().map(String::as_str).unwrap_or_default(), found)
        }
    }
}

fn secret_file(look: &Look<'_>, file: &Path, reader: Option<&Account>, found: &mut Findings) {
    let place = look.at_root(file);
    let shown = place.display();
    let reads = reader.map_or("root", |a| a.name.as_str());
    let meta = match fs::metadata(&place) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            found.unseen(SECRET, &place);
            return;
        }
        Err(e) => {
            found.wrong(
                SECRET,
                file,
                format!("there is no {shown} ({e})"),
                "Nothing opens the keyring at the next start.",
                &["bring it back from where it is kept, or write the recovery key to it (mode 0600)"
                    .to_owned()],
            );
            return;
        }
    };
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        found.wrong(
            SECRET,
            file,
            format!("{shown} can be read by other users (mode {mode:04o})"),
            "Whoever has the secret and a copy of the keyring has all keys. mysqld refuses it so.",
            &[format!("chmod 0600 {shown}")],
        );
    }
    let uid = reader.map_or(0, |a| a.uid);
    if meta.uid() != uid {
        let what = format!("{shown} belongs to user id {}, and {reads} ({uid}) is to read it", meta.uid());
        if may(&meta, reader, 0o4) {
            found.risk(
                SECRET,
                file,
                what,
                "Its owner has the secret, too.",
                &[format!("chown {reads}: {shown}")],
            );
        } else {
            found.wrong(
                SECRET,
                file,
                what,
                "The keyring cannot be opened.",
                &[format!("chown {reads}: {shown}")],
            );
        }
    }
    let on = look
        .host
        .copies()
        .filter(|_| look.device(file).is_some())
        .find(|copy| look.device(directory_of(copy)) == look.device(file));
    if let Some(copy) = on {
        found.wrong(
            ON_VOLUME,
            file,
            format!("{shown} is on the filesystem of the keyring {}", copy.display()),
            "Whoever takes that volume has both, and reads everything.",
            &[format!("keep the secret on the server: move it, name its new place in the configuration, and wipe {shown}")],
        );
    }
}

fn credential(look: &Look<'_>, name: &str, found: &mut Findings) {
    let Some(unit) = &look.site.unit else {
        found.add(
            Level::Wrong,
            SECRET,
            format!("the secret is the credential {name}, and there is no systemd unit {}", look.host.unit),
            "mysqld gets a credential from systemd only.",
            &["keyringctl setup".to_owned()],
        );
        return;
    };
    match (unit.credential(name), &look.host.credential) {
        (None, _) => {
            found.add(
                Level::Wrong,
                SECRET,
                format!("{} does not load the credential {name}", look.host.unit),
                "mysqld has no unlock secret and cannot open the keyring.",
                &[
                    "[Service]".to_owned(),
                    format!("LoadCredential={name}:/etc/mysql/keyring_external.secret"),
                ],
            );
        }
        // For systemd, as root.
        (Some(_), Some(file)) => secret_file(look, file, None, found),
        (Some(_), None) => found.note(
            SECRET,
            format!("the credential {name} is sealed, or has no file that can be looked at"),
            "",
        ),
    }
}

fn environment(look: &Look<'_>, name: &str, found: &mut Findings) {
    if look.site.unit.as_ref().is_some_and(|unit| unit.sets_environment(name)) {
        found.add(
            Level::Wrong,
            SECRET,
            format!("the unit {} sets the variable {name} itself", look.host.unit),
            "Every user of the machine can read what a unit says (systemctl show).",
            &["use file: or credential: keyringctl slot change gives the keyring a new secret".to_owned()],
        );
    } else {
        found.add(
            Level::Risk,
            SECRET,
            format!("the secret is in the environment variable {name}"),
            "Programs that mysqld starts inherit it, and it lies in memory that is neither locked nor wiped.",
            &["use file: or credential:".to_owned()],
        );
    }
}

fn program(look: &Look<'_>, program: &str, found: &mut Findings) {
    let path = Path::new(program);
    let place = look.at_root(path);
    let shown = place.display();
    let Ok(meta) = fs::metadata(&place) else {
        found.wrong(SECRET, path, format!("there is no {shown}"), "mysqld has no unlock secret.", &[]);
        return;
    };
    if !may(&meta, look.site.account.as_ref(), 0o1) {
        found.wrong(
            SECRET,
            path,
            format!("{shown} cannot be run by {}", look.site.user),
            "mysqld has no unlock secret.",
            &[format!("chmod 0755 {shown}")],
        );
    }
    let mysqlds = look.site.account.as_ref().is_some_and(|a| a.uid != 0)
        && may_write(&meta, look.site.account.as_ref());
    if meta.mode() & 0o022 != 0 || mysqlds {
        found.risk(
            SECRET,
            path,
            format!("{shown} can be changed by others than root (mode {:04o})", meta.mode() & 0o7777),
            "Whoever changes it learns the secret.",
            &[format!("chown root:root {shown} && chmod 0755 {shown}")],
        );
    }
}
