// SPDX-License-Identifier: GPL-2.0-or-later
//! A panic behind the entry points stays behind them.

use super::*;
use crate::format::cost::Cost;
use crate::keyring::{NewKeyring, load};
use crate::secret::Locked;
use crate::secret::UnlockSecret;
use crate::store::file::fs::{Access, File, Fs, Meta};
use crate::store::file::real::RealFs;
use crate::store::places::Places;
use crate::unlock::UnlockSource;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The real filesystem until told to panic.
#[derive(Debug, Default)]
struct PanickingFs(AtomicBool);

impl PanickingFs {
    fn real(&self) -> RealFs {
        assert!(!self.0.load(Ordering::Relaxed), "a panic on purpose");
        RealFs
    }
}

impl Fs for PanickingFs {
    fn open(&self, path: &Path, access: Access) -> std::io::Result<Box<dyn File>> {
        self.real().open(path, access)
    }
    fn create_new(&self, path: &Path) -> std::io::Result<Box<dyn File>> {
        self.real().create_new(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.real().rename(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.real().rename_new(from, to)
    }
    fn unlink(&self, path: &Path) -> std::io::Result<()> {
        self.real().unlink(path)
    }
    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        self.real().sync_dir(path)
    }
    fn meta(&self, path: &Path) -> std::io::Result<Meta> {
        self.real().meta(path)
    }
    fn follow(&self, path: &Path) -> std::io::Result<Meta> {
        self.real().follow(path)
    }
}

#[test]
fn a_panic_in_the_store_is_a_failed_call_and_the_keyring_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let (path, secret_path) = (dir.path().join("keyring"), dir.path().join("secret"));
    let source = UnlockSource::File(secret_path.clone());
    std::fs::write(&secret_path, [0xfe; 32]).unwrap();
    std::fs::set_permissions(&secret_path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let panicking = Arc::new(PanickingFs::default());
    let fs: Arc<dyn Fs> = panicking.clone();
    let secret = UnlockSecret::new(Locked::copy_of(&[0xfe; 32]).unwrap());
    NewKeyring::new("", &secret, "test", Cost::NONE)
        .unwrap()
        .write(&Places::from(&fs), std::slice::from_ref(&path))
        .unwrap();
    instance::set(Some(Arc::new(load(&Places::from(&fs), &path, &source).unwrap().0)));

    let store = |id: &std::ffi::CStr| {
        // SAFETY: C strings and three bytes.
        unsafe { store(id.as_ptr(), c"AES".as_ptr(), std::ptr::null(), c"key".as_ptr().cast(), 3) }
    };
    assert!(!store(c"before"));
    panicking.0.store(true, Ordering::Relaxed);
    assert!(store(c"during"), "a panic is a failure");
    // SAFETY: C strings.
    assert!(unsafe { remove(c"before".as_ptr(), std::ptr::null()) }, "a panic is a failure");
    panicking.0.store(false, Ordering::Relaxed);
    assert!(!store(c"during"), "what failed was not stored");
    assert!(!store(c"after"));
    instance::set(None);

    let names: Vec<_> = load(&Places::from(&fs), &path, &source)
        .unwrap()
        .0
        .names()
        .iter()
        .map(|n| n.as_ref().id().to_vec())
        .collect();
    assert_eq!(names, [b"after".to_vec(), b"before".to_vec(), b"during".to_vec()]);
}
