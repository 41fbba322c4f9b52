// SPDX-License-Identifier: GPL-2.0-or-later
//! The copies of a keyring and the volumes that they are on.

use super::known::Known;
use crate::commands::apart::is_one_file;
use crate::commands::missing::told;
use crate::commands::secret;
use crate::commands::site::mounts_below;
use crate::commands::slot_row::SlotRow;
use crate::commands::stat;
use crate::error::{Error, Result};
use crate::host::mounts::{Mount, mount_of};
use keyring_external::error::{BadRequest, Result as KeyringResult};
use keyring_external::format::slots::SlotKind;
use keyring_external::keyring::{Claims, Keyring, Kinship, inspect};
use keyring_external::store::fs::Fs;
use keyring_external::store::volume::directory_of;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use uuid::Uuid;

/// Why a keyring was not opened.
const NO_SECRET: &str = "the unlock secret was not given (--unlock): what the file says of itself is shown";

/// A copy as the server names it.
#[derive(Serialize)]
pub(super) struct Copy {
    pub path: PathBuf,
    pub volume: Known<Volume>,
    pub file: Known<CopyFile>,
}

/// What a copy's file is.
#[derive(Serialize)]
pub(super) struct CopyFile {
    pub id: Uuid,
    pub label: String,
    /// When the keyring was made, in seconds since 1970.
    pub created: u64,
    /// When the file was last written, as its filesystem says.
    pub written: Option<u64>,
    pub generation: Option<u64>,
    /// A copy before this one that is the same file under another name.
    pub same_file_as: Option<PathBuf>,
    /// Copies before this one that hold different keys: both were changed apart.
    pub diverged_from: Vec<PathBuf>,
    /// Whether one of the two copies of its header is damaged.
    pub damaged: bool,
    /// What opens it; no secrets.
    pub slots: Vec<SlotRow>,
    pub has_recovery_slot: bool,
    /// Every byte was checked with the unlock secret; what was odd.
    pub verified: Known<Vec<String>>,
}

/// The volume that a copy is on.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Volume {
    pub mounted_at: PathBuf,
    pub filesystem: String,
    pub source: String,
    pub device: String,
    pub read_only: bool,
    /// Whether all on it is gone when the machine stops.
    pub volatile: bool,
    /// Whether the data directory is on another filesystem.
    pub apart_from_data: bool,
}

/// Where a server's files are, as the kernel of this machine has them.
pub(super) struct Mounts(Vec<Mount>);

impl Mounts {
    pub fn read() -> Mounts {
        Mounts(mounts_below(Path::new("/")))
    }

    fn volume(&self, path: &Path, datadir: &Path) -> Known<Volume> {
        let real = |path: &Path| stat::real(path).unwrap_or_else(|_| path.to_owned());
        let find = |path: &Path| mount_of(&self.0, &real(path));
        let (Some(mount), Some(data)) = (find(directory_of(path)), find(datadir)) else {
            return Known::NotMeasured("what is mounted there cannot be seen".to_owned());
        };
        Known::Measured(Volume {
            mounted_at: mount.point.clone(),
            filesystem: mount.kind.clone(),
            source: mount.source.clone(),
            device: mount.device.clone(),
            read_only: mount.has("ro"),
            volatile: mount.is_volatile(),
            apart_from_data: mount.device != data.device,
        })
    }
}

/// What was read of a copy: what it claims, and the keyring when the secret opens it.
pub(super) struct Read {
    claims: Option<Claims>,
    pub opened: Result<Keyring>,
}

/// Looks at one copy of all.
pub(super) fn look(
    fs: &Arc<dyn Fs>,
    path: &Path,
    all: &[PathBuf],
    datadir: &Path,
    mounts: &Mounts,
    secret: &mut secret::Once<'_>,
) -> (Copy, Read) {
    let (file, read) = match file(fs, path, secret) {
        Ok((file, claims, opened)) => (Known::Measured(file), Read { claims: Some(claims), opened }),
        Err(e) => (
            Known::NotMeasured(told(&e, path, all, secret.args())),
            Read { claims: None, opened: Err(BadRequest::Unavailable.into()) },
        ),
    };
    (Copy { path: path.to_owned(), volume: mounts.volume(path, datadir), file }, read)
}

/// Notes which copies have diverged, and which are one file.
pub(super) fn compare(copies: &mut [Copy], read: &[Read]) {
    let diverged = |one: &Read, other: &Read| match (&one.opened, &other.opened) {
        (Ok(one), Ok(other)) => one.kinship(other) == Kinship::Diverged,
        _ => one
            .claims
            .as_ref()
            .zip(other.claims.as_ref())
            .is_some_and(|(a, b)| a.kinship(b) == Kinship::Diverged),
    };
    let paths: Vec<_> = copies.iter().map(|copy| copy.path.clone()).collect();
    for (i, (copy, this)) in copies.iter_mut().zip(read).enumerate() {
        let before = paths.iter().zip(read).take(i).filter(|(_, other)| diverged(this, other));
        if let Known::Measured(file) = &mut copy.file {
            file.same_file_as = paths.iter().take(i).find(|other| is_one_file(other, &copy.path)).cloned();
            file.diverged_from = before.map(|(path, _)| path.clone()).collect();
        }
    }
}

fn file(
    fs: &Arc<dyn Fs>,
    path: &Path,
    secret: &mut secret::Once<'_>,
) -> KeyringResult<(CopyFile, Claims, Result<Keyring>)> {
    let claims = inspect(fs, path)?;
    let mut verified = Known::NotMeasured(NO_SECRET.to_owned());
    let mut opened = Err(Error::Usage(NO_SECRET.to_owned()));
    let mut generation = claims.commit.map(|c| c.generation);
    if secret.is_given() {
        match secret.load(fs, path) {
            Ok((keyring, notes)) => {
                generation = Some(keyring.status().generation);
                let odd = notes.iter().filter(|n| n.is_damage());
                verified = Known::Measured(odd.map(ToString::to_string).collect());
                opened = Ok(keyring);
            }
            Err(e) => {
                verified = Known::NotMeasured(e.to_string());
                opened = Err(e.into());
            }
        }
    }
    let written = stat::metadata(path).and_then(|m| m.modified()).ok();
    let written = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let header = &claims.header;
    let file = CopyFile {
        id: header.id,
        label: header.label.clone(),
        created: header.created,
        written: written.map(|d| d.as_secs()),
        generation,
        same_file_as: None,
        diverged_from: Vec::new(),
        damaged: claims.damaged,
        slots: header.slots.iter().map(SlotRow::from).collect(),
        has_recovery_slot: header.slots.iter().any(|s| s.kind == SlotKind::Recovery),
        verified,
    };
    Ok((file, claims, opened))
}

/// A copy that was not looked at.
pub(super) fn unseen(path: &Path, why: &str) -> Copy {
    let why = why.to_owned();
    Copy { path: path.to_owned(), volume: Known::NotMeasured(why.clone()), file: Known::NotMeasured(why) }
}
