// SPDX-License-Identifier: GPL-2.0-or-later
//! Keyrings at a remote, on real engines.

pub mod copies;
pub mod endurance;
pub mod network;
pub mod partitions;
pub mod storing;
pub mod troubles;
