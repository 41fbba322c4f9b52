// SPDX-License-Identifier: GPL-2.0-or-later
//! Changes to the copies. The writer knows the front of an up-to-date copy byte for byte. It appends to
//! copies that one of its own changes has reached, and rewrites all others.

mod audit;
mod audit_state;
mod change;
mod judge;
mod merge;
mod refresh;
mod state;
mod write;

pub(crate) use state::{Start, Writer};
