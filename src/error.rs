// SPDX-License-Identifier: GPL-2.0-or-later
//! Errors, as sentences for a database administrator: what happened, to which path, and what to do next. No error contains
//! a secret.
//!
//! The type of an error says what it is about: a [`Refusal`] is a finding about a keyring (`keyringctl` exits with 1); a
//! [`BadRequest`] or a [`Failure`] says that something could not be done (it exits with 2).

mod bad_request;
mod failure;
mod refusal;

pub use bad_request::BadRequest;
pub use failure::Failure;
pub use refusal::Refusal;

use std::io;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;

/// Why a keyring operation did not succeed.
#[derive(Debug, Error)]
pub enum Error {
    /// A finding about a keyring.
    #[error(transparent)]
    Refusal(#[from] Refusal),

    /// The request cannot be fulfilled.
    #[error(transparent)]
    BadRequest(#[from] BadRequest),

    /// The operation failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl Error {
    /// An I/O error with its path.
    pub fn io(doing: &'static str, path: &Path, cause: io::Error) -> Self {
        Failure::Io { doing, path: path.to_owned(), cause }.into()
    }

    /// Another program has held the lock of a copy for this long.
    pub fn locked(path: &Path, waited: Duration) -> Self {
        Failure::Locked { path: path.to_owned(), seconds: waited.as_secs() }.into()
    }

    /// A remote did not do what it was asked to.
    pub fn remote(doing: &'static str, path: &Path, why: impl Into<String>) -> Self {
        Failure::Remote { doing, path: path.to_owned(), why: why.into() }.into()
    }

    /// Whether the copy could not be looked at, so that this says nothing about what it holds.
    pub fn is_away(&self) -> bool {
        match self {
            Error::Refusal(refusal) => matches!(refusal, Refusal::Missing { .. }),
            Error::Failure(failure) => matches!(
                failure,
                Failure::Hung { .. } | Failure::Io { .. } | Failure::Remote { .. } | Failure::System(_)
            ),
            Error::BadRequest(_) => false,
        }
    }

    /// The kind of the I/O error, if this is one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Error::Failure(Failure::Io { cause, .. }) => Some(cause.kind()),
            _ => None,
        }
    }

    /// The finding about a keyring, if this is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Error::Refusal(refusal) => Some(refusal),
            Error::BadRequest(_) | Error::Failure(_) => None,
        }
    }

    /// Whether another program may have changed the keyring, so that it is worth reading again.
    pub fn is_by_another(&self) -> bool {
        self.refusal().is_some_and(Refusal::is_by_another)
    }

    /// Describes the problem as one of a copy, if the copy at `keyring` can be used. See [`Refusal::of_copy`].
    pub fn of_copy(&self, keyring: &Path) -> String {
        match self {
            Error::Refusal(refusal) => refusal.of_copy(keyring),
            e => e.to_string(),
        }
    }
}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        Failure::System(e).into()
    }
}

impl From<crate::key::KeyError> for Error {
    fn from(e: crate::key::KeyError) -> Self {
        BadRequest::Key(e).into()
    }
}

/// The result of a keyring operation.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use uuid::Uuid;

    #[test]
    fn no_copy_that_can_be_written_is_not_counted() {
        let told =
            |reachable, needed| Failure::TooFewCopies { reachable, needed, why: "x".to_owned() }.to_string();
        assert_eq!(told(0, 1), "no copy can be written (1 is needed), so nothing was changed: x");
        assert!(told(1, 2).starts_with("only 1 of the 2 copies"));
    }

    #[test]
    fn a_copy_is_brought_up_to_date_and_no_second_keyring_made() {
        let path = PathBuf::from("/mnt/b/k");
        let told = |e: Refusal| e.of_copy(Path::new("/mnt/a/k"));
        let missing = Refusal::Missing { path: path.clone(), found: "it is not mounted".to_owned() };
        let older = Refusal::Older { path: path.clone(), id: Uuid::nil(), found: 3, expected: 5 };
        let sync = "keyringctl sync /mnt/a/k --mirror /mnt/b/k";
        for (text, options) in [(told(missing), " --create"), (told(older), "")] {
            assert!(text.ends_with(&format!("{sync}{options} --unlock SOURCE")), "{text}");
        }
        let damaged =
            |path: &str| Refusal::Damaged { path: path.into(), offset: 0, what: "header" }.to_string();
        assert!(damaged("/mnt/b/k").contains("Keep the file, and replace it"));
        assert!(damaged("@b/k").contains("keyringctl sync COPY --mirror @b/k --unlock SOURCE --create"));
        let denied = Error::io("open", &path, io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(denied.contains("network volume") && denied.contains("AppArmor"), "{denied}");
    }
}
