// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies at a remote, on a simulated engine that fails, loses answers, carries requests out late, lists stale, and is
//! restored from old snapshots: one remote, two of them, and a file beside a remote.

#![cfg(feature = "remote")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/engine.rs"]
#[allow(dead_code, reason = "every test program uses its own part of it")]
mod engine;

mod costs;
mod crash;
mod damage;
mod faults;
mod mixed;
mod races;
mod rig;
mod rollback;
mod set_aside;
mod start;
mod starved;
mod taken_back;
