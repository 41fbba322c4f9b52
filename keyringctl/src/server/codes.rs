// SPDX-License-Identifier: GPL-2.0-or-later
//! Error codes of MySQL that several modules tell apart.

use crate::error::{Error, ServerError};

/// A statement that this version does not know, or a fault in one.
pub const SYNTAX: u16 = 1064;
/// A schema that does not exist.
const NO_SUCH_SCHEMA: u16 = 1049;
/// A table that does not exist.
pub const NO_SUCH_TABLE: u16 = 1146;
/// A lock that could not be taken in time.
pub const LOCK_WAIT_TIMEOUT: u16 = 1205;
/// A statement that the server ended because it and another waited for each other's locks.
pub const DEADLOCK: u16 = 1213;
/// A cancelled statement.
pub const QUERY_INTERRUPTED: u16 = 1317;

/// Whether a statement failed because its table, or the schema of that, does not exist.
pub fn is_gone(e: &Error) -> bool {
    matches!(e, Error::Server(ServerError { code: NO_SUCH_TABLE | NO_SUCH_SCHEMA, .. }))
}
