// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the parts of a keyring file lie, and how long they are; docs/FORMAT.md has the same as a table.

use super::crypto::{IV_LEN, TAG_LEN};
use crate::key::{MAX_DATA, MAX_ID, MAX_TYPE, MAX_USER};

/// Bytes of one copy of the header. The file begins with two.
pub const HEADER_LEN: usize = 4096;
/// Bytes from one commit slot to the next; what a slot does not use is zero.
pub const COMMIT_BLOCK: usize = 4096;
/// Where the first commit slot lies.
pub const COMMITS_AT: usize = 2 * HEADER_LEN;
/// Bytes before the first record: two copies of the header and two commit slots.
pub const FIXED_LEN: usize = COMMITS_AT + 2 * COMMIT_BLOCK;

/// Bytes of the epoch.
pub(crate) const EPOCH_LEN: usize = 16;
/// Bytes of the chain of MACs that identify a state: half of a MAC.
pub(crate) const CHAIN_PART_LEN: usize = TAG_LEN / 2;
/// Bytes that identify a state in a header: epoch, generation, half of the chain.
pub(crate) const STATE_ID_LEN: usize = EPOCH_LEN + 8 + CHAIN_PART_LEN;
/// How many of the newest earlier states a header remembers.
pub(crate) const ANCESTOR_COUNT: usize = 32;
/// How many states beside these, in which copies were left behind.
pub(crate) const LEFT_BEHIND_COUNT: usize = 8;

/// Bytes of a record around its ciphertext: length, iv, tag.
pub(crate) const RECORD_OVERHEAD: usize = 4 + IV_LEN + TAG_LEN;
/// Bytes of a record's fields before type, id, user and key.
pub(crate) const RECORD_FIELDS_LEN: usize = 1 + 8 + 1 + 1 + 1 + 4;
/// Most bytes of a record before encryption.
pub const MAX_BODY: usize = RECORD_FIELDS_LEN + MAX_TYPE + MAX_ID + MAX_USER + MAX_DATA;
/// Most bytes of a sealed record.
pub(crate) const MAX_RECORD: usize = RECORD_OVERHEAD + MAX_BODY;
