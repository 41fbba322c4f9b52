// SPDX-License-Identifier: GPL-2.0-or-later
//! Keys on a server in everyday use: rotation, threads, cost, memory, key slots, the component, status.

pub mod audit_log;
pub mod audit_log_faults;
pub mod clear_text;
pub mod component;
pub mod cost;
pub mod daemonize;
pub mod everyday;
pub mod memory;
pub mod options;
pub mod slots;
pub mod status;
pub mod threads;
