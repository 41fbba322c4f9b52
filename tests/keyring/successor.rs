// SPDX-License-Identifier: GPL-2.0-or-later
//! Another keyring replaces the one in use of a running server, and no key that was acknowledged in between is lost.
//! `tests/abi/replacing.rs` has calls that run at the same time.

use keyring_external::config::{AuditConfig, Config, DEFAULT_REMOTES};
use keyring_external::error::{Error, Refusal, Result};
use keyring_external::format::cost::Cost;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::{Keyring, NewKeyring, Trust};
use keyring_external::secret::Locked;
use keyring_external::secret::UnlockSecret;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

struct Place(tempfile::TempDir);

fn fs() -> Arc<dyn Fs> {
    Arc::new(RealFs)
}

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::set_permissions(place.0.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::write(place.path("secret"), [0xfe; 32]).unwrap();
        std::fs::set_permissions(place.path("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
        place
    }

    fn with_keyring() -> Self {
        let place = Self::new();
        let secret = UnlockSecret::new(Locked::copy_of(&[0xfe; 32]).unwrap());
        let new = NewKeyring::new("", &secret, "test", Cost::NONE).unwrap();
        new.write(&Places::from(&fs()), &[place.path("keyring")]).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self, name: &str) -> Config {
        Config {
            path: self.path(name),
            mirrors: Vec::new(),
            remotes: DEFAULT_REMOTES.into(),
            min_copies: 1,
            unlock: UnlockSource::File(self.path("secret")),
            read_only: false,
            allow_same_device: true,
            auto_create: false,
            wait: 0,
            audit: AuditConfig::default(),
            datadir: None,
        }
    }

    fn open(&self, name: &str) -> Result<Arc<Keyring>> {
        Ok(Arc::new(
            Keyring::open(&Places::from(&fs()), &self.config(name), Trust::Administrator, |_, _| {})?.0,
        ))
    }
}

fn generate(keyring: &Keyring, id: &str) -> Result<()> {
    let name = NameRef::new(id.as_bytes(), b"").unwrap();
    keyring.generate(name, &KeyType::new(b"AES").unwrap(), 32)
}

#[test]
fn a_key_stored_between_check_and_swap_is_in_the_successor() {
    let place = Place::with_keyring();
    let old = place.open("keyring").unwrap();
    let new = place.open("keyring").unwrap();
    assert_eq!(old.check_successor(&new).unwrap(), 0);
    generate(&old, "late").unwrap();
    old.hand_over_to(&new).unwrap();
    assert_eq!(new.len(), 1);
    generate(&new, "later").unwrap();
    assert_eq!(place.open("keyring").unwrap().len(), 2);
}

/// Nothing is read or written between the two: what the old one stored meanwhile is handed over in memory, and the copy
/// that lags behind by that is brought up to date afterwards.
#[test]
fn a_copy_that_fell_behind_between_check_and_swap_is_brought_up_to_date() {
    let place = Place::with_keyring();
    std::fs::copy(place.path("keyring"), place.path("copy")).unwrap();
    let old = place.open("keyring").unwrap();
    let new = place.open("copy").unwrap();
    assert_eq!(old.check_successor(&new).unwrap(), 0);
    generate(&old, "late").unwrap();
    let before = std::fs::read(place.path("copy")).unwrap();
    old.hand_over_to(&new).unwrap();
    assert_eq!(std::fs::read(place.path("copy")).unwrap(), before);
    assert!(new.fetch(&NameRef::new(b"late", b"").unwrap(), |_| ()).is_some());
    new.maintain();
    assert_eq!(new.known_status().copies, (1, 1));
    assert_eq!(place.open("copy").unwrap().len(), 1);
    generate(&new, "later").unwrap();
    assert_eq!(place.open("copy").unwrap().len(), 2);
}

/// An older copy is refused when it is looked at.
#[test]
fn an_older_copy_is_no_successor() {
    let place = Place::with_keyring();
    std::fs::copy(place.path("keyring"), place.path("copy")).unwrap();
    let old = place.open("keyring").unwrap();
    generate(&old, "first").unwrap();
    let checked = old.check_successor(&place.open("copy").unwrap());
    assert!(matches!(checked, Err(Error::Refusal(Refusal::Older { .. }))), "{checked:?}");
    generate(&old, "second").unwrap();
}

#[test]
fn where_a_witness_is_no_keyring_is_made() {
    let place = Place::new();
    let auto_create = |datadir: &Path| {
        let config =
            Config { auto_create: true, datadir: Some(datadir.to_owned()), ..place.config("keyring") };
        Keyring::open(&Places::from(&fs()), &config, Trust::Witness, |_, _| {}).map(|(keyring, _)| keyring)
    };
    let datadir = place.path("datadir");
    std::fs::create_dir(&datadir).unwrap();
    std::fs::write(datadir.join("keyring_external.witness"), b"damaged or not").unwrap();
    let refused = auto_create(&datadir);
    assert!(matches!(refused, Err(Error::Refusal(Refusal::Missing { .. }))), "{refused:?}");
    assert!(!place.path("keyring").exists());
    std::fs::remove_file(datadir.join("keyring_external.witness")).unwrap();
    let keyring = auto_create(&datadir).unwrap();
    keyring.bring_up_to_date().unwrap();
    let witness = datadir.join("keyring_external.witness");
    assert!(place.path("keyring").exists() && !witness.exists(), "the server may not get through its start");
    keyring.status();
    assert!(witness.exists());
}
