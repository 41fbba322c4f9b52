// SPDX-License-Identifier: GPL-2.0-or-later
//! Which copies of the keyring the server will use: those that are configured, unless an option removes one, and those
//! that the options and the answers name.

use super::args::Args;
use super::ask::Prompt;
use super::existing::Existing;
use crate::commands::apart::{is_one_file, same_as_earlier};
use crate::commands::site::Site;
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::config::RemoteName;
use keyring_external::store::places::is_remote;
use std::path::{Path, PathBuf};

/// The copies, the keyring first.
pub(super) fn choose(
    args: &Args,
    site: &Site,
    existing: &Existing,
    prompt: &mut Prompt<'_>,
) -> Result<Vec<PathBuf>> {
    let kept = kept(args, site, existing)?;
    let keyring = match &args.path {
        Some(path) => absolute(path, "the keyring")?,
        None => {
            let question = "Path of the keyring file on the external volume (such as /mnt/keyring/keys/main.keyring), or @NAME/PREFIX at a remote";
            let default = kept.first().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
            prompt.checked(question, &default, |typed| absolute(Path::new(typed), "the keyring"))?
        }
    };
    let mut copies = vec![keyring.clone()];
    copies.extend(kept.into_iter().filter(|copy| *copy != keyring));
    for mirror in &args.mirrors {
        let mirror = absolute(mirror, "a mirror")?;
        if mirror == keyring || !copies.contains(&mirror) {
            add(site, &mut copies, mirror)?;
        }
    }
    if args.mirrors.is_empty() && args.path.is_none() {
        let question = match copies.get(1..) {
            None | Some([]) => {
                "Path of a copy on another volume (empty for none; if the only volume fails, all data is lost)"
                    .to_owned()
            }
            Some(mirrors) => {
                let shown: Vec<_> = mirrors.iter().map(|path| path.shown()).collect();
                format!("Path of one more copy on another volume (empty for none; {} stays)", shown.join(", "))
            }
        };
        let before = copies.clone();
        copies = prompt.checked(&question, "", |typed| {
            let mut copies = before.clone();
            if !typed.is_empty() {
                add(site, &mut copies, absolute(Path::new(typed), "a mirror")?)?;
            }
            Ok(copies)
        })?;
    }
    Ok(copies)
}

/// Adds a copy, which must not be one of the others.
fn add(site: &Site, copies: &mut Vec<PathBuf>, mirror: PathBuf) -> Result<()> {
    copies.push(mirror);
    let places: Vec<_> = copies.iter().map(|copy| site.at(copy)).collect();
    same_as_earlier(&places, places.len() - 1).map_or(Ok(()), Err)
}

/// The configured copies without those that the options remove.
fn kept(args: &Args, site: &Site, existing: &Existing) -> Result<Vec<PathBuf>> {
    let mut kept = existing.copies();
    for removed in &args.remove_mirrors {
        let is_it = |copy: &PathBuf| copy == removed || is_one_file(&site.at(copy), &site.at(removed));
        if !existing.copies().iter().any(is_it) {
            let all: Vec<_> = existing.copies().iter().map(|copy| copy.shown()).collect();
            let configured = match all.len() {
                0 => "the server is configured with no copy".to_owned(),
                _ => format!("the server is configured with {}", all.join(" and ")),
            };
            return Err(Error::Usage(format!(
                "--remove-mirror is {}, but {configured}. Nothing was changed",
                removed.shown()
            )));
        }
        if args.path.iter().chain(&args.mirrors).any(is_it) {
            return Err(Error::Usage(format!(
                "{} is named both as a copy and with --remove-mirror. Nothing was changed",
                removed.shown()
            )));
        }
        kept.retain(|copy| !is_it(copy));
    }
    if kept.is_empty() && !existing.copies().is_empty() && args.path.is_none() {
        return Err(Error::Usage(
            "--remove-mirror would remove every copy of the keyring that the server uses. Nothing was changed"
                .to_owned(),
        ));
    }
    Ok(kept)
}

/// A path that mysqld can open and that its configuration files can hold.
pub(super) fn absolute(path: &Path, what: &str) -> Result<PathBuf> {
    if path.to_str().is_none_or(|text| text.contains(char::is_control)) {
        return Err(Error::Usage(format!(
            "{what} is {}: no configuration file of mysqld or systemd can hold this path. Choose one of printable \
             characters in UTF-8. Nothing was changed",
            path.shown()
        )));
    }
    if is_remote(path) {
        RemoteName::parse(path)?;
        return Ok(path.to_owned());
    }
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let given =
        if path.as_os_str().is_empty() { "was not given".to_owned() } else { format!("is {}", path.shown()) };
    Err(Error::Usage(format!("{what} {given}: give an absolute path, as mysqld will open it")))
}
