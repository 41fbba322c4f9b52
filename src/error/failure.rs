// SPDX-License-Identifier: GPL-2.0-or-later
//! Operations that failed because of the system, a volume or another program.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// An operation that failed because of the system, a volume or another program.
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
    #[error("the volume of {} has not answered for {seconds} seconds and is not used until it does: check the mount (is its network server down, or the disk failing?)", path.display())]
    Hung {
        /// The copy on it.
        path: PathBuf,
        /// How long this program waited.
        seconds: u64,
    },

    /// Another program holds the lock of the file.
    #[error("{} has been locked by another program for {seconds} seconds. Nothing was written. Find that program: fuser {}", path.display(), path.display())]
    Locked {
        /// The keyring file.
        path: PathBuf,
        /// How long this program waited.
        seconds: u64,
    },

    /// An unlock source cannot be read, or what it holds cannot be used.
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

    /// A remote could not be asked, or did not do what it was asked to. This says nothing about what it holds.
    #[error("cannot {doing} {}: {why}", path.display())]
    Remote {
        /// What was tried.
        doing: &'static str,
        /// On which copy.
        path: PathBuf,
        /// What happened, at which endpoint, and what to do next.
        why: String,
    },

    /// Data in memory, which belongs to no file, is inconsistent.
    #[error(
        "the keys in memory could not be used ({0}). Nothing was changed. This is a bug in keyring_external: please report it"
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
            ". Check the owners and modes of the file and its directories (namei -l): they must belong to the user that mysqld runs as. On a network volume, its server must allow this host and user to write: it often refuses root (run keyringctl as mysqld's user), and it may refuse a file while another program has locked it. AppArmor and SELinux must allow mysqld the path: `keyringctl doctor` checks both"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ". Free some space on the volume. The keyring was not changed"
        }
        io::ErrorKind::ReadOnlyFilesystem => ". Mount the volume writable. The keyring was not changed",
        io::ErrorKind::NotFound => ". Check the path",
        _ => ". Check the volume (dmesg); `keyringctl verify` shows whether the keyring is intact",
    }
}
