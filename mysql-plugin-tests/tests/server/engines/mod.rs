// SPDX-License-Identifier: GPL-2.0-or-later
//! Keyrings at a remote, on real engines.

pub mod network;
