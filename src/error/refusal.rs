// SPDX-License-Identifier: GPL-2.0-or-later
//! What is wrong with a keyring, or with a copy of it: findings, for which `keyringctl` exits with 1.

use std::path::{Path, PathBuf};
use thiserror::Error;
use uuid::Uuid;

/// What is wrong with a keyring, or with a copy of it.
#[derive(Debug, Error)]
pub enum Refusal {
    /// There is no file at the path.
    #[error("there is no keyring at {}: {found}. Mount the volume that holds it and try again; nothing was created. A new keyring reads nothing that is encrypted already: only if there has never been one here, see keyringctl init --help", path.display())]
    Missing {
        /// The keyring file.
        path: PathBuf,
        /// What was found on the way to it.
        found: String,
    },

    /// The file is something else.
    #[error("{} is not a keyring of keyring_external (it does not begin like one): check the path; nothing was changed", path.display())]
    NotAKeyring {
        /// The file.
        path: PathBuf,
    },

    /// The file was written by a later version.
    #[error("{} has format version {version} and this program reads version 1: install the keyring_external that wrote it; nothing was changed", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format version.
        version: u32,
    },

    /// Bytes of the file fail authentication.
    #[error("the keyring {} is damaged at byte {offset} ({what}): nothing was changed and no key was taken from it. Keep the file, and put a copy of this keyring from a mirror or a backup in its place; `keyringctl verify` shows whether a copy is whole", path.display())]
    Damaged {
        /// The keyring file.
        path: PathBuf,
        /// Where the damage was found.
        offset: u64,
        /// Which part it is.
        what: &'static str,
    },

    /// No slot opens with the secret.
    #[error("the unlock secret from {source_name} does not open the keyring {}: none of its slots ({slots}) fits. Check that the unlock source holds the secret made for this keyring; nothing was changed", path.display())]
    WrongSecret {
        /// The keyring file.
        path: PathBuf,
        /// Where the secret came from.
        source_name: String,
        /// The kinds of its slots.
        slots: String,
    },

    /// A slot was made for the secret, but is not as it was made.
    #[error("unlock slot {number} ({}) of the keyring {} was made for this secret, but is not as it was made: it is damaged, or somebody forged it. Nothing was changed. Put a whole copy in the file's place, or open the keyring with another secret, remove the slot (keyringctl slot remove), add it anew (keyringctl slot add) and renew the data key (keyringctl rekey)", name.escape_debug(), path.display())]
    ForgedSlot {
        /// The keyring file.
        path: PathBuf,
        /// Its number, from 1.
        number: usize,
        /// Its name.
        name: String,
    },

    /// No slot opened, and not all were tried.
    #[error("the unlock secret from {source_name} opens none of the unlock slots of the keyring {} that were tried, and {untried} were not: this file and its copies ask for more Argon2id than one opening may spend (6 GiB over all passes), and slots that cost so much are not made by this program. Was a copy forged? Take it out of the configuration, or put a backup in its place; nothing was changed", path.display())]
    SlotsUntried {
        /// The keyring file.
        path: PathBuf,
        /// Where the secret came from.
        source_name: String,
        /// How many slots were not tried.
        untried: usize,
    },

    /// Another keyring lies where ours was.
    #[error("{} now holds another keyring ({found}) than the one in use ({expected}): mount the volume of {expected}; nothing was changed", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The id found there.
        found: Uuid,
        /// The id in use.
        expected: Uuid,
    },

    /// The file is older than what was already seen of this keyring.
    #[error("{} holds generation {found} of keyring {id}, but generation {expected} is in use: this is an older copy. Nothing was changed. Mount the volume with the newer one, or, when this is a mirror that is to be brought up to date: keyringctl sync KEYRING --mirror {} --unlock SOURCE", path.display(), path.display())]
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

    /// Somebody else wrote to the file.
    #[error("{} was changed by another program ({detail}): nothing was written. Find out which other server or tool uses this keyring, then have it read again (SET GLOBAL keyring_external_data, or a restart)", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What differs.
        detail: String,
    },

    /// The file has this keyring's id, but the keys in use do not open it.
    #[error("{} has the id of the keyring in use, but was written with another data key: its key was renewed by another program, or somebody forged it. Nothing was written to it", path.display())]
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

    /// The file or its directory belongs to somebody else.
    #[error("{} belongs to user id {owner}, but this program runs as user id {user}: run chown {user} {}", path.display(), path.display())]
    Owner {
        /// File or directory.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who runs.
        user: u32,
    },

    /// Two copies claim the same generation with different content.
    #[error("the copies {} and {} both hold generation {generation} of the keyring, but not the same keys: they have diverged. Nothing was changed. Keep both files. See which one opens the data: `keyringctl verify {} --datadir DIR --unlock SOURCE`, and the same with the other. Then bring the keys of both together: keyringctl sync {} --mirror {} --merge --unlock SOURCE", path.display(), other.display(), path.display(), path.display(), other.display())]
    Fork {
        /// One copy.
        path: PathBuf,
        /// The other.
        other: PathBuf,
        /// Their generation.
        generation: u64,
    },

    /// A copy went its own way: it holds keys, or changes, that the one in use does not know.
    #[error("the copy {} has diverged: it holds generation {found}, the keyring in use generation {expected}, and neither follows from the other. No key is stored until they are one again, and both are left as they are. Keep both files. See which one opens the data: `keyringctl verify {} --datadir DIR --unlock SOURCE`, and the same with the other. Then bring the keys of both together: keyringctl sync OTHER --mirror {} --merge --unlock SOURCE", path.display(), path.display(), path.display())]
    Diverged {
        /// The copy.
        path: PathBuf,
        /// Its generation.
        found: u64,
        /// That of the keyring in use.
        expected: u64,
    },

    /// The newest copy is damaged.
    #[error("the copy {} is damaged at byte {offset} ({what}) and holds generation {found}, newer than every whole copy ({best}): keys may be missing in the others, so none was opened. Keep the file. When there is a backup of this copy, bring its keys together with those of a whole copy: `keyringctl sync COPY --mirror BACKUP --merge --unlock SOURCE`. When there is none, see whether a whole copy opens all of the data without them: `keyringctl verify COPY --datadir DIR --unlock SOURCE`; if it does, rename the damaged file and have it made anew: keyringctl sync COPY --mirror {} --unlock SOURCE", path.display(), path.display())]
    DamagedNewest {
        /// The damaged copy.
        path: PathBuf,
        /// Where it is damaged.
        offset: u64,
        /// Which part.
        what: &'static str,
        /// Its generation.
        found: u64,
        /// The newest whole copy's.
        best: u64,
    },

    /// The data directory was used with another keyring.
    #[error("{} is keyring {found}, but this data directory was last used with keyring {expected}, says {}: mount the volume of {expected}. If the data really belongs to {found}, accept it with: keyringctl witness accept {} --datadir {} --unlock SOURCE", path.display(), witness.display(), path.display(), directory(witness))]
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
    #[error("{} holds generation {found} of keyring {id}, but this data directory has seen generation {expected}, says {}: this is an older copy, and keys are missing in it. Mount the volume with the newer one. If that is lost for good, accept this one with: keyringctl witness accept {} --datadir {} --unlock SOURCE", path.display(), witness.display(), path.display(), directory(witness))]
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
    #[error("{} has diverged from the copy that this data directory was last used with: that was in another state of generation {generation}, says {}. Keep both: mount the other one. See which one opens the data: `keyringctl verify {} --datadir {} --unlock SOURCE`, and the same with the other. Then bring the keys of both together: `keyringctl sync OTHER --mirror {} --merge --unlock SOURCE`. Only if the other one is lost for good, accept this one: keyringctl witness accept {} --datadir {} --unlock SOURCE", path.display(), witness.display(), path.display(), directory(witness), path.display(), path.display(), directory(witness))]
    WitnessFork {
        /// The keyring file.
        path: PathBuf,
        /// Its generation.
        generation: u64,
        /// The witness.
        witness: PathBuf,
    },

    /// Two of the configured paths lead to one file.
    #[error("{} and {} are one file under two names (a link, or a volume that is mounted twice), so there is one copy and not two: give the second copy a path on another volume", path.display(), other.display())]
    OneFile {
        /// One path.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },

    /// A slot would follow to a new data key by its public key, and that was ruled out.
    #[error(
        "none of the secrets given opens unlock slot {number} ({}) of {}, so it would follow to the new data key by its public key alone: nothing was changed. Give its secret too (--verify-slot, --verify-recovery, --verify-passphrase), remove the slot (keyringctl slot remove), or leave out --require-all", name.escape_debug(), path.display()
    )]
    SlotNotVerified {
        /// The keyring file.
        path: PathBuf,
        /// Its number, from 1.
        number: usize,
        /// Its name.
        name: String,
    },

    /// A secret that was to verify a slot opens none.
    #[error(
        "the secret from {source_name} opens none of the {count} unlock slots of {}, so it verifies none: nothing was changed. Check that it is the right secret. If it is, its slot was replaced: find that with keyringctl slot list, remove it and add it anew", path.display()
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

impl Refusal {
    /// Whether another program may have changed the keyring, so that it is worth reading again.
    pub fn is_by_another(&self) -> bool {
        matches!(self, Refusal::Changed { .. } | Refusal::OtherKey { .. } | Refusal::Diverged { .. })
    }

    /// What is wrong with one of several copies, when the one at `keyring` can be used. Whoever made a new keyring in
    /// the place of a missing copy would have two.
    pub fn of_copy(&self, keyring: &Path) -> String {
        let sync = |path: &Path| format!("keyringctl sync {} --mirror {}", keyring.display(), path.display());
        let unlock = "--unlock SOURCE";
        match self {
            Refusal::Missing { path, found } => {
                format!(
                    "{found}. Mount its volume, or, when that copy is lost, put a new one there: {} {unlock}",
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
                 follows from the other. No key is stored until they are one again, and both are left as they are. Keep \
                 both files. See which one opens the data: `keyringctl verify {} --datadir DIR --unlock SOURCE`, and the same with the \
                 other. Then bring the keys of both together: {} --merge {unlock}",
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
