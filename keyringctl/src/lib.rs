// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl`: creates keyrings, looks after them, encrypts databases with them and proves the result.
//!
//! `commands` has a file for each command. The others are what they work with: `server` a running MySQL server,
//! `host` the machine (systemd, AppArmor, mounts), `tablespace` InnoDB's files and binary logs, `legacy` the files of
//! other keyrings. Public is what the tests on a real server, the benchmarks and the fuzzers use; nothing else may rely on it.

mod commands;
pub mod error;
pub mod host;
pub mod legacy;
pub mod server;
pub mod tablespace;

pub use commands::main;
