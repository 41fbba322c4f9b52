// SPDX-License-Identifier: GPL-2.0-or-later
//! From a path to an open keyring, or to the one message that says why not (invariants 4 and 5).

use super::memory::Memory;
use super::status::Counters;
use super::writer::Writer;
use super::{Keyring, now};
use crate::config::{Config, MAX_WAIT};
use crate::error::{Error, Result};
use crate::format::commit;
use crate::format::crypto::Keys;
use crate::format::header::{self, Header};
use crate::format::image::{self, Image, Note, Opener};
use crate::format::records::Sealer;
use crate::format::slots::{Cost, MIN_SECRET, Slot, SlotKind, UnlockSecret};
use crate::format::{self, FormatError};
use crate::recovery::RecoveryKey;
use crate::store::copy::Copy;
use crate::store::fs::Fs;
use crate::store::volume;
use crate::unlock::UnlockSource;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

/// Fewest bytes of a passphrase.
const MIN_PASSPHRASE: usize = 8;
/// How often a late volume is looked for.
const WAIT_STEP: Duration = Duration::from_millis(200);

impl Keyring {
    /// Opens the keyring that a server is configured for, under all rules for its volume.
    ///
    /// # Errors
    /// Every rule that is broken and every fault of the file has its own; nothing was changed on disk.
    pub fn open(fs: &Arc<dyn Fs>, config: &Config) -> Result<(Keyring, Vec<Note>)> {
        wait_for(fs.as_ref(), config);
        let path = &config.path;
        let is_new = match fs.meta(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                // What an interrupted write left may be the keyring: no new one in its place.
                if !config.auto_create || fs.meta(&volume::temporary_of(path)).is_ok() {
                    return Err(volume::missing_or(path, "look at", e));
                }
                true
            }
            // Other errors are told by the checks below.
            _ => false,
        };
        if let Some(datadir) = config.datadir.as_deref().filter(|_| !config.allow_same_device) {
            volume::check_device(fs.as_ref(), path, datadir)?;
        }
        if is_new {
            volume::check_directory(fs.as_ref(), path)?;
            let new =
                NewKeyring::new("", &config.unlock.read()?, &config.unlock.to_string(), Cost::RECOMMENDED)?;
            new.write(fs, path)?;
        }
        let (keyring, notes) = load(fs, path, &config.unlock)?;
        keyring.set_read_only(config.read_only);
        Ok((keyring, notes))
    }
}

/// Waits until the file is there, at most `config.wait` seconds.
fn wait_for(fs: &dyn Fs, config: &Config) {
    let deadline = Instant::now() + Duration::from_secs(u64::from(config.wait.min(MAX_WAIT)));
    while fs.meta(&config.path).is_err() && Instant::now() < deadline {
        std::thread::sleep(WAIT_STEP);
    }
}

/// Opens the keyring at `path` with the secret from `unlock`.
///
/// # Errors
/// As [`Keyring::open`], without the rules about the data directory.
pub fn load(fs: &Arc<dyn Fs>, path: &Path, unlock: &UnlockSource) -> Result<(Keyring, Vec<Note>)> {
    load_with(fs, path, &unlock.to_string(), || unlock.read())
}

/// Opens the keyring at `path` with the secret that `read` answers; messages call it `source_name`.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    fs: &Arc<dyn Fs>,
    path: &Path,
    source_name: &str,
    read: impl FnOnce() -> Result<UnlockSecret>,
) -> Result<(Keyring, Vec<Note>)> {
    let copy = Copy::new(Arc::clone(fs), path);
    copy.check()?;
    // The secret is asked for only when there is something to open.
    header::read(&copy.read()?.front.0).map_err(|e| Error::format(path, "", e))?;
    open_copy(copy, &read()?, source_name)
}

/// Opens `copy` with a secret that was read from `source_name`.
fn open_copy(copy: Copy, secret: &UnlockSecret, source_name: &str) -> Result<(Keyring, Vec<Note>)> {
    let path = copy.path().to_owned();
    let told = |e| Error::format(&path, source_name, e);
    let reading = copy.read()?;
    let mut front = image::open_front(&reading.front.0, Opener::Secret(secret)).map_err(told)?;
    let keys = front.keys.take().ok_or(Error::Unavailable)?;
    let mut sealer = Sealer::new().map_err(told)?;
    let mut memory = Memory::default();
    let file_len = reading.file_len()?;
    let rest = reading.rest(front.wanted(file_len))?;
    let commit = image::read_records(&rest, file_len, &keys, &mut front, &mut sealer, |record| {
        if memory.insert(&record)? {
            Ok(())
        } else {
            Err(FormatError::Damaged { offset: format::FIXED_LEN as u64, what: "two records of one name" })
        }
    })
    .map_err(told)?;
    let front_bytes = reading.front.clone();
    let whole = !front.notes.is_empty();
    let id = front.header.id;
    let counters = Counters::default();
    counters.note_copy(commit.generation, Ok(()));
    let keyring = Keyring {
        memory: RwLock::new(memory),
        writer: Mutex::new(Writer::new(copy.clone(), keys, front.header, commit, front_bytes, sealer, whole)),
        read_only: AtomicBool::new(false),
        retired: AtomicBool::new(false),
        id,
        counters,
    };
    Ok((keyring, front.notes))
}

/// What a file claims to be, read without a secret: nothing of it is authenticated.
#[derive(Debug)]
pub struct Claims {
    /// Its header.
    pub header: Header,
    /// Its generation; `None` when neither commit slot looks like one.
    pub generation: Option<u64>,
    /// Whether one of the copies of the header is damaged.
    pub damaged: bool,
}

/// Reads what a file claims to be.
///
/// # Errors
/// Missing, exposed, not a keyring, newer, damaged.
pub fn inspect(fs: &Arc<dyn Fs>, path: &Path) -> Result<Claims> {
    let copy = Copy::new(Arc::clone(fs), path);
    copy.check()?;
    let front = copy.read()?.front;
    let copies = header::read(&front.0).map_err(|e| Error::format(path, "", e))?;
    let first = copies.readable.first().ok_or(Error::NotAKeyring { path: path.to_owned() })?;
    Ok(Claims {
        header: first.claims().clone(),
        generation: commit::claimed_generation(&front.0),
        damaged: copies.damaged,
    })
}

/// A keyring that is not on disk yet.
#[derive(Debug)]
pub struct NewKeyring {
    header: Header,
    keys: Keys,
}

impl NewKeyring {
    /// A new keyring that opens with `secret`, read from `source_name`: text is a passphrase and goes
    /// through Argon2id with `cost`, at least 32 bytes of anything else are a random secret.
    ///
    /// # Errors
    /// A secret that is too short; no memory or randomness.
    pub fn new(label: &str, secret: &UnlockSecret, source_name: &str, cost: Cost) -> Result<Self> {
        let (kind, bytes) = if secret.is_text() {
            (SlotKind::Passphrase, secret.passphrase())
        } else {
            (SlotKind::SecretFile, secret.raw())
        };
        let least = if kind == SlotKind::Passphrase { MIN_PASSPHRASE } else { MIN_SECRET };
        if bytes.len() < least {
            return Err(Error::Unlock {
                source_name: source_name.to_owned(),
                why: format!("a {kind} needs at least {least} bytes, it has {}", bytes.len()),
            });
        }
        let told = |e| Error::format(Path::new(""), source_name, e);
        let header = Header::new(label, now()).map_err(told)?;
        let keys = Keys::generate(&header.id).map_err(told)?;
        let mut new = Self { header, keys };
        new.add_slot(kind, cost, "unlock secret", bytes)?;
        Ok(new)
    }

    /// Adds a slot for a new recovery key.
    ///
    /// # Errors
    /// No memory or randomness.
    pub fn add_recovery(&mut self) -> Result<RecoveryKey> {
        let key = RecoveryKey::generate()?;
        self.add_slot(SlotKind::Recovery, Cost::NONE, "recovery key", key.bytes())?;
        Ok(key)
    }

    fn add_slot(&mut self, kind: SlotKind, cost: Cost, name: &str, secret: &[u8]) -> Result<()> {
        let told = |e| Error::format(Path::new(""), name, e);
        let slot =
            Slot::seal(kind, cost, name, now(), secret, self.keys.data(), &self.header.id).map_err(told)?;
        self.header.add(slot).map_err(told)
    }

    /// What its header will say.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Writes it to a path where nothing is yet, durably.
    ///
    /// # Errors
    /// [`Error::AlreadyThere`], or what the filesystem answers.
    pub fn write(&self, fs: &Arc<dyn Fs>, path: &Path) -> Result<()> {
        let told = |e| Error::format(path, "", e);
        let mut sealer = Sealer::new().map_err(told)?;
        let image =
            Image::seal(&self.header, &self.keys, 1, std::iter::empty(), &mut sealer).map_err(told)?;
        Copy::new(Arc::clone(fs), path).create(&image.bytes)
    }
}
