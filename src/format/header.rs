// SPDX-License-Identifier: GPL-2.0-or-later
//! The header: who the keyring is and how it is opened. It lies in the file twice; a copy that is
//! damaged does no harm while the other is whole.

use super::bytes::{FieldReader, FieldWriter};
use super::cost::BUDGET;
use super::crypto::{DataKeys, TAG_LEN, Tag};
use super::error::{FormatError, Result};
use super::layout::{ANCESTOR_COUNT, EPOCH_LEN, HEADER_LEN, LEFT_BEHIND_COUNT, STATE_ID_LEN};
use super::renewal::TOKEN_LEN;
use super::slots::{SLOT_COUNT, SLOT_LEN, Slot};
use super::state::StateId;
use super::unlocking::Unlocking;
use crate::secret::random_array;
use sha2::{Digest, Sha256};
use std::io;
use std::ops::Deref;
use uuid::Uuid;

/// The version this program writes and reads.
pub const VERSION: u32 = 1;
/// Longest label in bytes.
pub(crate) const LABEL_LEN: usize = 63;
/// A keyring file begins with these bytes.
pub const MAGIC: &[u8; 16] = b"KEYRING_EXTERNAL";

const SLOTS_AT: usize = 24 + 16 + EPOCH_LEN + 8 + 1 + LABEL_LEN;
const ANCESTORS_AT: usize = SLOTS_AT + SLOT_COUNT * SLOT_LEN;
const LEFT_BEHIND_AT: usize = ANCESTORS_AT + ANCESTOR_COUNT * STATE_ID_LEN;
const TOKENS_AT: usize = LEFT_BEHIND_AT + LEFT_BEHIND_COUNT * STATE_ID_LEN;
const MAC_AT: usize = HEADER_LEN - TAG_LEN - CHECKSUM_LEN;
const CHECKSUM_LEN: usize = 32;

/// What a header says, whether anybody vouches for it or not. For showing, and for finding the slots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimedHeader {
    /// The keyring's identity, kept for life.
    pub id: Uuid,
    /// Random, new each time the file is written whole: records of one writing do not fit another.
    pub epoch: [u8; EPOCH_LEN],
    /// When the keyring was made, in seconds since 1970.
    pub created: u64,
    /// A name for people, at most [`LABEL_LEN`] bytes.
    pub label: String,
    /// The unlock slots, at most [`SLOT_COUNT`].
    pub slots: Vec<Slot>,
    /// Earlier states, the newest first, at most [`ANCESTOR_COUNT`].
    pub ancestors: Vec<StateId>,
    /// The earlier states in which copies are that were away since, at most [`LEFT_BEHIND_COUNT`]: a copy that comes back is
    /// recognised however many changes there were meanwhile.
    pub(crate) left_behind: Vec<StateId>,
}

/// A header that the keys of its keyring vouch for: made new, or checked ([`Unchecked::check`]), and perhaps changed
/// since by a holder of the keys. There is no other way to one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header(ClaimedHeader);

impl Deref for Header {
    type Target = ClaimedHeader;

    fn deref(&self) -> &ClaimedHeader {
        &self.0
    }
}

impl Header {
    /// A header for a new keyring, still without slots.
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
            slots: Vec::new(),
            ancestors: Vec::new(),
            left_behind: Vec::new(),
        }))
    }

    /// Adds a slot.
    ///
    /// # Errors
    /// [`FormatError::NoFreeSlot`]; as [`Header::set_slots`].
    pub fn add(&mut self, slot: Slot) -> Result<()> {
        if self.slots.len() >= SLOT_COUNT {
            return Err(FormatError::NoFreeSlot);
        }
        self.set_slots(self.slots.iter().cloned().chain([slot]).collect())
    }

    /// Puts other slots in the place of these.
    ///
    /// # Errors
    /// When they ask for more Argon2id than a reader spends.
    pub fn set_slots(&mut self, slots: Vec<Slot>) -> Result<()> {
        if !is_bounded(&slots) {
            let why = "the unlock slots would cost more Argon2id together than one opening may";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why).into());
        }
        self.0.slots = slots;
        Ok(())
    }

    /// Puts other earlier states in the place of these.
    pub(crate) fn set_ancestors(&mut self, ancestors: Vec<StateId>, left_behind: Vec<StateId>) {
        self.0.ancestors = ancestors;
        self.0.left_behind = left_behind;
    }

    /// The same header for a file that is written whole.
    ///
    /// # Errors
    /// No randomness.
    pub(crate) fn with_new_epoch(&self) -> Result<Self> {
        let mut header = self.clone();
        header.0.epoch = random_array()?;
        Ok(header)
    }

    /// One copy of the header, and the MAC in it that the chain of records begins with.
    ///
    /// # Errors
    /// Never in practice.
    pub fn encode(&self, keys: &DataKeys) -> Result<(Vec<u8>, Tag)> {
        let mut w = FieldWriter::with_capacity(HEADER_LEN);
        w.put(MAGIC)
            .put(&VERSION.to_le_bytes())
            .pad_to(24)
            .put(self.id.as_bytes())
            .put(&self.epoch)
            .put(&self.created.to_le_bytes())
            .text(&self.label, LABEL_LEN);
        for slot in &self.slots {
            w.put(&slot.encode());
        }
        w.pad_to(ANCESTORS_AT);
        for (states, at_most, end) in [
            (&self.ancestors, ANCESTOR_COUNT, LEFT_BEHIND_AT),
            (&self.left_behind, LEFT_BEHIND_COUNT, TOKENS_AT),
        ] {
            for state in states.iter().take(at_most) {
                state.encode(&mut w);
            }
            w.pad_to(end);
        }
        for slot in &self.slots {
            w.put(&slot.token);
        }
        w.pad_to(MAC_AT);
        let tag = keys.header_mac().tag(&[&w.0])?;
        w.put(&tag);
        let checksum = Sha256::digest(&w.0);
        w.put(&checksum);
        Ok((w.0, tag))
    }
}

/// A header as read: its checksum is right, but nobody has vouched for it yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unchecked {
    claims: ClaimedHeader,
    bytes: Vec<u8>,
}

impl Unchecked {
    /// What the header claims. For showing only.
    pub fn claims(&self) -> &ClaimedHeader {
        &self.claims
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let damaged = |what| FormatError::Damaged { offset: 0, what };
        let mut r = FieldReader(bytes);
        if r.array() != Some(*MAGIC) {
            return Err(FormatError::NotAKeyring);
        }
        let (body, checksum) =
            bytes.split_at_checked(HEADER_LEN - CHECKSUM_LEN).ok_or_else(|| damaged("header cut short"))?;
        if Sha256::digest(body)[..] != *checksum {
            return Err(damaged("header"));
        }
        let version = r.u32().unwrap_or_default();
        if version != VERSION {
            return Err(FormatError::Newer(version));
        }
        let claims = Self::fields(r).ok_or_else(|| damaged("header fields"))?;
        Ok(Self { claims, bytes: bytes.to_vec() })
    }

    fn fields(mut r: FieldReader<'_>) -> Option<ClaimedHeader> {
        r.array::<4>()?;
        let mut header = ClaimedHeader {
            id: Uuid::from_bytes(r.array()?),
            epoch: r.array()?,
            created: r.u64()?,
            label: r.text(LABEL_LEN)?,
            slots: Vec::new(),
            ancestors: Vec::new(),
            left_behind: Vec::new(),
        };
        let mut used = Vec::new();
        for index in 0..SLOT_COUNT {
            let slot = Slot::decode(r.take(SLOT_LEN)?)?;
            used.extend(slot.is_some().then_some(index));
            header.slots.extend(slot);
        }
        is_bounded(&header.slots).then_some(())?;
        for index in 0..ANCESTOR_COUNT + LEFT_BEHIND_COUNT {
            let state = StateId::decode(&mut FieldReader(r.take(STATE_ID_LEN)?))?;
            let states = if index < ANCESTOR_COUNT { &mut header.ancestors } else { &mut header.left_behind };
            // Generations begin at 1: this one is unused.
            if state.generation() > 0 {
                states.push(state);
            }
        }
        // Written with all slots in a row; a file may have them otherwise.
        let tokens = r;
        for (slot, index) in header.slots.iter_mut().zip(used) {
            let mut r = FieldReader(tokens.0);
            r.take(index * TOKEN_LEN)?;
            slot.token = r.array()?;
        }
        Some(header)
    }

    /// The keys of an open keyring vouch for this header: returns it, and the MAC that the chain begins with.
    ///
    /// # Errors
    /// [`FormatError::Damaged`] when they do not.
    pub fn check(&self, keys: &DataKeys) -> Result<(Header, Tag)> {
        let mut r = FieldReader(&self.bytes);
        let body = r.take(MAC_AT).unwrap_or_default();
        let tag: Tag = r.array().unwrap_or_default();
        if keys.header_mac().fits(&[body], &tag)? {
            Ok((Header(self.claims.clone()), tag))
        } else {
            Err(FormatError::Damaged { offset: 0, what: "header authentication" })
        }
    }

    /// Opens the header with an unlock secret.
    ///
    /// # Errors
    /// As [`Unlocking::open_any`]; [`FormatError::Damaged`] when a slot opens but the header is not what was written
    /// with it.
    pub fn unlock(&self, unlocking: &Unlocking) -> Result<(DataKeys, Header, Tag)> {
        let data_key = unlocking.open_any(&self.claims.slots, &self.claims.id)?;
        let keys = DataKeys::derive(&data_key, &self.claims.id)?;
        let (header, tag) = self.check(&keys)?;
        Ok((keys, header, tag))
    }
}

/// Whether a reader tries all of these slots, see [`BUDGET`].
fn is_bounded(slots: &[Slot]) -> bool {
    slots.iter().map(|slot| slot.cost.work()).sum::<u64>() <= BUDGET
}

/// The copies of the header at the front of a file: those whose checksum is right, each once.
#[derive(Debug)]
pub struct HeaderCopies {
    /// The readable copies, at least one.
    pub readable: Vec<Unchecked>,
    /// Whether a copy was unreadable.
    pub damaged: bool,
}

/// Reads both copies of the header from the front of a file.
///
/// # Errors
/// When neither can be read: not a keyring, of a newer version, or damaged.
pub fn read(front: &[u8]) -> Result<HeaderCopies> {
    if front.len() < 2 * HEADER_LEN {
        let begins = !front.is_empty() && front.iter().zip(MAGIC).all(|(a, b)| a == b);
        return Err(if begins {
            FormatError::Damaged { offset: front.len() as u64, what: "the file ends inside its header" }
        } else {
            FormatError::NotAKeyring
        });
    }
    let mut readable: Vec<Unchecked> = Vec::new();
    let mut first_error = None;
    for bytes in front.chunks_exact(HEADER_LEN).take(2) {
        match Unchecked::parse(bytes) {
            Ok(copy) if readable.contains(&copy) => {}
            Ok(copy) => readable.push(copy),
            Err(e @ FormatError::NotAKeyring) => {
                first_error.get_or_insert(e);
            }
            // Damaged or newer says more than "not a keyring".
            Err(e) => first_error = Some(e),
        }
    }
    match first_error {
        Some(e) if readable.is_empty() => Err(e),
        e => Ok(HeaderCopies { damaged: e.is_some() || readable.len() > 1, readable }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::commit::Commit;
    use crate::format::cost::Cost;
    use crate::format::slots::SlotKind;
    use crate::secret::Locked;
    use crate::secret::UnlockSecret;

    fn unlocking(secret: &[u8]) -> Unlocking {
        UnlockSecret::new(Locked::copy_of(secret).unwrap()).into()
    }

    fn made() -> (Header, DataKeys, Vec<u8>) {
        let mut header = Header::new("biobank", 11).unwrap();
        let keys = DataKeys::generate(&header.id).unwrap();
        let slot = Slot::seal(SlotKind::SecretFile, Cost::NONE, "server", 5, &[3; 32], &keys, &header.id);
        header.add(slot.unwrap()).unwrap();
        let front = header.encode(&keys).unwrap().0.repeat(2);
        (header, keys, front)
    }

    #[test]
    fn a_header_is_read_back_and_opened() {
        let (header, keys, front) = made();
        let copies = read(&front).unwrap();
        assert!(!copies.damaged);
        assert_eq!(copies.readable[0].claims(), &*header);
        let (found, checked, _) = copies.readable[0].unlock(&unlocking(&[3; 32])).unwrap();
        assert!(found == keys && checked == header);
        let wrong = copies.readable[0].unlock(&unlocking(&[4; 32]));
        assert!(matches!(wrong, Err(FormatError::WrongSecret { .. })));
    }

    #[test]
    fn one_damaged_copy_does_no_harm_and_two_are_damage() {
        let (header, _, front) = made();
        for at in 0..2 * HEADER_LEN {
            let mut changed = front.clone();
            changed[at] ^= 0x40;
            let copies = read(&changed).unwrap();
            assert!(copies.damaged);
            assert_eq!(copies.readable[0].claims(), &*header);
        }
        let mut changed = front.clone();
        changed[100] ^= 1;
        changed[HEADER_LEN + 100] ^= 1;
        assert!(matches!(read(&changed), Err(FormatError::Damaged { .. })));
    }

    #[test]
    fn a_forged_checksum_does_not_pass_the_keys() {
        let (mut header, keys, _) = made();
        let other = DataKeys::generate(&header.id).unwrap();
        header.0.label = "forged".to_owned();
        let front = header.encode(&other).unwrap().0.repeat(2);
        let copies = read(&front).unwrap();
        assert!(matches!(copies.readable[0].check(&keys), Err(FormatError::Damaged { .. })));
    }

    #[test]
    fn other_files_and_versions_are_told_apart() {
        assert!(matches!(read(b""), Err(FormatError::NotAKeyring)));
        assert!(matches!(read(&[0; 10000]), Err(FormatError::NotAKeyring)));
        let (_, _, front) = made();
        assert!(matches!(read(&front[..5000]), Err(FormatError::Damaged { .. })));
        let mut newer = front[..HEADER_LEN].to_vec();
        newer[16] = 2;
        let checksum = Sha256::digest(&newer[..HEADER_LEN - 32]);
        newer[HEADER_LEN - 32..].copy_from_slice(&checksum);
        assert!(matches!(read(&newer.repeat(2)), Err(FormatError::Newer(2))));
    }

    #[test]
    fn earlier_states_are_told_from_others() {
        let (mut header, keys, _) = made();
        let at = |generation, chain| Commit { generation, length: 0, count: 0, chain: [chain; 32] };
        let (a, b) = ([1; EPOCH_LEN], [2; EPOCH_LEN]);
        header.0.ancestors = vec![StateId::new(&a, &at(9, 3)), StateId::new(&b, &at(4, 3))];
        header.0.left_behind = vec![StateId::new(&a, &at(2, 3))];
        let front = header.encode(&keys).unwrap().0.repeat(2);
        let read = read(&front).unwrap().readable[0].check(&keys).unwrap().0;
        assert_eq!(read, header);
        let descends_from = |epoch: &[u8; EPOCH_LEN], commit: &Commit| {
            let state = StateId::new(epoch, commit);
            read.ancestors.contains(&state) || read.left_behind.contains(&state)
        };
        assert!(descends_from(&a, &at(9, 3)) && descends_from(&a, &at(2, 3)));
        assert!(!descends_from(&a, &at(8, 7)), "perhaps a fork from before that");
        assert!(!descends_from(&a, &at(9, 4)), "another state of the same generation");
        assert!(!descends_from(&a, &at(10, 3)), "a later one");
        assert!(!descends_from(&[3; EPOCH_LEN], &at(1, 3)));
        header.0.ancestors = vec![StateId::new(&a, &at(9, 3)); ANCESTOR_COUNT + 1];
        header.0.left_behind = vec![StateId::new(&b, &at(8, 3)); LEFT_BEHIND_COUNT + 1];
        assert_eq!(header.encode(&keys).unwrap().0.len(), HEADER_LEN);
    }

    /// Puts bytes into a front's headers and makes the checksums fit.
    fn patched(front: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut copy = front[..HEADER_LEN].to_vec();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        let checksum = Sha256::digest(&copy[..HEADER_LEN - 32]);
        copy[HEADER_LEN - 32..].copy_from_slice(&checksum);
        copy.repeat(2)
    }

    #[test]
    fn a_label_that_is_no_text_is_damage() {
        let front = made().2;
        let damaged = |at, bytes: &[u8]| {
            matches!(
                read(&patched(&front, at, bytes)),
                Err(FormatError::Damaged { what: "header fields", .. })
            )
        };
        assert!(!damaged(65, b"BIO"));
        assert!(damaged(65, &[0xff]), "not UTF-8");
        assert!(damaged(72, b"x"), "a byte behind its end");
        assert!(damaged(64, &[6]), "shorter than its bytes");
        assert!(damaged(64, &[64]), "longer than its field");
    }

    #[test]
    fn slots_that_cost_more_than_one_opening_spends_are_damage() {
        let (mut header, keys, _) = made();
        let cheap = Cost { memory_kib: 32, passes: 1, lanes: 1 };
        let mut slot = Slot::seal(SlotKind::Passphrase, cheap, "", 5, b"secret", &keys, &header.id).unwrap();
        slot.cost = Cost { memory_kib: 1 << 20, passes: 3, lanes: 1 };
        header.add(slot.clone()).unwrap();
        header.add(slot.clone()).unwrap();
        assert!(read(&header.encode(&keys).unwrap().0.repeat(2)).is_ok());
        assert!(header.add(slot.clone()).is_err());
        assert_eq!(header.slots.len(), 3);
        header.0.slots.push(slot);
        let read = read(&header.encode(&keys).unwrap().0.repeat(2));
        assert!(matches!(read, Err(FormatError::Damaged { what: "header fields", .. })));
    }

    #[test]
    fn the_ninth_slot_is_refused() {
        let (mut header, _, _) = made();
        let slot = header.slots[0].clone();
        for _ in 1..SLOT_COUNT {
            header.add(slot.clone()).unwrap();
        }
        assert!(matches!(header.add(slot), Err(FormatError::NoFreeSlot)));
    }
}
