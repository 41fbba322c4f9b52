// SPDX-License-Identifier: GPL-2.0-or-later
//! A volume that is pulled in the middle of a change: its mount point is another filesystem's directory
//! from then on, and nothing of a keyring may be made there or acknowledged.

use crate::common::{
    CHEAP, PATH, Rng, SECRET, TEMPORARY, contents, create, keyring_path, name, open, secret,
};
use keyring_external::error::{BadRequest, Error, Refusal};
use keyring_external::key::KeyType;
use keyring_external::keyring::NewKeyring;
use keyring_external::store::file::fs::{Access, File, Fs, Lock, Meta};
use keyring_external::store::places::Places;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A volume mounted at a directory of another filesystem, pulled at a chosen operation on a path. Files
/// that are open stay on the volume.
#[derive(Debug)]
struct Mounted {
    volume: crate::common::sim::Sim,
    beneath: crate::common::sim::Sim,
    left: AtomicUsize,
    /// For so many operations it is away then, and back after that.
    away: AtomicUsize,
}

impl Mounted {
    /// The filesystem that a path leads to now.
    fn seen(&self) -> Below {
        let left = self.left.load(Ordering::SeqCst);
        if left == 0 {
            let away = self.away.load(Ordering::SeqCst);
            if away == 1 {
                self.left.store(usize::MAX, Ordering::SeqCst);
            }
            self.away.store(away.saturating_sub(1), Ordering::SeqCst);
            return Below { fs: self.beneath.fs(), dev: 2 };
        }
        self.left.store(left.saturating_sub(1), Ordering::SeqCst);
        Below { fs: self.volume.fs(), dev: 1 }
    }
}

struct Below {
    fs: Arc<dyn Fs>,
    dev: u64,
}

/// A file that knows its device.
#[derive(Debug)]
struct On(Box<dyn File>, u64);

impl Fs for Mounted {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>> {
        let b = self.seen();
        Ok(Box::new(On(b.fs.open(path, access)?, b.dev)))
    }
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let b = self.seen();
        Ok(Box::new(On(b.fs.create_new(path)?, b.dev)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.seen().fs.rename(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.seen().fs.rename_new(from, to)
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.seen().fs.unlink(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.seen().fs.sync_dir(path)
    }
    fn meta(&self, path: &Path) -> io::Result<Meta> {
        let b = self.seen();
        Ok(Meta { dev: b.dev, ..b.fs.meta(path)? })
    }
}

impl File for On {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(buf, offset)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn meta(&self) -> io::Result<Meta> {
        Ok(Meta { dev: self.1, ..self.0.meta()? })
    }
    fn try_lock(&self) -> io::Result<Lock> {
        self.0.try_lock()
    }
    fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        self.0.set_owner(uid, gid)
    }
}

fn mounted() -> Arc<Mounted> {
    let (volume, beneath) = Default::default();
    Arc::new(Mounted { volume, beneath, left: usize::MAX.into(), away: usize::MAX.into() })
}

/// Pulled at every operation of a removal, which writes the file whole, and of a store.
#[test]
fn nothing_is_made_or_acknowledged_beneath_a_volume_that_was_pulled() {
    let aes = KeyType::new(b"AES").unwrap();
    let (mut refused, mut done) = (0, 0);
    for remove in [true, false] {
        for at in 1..40 {
            let place = mounted();
            let fs: Arc<dyn Fs> = place.clone();
            create(&fs).unwrap();
            let (keyring, _) = open(&fs).unwrap();
            keyring.store(name("kept", ""), &aes, b"one").unwrap();
            keyring.store(name("gone", ""), &aes, b"two").unwrap();
            place.left.store(at, Ordering::SeqCst);
            let change = |n: &str| {
                if remove {
                    keyring.remove(name(n, ""))
                } else {
                    keyring.store(name(&format!("new {n}"), ""), &aes, b"three")
                }
            };
            let first = change("gone");
            assert!(!place.holds_beneath(), "made on the other filesystem, pulled at {at}");
            // With the volume away for good, nothing more is acknowledged.
            place.left.store(0, Ordering::SeqCst);
            assert!(change("kept").is_err(), "acknowledged without a volume, pulled at {at}");
            assert!(!place.holds_beneath(), "made on the other filesystem, pulled at {at}");
            // What was acknowledged is on the volume, durably for all that the directory tells.
            let (found, _) = open(&place.volume.fs()).unwrap();
            let ids: Vec<_> = found.names().iter().map(|n| n.as_ref().id().to_vec()).collect();
            assert!(ids.contains(&b"kept".to_vec()), "pulled at {at}: {ids:?}");
            if first.is_ok() {
                done += 1;
                assert_eq!(ids.contains(&b"gone".to_vec()), !remove, "pulled at {at}: {ids:?}");
            } else {
                refused += 1;
            }
        }
    }
    assert!(refused > 5 && done > 5, "{refused} refused, {done} done: both must happen");
}

impl Mounted {
    fn holds_beneath(&self) -> bool {
        self.beneath.bytes(PATH).is_some() || self.beneath.bytes(TEMPORARY).is_some()
    }
}

/// Pulled at every operation of making a keyring's first file, or a copy of it elsewhere, after its place
/// was looked at.
#[test]
fn no_new_file_is_made_or_acknowledged_beneath_a_volume_that_was_pulled() {
    let (elsewhere, set) = crate::common::filled();
    let (keyring, _) = open(&elsewhere.fs()).unwrap();
    let new = NewKeyring::new("", &secret(&SECRET), "test", CHEAP).unwrap();
    let mut rng = Rng::of_test("no_new_file_is_made_or_acknowledged_beneath_a_volume_that_was_pulled");
    for copy in [true, false] {
        let (mut refused, mut done) = (0, 0);
        for at in 0..30 {
            let place = mounted();
            // Somebody's file in the mount point is nothing to be replaced or removed.
            if at % 2 == 0 {
                place.beneath.put(PATH, vec![7]);
            }
            let fs: Arc<dyn Fs> = place.clone();
            let vacancy = Places::from(fs).replica(keyring_path()).unwrap().find_vacant().unwrap();
            place.left.store(at, Ordering::SeqCst);
            let made = if copy { keyring.create_copies(&[vacancy]) } else { new.write_to(&[vacancy]) };
            assert_eq!(place.beneath.bytes(PATH), (at % 2 == 0).then(|| vec![7]), "pulled at {at}");
            assert_eq!(place.beneath.bytes(TEMPORARY), None, "made on the other filesystem, pulled at {at}");
            match made {
                Ok(()) => {
                    done += 1;
                    for left in place.volume.after_crash(&mut rng, 20, false) {
                        let (found, notes) = open(&left.fs()).unwrap();
                        assert_eq!(notes, []);
                        assert_eq!(
                            contents(&found).len(),
                            if copy { set.len() } else { 0 },
                            "pulled at {at}"
                        );
                    }
                }
                Err(e) => {
                    refused += 1;
                    let told = matches!(
                        e,
                        Error::Refusal(Refusal::Missing { .. })
                            | Error::BadRequest(BadRequest::AlreadyThere { .. })
                    );
                    assert!(told, "pulled at {at}: {e}");
                }
            }
        }
        assert!(refused > 5 && done > 5, "{refused} refused, {done} done: both must happen");
    }
}

/// The same when the volume was there a moment ago and is back when the file is looked for: it was made
/// in between, beneath.
#[test]
fn a_file_that_is_not_where_its_path_leads_is_not_acknowledged() {
    let new = NewKeyring::new("", &secret(&SECRET), "test", CHEAP).unwrap();
    for at in 1..20 {
        for back in at + 1..20 {
            let place = mounted();
            let fs: Arc<dyn Fs> = place.clone();
            let vacancy = Places::from(fs).replica(keyring_path()).unwrap().find_vacant().unwrap();
            place.left.store(at, Ordering::SeqCst);
            place.away.store(back - at, Ordering::SeqCst);
            if new.write_to(&[vacancy]).is_ok() {
                assert!(place.volume.bytes(PATH).is_some(), "away from {at} to {back}");
                assert!(!place.holds_beneath(), "away from {at} to {back}");
            }
        }
    }
}
