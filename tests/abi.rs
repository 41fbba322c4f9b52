// SPDX-License-Identifier: GPL-2.0-or-later
//! The C interface, used as mysqld uses it. The built library is opened with dlopen, plugin and component each from a
//! copy of its own. The server's services are stubs that check how they are used.
//!
//! `KX_ABI_CALLS` is the number of random calls (default 20,000; 1,000,000 in the long run), `KX_SEED` repeats the
//! choices of a run, `KX_LIBRARY` names another library than the one just built.
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
#[path = "abi/status.rs"]
mod status;
#[path = "abi/stubs.rs"]
mod stubs;
#[path = "abi/variables.rs"]
mod variables;
