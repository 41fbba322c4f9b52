// SPDX-License-Identifier: GPL-2.0-or-later
//! The copies that exist and that the server will use: that they are its keyring, in the state that it last used, and with
//! the keys that its files need.

use super::secret_file;
use crate::commands::content::{self, Content};
use crate::commands::needs::Needs;
use crate::commands::output::counted;
use crate::commands::secret;
use crate::commands::site::Site;
use crate::commands::store_places::store_places;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::show::Shown;
use keyring_external::error::Refusal;
use keyring_external::keyring::{
    Keyring, Relation, check_claims_by_witness, inspect, load_with, witness_claims,
};
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use std::path::{Path, PathBuf};

/// The copies that exist, opened.
pub(super) struct Present<'a> {
    site: &'a Site,
    host: &'a Host,
    places: Places,
    copies: Vec<(PathBuf, Content)>,
}

impl<'a> Present<'a> {
    /// Opens the copies with the secret that mysqld will have.
    ///
    /// # Errors
    /// The secret does not unlock one, or they are not copies of one keyring.
    pub(super) fn open(site: &'a Site, host: &'a Host, there: &[PathBuf]) -> Result<Present<'a>> {
        let mut present = Present { site, host, places: store_places(), copies: Vec::new() };
        for copy in there {
            let opened = present.content(copy)?;
            if let Some((other, first)) = present.copies.first()
                && first.claims.header.id != opened.claims.header.id
            {
                return Err(Error::Usage(format!(
                    "{} holds keyring {}, but {} holds keyring {}: they are not copies of one keyring. Nothing was changed",
                    other.shown(),
                    first.claims.header.id,
                    copy.shown(),
                    opened.claims.header.id
                )));
            }
            present.copies.push((copy.clone(), opened));
        }
        Ok(present)
    }

    fn content(&self, copy: &Path) -> Result<Content> {
        let (place, source) = (self.site.at(copy), secret_file::source(self.site, self.host));
        // Only systemd can read a sealed credential.
        let keyring = match source {
            UnlockSource::Credential(_) => None,
            _ => Some(load_with(&self.places, &place, &self.host.unlock.to_string(), || source.read())?.0),
        };
        Ok(Content { claims: inspect(&self.places, &place)?, keyring })
    }

    fn secret(&self) -> secret::Args {
        secret::Args { unlock: Some(secret_file::source(self.site, self.host)), ..secret::Args::default() }
    }

    /// The newest copy.
    fn newest(&self) -> Option<&(PathBuf, Content)> {
        self.copies.iter().rev().max_by_key(|(_, content)| content.generation())
    }

    /// The newest copy, if the secret unlocked it.
    pub(super) fn into_newest(self) -> Option<Keyring> {
        let newest = self.copies.into_iter().rev().max_by_key(|(_, content)| content.generation());
        newest.and_then(|(_, content)| content.keyring)
    }

    /// Compares the copies with those that the server uses now, with the witness and with the files in the data directory.
    /// Returns warnings.
    ///
    /// # Errors
    /// The server would change to copies that lack its keys. What is configured already is no reason to refuse.
    pub(super) fn compare(&self, configured: &[PathBuf]) -> Result<Vec<String>> {
        let is_used = |copy: &PathBuf| configured.contains(copy);
        let is_change = configured.is_empty() || !self.copies.iter().all(|(copy, _)| is_used(copy));
        let removed: Vec<_> =
            configured.iter().filter(|copy| self.copies.iter().all(|(kept, _)| kept != *copy)).collect();
        let mut warnings = Vec::new();
        for copy in &removed {
            warnings.extend(self.compare_with_removed(copy)?);
        }
        let is_change = is_change || !removed.is_empty();
        let datadir = self.site.at(&self.host.datadir);
        if !datadir.is_dir() {
            return Ok(warnings);
        }
        if let Some(why) = self.witness(&datadir) {
            let why = self.secret().named_in(why);
            if is_change {
                let all: Vec<_> = self.copies.iter().map(|(copy, _)| self.site.at(copy).shown()).collect();
                return Err(Error::Usage(format!(
                    "the server would refuse this keyring: {why}. To find the right copy: keyringctl which {} --datadir {}. \
                     Then run setup again. Nothing was changed",
                    all.join(" "),
                    datadir.shown()
                )));
            }
            warnings.push(format!("WARNING: the server will refuse this keyring: {why}."));
        } else if is_change {
            warnings.extend(self.needs(&datadir)?);
        }
        Ok(warnings)
    }

    /// Refuses to leave out a copy that is newer than those that stay. Warns if it is of another keyring.
    fn compare_with_removed(&self, removed: &Path) -> Result<Option<String>> {
        let Some((kept, of_kept)) = self.newest() else { return Ok(None) };
        let Ok(claims) = inspect(&self.places, &self.site.at(removed)) else { return Ok(None) };
        // A secret that unlocks one copy may not unlock the other.
        let of_removed = self.content(removed).unwrap_or(Content { claims, keyring: None });
        let (kept, removed) = (self.site.at(kept), self.site.at(removed));
        let fix = match of_kept.relation_to(&of_removed) {
            Relation::Diverged => {
                content::remedy(&removed, &kept, Some(&self.site.at(&self.host.datadir)), &self.secret())
                    .join(" ")
            }
            Relation::Ancestor | Relation::Unknown if of_kept.generation() < of_removed.generation() => {
                format!(
                    "bring it up to date first: keyringctl sync {} --mirror {}{}",
                    removed.shown(),
                    kept.shown(),
                    self.secret().option()
                )
            }
            Relation::OtherKeyring => {
                return Ok(Some(format!(
                    "WARNING: {} is another keyring than {}, which the server uses now.",
                    kept.shown(),
                    removed.shown()
                )));
            }
            _ => return Ok(None),
        };
        Err(Error::Usage(format!(
            "{} (generation {}) lacks changes that are in {} (generation {}), which the server would no longer use: {fix}. \
             Then run setup again. Nothing was changed",
            kept.shown(),
            of_kept.generation(),
            removed.shown(),
            of_removed.generation()
        )))
    }

    /// What the witness says against the copies.
    fn witness(&self, datadir: &Path) -> Option<String> {
        let (mut older, mut is_one_fine) = (None, false);
        for (copy, content) in &self.copies {
            let checked = match (&content.keyring, &content.claims.commit) {
                (Some(keyring), _) => keyring.check_witness(self.places.fs(), datadir).map(drop),
                (None, Some(commit)) => {
                    let id = &content.claims.header.id;
                    check_claims_by_witness(self.places.fs(), datadir, &self.site.at(copy), id, commit)
                        .map(drop)
                }
                (None, None) => Ok(()),
            };
            let Err(e) = checked else {
                is_one_fine = true;
                continue;
            };
            if !matches!(e.refusal(), Some(Refusal::WitnessOlder { .. })) {
                return Some(e.to_string());
            }
            older.get_or_insert(e);
        }
        // The server brings an older copy up to date from another one.
        older.filter(|_| !is_one_fine).map(|e| e.to_string())
    }

    /// Compares the newest copy with the files in the data directory.
    fn needs(&self, datadir: &Path) -> Result<Vec<String>> {
        let Some((copy, Content { keyring: Some(keyring), .. })) = self.newest() else {
            return Ok(Vec::new());
        };
        let also: Vec<_> =
            self.site.redo_directory(&self.site.datadir).map(|dir| self.site.at(&dir)).into_iter().collect();
        let needs = match Needs::new(datadir, &also, keyring) {
            Ok(needs) => needs,
            Err(e) => {
                return Ok(vec![format!("WARNING: not checked whether the keyring has every key: {e}")]);
            }
        };
        let Some(((key, _), files)) = needs.missing.first_key_value() else {
            let unknown = needs.log_not_known().map(|why| {
                format!("WARNING: not checked whether the keyring has every key: {}.", why.text(datadir))
            });
            return Ok(unknown.into_iter().collect());
        };
        let first = files.first().map_or_else(String::new, |file| file.shown());
        let lacks = format!(
            "{} does not have {} that files in {} need, such as {key} for {first}",
            self.site.at(copy).shown(),
            counted(needs.missing.len(), "master key"),
            datadir.shown()
        );
        // The administrator accepted this keyring, or the server has used it since.
        if witness_claims(self.places.fs(), datadir)?.is_some() {
            return Ok(vec![format!("WARNING: {lacks}: they cannot be read.")]);
        }
        let (place, unlock) = (self.site.at(copy).shown(), self.secret().option());
        Err(Error::Usage(format!(
            "{lacks}. If these are keys of another kind of keyring, import them first: keyringctl import --help. To find \
             the right copy of this kind: keyringctl which {place} BACKUP --datadir {}{unlock}. Only if these files are \
             given up, accept the keyring, with the server stopped: keyringctl witness accept {place} --datadir {}{unlock} \
             --accept-missing-keys. Then run setup again. Nothing was changed",
            datadir.shown(),
            datadir.shown()
        )))
    }
}
