// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl`: creates and manages keyrings, encrypts databases with them and proves the result.
//!
//! `commands` has a file for each command. The other modules support them: `server` connects to a running MySQL server,
//! `host` knows the machine (systemd, AppArmor, mounts), `tablespace` reads InnoDB's files and binary logs, and `legacy`
//! the files of other keyrings, `readers` reads many files and large ones with several threads, `show` writes names that
//! come from outside, and `terminal` knows how wide the terminal is.
//! What is public is used by the tests on a real server, the benchmarks and the fuzzers, and is not an interface for other
//! programs.

// What no other package uses is pub(crate).
#![cfg_attr(not(test), deny(unreachable_pub))]
// What is printed passes `Output` or `show::warn`, which escape what a terminal would obey.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod commands;
pub mod error;
pub mod host;
pub mod legacy;
mod readers;
pub mod server;
pub mod show;
pub mod tablespace;
mod terminal;

pub use commands::main;
