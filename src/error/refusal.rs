// SPDX-License-Identifier: GPL-2.0-or-later
//! Why a keyring, or a copy of it, was refused. `keyringctl` exits with 1 for these findings.

use std::path::{Path, PathBuf};
use thiserror::Error;
use uuid::Uuid;

/// Why a keyring, or a copy of it, was refused.
#[derive(Debug, Error)]
pub enum Refusal {
    /// There is no file at the path, or no copy of this name at a remote.
    #[error("there is no keyring at {}: {found}. {}; nothing was created. If {} is lost, create it again from another copy (keyringctl sync) or from a backup", path.display(), by_place(path, "Mount the volume that holds it and try again", "Check the name"), by_place(path, "the file", "it"))]
    Missing {
        /// The keyring file.
        path: PathBuf,
        /// What was found on the way to it.
        found: String,
    },

    /// The file is not a keyring.
    #[error("{} is not a keyring of keyring_external (it does not begin like one). Check the path; nothing was changed", path.display())]
    NotAKeyring {
        /// The file.
        path: PathBuf,
    },

    /// The file was written by a later version.
    #[error("{} has format version {version} and this program reads version 1. Install the version of keyring_external that wrote it; nothing was changed", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format version.
        version: u32,
    },

    /// Bytes of the file fail authentication.
    #[error("the keyring {} is damaged at byte {offset} ({what}). Nothing was changed and no key was read from it. {}; `keyringctl verify` shows whether a copy is intact", path.display(), replace(path))]
    Damaged {
        /// The keyring file.
        path: PathBuf,
        /// Where the damage was found.
        offset: u64,
        /// Which part it is.
        what: &'static str,
    },

    /// The secret fits no slot.
    #[error("the secret from {source_name} does not unlock {}: it fits none of the unlock slots ({slots}). Check that the unlock source holds the secret of this keyring; nothing was changed", path.display())]
    WrongSecret {
        /// The keyring file.
        path: PathBuf,
        /// Where the secret came from.
        source_name: String,
        /// The kinds of its slots.
        slots: String,
    },

    /// A slot belongs to the secret, but has been altered.
    #[error("unlock slot {number} ({}) of {} belongs to this secret but has been altered: it is damaged or forged. Nothing was changed. Replace {} with an intact copy. If there is none, unlock the keyring with another secret, remove the slot (keyringctl slot remove), add it again (keyringctl slot add) and renew the data key (keyringctl rekey)", name.escape_debug(), path.display(), by_place(path, "the file", "it"))]
    ForgedSlot {
        /// The keyring file.
        path: PathBuf,
        /// Its number, from 1.
        number: usize,
        /// Its name.
        name: String,
    },

    /// The secret fits none of the slots that were tried, and not all were tried.
    #[error("the secret from {source_name} fits none of the unlock slots of {} that were tried; {untried} were not tried, because this file and its copies require more Argon2id than one opening may spend (6 GiB over all passes). This program never creates such slots, so a copy may be forged: remove it from the configuration, or replace it with a backup. Nothing was changed", path.display())]
    SlotsUntried {
        /// The keyring file.
        path: PathBuf,
        /// Where the secret came from.
        source_name: String,
        /// How many slots were not tried.
        untried: usize,
    },

    /// Another keyring is in the place of this one.
    #[error("{} now holds keyring {found}, but keyring {expected} is in use: {} {expected}. Nothing was changed", path.display(), by_place(path, "mount the volume of", "find out who else uses this prefix, which belongs to"))]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The id found there.
        found: Uuid,
        /// The id in use.
        expected: Uuid,
    },

    /// The copy is older than the keyring in use.
    #[error("{} holds generation {found} of keyring {id}, but generation {expected} is in use: this is an older copy. Nothing was changed. {}. If this is a mirror, bring it up to date: keyringctl sync KEYRING --mirror {} --unlock SOURCE", path.display(), by_place(path, "Mount the volume with the newer copy", "If the remote was restored from an older snapshot, use another copy"), path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// The keyring's id.
        id: Uuid,
        /// The generation found.
        found: u64,
        /// The generation in use.
        expected: u64,
    },

    /// Another program wrote to the file.
    #[error("{} was changed by another program ({detail}). Nothing was written. Find out which other server or tool uses this keyring, then make the server read it again (SET GLOBAL keyring_external_data, or a restart)", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What differs.
        detail: String,
    },

    /// The file has this keyring's id, but its data key is not the one in use.
    #[error("{} has the id of the keyring in use, but was written with another data key: another program renewed the data key, or the file is forged. Nothing was written to it. Try again: the file is then read anew, and a forged one is refused", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
    },

    /// The path is not a regular file.
    #[error("{} is {kind}, and a keyring must be a regular file: give the path of the file itself", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        kind: &'static str,
    },

    /// The file or its directory is open to others.
    #[error("{} is open to other users (mode {mode:04o}): run chmod {fix} {} and try again", path.display(), path.display())]
    Exposed {
        /// File or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The mode it should have, in octal.
        fix: &'static str,
    },

    /// The directory is open to others or belongs to another user, and it is not for keyrings alone, so that its mode and
    /// its owner must stay.
    #[error("{} {wrong}, and it is not for the keyring alone: leave it as it is. Create a directory for the keyring with `{create}`, and use the path {} (if the keyring exists, move it there)", path.display(), instead.display())]
    SharedDirectory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
        /// The command that creates a directory below it.
        create: String,
        /// The path of the keyring in that directory.
        instead: PathBuf,
    },

    /// The file or its directory belongs to another user.
    #[error("{} belongs to user id {owner}, but this program runs as user id {user}. As an administrator, run this with sudo. If mysqld reports this, and it is its keyring, run chown {user} {}", path.display(), path.display())]
    Owner {
        /// File or directory.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who runs.
        user: u32,
    },

    /// Two copies have diverged: they hold the same generation with different content.
    #[error("the copies {} and {} have diverged: both hold generation {generation} of the keyring, but each was changed without the other. Nothing was changed. Keep both files. Check which one decrypts the data: `keyringctl verify {} --datadir DIR --unlock SOURCE`, and the same with the other. Then merge them: keyringctl sync {} --mirror {} --merge --unlock SOURCE", path.display(), other.display(), path.display(), path.display(), other.display())]
    Fork {
        /// One copy.
        path: PathBuf,
        /// The other.
        other: PathBuf,
        /// Their generation.
        generation: u64,
    },

    /// A copy has diverged from the keyring in use: it holds changes that this does not have.
    #[error("the copy {} has diverged: it holds generation {found}, the keyring in use generation {expected}, and neither is an ancestor of the other. No key is stored until they are merged, and neither was changed. Keep both files. Check which one decrypts the data: `keyringctl verify {} --datadir DIR --unlock SOURCE`, and the same with the other. Then merge them: keyringctl sync OTHER --mirror {} --merge --unlock SOURCE", path.display(), path.display(), path.display())]
    Diverged {
        /// The copy.
        path: PathBuf,
        /// Its generation.
        found: u64,
        /// That of the keyring in use.
        expected: u64,
    },

    /// The newest copy is damaged.
    #[error("the copy {} is damaged at byte {offset} ({what}) and holds generation {found}, newer than every intact copy ({best}). The others may lack keys, so none was opened. {}. If there is a backup of this copy, merge it with an intact copy: `keyringctl sync COPY --mirror BACKUP --merge --unlock SOURCE`. If there is none, check whether an intact copy decrypts all of the data: `keyringctl verify COPY --datadir DIR --unlock SOURCE`. If it does, {} and create it again: keyringctl sync COPY --mirror {} --unlock SOURCE", path.display(), by_place(path, "Keep the file", "Delete none of its objects"), by_place(path, "rename the damaged file", "set it aside (keyringctl set-aside)"), path.display())]
    DamagedNewest {
        /// The damaged copy.
        path: PathBuf,
        /// Where it is damaged.
        offset: u64,
        /// Which part.
        what: &'static str,
        /// Its generation.
        found: u64,
        /// The generation of the newest intact copy.
        best: u64,
    },

    /// The data directory was used with another keyring.
    #[error("{} is keyring {found}, but this data directory was last used with keyring {expected} (according to {}). {} {expected}. If the data really belongs to {found}, accept it: keyringctl witness accept {} --datadir {} --unlock SOURCE", path.display(), witness.display(), by_place(path, "Mount the volume of", "Configure the name of"), path.display(), directory(witness))]
    WitnessForeign {
        /// The keyring file.
        path: PathBuf,
        /// Its id.
        found: Uuid,
        /// The id that the witness names.
        expected: Uuid,
        /// The witness.
        witness: PathBuf,
    },

    /// The data directory was used with a newer state of this keyring.
    #[error("{} holds generation {found} of keyring {id}, but this data directory was last used with generation {expected} (according to {}): this is an older copy and may lack keys. {}. If that is lost for good, run `keyringctl which {} --datadir {} --unlock SOURCE` first: it says whether this copy has every key that the data needs, and prints the command (keyringctl witness accept) that accepts it", path.display(), witness.display(), by_place(path, "Mount the volume with the newer copy", "If the remote was restored from an older snapshot, use the newer copy"), path.display(), directory(witness))]
    WitnessOlder {
        /// The keyring file.
        path: PathBuf,
        /// Its id.
        id: Uuid,
        /// Its generation.
        found: u64,
        /// The generation that the witness names.
        expected: u64,
        /// The witness.
        witness: PathBuf,
    },

    /// The data directory was used with another state of the same generation.
    #[error("{} has diverged from the copy that this data directory was last used with, which had another state of generation {generation} (according to {}). Keep both, and make the other one available. Check which one decrypts the data: `keyringctl verify {} --datadir {} --unlock SOURCE`, and the same with the other. Then merge them: `keyringctl sync OTHER --mirror {} --merge --unlock SOURCE`. Only if the other one is lost for good, accept this one: keyringctl witness accept {} --datadir {} --unlock SOURCE", path.display(), witness.display(), path.display(), directory(witness), path.display(), path.display(), directory(witness))]
    WitnessFork {
        /// The keyring file.
        path: PathBuf,
        /// Its generation.
        generation: u64,
        /// The witness.
        witness: PathBuf,
    },

    /// Two of the configured paths lead to one file.
    #[error("{} and {} are {}, so there is only one copy: give the second copy {}", path.display(), other.display(), by_place(path, "one file under two names (a link, or a volume that is mounted twice)", "one copy under two names (two remotes that lead to one engine, or objects that were copied)"), by_place(path, "a path on another volume", "a place of its own, with keyringctl sync"))]
    OneFile {
        /// One path.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },

    /// A slot could be renewed only with its public key, which the caller does not allow.
    #[error(
        "unlock slot {number} ({}) of {} fits none of the given secrets, so it could be renewed only with its public key. Nothing was changed. Give its secret too (--verify-slot, --verify-recovery, --verify-passphrase), remove the slot (keyringctl slot remove), or omit --require-all", name.escape_debug(), path.display()
    )]
    SlotNotVerified {
        /// The keyring file.
        path: PathBuf,
        /// Its number, from 1.
        number: usize,
        /// Its name.
        name: String,
    },

    /// A secret that should verify a slot fits none.
    #[error(
        "the secret from {source_name} fits none of the {count} unlock slots of {}, so it verifies none. Nothing was changed. Check that it is the right secret. If it is, its slot was replaced: find it with keyringctl slot list, remove it and add it again", path.display()
    )]
    VerifiesNoSlot {
        /// The keyring file.
        path: PathBuf,
        /// Where the secret came from.
        source_name: String,
        /// How many slots there are.
        count: usize,
    },
}

/// What to say of a copy that is a file on a volume, or of one at a remote.
fn by_place<'a>(path: &Path, volume: &'a str, remote: &'a str) -> &'a str {
    // As in `config`, which uses this module.
    if path.as_os_str().as_encoded_bytes().first() == Some(&b'@') { remote } else { volume }
}

/// What to do with a damaged copy.
fn replace(path: &Path) -> String {
    let remote = format!(
        "Write it again from an intact copy or a backup: `keyringctl sync COPY --mirror {0} --unlock SOURCE --create`; if its \
         head is damaged, first run `keyringctl set-aside {0}`, which keeps what is there",
        path.display()
    );
    by_place(path, "Keep the file, and replace it with an intact copy from a mirror or a backup", &remote)
        .to_owned()
}

impl Refusal {
    /// Whether another program may have changed the keyring, so that it is worth reading again.
    pub fn is_by_another(&self) -> bool {
        matches!(self, Refusal::Changed { .. } | Refusal::OtherKey { .. } | Refusal::Diverged { .. })
    }

    /// Describes the problem as one of a copy, if the copy at `keyring` can be used. The message for a missing copy must
    /// not suggest to create a new keyring: the administrator would then have two.
    pub fn of_copy(&self, keyring: &Path) -> String {
        let sync = |path: &Path| format!("keyringctl sync {} --mirror {}", keyring.display(), path.display());
        let unlock = "--unlock SOURCE";
        match self {
            Refusal::Missing { path, found } => {
                format!(
                    "{found}. {}. If that copy is lost, create a new one: {} --create {unlock}",
                    by_place(path, "Mount its volume", "Check the name"),
                    sync(path)
                )
            }
            Refusal::Older { path, found, expected, .. } => format!(
                "it holds generation {found}, but generation {expected} is in use: this is an older copy. Nothing was \
                 changed. Bring it up to date: {} {unlock}",
                sync(path)
            ),
            Refusal::Diverged { path, found, expected } => format!(
                "it has diverged: it holds generation {found}, the keyring in use generation {expected}, and neither \
                 is an ancestor of the other. No key is stored until they are merged, and neither was changed. Keep both \
                 files. Check which one decrypts the data: `keyringctl verify {} --datadir DIR --unlock SOURCE`, and the same with the \
                 other. Then merge them: {} --merge {unlock}",
                path.display(),
                sync(path)
            ),
            e => e.to_string(),
        }
    }
}

fn directory(path: &Path) -> std::path::Display<'_> {
    path.parent().unwrap_or(path).display()
}
