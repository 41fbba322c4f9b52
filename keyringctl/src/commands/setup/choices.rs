// SPDX-License-Identifier: GPL-2.0-or-later
//! Decides what is set up, from the options, the answers and what is found on the host.

use super::args::Args;
use super::ask::Prompt;
use super::placement;
use crate::commands::doctor::unlock::without_credentials;
use crate::commands::site::Site;
use crate::error::{Error, Result};
use crate::host::files::{Manifest, source};
use crate::host::{Host, Way, manifest_of};
use crate::show::Shown;
use keyring_external::config::{MAX_COPIES, MAX_WAIT};
use keyring_external::unlock::UnlockSource;
use std::path::{Path, PathBuf};

/// The name of the credential and of the secret file.
const SECRET_NAME: &str = "keyring_external";

/// Decides what is set up: options take precedence over answers, and answers over what the host suggests.
pub(super) fn choose(args: &Args, site: &Site, prompt: &mut Prompt<'_>) -> Result<Host> {
    let keyring = match &args.path {
        Some(path) => path.clone(),
        None => PathBuf::from(prompt.line(
            "Path of the keyring file on the external volume (such as /mnt/keyring/keys/main.keyring)",
            "",
        )?),
    };
    let keyring = absolute(&keyring, "the keyring")?;
    let mut mirrors = args.mirrors.clone();
    if mirrors.is_empty() && args.path.is_none() {
        let typed = prompt.line(
            "Path of a copy on another volume (empty for none; if the only volume fails, all data is lost)",
            "",
        )?;
        mirrors.extend((!typed.is_empty()).then(|| PathBuf::from(typed)));
    }
    for mirror in &mirrors {
        absolute(mirror, "a mirror")?;
    }
    let unlock = match &args.unlock {
        Some(unlock) => unlock.clone(),
        None => {
            let file = UnlockSource::File(secret_file(site)).to_string();
            let question = format!(
                "Source of the unlock secret for mysqld (or credential:{SECRET_NAME}: systemd passes it from a file that only root can read)"
            );
            prompt.line(&question, &file)?.parse()?
        }
    };
    if source(&unlock).contains(char::is_control) {
        return Err(Error::Usage(format!(
            "--unlock is {}: no configuration file of mysqld can hold a control character. Nothing was changed",
            source(&unlock).shown()
        )));
    }
    let credential = match (&unlock, &args.credential_file) {
        (UnlockSource::Credential(_), Some(file)) => Some(absolute(file, "the credential's file")?),
        (UnlockSource::Credential(_), None) => Some(secret_file(site)),
        (_, Some(_)) => {
            return Err(Error::Usage("--credential-file needs --unlock credential:NAME".to_owned()));
        }
        (_, None) => None,
    };
    if let (UnlockSource::Credential(name), Some(why)) = (&unlock, without_credentials(site)) {
        return Err(Error::Usage(format!(
            "--unlock credential:{name} cannot work: {why}. Use --unlock file:{}. Nothing was changed",
            secret_file(site).shown()
        )));
    }
    let count = 1 + mirrors.len();
    if count > MAX_COPIES as usize || args.min_copies as usize > count || args.min_copies == 0 {
        return Err(Error::Usage(format!(
            "--min-copies is {}, but it must be from 1 to the number of copies, which is {count} (at most {MAX_COPIES})",
            args.min_copies
        )));
    }
    if args.wait > MAX_WAIT {
        return Err(Error::Usage(format!(
            "--wait is {}, but it can be at most {MAX_WAIT} seconds",
            args.wait
        )));
    }
    let way = way(args, site)?;
    let colon = mirrors.iter().find(|mirror| mirror.as_os_str().as_encoded_bytes().contains(&b':'));
    if let (Way::Plugin, Some(mirror)) = (way, colon) {
        return Err(Error::Usage(format!(
            "the mirror {} has a colon in its path, but the plugin separates mirrors with colons: use another path. \
             Nothing was changed",
            mirror.shown()
        )));
    }
    let local_manifest = manifest(site, &manifest_of(&site.mysqld))?.is_some_and(|m| m.local);
    Ok(Host {
        mirrors,
        min_copies: args.min_copies,
        wait: args.wait,
        allow_same_device: args.allow_same_device,
        credential,
        option_file: placement::option_file(args, site)?,
        local_manifest,
        ..site.host(way, keyring, unlock)
    })
}

fn way(args: &Args, site: &Site) -> Result<Way> {
    match (args.load_as, site.version) {
        (Some(way), _) => Ok(way.into()),
        (None, Some(version)) => Ok(Way::for_version(version)),
        (None, None) if site.is_below() => Err(Error::Usage(format!(
            "the version of {} is not known: programs below --root are not run, and no Debian package there contains it. \
             Choose how it loads the keyring: --as component (MySQL 8.4 and later) or --as plugin (8.0)",
            site.at(&site.mysqld).shown()
        ))),
        (None, None) => Err(Error::Usage(format!(
            "cannot get the version of {}: is MySQL installed? Give --mysqld, or choose how it loads the keyring: --as \
             component (MySQL 8.4 and later) or --as plugin (8.0)",
            site.at(&site.mysqld).shown()
        ))),
    }
}

/// The default path of the secret file, beside the server's configuration.
fn secret_file(site: &Site) -> PathBuf {
    let dir = Path::new("/etc/mysql");
    let dir = if site.at(dir).is_dir() { dir } else { Path::new("/etc") };
    dir.join(format!("{SECRET_NAME}.secret"))
}

/// Reads a manifest, if it exists.
pub(super) fn manifest(site: &Site, path: &Path) -> Result<Option<Manifest>> {
    let Some(text) = site.text(path)? else { return Ok(None) };
    let wrong = |why| Error::Usage(format!("cannot read the manifest {}: {why}", site.at(path).shown()));
    Manifest::parse(&text).map(Some).map_err(wrong)
}

fn absolute(path: &Path, what: &str) -> Result<PathBuf> {
    if path.to_str().is_none_or(|text| text.contains(char::is_control)) {
        return Err(Error::Usage(format!(
            "{what} is {}: no configuration file of mysqld or systemd can hold this path. Choose one of printable \
             characters in UTF-8. Nothing was changed",
            path.shown()
        )));
    }
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let given =
        if path.as_os_str().is_empty() { "was not given".to_owned() } else { format!("is {}", path.shown()) };
    Err(Error::Usage(format!("{what} {given}: give an absolute path, as mysqld will open it")))
}
