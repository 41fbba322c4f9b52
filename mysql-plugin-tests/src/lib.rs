// SPDX-License-Identifier: GPL-2.0-or-later
//! What the tests on a real server and the benchmarks share: the rig (servers, volumes and keyrings in temporary
//! directories) and a sample database.
#![allow(missing_docs, reason = "only the tests of this package and the benchmarks use it")]

pub mod biobank;
#[path = "../../tests/common/mod.rs"]
pub mod common;
pub mod rig;
