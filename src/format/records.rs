// SPDX-License-Identifier: GPL-2.0-or-later
//! Sealed records. Each holds one key, is encrypted, and is chained to the one before by its MAC, so that no
//! record can be changed, removed, repeated or reordered.

use super::bytes::FieldReader;
use super::commit::{Commit, Committed, OtherSlot};
use super::crypto::{DataKeys, IV_LEN, TAG_LEN, Tag};
use super::error::{FormatError, Result};
use super::layout::{ANCESTOR_COUNT, FIXED_LEN, MAX_BODY, RECORD_FIELDS_LEN, RECORD_OVERHEAD, RETIRED_LEN};
use crate::key::{KeyType, NameRef, check_length};
use crate::secret::{Locked, random_array};
use std::collections::VecDeque;
use std::num::NonZeroU64;

/// The kind of a key.
const KIND_KEY: u8 = 1;
/// The kind of a retired key.
const KIND_RETIRED: u8 = 2;

/// A key that is sealed in a record, or was read from one.
#[derive(Clone, Copy)]
pub struct KeyRecord<'a> {
    /// Id and user.
    pub name: NameRef<'a>,
    /// Type.
    pub key_type: &'a KeyType,
    /// When the key was stored, in seconds since 1970.
    pub created: u64,
    /// When the key was retired, in seconds since 1970. A retired key still answers.
    pub retired: Option<NonZeroU64>,
    /// The bytes of the key. Never shown.
    pub data: &'a [u8],
}

impl KeyRecord<'_> {
    /// Length of the sealed record.
    pub fn sealed_len(&self) -> usize {
        RECORD_OVERHEAD + self.body_len()
    }

    fn body_len(&self) -> usize {
        RECORD_FIELDS_LEN
            + self.retired.map_or(0, |_| RETIRED_LEN)
            + self.key_type.bytes().len()
            + self.name.id().len()
            + self.name.user().len()
            + self.data.len()
    }

    /// Writes the fields to `body`, which has [`KeyRecord::body_len`] bytes.
    fn lay_out(&self, body: &mut [u8]) {
        let created = self.created.to_le_bytes();
        let retired = self.retired.map(|at| at.get().to_le_bytes());
        let kind = if retired.is_some() { KIND_RETIRED } else { KIND_KEY };
        // Names, types and keys cannot be made with longer fields.
        let lengths =
            [self.key_type.bytes().len() as u8, self.name.id().len() as u8, self.name.user().len() as u8];
        let data_len = (self.data.len() as u32).to_le_bytes();
        let fields: [&[u8]; 9] = [
            &[kind],
            &created,
            retired.as_ref().map_or(&[], |at| &at[..]),
            &lengths,
            &data_len,
            self.key_type.bytes(),
            self.name.id(),
            self.name.user(),
            self.data,
        ];
        let mut rest = body;
        for field in fields {
            if let Some((to, tail)) = rest.split_at_mut_checked(field.len()) {
                to.copy_from_slice(field);
                rest = tail;
            } else {
                rest = &mut [];
            }
        }
    }
}

/// Seals and opens records. Owns the locked memory that holds one record in plaintext.
#[derive(Debug)]
pub struct Sealer(Locked);

impl Sealer {
    /// Allocates the locked memory.
    ///
    /// # Errors
    /// No memory.
    pub fn new() -> Result<Self> {
        Ok(Self(Locked::new(MAX_BODY)?))
    }

    /// Seals `record`, which follows the record with MAC `chain`, appends it to `out` and returns its MAC.
    ///
    /// # Errors
    /// No randomness; a key that is too long for a record.
    pub fn seal(
        &mut self,
        keys: &DataKeys,
        chain: &Tag,
        record: &KeyRecord<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Tag> {
        let len = record.body_len();
        let body = self
            .0
            .get_mut(..len)
            .ok_or(FormatError::Damaged { offset: 0, what: "record too long to write" })?;
        record.lay_out(body);
        let iv = random_array()?;
        keys.record_encryption().apply(&iv, body)?;
        let len = (len as u32).to_le_bytes();
        let tag = keys.record_mac().tag(&[chain, &len, &iv, body]);
        for part in [&len[..], &iv, body, &tag] {
            out.extend_from_slice(part);
        }
        Ok(tag)
    }

    /// Opens the record at the front of `bytes`. Returns `None` if no complete, authentic record follows
    /// there.
    fn open<'a>(
        &'a mut self,
        keys: &DataKeys,
        chain: &Tag,
        bytes: &mut FieldReader<'_>,
    ) -> Result<Option<(Body<'a>, Tag)>> {
        let Some((len, iv, sealed, tag)) = (|| {
            let len: [u8; 4] = bytes.array()?;
            let n = u32::from_le_bytes(len) as usize;
            (n <= MAX_BODY).then_some(())?;
            Some((len, bytes.array::<IV_LEN>()?, bytes.take(n)?, bytes.array::<TAG_LEN>()?))
        })() else {
            return Ok(None);
        };
        if !keys.record_mac().verify(&[chain, &len, &iv, sealed], &tag) {
            return Ok(None);
        }
        let body = self.0.get_mut(..sealed.len()).unwrap_or_default();
        body.copy_from_slice(sealed);
        keys.record_encryption().apply(&iv, body)?;
        Ok(Some((Body(body), tag)))
    }
}

/// A record in plaintext, in locked memory.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    /// Passes the fields to `each`. Returns `None` if this is not a record of version 1.
    fn read<R>(&self, each: impl FnOnce(KeyRecord<'_>) -> R) -> Option<R> {
        let mut r = FieldReader(self.0);
        let kind = r.u8()?;
        let created = r.u64()?;
        let retired = match kind {
            KIND_KEY => None,
            KIND_RETIRED => Some(NonZeroU64::new(r.u64()?)?),
            _ => return None,
        };
        let [type_len, id_len, user_len] = r.array::<3>()?.map(usize::from);
        let data_len = r.u32()? as usize;
        let key_type = KeyType::new(r.take(type_len)?).ok()?;
        let id = r.take(id_len)?;
        let name = NameRef::new(id, r.take(user_len)?).ok()?;
        let data = r.take(data_len)?;
        (check_length(data_len).is_ok() && r.0.is_empty()).then_some(())?;
        Some(each(KeyRecord { name, key_type: &key_type, created, retired, data }))
    }
}

/// The end of the records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tail {
    /// The state that the records amount to.
    pub commit: Commit,
    /// Number of complete records after the committed ones, which count too.
    pub rolled_forward: u64,
    /// The states under this epoch before that one, the newest first, at most [`ANCESTOR_COUNT`].
    pub before: Vec<Commit>,
}

/// Verifies and opens all records, and passes each key to `each` in the order in which they were stored.
/// `bytes` is the file from [`FIXED_LEN`] on, `start` the MAC of the header.
///
/// The commit slot says how much must verify. Records that verify after that count too: somebody with the
/// keys wrote them there, and they may have been acknowledged before their commit slot was lost.
///
/// # Errors
/// [`FormatError::Damaged`] if fewer bytes or records verify than were committed. The keys passed to `each`
/// must not be used then. Errors of `each`.
pub fn read(
    bytes: &[u8],
    keys: &DataKeys,
    start: &Tag,
    committed: &Committed,
    sealer: &mut Sealer,
    mut each: impl FnMut(KeyRecord<'_>) -> Result<()>,
) -> Result<Tail> {
    let Committed { mut commit, other } = *committed;
    let at = |r: &FieldReader<'_>| (FIXED_LEN + bytes.len() - r.0.len()) as u64;
    let mut r = FieldReader(bytes);
    let mut chain = *start;
    let mut states = VecDeque::new();
    let mut note = |length, count, chain| {
        states.truncate(ANCESTOR_COUNT - 1);
        states.push_front(Commit { generation: 0, length, count, chain, note: None });
    };
    let mut next = |r: &mut FieldReader<'_>, chain: &mut Tag| -> Result<bool> {
        let offset = at(r);
        let Some((body, tag)) = sealer.open(keys, chain, r)? else { return Ok(false) };
        *chain = tag;
        body.read(&mut each).unwrap_or(Err(FormatError::Damaged { offset, what: "record fields" }))?;
        Ok(true)
    };
    let damaged = |offset, what| Err(FormatError::Damaged { offset, what });
    for count in 0..commit.count {
        let offset = at(&r);
        note(offset, count, chain);
        if !next(&mut r, &mut chain)? {
            return damaged(offset, "record");
        }
    }
    if at(&r) != commit.length || chain != commit.chain {
        return damaged(at(&r), "records do not end where the commit slot says");
    }
    let mut rolled_forward = 0;
    loop {
        let mut tail = FieldReader(r.0);
        if !next(&mut tail, &mut chain)? {
            break;
        }
        note(commit.length, commit.count, commit.chain);
        r = tail;
        rolled_forward += 1;
        commit = Commit {
            generation: commit.generation.saturating_add(1),
            length: at(&r),
            count: commit.count + 1,
            chain,
            note: commit.note,
        };
    }
    if other == OtherSlot::NamesNextRecord && rolled_forward == 0 {
        return damaged(commit.length, "the last record and the commit slot that names it");
    }
    // Each record appended to the file raised the generation by one. Going back through the records that the
    // file was written with, this also yields states that never existed; only the reader of the header can
    // tell which.
    let before = states.into_iter().filter_map(|state| {
        let generation = commit.generation.checked_sub(commit.count - state.count)?;
        (generation > 0).then_some(Commit { generation, ..state })
    });
    Ok(Tail { commit, rolled_forward, before: before.collect() })
}
