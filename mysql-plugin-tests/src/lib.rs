// SPDX-License-Identifier: GPL-2.0-or-later
//! What the tests on a real server and the benchmarks share: the rig (servers, volumes and keyrings in temporary
//! directories) and a sample database.
#![allow(
    missing_docs,
    clippy::new_without_default,
    clippy::should_implement_trait,
    reason = "only the tests of this package and the benchmarks use it: it is no public interface"
)]

pub mod biobank;
#[path = "../../tests/common/mod.rs"]
pub mod common;
pub mod rig;
