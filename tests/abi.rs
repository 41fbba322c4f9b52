// SPDX-License-Identifier: GPL-2.0-or-later
//! The C boundary, driven as mysqld drives it: the built library is opened with dlopen, plugin and component
//! each from a copy of its own, and the services around them are stubs that watch what is done to them.
//!
//! `KX_ABI_CALLS` is how many random calls are made (default 20,000; 1,000,000 in the long run), `KX_SEED`
//! repeats the choices of a run, `KX_LIBRARY` names another library than the one just built.
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "this is the server's side of the boundary, with bad arguments on purpose"
)]

#[path = "abi/arguments.rs"]
mod arguments;
#[path = "abi/calls.rs"]
mod calls;
#[path = "abi/component.rs"]
mod component;
#[path = "abi/forks.rs"]
mod forks;
#[path = "abi/hosts.rs"]
mod hosts;
#[path = "abi/plugin.rs"]
mod plugin;
#[path = "abi/replacing.rs"]
mod replacing;
#[path = "common/seed.rs"]
#[allow(dead_code, reason = "shared")]
mod seed;
#[path = "abi/shutdown.rs"]
mod shutdown;
#[path = "abi/stubs.rs"]
mod stubs;
