// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring file itself: docs/FORMAT.md.

use super::authentic;
use keyring_external::format::Result;
use keyring_external::format::commit::{self, Commit, Committed, OtherSlot};
use keyring_external::format::crypto::{DataKeys, IV_LEN, Tag};
use keyring_external::format::header::{self, Header};
use keyring_external::format::image::{Image, Opener, open_front, read_records};
use keyring_external::format::layout::{FIXED_LEN, HEADER_LEN};
use keyring_external::format::records::{self, KeyRecord, Sealer};
use keyring_external::format::slots::{Slot, SlotKind};
use keyring_external::format::unlocking::Unlocking;
use keyring_external::key::{KeyName, KeyType};
use keyring_external::secret::{Locked, UnlockSecret};
use keyring_external::store::remote::head as remote;
use keyring_external::store::remote::head::{Head, PieceName};
use std::cell::RefCell;

/// The secret of most golden vectors. It is not text, so no passphrase slot runs Argon2id.
pub const SECRET: [u8; 40] = [0xe7; 40];

thread_local! {
    static SEALER: RefCell<Sealer> = RefCell::new(Sealer::new().expect("memory"));
}

/// A record as it was read.
struct Read {
    name: KeyName,
    key_type: KeyType,
    created: u64,
    retired: Option<std::num::NonZeroU64>,
    data: Vec<u8>,
}

impl Read {
    fn of(record: &KeyRecord<'_>) -> Self {
        let KeyRecord { name, key_type, created, retired, data } = *record;
        Read { name: name.to_owned(), key_type: key_type.clone(), created, retired, data: data.to_vec() }
    }

    fn record(&self) -> KeyRecord<'_> {
        KeyRecord {
            name: self.name.as_ref(),
            key_type: &self.key_type,
            created: self.created,
            retired: self.retired,
            data: &self.data,
        }
    }

    fn is(&self, other: &Read) -> bool {
        self.name == other.name
            && self.key_type == other.key_type
            && self.created == other.created
            && self.retired == other.retired
            && self.data == other.data
    }
}

/// An opened file.
struct Opened {
    header: Header,
    commit: Commit,
    records: Vec<Read>,
    intact: bool,
}

fn unlocking() -> Unlocking {
    UnlockSecret::new(Locked::copy_of(&SECRET).expect("memory")).into()
}

fn open(file: &[u8], opener: Opener<'_>) -> Result<Opened> {
    let mut front = open_front(&file[..file.len().min(FIXED_LEN)], opener)?;
    let wanted = front.bytes_to_read(file.len() as u64) as usize;
    let bytes = &file[FIXED_LEN.min(file.len())..][..wanted];
    let own = front.keys.take();
    let keys = match (&own, opener) {
        (Some(keys), _) | (None, Opener::Keys(keys)) => keys,
        (None, Opener::Secret(_)) => panic!("a secret opened the file, and gave no keys"),
    };
    let mut records = Vec::new();
    let commit = SEALER.with_borrow_mut(|sealer| {
        read_records(bytes, file.len() as u64, keys, &mut front, sealer, |record| {
            records.push(Read::of(&record));
            Ok(())
        })
    })?;
    assert!(commit.length <= file.len() as u64, "more bytes count than there are");
    assert_eq!(commit.count, records.len() as u64, "other records were read than count");
    for note in &front.notes {
        let _ = note.to_string();
    }
    Ok(Opened { header: front.header, commit, records, intact: front.notes.is_empty() })
}

/// A keyring file: as it is, and made authentic. A file that opens can be written and read back.
pub fn image(data: &[u8]) {
    let _ = commit::claimed(data);
    if let Err(e) = open(data, Opener::Secret(&unlocking())) {
        let _ = e.to_string();
    }
    let Some((file, keys)) = authentic::file(data) else { return };
    match open(&file, Opener::Keys(&keys)) {
        Ok(opened) => reads_back(&opened, &keys),
        Err(e) => drop(e.to_string()),
    }
}

fn reads_back(opened: &Opened, keys: &DataKeys) {
    let records = opened.records.iter().map(Read::record);
    let image = SEALER
        .with_borrow_mut(|sealer| {
            Image::seal(&opened.header, keys, opened.commit.generation, opened.commit.note, records, sealer)
        })
        .expect("what was read can be written");
    let again = open(&image.bytes, Opener::Keys(keys)).expect("what was written opens");
    assert!(again.intact && again.commit == image.commit);
    assert!(again.records.iter().zip(&opened.records).all(|(a, b)| a.is(b)));
    assert_eq!(again.records.len(), opened.records.len());
    assert_eq!((&again.header.label, &again.header.slots), (&opened.header.label, &opened.header.slots));
    assert_eq!(again.header.ancestors, opened.header.ancestors);
}

/// A header with its slots. The checksum is repaired, which takes no key: anyone who can write to the volume reaches
/// this code.
pub fn header(data: &[u8]) {
    let mut copy = data.to_vec();
    copy.resize(HEADER_LEN, 0);
    authentic::checksum(&mut copy);
    let copies = match header::read(&copy.repeat(2)) {
        Ok(copies) => copies,
        Err(e) => return drop(e.to_string()),
    };
    assert!(copies.readable.len() == 1 && !copies.damaged, "two equal copies are one");
    let claims = copies.readable[0].claims().clone();
    let keys = authentic::keys(&claims.id);
    assert!(copies.readable[0].check(&keys).is_err(), "nobody made that MAC");
    for (_, slot) in claims.slots.iter().take(2) {
        try_slot(slot, &keys, &claims.id);
    }
    // The same fields with the right MAC are written and read back.
    authentic::header(&mut copy, &keys);
    let read = header::read(&copy.repeat(2)).expect("only its MAC changed");
    let (checked, _) = read.readable[0].check(&keys).expect("its MAC fits");
    assert_eq!(*checked, claims);
    let (written, _) = checked.encode(&keys);
    let again = header::read(&written.repeat(2)).expect("what was written is read");
    assert_eq!(*again.readable[0].claims(), claims);
}

fn try_slot(slot: &Slot, keys: &DataKeys, id: &uuid::Uuid) {
    let decoded = Slot::decode(&slot.encode()).flatten().expect("a slot reads back");
    assert_eq!((&decoded.name, decoded.kind, decoded.cost), (&slot.name, slot.kind, slot.cost));
    if slot.kind != SlotKind::Passphrase {
        let opened = unlocking().open(slot, id).expect("memory");
        let _ = format!("{opened:?}");
    }
    if let Some(renewed) = slot.renew(keys, keys, id).expect("memory") {
        assert!(renewed.was_renewed_by_public_key());
        assert!(Slot::decode(&renewed.encode()).flatten().is_some(), "a renewed slot reads back");
    }
}

/// Takes numbers and bytes from the front of an input. After its end it yields zeros.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: usize) -> u64 {
        self.take(bytes).iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
    }
}

/// Sealed records, and a commit slot with a field that may be wrong. The input: flags; how many records are committed; by
/// how many bytes the file is truncated; the value of the wrong field; then the bodies, each after its length.
pub fn records(data: &[u8]) {
    let mut input = Input(data);
    let flags = input.number(1);
    let committed = input.number(1);
    let cut = input.number(2) as usize;
    let lie = input.number(8);
    let id = uuid::Uuid::from_u128(1);
    let keys = authentic::keys(&id);
    let start: Tag = [3; 32];
    let (mut bytes, mut chain) = (Vec::new(), start);
    let mut commit = Commit { generation: 5, length: FIXED_LEN as u64, count: 0, chain, note: None };
    let mut count = 0;
    while !input.0.is_empty() {
        let len = input.number(2) as usize;
        bytes.extend(authentic::record(&keys, &mut chain, [count as u8; IV_LEN], input.take(len)));
        count += 1;
        if count <= committed {
            commit = Commit { count, chain, length: (FIXED_LEN + bytes.len()) as u64, ..commit };
        }
    }
    bytes.truncate(bytes.len().saturating_sub(cut));
    match flags & 7 {
        1 => commit.count = lie,
        2 => commit.length = lie,
        3 => commit.generation = lie,
        4 => commit.chain[0] ^= lie as u8,
        _ => {}
    }
    let other = [OtherSlot::Fits, OtherSlot::Unreadable, OtherSlot::NamesNextRecord, OtherSlot::Fits]
        [(flags >> 3 & 3) as usize];
    let mut lens = 0;
    let mut read = 0;
    let tail = SEALER.with_borrow_mut(|sealer| {
        records::read(&bytes, &keys, &start, &Committed { commit, other }, sealer, |record| {
            lens += record.sealed_len();
            read += 1;
            Ok(())
        })
    });
    match tail {
        Ok(tail) => {
            assert_eq!(
                tail.commit.length,
                (FIXED_LEN + lens) as u64,
                "the records end where they are said to"
            );
            assert_eq!(tail.commit.count, read);
            assert_eq!(tail.commit.count, commit.count + tail.rolled_forward);
            assert!(tail.commit.length as usize <= FIXED_LEN + bytes.len());
            assert!(tail.before.iter().all(|state| state.count < tail.commit.count));
        }
        Err(e) => drop(e.to_string()),
    }
}

/// The head of a copy at a remote. What is read is written as it was, and stands for a file.
pub fn head(data: &[u8]) {
    let shown = remote::front_of_damaged(data).0;
    assert!(shown.len() <= FIXED_LEN.max(data.len()));
    let Some(head) = Head::decode(data) else { return };
    assert!(head.encode().is_some_and(|bytes| bytes == data), "a head has two forms");
    let front = head.front().0;
    let again = Head::of_front(&front, head.replica, head.sequence).expect("a front has a head");
    assert_eq!(again.front().0, front);
    assert!(head.file_len() >= FIXED_LEN as u64 + head.pieces.len() as u64);
    for piece in &head.pieces {
        assert_eq!(PieceName::parse(&piece.name.to_string()), Some(piece.name));
    }
}
