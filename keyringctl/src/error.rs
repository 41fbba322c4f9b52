// SPDX-License-Identifier: GPL-2.0-or-later
//! Why a command ended without success, and the exit code that follows from that.

use crate::show::Shown;
use keyring_external::error::{BadRequest, Error as KeyringError, Failure, Refusal};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a command ended without success.
#[derive(Debug, Error)]
pub enum Error {
    /// An error of the library: about a keyring, or an operation on it.
    #[error(transparent)]
    Keyring(#[from] KeyringError),

    /// A MySQL server.
    #[error(transparent)]
    Server(#[from] ServerError),

    /// The file of another keyring.
    #[error(transparent)]
    ForeignFile(#[from] ForeignFile),

    /// Arguments, answers or a configuration that cannot be used: what is wrong and what to do.
    #[error("{0}")]
    Usage(String),

    /// The same in several lines: the message, then what it lists.
    #[error("{}", .0.join("\n"))]
    Lines(Vec<String>),
}

/// A MySQL server cannot be reached, or refused a statement.
#[derive(Debug, Error)]
#[error("cannot {doing}: {why}")]
pub struct ServerError {
    /// What was tried. No secret.
    pub doing: String,
    /// MySQL's error number; 0 if the error does not come from the server.
    pub code: u16,
    /// Whether nobody answered, or the connection broke.
    pub silent: bool,
    /// The reason.
    pub why: String,
}

/// A file is not a valid file of the other keyring.
#[derive(Debug, Error)]
#[error("{} cannot be read as a file of {format}: {why}. Nothing was changed", path.shown())]
pub struct ForeignFile {
    /// The file.
    pub path: PathBuf,
    /// The other keyring.
    pub format: &'static str,
    /// What is wrong, and what to do.
    pub why: String,
}

/// The result of a part of a command.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An I/O error with its path.
    pub fn io(doing: &'static str, path: &Path, cause: std::io::Error) -> Self {
        KeyringError::io(doing, path, cause).into()
    }

    /// The kind of the I/O error, if this is one.
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        match self {
            Error::Keyring(e) => e.io_kind(),
            Error::Server(_) | Error::ForeignFile(_) | Error::Usage(_) | Error::Lines(_) => None,
        }
    }

    /// The finding about a keyring, if this is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Error::Keyring(e) => e.refusal(),
            Error::Server(_) | Error::ForeignFile(_) | Error::Usage(_) | Error::Lines(_) => None,
        }
    }

    /// The exit code of `keyringctl`: 1 for a finding about the keyring or file, 2 if the command could not be carried out.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Keyring(KeyringError::Refusal(_)) | Error::ForeignFile(_) => 1,
            Error::Keyring(KeyringError::BadRequest(_) | KeyringError::Failure(_))
            | Error::Server(_)
            | Error::Usage(_)
            | Error::Lines(_) => 2,
        }
    }
}

impl From<Refusal> for Error {
    fn from(e: Refusal) -> Self {
        Error::Keyring(e.into())
    }
}

impl From<BadRequest> for Error {
    fn from(e: BadRequest) -> Self {
        Error::Keyring(e.into())
    }
}

impl From<Failure> for Error {
    fn from(e: Failure) -> Self {
        Error::Keyring(e.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_follows_from_what_an_error_is_about() {
        let path = || PathBuf::from("/k");
        let finding = Error::from(Refusal::NotAKeyring { path: path() });
        let foreign = Error::from(ForeignFile { path: path(), format: "", why: String::new() });
        let request = Error::from(BadRequest::LastSlot);
        let failure = Error::from(Failure::Locked { path: path(), seconds: 1 });
        let server =
            Error::from(ServerError { doing: String::new(), code: 0, silent: true, why: String::new() });
        let usage = Error::Usage(String::new());
        let codes = [finding, foreign, request, failure, server, usage].map(|e| e.exit_code());
        assert_eq!(codes, [1, 1, 2, 2, 2, 2]);
    }
}
