// SPDX-License-Identifier: GPL-2.0-or-later
//! Keyrings in several copies on the real file system, as a server and as a tool have them.

use super::{CHEAP, SECRET, key_type, name, secret, unlock};
use keyring_external::config::{AuditConfig, Config, DEFAULT_REMOTES};
use keyring_external::error::Error;
use keyring_external::keyring::{Keyring, NewKeyring, Trust, load_beside_others};
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The real file system.
pub fn real() -> Arc<dyn Fs> {
    Arc::new(RealFs)
}

/// The configuration of a server with these copies.
pub fn config(paths: &[PathBuf], min_copies: u32) -> Config {
    Config {
        path: paths[0].clone(),
        mirrors: paths[1..].to_vec(),
        remotes: DEFAULT_REMOTES.into(),
        min_copies,
        unlock: unlock(),
        read_only: false,
        allow_same_device: true,
        auto_create: false,
        wait: 0,
        audit: AuditConfig::default(),
        datadir: None,
    }
}

/// Opens a keyring as a server does at a start.
pub fn try_open(fs: &Arc<dyn Fs>, paths: &[PathBuf]) -> Result<Keyring, Error> {
    Keyring::open(&Places::from(fs), &config(paths, 1), Trust::Witness, |_, _| {}).map(|(keyring, _)| keyring)
}

/// A keyring as a server has it.
pub fn open(fs: &Arc<dyn Fs>, paths: &[PathBuf]) -> Keyring {
    let keyring = try_open(fs, paths).unwrap();
    keyring.bring_up_to_date().unwrap();
    keyring
}

/// A keyring as a tool has it.
pub fn tool(fs: &Arc<dyn Fs>, paths: &[PathBuf]) -> Result<Keyring, Error> {
    let read = || unlock().read();
    load_beside_others(&Places::from(fs), paths, 1, "test", read, |_, _| {})
}

/// Makes a key of 32 bytes.
pub fn generate(keyring: &Keyring, id: &str) -> Result<(), Error> {
    keyring.generate(name(id, ""), &key_type("AES"), 32)
}

/// A keyring in copies of these names.
pub fn made(dir: &Path, names: &[&str]) -> Vec<PathBuf> {
    let paths: Vec<_> = names.iter().map(|name| dir.join(name)).collect();
    NewKeyring::new("", &secret(&SECRET), "test", CHEAP)
        .unwrap()
        .write(&Places::from(&real()), &paths)
        .unwrap();
    paths
}

/// What a file holds.
pub fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// The ids of all keys.
pub fn ids(keyring: &Keyring) -> BTreeSet<String> {
    keyring.names().iter().map(|n| String::from_utf8(n.as_ref().id().to_vec()).unwrap()).collect()
}
