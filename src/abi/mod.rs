// SPDX-License-Identifier: GPL-2.0-or-later
//! The C boundary: the only place where C is spoken, and the only unsafe code.
