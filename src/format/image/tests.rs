// SPDX-License-Identifier: GPL-2.0-or-later
//! Files sealed, opened, truncated and mixed.

use super::*;
use crate::format::commit::Commit;
use crate::format::cost::Cost;
use crate::format::crypto::DataKeys;
use crate::format::error::{FormatError, Result};
use crate::format::header::Header;
use crate::format::layout::FIXED_LEN;
use crate::format::records::{KeyRecord, Sealer};
use crate::format::slots::{Slot, SlotKind};
use crate::format::unlocking::Unlocking;
use crate::key::{KeyType, NameRef};
use crate::secret::Locked;
use crate::secret::UnlockSecret;

type Records = Vec<(Vec<u8>, Vec<u8>)>;

fn secret() -> Unlocking {
    UnlockSecret::new(Locked::copy_of(&[3; 40]).unwrap()).into()
}

fn made(names: &[&str]) -> (DataKeys, Image) {
    let mut header = Header::new("", 1).unwrap();
    let keys = DataKeys::generate(&header.id).unwrap();
    let slot = Slot::seal(SlotKind::SecretFile, Cost::NONE, "", 1, &[3; 40], &keys, &header.id);
    header.add(slot.unwrap()).unwrap();
    let key_type = KeyType::new(b"AES").unwrap();
    let records = names.iter().map(|n| KeyRecord {
        name: NameRef::new(n.as_bytes(), b"u").unwrap(),
        key_type: &key_type,
        created: 9,
        retired: None,
        data: n.as_bytes(),
    });
    let image = Image::seal(&header, &keys, 1, None, records, &mut Sealer::new().unwrap()).unwrap();
    (keys, image)
}

fn open(bytes: &[u8]) -> Result<(Records, Vec<Note>, Commit)> {
    let secret = secret();
    let mut front = open_front(&bytes[..bytes.len().min(FIXED_LEN)], Opener::Secret(&secret))?;
    let keys = front.keys.take().unwrap();
    let mut found = Vec::new();
    let commit = read_records(
        bytes.get(FIXED_LEN..).unwrap_or_default(),
        bytes.len() as u64,
        &keys,
        &mut front,
        &mut Sealer::new()?,
        |r| {
            found.push((r.name.id().to_vec(), r.data.to_vec()));
            Ok(())
        },
    )?;
    Ok((found, front.notes, commit))
}

fn found(names: &[&str]) -> Records {
    names.iter().map(|n| (n.as_bytes().to_vec(), n.as_bytes().to_vec())).collect()
}

#[test]
fn keys_are_read_back() {
    let (_, image) = made(&["one", "two"]);
    let (keys, notes, commit) = open(&image.bytes).unwrap();
    assert_eq!((keys, notes), (found(&["one", "two"]), vec![]));
    assert_eq!(commit, image.commit);
}

/// The commit slot of an append is unwritten, torn or complete; then the record is truncated.
#[test]
fn a_complete_record_counts_and_a_slot_that_names_it_requires_it() {
    let (keys, image) = made(&["one"]);
    let key_type = KeyType::new(b"AES").unwrap();
    let record = KeyRecord {
        name: NameRef::new(b"two", b"u").unwrap(),
        key_type: &key_type,
        created: 9,
        retired: None,
        data: b"two",
    };
    let mut bytes = image.bytes.clone();
    let chain = Sealer::new().unwrap().seal(&keys, &image.commit.chain, &record, &mut bytes).unwrap();
    let grown = bytes.len() - image.bytes.len();
    assert_eq!(grown, record.sealed_len());
    let next = Commit { generation: 2, length: bytes.len() as u64, count: 2, chain, note: None };
    let slot = next.encode(&keys, &image.header.epoch);
    let at = next.offset() as usize;
    let (one, both) = (found(&["one"]), found(&["one", "two"]));

    assert_eq!(open(&bytes).unwrap(), (both.clone(), vec![Note::RolledForward(1)], next));
    for cut in 1..grown {
        let ignored = vec![Note::Ignored((grown - cut) as u64)];
        assert_eq!(open(&bytes[..bytes.len() - cut]).unwrap(), (one.clone(), ignored, image.commit));
    }
    for torn in [9, 20, 40, 80] {
        let mut bytes = bytes.clone();
        bytes[at..at + torn].copy_from_slice(&slot[..torn]);
        let notes = vec![Note::CommitSlot, Note::RolledForward(1)];
        assert_eq!(open(&bytes).unwrap(), (both.clone(), notes, next));
        // From here on the slot shows that the record is missing.
        let lost = open(&bytes[..bytes.len() - 1]);
        assert_eq!(matches!(lost, Err(FormatError::Damaged { .. })), torn >= 20, "torn at {torn}");
    }
    bytes[at..at + slot.len()].copy_from_slice(&slot);
    assert_eq!(open(&bytes).unwrap(), (both, vec![], next));
    assert!(matches!(open(&bytes[..bytes.len() - 1]), Err(FormatError::Damaged { .. })));
}

#[test]
fn only_possible_records_are_read() {
    let (_, image) = made(&["one"]);
    let secret = secret();
    let front = open_front(&image.bytes[..FIXED_LEN], Opener::Secret(&secret)).unwrap();
    let records = image.bytes.len() as u64 - FIXED_LEN as u64;
    assert_eq!(front.bytes_to_read(image.bytes.len() as u64), records);
    assert!((records..2 << 20).contains(&front.bytes_to_read(u64::MAX)));
    assert_eq!(front.bytes_to_read(0), 0);
}

#[test]
fn records_of_another_epoch_or_order_are_refused() {
    let (keys, first) = made(&["aaa", "bbb"]);
    let again =
        Image::seal(&first.header, &keys, 2, None, std::iter::empty(), &mut Sealer::new().unwrap()).unwrap();
    let mut mixed = first.bytes.clone();
    mixed[..FIXED_LEN / 2].copy_from_slice(&again.bytes[..FIXED_LEN / 2]);
    assert!(matches!(open(&mixed), Err(FormatError::Damaged { .. })));

    let half = FIXED_LEN + (first.bytes.len() - FIXED_LEN) / 2;
    let swapped = [&first.bytes[..FIXED_LEN], &first.bytes[half..], &first.bytes[FIXED_LEN..half]].concat();
    assert!(matches!(open(&swapped), Err(FormatError::Damaged { offset: 16384, what: "record" })));
}
