// SPDX-License-Identifier: GPL-2.0-or-later
//! What can go wrong, as sentences for a database administrator: what happened, to which path, and
//! what to do next. No error ever holds a secret.

mod concern;

pub use concern::Concern;

use crate::format::FormatError;
use crate::key::KeyError;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;
use uuid::Uuid;

/// Everything a keyring operation can answer instead of success.
#[derive(Debug, Error)]
pub enum Error {
    /// Bad name, type or length.
    #[error(transparent)]
    Key(#[from] KeyError),

    /// A key of that name is there already; it was not touched.
    #[error("a key {name} exists already and was left as it is: remove it first, or choose another id")]
    Exists {
        /// The key's name.
        name: String,
    },

    /// There is no key of that name.
    #[error("there is no key {name}")]
    NoSuchKey {
        /// The key's name.
        name: String,
    },

    /// The keyring may not be changed.
    #[error("the keyring {} is read-only here: set keyring_external_read_only=OFF (or drop the read-only option) to change it", path.display())]
    ReadOnly {
        /// The keyring file.
        path: PathBuf,
    },

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

    /// The keyring lies beside the data it protects.
    #[error("{} is on the same filesystem as the data directory {}: whoever takes that disk has both. Is the volume mounted? Mount it, choose a path on another volume, or set keyring_external_allow_same_device=ON if that is meant", path.display(), datadir.display())]
    SameDevice {
        /// The keyring file.
        path: PathBuf,
        /// The server's data directory.
        datadir: PathBuf,
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

    /// Fewer copies can be written than a change must reach.
    #[error(
        "{}, so nothing was changed: {why}", too_few(*reachable, *needed)
    )]
    TooFewCopies {
        /// How many can be written.
        reachable: usize,
        /// `min_copies`.
        needed: usize,
        /// What is wrong with the others.
        why: String,
    },

    /// A volume does not answer.
    #[error("the volume of {} has not answered for {seconds} seconds, and nothing more is tried on it until it does: check the mount (a network server that is gone, a failing disk)", path.display())]
    Hung {
        /// The copy on it.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
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

    /// A file is not what another keyring writes.
    #[error("{} cannot be read as a file of {format}: {why}. Nothing was changed", path.display())]
    OtherKeyring {
        /// The file.
        path: PathBuf,
        /// The other keyring.
        format: &'static str,
        /// What is wrong, and what to do.
        why: String,
    },

    /// A file is where a new one was to be made.
    #[error("{} exists already and was left as it is: choose another path, or move the file away", path.display())]
    AlreadyThere {
        /// The path.
        path: PathBuf,
    },

    /// Another program holds the lock of the file.
    #[error("{} has been locked by another program for {seconds} seconds: nothing was written; see who uses it (fuser {})", path.display(), path.display())]
    Locked {
        /// The keyring file.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },

    /// Two of the configured paths lead to one file.
    #[error("{} and {} are one file under two names (a link, or a volume that is mounted twice), so there is one copy and not two: give the second copy a path on another volume", path.display(), other.display())]
    OneFile {
        /// One path.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },

    /// An unlock source that cannot be read or is unusable.
    #[error("the unlock secret could not be read from {source_name}: {why}")]
    Unlock {
        /// The source, as configured.
        source_name: String,
        /// What is wrong and what to do.
        why: String,
    },

    /// A setting that cannot be.
    #[error("{0}")]
    Config(String),

    /// The keyring is not open.
    #[error(
        "the keyring is not available: see the server's error log for the reason it was not opened at start"
    )]
    Unavailable,

    /// Another keyring took this one's place while the call waited for it: the call is made again there.
    #[error("the keyring was replaced while this call waited for it: try again")]
    Retired,

    /// Every slot of the header is in use.
    #[error("all 8 unlock slots are in use: remove one first")]
    NoFreeSlot,

    /// There is no such slot.
    #[error("{}", no_such_slot(*number, *count))]
    NoSuchSlot {
        /// Its number, counted from 1; 0 when it was looked for by its secret.
        number: usize,
        /// How many there are.
        count: usize,
    },

    /// The last slot cannot go.
    #[error(
        "this is the last unlock slot, without which nothing opens the keyring: add another one first (keyringctl slot add)"
    )]
    LastSlot,

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

    /// A MySQL server cannot be reached, or refused a statement.
    #[error("cannot {doing}: {why}")]
    Server {
        /// What was tried. No secret.
        doing: String,
        /// MySQL's number of the error; 0 when it was not the server that refused.
        code: u16,
        /// The answer.
        why: String,
    },

    /// The system refused an operation.
    #[error("cannot {doing} {}: {cause}{}", path.display(), remedy(cause))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },

    /// What is in memory and of no file did not fit together.
    #[error(
        "the keys in memory could not be used ({0}): nothing was changed. This is a fault of keyring_external: please report it"
    )]
    Internal(FormatError),

    /// The system has no memory or no randomness.
    #[error("the system refused memory or randomness: {0}")]
    System(#[from] io::Error),
}

impl Error {
    /// An I/O error with its path.
    pub fn io(doing: &'static str, path: &Path, cause: io::Error) -> Self {
        Error::Io { doing, path: path.to_owned(), cause }
    }

    /// What is wrong with one of several copies, when the one at `keyring` can be used. Whoever made a new keyring in
    /// the place of a missing copy would have two.
    pub fn of_copy(&self, keyring: &Path) -> String {
        let sync = |path: &Path| format!("keyringctl sync {} --mirror {}", keyring.display(), path.display());
        let unlock = "--unlock SOURCE";
        match self {
            Error::Missing { path, found } => {
                format!(
                    "{found}. Mount its volume, or, when that copy is lost, put a new one there: {} {unlock}",
                    sync(path)
                )
            }
            Error::Older { path, found, expected, .. } => format!(
                "it holds generation {found}, but generation {expected} is in use: this is an older copy. Nothing was \
                 changed. Bring it up to date: {} {unlock}",
                sync(path)
            ),
            Error::Diverged { path, found, expected } => format!(
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

    /// Adds the path (and the name of the unlock source) to an error of the format.
    pub fn format(path: &Path, source_name: &str, e: FormatError) -> Self {
        let path = path.to_owned();
        match e {
            FormatError::NotAKeyring => Error::NotAKeyring { path },
            FormatError::Newer(version) => Error::Newer { path, version },
            FormatError::Damaged { offset, what } => Error::Damaged { path, offset, what },
            FormatError::WrongSecret { slots, untried: 0 } => {
                Error::WrongSecret { path, source_name: source_name.to_owned(), slots }
            }
            FormatError::WrongSecret { untried, .. } => {
                Error::SlotsUntried { path, source_name: source_name.to_owned(), untried }
            }
            FormatError::ForgedSlot { number, name } => Error::ForgedSlot { path, number, name },
            FormatError::NoFreeSlot => Error::NoFreeSlot,
            FormatError::System(e) => Error::System(e),
        }
    }
}

/// An error of the format in what concerns no file: keys and slots in memory.
pub fn in_memory(e: FormatError) -> Error {
    match e {
        FormatError::NoFreeSlot => Error::NoFreeSlot,
        FormatError::System(e) => Error::System(e),
        e @ (FormatError::NotAKeyring
        | FormatError::Newer(_)
        | FormatError::Damaged { .. }
        | FormatError::WrongSecret { .. }
        | FormatError::ForgedSlot { .. }) => Error::Internal(e),
    }
}

fn no_such_slot(number: usize, count: usize) -> String {
    match number {
        0 => format!("none of the {count} unlock slots opens with that secret: nothing was changed"),
        n => format!("there is no unlock slot {n}: keyringctl slot list shows the {count} there are"),
    }
}

fn too_few(reachable: usize, needed: usize) -> String {
    match reachable {
        0 => format!("no copy can be written ({needed} {} needed)", if needed == 1 { "is" } else { "are" }),
        n => format!("only {n} of the {needed} copies that a change must reach can be written"),
    }
}

fn directory(path: &Path) -> std::path::Display<'_> {
    path.parent().unwrap_or(path).display()
}

/// The next step for the I/O errors that administrators meet.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            ". Look at the owners and modes of the file and its directories (namei -l): they belong to the user that mysqld runs as. On a network volume, what its server allows counts: this host and user must be allowed to write, root is often refused (run keyringctl as that user), and a file that another program has locked may be refused until that has ended. AppArmor and SELinux must allow mysqld the path: `keyringctl doctor` looks at both"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ". Free some space on the volume; the keyring is as it was before"
        }
        io::ErrorKind::ReadOnlyFilesystem => ". Mount the volume writable; the keyring is as it was before",
        io::ErrorKind::NotFound => ". Is the volume mounted?",
        _ => ". Check the volume (dmesg); `keyringctl verify` shows whether the keyring is whole",
    }
}

/// The result of a keyring operation.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_no_file_names_none() {
        let all = [
            FormatError::NotAKeyring,
            FormatError::Newer(2),
            FormatError::Damaged { offset: 7, what: "slot" },
            FormatError::WrongSecret { slots: "passphrase".to_owned(), untried: 0 },
            FormatError::NoFreeSlot,
            FormatError::System(io::ErrorKind::OutOfMemory.into()),
        ];
        for e in all {
            let text = in_memory(e).to_string();
            assert!(!text.contains("  ") && !text.starts_with(' '), "an empty path: {text}");
        }
    }

    #[test]
    fn no_copy_that_can_be_written_is_not_counted() {
        let told =
            |reachable, needed| Error::TooFewCopies { reachable, needed, why: "x".to_owned() }.to_string();
        assert_eq!(told(0, 1), "no copy can be written (1 is needed), so nothing was changed: x");
        assert!(told(1, 2).starts_with("only 1 of the 2 copies"));
    }

    #[test]
    fn a_copy_is_brought_up_to_date_and_no_second_keyring_made() {
        let path = PathBuf::from("/mnt/b/k");
        let told = |e: Error| e.of_copy(Path::new("/mnt/a/k"));
        let missing = Error::Missing { path: path.clone(), found: "it is not mounted".to_owned() };
        let older = Error::Older { path: path.clone(), id: Uuid::nil(), found: 3, expected: 5 };
        for text in [told(missing), told(older)] {
            assert!(text.ends_with("keyringctl sync /mnt/a/k --mirror /mnt/b/k --unlock SOURCE"), "{text}");
        }
        let denied = Error::io("open", &path, io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(denied.contains("network volume") && denied.contains("AppArmor"), "{denied}");
    }
}
