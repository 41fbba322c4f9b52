// SPDX-License-Identifier: GPL-2.0-or-later
//! What is verified, and with what.

use super::finding::Place;
use crate::audit::line::Line;
use crate::format::audit_key::AuditKey;
use crate::format::log_note::LogNote;
use uuid::Uuid;

/// What a log is compared with.
#[derive(Debug, Default)]
pub struct Known {
    /// The keyring, if it was named.
    pub keyring: Option<Uuid>,
    /// Its present audit key, if its secret was given. Earlier ones are found in the log.
    pub key: Option<AuditKey>,
    /// Audit keys from before renewals, of older copies of the keyring. They vouch only for lines before the first one whose
    /// MAC is right under the present key.
    pub earlier: Vec<AuditKey>,
    /// What the keyring notes.
    pub note: Option<LogNote>,
    /// How many changes it has had.
    pub generation: Option<u64>,
}

/// One physical line.
#[derive(Debug)]
pub(super) struct Physical<'a> {
    pub place: Place,
    pub bytes: &'a [u8],
    /// Whether a line feed ends it.
    pub ended: bool,
    pub line: Option<Line>,
}
