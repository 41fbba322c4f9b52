// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl status` shows of one copy.

use crate::commands::content::Content;
use crate::commands::remote_facts::RemoteFacts;
use crate::commands::slot_row::SlotRow;
use crate::show::Shown;
use keyring_external::error::{Error, Failure, Refusal};
use keyring_external::store::places::is_remote;
use serde::Serialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What was found out about one copy.
#[derive(Serialize)]
pub(in crate::commands) struct CopyStatus {
    #[serde(serialize_with = "crate::show::path")]
    pub path: PathBuf,
    pub fine: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where it is, if that is at a remote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteFacts>,
    /// The kind of the error.
    #[serde(skip)]
    pub wrong: Option<Wrong>,
    #[serde(flatten)]
    pub about: Option<Description>,
    #[serde(skip)]
    pub content: Option<Content>,
}

/// Why a copy is not one of those that count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::commands) enum Wrong {
    /// This user has no permission to read it, so that nothing is known of it.
    NoPermission,
    /// The secret does not unlock it, so that only its front is known.
    OtherSecret,
    /// It is missing, cannot be reached, or is damaged so that it cannot be read.
    Unusable,
    /// A part of it is damaged of which it has another one.
    Damaged,
    /// It holds an earlier state, or one that is perhaps only an earlier one.
    Behind,
    /// It holds keys that another copy, or the data directory, was not used with.
    Diverged,
    /// It belongs to another keyring.
    AnotherKeyring,
    /// It is the same file as another copy.
    SameFile,
}

impl Wrong {
    /// The kind of an error that ended the reading of a copy.
    pub(super) fn of(e: &Error) -> Wrong {
        match e {
            Error::Failure(Failure::Io { cause, .. }) if cause.kind() == ErrorKind::PermissionDenied => {
                Wrong::NoPermission
            }
            Error::Refusal(Refusal::WrongSecret { .. }) => Wrong::OtherSecret,
            _ => Wrong::Unusable,
        }
    }
}

impl CopyStatus {
    /// A copy of which nothing is known yet.
    pub(in crate::commands) fn of(path: &Path) -> CopyStatus {
        CopyStatus {
            path: path.to_owned(),
            fine: false,
            error: None,
            remote: if is_remote(path) { RemoteFacts::of(path).ok() } else { None },
            wrong: None,
            about: None,
            content: None,
        }
    }

    /// Marks the copy as failed.
    pub(in crate::commands) fn fail(&mut self, wrong: Wrong, text: String) {
        (self.fine, self.wrong, self.error) = (false, Some(wrong), Some(text));
    }
}

/// What a keyring file says of itself.
#[derive(Serialize)]
pub(in crate::commands) struct Description {
    pub id: Uuid,
    pub label: String,
    pub created: u64,
    pub generation: Option<u64>,
    /// Whether all of this was authenticated with the secret.
    pub authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<usize>,
    pub slots: Vec<SlotRow>,
    pub notes: Vec<String>,
    /// Why a server could not change this copy now: its volume is full or mounted read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchangeable: Option<String>,
    /// How it compares with the witness of the data directory, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<WitnessSays>,
}

/// How a copy compares with the witness in a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands) enum WitnessSays {
    /// The witness records this state.
    Same,
    /// The witness records an earlier state.
    Newer,
    /// The witness records a later state.
    Older,
    /// The witness records another keyring.
    Another,
    /// The witness records a state from which the copy has diverged.
    Fork,
    /// The witness was not written with the keys of this keyring.
    Unknown,
}

impl WitnessSays {
    pub(in crate::commands) fn text(self) -> &'static str {
        match self {
            WitnessSays::Same => "the data directory was last used with this state",
            WitnessSays::Newer => "the data directory was last used with an earlier generation",
            WitnessSays::Older => "the data directory was last used with a later generation",
            WitnessSays::Another => "the data directory was last used with another keyring",
            WitnessSays::Fork => {
                "the data directory was last used with a state from which this copy has diverged"
            }
            WitnessSays::Unknown => {
                "not written by this keyring (damaged, forged, or older than the last renewal of the data key): \
                 cannot check whether this copy is the newest"
            }
        }
    }
}

/// Says that the witness at this path is damaged.
pub(in crate::commands) fn damaged_witness(path: &Path) -> String {
    format!(
        "{} is damaged or not a witness: it is not known which keyring the data directory last used. The server logs a \
         warning when it starts, and replaces the file when it uses the keyring",
        path.shown()
    )
}
