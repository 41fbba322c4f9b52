// SPDX-License-Identifier: GPL-2.0-or-later
//! Decides what is set up, from the options, the answers and what is found on the host.

use super::args::Args;
use super::ask::Prompt;
use super::audit_log;
use super::copies::{self, absolute};
use super::existing::Existing;
use super::placement;
use super::secret_file;
use crate::commands::doctor::unlock::without_credentials;
use crate::commands::site::Site;
use crate::commands::store_places::given_remotes;
use crate::error::{Error, Result};
use crate::host::files::{Manifest, source};
use crate::host::{Host, Way, manifest_of};
use crate::show::Shown;
use keyring_external::config::{DEFAULT_REMOTES, MAX_COPIES, MAX_WAIT};
use keyring_external::unlock::UnlockSource;
use std::path::{Path, PathBuf};

/// The name of the credential and of the secret file.
const SECRET_NAME: &str = "keyring_external";

/// Decides what is set up: options take precedence over answers, answers over
/// what is configured, and that over what the host suggests.
pub(super) fn choose(args: &Args, site: &Site, existing: &Existing, prompt: &mut Prompt<'_>) -> Result<Host> {
    let copies = copies::choose(args, site, existing, prompt)?;
    let unlock = unlock(args, site, existing, prompt)?;
    if source(&unlock).contains(char::is_control) {
        return Err(Error::Usage(format!(
            "--unlock is {}: no configuration file of mysqld can hold a control character. Nothing was changed",
            source(&unlock).shown()
        )));
    }
    let credential = match (&unlock, &args.credential_file) {
        (UnlockSource::Credential(_), Some(file)) => Some(absolute(file, "the credential's file")?),
        (UnlockSource::Credential(name), None) => {
            let loaded = site.unit.as_ref().and_then(|unit| unit.credential(name));
            // systemd may already load it, from a file or sealed.
            loaded.unwrap_or_else(|| Some(default_secret(site)))
        }
        (_, Some(_)) => {
            return Err(Error::Usage("--credential-file needs --unlock credential:NAME".to_owned()));
        }
        (_, None) => None,
    };
    if let (UnlockSource::Credential(name), Some(why)) = (&unlock, without_credentials(site)) {
        return Err(Error::Usage(format!(
            "--unlock credential:{name} cannot work: {why}. Use --unlock file:{}. Nothing was changed",
            default_secret(site).shown()
        )));
    }
    let configured = existing.host.as_ref();
    let audit = audit_log::choose(args, configured, prompt)?;
    let (count, min_copies) =
        (copies.len(), args.min_copies.or(configured.map(|h| h.min_copies)).unwrap_or(1));
    if count > MAX_COPIES as usize || min_copies as usize > count || min_copies == 0 {
        let name = if args.min_copies.is_some() { "--min-copies" } else { "min_copies" };
        return Err(Error::Usage(format!(
            "{name} is {min_copies}, but it must be from 1 to the number of copies, which is {count} (at most \
             {MAX_COPIES}): give --min-copies N. Nothing was changed"
        )));
    }
    let wait = args.wait.or(configured.map(|h| h.wait)).unwrap_or(0);
    if wait > MAX_WAIT {
        return Err(Error::Usage(format!("--wait is {wait}, but it can be at most {MAX_WAIT} seconds")));
    }
    let way = way(args, site, existing)?;
    let colon = copies.iter().skip(1).find(|mirror| mirror.as_os_str().as_encoded_bytes().contains(&b':'));
    if let (Way::Plugin, Some(mirror)) = (way, colon) {
        return Err(Error::Usage(format!(
            "the mirror {} has a colon in its path, but the plugin separates mirrors with colons: use another path. \
             Nothing was changed",
            mirror.shown()
        )));
    }
    let local_manifest = manifest(site, &manifest_of(&site.mysqld))?.is_some_and(|m| m.local);
    let mut copies = copies.into_iter();
    let keyring = copies.next().unwrap_or_default();
    let same_device = args.allow_same_device.or(configured.map(|h| h.allow_same_device));
    Ok(Host {
        mirrors: copies.collect(),
        min_copies,
        wait,
        allow_same_device: same_device.unwrap_or(false),
        read_only: configured.is_some_and(|h| h.read_only),
        auto_create: configured.is_some_and(|h| h.auto_create),
        audit,
        credential,
        option_file: placement::option_file(args, site)?,
        local_manifest,
        remotes: given_remotes()
            .or(configured.map(|h| h.remotes.clone()))
            .unwrap_or_else(|| DEFAULT_REMOTES.into()),
        ..site.host(way, keyring, unlock)
    })
}

/// The source of the secret.
fn unlock(args: &Args, site: &Site, existing: &Existing, prompt: &mut Prompt<'_>) -> Result<UnlockSource> {
    if let Some(unlock) = &args.unlock {
        secret_file::check_source(unlock)?;
        return Ok(unlock.clone());
    }
    let configured = existing.host.as_ref().map(|host| host.unlock.clone());
    let default = configured.unwrap_or_else(|| UnlockSource::File(default_secret(site)));
    // It does not show the arguments of a program.
    let shown = default.to_string();
    let question = format!(
        "Source of the unlock secret for mysqld (or credential:{SECRET_NAME}: systemd passes it from a file that only root can read)"
    );
    prompt.checked(&question, &shown, |typed| {
        let source = if typed == shown { default.clone() } else { typed.parse()? };
        secret_file::check_source(&source)?;
        Ok(source)
    })
}

fn way(args: &Args, site: &Site, existing: &Existing) -> Result<Way> {
    let configured = existing.host.as_ref().map(|host| host.way);
    match (args.load_as.map(Way::from).or(configured), site.version) {
        (Some(way), _) => Ok(way),
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
fn default_secret(site: &Site) -> PathBuf {
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
