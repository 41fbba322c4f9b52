// SPDX-License-Identifier: GPL-2.0-or-later
//! The copies of an open keyring, and what is known of each.

mod lock;
mod member;
mod report;
mod second_step;
mod set;

pub(crate) use member::Member;
pub use member::Standing;
pub(crate) use set::{OpenReplica, Reach, Replicas};
