// SPDX-License-Identifier: GPL-2.0-or-later
//! What could not be carried out: the system, a volume or another program stood in the way.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// What could not be carried out.
#[derive(Debug, Error)]
pub enum Failure {
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

    /// Another program holds the lock of the file.
    #[error("{} has been locked by another program for {seconds} seconds: nothing was written; see who uses it (fuser {})", path.display(), path.display())]
    Locked {
        /// The keyring file.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },

    /// An unlock source that cannot be read or is unusable.
    #[error("the unlock secret could not be read from {source_name}: {why}")]
    Unlock {
        /// The source, as configured.
        source_name: String,
        /// What is wrong and what to do.
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
    Internal(String),

    /// The system has no memory or no randomness.
    #[error("the system refused memory or randomness: {0}")]
    System(io::Error),
}

fn too_few(reachable: usize, needed: usize) -> String {
    match reachable {
        0 => format!("no copy can be written ({needed} {} needed)", if needed == 1 { "is" } else { "are" }),
        n => format!("only {n} of the {needed} copies that a change must reach can be written"),
    }
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
