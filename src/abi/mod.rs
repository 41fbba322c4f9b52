// SPDX-License-Identifier: GPL-2.0-or-later
//! The C interface: the only place that deals with C, and the only unsafe code. docs/ABI.md has a row for every entry
//! point. Neither a raw pointer nor a panic leaves this folder (invariant 7).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]
#![allow(unsafe_code)]

mod audit;
mod care;
pub mod component;
mod fork;
mod guard;
mod handles;
mod instance;
mod level;
pub mod plugin;
mod pointers;
mod registry;
pub mod services;
mod spin;
mod status;
#[allow(non_camel_case_types, missing_docs, clippy::indexing_slicing)]
#[rustfmt::skip]
pub mod sys;
