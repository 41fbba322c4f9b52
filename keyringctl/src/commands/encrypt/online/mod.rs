// SPDX-License-Identifier: GPL-2.0-or-later
//! Rewriting a table while it is written to: it moves into a scratch tablespace, which is encrypted or decrypted in place,
//! and out again.

pub(super) mod way;
