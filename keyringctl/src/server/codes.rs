// SPDX-License-Identifier: GPL-2.0-or-later
//! Error codes of MySQL that several modules tell apart.

/// A statement that this version does not know, or a fault in one.
pub const SYNTAX: u16 = 1064;
/// A table that does not exist.
pub const NO_SUCH_TABLE: u16 = 1146;
/// A lock that could not be taken in time.
pub const LOCK_WAIT_TIMEOUT: u16 = 1205;
/// A statement that the server ended because it and another waited for each other's locks.
pub const DEADLOCK: u16 = 1213;
/// A cancelled statement.
pub const QUERY_INTERRUPTED: u16 = 1317;
