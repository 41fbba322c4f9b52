// SPDX-License-Identifier: GPL-2.0-or-later
//! Names and bytes of the keys, and the files of both keyrings that hold many of them from the start: the peer
//! would take hours to store them one by one.

use crate::host::{KEY_LEN, KEY_TYPE};
use keyring_external::format::cost::Cost;
use keyring_external::format::records::KeyRecord;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::{NewKeyring, load_all};
use keyring_external::secret::Locked;
use keyring_external::secret::UnlockSecret;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyringctl::legacy::Key;
use keyringctl::legacy::component_keyring_file;
use std::ffi::CStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a name, with its terminator: as long as the name of one of InnoDB's master keys.
const NAME_LEN: usize = 10 + 36 + 1 + 8 + 1;

/// Text of as many bytes as keys have, for keyring_udf.
pub const KEY_HEX: &str = "0123456789abcdef0123456789abcdef";

/// The name of a key.
pub struct Name([u8; NAME_LEN]);

impl Name {
    /// Of the `i`th key.
    pub fn new(i: u64) -> Name {
        let mut name = Name(*b"INNODBKey-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0-00000000\0");
        name.set(i);
        name
    }

    /// Makes it the name of the `i`th key, without a look at memory that a fetch must wait for.
    #[inline]
    pub fn set(&mut self, i: u64) {
        for (digit, to) in self.0[NAME_LEN - 9..NAME_LEN - 1].iter_mut().enumerate() {
            *to = b"0123456789abcdef"[(i >> (28 - 4 * digit)) as usize & 15];
        }
    }

    /// As C wants it.
    #[inline]
    pub fn c(&self) -> &CStr {
        // SAFETY: the only zero is the last byte; `set` writes digits before it.
        unsafe { CStr::from_bytes_with_nul_unchecked(&self.0) }
    }

    fn id(&self) -> &[u8] {
        &self.0[..NAME_LEN - 1]
    }
}

/// The bytes of the `i`th key: not random, but no two alike.
pub fn data(i: u64) -> [u8; KEY_LEN] {
    let mut state = i;
    std::array::from_fn(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
}

/// Bytes that a store of such a key appends to our file.
pub fn record_len() -> usize {
    let name = Name::new(0);
    let key_type = KeyType::new(KEY_TYPE.to_bytes()).expect("a type");
    let name = NameRef::new(name.id(), b"").expect("a name");
    KeyRecord { name, key_type: &key_type, created: 0, retired: None, data: &data(0) }.sealed_len()
}

/// Makes our keyring with the keys 0 to `keys` - 1, opened by the secret in a file.
/// The witness that a server would have is written in `witness_in`.
pub fn make_ours(path: &Path, secret: &Path, keys: u64, witness_in: Option<&Path>) -> Result<(), String> {
    let bytes = std::fs::read(secret).map_err(|e| format!("{}: {e}", secret.display()))?;
    let unlock = || Ok(UnlockSecret::new(Locked::copy_of(&bytes)?));
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let paths: Vec<PathBuf> = vec![path.to_owned()];
    let make = || {
        NewKeyring::new("figures", &unlock()?, "secret", Cost::NONE)?.write(&Places::from(&fs), &paths)?;
        let (mut keyring, _) = load_all(&Places::from(&fs), &paths, 1, "secret", unlock, |_, _| {})?;
        let key_type = KeyType::new(KEY_TYPE.to_bytes())?;
        let names: Vec<_> = (0..keys).map(Name::new).collect();
        let data: Vec<_> = (0..keys).map(data).collect();
        let records = names.iter().zip(&data).map(|(name, data)| {
            Ok(KeyRecord {
                name: NameRef::new(name.id(), b"")?,
                key_type: &key_type,
                created: 1,
                retired: None,
                data,
            })
        });
        keyring.store_all(&records.collect::<Result<Vec<_>, keyring_external::error::Error>>()?)?;
        witness_in.map_or(Ok(()), |dir| keyring.write_witness(&fs, dir, |_, _| {}))
    };
    make().map_err(|e| e.to_string())
}

/// Makes component_keyring_file's file with the same keys.
pub fn make_peers(path: &Path, keys: u64) -> Result<(), String> {
    let (file, len) = component_keyring_file::write(|put| {
        for i in 0..keys {
            put(Key { id: Name::new(i).id(), user: b"", key_type: KEY_TYPE.to_bytes(), data: &data(i) });
        }
    })
    .map_err(|e| format!("{e:?}"))?;
    let write = || -> std::io::Result<()> {
        let mut to = std::fs::File::create(path)?;
        to.write_all(&file[..len])?;
        to.sync_all()
    };
    write().map_err(|e| format!("{}: {e}", path.display()))
}
