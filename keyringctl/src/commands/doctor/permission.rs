// SPDX-License-Identifier: GPL-2.0-or-later
//! What the permission bits of a file let an account do.

use crate::host::accounts::Account;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

pub(in crate::commands) const READ: u32 = 0o4;
const WRITE: u32 = 0o2;
pub(super) const PASS: u32 = 0o1;

/// Returns whether an account may access a file in this way. Root may.
pub(in crate::commands) fn may(meta: &Metadata, account: Option<&Account>, access: u32) -> bool {
    let Some(account) = account else { return true };
    let mode = meta.mode();
    let bits = if account.uid == 0 {
        return true;
    } else if meta.uid() == account.uid {
        mode >> 6
    } else if meta.gid() == account.gid {
        mode >> 3
    } else {
        mode
    };
    bits & access == access
}

/// Returns whether an account may write to a file.
pub(in crate::commands) fn may_write(meta: &Metadata, account: Option<&Account>) -> bool {
    may(meta, account, WRITE)
}
