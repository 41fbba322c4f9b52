// SPDX-License-Identifier: GPL-2.0-or-later
//! A keyring that is not on disk yet.

use super::clock::now;
use super::sealing::{RECOVERY_NAME, custodians_name, seal, seal_custodians, seal_recovery};
use crate::custodians::{Custodians, Share};
use crate::error::Result;
use crate::format::FormatError;
use crate::format::audit_key::AuditKey;
use crate::format::cost::Cost;
use crate::format::crypto::DataKeys;
use crate::format::header::Header;
use crate::format::image::Image;
use crate::format::records::Sealer;
use crate::recovery::RecoveryKey;
use crate::secret::UnlockSecret;
use crate::store::places::Places;
use crate::store::vacancy::{CreatedCopy, Vacancy};
use std::path::PathBuf;

/// A keyring that is not on disk yet.
#[derive(Debug)]
pub struct NewKeyring {
    header: Header,
    keys: DataKeys,
}

impl NewKeyring {
    /// The generation of a new keyring.
    pub const GENERATION: u64 = 1;

    /// Creates a keyring that `secret`, read from `source_name`, unlocks. If the secret is text, it is a
    /// passphrase and goes through Argon2id with `cost`. Otherwise it is a random secret of at least 32
    /// bytes.
    ///
    /// # Errors
    /// A secret that is too short; no memory or randomness.
    pub fn new(label: &str, secret: &UnlockSecret, source_name: &str, cost: Cost) -> Result<Self> {
        let header = Header::new(label, now()).map_err(FormatError::in_memory)?;
        let keys = DataKeys::generate(&header.id).map_err(FormatError::in_memory)?;
        let slot = seal(secret, source_name, "unlock secret", cost, &keys, &header.id)?;
        let mut new = Self { header, keys };
        new.header.add(slot).map_err(FormatError::in_memory)?;
        Ok(new)
    }

    /// Adds a slot for a new recovery key.
    ///
    /// # Errors
    /// No memory or randomness.
    pub fn add_recovery(&mut self) -> Result<RecoveryKey> {
        let key = RecoveryKey::generate()?;
        let slot = seal_recovery(&key, RECOVERY_NAME, &self.keys, &self.header.id)?;
        self.header.add(slot).map_err(FormatError::in_memory)?;
        Ok(key)
    }

    /// Adds a slot for custodians. Returns their shares.
    ///
    /// # Errors
    /// No memory or randomness.
    pub fn add_custodians(&mut self, custodians: Custodians) -> Result<Vec<Share>> {
        let (secret, shares) = Share::split(custodians, &self.header.id)?;
        let name = custodians_name(None, &shares);
        let slot = seal_custodians(custodians, &secret, &name, &self.keys, &self.header.id)?;
        self.header.add(slot).map_err(FormatError::in_memory)?;
        Ok(shares)
    }

    /// The header, before it is written.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The key that authenticates lines of the audit log about it.
    ///
    /// # Errors
    /// No memory.
    pub fn audit_key(&self) -> Result<AuditKey> {
        AuditKey::of(&self.keys).map_err(FormatError::in_memory)
    }

    /// Writes the keyring durably, with the same bytes at each path. The paths must be free.
    ///
    /// # Errors
    /// [`BadRequest::AlreadyThere`](crate::error::BadRequest::AlreadyThere); I/O errors. Then no copy
    /// remains.
    pub fn write(&self, places: &Places, paths: &[PathBuf]) -> Result<()> {
        let copies = places.replicas(paths)?;
        self.write_to(&copies.iter().map(|copy| copy.find_vacant()).collect::<Result<Vec<_>>>()?)
    }

    /// As [`NewKeyring::write`], for paths that were checked before.
    ///
    /// # Errors
    /// As [`NewKeyring::write`]; [`Refusal::Missing`](crate::error::Refusal::Missing) if a volume is gone.
    pub fn write_to(&self, places: &[Vacancy]) -> Result<()> {
        self.make_at(places).map(drop)
    }

    /// As [`NewKeyring::write_to`]. Returns the created copies, so that the caller can remove them.
    ///
    /// # Errors
    /// As [`NewKeyring::write_to`].
    pub fn make_at(&self, places: &[Vacancy]) -> Result<Vec<CreatedCopy>> {
        let mut sealer = Sealer::new().map_err(FormatError::in_memory)?;
        let image =
            Image::seal(&self.header, &self.keys, Self::GENERATION, None, std::iter::empty(), &mut sealer)
                .map_err(FormatError::in_memory)?;
        let mut made = Vec::new();
        for place in places {
            made.push(place.create(&image.bytes).inspect_err(|_| made.iter().for_each(CreatedCopy::remove))?);
        }
        Ok(made)
    }
}
