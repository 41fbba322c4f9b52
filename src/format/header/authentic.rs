// SPDX-License-Identifier: GPL-2.0-or-later
//! A header that is authentic.

use super::fields::{ClaimedHeader, is_bounded};
use crate::format::bytes::{FieldReader, FieldWriter};
use crate::format::crypto::{DataKeys, Tag};
use crate::format::error::{FormatError, Result};
use crate::format::layout::LABEL_LEN;
use crate::format::slots::{Slot, Slots};
use crate::format::state::StateId;
use crate::secret::random_array;
use sha2::{Digest, Sha256};
use std::io;
use std::ops::Deref;

/// A header that is authentic: either created here, or checked with the keys of the keyring
/// ([`Unchecked::check`](super::Unchecked::check)). It may have been changed since by code that holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header(pub(super) ClaimedHeader);

impl Deref for Header {
    type Target = ClaimedHeader;

    fn deref(&self) -> &ClaimedHeader {
        &self.0
    }
}

impl Header {
    /// Creates the header of a new keyring, without slots.
    ///
    /// # Errors
    /// No randomness.
    pub fn new(label: &str, created: u64) -> Result<Self> {
        Ok(Header(ClaimedHeader {
            id: uuid::Builder::from_random_bytes(random_array()?).into_uuid(),
            epoch: random_array()?,
            created,
            label: FieldReader(&FieldWriter::with_capacity(64).text(label, LABEL_LEN).0)
                .text(LABEL_LEN)
                .unwrap_or_default(),
            slots: Slots::default(),
            ancestors: Vec::new(),
            left_behind: Vec::new(),
        }))
    }

    /// Adds a slot at the lowest free position, and returns its number.
    ///
    /// # Errors
    /// [`FormatError::NoFreeSlot`]; as [`Header::set_slots`].
    pub fn add(&mut self, slot: Slot) -> Result<usize> {
        let mut slots = self.slots.clone();
        let number = slots.add(slot).ok_or(FormatError::NoFreeSlot)?;
        self.set_slots(slots)?;
        Ok(number)
    }

    /// Replaces the slots.
    ///
    /// # Errors
    /// If the slots together cost more Argon2id than a reader spends.
    pub fn set_slots(&mut self, slots: Slots) -> Result<()> {
        if !is_bounded(&slots) {
            let why = "the unlock slots would cost more Argon2id together than one opening may";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why).into());
        }
        self.0.slots = slots;
        Ok(())
    }

    /// Replaces the lists of ancestors.
    pub(crate) fn set_ancestors(&mut self, ancestors: Vec<StateId>, left_behind: Vec<StateId>) {
        self.0.ancestors = ancestors;
        self.0.left_behind = left_behind;
    }

    /// Copies the header for a file that is written as a whole, which gets a new epoch.
    ///
    /// # Errors
    /// No randomness.
    pub(crate) fn with_new_epoch(&self) -> Result<Self> {
        let mut header = self.clone();
        header.0.epoch = random_array()?;
        Ok(header)
    }

    /// Returns one copy of the header, and its MAC, with which the chain of records starts.
    pub fn encode(&self, keys: &DataKeys) -> (Vec<u8>, Tag) {
        let mut w = self.0.encode();
        let tag = keys.header_mac().tag(&[&w.0]);
        w.put(&tag);
        let checksum = Sha256::digest(&w.0);
        w.put(&checksum);
        (w.0, tag)
    }
}
