// SPDX-License-Identifier: GPL-2.0-or-later
//! What crosses modules of the library: keyrings on simulated and real filesystems, their copies, faults, and
//! programs side by side. One program, so that tests that wait for a deadline do it beside the others:
//! `cargo test --test keyring crash::` runs the tests of one file.

#[path = "../common/mod.rs"]
mod common;

mod budget;
mod crash;
mod faults;
mod forks;
mod hostile;
mod hung;
mod mandatory_locks;
mod many;
mod merge;
mod mirrors;
mod mixes;
mod mutations;
mod parted;
mod pulled;
mod rekey;
mod retire;
mod seeds;
mod several;
mod successor;
mod together;
mod unproven;
mod unsettled;
mod writers;
