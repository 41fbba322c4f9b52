// SPDX-License-Identifier: GPL-2.0-or-later
//! Two programs on one keyring, as two servers would be: each goes on from what the other stored, and
//! nothing that either has stored is lost.

use keyring_external::config::{AuditConfig, Config, DEFAULT_REMOTES};
use keyring_external::error::{BadRequest, Error, Refusal};
use keyring_external::format::cost::Cost;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::{Keyring, KeyringState, NewKeyring, Trust, load};
use keyring_external::secret::Locked;
use keyring_external::secret::UnlockSecret;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

struct Place {
    dir: tempfile::TempDir,
    fs: Arc<dyn Fs>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let place = Self { dir, fs: Arc::new(RealFs) };
        std::fs::write(place.path("secret"), [0xfe; 32]).unwrap();
        std::fs::set_permissions(place.path("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let secret = UnlockSecret::new(Locked::copy_of(&[0xfe; 32]).unwrap());
        let new = NewKeyring::new("", &secret, "test", Cost::NONE).unwrap();
        new.write(&Places::from(&place.fs), &[place.path("keyring")]).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn unlock(&self) -> UnlockSource {
        UnlockSource::File(self.path("secret"))
    }

    fn open(&self) -> Keyring {
        self.open_with(false)
    }

    fn open_with(&self, read_only: bool) -> Keyring {
        let config = Config {
            path: self.path("keyring"),
            mirrors: Vec::new(),
            remotes: DEFAULT_REMOTES.into(),
            min_copies: 1,
            unlock: self.unlock(),
            read_only,
            allow_same_device: true,
            auto_create: false,
            wait: 0,
            audit: AuditConfig::default(),
            datadir: None,
        };
        Keyring::open(&Places::from(&self.fs), &config, Trust::Witness, |_, _| {}).unwrap().0
    }

    fn names(&self) -> Vec<String> {
        names(&load(&Places::from(&self.fs), &self.path("keyring"), &self.unlock()).unwrap().0)
    }
}

fn names(keyring: &Keyring) -> Vec<String> {
    keyring.names().iter().map(|n| String::from_utf8(n.as_ref().id().to_vec()).unwrap()).collect()
}

fn name(id: &str) -> NameRef<'_> {
    NameRef::new(id.as_bytes(), b"").unwrap()
}

fn generate(keyring: &Keyring, id: &str) -> Result<(), Error> {
    keyring.generate(name(id), &KeyType::new(b"AES").unwrap(), 32)
}

#[test]
fn each_goes_on_from_what_the_other_stored() {
    let place = Place::new();
    let (a, b) = (place.open(), place.open());
    generate(&a, "a1").unwrap();
    generate(&b, "b1").unwrap();
    assert_eq!(names(&b), ["a1", "b1"]);
    a.remove(name("b1")).unwrap();
    generate(&b, "b2").unwrap();
    assert_eq!(names(&b), ["a1", "b2"]);
    assert!(matches!(b.remove(name("b1")), Err(Error::BadRequest(BadRequest::NoSuchKey { .. }))));
    generate(&a, "a2").unwrap();
    assert_eq!(place.names(), ["a1", "a2", "b2"]);
}

#[test]
fn a_name_that_the_other_took_is_taken() {
    let place = Place::new();
    let (a, b) = (place.open(), place.open());
    generate(&a, "same").unwrap();
    let before = std::fs::read(place.path("keyring")).unwrap();
    assert!(matches!(generate(&b, "same"), Err(Error::BadRequest(BadRequest::Exists { .. }))));
    assert_eq!(std::fs::read(place.path("keyring")).unwrap(), before);
    let bytes = |k: &Keyring| k.fetch(&name("same"), |key| key.data.to_vec()).unwrap();
    assert_eq!(bytes(&a), bytes(&b));
}

/// It held the lock of its memory for reading while it took it for writing, and every later status query waited for ever.
#[test]
fn a_read_only_keyring_follows_the_other() {
    let place = Place::new();
    let (a, b) = (place.open(), Arc::new(place.open_with(true)));
    generate(&a, "a1").unwrap();
    let (done, waiting) = mpsc::channel();
    let follower = Arc::clone(&b);
    std::thread::spawn(move || {
        follower.maintain();
        done.send(follower.status()).unwrap();
    });
    // Only a keyring that hangs takes so long.
    let status = waiting.recv_timeout(Duration::from_secs(120)).expect("it does not hang");
    assert_eq!((status.state, status.keys, names(&b)), (KeyringState::ReadOnly, 1, vec!["a1".to_owned()]));
    assert!(matches!(generate(&b, "b1"), Err(Error::BadRequest(BadRequest::ReadOnly { .. }))));
}

#[test]
fn a_status_query_notices_the_other() {
    let place = Place::new();
    let (a, b) = (place.open(), place.open());
    generate(&a, "a1").unwrap();
    b.maintain();
    let status = b.known_status();
    assert_eq!((status.state, status.keys, status.generation), (KeyringState::Attached, 1, 2));
}

#[test]
fn what_was_found_follows_what_the_other_did() {
    let place = Place::new();
    let (a, b) = (place.open(), place.open());
    let store = |keyring: &Keyring, data: &[u8]| {
        keyring.store(name("k"), &KeyType::new(b"AES").unwrap(), data).unwrap();
    };
    store(&a, b"first");
    generate(&a, "other").unwrap();
    let found = a.find(&name("k")).unwrap();
    let seen = || {
        let data = a.fetch_found(&found, &name("k"), |key| key.data.to_vec());
        assert_eq!(a.lengths(&found, &name("k")), data.as_ref().map(|data| (data.len(), 3)));
        data
    };
    assert_eq!(seen(), Some(b"first".to_vec()));
    a.remove(name("other")).unwrap();
    assert_eq!(seen(), Some(b"first".to_vec()), "another key was removed");
    (0..20).for_each(|i| generate(&a, &format!("more{i}")).unwrap());
    assert_eq!(seen(), Some(b"first".to_vec()), "the table has grown");
    b.remove(name("k")).unwrap();
    a.maintain();
    assert_eq!(a.known_status().keys, 20);
    assert_eq!(seen(), None);
    store(&b, b"the second");
    generate(&a, "a1").unwrap();
    assert_eq!(seen(), Some(b"the second".to_vec()));
    a.remove(name("k")).unwrap();
    assert_eq!(seen(), None);
    store(&a, b"third");
    assert_eq!(seen(), Some(b"third".to_vec()));
}

#[test]
fn two_at_full_speed_lose_nothing() {
    let place = Place::new();
    let all: Vec<_> = ["a", "b", "c"]
        .map(|who| (who, place.open()))
        .into_iter()
        .map(|(who, keyring)| {
            std::thread::spawn(move || {
                let mut kept = Vec::new();
                for i in 0..40 {
                    let id = format!("{who}{i:02}");
                    generate(&keyring, &id).unwrap();
                    if i % 8 == 7 {
                        keyring.remove(name(&id)).unwrap();
                    } else {
                        kept.push(id);
                    }
                }
                kept
            })
        })
        .flat_map(|t| t.join().unwrap())
        .collect();
    assert_eq!(place.names(), all);
}

#[test]
fn an_older_file_is_not_gone_on_from() {
    let place = Place::new();
    let a = place.open();
    generate(&a, "a1").unwrap();
    let old = std::fs::read(place.path("keyring")).unwrap();
    generate(&a, "a2").unwrap();
    put(&place.path("keyring"), &old);
    assert!(matches!(generate(&a, "a3"), Err(Error::Refusal(Refusal::Older { .. }))));
    assert_eq!(std::fs::read(place.path("keyring")).unwrap(), old);
    assert_eq!(names(&a), ["a1", "a2"]);
}

/// Two servers went on apart from one file; the copy that got further is put in the place of the other.
#[test]
fn a_file_that_went_its_own_way_is_not_gone_on_from() {
    let place = Place::new();
    let a = place.open();
    generate(&a, "shared").unwrap();
    let shared = std::fs::read(place.path("keyring")).unwrap();
    generate(&a, "only in a").unwrap();
    let of_a = std::fs::read(place.path("keyring")).unwrap();
    put(&place.path("keyring"), &shared);
    let b = place.open();
    for id in ["b1", "b2", "b3"] {
        generate(&b, id).unwrap();
    }
    let of_b = std::fs::read(place.path("keyring")).unwrap();
    assert!(matches!(generate(&a, "a3"), Err(Error::Refusal(Refusal::Diverged { .. }))));
    assert_eq!(std::fs::read(place.path("keyring")).unwrap(), of_b, "nothing of b is lost");
    assert_eq!(names(&a), ["only in a", "shared"]);
    put(&place.path("keyring"), &of_a);
    generate(&a, "a3").unwrap();
}

fn put(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}
