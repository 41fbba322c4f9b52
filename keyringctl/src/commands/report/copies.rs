// SPDX-License-Identifier: GPL-2.0-or-later
//! The copies of a keyring and their volumes.

use super::known::Known;
use crate::commands::apart::is_one_file;
use crate::commands::missing::explain;
use crate::commands::remote_facts::RemoteFacts;
use crate::commands::secret;
use crate::commands::site::mounts_below;
use crate::commands::slot_row::SlotRow;
use crate::commands::stat;
use crate::error::{Error, Result};
use crate::host::mounts::{Mount, mount_of};
use keyring_external::error::{BadRequest, Result as KeyringResult};
use keyring_external::keyring::{Claims, Keyring, Relation, inspect};
use keyring_external::store::file::volume::directory_of;
use keyring_external::store::places::{Places, is_remote};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use uuid::Uuid;

/// Why a copy was not opened.
pub(super) const NO_SECRET: &str = "no unlock secret was given, so that only what the files claim is known: run keyringctl report with --unlock SOURCE";

/// Why the volume of a copy is not known.
pub(super) const NO_MOUNTS: &str =
    "/proc does not show what is mounted there: run keyringctl report where /proc is mounted";

/// Why a copy at a remote has no volume.
const ON_NO_VOLUME: &str = "a copy at a remote is on no volume";

/// A copy that the server reports.
#[derive(Serialize)]
pub(super) struct CopyFacts {
    #[serde(serialize_with = "crate::show::path")]
    pub path: PathBuf,
    pub volume: Known<Volume>,
    /// Where a copy at a remote is, instead of on a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<Known<RemoteFacts>>,
    pub file: Known<CopyFile>,
}

/// The file of a copy.
#[derive(Serialize)]
pub(super) struct CopyFile {
    pub id: Uuid,
    pub label: String,
    /// When the keyring was created, in seconds since 1970.
    pub created: u64,
    /// When the file was last written, according to its filesystem.
    pub written: Option<u64>,
    pub generation: Option<u64>,
    /// A copy earlier in the list that is the same file under another name.
    #[serde(serialize_with = "crate::show::optional_path")]
    pub same_file_as: Option<PathBuf>,
    /// Copies earlier in the list from which this one has diverged.
    #[serde(serialize_with = "crate::show::paths")]
    pub diverged_from: Vec<PathBuf>,
    /// Whether one of the two copies of its header is damaged.
    pub damaged: bool,
    /// Its unlock slots, without secrets.
    pub slots: Vec<SlotRow>,
    pub has_recovery_slot: bool,
    /// Every byte was verified with the unlock secret; lists the damage.
    pub verified: Known<Vec<String>>,
}

/// The volume that a copy is on.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Volume {
    #[serde(serialize_with = "crate::show::path")]
    pub mounted_at: PathBuf,
    pub filesystem: String,
    pub source: String,
    pub device: String,
    pub read_only: bool,
    /// Whether its contents are lost when the machine stops.
    pub volatile: bool,
    /// Whether the data directory is on another filesystem.
    pub apart_from_data: bool,
}

/// The filesystems mounted on this machine.
pub(super) struct Mounts(Vec<Mount>);

impl Mounts {
    pub(super) fn read() -> Mounts {
        Mounts(mounts_below(Path::new("/")))
    }

    fn volume(&self, path: &Path, datadir: &Path) -> Known<Volume> {
        let real = |path: &Path| stat::real(path).unwrap_or_else(|_| path.to_owned());
        let find = |path: &Path| mount_of(&self.0, &real(path));
        let (Some(mount), Some(data)) = (find(directory_of(path)), find(datadir)) else {
            return Known::NotMeasured(NO_MOUNTS.to_owned());
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

/// What was read of a copy: its claims, and the keyring if the secret unlocks it.
pub(super) struct CopyContents {
    claims: Option<Claims>,
    pub opened: Result<Keyring>,
}

/// Reads one copy of `all`.
pub(super) fn read(
    places: &Places,
    path: &Path,
    all: &[PathBuf],
    datadir: &Path,
    mounts: &Mounts,
    secret: &mut secret::Once<'_>,
) -> (CopyFacts, CopyContents) {
    let (file, read) = match file(places, path, secret) {
        Ok((file, claims, opened)) => (Known::Measured(file), CopyContents { claims: Some(claims), opened }),
        Err(e) => (
            Known::NotMeasured(explain(&e, path, all, secret.args())),
            CopyContents { claims: None, opened: Err(BadRequest::Unavailable.into()) },
        ),
    };
    let (volume, remote) = match is_remote(path) {
        true => (Known::NotMeasured(ON_NO_VOLUME.to_owned()), Some(RemoteFacts::of(path).into())),
        false => (mounts.volume(path, datadir), None),
    };
    (CopyFacts { path: path.to_owned(), volume, remote, file }, read)
}

/// Records which copies have diverged, and which are the same file.
pub(super) fn compare(copies: &mut [CopyFacts], read: &[CopyContents]) {
    let diverged = |one: &CopyContents, other: &CopyContents| match (&one.opened, &other.opened) {
        (Ok(one), Ok(other)) => one.relation_to(other) == Relation::Diverged,
        _ => one
            .claims
            .as_ref()
            .zip(other.claims.as_ref())
            .is_some_and(|(a, b)| a.relation_to(b) == Relation::Diverged),
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
    places: &Places,
    path: &Path,
    secret: &mut secret::Once<'_>,
) -> KeyringResult<(CopyFile, Claims, Result<Keyring>)> {
    let claims = inspect(places, path)?;
    let mut verified = Known::NotMeasured(NO_SECRET.to_owned());
    let mut opened = Err(Error::Usage(NO_SECRET.to_owned()));
    let mut generation = claims.commit.map(|c| c.generation);
    if secret.is_given() {
        match secret.load(places, path) {
            Ok((keyring, notes)) => {
                generation = Some(keyring.status().generation);
                let damage = notes.iter().filter(|n| n.is_damage());
                verified = Known::Measured(damage.map(ToString::to_string).collect());
                opened = Ok(keyring);
            }
            Err(e) => {
                verified = Known::NotMeasured(e.to_string());
                opened = Err(e.into());
            }
        }
    }
    let is_file = !is_remote(path);
    let written = is_file.then(|| stat::metadata(path).and_then(|m| m.modified()).ok()).flatten();
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
        has_recovery_slot: header.slots.iter().any(|(_, s)| s.kind.is_for_recovery()),
        verified,
    };
    Ok((file, claims, opened))
}

/// Returns a copy that was not read.
pub(super) fn not_read(path: &Path, why: &str) -> CopyFacts {
    let why = why.to_owned();
    CopyFacts {
        path: path.to_owned(),
        volume: Known::NotMeasured(why.clone()),
        remote: is_remote(path).then(|| Known::NotMeasured(why.clone())),
        file: Known::NotMeasured(why),
    }
}
