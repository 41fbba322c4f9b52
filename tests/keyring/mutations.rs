// SPDX-License-Identifier: GPL-2.0-or-later
//! Every byte of a keyring file changed, every length cut, blocks lost, mixed and added (invariant 3):
//! the same keys with the same bytes, or a refusal that names damage, and the file left as it is
//! (invariant 5).

use crate::common::sim::Sim;
use crate::common::{Op, PATH, SECRET, Set, contents, create, data, filled, open, private_dir, secret_file};
use keyring_external::error::{Error, Refusal};
use keyring_external::format::commit::COMMIT_LEN;
use keyring_external::format::image::Note;
use keyring_external::format::layout::FIXED_LEN;
use keyring_external::format::layout::HEADER_LEN;
use keyring_external::format::log_note::LOG_NOTE_LEN;
use keyring_external::keyring::load;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use std::path::Path;
use std::sync::Arc;

/// Where the older and the newest commit slot of [`filled`] lie.
const OLDER_SLOT: usize = 8192;
const NEWEST_SLOT: usize = 12288;

/// A file, and what must be in it.
struct Subject {
    sim: Sim,
    bytes: Vec<u8>,
    set: Set,
}

impl Subject {
    fn new() -> Self {
        let (sim, set) = filled();
        let bytes = sim.bytes(PATH).unwrap();
        Self { sim, bytes, set }
    }

    /// Opens other bytes in the file's place; they are still there afterwards.
    fn open(&self, bytes: &[u8]) -> Result<(Set, Vec<Note>), Error> {
        self.sim.put(PATH, bytes.to_vec());
        self.sim.reset();
        let opened = open(&self.sim.fs());
        assert_eq!(self.sim.counts().changes(), 0, "opening wrote to the disk");
        assert_eq!(self.sim.bytes(PATH).unwrap(), bytes, "opening changed the file");
        opened.map(|(keyring, notes)| (contents(&keyring), notes))
    }

    /// Opens changed bytes as these notes say, with all keys.
    fn is_healed(&self, bytes: &[u8], notes: &[Note], what: &str) {
        match self.open(bytes) {
            Ok(found) => assert_eq!(found, (self.set.clone(), notes.to_vec()), "{what}"),
            Err(e) => panic!("{what}: {e}"),
        }
    }

    fn is_damaged(&self, bytes: &[u8], what: &str) {
        match self.open(bytes) {
            Err(Error::Refusal(Refusal::Damaged { offset, .. })) => {
                assert!(offset <= bytes.len() as u64, "{what}: {offset}")
            }
            other => panic!("{what}: {other:?}"),
        }
    }

    /// What becomes of a change of the byte or block at `at`.
    fn check(&self, bytes: &[u8], at: usize, what: &str) {
        if bytes == self.bytes {
            return;
        }
        match at {
            _ if at < 2 * HEADER_LEN => self.is_healed(bytes, &[Note::HeaderCopy], what),
            _ if at < NEWEST_SLOT => self.is_healed(bytes, &[Note::CommitSlot], what),
            _ if at < FIXED_LEN => {
                self.is_healed(bytes, &[Note::CommitSlot, Note::RolledForward(1)], what);
            }
            _ => self.is_damaged(bytes, what),
        }
    }

    fn flip_bytes(&self, pattern: u8, which: impl Fn(usize) -> bool) {
        for at in (0..self.bytes.len()).filter(|at| which(*at)) {
            let mut bytes = self.bytes.clone();
            bytes[at] ^= pattern;
            self.check(&bytes, at, &format!("byte {at} ^ {pattern:#x}"));
        }
    }
}

#[test]
fn the_lowest_bit_of_every_byte_counts() {
    Subject::new().flip_bytes(0x01, |_| true);
}

#[test]
fn the_other_bits_of_every_byte_that_says_something_count() {
    let subject = Subject::new();
    // The rest of the file is padding: every 16th byte of it stands for the others.
    let says = |at: usize| at.is_multiple_of(16) || subject.bytes[at] != 0 || at >= FIXED_LEN;
    for pattern in [0x80, 0x5e] {
        subject.flip_bytes(pattern, says);
    }
}

#[test]
fn a_file_cut_at_any_length_is_damaged() {
    let subject = Subject::new();
    for len in 1..subject.bytes.len() {
        subject.is_damaged(&subject.bytes[..len], &format!("cut to {len} bytes"));
    }
    assert!(matches!(subject.open(&[]), Err(Error::Refusal(Refusal::NotAKeyring { .. }))));
}

#[test]
fn what_is_added_behind_the_end_does_not_count() {
    let subject = Subject::new();
    let records = &subject.bytes[FIXED_LEN..];
    let last = &records[records.len() - 300..];
    let (other, _) = filled();
    let other = other.bytes(PATH).unwrap();
    let mut tails: Vec<Vec<u8>> = vec![
        records.to_vec(),
        last.to_vec(),
        subject.bytes.clone(),
        other[FIXED_LEN..].to_vec(),
        other.clone(),
        subject.bytes[NEWEST_SLOT..NEWEST_SLOT + COMMIT_LEN].to_vec(),
        // A length, and less than that.
        [&17_000_u32.to_le_bytes()[..], &[1; 90]].concat(),
        [&u32::MAX.to_le_bytes()[..], &[1; 90]].concat(),
        [&0_u32.to_le_bytes()[..], &[0; 48]].concat(),
    ];
    for len in [1, 3, 4, 20, 52, 53, 512, 4096, 70_000] {
        for fill in [0, 0xff, 0x01] {
            tails.push(vec![fill; len]);
        }
        tails.push(data(len as u64, len));
    }
    // Where the record begins of which `last` is only the end.
    for from in 0..records.len() {
        tails.push(records[from..].to_vec());
    }
    for tail in tails {
        let bytes = [&subject.bytes[..], &tail].concat();
        subject.is_healed(
            &bytes,
            &[Note::Ignored(tail.len() as u64)],
            &format!("{} bytes added", tail.len()),
        );
    }
}

/// A file that claims to be a terabyte long costs no memory.
#[test]
fn a_huge_sparse_file_is_opened_without_reading_it() {
    let (sim, set) = filled();
    let bytes = sim.bytes(PATH).unwrap();
    let dir = private_dir();
    let path = dir.path().join("keyring");
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    std::fs::copy(secret_file(&bytes), &path).unwrap();
    let huge = 1 << 40;
    std::fs::File::options().write(true).open(&path).unwrap().set_len(huge).unwrap();
    let (keyring, notes) = load(&Places::from(&fs), &path, &crate::common::unlock()).unwrap();
    assert_eq!(contents(&keyring), set);
    assert_eq!(notes, [Note::Ignored(huge - bytes.len() as u64)]);
}

#[test]
fn a_lost_block_is_healed_or_reported() {
    let subject = Subject::new();
    let mut lost = 0;
    for size in [512, 4096] {
        for at in (0..subject.bytes.len()).step_by(size) {
            for fill in [0, 0xff, 0xa5] {
                let mut bytes = subject.bytes.clone();
                let end = bytes.len().min(at + size);
                bytes[at..end].fill(fill);
                subject.check(&bytes, at, &format!("{size} bytes at {at} are {fill:#x}"));
                lost += 1;
            }
        }
    }
    assert_eq!(lost, 3 * (34 + 5));
}

/// The newest commit slot and the record that it names are both damaged: the loss of that record does
/// not go unnoticed.
#[test]
fn a_lost_record_is_missed_although_its_commit_slot_is_damaged_too() {
    let subject = Subject::new();
    let end = subject.bytes.len();
    for at in NEWEST_SLOT..NEWEST_SLOT + COMMIT_LEN + LOG_NOTE_LEN {
        for pattern in [0x01, 0x80, 0xff] {
            let mut bytes = subject.bytes.clone();
            bytes[at] ^= pattern;
            subject.is_damaged(&bytes[..end - 1], &format!("byte {at} and the end"));
            for in_record in [end - 1, end - 100, end - 300] {
                let mut bytes = bytes.clone();
                bytes[in_record] ^= pattern;
                subject.is_damaged(&bytes, &format!("bytes {at} and {in_record}"));
            }
        }
    }
}

/// The next change of a file that was opened with notes leaves one without any.
#[test]
fn the_next_change_repairs_the_file() {
    let subject = Subject::new();
    let flipped = |at: usize| {
        let mut bytes = subject.bytes.clone();
        bytes[at] ^= 1;
        bytes
    };
    let store = Op::Store { id: "new", user: "", key_type: "AES", data: data(1, 32) };
    let generate = Op::Generate { id: "new", user: "", key_type: "AES", len: 32 };
    let remove = Op::Remove { id: "long", user: "anna" };
    for bytes in [
        flipped(20),
        flipped(8191),
        flipped(OLDER_SLOT),
        flipped(OLDER_SLOT + 4000),
        flipped(NEWEST_SLOT + 95),
        [&subject.bytes[..], &[0; 1]].concat(),
        [&subject.bytes[..], &[9; 5000]].concat(),
    ] {
        for op in [&store, &generate, &remove] {
            let (found, notes) = subject.open(&bytes).unwrap();
            assert_eq!(found, subject.set);
            assert_ne!(notes, []);
            let (keyring, _) = open(&subject.sim.fs()).unwrap();
            op.run(&keyring).unwrap();
            let (again, notes) = open(&subject.sim.fs()).unwrap();
            let found = contents(&again);
            assert_eq!(found, op.after(&subject.set, &found));
            assert_eq!(notes, [], "{op:?}");
        }
    }
}

#[test]
fn other_refusals_have_their_own_errors() {
    let subject = Subject::new();
    let wrong = UnlockSource::File(secret_file(&[0xe8; 40]));
    subject.sim.reset();
    let e = load(&Places::from(&subject.sim.fs()), Path::new(PATH), &wrong).unwrap_err();
    assert!(matches!(e, Error::Refusal(Refusal::WrongSecret { .. })), "{e}");
    // Damage of one copy of the header does not make the secret right, or the error another.
    let mut bytes = subject.bytes.clone();
    bytes[300] ^= 1;
    subject.sim.put(PATH, bytes);
    let e = load(&Places::from(&subject.sim.fs()), Path::new(PATH), &wrong).unwrap_err();
    assert!(matches!(e, Error::Refusal(Refusal::WrongSecret { .. })), "{e}");

    for foreign in [vec![0; 20_000], b"Keyring file version:2.0".to_vec(), vec![b'{'; 10], vec![b'K', b'e']] {
        assert!(matches!(subject.open(&foreign), Err(Error::Refusal(Refusal::NotAKeyring { .. }))));
    }
    let mut neither_begins = subject.bytes.clone();
    neither_begins[0] ^= 1;
    neither_begins[HEADER_LEN] ^= 1;
    assert!(matches!(subject.open(&neither_begins), Err(Error::Refusal(Refusal::NotAKeyring { .. }))));

    let mut newer = subject.bytes.clone();
    for copy in newer[..2 * HEADER_LEN].chunks_exact_mut(HEADER_LEN) {
        use sha2::Digest;
        copy[16] = 2;
        let checksum = sha2::Sha256::digest(&copy[..HEADER_LEN - 32]);
        copy[HEADER_LEN - 32..].copy_from_slice(&checksum);
    }
    assert!(matches!(subject.open(&newer), Err(Error::Refusal(Refusal::Newer { version: 2, .. }))));

    subject.sim.remove(PATH);
    assert!(matches!(open(&subject.sim.fs()), Err(Error::Refusal(Refusal::Missing { .. }))));
    assert_eq!(subject.sim.counts().changes(), 0);
    assert_eq!(SECRET.len(), 40);
    let empty = Sim::default();
    create(&empty.fs()).unwrap();
    assert!(open(&empty.fs()).unwrap().0.is_empty());
}
