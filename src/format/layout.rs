// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the parts of a keyring file are, and how long they are. docs/FORMAT.md shows the same as a table.

use super::crypto::{IV_LEN, TAG_LEN};
use crate::key::{MAX_DATA, MAX_ID, MAX_TYPE, MAX_USER};

/// Bytes of one copy of the header. The file begins with two.
pub const HEADER_LEN: usize = 4096;
/// Bytes from one commit slot to the next. The part that a slot does not use is zero.
pub const COMMIT_BLOCK: usize = 4096;
/// Bytes of a commit slot that it may use: the commit and the note of the audit log.
pub const COMMIT_SLOT_LEN: usize = 160;
/// Offset of the first commit slot.
pub const COMMITS_AT: usize = 2 * HEADER_LEN;
/// Bytes before the first record: two copies of the header and two commit slots.
pub const FIXED_LEN: usize = COMMITS_AT + 2 * COMMIT_BLOCK;

/// Maximum length of a keyring's label in bytes.
pub const LABEL_LEN: usize = 63;
/// Number of slots in a header.
pub const SLOT_COUNT: usize = 8;
/// Bytes of one slot.
pub const SLOT_LEN: usize = 256;
/// Maximum length of a slot's name in bytes.
pub const SLOT_NAME_LEN: usize = 55;
/// Bytes of a slot's salt.
pub const SALT_LEN: usize = 32;
/// Bytes of an epoch.
pub const EPOCH_LEN: usize = 16;
/// Bytes of the chain of MACs that identify a state: the first half of a MAC.
pub const CHAIN_PART_LEN: usize = TAG_LEN / 2;
/// Bytes that identify a state in a header: epoch, generation and half of the chain.
pub const STATE_ID_LEN: usize = EPOCH_LEN + 8 + CHAIN_PART_LEN;
/// Number of ancestors that a header lists, the newest ones.
pub const ANCESTOR_COUNT: usize = 32;
/// Number of further ancestors that a header lists because a copy was last seen in them.
pub const LEFT_BEHIND_COUNT: usize = 8;

/// Bytes of a record around its ciphertext: length, IV, tag.
pub const RECORD_OVERHEAD: usize = 4 + IV_LEN + TAG_LEN;
/// Bytes of a record's fixed-length fields, before type, id, user and key.
pub const RECORD_FIELDS_LEN: usize = 1 + 8 + 1 + 1 + 1 + 4;
/// Bytes of the date in the record of a retired key.
pub const RETIRED_LEN: usize = 8;
/// Maximum bytes of a record before encryption.
pub const MAX_BODY: usize = RECORD_FIELDS_LEN + RETIRED_LEN + MAX_TYPE + MAX_ID + MAX_USER + MAX_DATA;
/// Maximum bytes of a sealed record.
pub const MAX_RECORD: usize = RECORD_OVERHEAD + MAX_BODY;
