// SPDX-License-Identifier: GPL-2.0-or-later
//! The temporary copy of the keyring. Its only slot is for a random secret, which exists in memory: the server reads it from
//! its standard input, a file in memory without a name. When the drill has ended, however it ended, nothing unlocks the copy.

use super::account::Account;
use super::work::Work;
use crate::commands::backup::{newest, read_copy};
use crate::commands::copies::Copies;
use crate::commands::output::stderr_report;
use crate::commands::secret::Once;
use crate::commands::store_places::store_places;
use crate::error::Result;
use keyring_external::error::Failure;
use keyring_external::format::cost::Cost;
use keyring_external::keyring::{Keyring, NewKeyring, Status, load_all};
use keyring_external::secret::{Locked, MIN_SECRET, UnlockSecret};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::{File, Permissions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The unlock source of the temporary server.
pub(super) const SOURCE: &str = "file:/proc/self/fd/0";
const NAME: &str = "restore drill";

/// The keyring that the backup belongs to, and its temporary copy.
pub(super) struct Replica {
    /// The keyring as it is, without the changes of the copy.
    pub keyring: Option<Keyring>,
    /// The path of the newest of its copies.
    pub path: Option<PathBuf>,
    pub status: Status,
    secret: File,
}

impl Replica {
    /// Copies the newest of the copies of a keyring.
    pub(super) fn of(copies: &Copies, work: &Work, account: &Account) -> Result<Replica> {
        let places = store_places();
        let mut once = Once::new(&copies.secret);
        let name = copies.secret.name();
        let (keyring, notes) = once
            .open(copies.first(), |read| load_all(&places, &copies.paths, 1, &name, read, stderr_report))?;
        for note in notes {
            crate::show::warn(format_args!("note: {note}"));
        }
        let path = newest(&keyring, copies.first());
        let bytes = read_copy(&places, &path)?;
        let own = work.keyring();
        places.replica(&own)?.find_vacant()?.create(&bytes)?;
        let (copy, _) = once.open(&own, |read| {
            load_all(&places, std::slice::from_ref(&own), 1, &name, read, stderr_report)
        })?;
        let secret = random_secret()?;
        let old: Vec<_> = copy.slots().iter().map(|(number, _)| number).collect();
        let (last, others) = match old.split_last() {
            Some((last, others)) => (Some(*last), others),
            None => (None, &[][..]),
        };
        for number in others {
            copy.remove_slot(*number, None)?;
        }
        copy.add_slot(&secret, NAME, NAME, Cost::NONE)?;
        if let Some(last) = last {
            copy.remove_slot(last, None)?;
        }
        let secret = in_memory(&secret, account).map_err(Failure::System)?;
        Ok(Replica { status: keyring.status(), keyring: Some(keyring), path: Some(path), secret })
    }

    /// A new keyring.
    pub(super) fn new(work: &Work, account: &Account) -> Result<Replica> {
        let places = store_places();
        let secret = random_secret()?;
        let path = work.keyring();
        NewKeyring::new(NAME, &secret, NAME, Cost::NONE)?.write(&places, std::slice::from_ref(&path))?;
        let read = || Ok(UnlockSecret::new(Locked::copy_of(secret.raw())?));
        let (keyring, _) = load_all(&places, &[path], 1, NAME, read, stderr_report)?;
        let file = in_memory(&secret, account).map_err(Failure::System)?;
        Ok(Replica { status: keyring.status(), keyring: None, path: None, secret: file })
    }

    /// The standard input of a server.
    pub(super) fn secret(&self) -> Result<File> {
        Ok(self.secret.try_clone().map_err(Failure::System)?)
    }
}

fn random_secret() -> Result<UnlockSecret> {
    loop {
        let secret = UnlockSecret::new(Locked::random(MIN_SECRET).map_err(Failure::System)?);
        // One that happens to be text would be a passphrase.
        if !secret.is_text() {
            return Ok(secret);
        }
    }
}

/// A file in memory that only the account can read.
fn in_memory(secret: &UnlockSecret, account: &Account) -> io::Result<File> {
    let mut file = File::from(memfd_create("unlock secret", MemfdFlags::CLOEXEC)?);
    file.write_all(secret.raw())?;
    file.rewind()?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    account.own_file(&file)?;
    Ok(file)
}
